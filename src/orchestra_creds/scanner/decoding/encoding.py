"""Text that is not UTF-8: recognised by its byte order mark or by its zero bytes, and read as UTF-8.

Guarantees: the raw bytes are always scanned too, so no mark can hide anything; converted text has the same line breaks,
so lines and columns are those an editor shows. Nothing here raises on any input.
"""

import codecs

from orchestra_creds.scanner.buffers import SAMPLE
from orchestra_creds.scanner.checks.verdict import Buffer

MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: it starts with the same two bytes
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_FEWEST_PAIRS = 8
_MOSTLY, _RARELY = 0.6, 0.1


def wide(head: Buffer) -> str:
    """The name of the encoding when `head`, the start of a file, is UTF-16 or UTF-32; else "".

    Without a mark: nearly all text has a zero in one half of its pairs and hardly any in the other.
    """
    sample = bytes(head[:SAMPLE])
    for mark, name in MARKS:
        if sample.startswith(mark):
            return name
    pairs = len(sample) // 2
    if pairs < _FEWEST_PAIRS or b"\0" not in sample:
        return ""
    even, odd = sample[: 2 * pairs : 2].count(0) / pairs, sample[1 : 2 * pairs : 2].count(0) / pairs
    if odd > _MOSTLY and even < _RARELY:
        return "utf-16-le"
    if even > _MOSTLY and odd < _RARELY:
        return "utf-16-be"
    return ""


class Utf8Converter:
    """Turns one text into UTF-8, piece by piece, without its mark; what cannot be read becomes U+FFFD."""

    def __init__(self, name: str) -> None:
        self._decoder = codecs.getincrementaldecoder(name)("replace")
        self._begun = False

    def feed(self, piece: bytes, *, final: bool = False) -> bytes:
        """The next bytes of the converted text."""
        text = self._decoder.decode(piece, final=final)
        if text and not self._begun:
            text = text.removeprefix("\ufeff")
            self._begun = True
        return text.encode("utf-8", "replace")
