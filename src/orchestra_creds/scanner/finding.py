"""What a scan found and what it could not look at, as data.

A finding is one credential at one path; its places are the spots there (lines of a file, versions in a history). The
credential's identity is a keyed hash over rule and material, a finding's fingerprint adds the path: the same key in ten
files is one credential with ten findings. Lines and columns are 1-based, columns count Unicode code points.
"""

from orchestra_creds.core.record import dataclass, field
from orchestra_creds.errors import ExitCode
from orchestra_creds.scanner.rule import Confidence, Severity


@dataclass(frozen=True, slots=True)
class FindingPlace:
    """Where a credential stands. `commit`, `author` (name, no mail) and `date` (RFC 3339, UTC) only in a history."""

    path: str
    line: int
    end_line: int
    column: int
    commit: str = ""
    author: str = ""
    date: str = ""
    in_head: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """A credential at a path. Holds no material: only keyed hashes and a mask."""

    rule: str
    description: str
    severity: Severity
    confidence: Confidence
    fingerprint: str
    credential: str
    mask: str
    places: tuple[FindingPlace, ...]
    decoded: tuple[str, ...] = ()
    note: str = ""
    remedy: str = ""
    tags: tuple[str, ...] = ()

    @property
    def in_head(self) -> bool:
        """Whether the credential still stands at this path today."""
        return any(place.in_head for place in self.places)

    @property
    def first(self) -> FindingPlace:
        """The place that stands for the finding: the introducing commit, or the first line."""
        return self.places[0]


@dataclass(frozen=True, slots=True)
class SkippedItem:
    """Something the scan was asked to look at and could not; it makes the report incomplete.

    Attributes:
        absence: One of `absence.ABSENCES` for content that this clone of a repository lacks; "" for anything else.
    """

    path: str
    reason: str
    absence: str = ""


@dataclass(frozen=True, slots=True)
class ScanStats:
    """How much was looked at; bytes are those of the content scanned, seconds are wall time.

    `began` is RFC 3339, UTC, to the second; "" when nobody said so.
    """

    blobs: int = 0
    bytes: int = 0
    cached: int = 0
    seconds: float = 0.0
    began: str = ""


@dataclass(frozen=True, slots=True)
class ScanReport:
    """The result of one scan; `accepted` findings are hidden by the baseline, `allowed` spots by inline comments.

    `gitleaks` findings are hidden by files of gitleaks: allowlists, ignores and reports. `revision` is the commit that was checked
    out, if the format wants to name it and there is one.
    """

    root: str
    source: str
    findings: tuple[Finding, ...] = ()
    skipped: tuple[SkippedItem, ...] = ()
    accepted: int = 0
    allowed: int = 0
    gitleaks: int = 0
    notes: tuple[str, ...] = ()
    revision: str = ""
    stats: ScanStats = field(default_factory=ScanStats)

    @property
    def complete(self) -> bool:
        """Whether everything asked for was looked at."""
        return not self.skipped

    @property
    def exit_code(self) -> ExitCode:
        """5 when something could not be read, else 1 with findings, else 0."""
        if not self.complete:
            return ExitCode.INCOMPLETE
        return ExitCode.ATTENTION if self.findings else ExitCode.OK
