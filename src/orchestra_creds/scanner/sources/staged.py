"""The source "staged": what the next commit would add or change, as it is in the index."""

import os
from collections.abc import Callable

from orchestra_creds.core.progress import Progress
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.exclusions import Exclusions
from orchestra_creds.scanner.finding import ScanStats, SkippedItem
from orchestra_creds.scanner.git.repository import Repository
from orchestra_creds.scanner.opened_source import OpenedSource, SourceResult
from orchestra_creds.scanner.request import ScanRequest
from orchestra_creds.scanner.sources.shared import open_explorer, open_repository


class _OpenedIndex(OpenedSource):
    """The index of a repository."""

    def __init__(self, request: ScanRequest, repository: Repository) -> None:
        super().__init__(request, repository.root, repository)
        self._index = repository

    def scan(self, engine: Engine, progress: Progress, meanwhile: Callable[[], None]) -> SourceResult:  # noqa: ARG002  a short scan
        """Look at every file that is staged."""
        exclusions = Exclusions(self.request.exclude)
        explorer = open_explorer(self.request, engine)
        paths, too_large = [], []
        for staged in self._index.staged_files(max_size=self.request.max_size or None):
            path = os.fsdecode(staged.path)
            if exclusions.match(staged.path):
                continue
            paths.append(path)
            if staged.content is None:
                too_large.append(SkippedItem(path, f"larger than {self.request.max_size:,} bytes"))
            else:
                explorer.scan_bytes(staged.content, path)
        found = explorer.gathered
        stats = ScanStats(blobs=found.blobs, bytes=found.size)
        return SourceResult(found.sightings, too_large + found.skipped, stats, paths)


def open_source(request: ScanRequest) -> OpenedSource:
    """Return the index of the repository that the request names."""
    return _OpenedIndex(request, open_repository(request))
