"""The source "history": every object that a repository holds."""

import os
from collections.abc import Callable
from pathlib import Path

from orchestra_creds.core.progress import Progress
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.exclusions import Exclusions
from orchestra_creds.scanner.git.history import scan_history
from orchestra_creds.scanner.git.repository import Repository
from orchestra_creds.scanner.opened_source import OpenedSource, SourceResult
from orchestra_creds.scanner.request import ScanRequest
from orchestra_creds.scanner.sources.shared import archive_limits, open_repository


class OpenedHistory(OpenedSource):
    """The objects of a repository; with `since`, those that came after that revision."""

    def __init__(self, request: ScanRequest, repository: Repository, *, since: str | None = None) -> None:
        super().__init__(request, repository.root, repository)
        self._objects = repository
        self._since = since

    def scan(self, engine: Engine, progress: Progress, meanwhile: Callable[[], None]) -> SourceResult:
        """Look at every object that no earlier scan has seen."""
        request = self.request
        found = scan_history(
            self._objects,
            engine,
            since=self._since,
            jobs=request.jobs,
            max_size=request.max_size,
            archives=archive_limits(request),
            cache_dir=Path(request.cache_dir) if request.cache_dir and request.use_cache else None,
            progress=progress,
            meanwhile=meanwhile,
        )
        exclusions = Exclusions(request.exclude)
        sightings = [s for s in found.sightings if not exclusions.match(os.fsencode(s.place.path))]
        covers_all = self._since is None and not request.exclude
        notes = [
            f"the history is read from {folder}, outside the scanned folder: .git, a link in it, or its alternates lead there"
            for folder in self._objects.outside_folders()
        ]
        return SourceResult(sightings, list(found.skipped), found.stats, notes=notes, covers_all=covers_all)


def open_source(request: ScanRequest) -> OpenedSource:
    """Return the history of the repository that the request names."""
    return OpenedHistory(request, open_repository(request))
