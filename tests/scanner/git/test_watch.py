"""A git that makes no progress is ended: one that waits, one that spins, and one that takes all memory."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra_creds.scanner.git import watch
from orchestra_creds.scanner.git.process import Git
from orchestra_creds.scanner.git.watch import GitStalledError
from tests.scanner.trees import repository


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[bytes]]:
    """A process that computes and says nothing."""
    with subprocess.Popen(["/bin/sh", "-c", "while :; do :; done"], stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


def stalled(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    with pytest.raises(GitStalledError) as error:
        watch.wait(process.pid, [process.stdout.fileno()], "here")
    return str(error.value)


def test_silence_has_an_end(busy: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK", 0.02)
    monkeypatch.setattr(watch, "SILENT", 20)
    assert "it gave no answer" in stalled(busy)


def test_memory_has_an_end(busy: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK", 0.02)
    monkeypatch.setattr(watch, "MOST_MEMORY", 1)
    assert "of memory" in stalled(busy)


def test_a_file_that_grows_is_no_silence(busy: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK", 0.01)
    monkeypatch.setattr(watch, "SILENT", 10)
    sizes = iter(range(1, 100))

    def grown() -> int:
        if (size := next(sizes)) == 50:
            busy.kill()
        return size

    assert busy.stdout is not None
    assert watch.wait(busy.pid, [busy.stdout.fileno()], "here", grown) == [busy.stdout.fileno()]


def test_a_git_that_stalled_is_ended_and_not_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = repository(tmp_path / "r")
    os.mkfifo(tmp_path / "pipe")
    fake = tmp_path / "git"
    fake.write_text(f"#!/bin/sh\necho $$ >> {tmp_path}/calls\nexec cat < {tmp_path}/pipe\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(watch, "LOOK", 0.1)
    git = Git(str(folder / ".git"), work_tree=str(folder))
    for _ in range(2):
        with pytest.raises(GitStalledError):
            git.call(("rev-parse", "HEAD"))
    [pid] = (tmp_path / "calls").read_text().split()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
