"""A confirmed match inside one blob, before it is given a path and an identity.

Detections are what the engine, the pipeline and the history scan exchange. They hold material, so they live only in the
memory of the process that found them, or on a private pipe between our own processes, and are never written anywhere.
"""

from orchestra_creds.core.material import Material
from orchestra_creds.core.record import dataclass
from orchestra_creds.scanner.finding import FindingPlace
from orchestra_creds.scanner.rule import Confidence, Rule


@dataclass(frozen=True, slots=True)
class Detection:
    """One credential in one blob.

    start, end    bytes [start, end) of the blob: the credential as it is written there (encoded, if it was)
    read_from,    the verdict depended on bytes [read_from, read_to) of the blob and on nothing else; the history
    read_to       scan carries a detection through a copied range only when that range holds all of it
    material      canonical: decoded and unescaped, the same however the credential was wrapped
    decoded       how it was wrapped, outermost first: "base64", "percent", "json", "hex", ...
    """

    rule: Rule
    start: int
    end: int
    read_from: int
    read_to: int
    material: Material
    confidence: Confidence
    decoded: tuple[str, ...] = ()
    note: str = ""

    def shift(self, by: int, size: int | None = None) -> "Detection":
        """Return the detection as it is in a blob that holds the same text `by` bytes later.

        With the `size` of that blob in bytes, the range that the verdict read ends at its edges.
        """
        read_from, read_to = self.read_from + by, self.read_to + by
        if size is not None:
            read_from, read_to = max(read_from, 0), min(read_to, size)
        return Detection(
            self.rule,
            self.start + by,
            self.end + by,
            read_from,
            read_to,
            self.material,
            self.confidence,
            self.decoded,
            self.note,
        )


@dataclass(frozen=True, slots=True)
class Sighting:
    """A detection at a place, with the text that filters may look at.

    line    the whole lines that the match spans, at most 4096 bytes     match   the bytes [start, end) as written
    allow   the reason of an inline allow on those lines; "" when there is none
    """

    detection: Detection
    place: FindingPlace
    line: Material
    match: Material
    allow: str = ""
