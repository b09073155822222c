"""What a hostile repository tries, each with a control: the same repository in the hands of a git that is not hardened."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestra_creds.scanner.git.history import scan_history
from orchestra_creds.scanner.git.repository import Repository
from tests.scanner.histories import imported
from tests.scanner.trees import ENGINE, GIT_ENV, git, repository, token, write


class Trap:
    """A repository and a marker that appears when one of its programs runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = repository(folder / "repository")
        self.marker = folder / "marker"
        self.script = folder / "script"
        self.script.write_text(f"#!/bin/sh\ntouch {self.marker}\n")
        self.script.chmod(0o755)
        write(self.folder, {"file": token(1), "other": b"x"})
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-q", "-m", "one")
        write(self.folder, {"file": token(2)})
        git(self.folder, "add", "-A")

    def config(self, *lines: str) -> None:
        with (self.folder / ".git/config").open("a") as file:
            file.write("".join(f"{line}\n" for line in lines))

    def attributes(self, text: str) -> None:
        (self.folder / ".gitattributes").write_text(text + "\n")
        (self.folder / ".git/info/attributes").write_text(text + "\n")

    def careless(self, *args: str, **env: str) -> bool:
        """Whether a plain git springs the trap."""
        subprocess.run(["git", *args], cwd=self.folder, env=GIT_ENV | env, capture_output=True, check=False, timeout=60)
        ran = self.marker.exists()
        self.marker.unlink(missing_ok=True)
        return ran

    def ours(self) -> bool:
        """Whether any call of ours springs it."""
        found = Repository.discover(self.folder)
        assert found is not None
        found.ls_files()
        found.staged_files()
        scan_history(found, ENGINE, jobs=1)
        scan_history(found, ENGINE, since="HEAD", jobs=1)
        return self.marker.exists()


def fsmonitor(trap: Trap) -> tuple[str, ...]:
    trap.config("[core]", f"fsmonitor = {trap.script}")
    return ("status",)


def hooks(trap: Trap) -> tuple[str, ...]:
    folder = trap.script.parent / "hooks"
    folder.mkdir()
    (folder / "post-index-change").symlink_to(trap.script)
    trap.config("[core]", f"hooksPath = {folder}")
    os.utime(trap.folder / "other", (1, 1))
    return ("update-index", "--really-refresh")


def hook_in_place(trap: Trap) -> tuple[str, ...]:
    (trap.folder / ".git/hooks").mkdir(exist_ok=True)
    (trap.folder / ".git/hooks/post-index-change").symlink_to(trap.script)
    os.utime(trap.folder / "other", (1, 1))
    return ("update-index", "--really-refresh")


def textconv(trap: Trap) -> tuple[str, ...]:
    trap.attributes("* diff=trap")
    trap.config('[diff "trap"]', f"textconv = {trap.script} <")
    return ("log", "-p", "--all")


def external_diff(trap: Trap) -> tuple[str, ...]:
    trap.config("[diff]", f"external = {trap.script}")
    return ("diff", "--cached")


def driver(trap: Trap) -> tuple[str, ...]:
    trap.attributes("* diff=trap")
    trap.config('[diff "trap"]', f"command = {trap.script}")
    return ("diff", "--cached")


def clean_filter(trap: Trap) -> tuple[str, ...]:
    trap.attributes("* filter=trap")
    trap.config('[filter "trap"]', f"clean = {trap.script}", f"smudge = {trap.script}", f"process = {trap.script}")
    write(trap.folder, {"other": b"changed"})
    return ("diff",)


def signature(trap: Trap) -> tuple[str, ...]:
    text = git(trap.folder, "cat-file", "commit", "HEAD")
    head, _, message = text.partition(b"\n\n")
    signed = head + b"\ngpgsig -----BEGIN PGP SIGNATURE-----\n x\n -----END PGP SIGNATURE-----\n\n" + message
    oid = git(trap.folder, "hash-object", "-t", "commit", "-w", "--stdin", stdin=signed).decode().strip()
    git(trap.folder, "update-ref", "HEAD", oid)
    trap.config("[log]", "showSignature = true", "[gpg]", f"program = {trap.script}")
    return ("log",)


def alias(trap: Trap) -> tuple[str, ...]:
    trap.config(
        "[alias]", *(f"{verb} = !{trap.script}" for verb in ("trap", "log", "cat-file", "ls-files", "rev-list"))
    )
    return ("trap",)


TRAPS = [fsmonitor, hooks, hook_in_place, textconv, external_diff, driver, clean_filter, signature, alias]


@pytest.mark.parametrize("setting", TRAPS)
def test_no_program_that_the_repository_names_is_run(
    tmp_path: Path, setting: Callable[[Trap], tuple[str, ...]]
) -> None:
    trap = Trap(tmp_path)
    careless = setting(trap)
    assert trap.careless(*careless), "the trap does not work: the test would prove nothing"
    assert not trap.ours()


def test_a_pager_of_the_repository_is_not_run(tmp_path: Path) -> None:
    trap = Trap(tmp_path)
    trap.config(
        "[core]", f"pager = {trap.script}", "[pager]", *(f"{verb} = {trap.script}" for verb in ("log", "show-ref"))
    )
    terminal, screen = os.openpty()  # only there git starts one
    subprocess.run(["git", "log"], cwd=trap.folder, env=GIT_ENV, stdout=screen, check=False, timeout=60)
    os.close(screen)
    assert trap.marker.exists()
    trap.marker.unlink()
    assert not trap.ours()
    os.close(terminal)


