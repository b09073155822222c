"""The hook of pre-commit: it looks at what pre-commit was started for, and never at nothing in silence."""

import shutil
from pathlib import Path

import pytest
import yaml

from orchestra_creds.scanner.samples.sample import render
from tests.cli.conftest import Operator
from tests.scanner.trees import git, repository, write

ROOT = Path(__file__).parents[2]
LEAK = b"token = '" + render("ghp_{crc62:30}", seed=7).encode() + b"'\n"
WAYS = pytest.mark.parametrize("way", ["run", "call"], ids=["fast path", "Typer"])
"""The methods of an operator that start a process, whose arguments are plain, and that call Typer in this one."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose second commit holds a leak, which the third takes away."""
    folder = repository(tmp_path_factory.mktemp("template"))
    for number, content in enumerate((b"clean\n", LEAK, b"clean again\n")):
        write(folder, {"a.txt": content, f"{number}.txt": b"x\n"})
        git(folder, "add", ".")
        git(folder, "commit", "-qm", f"commit {number}")
    return folder


@pytest.fixture
def author(operator: Operator, template: Path) -> Operator:
    """An operator in a copy of it."""
    shutil.copytree(template, operator.folder, dirs_exist_ok=True)
    return operator


@WAYS
def test_m3_all_files_are_looked_at_when_nothing_is_staged(author: Operator, way: str) -> None:
    assert getattr(author, way)("scan", "--pre-commit", "a.txt", "0.txt").code == 0
    write(author.folder, {"a.txt": LEAK})
    git(author.folder, "commit", "-qam", "leak")
    for files in (("a.txt", "0.txt"), ()):
        ended = getattr(author, way)("scan", "--pre-commit", *files)
        assert (ended.code, "a.txt" in ended.text) == (1, True)


@WAYS
def test_m3_all_files_are_looked_at_also_beside_staged_ones(author: Operator, way: str) -> None:
    write(author.folder, {"a.txt": LEAK})
    git(author.folder, "commit", "-qam", "leak")
    write(author.folder, {"new.txt": b"staged\n"})
    git(author.folder, "add", "new.txt")
    assert getattr(author, way)("scan", "--pre-commit", "new.txt").code == 0  # a commit adds nothing that leaks
    assert getattr(author, way)("scan", "--pre-commit", "a.txt", "new.txt").code == 1  # --all-files


@WAYS
def test_m3_a_staged_leak_is_found(author: Operator, way: str) -> None:
    write(author.folder, {"a.txt": LEAK})
    git(author.folder, "add", "a.txt")
    assert getattr(author, way)("scan", "--pre-commit", "a.txt").code == 1


@WAYS
@pytest.mark.parametrize(
    ("first", "last", "code"),
    [("HEAD~2", "HEAD", 1), ("HEAD~1", "HEAD", 0), ("HEAD~2", "HEAD~1", 1), ("HEAD", "HEAD", 0)],
)
def test_m3_the_commits_between_two_revisions_are_looked_at(
    author: Operator, first: str, last: str, code: int, way: str
) -> None:
    author.environment |= {"PRE_COMMIT_FROM_REF": first, "PRE_COMMIT_TO_REF": last}
    ended = getattr(author, way)("scan", "--pre-commit", "a.txt")
    assert ended.code == code, ended.text + ended.stderr


@WAYS
def test_m3_a_revision_that_is_missing_is_an_error(author: Operator, way: str) -> None:
    author.environment |= {"PRE_COMMIT_FROM_REF": "origin/main", "PRE_COMMIT_TO_REF": "HEAD"}
    ended = getattr(author, way)("scan", "--pre-commit")
    assert (ended.code, "no such revision: origin/main" in ended.stderr) == (4, True)


@WAYS
def test_m3_a_scan_of_nothing_says_so(author: Operator, way: str) -> None:
    for _ in range(2):  # the second one has compiled rules
        ended = getattr(author, way)("scan", "--staged")
        assert (ended.code, ended.text.strip()) == (0, "nothing was scanned: there is no file to look at")


def test_m3_the_hooks_are_given_their_files() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert {hook["id"] for hook in hooks} == {"orchestra-creds", "orchestra-creds-push", "orchestra-creds-system"}
    for hook in hooks:
        assert hook["entry"] == "orchestra-creds scan --pre-commit"
        assert hook.get("pass_filenames", True), "without names --all-files cannot be told from a commit"


def test_a_second_source_beside_it_is_refused(author: Operator) -> None:
    ended = author.call("scan", "--pre-commit", "--history")
    assert (ended.code, "exclude each other" in ended.stderr) == (2, True)
