"""How far a long job is, on one line of the terminal that rewrites itself and is gone at the end.

Nothing appears off a terminal, or before half a second has passed. The line tells files or objects, bytes, findings and
the time left; it is cut to the width of the terminal, and at most ten times a second. It never raises: a terminal that
went away must not end a scan.
"""

import os
import time
from collections.abc import Callable
from typing import TextIO

from orchestra_creds.core.progress import NoProgress, Progress
from orchestra_creds.render.numbers import count, seconds, size

PATIENCE = 0.5
"""Seconds before anything is shown."""

INTERVAL = 0.1
"""Seconds between two pictures."""


def progress_on(stream: TextIO | None, noun: str, *, quiet: bool = False) -> Progress:
    """A listener that draws on `stream`, or one that does nothing when it is no terminal. `noun`: file or object."""
    if quiet or stream is None or not stream.isatty():
        return NoProgress()
    return LineProgress(stream, noun)


class LineProgress:
    """Draws progress on one line of a terminal; `clock` counts seconds."""

    def __init__(
        self,
        stream: TextIO,
        noun: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        width: Callable[[], int] | None = None,
    ) -> None:
        self._stream, self._noun, self._clock, self._width = stream, noun, clock, width or self._columns
        self._all_items: int | None = None
        self._all_bytes: int | None = None
        self._items = self._bytes = self._found = 0
        self._begun = clock()
        self._next = self._begun + PATIENCE
        self._drawn = False

    def announce(self, what: str) -> None:
        """Shown at once: whoever waits shall know why."""
        self._draw(what)

    def start(self, *, items: int | None, size: int | None) -> None:
        """The job begins."""
        self._all_items, self._all_bytes = items, size
        self._items = self._bytes = self._found = 0
        self._begun = self._clock()
        self._next = self._begun + PATIENCE

    def advance(self, *, items: int = 0, size: int = 0) -> None:
        """So many more items and bytes are done."""
        self._items += items
        self._bytes += size
        now = self._clock()
        if now >= self._next:
            self._next = now + INTERVAL
            self._draw(self.line(now))

    def add_findings(self, count: int) -> None:
        """So many more findings came up."""
        self._found += count

    def finish(self) -> None:
        """The job is over: wipe the line."""
        if self._drawn:
            self._draw("")
        self._drawn = False

    def line(self, now: float) -> str:
        """The picture at a time of the clock."""
        items = count(self._items, self._noun)
        if self._all_items:
            items = f"{self._items:,} of {count(self._all_items, self._noun)}"
        parts = [items, size(self._bytes), count(self._found, "finding")]
        done, whole = (self._bytes, self._all_bytes) if self._all_bytes else (self._items, self._all_items)
        if whole and 0 < done < whole:
            parts.append(f"{seconds((now - self._begun) / done * (whole - done))} left")
        return ", ".join(parts)

    def _draw(self, text: str) -> None:
        try:
            self._stream.write("\r" + text[: max(self._width() - 1, 0)] + "\x1b[K" + ("" if text else "\r"))
            self._stream.flush()
        except (OSError, ValueError):  # the terminal is gone, or the stream was closed
            self._next = float("inf")
        self._drawn = True

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError):
            return 80
