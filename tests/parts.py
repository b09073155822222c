"""The two parts of the suite that run side by side."""

from pathlib import Path

import pytest

_SCANNER = Path(__file__).parent / "scanner"


def forks(item: pytest.Item) -> bool:
    """Whether a test calls the scanner in this process, which then forks workers: no thread may run."""
    return _SCANNER in item.path.parents


def part_of(item: pytest.Item) -> str:
    """The part that a test belongs to: `scanner` holds the scanner's own tests and those of the verb, `others` the rest."""
    return "scanner" if forks(item) or item.path.name.startswith("test_scan_") else "others"
