r"""How the encodings of `decode` are undone: runs of digits (base64, hex), and text with escapes in it.

Stands apart from `decode`, because most scans find nothing encoded and need not load it.
"""

import binascii
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

from orchestra_creds.core.record import dataclass
from orchestra_creds.scanner.checks.verdict import Buffer
from orchestra_creds.scanner.decoding.decode import (
    JOINT,
    REGION,
    RUN_AHEAD,
    RUN_BACK,
    RUN_KEEP,
    Carrier,
    DecodedText,
    DecodedWindow,
)

Hits = list[tuple[int, int]]
HitFinder = Callable[[bytes], Hits]
"""The first pass over decoded text."""


def unwrap(
    kind: str, text: Buffer, ends: Sequence[tuple[int, Carrier]], look: HitFinder
) -> Iterator[tuple[DecodedText, Hits]]:
    """What stands encoded around the `ends`, sorted offsets in `text`, of matches of carriers of this kind.

    Only what holds hits, with them: the way back to the encoded bytes is worked out for little of what is decoded.
    """
    if kind not in {"base64", "hex"}:
        yield from _unwrap_escapes(kind, text, ends, look)
        return
    for unwrapped in (_base64 if kind == "base64" else _hex)(text, [end for end, _ in ends]):
        if hits := look(unwrapped.text):
            yield unwrapped, hits


# --- runs: base64 and hex ---------------------------------------------------------------------------------------------

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
_HEX = b"0123456789ABCDEFabcdef"
_STANDARD = bytes.maketrans(b"-_", b"+/")
_PRINTABLE = re.compile(rb"[\t\n\r -~]{12}")

# Between two lines of a run: the end of a string and a sign that adds the next one, the break, the margin of the next
# line; or a break that is written as an escape; or, on one line, quotes that close and open.
_STRING_END = rb"""["'`]?[ \t]{0,8}[+.]?[ \t]{0,8}\\?\r?"""
_MARGIN = rb"""[ \t]{0,120}(?:(?:[#*>|]|//|--)[ \t]{0,8})?[+.]?[ \t]{0,8}["'`(]?"""
_ESCAPED_BREAK = rb"""(?:\\r)?\\n[ \t]{0,120}"""
_QUOTES = rb"""["'][ \t]{0,8}[+.]?[ \t]{0,8}["']"""
_BETWEEN = rb"(?:" + _STRING_END + rb"\n" + _MARGIN + rb"|" + _ESCAPED_BREAK + rb"|" + _QUOTES + rb")"
_NEXT_LINE = re.compile(_BETWEEN + rb"([A-Za-z0-9+/_-]+)")
_ONLY_MARGIN = re.compile(_MARGIN)
_LINE_END = re.compile(_STRING_END + rb"\Z")
_OTHER_JOINT = re.compile(rb"(?:" + _ESCAPED_BREAK + rb"|" + _QUOTES + rb")\Z")
_NOTHING_BEHIND = re.compile(rb"""={0,2}[ \t]{0,8}(?:\\?\r?\n|\\[nr]|["'`,;)\]}<]|\Z)|=""")
_FULL_LINE = 16
_FEWEST = 16  # digits of a run


@dataclass(frozen=True, slots=True)
class _Line:
    """The digits [start, end) of a window that stand on one line; `quoted`: a string of its own, of any length."""

    start: int
    end: int
    quoted: bool = False

    @property
    def width(self) -> int:
        return self.end - self.start


def _base64(text: Buffer, ends: Iterable[int]) -> Iterator[DecodedText]:
    read = -1
    origin, window = 0, b""
    for end in ends:
        if end <= read:
            continue
        inside = end - 1 - origin
        lines = _lines(window, inside) if JOINT < inside < len(window) - JOINT else []
        low, high = max(JOINT, end - RUN_BACK - origin), len(window) - JOINT
        if not lines or lines[0].start < low or lines[-1].end > high:
            origin = max(0, end - RUN_BACK)
            window = bytes(text[origin : end + RUN_AHEAD])
            lines = _lines(window, end - 1 - origin)
        cut_before = lines[0].start == 0 and origin > 0
        cut_behind = lines[-1].end == len(window) and origin + len(window) < len(text)
        read = origin + lines[-1].end - (RUN_KEEP if cut_behind else 0)
        digits = b"".join([window[line.start : line.end] for line in lines]).translate(_STANDARD)
        if len(digits) < _FEWEST:
            continue
        marks = [0, *accumulate(line.width for line in lines[:-1])]
        places = [origin + line.start for line in lines]
        for lead in range(4):
            body = digits[lead : -1 if (len(digits) - lead) % 4 == 1 else None]
            decoded = binascii.a2b_base64(body + b"=" * (-len(body) % 4))
            if _PRINTABLE.search(decoded):
                last, around = origin + lines[-1].end, (origin, origin + len(window))
                yield DecodedText(
                    "base64", decoded, (3, 4), lead, marks, places, last, cut_before, cut_behind, window=around
                )


