"""Counts how many calls are under way at once, whatever the speed of the machine."""

import contextlib
import threading
from collections.abc import Iterator


class Gauge:
    """Give each call a block of `call`; `most` is how many were in one at the same time.

    A call waits `patience` seconds for a second one, until two have met: calls that can overlap do.
    """

    def __init__(self, patience: float = 0.1) -> None:
        self.most = 0
        self._now = 0
        self._patience = patience
        self._met = threading.Event()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def call(self) -> Iterator[None]:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            if self._now > 1:
                self._met.set()
        self._met.wait(self._patience)
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1
