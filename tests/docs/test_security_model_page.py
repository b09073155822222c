"""docs/security-model.md: each row of "Who can make the rotator do what" names a test that exists and proves something."""

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security-model.md").read_text(encoding="utf-8")
TESTS = (ROOT / "tests" / "rotation" / "test_who_can_do_what.py").read_text(encoding="utf-8")


class Right(NamedTuple):
    """One row: who may do what, what that makes a run do, what it does not, and the test of both."""

    who: str
    can: str
    cannot: str
    test: str


def rights_of(page: str) -> list[Right]:
    """Return the rows of the table."""
    section = page.partition("### Who can make the rotator do what")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return [Right(*row) for row in rows if row[0] not in {"Who may", "---"}]


def asserting_tests(code: str) -> dict[str, int]:
    """Return the tests of a module, and how many assertions each makes."""
    return {
        node.name: sum(isinstance(each, ast.Assert) for each in ast.walk(node))
        for node in ast.parse(code).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def faults_of(page: str, code: str) -> list[str]:
    """Return what is wrong between the table and the tests."""
    rights, tests = rights_of(page), asserting_tests(code)
    named = [name for right in rights for name in re.findall(r"`(test_\w+)`", right.test)]
    faults = [f"{right.who}: no test" for right in rights if not re.search(r"`test_\w+`", right.test)]
    faults += [f"{name} does not exist" for name in named if name not in tests]
    faults += [f"{name} asserts too little" for name in named if tests.get(name, 2) < 2]
    faults += [f"{name} is named twice" for name in sorted(set(named)) if named.count(name) > 1]
    return faults + [f"{name} belongs to no row" for name in tests if name not in named]


def test_each_row_names_a_test_of_its_own_that_asserts_something() -> None:
    assert len(rights_of(PAGE)) >= 10
    assert faults_of(PAGE, TESTS) == []


def test_each_row_says_what_its_right_can_do() -> None:
    assert [right.who for right in rights_of(PAGE) if not right.can] == []


ROWS = rights_of(PAGE)
FIRST = re.findall(r"`(test_\w+)`", ROWS[0].test)[0]


@pytest.mark.parametrize(
    ("page", "code", "fault"),
    [
        (PAGE.replace(f"`{FIRST}`", ""), TESTS, f"{ROWS[0].who}: no test"),
        (PAGE.replace(FIRST, "test_nothing"), TESTS, "test_nothing does not exist"),
        (PAGE.replace(f"`{FIRST}`", ROWS[1].test), TESTS, f"{ROWS[1].test.strip('`')} is named twice"),
        (PAGE, TESTS.replace(f"def {FIRST}(", "def test_other("), f"{FIRST} does not exist"),
        (PAGE, f"def {FIRST}():\n    pass\n", f"{FIRST} asserts too little"),
        (PAGE, TESTS + "\ndef test_more():\n    assert 1\n    assert 2\n", "test_more belongs to no row"),
    ],
    ids=["no test", "no such test", "another row's test", "renamed", "asserts nothing", "no row"],
)
def test_a_table_that_promises_more_than_is_tested_is_reported(page: str, code: str, fault: str) -> None:
    assert fault in faults_of(page, code)
