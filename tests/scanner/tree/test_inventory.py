import os
import signal
import time
from pathlib import Path

import pytest

from orchestra_creds.errors import ConfigError, NotFoundError
from orchestra_creds.scanner.exclusions import Exclusions
from orchestra_creds.scanner.parallel import workers
from orchestra_creds.scanner.tree.inventory import (
    BackgroundInventory,
    Inventory,
    common_root,
    has_vanished_before,
)
from tests.scanner.trees import git, repository, take_inventory, write


def inventory(*paths: Path | str, all_files: bool = False, exclude: tuple[str, ...] = ()) -> Inventory:
    return take_inventory(*paths, all_files=all_files, exclude=exclude)


def names(*paths: Path | str, all_files: bool = False, exclude: tuple[str, ...] = ()) -> list[str]:
    return [os.fsdecode(path) for path in inventory(*paths, all_files=all_files, exclude=exclude).files]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    repo = repository(tmp_path / "work")
    write(repo, {"a.py": b"1", "sub/b.py": b"2", "sub/new.py": b"3", "build/c.o": b"4", ".gitignore": b"build/\n"})
    git(repo, "add", "a.py", "sub/b.py", ".gitignore")
    return repo


def test_a_working_tree_is_tracked_and_untracked_files_that_are_not_ignored(work: Path) -> None:
    assert names(work) == [".gitignore", "a.py", "sub/b.py", "sub/new.py"]


def test_all_files_is_everything_but_git_itself(work: Path) -> None:
    assert names(work, all_files=True) == [".gitignore", "a.py", "build/c.o", "sub/b.py", "sub/new.py"]


def test_a_folder_inside_of_a_working_tree_is_its_own_root(work: Path) -> None:
    assert names(work / "sub") == ["b.py", "new.py"]


def test_a_folder_that_git_ignores_is_looked_at_when_it_is_named(work: Path) -> None:
    assert names(work / "build") == ["c.o"]


def test_a_file_that_git_ignores_is_looked_at_when_it_is_named(work: Path) -> None:
    assert names(work / "build/c.o") == ["c.o"]


def test_a_folder_outside_of_git_is_walked(tmp_path: Path) -> None:
    write(tmp_path, {"x/y/z.txt": b"", ".hidden": b"", "x/.git/config": b"not a repository"})
    assert names(tmp_path) == [".hidden", "x/y/z.txt"]


def test_a_bare_repository_is_walked_as_the_files_it_consists_of(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "r.git")
    assert "HEAD" in names(tmp_path / "r.git")


def test_submodules_and_nested_clones_are_listed_by_their_own_rules(work: Path, tmp_path: Path) -> None:
    other = write(repository(tmp_path / "other"), {"lib.py": b"1", ".gitignore": b"*.log\n"})
    git(other, "add", ".")
    git(other, "commit", "-qm", "one")
    git(work, "submodule", "--quiet", "add", str(other), "vendor/lib")
    write(work, {"vendor/lib/new.py": b"", "vendor/lib/x.log": b""})
    clone = repository(work / "clone")
    write(clone, {"c.py": b""})
    assert names(work) == [
        ".gitignore",
        ".gitmodules",
        "a.py",
        "clone/c.py",
        "sub/b.py",
        "sub/new.py",
        "vendor/lib/.gitignore",
        "vendor/lib/lib.py",
        "vendor/lib/new.py",
    ]


def test_a_submodule_that_is_not_checked_out_is_named(work: Path, tmp_path: Path) -> None:
    other = write(repository(tmp_path / "other"), {"lib.py": b"1"})
    git(other, "add", ".")
    git(other, "commit", "-qm", "one")
    git(work, "submodule", "--quiet", "add", str(other), "lib")
    git(work, "submodule", "--quiet", "deinit", "-f", "lib")
    found = inventory(work)
    assert b"lib/lib.py" not in found.files
    assert [(one.path, one.absence) for one in found.skipped] == [("lib", "submodules")]


def test_a_broken_index_is_no_reason_to_skip_the_tree(work: Path) -> None:
    (work / ".git/index").write_bytes(b"broken")
    found = inventory(work)
    assert b"build/c.o" in found.files
    assert "git cannot list" in found.notes[0]


def test_several_paths_share_the_working_folder_as_root(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work)
    assert names("a.py", "sub", "sub/b.py") == ["a.py", "sub/b.py", "sub/new.py"]
    assert common_root(["a.py"]) == str(work)


def test_paths_outside_of_the_working_folder_share_the_deepest_folder_that_holds_them(work: Path) -> None:
    assert names(work / "a.py", work / "sub") == ["a.py", "sub/b.py", "sub/new.py"]
    assert common_root([str(work / "sub/b.py")]) == str(work / "sub")


def test_a_missing_path_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no such file or folder: .*gone"):
        inventory(tmp_path / "gone")


