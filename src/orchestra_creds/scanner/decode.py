r"""Encoded text inside text: base64, hex, percent and backslash escapes, with the way back to the encoded bytes.

The first pass also looks for `CARRIERS`: short patterns that only encoded text shows, such as three base64 quads that
decode to printable characters, or `\u003d`. Around each the text is decoded and scanned again, up to `MAX_DEPTH` times.

Guarantees: decoding shrinks, is linear, and is bounded by the reach of its carrier, so no input blows it up; what is
decoded around one carrier depends on the bytes in its reach only; a match at an edge that the reach cut is dropped, for
nobody knows what stands behind it. Never raises on any input.
"""

import binascii
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

from orchestra_creds.scanner.verdict import Buffer

MAX_DEPTH = 5
"""How many wrappings around a credential are undone."""

RUN = 32 << 10
"""Bytes of one base64 or hex run, line breaks included, that are decoded from its start."""

EDGE = 8
"""A match nearer than this to an edge that was cut is dropped, in decoded bytes."""

REGION = 256 << 10
"""Bytes of escaped text that are unescaped at a time."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """A pattern that betrays encoded text. Each start has exactly one end, so that both engines report the same.

    back, ahead   how far around the start of a match the text is decoded, in bytes
    """

    kind: str
    pattern: str
    longest: int
    back: int
    ahead: int


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """Decoded text, and where each of its bytes came from.

    unit              so many decoded bytes are written with so many encoded ones
    marks, places     encoded offset -> offset in the outer text, piecewise: places[i] belongs to marks[i]
    cut_before, cut_behind   whether the outer text goes on there in the same encoding, unread
    reaches           the (low, high) windows around the carriers, by end; a match counts when one of them holds it
    """

    kind: str
    text: bytes
    unit: tuple[int, int]
    marks: Sequence[int]
    places: Sequence[int]
    end: int
    cut_before: bool = False
    cut_behind: bool = False
    reaches: Sequence[tuple[int, int]] = ()

    def outer(self, start: int, end: int) -> tuple[int, int]:
        """The span of the outer text that encodes [start, end)."""
        decoded, encoded = self.unit
        low = self._place(start // decoded * encoded)
        if self.unit == (1, 1):
            return low, self._place(end)
        return low, min(self._place(((end - 1) // decoded + 1) * encoded - 1) + 1, self.end)

    def reads(self, start: int, end: int) -> tuple[int, int]:
        """The span of the outer text on which the decoding of [start, end) depends."""
        low, high = self.outer(start, end)
        if len(self.marks) > 1 and self.unit != (1, 1):  # wrapped lines: whole ones, their neighbours' ends included
            first, last = bisect_right(self.places, low) - 1, bisect_left(self.places, high)
            low = self.places[max(first, 0)]
            high = self.places[last] if last < len(self.places) else self.end
            return low - _JOINT, high + _JOINT
        return low - EDGE, high + EDGE

    def holds(self, start: int, end: int) -> bool:
        """Whether [start, end) of the decoded text is beyond doubt: away from cut edges, and within one reach."""
        if (self.cut_before and start < EDGE) or (self.cut_behind and end > len(self.text) - EDGE):
            return False
        if self.unit != (1, 1):
            return True
        return self._changed(start, end) and self._reached(*self.outer(start, end))

    def _changed(self, start: int, end: int) -> bool:
        """Whether an escape stands in or at [start, end); elsewhere the outer text shows the same."""
        return bisect_left(self.marks, start - 1, lo=1) < bisect_right(self.marks, end + 1)

    def _reached(self, low: int, high: int) -> bool:
        at = bisect_left(self.reaches, high, key=lambda reach: reach[1])
        near = takewhile(lambda reach: reach[1] - low <= MOST_BACK + MOST_AHEAD, islice(self.reaches, at, None))
        return any(reach[0] <= low for reach in near)

    def _place(self, encoded: int) -> int:
        at = bisect_right(self.marks, encoded) - 1
        return self.places[at] + encoded - self.marks[at]


# --- carriers ---------------------------------------------------------------------------------------------------------

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def _digits(wanted: Callable[[int], bool]) -> str:
    """The class of those base64 digits whose value is wanted."""
    return "[" + "".join(chr(digit) for value, digit in enumerate(_BASE64) if wanted(value)) + "]"


# Of three printable ASCII bytes (or line breaks) each has a zero in its highest bit and, but for breaks, a one in the
# two below. That leaves 26 digits for the first place, 28 for the second, 32 for the third; the fourth is free.
_QUAD = (
    _digits(lambda value: 8 <= value < 32 or value == 2)
    + _digits(lambda value: value & 15 in {0, 2, 3, 4, 5, 6, 7})
    + _digits(lambda value: value & 3 in {0, 1})
    + "[A-Za-z0-9+/_-]"
)
_HEX_PAIR = "(?:[2-7][0-9A-Fa-f]|0[9AaDd])"
_SIGN = "(?:2[0-9A-Fa-f]|3[AaDd]|40|5[CcFf]|7[BbDd])"
_PLAIN_PERCENT = "(?:0[AaDd]|2[2-9A-Fa-f]|3[AaDd]|40|5[BbCcDdFf]|7[BbDd])"

CARRIERS = (
    Carrier("base64", f"(?:^|[^A-Za-z0-9+])(?:{_QUAD}){{3}}", 13, 2, RUN),
    Carrier("hex", f"(?:^|[^0-9A-Fa-f])(?:{_HEX_PAIR}){{16}}", 33, 2, RUN),
    Carrier("escape", rf"\\u00{_SIGN}", 6, 2048, 4096),
    Carrier("escape", rf"\\x{_SIGN}", 4, 2048, 4096),
    Carrier("escape", r'\\"[ \t\n]{0,3}:', 6, 2048, 8192),
    Carrier("escape", r":\\/\\/", 5, 2048, 4096),
    Carrier("escape", r"(?:\\u00[2-7][0-9A-Fa-f]){3}", 18, 2048, 4096),
    Carrier("escape", r"(?:\\x[2-7][0-9A-Fa-f]){3}", 12, 2048, 4096),
    Carrier("escape", r"(?:\\[01][0-7]{2}){3}", 12, 2048, 4096),
    Carrier("percent", f"%{_PLAIN_PERCENT}", 3, 2048, 4096),
    Carrier("percent", "%22(?:%20)?%3[Aa]", 9, 2048, 8192),
    Carrier("percent", "(?:%[2-7][0-9A-Fa-f]){3}", 9, 2048, 4096),
)
"""What the first pass looks for beside the rules."""

MOST_BACK = max(carrier.back + carrier.longest for carrier in CARRIERS)
MOST_AHEAD = max(carrier.ahead for carrier in CARRIERS)


def unwrap(kind: str, text: Buffer, starts: Sequence[tuple[int, Carrier]]) -> Iterator[Unwrapped]:
    """What stands encoded around `starts`: sorted offsets in `text` where a carrier of this kind begins."""
    if kind == "base64":
        return _base64(text, [start for start, _ in starts])
    if kind == "hex":
        return _hex(text, [start for start, _ in starts])
    return _escaped(kind, text, starts)


# --- runs: base64 and hex ---------------------------------------------------------------------------------------------

_IN_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]+")
_IN_HEX = re.compile(rb"[0-9A-Fa-f]+")
_BEFORE_BASE64 = re.compile(rb"[^A-Za-z0-9+]")
_BEFORE_HEX = re.compile(rb"[^0-9A-Fa-f]")
_STANDARD = bytes.maketrans(b"-_", b"+/")
_JOINT = 320
"""Most bytes between two lines of one run: quotes, a sign of concatenation, the break, indentation, a comment mark."""

# The next line of a run: a break with what source code and configuration put around it, the digits, and the proof that
# nothing else stands on that line. Groups: closing quotes (1, 2) and the digits (3).
_NEXT_LINE = re.compile(
    rb"""(?:(["'`])?[ \t]{0,8}[+.]?[ \t]{0,8}\\?\r?\n[ \t]{0,120}(?:(?:[#*>|]|//|--)[ \t]{0,8})?[+.]?[ \t]{0,8}["'`(]?"""
    rb"""|(?:\\r)?\\n[ \t]{0,120}|(["'])[ \t]{0,8}[+.]?[ \t]{0,8}["'])"""
    rb"""([A-Za-z0-9+/_-]+)(?=={0,2}[ \t]{0,8}(?:\\?\r?\n|\\[nr]|["'`,;)\]}<]|$)|=)"""
)
_FULL_LINE = 20


@dataclass(frozen=True, slots=True)
class _Run:
    """Digits without what stands between their lines; marks and places as in `Unwrapped`."""

    digits: bytes
    marks: list[int]
    places: list[int]
    end: int
    cut: bool

    def aligned(self, place: int, unit: int) -> bool:
        """Whether `place` stands in the run, where a group of `unit` digits begins."""
        at = bisect_right(self.places, place) - 1
        return place < self.end and (self.marks[at] + place - self.places[at]) % unit == 0


def _runs(
    text: Buffer, starts: Iterable[int], before: re.Pattern[bytes], read: Callable[[Buffer, int], _Run], unit: int
) -> Iterator[_Run]:
    """The runs that begin at `starts`, each once, though several carriers may stand in it."""
    open_runs: list[_Run] = []
    for start in starts:
        place = start + 1 if before.match(text, start) else start
        open_runs = [run for run in open_runs if run.end > place]
        if not any(run.aligned(place, unit) for run in open_runs):
            run = read(text, place)
            open_runs.append(run)
            yield run


def _base64(text: Buffer, starts: Iterable[int]) -> Iterator[Unwrapped]:
    for run in _runs(text, starts, _BEFORE_BASE64, _base64_run, 4):
        digits = run.digits[: -1 if len(run.digits) % 4 == 1 else None].translate(_STANDARD)
        decoded = binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))
        yield Unwrapped("base64", decoded, (3, 4), run.marks, run.places, run.end, cut_behind=run.cut)