def _lines(window: bytes, inside: int) -> list[_Line]:
    """The run of base64 around the digit at `inside`, over all its lines.

    Lines of one run are as wide as each other, but for the first, which may begin behind a name, and the last; strings
    that the source joins are of any width. A line counts when nothing but the end of a string or a break follows it.
    """
    start, end = _stretch(window, inside, _BASE64)
    if start and window[start - 1] == ord("\\") and window[start] in b"nrt":
        start += 1  # the end of an escape, not a digit
    lines = [_Line(start, end)]
    while (found := _NEXT_LINE.match(window, lines[-1].end)) is not None:
        line = _Line(*found.span(1), quoted=_quotes(window, lines[-1].end))
        if not (_continues(lines[-1], line, first=len(lines) == 1) and _NOTHING_BEHIND.match(window, line.end)):
            break
        lines.append(line)
        if line.width < lines[-2].width and not line.quoted:
            break
    lines.reverse()
    while (joint := _joint_before(window, lines[-1].start)) > 0:
        later = lines[-1]
        line = _Line(*_stretch(window, joint - 1, _BASE64), quoted=_quotes(window, joint))
        if not (line.width and _continues(line, later, first=True) and _NOTHING_BEHIND.match(window, later.end)):
            break
        if later.width < line.width and len(lines) > 1 and not line.quoted:
            break
        lines.append(line)
        if line.width < later.width and not line.quoted:
            break
    lines.reverse()
    return lines


def _joint_before(window: bytes, start: int) -> int:
    """Where the line before the one that begins at `start` ends, without what joins the two; 0 when there is none."""
    broken = window.rfind(b"\n", max(0, start - JOINT), start)
    if broken >= 0 and _ONLY_MARGIN.fullmatch(window, broken + 1, start):
        end = _LINE_END.search(window, max(0, broken - 24), broken)
        return end.start() if end else 0
    near = window[max(0, start - 24) : start].rstrip(b" \t")[-2:]
    if near != b"\\n" and near[-1:] not in {b'"', b"'"}:
        return 0
    found = _OTHER_JOINT.search(window, max(0, start - 130), start)
    return found.start() if found else 0


def _continues(line: _Line, following: _Line, *, first: bool) -> bool:
    if line.width < _FULL_LINE:
        return False
    return following.quoted or first or following.width <= line.width


def _quotes(window: bytes, at: int) -> bool:
    return window[at : at + 1] in {b'"', b"'", b"`"}


def _stretch(window: bytes, inside: int, alphabet: bytes) -> tuple[int, int]:
    """The span of the digits of `alphabet` around offset `inside`."""
    near = max(0, inside - 255)
    start = near + len(window[near : inside + 1].rstrip(alphabet))
    if start == near:
        start = len(window[:near].rstrip(alphabet))
    far = inside + 256
    rest = len(window[inside + 1 : far].lstrip(alphabet))
    if not rest:
        rest = len(window[far:].lstrip(alphabet))
        far = len(window)
    return start, min(far, len(window)) - rest


