"""`run --mask` and `run --as-files`: the program is a child, and nobody notices."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.cli.conftest import COMMAND, Operator

CAUGHT = sorted(
    signal.valid_signals()
    - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
)
ECHO = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
print("ready", os.environ.get("PLAIN_VALUE_FILE", ""), flush=True)
while (number := signal.sigwait(signal.valid_signals())) != signal.SIGUSR2:
    print(int(number), flush=True)
"""
PATIENCE = 60.0
"""Seconds after which a run is killed, so that what it was to do is missed."""
VALUE = "a-value" + "-of-nothing"


@pytest.fixture
def reader(operator: Operator) -> Operator:
    operator.environment["ORCHESTRA_CREDS_BACKEND"] = "local"
    assert operator.call("secret", "set", "plain-value", stdin=VALUE.encode()).code == 0
    return operator


@contextlib.contextmanager
def running(
    reader: Operator, *command: str, stdout: IO[bytes] | int = subprocess.PIPE
) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(
        [COMMAND, "run", "--only", "plain-value", *command],
        cwd=reader.folder,
        env=reader.environment,
        stdout=stdout,
        process_group=0,
    )

    def end() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    watchdog = threading.Timer(PATIENCE, end)
    watchdog.start()
    try:
        yield child
    finally:
        watchdog.cancel()
        end()
        child.communicate()


@pytest.mark.parametrize("option", ["--mask", "--as-files"])
def test_every_signal_that_can_be_caught_reaches_the_program(reader: Operator, option: str) -> None:
    with running(reader, option, "--", sys.executable, "-c", ECHO) as child:
        assert child.stdout is not None
        ready, _, path = child.stdout.readline().decode().strip().partition(" ")
        assert ready == "ready"
        for number in (number for number in CAUGHT if number != signal.SIGUSR2):
            child.send_signal(number)
            assert child.stdout.readline().decode().strip() == str(int(number)), number
        child.send_signal(signal.SIGUSR2)
        assert child.wait() == 0
        assert not path or not Path(path).parent.exists()


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGALRM, signal.SIGABRT, signal.SIGRTMIN])
def test_no_file_stays_when_a_signal_ends_the_program(reader: Operator, number: int) -> None:
    script = "import os, signal; print(os.environ['PLAIN_VALUE_FILE'], flush=True); signal.pause()"
    with running(reader, "--as-files", "--", sys.executable, "-c", script) as child:
        assert child.stdout is not None
        path = Path(child.stdout.readline().decode().strip())
        assert path.read_text() == VALUE
        child.send_signal(number)
        assert child.wait() == 128 + number
        assert not path.parent.exists()


def test_a_stopped_job_stops_with_its_program_and_goes_on_with_it(reader: Operator) -> None:
    script = (
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1}); print('ready', flush=True); "
        "signal.sigwait({signal.SIGUSR1}); print('on', flush=True)"
    )
    with running(reader, "--mask", "--", sys.executable, "-c", script) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGTSTP)
        assert os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1])
        child.send_signal(signal.SIGCONT)
        child.send_signal(signal.SIGUSR1)
        assert child.stdout.readline() == b"on\n"
        assert child.wait() == 0


@pytest.mark.parametrize("option", ["--mask", "--as-files"])
def test_what_runs_on_in_the_background_is_not_waited_for(reader: Operator, option: str) -> None:
    script = "sleep 600 & echo last words; printf %s no-newline; exit 3"
    with (
        (reader.folder / "printed").open("wb") as printed,
        running(reader, option, "--", "sh", "-c", script, stdout=printed) as child,
    ):
        assert child.wait() == 3
    assert (reader.folder / "printed").read_bytes() == b"last words\nno-newline"


@pytest.mark.parametrize("option", ["", "--mask", "--as-files"])
def test_a_program_ignores_the_signals_that_its_caller_ignores_and_no_others(reader: Operator, option: str) -> None:
    def ignored(command: str) -> str:
        shell = ["sh", "-c", f"trap '' HUP USR1; exec {command} grep SigIgn /proc/self/status"]
        done = subprocess.run(shell, cwd=reader.folder, env=reader.environment, capture_output=True, check=True)
        return done.stdout.decode()

    assert ignored(f"{COMMAND} run --only plain-value {option} --") == ignored("")


def test_the_code_is_known_where_the_end_of_children_is_ignored(reader: Operator) -> None:
    """Ignored by hand: a shell such as dash does not let its programs inherit that."""
    done = subprocess.run(
        [COMMAND, "run", "--only", "plain-value", "--mask", "--", "sh", "-c", "exit 3"],
        cwd=reader.folder,
        env=reader.environment,
        preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),  # no threads here
        check=False,
    )
    assert done.returncode == 3
