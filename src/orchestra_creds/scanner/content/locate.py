r"""From byte offsets to places: line, column, the text of the line, and inline allows.

Guarantees: lines are 1-based and end at "\n"; columns are 1-based and count Unicode code points of UTF-8, where a byte
that is no UTF-8 counts as one, and a byte order mark at the start of the file counts as none. Line breaks are counted
once per blob, however many detections it holds, and no copy larger than `STEP` is made, so a line of 1 GB is no trouble.
"""

import codecs
from collections.abc import Iterable, Sequence
from typing import TypedDict, Unpack

from orchestra_creds.core.material import HIDDEN, Material
from orchestra_creds.scanner.checks.verdict import Buffer
from orchestra_creds.scanner.detection import Detection, Sighting
from orchestra_creds.scanner.finding import FindingPlace
from orchestra_creds.scanner.libraries import LazyRegex
from orchestra_creds.scanner.native import count_breaks

LINE_LIMIT = 4096
"""Most bytes of text around a match that a sighting carries."""

BEFORE = 1024
"""Of these, at most so many stand before the match."""

ALLOW_REACH = 2048
"""How far behind a match, on its last line, an inline allow is looked for, in bytes."""

STEP = 1 << 20
BOM = codecs.BOM_UTF8

_ALLOW = LazyRegex(
    r"(?i)orchestra-creds:[ \t]*allow=[ \t]*([^\r\n]*)|(gitleaks:allow|pragma:[ \t]*allowlist[ -]secret)"
)
_COMMENT_ENDS = ("*/", "#}", "%>")
_REASON_LIMIT = 200


class Locator:
    """Walks forward through one blob, or through one window of it, and tells where offsets lie.

    `line` and `column` are those of `data[0]`: (1, 1) for a whole blob. Offsets must be asked for in rising order.
    """

    def __init__(self, data: Buffer, *, line: int = 1, column: int = 1, step: int = STEP) -> None:
        self._data = data
        self._step = step
        self._at = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.line = line
        self.column = column
        if (line, column) == (1, 1) and bytes(data[: len(BOM)]) == BOM:
            self._at = len(BOM)

    def advance(self, offset: int) -> tuple[int, int]:
        """The line and column of `offset`."""
        while self._at < offset:
            piece = bytes(self._data[self._at : min(offset, self._at + self._step)])
            self._at += len(piece)
            breaks = count_breaks(piece) if count_breaks else piece.count(b"\n")
            if breaks:
                self.line += breaks
                self.column = 1
                piece = piece[piece.rindex(b"\n") + 1 :]
                self._decoder.reset()
            self.column += (
                len(self._decoder.decode(piece)) if self._partial_character or not piece.isascii() else len(piece)
            )
        # where a character is cut, or bytes are no UTF-8, what stands before the offset counts byte by byte
        return self.line, self.column + len(self._partial_character.decode("utf-8", "surrogateescape"))

    @property
    def _partial_character(self) -> bytes:
        """The bytes of a character whose end was not seen yet."""
        return self._decoder.getstate()[0]


class CommitFields(TypedDict, total=False):
    """The fields of a place that only a history knows."""

    commit: str
    author: str
    date: str
    in_head: bool


def locate(data: Buffer, detection: Detection, path: str, **where: Unpack[CommitFields]) -> Sighting:
    """The place of one detection; `where` are further fields of the place (commit, author, date, in_head)."""
    return locate_all(data, [detection], path, **where)[0]


def locate_all(
    data: Buffer, detections: Iterable[Detection], path: str, **where: Unpack[CommitFields]
) -> list[Sighting]:
    """The places of all detections of one blob, in the order of their starts."""
    return locate_window(Locator(data), data, detections, path, **where)


def locate_window(
    locator: Locator, data: Buffer, detections: Iterable[Detection], path: str, **where: Unpack[CommitFields]
) -> list[Sighting]:
    """The same for one window of a blob: offsets are those of `data`, lines those that `locator` counts."""
    sightings = []
    for found in sorted(detections, key=lambda detection: (detection.start, detection.end)):
        line, column = locator.advance(found.start)
        match = bytes(data[found.start : found.end])
        end_line = line + match.count(b"\n", 0, max(len(match) - 1, 0))  # a break that ends the match adds no line
        place = FindingPlace(path, line, end_line, column, **where)
        text, allow = _surroundings(data, found.start, found.end)
        sightings.append(Sighting(found, place, Material(text), Material(match), allow))
    return sightings


def line_bounds(data: Buffer, start: int, end: int, *, before: int, behind: int) -> tuple[int, int]:
    """The whole lines that [start, end) spans, but at most `before` and `behind` bytes more than the span."""
    head = bytes(data[max(start - before, 0) : start])
    tail = bytes(data[end : end + behind])
    cut = tail.find(b"\n")
    if data[start:end][-1:] == b"\n":
        cut = 0
    return start - (len(head) - head.rfind(b"\n") - 1), end + (len(tail) if cut < 0 else cut)


def _surroundings(data: Buffer, start: int, end: int) -> tuple[bytes, str]:
    """The text of the lines, and the reason of an inline allow on them."""
    low, high = line_bounds(data, start, end, before=BEFORE, behind=ALLOW_REACH)
    # the credential itself can neither allow itself nor become part of a reason
    masked = bytes(data[low:start]) + HIDDEN.encode() + bytes(data[end:high])
    return bytes(data[low : min(high, low + LINE_LIMIT)]), inline_allow(masked)


def inline_allow(text: bytes) -> str:
    """The reason of the first inline allow in `text`, "" when there is none; an own allow without a reason is none."""
    while (marker := _ALLOW.search(text)) is not None:
        own, peer = (text[start:end] if start >= 0 else b"" for start, end in marker[1:])
        if peer:
            return peer.decode()
        reason = _without_comment_end(own.decode("utf-8", "replace").strip())
        if reason:
            return reason[:_REASON_LIMIT]
        text = text[marker[0][1] :]
    return ""


def _without_comment_end(reason: str) -> str:
    if reason.endswith("-->"):
        return reason[:-1].rstrip("-").rstrip()
    return reason[:-2].rstrip() if reason.endswith(_COMMENT_ENDS) else reason


def sort_sightings(sightings: Sequence[Sighting]) -> list[Sighting]:
    """Sightings in the order of a report: path, place, rule."""
    return sorted(
        sightings,
        key=lambda s: (s.place.path, s.place.line, s.place.column, s.detection.rule.id, s.detection.end),
    )
