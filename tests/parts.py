"""The three parts of the suite that run side by side."""

from pathlib import Path

import pytest

_TESTS = Path(__file__).parent
_SCANNER, _ROTATION = _TESTS / "scanner", _TESTS / "rotation"
PARTS = ("local", "rotation", "cloud")


def forks(item: pytest.Item) -> bool:
    """Whether a test calls the scanner in this process, which then forks workers: no thread may run."""
    return _SCANNER in item.path.parents


def part_of(item: pytest.Item) -> str:
    """The part that a test belongs to: `local` holds those of the scanner, its verb and the code itself, `rotation` those of the engine."""
    of_verb, of_code = item.path.name.startswith("test_scan_"), item.path.parent == _TESTS
    if forks(item) or of_verb or of_code:
        return "local"
    return "rotation" if _ROTATION in item.path.parents else "cloud"