def _base64_run(text: Buffer, start: int) -> _Run:
    window = bytes(text[start : start + RUN + _JOINT])
    found = _IN_BASE64.match(window, 0, RUN)
    end = found.end() if found else 0
    lines, marks, places, width = [window[:end]], [0], [start], end
    cut = end == RUN
    while (joint := _NEXT_LINE.match(window, end)) is not None:
        low, high = joint.span(3)
        quoted = joint[1] or joint[2]
        if len(lines[-1]) < _FULL_LINE or not (quoted or len(lines[-1]) == width >= high - low):
            break
        if high > RUN:
            cut = True
            break
        marks.append(marks[-1] + len(lines[-1]))
        places.append(start + low)
        lines.append(window[low:high])
        end = high
    return _Run(b"".join(lines), marks, places, start + end, cut)


def _hex(text: Buffer, starts: Iterable[int]) -> Iterator[Unwrapped]:
    for run in _runs(text, starts, _BEFORE_HEX, _hex_run, 2):
        decoded = binascii.a2b_hex(run.digits[: len(run.digits) & ~1])
        yield Unwrapped("hex", decoded, (1, 2), run.marks, run.places, run.end, cut_behind=run.cut)


def _hex_run(text: Buffer, start: int) -> _Run:
    found = _IN_HEX.match(bytes(text[start : start + RUN]))
    digits = found[0] if found else b""
    return _Run(digits, [0], [start], start + len(digits), len(digits) == RUN)


