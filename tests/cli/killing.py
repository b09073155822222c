"""Stops a changing call of the real command on the embedded cloud, and kills the command there."""

import itertools
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from orchestra_creds.emulator.protocol.errors import Code, EmuError
from orchestra_creds.emulator.server import control
from tests.cli.conftest import COMMAND, Operator

PATIENCE = 30.0
"""Seconds after which a run that reaches nothing is a failure."""


class Gate:
    """Stops one changing call, before or after its work, until its caller is dead."""

    def __init__(self, running: control.InProcessEmulator) -> None:
        self.serve = running.emulator._serve
        self.target, self.late = -1, False
        self.count = itertools.count()
        self.reached, self.killed = threading.Event(), threading.Event()

    def arm(self, target: int, *, late: bool) -> None:
        """Stop the changing call with this number, from 0; -1 for none."""
        self.target, self.late, self.count = target, late, itertools.count()
        self.reached.clear()
        self.killed.clear()

    def stop(self, call: Any) -> Any:
        """In place of the emulator's own serving."""
        if not call.what.mutates or next(self.count) != self.target:
            return self.serve(call)
        reply = self.serve(call) if self.late else None
        self.reached.set()
        self.killed.wait(PATIENCE)
        if reply is None:
            raise EmuError(Code.UNAVAILABLE, "Its caller is dead.")
        return reply

    def kill_at(self, operator: Operator, arguments: list[str], target: int, *, late: bool) -> None:
        """Run the command up to that call, and kill it there."""
        self.arm(target, late=late)
        child = subprocess.Popen(
            [COMMAND, *arguments],
            cwd=operator.folder,
            env=operator.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self.reached.wait(PATIENCE), "the run never came to that call"
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        self.killed.set()
        self.arm(-1, late=False)


@contextmanager
def gated(running: control.InProcessEmulator) -> Iterator[Gate]:
    """A gate in front of the embedded cloud, for as long as the block runs."""
    gate = Gate(running)
    running.emulator._serve = gate.stop  # type: ignore[method-assign]
    try:
        yield gate
    finally:
        running.emulator._serve = gate.serve  # type: ignore[method-assign]


def points_of(count: int) -> list[tuple[int, bool]]:
    """Every place to kill a run of so many changing calls: before and after the work of each."""
    return [(target, late) for target in range(count) for late in (False, True)]


def point_at(operator: Operator, running: control.InProcessEmulator) -> None:
    """Let the operator's commands use this embedded cloud."""
    operator.environment |= {
        "ORCHESTRA_CREDS_EMULATOR_GRPC": running.endpoints.grpc,
        "ORCHESTRA_CREDS_EMULATOR_HTTP": running.endpoints.http,
    }
