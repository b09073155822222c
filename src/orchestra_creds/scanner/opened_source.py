"""A source made ready for one scan, and what its scan returns."""

from collections.abc import Callable
from pathlib import Path

from orchestra_creds.core.record import dataclass, field
from orchestra_creds.scanner.finding import ScanStats, SkippedItem
from orchestra_creds.scanner.git.repository import Repository
from orchestra_creds.scanner.request import ScanRequest

TYPE_CHECKING = False  # typing's own costs 2 ms, for which the listing of a tree would wait
if TYPE_CHECKING:
    from orchestra_creds.core.progress import Progress
    from orchestra_creds.scanner.detection import Sighting
    from orchestra_creds.scanner.engine.engine import Engine


@dataclass(slots=True)
class SourceResult:
    """What the scan of one source found.

    Attributes:
        paths: The files that it looked at, for rules that look at names alone.
        covers_all: Whether it looked at everything that a baseline may name.
    """

    sightings: "list[Sighting]" = field(default_factory=list)
    skipped: list[SkippedItem] = field(default_factory=list)
    stats: ScanStats = field(default_factory=ScanStats)
    paths: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    covers_all: bool = False


class OpenedSource:
    """A source made ready for one scan.

    Attributes:
        root: The folder that paths in the report are relative to.
        repository: The repository that holds the root, if there is one.
        below: The root as seen from the top of the working tree that holds it, with a slash at its end; "" for the top.
    """

    def __init__(self, request: ScanRequest, root: Path, repository: Repository | None, *, below: str = "") -> None:
        self.request = request
        self.root = root
        self.repository = repository
        self.below = below

    def scan(self, engine: "Engine", progress: "Progress", meanwhile: Callable[[], None]) -> SourceResult:
        """Look at everything; `meanwhile` is called once beside the workers, if there are any."""
        raise NotImplementedError

    def close(self) -> None:
        """End what was begun when the source was opened."""
