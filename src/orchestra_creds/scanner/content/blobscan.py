"""One blob through the engine: whole when it is small, in overlapping windows when it is large or has no known end.

Guarantees: the findings do not depend on the windows (each match has its whole context in one of them); offsets, lines
and columns are those of the blob; memory is bounded by `WINDOW` whatever the blob's size and line lengths; UTF-16 and
UTF-32 are read as text beside their raw bytes. A blob with more than `MOST_SIGHTINGS` of them says so.
"""

from collections.abc import Iterable

from orchestra_creds.core.record import replace
from orchestra_creds.scanner.checks.verdict import Buffer
from orchestra_creds.scanner.content.locate import ALLOW_REACH, BEFORE, Locator, locate_all, locate_window
from orchestra_creds.scanner.decoding.encoding import Utf8Converter, wide
from orchestra_creds.scanner.detection import Detection, Sighting
from orchestra_creds.scanner.engine.engine import REACH_BACK, REACH_FORWARD, Engine
from orchestra_creds.scanner.engine.prefilter import GAP

WINDOW = 2 << 20
"""Bytes of a blob in memory at a time; a smaller blob is scanned whole."""

MOST_SIGHTINGS = 10_000
"""Per blob; a file of nothing but fake tokens must not fill the memory."""

TOO_MANY = f"more than {MOST_SIGHTINGS:,} matches: the rest of it was not listed"

_CONTEXT = BEFORE + ALLOW_REACH
_SEEN = _CONTEXT + REACH_FORWARD + 2 * REACH_BACK + GAP
"""Bytes of which a window decides nothing that depends on what stands before them."""
BEFORE_PART = GAP + REACH_BACK + _CONTEXT
"""Bytes at the start of a part for whose matches the part before answers: they are what its own may depend on."""
AFTER_PART = _CONTEXT + REACH_FORWARD + REACH_BACK
"""Bytes behind those for whose matches a part answers that it needs to see."""
_ZEROS = bytes(256 << 10)


def examine_whole(engine: Engine, data: Buffer, hits: list[tuple[int, int]], path: str) -> list[Sighting]:
    """Return the sightings in a blob that is in memory; `hits` are what the first pass reported."""
    found = engine.examine(data, hits)
    return locate_all(data, engine.settle(found), path) if found else []


class BlobScan:
    """Scans one blob that arrives in pieces: `feed` them, then `finish`."""

    def __init__(self, engine: Engine, path: str, *, window: int = WINDOW) -> None:
        self._path = path
        self._window = window
        self._raw = _MovingWindow(engine, path, window)
        self._text: _MovingWindow | None = None
        self._converter: Utf8Converter | None = None
        self._engine = engine
        self.size = 0

    def feed(self, piece: bytes) -> None:
        """The next bytes; the first piece should hold at least `buffers.SAMPLE` bytes where the blob has them."""
        if not self.size and (name := wide(piece)):
            self._converter, self._text = Utf8Converter(name), _MovingWindow(self._engine, self._path, self._window)
        self.size += len(piece)
        self._raw.feed(piece)
        if self._converter is not None and self._text is not None:
            self._text.feed(self._converter.feed(piece))

    def finish(self) -> list[Sighting]:
        """All sightings of the blob."""
        sightings = self._raw.finish()
        if self._converter is not None and self._text is not None:
            self._text.feed(self._converter.feed(b"", final=True))
            sightings += self._text.finish()
        return sightings

    @property
    def overflow(self) -> bool:
        """Whether there were more than `MOST_SIGHTINGS`."""
        return self._raw.overflow or (self._text is not None and self._text.overflow)

    @property
    def excess(self) -> str:
        """The reason why a part of the blob was not examined; "" when all of it was."""
        return self._raw.excess or (self._text.excess if self._text is not None else "")


class PartScan:
    """Scans one part of a blob that several scans share: `feed` it from `start` on, then `finish`.

    A part that is not the last is fed `BEFORE_PART + AFTER_PART` bytes beyond its end: it answers for matches that start in the first
    `BEFORE_PART` of them, and the next part for those behind.
    """

    def __init__(self, engine: Engine, path: str, *, start: int, window: int = WINDOW) -> None:
        self._window = _MovingWindow(engine, path, window, start=start)

    def feed(self, piece: bytes) -> None:
        """The next bytes."""
        self._window.feed(piece)

    def finish(self, *, is_last: bool) -> list[Sighting]:
        """All sightings, also those that others cover; lines are counted from the start of the part."""
        return self._window.finish_part(is_last=is_last)

    @property
    def lines(self) -> int:
        """How many lines end in the part; of the last part it is not known."""
        return self._window.lines

    @property
    def overflow(self) -> bool:
        """Whether there were more than `MOST_SIGHTINGS`: the rest of the part was not looked at."""
        return self._window.overflow

    @property
    def excess(self) -> str:
        """The reason why something was not examined; "" when all of it was."""
        return self._window.excess


