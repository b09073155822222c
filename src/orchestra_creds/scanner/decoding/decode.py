r"""Encoded text inside text: base64, hex, percent and backslash escapes, with the way back to the encoded bytes.

The first pass also looks for `CARRIERS`: short patterns that only encoded text shows, such as `\u003d`, or what the rules'
words look like in base64 (`markers`). Around each the text is decoded and scanned again, up to `MAX_DEPTH` times.

Guarantees: decoding shrinks, is linear, and is bounded by the reach of its carrier, so no input blows it up; what is
decoded around one carrier depends on the bytes in its reach only; a match at an edge that the reach cut is dropped, for
nobody knows what stands behind it. Never raises on any input.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile

from orchestra_creds.core.record import dataclass

MAX_DEPTH = 5
"""How many wrappings around a credential are undone."""

RUN_BACK, RUN_AHEAD = 12 << 10, 24 << 10
"""Bytes of a base64 or hex run that are decoded before and behind a carrier, line breaks included."""

RUN_KEEP = 12 << 10
"""A further carrier in a decoded run opens a window of its own only where fewer bytes than these are left."""

JOINT = 320
"""Most bytes between two lines of one run: quotes, a sign of concatenation, the break, indentation, a comment mark."""

EDGE = 8
"""A match nearer than this to an edge that was cut is dropped, in decoded bytes."""

DENSE = 12
"""A carrier so near behind another one of its kind is passed over; its reach is the same, give or take these bytes."""

REGION = 256 << 10
"""Bytes of escaped text that are unescaped at a time."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """A pattern that betrays encoded text; each start has exactly one end, so that both engines report the same.

    pattern       empty for base64: `markers.literals` of the rules
    longest       the most bytes that a match may take
    back, ahead   how far around the end of a match the text is decoded, in bytes
    """

    kind: str
    pattern: str
    longest: int
    back: int
    ahead: int


@dataclass(frozen=True, slots=True)
class DecodedWindow:
    """The window [low, high) of the outer text that the carrier in [start, end) has decoded."""

    low: int
    high: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class DecodedText:
    """Decoded text, and where each of its bytes came from.

    unit, lead        so many decoded bytes are written with so many encoded ones, after `lead` that were left out
    marks, places     encoded offset -> offset in the outer text, piecewise: places[i] belongs to marks[i]
    cut_before, cut_behind   whether the outer text goes on there in the same encoding, unread
    window            of a run: what was looked at around its first carrier, to find where it begins and ends
    reaches           the windows around the carriers, by end; a match counts when one of them holds it
    """

    kind: str
    text: bytes
    unit: tuple[int, int]
    lead: int
    marks: Sequence[int]
    places: Sequence[int]
    end: int
    cut_before: bool = False
    cut_behind: bool = False
    reaches: Sequence[DecodedWindow] = ()
    window: tuple[int, int] = (0, 0)

    def outer(self, start: int, end: int) -> tuple[int, int]:
        """The span of the outer text that encodes [start, end)."""
        decoded, encoded = self.unit
        low = self._place(start // decoded * encoded + self.lead)
        if self.unit == (1, 1):
            return low, self._place(end)
        return low, min(self._place(((end - 1) // decoded + 1) * encoded - 1 + self.lead) + 1, self.end)

    def reads(self, start: int, end: int) -> tuple[int, int]:
        """The span of the outer text on which the decoding of [start, end) depends: for a run, all that was looked at."""
        if self.unit != (1, 1):
            return self.window
        low, high = self.outer(start, end)
        return low - EDGE, high + EDGE

    def holds(self, start: int, end: int) -> bool:
        """Whether [start, end) of the decoded text is beyond doubt: away from cut edges, and within one reach."""
        if (self.cut_before and start < EDGE) or (self.cut_behind and end > len(self.text) - EDGE):
            return False
        if self.unit != (1, 1):
            return True
        return self._has_escape(start, end) and any(True for _ in self._reaches(*self.outer(start, end)))

    def _has_escape(self, start: int, end: int) -> bool:
        """Whether an escape stands in or at [start, end); elsewhere the outer text shows the same."""
        return bisect_left(self.marks, start - 1, lo=1) < bisect_right(self.marks, end + 1)

    def carrier(self, start: int, end: int) -> tuple[int, int]:
        """The span of the outer text without which [start, end) would not have been decoded: that of a carrier near by."""
        low, high = self.outer(start, end)
        around = ((min(low, reach.start), max(high, reach.end)) for reach in self._reaches(low, high))
        return min(around, key=lambda span: span[1] - span[0], default=(low, high))

    def _reaches(self, low: int, high: int) -> Iterator[DecodedWindow]:
        """Those that hold [low, high)."""
        at = bisect_left(self.reaches, high, key=lambda reach: reach.high)
        near = takewhile(lambda reach: reach.high - low <= MOST_BACK + MOST_AHEAD, islice(self.reaches, at, None))
        return (reach for reach in near if reach.low <= low)

    def _place(self, encoded: int) -> int:
        at = bisect_right(self.marks, encoded) - 1
        return self.places[at] + encoded - self.marks[at]


# --- carriers ---------------------------------------------------------------------------------------------------------

_HEX_PAIR = "(?:[2-7][0-9A-Fa-f]|0[9AaDd])"
_SIGN = "(?:2[0-9A-Fa-f]|3[AaDd]|40|5[CcFf]|7[BbDd])"
_PLAIN_PERCENT = "(?:0[AaDd]|2[2-9A-Fa-f]|3[AaDd]|40|5[BbCcDdFf]|7[BbDd])"

CARRIERS = (
    Carrier("base64", "", 40, RUN_BACK, RUN_AHEAD),
    Carrier("hex", f"(?:{_HEX_PAIR}){{16}}", 32, RUN_BACK, RUN_AHEAD),
    Carrier("escape", rf"\\u00{_SIGN}", 6, 2048, 4096),
    Carrier("escape", rf"\\x{_SIGN}", 4, 2048, 4096),
    Carrier("escape", r'\\"[ \t\n]{0,3}:', 6, 2048, 8192),
    Carrier("escape", r":\\/\\/", 5, 2048, 4096),
    Carrier("escape", r"(?:\\u00[2-7][0-9A-Fa-f]){3}", 18, 8192, RUN_AHEAD),
    Carrier("escape", r"(?:\\x[2-7][0-9A-Fa-f]){3}", 12, 8192, RUN_AHEAD),
    Carrier("escape", r"(?:\\[01][0-7]{2}){3}", 12, 8192, RUN_AHEAD),
    Carrier("percent", f"%{_PLAIN_PERCENT}", 3, 2048, 4096),
    Carrier("percent", "%22(?:%20)?%3[Aa]", 9, 2048, 8192),
    Carrier("percent", "(?:%[2-7][0-9A-Fa-f]){3}", 9, 8192, RUN_AHEAD),
)
"""What the first pass looks for beside the rules."""

MOST_BACK = max(carrier.back + carrier.longest for carrier in CARRIERS)
MOST_AHEAD = max(carrier.ahead for carrier in CARRIERS)
