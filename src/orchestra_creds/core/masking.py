"""Takes values out of a stream of bytes, also where they stand across two pieces of it. Pure."""

import re
from collections.abc import Iterable

MASK = b"***"
SHORTEST = 4
"""Bytes below which a line is not masked: taking every `1` out would hide the text and not the value."""


def masked_lines(values: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return each line of each value once, without the space around it, if it is long enough."""
    lines = (part.strip() for value in values for part in value.splitlines())
    return tuple(dict.fromkeys(line for line in lines if len(line) >= SHORTEST))


class Masker:
    """A stream with every occurrence of the lines replaced; those that overlap or follow each other are never shown in part.

    What could be the beginning of a line is held back until the next piece, at most the longest line less one byte.
    """

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = sorted(lines, key=len, reverse=True)
        self._search = re.compile(b"(?=(" + b"|".join(map(re.escape, self._lines)) + b"))") if self._lines else None
        self._held = b""
        self._covered = 0  # of what is held, so many bytes belong to a mask that was given out

    def feed(self, piece: bytes, *, last: bool = False) -> bytes:
        """What can be shown after this piece; with `last`, everything."""
        if self._search is None:
            return piece
        data = self._held + piece
        decided = len(data) if last else self._undecided_from(data)
        shown, done = [], self._covered
        for found in self._search.finditer(data):
            if found.start() >= decided:
                break
            if found.start() >= done:
                shown += [data[done : found.start()], MASK]
            done = max(done, found.end(1))
        shown.append(data[done:decided])
        self._held, self._covered = data[decided:], max(done - decided, 0)
        return b"".join(shown)

    def _undecided_from(self, data: bytes) -> int:
        """Where the rest could be the beginning of a line."""
        longest = len(self._lines[0])
        for start in range(max(len(data) - longest + 1, 0), len(data)):
            rest = data[start:]
            if any(len(line) > len(rest) and line.startswith(rest) for line in self._lines):
                return start
        return len(data)