_PART_LINE = 2
"""The line on which a part begins while it is scanned: on line 1 a byte order mark would count as one."""


class _MovingWindow:
    """A moving window over a text.

    Each window answers for the matches that start in its core, and holds before and behind the core what hits,
    their examination and the text of their lines may need. Matches seen twice are the same and count once.
    """

    def __init__(self, engine: Engine, path: str, window: int, *, start: int = 0) -> None:
        self._engine = engine
        self._path = path
        self._window = window
        self._buffer = bytearray()
        self._start = start
        self._base = start  # offset in the blob of the buffer's first byte,
        self._at = (_PART_LINE, 1) if start else (1, 1)  # and its line and column
        self._core = start + BEFORE_PART if start else 0  # offset in the blob from which on matches were not looked for
        self._found: dict[Detection, Sighting] = {}
        self.overflow = False
        self.excess = ""

    def feed(self, piece: bytes) -> None:
        if self.overflow or self._passes_over(piece):
            return
        self._buffer += piece
        if len(self._buffer) >= self._window:
            self._scan(final=False)

    def finish(self) -> list[Sighting]:
        if not self.overflow:
            self._scan(final=True)
        self._buffer.clear()
        return [self._found[detection] for detection in self._engine.settle(self._found)][:MOST_SIGHTINGS]

    def finish_part(self, *, is_last: bool) -> list[Sighting]:
        """Look at the rest of a part; return all that was found, with lines from its start on."""
        if not self.overflow:
            self._scan(final=is_last)
        self._buffer.clear()
        lines = _PART_LINE - 1 if self._start else 0
        return [
            replace(one, place=replace(one.place, line=one.place.line - lines, end_line=one.place.end_line - lines))
            for one in self._found.values()
        ]

    @property
    def lines(self) -> int:
        """How many lines end between the start and the buffer."""
        return self._at[0] - (_PART_LINE if self._start else 1)

    def _passes_over(self, piece: bytes) -> bool:
        """Move on by a piece of zeros behind nothing but zeros, as in a disk image: the buffer stays as it is."""
        size = len(piece)
        if (
            not _SEEN <= len(self._buffer) <= len(_ZEROS)
            or size > len(_ZEROS)
            or self._buffer[-1]
            or piece[-1:] != b"\0"
        ):
            return False
        if piece != _ZEROS[:size] or self._buffer != _ZEROS[: len(self._buffer)]:
            return False
        line, column = self._at
        self._at = (line, column + size)
        self._base += size
        self._core += size
        return True

    def _scan(self, *, final: bool) -> None:
        length = len(self._buffer)
        core_end = length + GAP if final else length - _CONTEXT - REACH_FORWARD - REACH_BACK
        first, last = self._core - self._base - GAP, core_end + REACH_BACK
        hits = [(rule, end) for rule, end in self._engine.find_hits(self._buffer) if first < end <= last]
        if hits:
            self._keep(self._engine.examine(self._buffer, hits))
            self.excess = self.excess or self._engine.excess
        if not final:
            self._core = self._base + core_end
            self._forget(max(core_end - BEFORE_PART, 0))

    def _keep(self, detections: Iterable[Detection]) -> None:
        new = [found for found in detections if found.shift(self._base) not in self._found]
        line, column = self._at
        locator = Locator(self._buffer, line=line, column=column)
        for sighting in locate_window(locator, self._buffer, new, self._path):
            there = sighting.detection.shift(self._base)
            self._found[there] = replace(sighting, detection=there)
        self.overflow = len(self._found) > MOST_SIGHTINGS

    def _forget(self, count: int) -> None:
        """Drop the first bytes of the buffer, but never half a character."""
        while count and self._buffer[count] & 0xC0 == 0x80:
            count -= 1
        line, column = self._at
        self._at = Locator(self._buffer, line=line, column=column).advance(count)
        self._base += count
        del self._buffer[:count]
