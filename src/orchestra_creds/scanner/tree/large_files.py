"""Files that are so large that all workers share one: each scans parts of it, and the parent puts together what they saw.

Guarantees: the findings are those of a scan of the file by one worker: a part answers for the matches that begin in it, and reads as
much before and behind itself as one of them may depend on (`content/blobscan.py`). What a worker that died left unread is named.
"""

import os
from collections.abc import Callable, Iterator

from orchestra_creds.core.record import dataclass, replace
from orchestra_creds.core.text import os_error_text
from orchestra_creds.scanner.content.blobscan import AFTER_PART, BEFORE_PART, MOST_SIGHTINGS, TOO_MANY, PartScan
from orchestra_creds.scanner.content.explore import PIECE, Explorer, ExploreResult
from orchestra_creds.scanner.content.formats import HEAD, ends_as_zip
from orchestra_creds.scanner.decoding.encoding import wide
from orchestra_creds.scanner.detection import Sighting
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.finding import SkippedItem
from orchestra_creds.scanner.parallel.wire import SightingCodec
from orchestra_creds.scanner.parallel.workers import Answer
from orchestra_creds.scanner.safe_open import FileOpener

SHARED_FROM = 64 << 20
"""Bytes of the smallest file that is shared."""
PART = 16 << 20
"""Bytes of a part, about. Parts begin at a line, so that a worker counts lines and columns without what stands before."""
_CUT_WITHIN = 1 << 20
"""Bytes in which a line must end, for a part to begin there."""
_TAIL = 64


@dataclass(frozen=True, slots=True)
class FilePart:
    """A part of a file: bytes [start, stop); the last one reads on to the end of the file."""

    path: bytes
    start: int
    stop: int
    is_last: bool


@dataclass(slots=True)
class PartResult:
    """What was seen in a part: sightings with lines counted from its start, how many lines it has, and what was not looked at."""

    sightings: list[Sighting]
    lines: int
    size: int
    overflow: bool
    excess: str


def can_share(fd: int, size: int, explorer: Explorer) -> bool:
    """Return whether a file is large enough to be shared, and nothing that must be read from its start: an archive, or wide text."""
    if size < SHARED_FROM:
        return False
    head = os.pread(fd, PIECE, 0)
    if wide(head) or explorer.kind_of(head[:HEAD]) is not None:
        return False
    return not (explorer.limits.depth and ends_as_zip(os.pread(fd, _TAIL, size - _TAIL)))


def plan_parts(path: bytes, fd: int) -> list[FilePart]:
    """Return the parts of an open file."""
    size = os.fstat(fd).st_size
    cuts = [0]
    for near in range(PART, size - PART // 2, PART):
        cut = _line_start(fd, max(near, cuts[-1] + BEFORE_PART + AFTER_PART))
        if cut and cut + AFTER_PART + BEFORE_PART < size:
            cuts.append(cut)
    return [
        FilePart(path, start, stop, is_last=stop == size) for start, stop in zip(cuts, [*cuts[1:], size], strict=True)
    ]


def _line_start(fd: int, near: int) -> int:
    """Return where the first line behind an offset begins, with a whole character; 0 if none begins soon."""
    text, at = os.pread(fd, _CUT_WITHIN, near), 0
    while at := text.find(b"\n", at) + 1:
        if at < len(text) and text[at] & 0xC0 != 0x80:
            return near + at
    return 0


class PartScanner:
    """Scans parts in one worker."""

    def __init__(
        self, engine: Engine, parts: list[FilePart], opener: FileOpener, wire: SightingCodec, *, passed: int, done: int
    ) -> None:
        self._engine = engine
        self._parts = parts
        self._opener = opener
        self._wire = wire
        self._passed, self._done = passed, done

    def serve(self, tokens: Iterator[range], answer: Answer) -> None:
        """Scan the parts of these positions; answers are progress in bytes, and the result of each part."""
        for token in tokens:
            for number in token:
                self._serve_part(number, answer)

    def _serve_part(self, number: int, answer: Answer) -> None:
        def report_progress(size: int) -> None:
            answer(self._wire.dumps([], self._passed, size))

        try:
            found = self._scan(self._parts[number], report_progress)
        except OSError as error:
            answer(self._wire.dumps([], self._done, number, os_error_text(error)))
            return
        counted = found.lines, found.size, found.overflow, found.excess
        answer(self._wire.dumps(found.sightings, self._done, number, "", *counted))

    def _scan(self, part: FilePart, passed: Callable[[int], None]) -> PartResult:
        fd = self._opener.open(part.path)
        try:
            return scan_part(self._engine, part, lambda size, at: os.pread(fd, size, at), passed)
        finally:
            os.close(fd)


def scan_part(
    engine: Engine, part: FilePart, read: Callable[[int, int], bytes], passed: Callable[[int], None]
) -> PartResult:
    """Return what is in a part; `read` returns so many bytes from an offset on, and `passed` hears of them."""
    scan = PartScan(engine, os.fsdecode(part.path), start=part.start)
    at, end = part.start, part.stop if part.is_last else part.stop + BEFORE_PART + AFTER_PART
    while at < end and (piece := read(min(PIECE, end - at), at)):
        scan.feed(piece)
        at += len(piece)
        passed(max(min(at, part.stop) - (at - len(piece)), 0))
    sightings = scan.finish(is_last=part.is_last or at < end)
    return PartResult(sightings, scan.lines, max(min(at, part.stop) - part.start, 0), scan.overflow, scan.excess)


def merge_parts(path: str, results: list[PartResult], engine: Engine) -> ExploreResult:
    """Return what a file holds, from the results of its parts in their order."""
    found: dict[object, Sighting] = {}
    lines, excess, overflow = 0, "", False
    for part in results:
        for one in part.sightings:
            place = one.place
            there = replace(place, line=place.line + lines, end_line=place.end_line + lines)
            found.setdefault(one.detection, replace(one, place=there))
        lines += part.lines
        excess = excess or part.excess
        overflow = part.overflow or len(found) > MOST_SIGHTINGS
        if overflow:
            break
    settled = engine.settle(one.detection for one in found.values())
    reasons = [TOO_MANY] * overflow + [excess] * bool(excess)
    return ExploreResult(
        [found[detection] for detection in settled][:MOST_SIGHTINGS],
        [SkippedItem(path, reason) for reason in reasons],
        1,
        sum(part.size for part in results),
    )
