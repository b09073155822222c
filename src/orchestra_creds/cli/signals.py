"""SIGTERM and Ctrl-C as a wish: what is in hand is finished, then the run ends with 143 or 130."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from orchestra_creds.errors import ExitCode


class StopFlag:
    """Asked between two steps; a second signal ends the process at once."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.code = ExitCode.OK

    def __call__(self) -> bool:
        """Whether the run is to end."""
        return self._event.is_set()

    def sleep(self, seconds: float) -> None:
        """Wait, unless a wish comes in between."""
        self._event.wait(seconds)

    def handle_signal(self, number: int, _frame: FrameType | None = None) -> None:
        """The handler of both signals."""
        self.code = ExitCode.TERMINATED if number == signal.SIGTERM else ExitCode.CANCELLED
        self._event.set()
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def catch_stop_signals() -> Iterator[StopFlag]:
    """While the block runs, signals are wishes."""
    stop = StopFlag()
    before = {number: signal.signal(number, stop.handle_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
