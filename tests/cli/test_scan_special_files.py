"""A pipe, socket or device that stands where a file should never hangs a scan, nor does a pack with deltas in a cycle."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import COMMAND, Ended, Operator
from tests.scanner import packs
from tests.scanner.trees import git

PATIENCE = 30
"""Seconds until a scan counts as one that hangs."""


def scan(operator: Operator, *arguments: str) -> Ended:
    """Run a scan that must end by itself."""
    process = subprocess.Popen(
        [COMMAND, "scan", *arguments], cwd=operator.folder, env=operator.environment, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        stdout, stderr = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # the git that it waits for, too
        process.communicate()
        pytest.fail("the scan hangs")
    return Ended(process.returncode, stdout, stderr.decode())


@pytest.fixture
def place(operator: Operator, token: str) -> Operator:
    """A repository with a leak in its first commit and in the tree, and a staged file."""
    operator.write("a.env", f"TOKEN={token}\n")
    operator.write("sub/deep/b.txt", "x\n")
    operator.commit("one")
    operator.write("c.txt", "y\n")
    operator.git("add", "c.txt")
    return operator


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link_to_a_pipe(path: Path) -> None:
    target = path.parent / "elsewhere"
    os.mkfifo(target)
    path.symlink_to(target)


def link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def bound_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


CONTROL = [
    "commondir",
    "config",
    "config.worktree",
    "index",
    "packed-refs",
    "shallow",
    "info/exclude",
    "objects/info/alternates",
    "objects/info/commit-graph",
    "objects/info/commit-graphs/commit-graph-chain",
    "objects/pack/multi-pack-index",
    "objects/pack/pack-1.idx",
    "refs/heads/main",
    "refs/heads/deep/er",
    "refs/stash",
    "logs/HEAD",
    "worktrees/w/HEAD",
]
MODES: dict[str, tuple[list[str], set[int]]] = {
    "tree": ([], {5}),
    "history": (["--history"], {4, 5}),
    "staged": (["--staged"], {4}),
    "since": (["--since", "HEAD"], {4}),
}


def put(path: Path, make: Callable[[Path], None]) -> None:
    """Put something else in the place of a file."""
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CONTROL)
def test_a_pipe_among_the_files_of_git_hangs_no_scan(place: Operator, name: str, mode: str) -> None:
    put(place.folder / ".git" / name, pipe)
    arguments, codes = MODES[mode]
    ended = scan(place, *arguments, "--format", "json")
    assert ended.code in codes
    assert name in ended.text + ended.stderr
    if ended.code == 5:
        report = json.loads(ended.stdout)
        assert (report["complete"], [finding["path"].endswith("a.env") or mode for finding in report["findings"]]) == (
            False, [True if mode == "tree" else mode],
        )  # fmt: skip


@pytest.mark.parametrize("make", [link_to_a_pipe, link_to_a_device, bound_socket])
@pytest.mark.parametrize("mode", MODES)
def test_neither_does_a_link_to_one_a_device_or_a_socket(
    place: Operator, make: Callable[[Path], None], mode: str
) -> None:
    put(place.folder / ".git/config", make)
    arguments, codes = MODES[mode]
    assert scan(place, *arguments).code in codes


def test_the_socket_of_gits_file_monitor_is_none_of_these(place: Operator) -> None:
    put(place.folder / ".git/fsmonitor--daemon.ipc", bound_socket)
    assert [scan(place, *arguments).code for arguments, _ in MODES.values()] == [1, 1, 0, 0]


@pytest.mark.parametrize("make", [pipe, link_to_a_device, bound_socket])
@pytest.mark.parametrize("name", [".gitignore", "sub/.gitignore", "sub/deep/.gitignore"])
def test_neither_does_an_ignore_file_that_is_none(place: Operator, name: str, make: Callable[[Path], None]) -> None:
    put(place.folder / name, make)
    ended = scan(place, "--format", "json")
    report = json.loads(ended.stdout)
    assert [finding["path"] for finding in report["findings"]] == ["a.env"]
    if make is pipe:
        assert (ended.code, [skipped["path"] for skipped in report["skipped"]]) == (5, [name])
    for arguments in (["--history"], ["--staged"], ["--since", "HEAD"]):
        assert scan(place, *arguments).code == (1 if arguments == ["--history"] else 0)


def test_neither_does_a_pipe_that_no_check_sees(place: Operator) -> None:
    os.mkfifo(place.home / "pipe")
    with (place.folder / ".git/config").open("a") as config:
        config.write(f"[include]\npath = {place.home / 'pipe'}\n")
    assert scan(place).code == 1
    assert [scan(place, *MODES[mode][0]).code for mode in ("history", "staged", "since")] == [4, 4, 4]


@pytest.mark.parametrize("name", ["HEAD", "HEAD^{tree}", "HEAD:a.env", ":c.txt"])
def test_neither_does_a_loose_object(place: Operator, name: str) -> None:
    oid = git(place.folder, "rev-parse", name).decode().strip()
    put(place.folder / ".git/objects" / oid[:2] / oid[2:], pipe)
    history = scan(place, "--history", "--format", "json")
    assert history.code == 5
    assert f"objects/{oid[:2]}/{oid[2:]}" in [skipped["path"] for skipped in json.loads(history.stdout)["skipped"]]
    assert scan(place, "--staged").code in {0, 4}


def cycle(place: Operator, *oids: bytes) -> None:
    """Add a pack in which these objects are deltas that are based on each other."""
    change = packs.delta(10, [(0, 10)])
    bases = [*oids[1:], oids[0]]
    entries = [packs.entry(packs.REF_DELTA, change, base=base) for base in bases]
    content, offsets = packs.pack(entries)
    folder = place.folder / ".git/objects/pack"
    (folder / "pack-cycle.pack").write_bytes(content)
    (folder / "pack-cycle.idx").write_bytes(packs.index(oids, offsets, content[-20:]))


def test_a_pack_with_deltas_in_a_cycle_is_not_given_to_git(place: Operator) -> None:
    wanted = [git(place.folder, "rev-parse", name).decode().strip() for name in ("HEAD", "HEAD^{tree}", "HEAD:a.env")]
    cycle(place, *map(bytes.fromhex, wanted), os.urandom(20))
    os.utime(place.folder / ".git/objects/pack/pack-cycle.pack")  # git looks into the newest first
    asked = place.home / "bin"
    asked.mkdir()
    real = shutil.which("git")
    (asked / "git").write_text(f'#!/bin/sh\necho "$@" >> {place.home}/calls\nexec {real} "$@"\n')
    (asked / "git").chmod(0o755)
    place.environment["PATH"] = f"{asked}{os.pathsep}{place.environment['PATH']}"
    for _ in range(2):
        ended = scan(place, "--history", "--format", "json")
        report = json.loads(ended.stdout)
        assert (ended.code, report["complete"], len(report["findings"])) == (5, False, 1)
        assert "objects/pack/pack-cycle.pack" in [skipped["path"] for skipped in report["skipped"]]
    calls = (place.home / "calls").read_text()
    assert not any(verb in calls for verb in ("cat-file", " log ", "ls-tree", "rev-list"))


def test_nor_is_one_whose_index_is_damaged(place: Operator) -> None:
    cycle(place, os.urandom(20), os.urandom(20))
    index = place.folder / ".git/objects/pack/pack-cycle.idx"
    index.write_bytes(index.read_bytes()[:-1] + b"\0")
    ended = scan(place, "--history", "--format", "json")
    assert ended.code == 5
    assert "cycle" in ended.text
