"""The source "history": every object that a repository and its submodules hold, those of Git LFS too."""

import os
from collections.abc import Callable
from pathlib import Path

from orchestra_creds.core.progress import NoProgress, Progress
from orchestra_creds.core.record import replace
from orchestra_creds.errors import CredsError
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.exclusions import Exclusions
from orchestra_creds.scanner.finding import SkippedItem
from orchestra_creds.scanner.git.history import scan_history
from orchestra_creds.scanner.git.repository import Repository
from orchestra_creds.scanner.git.submodules import find_submodules
from orchestra_creds.scanner.lfs_objects import scan_lfs_objects
from orchestra_creds.scanner.opened_source import OpenedSource, SourceResult
from orchestra_creds.scanner.request import ScanRequest
from orchestra_creds.scanner.sources.shared import archive_limits, open_repository, scan_settings


class OpenedHistory(OpenedSource):
    """The objects of a repository; with `since`, those that came after that revision."""

    def __init__(self, request: ScanRequest, repository: Repository, *, since: str | None = None) -> None:
        super().__init__(request, repository.root, repository)
        self._objects = repository
        self._since = since

    def scan(self, engine: Engine, progress: Progress, meanwhile: Callable[[], None]) -> SourceResult:
        """Look at every object that no earlier scan has seen, and at the histories of submodules."""
        result = SourceResult()
        aided = self._scan_repository(self._objects, "", result, engine, progress, meanwhile)
        if self._since is None:
            self._scan_submodules(self._objects, "", engine, result, set(), aided=aided)
        exclusions = Exclusions(self.request.exclude)
        result.sightings = [s for s in result.sightings if not exclusions.match(os.fsencode(s.place.path))]
        result.covers_all = self._since is None and not self.request.exclude
        return result

    def _scan_submodules(
        self,
        repository: Repository,
        prefix: str,
        engine: Engine,
        result: SourceResult,
        seen: set[str],
        *,
        aided: bool,
    ) -> None:
        """Add the histories of the submodules below `prefix`, each repository once; `aided`: git may be asked for them."""
        try:
            found, missing = find_submodules(repository) if aided else ([], [])
        except CredsError as error:
            aided, found, missing = False, [], [SkippedItem(".gitmodules", f"submodules are not known: {error}")]
        if not aided and not missing:
            missing = [SkippedItem(".gitmodules", "submodules are not known: git cannot read this repository")]
        result.skipped += (replace(one, path=prefix + one.path) for one in missing)
        for path, module in found:
            place = os.path.realpath(module.common_dir)
            if place in seen:
                continue
            seen.add(place)
            below = f"{prefix}{path}/"
            try:
                aided = self._scan_repository(module, below, result, engine, NoProgress(), lambda: None)
                self._scan_submodules(module, below, engine, result, seen, aided=aided)
            except CredsError as error:  # the repository around it is still scanned
                result.skipped.append(SkippedItem(f"{prefix}{path}", str(error)))

    def _scan_repository(
        self,
        repository: Repository,
        below: str,
        result: SourceResult,
        engine: Engine,
        progress: Progress,
        meanwhile: Callable[[], None],
    ) -> bool:
        """Add what a repository holds, its paths relative to the folder `below` of the root; return whether git can read it."""
        request = self.request
        limits = archive_limits(request)
        found = scan_history(
            repository,
            engine,
            since=self._since,
            jobs=request.jobs,
            max_size=request.max_size,
            archives=limits,
            cache_dir=Path(request.cache_dir) if request.cache_dir and request.use_cache else None,
            progress=progress,
            meanwhile=meanwhile,
        )
        notes = [
            f"the history is read from {folder}, outside the scanned folder: .git, a link in it, or its alternates lead there"
            for folder in repository.outside_folders(self.root)
        ]

        def report_path(path: str) -> str:
            return self._objects.relative(os.path.join(below, path))

        _add(result, SourceResult(list(found.sightings), list(found.skipped), found.stats, notes=notes), report_path)
        whole = self._since is None
        _add(result, scan_lfs_objects(request, repository, engine, limits, found.pointers, whole=whole), report_path)
        if whole:
            named = {item.path for item in result.skipped}
            settings = {path: report_path(path) for path in repository.settings_files()}
            more = scan_settings(request, engine, {path: name for path, name in settings.items() if name not in named})
            more.sightings = [replace(one, place=replace(one.place, in_head=True)) for one in more.sightings]
            _add(result, more, str)
        return not found.unaided


def _add(result: SourceResult, more: SourceResult, report_path: Callable[[str], str]) -> None:
    """Add another result, with its paths as a report shows them."""
    result.sightings += (
        replace(one, place=replace(one.place, path=report_path(one.place.path))) for one in more.sightings
    )
    result.skipped += (replace(one, path=report_path(one.path)) for one in more.skipped)
    result.notes += more.notes
    stats, other = result.stats, more.stats
    result.stats = replace(
        stats, blobs=stats.blobs + other.blobs, bytes=stats.bytes + other.bytes, cached=stats.cached + other.cached
    )


def open_source(request: ScanRequest) -> OpenedSource:
    """Return the history of the repository that the request names."""
    return OpenedHistory(request, open_repository(request))
