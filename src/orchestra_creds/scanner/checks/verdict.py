"""What a structure check is given, and what it answers.

A check is a pure function of bytes: the same window gives the same verdict, whatever the path, the clock or the order of
the scan. It reads at most `LOOK_BACK` bytes before the match and `LOOK_FORWARD` bytes after its start, never outside
[lo, hi), and it says in its verdict which bytes it depended on, so that a history scan knows when a verdict still holds.
"""

from collections.abc import Callable
from mmap import mmap

from orchestra_creds.core.record import dataclass
from orchestra_creds.scanner.rule import Confidence

Buffer = bytes | bytearray | memoryview | mmap

LOOK_BACK = 4096
"""Most bytes before the start of a match that a check may read: the fields of a credential file before its key."""

LOOK_FORWARD = 16384
"""Most bytes after the start of a match that a check may read: an escaped RSA-8192 key and the fields behind it."""

NARROW = {
    **dict.fromkeys(
        ("token", "token-possible", "mixed", "mixed-possible", "mixed-case", "mixed-case-possible"), (64, 1)
    ),
    **dict.fromkeys(("crc62", "stripe", "aws-pair", "aws-key-id", "aws-session"), (64, 1)),
    "assigned-password": (192, 832),
    "assigned-secret": (192, 832),
    "url-password": (70, 256),
    "url-password-local": (70, 256),
    "connection-string": (256, 512),
    "field-password": (0, 257),
    "command-password": (64, 400),
    "quoted-password": (1, 260),
    "quoted-secret": (1, 1),
    "data-source-name": (0, 8),
    "default-value": (320, 260),
    "kubernetes-secret": (2048, 2048),
}
"""The checks that most places of a history lead to read no further than so many bytes before the start of the material and
behind its end; they are given no more. A change farther off need not be judged again."""


def reach(check: str) -> tuple[int, int]:
    """How many bytes before the start of the material and behind its end a check may read."""
    return NARROW.get(check, (LOOK_BACK, LOOK_FORWARD))


@dataclass(frozen=True, slots=True)
class Subject:
    """One match of a rule's pattern.

    material      the bytes of the rule's group            data         the buffer that holds the match
    start, end    the span of the material in `data`       lo, hi       no byte outside [lo, hi) may be read
    """

    material: bytes
    data: Buffer
    start: int
    end: int
    lo: int
    hi: int

    def read(self, start: int, end: int) -> bytes:
        """The bytes [start, end) of the buffer, clipped at what may be read."""
        return bytes(
            self.data[max(start, self.lo, self.start - LOOK_BACK) : min(end, self.hi, self.start + LOOK_FORWARD)]
        )

    def before(self, length: int) -> bytes:
        """At most `length` bytes that stand before the material."""
        return self.read(self.start - length, self.start)

    def after(self, length: int) -> bytes:
        """At most `length` bytes that stand behind the material."""
        return self.read(self.end, self.end + length)


@dataclass(frozen=True, slots=True)
class CheckVerdict:
    """A match that was confirmed.

    material      canonical: the same however the credential was written       confidence   how sure
    start, end    the credential as it stands in the buffer; may be wider than the match
    read_from,    the verdict depended on these bytes of the buffer and on
    read_to       nothing else; they hold [start, end)
    decoded       escapes that the check itself undid, outermost first         note         what else it learnt, no secret
    """

    material: bytes
    confidence: Confidence
    start: int
    end: int
    read_from: int
    read_to: int
    decoded: tuple[str, ...] = ()
    note: str = ""


Check = Callable[[Subject], CheckVerdict | None]
"""Confirms and grades a match, or refuses it with None."""

QuickLook = Callable[[Buffer, int], bool]
"""Whether a check may accept a match that begins at this offset of the buffer; quicker than the pattern of its rule."""