@pytest.mark.parametrize(
    "address", ["ext::{script}", "ssh://host/x", "trap::x", "file://{folder}/repository", "https://host/x"]
)
def test_nothing_is_fetched_when_objects_are_missing(tmp_path: Path, address: str) -> None:
    trap = Trap(tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git-remote-trap").symlink_to(trap.script)
    gone = git(trap.folder, "rev-parse", "HEAD:file").decode().strip()
    (trap.folder / f".git/objects/{gone[:2]}/{gone[2:]}").unlink()
    url = address.format(script=trap.script, folder=tmp_path)
    trap.config(
        "[extensions]", "partialClone = origin",
        '[remote "origin"]', f"url = {url}", "promisor = true", f"uploadpack = {trap.script}",
        "[core]", "repositoryformatversion = 1", f"sshCommand = {trap.script}",
        "[protocol]", "allow = always",
        '[protocol "ext"]', "allow = always",
        '[protocol "trap"]', "allow = always",
    )  # fmt: skip
    path = f"{tmp_path}/bin:{os.environ['PATH']}"
    if not address.startswith(("https", "file")):
        assert trap.careless("cat-file", "-p", gone, PATH=path)
    os.environ["PATH"], before = path, os.environ["PATH"]
    try:
        found = Repository.discover(trap.folder)
        assert found is not None
        result = scan_history(found, ENGINE, jobs=1)
        assert "not here" in result.skipped[0].reason
        assert found.texts([gone]) == {}
    finally:
        os.environ["PATH"] = before
    assert not trap.marker.exists()


def test_replacements_and_grafts_do_not_hide_history(tmp_path: Path) -> None:
    trap = Trap(tmp_path)
    git(trap.folder, "commit", "-q", "-m", "two")
    held, clean = (git(trap.folder, "rev-parse", name).decode().strip() for name in ("HEAD:file", "HEAD:other"))
    head, first = (git(trap.folder, "rev-parse", name).decode().strip() for name in ("HEAD", "HEAD~1"))
    git(trap.folder, "replace", "-f", held, clean)
    (trap.folder / ".git/info/grafts").write_text(f"{head}\n")
    assert git(trap.folder, "cat-file", "blob", held) == b"x"
    assert len(git(trap.folder, "rev-list", "HEAD").split()) == 1
    found = Repository.discover(trap.folder)
    assert found is not None
    result = scan_history(found, ENGINE, jobs=1)
    assert {(one.place.path, one.place.commit) for one in result.sightings} == {("file", first), ("file", head)}
    assert found.texts([held])[held] == token(2)
    assert [one.place.commit for one in scan_history(found, ENGINE, since=first, jobs=1).sightings] == [head]


def test_a_repository_of_somebody_else_is_read_and_its_owner_does_not_matter(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give files away")
    trap = Trap(tmp_path)
    for path in [trap.folder, *trap.folder.rglob("*")]:
        os.chown(path, 12345, 12345, follow_symlinks=False)
    refused = subprocess.run(["git", "status"], cwd=trap.folder, env=GIT_ENV, capture_output=True, check=False)
    assert b"dubious ownership" in refused.stderr
    found = Repository.discover(trap.folder)
    assert found is not None
    assert [one.content for one in found.staged_files()] == [token(2)]
    assert scan_history(found, ENGINE, jobs=1).sightings


def test_a_working_tree_that_the_configuration_moves_stays_where_it_was_found(tmp_path: Path) -> None:
    trap = Trap(tmp_path)
    outside = tmp_path / "outside"
    write(outside, {"private": b"x"})
    trap.config("[core]", f"worktree = {outside}")
    assert b"private" in git(trap.folder, "ls-files", "--others")
    found = Repository.discover(trap.folder)
    assert found is not None
    assert found.ls_files().files == (b"file", b"other")


@pytest.mark.parametrize("setting", ["excludesFile", "attributesFile"])
def test_files_that_never_end_are_not_opened(tmp_path: Path, setting: str) -> None:
    trap = Trap(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    trap.config("[core]", f"{setting} = {tmp_path}/pipe")
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(["git", "status"], cwd=trap.folder, env=GIT_ENV, capture_output=True, check=False, timeout=0.5)
    assert not trap.ours()


def test_nothing_in_the_repository_is_written(tmp_path: Path) -> None:
    trap = Trap(tmp_path)
    os.utime(trap.folder / "other", (1, 1))  # an index that git would like to refresh
    before = {path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in trap.folder.rglob("*")}
    trap.ours()
    assert {path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in trap.folder.rglob("*")} == before


@pytest.mark.parametrize(
    "names", [["ab/" + "0" * 38], ["pack/pack-1.idx", "pack/pack-1.pack"]], ids=["loose object", "pack"]
)
@pytest.mark.parametrize("kind", ["a pipe", "a link that leads nowhere", "a folder"])
def test_what_is_no_file_among_the_objects_is_named_and_not_opened(tmp_path: Path, names: list[str], kind: str) -> None:
    folder = imported(tmp_path / "one.git", [{"file": token()}])
    for name in names:
        path = folder / "objects" / name
        path.parent.mkdir(exist_ok=True)
        if kind == "a pipe":
            os.mkfifo(path)
        elif kind == "a folder":
            path.mkdir()
        else:
            path.symlink_to("/nonexistent")
    found = Repository.discover(folder)
    assert found is not None
    result = scan_history(found, ENGINE, jobs=1)
    assert (f"objects/{names[0]}", "not a file") in [(one.path, one.reason) for one in result.skipped]
    assert len(result.sightings) == 1