def _hex(text: Buffer, ends: Iterable[int]) -> Iterator[DecodedText]:
    read = -1
    for end in ends:
        if end <= read:
            continue
        origin = max(0, end - RUN_BACK)
        window = bytes(text[origin : end + RUN_AHEAD])
        low, high = _stretch(window, end - 1 - origin, _HEX)
        cut_before, cut_behind = low == 0 and origin > 0, high == len(window) and origin + high < len(text)
        read = origin + high - (RUN_KEEP if cut_behind else 0)
        for lead in range(2):
            decoded = binascii.a2b_hex(window[low + lead : high - (high - low - lead) % 2])
            if _PRINTABLE.search(decoded):
                around = (origin, origin + len(window))
                yield DecodedText(
                    "hex",
                    decoded,
                    (1, 2),
                    lead,
                    [0],
                    [origin + low],
                    origin + high,
                    cut_before,
                    cut_behind,
                    window=around,
                )


# --- regions: escapes -------------------------------------------------------------------------------------------------

_ESCAPE = re.compile(
    rb"""\\(?:u[0-9A-Fa-f]{4}|u\{[0-9A-Fa-f]{1,6}\}|x[0-9A-Fa-f]{2}|[0-3][0-7]{2}|["'\\/bfnrtave0`$]|\r?\n)"""
)
_PERCENT = re.compile(rb"%[0-9A-Fa-f]{2}")
_LETTERS = {
    b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"v": b"\v", b"e": b"\x1b",
    b"0": b"\0", b"\n": b"", b"\r\n": b"",
}  # fmt: skip


class _EscapeTable(dict[bytes, bytes]):
    """Escape to what it stands for. Keeps what it was asked for: escapes are few and come by the thousand."""

    MOST = 4096

    def __missing__(self, escape: bytes) -> bytes:
        plain = bytes([int(escape[1:], 16)]) if escape[:1] == b"%" else _unescape(escape)
        if len(self) < self.MOST:
            self[escape] = plain
        return plain


_plain = _EscapeTable()


def _unescape(escape: bytes) -> bytes:
    letter, digits = escape[1:2], escape[2:].strip(b"{}")
    if letter == b"u":
        return _character(int(digits, 16))
    if letter == b"x":
        return bytes([int(digits, 16)])
    return bytes([int(escape[1:], 8)]) if digits.isdigit() else _LETTERS.get(escape[1:], escape[1:])


def _character(point: int) -> bytes:
    """A code point as UTF-8; half of a surrogate pair, which no credential holds, as a question mark."""
    return chr(point).encode("utf-8", "replace") if point < 0x110000 else b"?"


def _replacement(found: re.Match[bytes]) -> bytes:
    return _plain[found[0]]


def _unwrap_escapes(
    kind: str, text: Buffer, ends: Iterable[tuple[int, Carrier]], look: HitFinder
) -> Iterator[tuple[DecodedText, Hits]]:
    """The regions around the carriers, those that overlap taken together up to `REGION` bytes."""
    pattern = _ESCAPE if kind == "escape" else _PERCENT
    for reaches in _regions(ends, len(text)):
        low, high = reaches[0].low, max(reach.high for reach in reaches)
        window = bytes(text[low:high])
        # half of the backslashes at a cut may stand before it
        skip = len(window) - len(window.lstrip(b"\\")) if low else 0
        decoded, count = pattern.subn(_replacement, window[skip:])
        hits = look(decoded) if count else []
        if not hits:
            continue
        marks, places, size, at = [0], [low + skip], 0, skip
        for found in pattern.finditer(window, skip):
            start, end = found.span()
            size += start - at
            new = size + len(_plain[found[0]])
            marks += (size, new)
            places += (low + start, low + end)
            size, at = new, end
        unwrapped = DecodedText(
            kind, decoded, (1, 1), 0, marks, places, high, low > 0, high < len(text), sorted(reaches, key=_end)
        )
        yield unwrapped, hits


def _end(reach: DecodedWindow) -> tuple[int, int]:
    return reach.high, reach.low


def _regions(ends: Iterable[tuple[int, Carrier]], size: int) -> Iterator[list[DecodedWindow]]:
    """The reaches of the carriers, in groups that overlap and are decoded together."""
    group: list[DecodedWindow] = []
    behind = 0
    for end, carrier in ends:
        start = max(0, end - carrier.longest)
        reach = DecodedWindow(max(0, start - carrier.back), min(size, end + carrier.ahead), start, end)
        if group and (reach.low >= behind or reach.high - group[0].low > REGION):
            yield group
            group, behind = [], 0
        group.append(reach)
        behind = max(behind, reach.high)
    if group:
        yield group
