"""docs/architecture.md: its rooms are the folders, "Where do I add" names files and tables that exist, its example is a rule."""

import ast
import re
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

from orchestra_creds.scanner.rule import Rule, Severity
from orchestra_creds.scanner.rulebook.shapes import prefix_rule

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "orchestra_creds"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
TOPICS = (
    "credential format",
    "wrapped",
    "source",
    "report format",
    "kind of resource",
    "drift rule",
    "kind of credential",
    "destination",
    "problem that `status` names",
    "verb",
    "RPC",
    "permission that `doctor` checks",
    "step of a rotation",
    "timing constant",
    "error",
)


class Row(NamedTuple):
    """One row: what is added, the files to write, and where it is entered."""

    what: str
    write: str
    enter: str


def rows_of(page: str) -> list[Row]:
    """Return the rows of the table below "Where do I add"."""
    section = page.partition("## Where do I add")[2].partition("\n## ")[0]
    cells = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return [Row(*row) for row in cells if row[0] not in {"to add", "---"}]


def paths_of(text: str) -> list[str]:
    """Return the files and folders that a cell names, without the names of tables."""
    names = [name.partition(":")[0] for name in re.findall(r"`([^`]+)`", text)]
    return [name for name in names if "/" in name or name.endswith(".py")]


def tables_of(text: str) -> list[tuple[str, str]]:
    """Return what a cell names as `file:NAME`."""
    return re.findall(r"`([\w/]+\.py):(\w+)`", text)


def top_level_names(code: str) -> set[str]:
    """Return what a module defines at its top level."""
    found: set[str] = set()
    for node in ast.parse(code).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Assign(targets=targets):
                found |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
    return found


def faults_of(row: Row) -> list[str]:
    """Return what a row names and the project does not have."""
    faults = [
        f"{path} does not exist"
        for path in paths_of(row.write) + paths_of(row.enter)
        if not (SRC / path).exists() and not (ROOT / path).exists()
    ]
    if faults:
        return faults
    tables = tables_of(row.enter)
    if not tables:
        return ["no table is named"]
    return [
        f"{path} has no {name}" for path, name in tables if name not in top_level_names((SRC / path).read_text("utf-8"))
    ]


def rooms_of(page: str, package: str) -> set[str]:
    """Return the folders that the table of a package lists."""
    table = page.partition(f"| room of `{package}/` |")[2].partition("\n\n")[0]
    return set(re.findall(r"^\| `(\w+)/` \|", table, re.MULTILINE))


@pytest.mark.parametrize("row", rows_of(PAGE), ids=lambda row: row.what)
def test_a_row_names_files_that_exist_and_hold_their_table(row: Row) -> None:
    assert faults_of(row) == []


@pytest.mark.parametrize("topic", TOPICS)
def test_every_kind_of_contribution_has_its_row(topic: str) -> None:
    assert any(topic in row.what for row in rows_of(PAGE))


@pytest.mark.parametrize(
    ("row", "faults"),
    [
        (Row("a thing", "one file in `render/`", "`render/nothing.py:RULES`"), ["render/nothing.py does not exist"]),
        (Row("a thing", "a row in `docs/nothing.md`", "`setup/drift.py:RULES`"), ["docs/nothing.md does not exist"]),
        (Row("a thing", "one file in `nowhere/`", "`setup/drift.py:RULES`"), ["nowhere/ does not exist"]),
        (Row("a thing", "", "`setup/drift.py:drift`"), ["setup/drift.py has no drift"]),
        (Row("a thing", "`setup/drift.py`", "somewhere"), ["no table is named"]),
    ],
)
def test_a_wrong_row_is_reported(row: Row, faults: list[str]) -> None:
    assert faults_of(row) == faults


@pytest.mark.parametrize("package", ["scanner", "emulator"])
def test_the_rooms_are_the_folders(package: str) -> None:
    folders = {path.parent.name for path in (SRC / package).glob("*/__init__.py")}
    assert folders == rooms_of(PAGE, package)
    assert rooms_of(PAGE.replace("| `tree/` |", "| `trees/` |"), "scanner") != rooms_of(PAGE, "scanner")


def test_the_example_of_a_format_is_a_rule() -> None:
    (example,) = re.findall(r"^ *```python\n(.*?)^ *```", PAGE, flags=re.DOTALL | re.MULTILINE)
    rule = eval(textwrap.dedent(example), {"prefix_rule": prefix_rule, "Severity": Severity})  # noqa: S307  the page's own example
    assert isinstance(rule, Rule)
    assert re.search(rule.pattern, "ACME_TOKEN=acme_" + "a1" * 20)


@pytest.mark.parametrize("title", ["A credential format", "A destination", "A report format"])
def test_the_commonest_contributions_are_walked_through(title: str) -> None:
    steps = PAGE.partition(f"### {title}\n")[2].partition("\n### ")[0].splitlines()
    assert len(steps) >= 6
    assert steps[1].startswith("1. ")