# --- regions: escapes -------------------------------------------------------------------------------------------------

_ESCAPE = re.compile(
    rb"""\\(?:u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\}|x([0-9A-Fa-f]{2})|([0-3][0-7]{2})|(["'\\/bfnrtave0`$]|\r?\n))"""
)
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_LETTERS = {
    b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"v": b"\v", b"e": b"\x1b",
    b"0": b"\0", b"\n": b"", b"\r\n": b"",
}  # fmt: skip


def _unescaped(found: re.Match[bytes]) -> bytes:
    if letter := found[5]:
        return _LETTERS.get(letter, letter)
    if found[4]:
        return bytes([int(found[4], 8)])
    if found[3]:
        return bytes([int(found[3], 16)])
    return _character(int(found[1] or found[2], 16))


def _character(point: int) -> bytes:
    """A code point as UTF-8; half of a surrogate pair, which no credential holds, as a question mark."""
    return chr(point).encode("utf-8", "replace") if point < 0x110000 else b"?"


def _percent(found: re.Match[bytes]) -> bytes:
    return bytes([int(found[1], 16)])


def _escaped(kind: str, text: Buffer, starts: Iterable[tuple[int, Carrier]]) -> Iterator[Unwrapped]:
    """The regions around the carriers, those that overlap taken together up to `REGION` bytes."""
    pattern, replace = (_ESCAPE, _unescaped) if kind == "escape" else (_PERCENT, _percent)
    for reaches in _regions(starts, len(text)):
        low, high = reaches[0][0], max(reach[1] for reach in reaches)
        window = bytes(text[low:high])
        skip = 0
        while low and skip < len(window) and window[skip] == ord("\\"):  # half of them may stand before the edge
            skip += 1
        parts: list[bytes] = []
        marks, places, size, at = [0], [low + skip], 0, skip
        for found in pattern.finditer(window, skip):
            plain = window[at : found.start()]
            new = replace(found)
            size += len(plain)
            marks += (size, size + len(new))
            places += (low + found.start(), low + found.end())
            size += len(new)
            parts += (plain, new)
            at = found.end()
        if not parts:
            continue
        parts.append(window[at:])
        decoded = b"".join(parts)
        yield Unwrapped(
            kind, decoded, (1, 1), marks, places, high, low > 0, high < len(text), sorted(reaches, key=_ends)
        )


def _ends(reach: tuple[int, int]) -> tuple[int, int]:
    return reach[1], reach[0]


def _regions(starts: Iterable[tuple[int, Carrier]], size: int) -> Iterator[list[tuple[int, int]]]:
    """The reaches of the carriers, in groups that overlap and are decoded together."""
    group: list[tuple[int, int]] = []
    behind = 0
    for start, carrier in starts:
        reach = (max(0, start - carrier.back), min(size, start + carrier.longest + carrier.ahead))
        if group and (reach[0] >= behind or reach[1] - group[0][0] > REGION):
            yield group
            group, behind = [], 0
        group.append(reach)
        behind = max(behind, reach[1])
    if group:
        yield group
