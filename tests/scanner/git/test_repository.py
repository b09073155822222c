import os
from pathlib import Path

import pytest

from orchestra_creds.errors import PreconditionError
from orchestra_creds.scanner.git import process as git_process
from orchestra_creds.scanner.git.repository import Repository, StagedFile
from tests.scanner.trees import git, repository, write


def opened(folder: Path) -> Repository:
    found = Repository.discover(folder)
    assert found is not None
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return repository(tmp_path / "repository")


def committed(folder: Path, **files: bytes) -> None:
    write(folder, files)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "x")


def test_a_repository_is_found_from_below_and_none_where_there_is_none(folder: Path, tmp_path: Path) -> None:
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/b/file").touch()
    for place in (folder, folder / "a/b", folder / "a/b/file"):
        found = opened(place)
        assert (found.work_tree, found.git_dir) == (folder, folder / ".git")
    (tmp_path / "none/.git").mkdir(parents=True)
    assert Repository.discover(tmp_path / "none") is None


def test_bare_linked_and_nested_repositories_are_found(folder: Path, tmp_path: Path) -> None:
    committed(folder, file=b"x")
    git(tmp_path, "clone", "-q", "--bare", str(folder), "bare.git")
    git(folder, "worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    git(folder, "submodule", "add", "-q", str(tmp_path / "bare.git"), "inside")
    bare, linked, inside = opened(tmp_path / "bare.git"), opened(tmp_path / "linked"), opened(folder / "inside")
    assert (bare.work_tree, bare.root) == (None, tmp_path / "bare.git")
    assert (linked.common_dir, linked.root) == (folder / ".git", tmp_path / "linked")
    assert (inside.git_dir, inside.root) == (folder / ".git/modules/inside", folder / "inside")
    assert {one.head() for one in (bare, linked, inside)} == {opened(folder).head()}
    with pytest.raises(PreconditionError, match="bare"):
        bare.ls_files()


def test_the_environment_of_the_caller_does_not_lead_astray(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed(folder, file=b"x")
    other = repository(tmp_path / "other")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"):
        monkeypatch.setenv(name, str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    assert opened(folder).ls_files().files == (b"file",)
    assert opened(folder).head() is not None


def test_files_are_listed_with_ignored_ones_left_out_and_repositories_apart(folder: Path, tmp_path: Path) -> None:
    committed(folder, tracked=b"x", gone=b"x")
    committed(repository(folder / "clone"), inner=b"x")
    write(folder, {".gitignore": b"ignored\n", "ignored": b"", "below/new": b"", "*": b""})
    (folder / "gone").unlink()
    os.symlink("/etc", folder / "link")
    listing = opened(folder).ls_files()
    assert listing.files == (b"*", b".gitignore", b"below/new", b"gone", b"link", b"tracked")
    assert listing.nested == (b"clone",)
    assert opened(folder).ls_files(b"below").files == (b"below/new",)
    assert opened(folder).ls_files(b"*").files == (b"*",)


def test_names_of_any_bytes_are_listed(folder: Path) -> None:
    names = [b"new\nline", b"tab\t", b"\xff\xfe", b'quo"te', b"? odd", b"H 100644 0 0\tx", b" ", b"\x1b[31m"]
    for name in names:
        (Path(os.fsdecode(os.fsencode(folder) + b"/" + name))).touch()
    git(folder, "add", "--", *names[:4])
    assert opened(folder).ls_files().files == tuple(sorted(names))


def test_staged_content_is_that_of_the_index_not_of_the_file(folder: Path) -> None:
    committed(folder, changed=b"old", removed=b"old", same=b"old")
    write(folder, {"changed": b"staged", "new": b"new", "late": b"late"})
    git(folder, "add", "changed", "new")
    git(folder, "rm", "-q", "removed")
    write(folder, {"changed": b"after"})
    assert [(one.path, one.content) for one in opened(folder).staged_files()] == [
        (b"changed", b"staged"),
        (b"new", b"new"),
    ]


def test_everything_is_staged_before_the_first_commit(folder: Path) -> None:
    assert opened(folder).staged_files() == []
    write(folder, {"a": b"one", "b": b"one"})
    git(folder, "add", "-A")
    found = opened(folder).staged_files()
    assert [(one.path, one.size, one.content) for one in found] == [(b"a", 3, b"one"), (b"b", 3, b"one")]


def test_staged_content_larger_than_the_limit_is_left_out_but_named(folder: Path) -> None:
    write(folder, {"large": b"x" * 200_000, "small": b"y"})
    git(folder, "add", "-A")
    large, small = opened(folder).staged_files(max_size=1000)
    assert large == StagedFile(b"large", large.oid, 200_000, None)
    assert small.content == b"y"


def test_the_index_that_git_hands_to_a_hook_is_the_one_that_counts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed(folder, file=b"old")
    write(folder, {"file": b"new"})
    prepared = folder / ".git/next-index-1.lock"
    prepared.write_bytes((folder / ".git/index").read_bytes())
    git(folder, "--git-dir=.git", "--work-tree=.", "add", "file")
    (folder / ".git/index").rename(folder / ".git/other")
    prepared.rename(folder / ".git/index")
    (folder / ".git/other").rename(prepared)
    assert opened(folder).staged_files() == []
    monkeypatch.setenv("GIT_INDEX_FILE", str(prepared))
    assert [one.content for one in opened(folder).staged_files()] == [b"new"]


def test_missing_staged_objects_are_an_error(folder: Path) -> None:
    write(folder, {"file": b"content"})
    git(folder, "add", "file")
    oid = git(folder, "hash-object", "file").decode().strip()
    (folder / f".git/objects/{oid[:2]}/{oid[2:]}").unlink()
    with pytest.raises(PreconditionError, match="1 staged objects are missing"):
        opened(folder).staged_files()


def test_objects_are_read_in_one_go_and_missing_ones_left_out(folder: Path) -> None:
    contents = [b"", b"x" * 300_000, b"\n\0\n", *(b"%d" % number for number in range(300))]
    oids = [git(folder, "hash-object", "-w", "--stdin", stdin=content).decode().strip() for content in contents[:3]]
    written = git(folder, "hash-object", "-w", "--stdin-paths", stdin=_files(folder, contents[3:])).decode().split()
    found = opened(folder).texts([*oids, "0" * 40, *written, oids[0]])
    assert [found[oid] for oid in oids + written] == contents
    assert len(found) == len(set(oids + written))


def _files(folder: Path, contents: list[bytes]) -> bytes:
    for number, content in enumerate(contents):
        (folder / f"f{number}").write_bytes(content)
    return "".join(f"f{number}\n" for number in range(len(contents))).encode()


def test_what_git_refuses_is_an_error_of_one_clean_line(folder: Path) -> None:
    with pytest.raises(PreconditionError, match=r"^git rev-parse failed in ") as caught:
        opened(folder).run("rev-parse", "--verify", "no\x1b[31msuch")
    assert "\x1b" not in str(caught.value) + caught.value.hint


def test_without_git_it_is_said_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f".:{folder}/nothing")
    with pytest.raises(PreconditionError, match="git is not installed"):
        opened(folder).head()


def test_a_file_without_a_name_is_ours_alone_on_any_file_system(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for where in (tmp_path, tmp_path / "no such folder"):
        monkeypatch.setenv("TMPDIR", str(where))
        file = git_process.unnamed_file()
        try:
            status = os.fstat(file)
            assert (status.st_nlink, status.st_mode & 0o777, status.st_size) == (0, 0o600, 0)
            assert os.get_inheritable(file) is False
        finally:
            os.close(file)
    assert list(tmp_path.iterdir()) == []
