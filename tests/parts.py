"""The four parts of the suite that run side by side."""

from pathlib import Path

import pytest

_TESTS = Path(__file__).parent
_SCANNER, _ROTATION, _VERBS = _TESTS / "scanner", _TESTS / "rotation", _TESTS / "cli"
PARTS = ("cloud", "verbs", "rotation", "local")
"""In the order in which they are told."""


def forks(item: pytest.Item) -> bool:
    """Whether a test calls the scanner in this process, which then forks workers: no thread may run."""
    return _SCANNER in item.path.parents


def part_of(item: pytest.Item) -> str:
    """The part that a test belongs to.

    `local` holds those of the scanner, its verb and the code itself, `rotation` those of the engine, `verbs` those of the other commands.
    """
    of_verb, of_code = item.path.name.startswith("test_scan_"), item.path.parent == _TESTS
    if forks(item) or of_verb or of_code:
        return "local"
    if _ROTATION in item.path.parents:
        return "rotation"
    return "verbs" if _VERBS in item.path.parents else "cloud"