@pytest.mark.parametrize(
    ("glob", "left"),
    [
        ("*.py", ["docs/c.md", "lib/x/d.min.js"]),
        ("lib", ["a.py", "docs/c.md"]),
        ("lib/", ["a.py", "docs/c.md"]),
        ("/lib", ["a.py", "docs/c.md"]),
        ("x", ["a.py", "docs/c.md", "lib/b.py"]),
        ("lib/x/*", ["a.py", "docs/c.md", "lib/b.py"]),
        ("lib/*.js", ["a.py", "docs/c.md", "lib/b.py", "lib/x/d.min.js"]),
        ("lib/**/*.js", ["a.py", "docs/c.md", "lib/b.py"]),
        ("**/b.py", ["a.py", "docs/c.md", "lib/x/d.min.js"]),
        ("[ab].py", ["docs/c.md", "lib/x/d.min.js"]),
        ("[!a].py", ["a.py", "docs/c.md", "lib/x/d.min.js"]),
        ("?.md", ["a.py", "lib/b.py", "lib/x/d.min.js"]),
        ("li", ["a.py", "docs/c.md", "lib/b.py", "lib/x/d.min.js"]),
        ("a.p", ["a.py", "docs/c.md", "lib/b.py", "lib/x/d.min.js"]),
    ],
)
def test_what_an_exclusion_leaves(glob: str, left: list[str], tmp_path: Path) -> None:
    write(tmp_path, {"a.py": b"", "lib/b.py": b"", "lib/x/d.min.js": b"", "docs/c.md": b""})
    assert names(tmp_path, exclude=(glob,)) == left
    git(tmp_path, "init", "-q")
    assert names(tmp_path, exclude=(glob,)) == left


def test_an_exclusion_matches_one_character_of_any_alphabet() -> None:
    assert Exclusions(("?.md",)).match("é.md".encode())
    assert Exclusions(("é.*",)).match("é.md".encode())


@pytest.mark.parametrize("glob", ["", "/", "[z-a]"])
def test_a_glob_that_means_nothing_is_an_error(glob: str) -> None:
    with pytest.raises(ConfigError, match="--exclude"):
        Exclusions((glob,))


def test_names_are_bytes_as_the_disk_has_them(tmp_path: Path) -> None:
    odd = [b"\xff\xfe", b"a\nb", b"\x1b[2J", b" ", b"-n", b"\xe2\x80\xae"]
    for name in odd:
        Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name))).write_bytes(b"")
    assert inventory(tmp_path).files == sorted(odd)
    git(tmp_path, "init", "-q")
    assert inventory(tmp_path).files == sorted(odd)


def test_a_file_deleted_before_the_scan_is_not_missed_and_one_deleted_during_it_is(tmp_path: Path) -> None:
    write(tmp_path, {"d/x": b"", "d/y": b""})
    (tmp_path / "d/x").unlink()
    os.utime(tmp_path / "d", (1000, 1000))
    since = time.time_ns() - 10**9
    assert has_vanished_before(os.fsencode(tmp_path), b"d/x", since)
    (tmp_path / "d/y").unlink()
    assert not has_vanished_before(os.fsencode(tmp_path), b"d/y", since)
    assert not has_vanished_before(os.fsencode(tmp_path), b"d", since)


class TestListing:
    """A listing that another process makes meanwhile."""

    def begun(self, *paths: Path, monkeypatch: pytest.MonkeyPatch, several: bool = True) -> BackgroundInventory:
        monkeypatch.setattr(workers, "processors", lambda: 2 if several else 1)
        monkeypatch.setattr(workers, "can_fork", lambda: True)  # whatever threads other tests have left
        return BackgroundInventory([str(path) for path in paths], all_files=True, exclusions=Exclusions())

    def test_it_is_that_of_this_process(self, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        os.mkfifo(work / "pipe")
        alone = self.begun(work, work / "a.py", monkeypatch=monkeypatch, several=False)
        apart = self.begun(work, work / "a.py", monkeypatch=monkeypatch)
        assert (alone._apart is None, apart._apart is None) == (True, False)
        assert alone.inventory() == apart.inventory()
        assert apart.root == os.fsencode(work)

    def test_a_child_that_was_killed_is_made_up_for(self, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        listing = self.begun(work, monkeypatch=monkeypatch)
        assert listing._apart is not None
        (child,) = listing._apart._children.values()
        os.kill(child, signal.SIGKILL)
        assert b"sub/new.py" in listing.inventory().files

    def test_nothing_is_left_of_one_that_nobody_asked(self, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        listing = self.begun(work, monkeypatch=monkeypatch)
        assert listing._apart is not None
        ((answers, child),) = listing._apart._children.items()
        listing.close()
        with pytest.raises(ChildProcessError):
            os.waitpid(child, 0)
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(answers)

    def test_a_missing_path_is_told_at_once(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError):
            BackgroundInventory([str(tmp_path / "gone")], all_files=False, exclusions=Exclusions())
