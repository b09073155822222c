"""Content that a clone lacks: a history scan names it and ends with 5, unless the operator accepts that kind."""

import hashlib
import json
from pathlib import Path

import pytest

from orchestra_creds.render.formats import FORMATS
from tests.cli.conftest import Ended, Operator
from tests.scanner.trees import git

HISTORY = ("scan", "--history")


def reasons(ended: Ended) -> list[str]:
    return [one["reason"] for one in json.loads(ended.stdout)["skipped"]]


def pointer(content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"


def store_large_file(operator: Operator, content: bytes) -> None:
    digest = hashlib.sha256(content).hexdigest()
    operator.write(f".git/lfs/objects/{digest[:2]}/{digest[2:4]}/{digest}", content.decode())


@pytest.fixture
def partial(operator: Operator, token: str) -> Path:
    """A clone without the blobs of older commits, one of which holds a leak."""
    operator.write("a.env", f"TOKEN={token}\n")
    operator.commit("leak")
    operator.write("a.env", "TOKEN=\n")
    operator.commit("mend")
    operator.git("config", "uploadpack.allowFilter", "true")
    git(operator.home, "clone", "--quiet", "--filter=blob:none", operator.folder.as_uri(), "partial")
    return operator.home / "partial"


@pytest.fixture
def with_pointer(operator: Operator) -> Operator:
    operator.write("model.bin", pointer(b"x" * 1000))
    operator.commit("large")
    return operator


@pytest.fixture
def with_submodule(operator: Operator, token: str) -> Path:
    """A clone whose submodule is not checked out; the submodule holds a leak in an older commit."""
    library = operator.home / "library"
    git(operator.home, "init", "--quiet", "-b", "main", "library")
    for text in (f"TOKEN={token}\n", "TOKEN=\n"):
        (library / "a.env").write_text(text)
        git(library, "add", "--all")
        git(library, "commit", "--quiet", "--message", "work")
    operator.write("b.txt", "clean\n")
    operator.commit()
    git(operator.folder, "submodule", "--quiet", "add", library.as_uri(), "vendor/library")
    operator.commit("library")
    git(operator.home, "clone", "--quiet", operator.folder.as_uri(), "clone")
    return operator.home / "clone"


def test_objects_that_a_partial_clone_left_out_are_named_in_a_history_only(operator: Operator, partial: Path) -> None:
    for _ in range(2):
        ended = operator.run(*HISTORY, "--format", "json", folder=partial)
        assert (ended.code, [reason[:9] for reason in reasons(ended)]) == (5, ["1 objects"])
    assert [operator.run("scan", *mode, folder=partial).code for mode in ([], ["--staged"])] == [0, 0]


def test_a_large_file_that_a_history_points_to_is_named_if_it_is_not_here(with_pointer: Operator) -> None:
    for _ in range(2):  # the second scan knows every object
        ended = with_pointer.run(*HISTORY, "--format", "json")
        assert ended.code == 5
        assert reasons(ended) == ["1 Git LFS objects (1,000 bytes) are not here; run `git lfs fetch --all`"]
    assert with_pointer.run("scan", "--since", "HEAD").code == 0


def test_a_large_file_that_is_here_is_scanned(operator: Operator, token: str) -> None:
    large = f"TOKEN={token}\n".encode()
    operator.write("model.bin", pointer(large))
    operator.commit("large")
    store_large_file(operator, large)
    for _ in range(2):
        ended = operator.run(*HISTORY, "--format", "json")
        assert (ended.code, reasons(ended)) == (1, [])
        assert [one["path"][:17] for one in json.loads(ended.stdout)["findings"]] == [".git/lfs/objects/"]


def test_a_large_file_that_is_staged_is_scanned(operator: Operator, token: str) -> None:
    large = f"TOKEN={token}\n".encode()
    operator.write("a.txt", "clean\n")
    operator.commit()
    assert operator.run("scan", "--staged").code == 0
    operator.write("model.bin", pointer(large))
    operator.git("add", "model.bin")
    assert reasons(operator.run("scan", "--staged", "--format", "json")) != []
    store_large_file(operator, large)
    ended = operator.run("scan", "--staged", "--format", "json")
    assert [one["path"] for one in json.loads(ended.stdout)["findings"]] == ["model.bin"]


def test_a_pointer_in_a_tree_is_named(with_pointer: Operator) -> None:
    with_pointer.write("notes.md", "As in\n" + pointer(b"quoted"))
    ended = with_pointer.run("scan", "--format", "json")
    assert ended.code == 5
    assert [one["path"] for one in json.loads(ended.stdout)["skipped"]] == ["model.bin"]


@pytest.mark.parametrize("mode", [(), ("--history",)])
def test_a_submodule_that_is_not_checked_out_is_named(
    operator: Operator, with_submodule: Path, mode: tuple[str, ...]
) -> None:
    ended = operator.run("scan", *mode, "--format", "json", folder=with_submodule)
    assert ended.code == 5
    assert [one["path"] for one in json.loads(ended.stdout)["skipped"]] == ["vendor/library"]
    assert operator.run("scan", "--staged", folder=with_submodule).code == 0


def test_the_history_of_a_submodule_that_is_checked_out_is_scanned(operator: Operator, with_submodule: Path) -> None:
    git(with_submodule, "submodule", "--quiet", "update", "--init")
    for _ in range(2):
        ended = operator.run(*HISTORY, "--format", "json", folder=with_submodule)
        assert (ended.code, reasons(ended)) == (1, [])
        assert [one["path"] for one in json.loads(ended.stdout)["findings"]] == ["vendor/library/a.env"]
    assert operator.run("scan", folder=with_submodule).code == 0


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_ends_with_5(with_pointer: Operator, form: str) -> None:
    ended = with_pointer.run(*HISTORY, "--quiet", "--format", form)
    assert ended.code == 5
    assert "git lfs fetch" in ended.text + ended.stderr


def test_a_kind_that_is_accepted_is_a_note(operator: Operator, partial: Path, with_submodule: Path) -> None:
    for folder, kind in ((partial, "partial"), (with_submodule, "shallow,submodules")):
        ended = operator.run(*HISTORY, "--accept-missing", kind, "--format", "json", folder=folder)
        report = json.loads(ended.stdout)
        assert (report["complete"], ended.code) == (True, 1 if report["findings"] else 0)
        assert any(note.startswith("missing and accepted: ") for note in report["notes"])
        assert operator.run(*HISTORY, "--accept-missing", "lfs", folder=folder).code == 5


def test_a_shallow_clone_and_a_pointer_can_be_accepted(with_pointer: Operator) -> None:
    git(with_pointer.folder, "-c", "user.name=A", "commit", "--quiet", "--allow-empty", "--message", "two")
    git(with_pointer.home, "clone", "--quiet", "--depth=1", with_pointer.folder.as_uri(), "shallow")
    shallow = with_pointer.home / "shallow"
    assert with_pointer.run(*HISTORY, "--accept-missing", "shallow", folder=shallow).code == 5
    assert with_pointer.run(*HISTORY, "--accept-missing", "shallow,lfs", folder=shallow).code == 0
    assert with_pointer.run("scan", "--accept-missing", "lfs", folder=shallow).code == 0


def test_an_unknown_kind_is_refused(operator: Operator) -> None:
    for text in ("everything", "", "lfs,"):
        ended = operator.run("scan", "--accept-missing", text)
        assert ended.code == 2
        assert "shallow,partial,lfs,submodules" in ended.stderr
