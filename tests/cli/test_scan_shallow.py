"""A shallow clone lacks commits: a scan of its history never looks whole, a scan of its files does."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Operator
from tests.scanner.trees import git


@pytest.fixture
def origin(operator: Operator, token: str) -> Path:
    """A repository with a leak in a commit before the last two."""
    operator.write("a.env", f"TOKEN={token}\n")
    operator.commit("leak")
    operator.write("a.env", "TOKEN=\n")
    operator.commit("mend")
    operator.write("b.txt", "clean\n")
    operator.commit("last")
    return operator.folder


def clone(operator: Operator, origin: Path, depth: int, *options: str) -> Path:
    git(operator.home, "clone", "--quiet", f"--depth={depth}", *options, origin.as_uri(), "shallow")
    return operator.home / "shallow"


@pytest.mark.parametrize("options", [(), ("--bare",)])
def test_the_history_of_a_shallow_clone_is_incomplete(operator: Operator, origin: Path, options: tuple[str]) -> None:
    shallow = clone(operator, origin, 1, *options)
    for _ in range(2):  # the second scan knows every object
        ended = operator.run("scan", "--history", "--format", "json", folder=shallow)
        report = json.loads(ended.stdout)
        assert (ended.code, report["complete"], report["findings"]) == (5, False, [])
        assert ["git fetch --unshallow" in skipped["reason"] for skipped in report["skipped"]] == [True]
        quiet = operator.run("scan", "--history", "--quiet", folder=shallow)
        assert quiet.code == 5
        assert "git fetch --unshallow" in quiet.text
    assert operator.call("scan", "--history", "--exit-zero", str(shallow)).code == 5


def test_what_the_reason_says_mends_it(operator: Operator, origin: Path) -> None:
    shallow = clone(operator, origin, 1)
    assert operator.run("scan", "--history", folder=shallow).code == 5
    git(shallow, "fetch", "--quiet", "--unshallow")
    assert operator.run("scan", "--history", folder=shallow).code == 1


def test_a_history_that_becomes_shallow_is_scanned_again(operator: Operator) -> None:
    operator.write("b.txt", "clean\n")
    operator.commit("one")
    operator.write("b.txt", "cleaner\n")
    operator.commit("two")
    assert [operator.run("scan", "--history").code for _ in range(2)] == [0, 0]
    head = git(operator.folder, "rev-parse", "HEAD").decode()
    operator.write(".git/shallow", head)
    assert operator.run("scan", "--history").code == 5


def test_its_files_and_what_is_staged_are_whole(operator: Operator, origin: Path) -> None:
    shallow = clone(operator, origin, 1)
    assert [operator.run("scan", *mode, folder=shallow).code for mode in ([], ["--staged"])] == [0, 0]


def test_commits_since_a_revision_are_whole_when_none_of_them_was_cut(operator: Operator, origin: Path) -> None:
    shallow = clone(operator, origin, 2)
    ended = operator.run("scan", "--since", "HEAD~1", "--format", "json", folder=shallow)
    assert (ended.code, json.loads(ended.stdout)["complete"]) == (0, True)
    empty = git(shallow, "commit-tree", "-m", "none", git(shallow, "write-tree").decode().strip()).decode().strip()
    ended = operator.run("scan", "--since", empty, "--format", "json", folder=shallow)
    assert (ended.code, json.loads(ended.stdout)["complete"]) == (5, False)
