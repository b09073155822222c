"""Ctrl-C and SIGTERM end a scan within a second, whatever it is doing, and no process that it started is left."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra_creds.scanner.git.process import Git
from orchestra_creds.scanner.parallel import children
from tests.cli.conftest import COMMAND, Operator
from tests.scanner.trees import repository

SOON = 5.0
"""Seconds from the signal to the end: one, and some for a machine on which everything takes longer."""

PATIENCE = 60
"""Seconds until what must come counts as missing."""

FILES = 600
"""Enough for two workers."""

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
MODES = {"tree": [], "history": ["--history"], "staged": ["--staged"], "since": ["--since", "HEAD"]}


class RunningScan:
    """A scan in a session of its own, and the processes below it."""

    def __init__(self, operator: Operator, *arguments: str, stdin: int = subprocess.DEVNULL) -> None:
        self.process = subprocess.Popen(
            [COMMAND, "scan", *arguments], cwd=operator.folder, env=operator.environment, start_new_session=True,
            stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def children(self, count: int) -> list[int]:
        """The children, once there are so many; none if the scan has ended."""
        file = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for _ in within(PATIENCE):
            pids = file.read_text().split()  # a zombie has no children
            if self.process.poll() is not None:
                return []
            if len(pids) >= count:
                return [int(pid) for pid in pids]
        pytest.fail(f"the scan starts no {count} processes")

    def stop(self, number: signal.Signals) -> tuple[int, bytes, float]:
        """Send the signal: exit code, standard error, and the seconds it took."""
        sent = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout=PATIENCE)
        took = time.monotonic() - sent
        self.stdout, stderr = self.process.communicate()
        return self.process.returncode, stderr, took


def within(seconds: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield


def is_gone(pid: int) -> bool:
    """Whether a process has ended; nobody may have asked how."""
    for _ in within(SOON):
        try:
            if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
    return False


@pytest.fixture
def place(operator: Operator) -> Operator:
    """A repository with a staged file, and the rules compiled."""
    operator.write("a.txt", "x\n")
    operator.commit("one")
    operator.write("b.txt", "y\n")
    operator.git("add", "b.txt")
    assert operator.run("scan").code == 0
    return operator


def fake_git(operator: Operator, script: str) -> None:
    """Put a program before git on PATH."""
    folder = operator.home / "bin"
    folder.mkdir()
    (folder / "git").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "git").chmod(0o755)
    operator.environment["PATH"] = f"{folder}{os.pathsep}{operator.environment['PATH']}"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_while_git_hangs(place: Operator, mode: str, number: signal.Signals, code: int) -> None:
    started, never = place.home / "started", place.home / "never"
    for path in (started, never):
        os.mkfifo(path)
    # A process that git starts hangs, too.
    fake_git(place, f"cat < {never} &\necho $$ $! > {started}\nread nothing < {never}")
    scan = RunningScan(place, *MODES[mode])
    pids = [int(pid) for pid in started.read_text().split()]  # waits for git
    ended, stderr, took = scan.stop(number)
    assert (ended, b"Traceback" in stderr) == (code, False)
    assert [pid for pid in pids if not is_gone(pid)] == []
    assert took < SOON


@pytest.mark.parametrize(("number", "code"), SIGNALS)
@pytest.mark.parametrize("mode", ["tree", "history"])
def test_while_workers_read(operator: Operator, mode: str, number: signal.Signals, code: int) -> None:
    for number_of_file in range(FILES):
        operator.write(f"{number_of_file}", f"{number_of_file} and other words\n" * 1000)
    operator.commit("one")
    operator.run("scan", "1")  # compiles the rules
    for _ in range(20):
        scan = RunningScan(operator, *MODES[mode], "--no-cache", "--jobs", "2")
        pids = scan.children(2)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)  # now they read for ever
        ended, stderr, took = scan.stop(number)
        if pids:
            assert [pid for pid in pids if not is_gone(pid)] == []
            assert (ended, b"Traceback" in stderr) == (code, False)
            assert took < SOON
            return
    pytest.fail("every scan ended before its signal")


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_while_it_reads_a_pipe_that_never_ends(operator: Operator, number: signal.Signals, code: int) -> None:
    operator.run("scan", ".")  # compiles the rules
    scan = RunningScan(operator, "-", "--format", "json", stdin=subprocess.PIPE)
    assert scan.process.stdin is not None
    scan.process.stdin.write(b"x" * (4 << 20))  # more than a pipe holds: the scan has begun when this returns
    scan.process.stdin.flush()
    ended, stderr, took = scan.stop(number)
    assert (ended, b"Traceback" in stderr) == (code, False)
    assert took < SOON
    assert scan.stdout == b""


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_while_it_compiles_the_rules(operator: Operator, number: signal.Signals, code: int) -> None:
    operator.environment["ORCHESTRA_CREDS_CACHE_DIR"] = str(operator.home / "empty")
    scan = RunningScan(operator, "-")
    compilers = scan.children(1)
    ended, stderr, took = scan.stop(number)
    assert (ended, b"Traceback" in stderr) == (code, False)
    assert [is_gone(pid) for pid in compilers] == [True]
    assert took < SOON


HUNGRY = """#!{python}
import mmap, os, sys
mmap.mmap(-1, {size}, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
os.execv({git!r}, sys.argv)
"""


@pytest.mark.parametrize(("size", "codes"), [(children.MOST_DATA >> 1, [0, 0]), (children.MOST_DATA, [4, 4])])
def test_git_gets_as_much_memory_as_it_needs_and_no_more(place: Operator, size: int, codes: list[int]) -> None:
    fake_git(place, "")
    (place.home / "bin/git").write_text(HUNGRY.format(python=sys.executable, size=size, git=shutil.which("git")))
    assert [place.run("scan", *MODES[mode]).code for mode in ("staged", "since")] == codes


def test_git_leads_a_group_of_its_own(tmp_path: Path) -> None:
    git = Git(str(repository(tmp_path / "r") / ".git"))
    child = git.start(("cat-file", "--batch"), stdin=b"")
    try:
        assert os.getpgid(child.pid) == child.pid
    finally:
        child.kill()
