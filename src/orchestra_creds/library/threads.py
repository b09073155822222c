"""Daemon threads of our own, so that neither a caller nor an event loop waits for a refresh."""

import threading
from collections import deque
from collections.abc import Callable

LIMIT = 8
"""The largest number of reads that run in the background at the same time."""
READERS, CALLBACKS = "orchestra-creds-read", "orchestra-creds-callback"
"""Names of the threads that read, and of the one that runs callbacks."""


class BackgroundThreads:
    """Run jobs in up to `limit` daemon threads called `name`; a thread ends when no job is left. A job must not raise."""

    def __init__(self, name: str, limit: int) -> None:
        self._name, self._limit = name, limit
        self.reset()

    def reset(self) -> None:
        """Start without threads and jobs: a forked child has none of its parent's."""
        self._lock = threading.Lock()
        self._jobs: deque[Callable[[], None]] = deque()
        self._running = 0

    def run(self, job: Callable[[], None], *, first: bool = False) -> None:
        """Run the job soon; `first` puts it before those that wait."""
        with self._lock:
            if first:
                self._jobs.appendleft(job)
            else:
                self._jobs.append(job)
            if self._running >= self._limit:
                return
            self._running += 1
        try:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        except RuntimeError:  # the interpreter is shutting down, or the system allows no more threads
            self._work()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    self._running -= 1
                    return
                job = self._jobs.popleft()
            job()
