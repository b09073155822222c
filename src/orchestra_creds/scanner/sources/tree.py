"""The source "tree": files and folders, and standard input too where "-" is among the paths."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from orchestra_creds.core.record import replace
from orchestra_creds.scanner.exclusions import Exclusions
from orchestra_creds.scanner.file_names import STDIN
from orchestra_creds.scanner.finding import ScanStats
from orchestra_creds.scanner.git.repository import Repository
from orchestra_creds.scanner.opened_source import OpenedSource, SourceResult
from orchestra_creds.scanner.request import ScanRequest
from orchestra_creds.scanner.sources.shared import archive_limits, scan_settings
from orchestra_creds.scanner.tree.inventory import BackgroundInventory

TYPE_CHECKING = False  # typing's own costs 2 ms, for which the listing of a tree would wait
if TYPE_CHECKING:
    from orchestra_creds.core.progress import Progress
    from orchestra_creds.scanner.engine.engine import Engine


class _OpenedTree(OpenedSource):
    """Files and folders, which are listed from the start on."""

    def __init__(self, request: ScanRequest, paths: Sequence[str]) -> None:
        self._listing = BackgroundInventory(paths, all_files=request.all_files, exclusions=Exclusions(request.exclude))
        root = Path(os.fsdecode(self._listing.root))
        repository = Repository.discover(root)
        super().__init__(request, root, repository, below=_below(root, repository))

    def scan(self, engine: "Engine", progress: "Progress", meanwhile: Callable[[], None]) -> SourceResult:
        """Look at every file."""
        from orchestra_creds.scanner.tree.tree_scan import scan_tree  # loaded while the list is made

        if not self._listing.ready():
            engine.warm()  # a large tree: what its workers will need is loaded meanwhile
        inventory = self._listing.inventory()
        progress.start(items=len(inventory.files), size=None)
        found = scan_tree(
            engine,
            inventory,
            jobs=self.request.jobs,
            limits=archive_limits(self.request),
            max_size=self.request.max_size,
            progress=progress,
            meanwhile=meanwhile,
        )
        result = SourceResult(
            found.sightings,
            inventory.skipped + found.skipped,
            ScanStats(blobs=found.blobs, bytes=found.size),
            [os.fsdecode(path) for path in inventory.files],
            inventory.notes,
        )
        named = {item.path for item in inventory.skipped}
        settings = {path: inventory.report_path(path) for path in inventory.settings}
        if settings := {path: shown for path, shown in settings.items() if shown not in named}:
            _add(result, scan_settings(self.request, engine, settings))
        if STDIN in self.request.paths:
            from orchestra_creds.core.progress import NoProgress
            from orchestra_creds.scanner.sources.stdin import scan_stdin

            _add(result, scan_stdin(self.request, engine, NoProgress()))
        return result

    def close(self) -> None:
        """Stop the listing."""
        self._listing.close()


def open_source(request: ScanRequest) -> OpenedSource:
    """Start to list the files.

    Raises:
        NotFoundError: a path does not exist.
    """
    return _OpenedTree(request, [path for path in request.paths if path != STDIN])


def _below(root: Path, repository: Repository | None) -> str:
    if repository is None or repository.work_tree is None:
        return ""
    within = os.path.relpath(os.path.realpath(root), os.path.realpath(repository.work_tree)).replace(os.sep, "/")
    return "" if within == "." or within.split("/")[0] == ".." else within + "/"


def _add(result: SourceResult, more: SourceResult) -> None:
    result.sightings += more.sightings
    result.skipped += more.skipped
    result.paths += more.paths
    result.notes += more.notes
    result.stats = replace(
        result.stats, blobs=result.stats.blobs + more.stats.blobs, bytes=result.stats.bytes + more.stats.bytes
    )
