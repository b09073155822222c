"""The source "staged": what the next commit would add, as it is in the index."""

import os
from collections.abc import Callable, Sequence

from orchestra_creds.core.material import Material
from orchestra_creds.core.progress import Progress
from orchestra_creds.core.text import os_error_text
from orchestra_creds.scanner.absence import LFS
from orchestra_creds.scanner.content.explore import Explorer, ExploreResult
from orchestra_creds.scanner.content.lfs import object_path, read_pointer
from orchestra_creds.scanner.detection import Sighting
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.exclusions import Exclusions
from orchestra_creds.scanner.finding import ScanStats, SkippedItem
from orchestra_creds.scanner.git.control_files import read_regular
from orchestra_creds.scanner.git.repository import Repository, StagedFile
from orchestra_creds.scanner.opened_source import OpenedSource, SourceResult
from orchestra_creds.scanner.request import ScanRequest
from orchestra_creds.scanner.sources.shared import open_explorer, open_repository


class _OpenedIndex(OpenedSource):
    """The index of a repository."""

    def __init__(self, request: ScanRequest, repository: Repository) -> None:
        super().__init__(request, repository.root, repository)
        self._index = repository

    def scan(self, engine: Engine, progress: Progress, meanwhile: Callable[[], None]) -> SourceResult:  # noqa: ARG002  a short scan
        """Look at every file that is staged, and report what the commit adds to it."""
        exclusions = Exclusions(self.request.exclude)
        explorer = open_explorer(self.request, engine)
        results = [
            (staged, self._scan_file(explorer, os.fsdecode(staged.path), staged.content))
            for staged in self._index.staged_files(max_size=self.request.max_size or None)
            if not exclusions.match(staged.path)
        ]
        if any(found.sightings or found.skipped for _, found in results):
            self._drop_old_content(explorer, results)
        return SourceResult(
            [sighting for _, found in results for sighting in found.sightings],
            [item for _, found in results for item in found.skipped],
            ScanStats(blobs=sum(found.blobs for _, found in results), bytes=sum(found.size for _, found in results)),
            [os.fsdecode(staged.path) for staged, _ in results],
        )

    def _scan_file(self, explorer: Explorer, path: str, content: bytes | None) -> ExploreResult:
        """Return what one file holds; without content it is too large."""
        found = explorer.gathered = ExploreResult()
        if content is None:
            found.skipped.append(SkippedItem(path, f"larger than {self.request.max_size:,} bytes"))
        else:
            explorer.scan_bytes(content, path)
            self._scan_large_file(content, path, explorer, found.skipped)
        return found

    def _drop_old_content(self, explorer: Explorer, results: Sequence[tuple[StagedFile, ExploreResult]]) -> None:
        """Take out the content that HEAD holds already, and credentials that the same file held before the commit."""
        in_head = self._index.head_blobs()
        replaced = self._index.replaced_blobs()
        for staged, found in results:
            if staged.oid in in_head:
                found.sightings.clear()
                found.skipped.clear()
        leaking = {staged.path: found for staged, found in results if found.sightings and staged.path in replaced}
        wanted = [replaced[path] for path in leaking]
        limit = self.request.max_size or None
        contents = {oid: content for oid, _, _, content in self._index.objects(wanted, max_size=limit)}
        for path, found in leaking.items():
            content = contents.get(replaced[path])
            if content is not None:
                old = self._scan_file(explorer, os.fsdecode(path), content)
                known = {_identity(sighting) for sighting in old.sightings}
                found.sightings[:] = [one for one in found.sightings if _identity(one) not in known]

    def _scan_large_file(self, content: bytes, path: str, explorer: Explorer, skipped: list[SkippedItem]) -> None:
        """Scan the large file that a staged pointer of Git LFS stands for."""
        if (pointer := read_pointer(content)) is None:
            return
        file = self._index.common_dir / object_path(pointer.oid)
        limit = self.request.max_size
        try:
            if limit and file.stat().st_size > limit:
                skipped.append(SkippedItem(path, f"larger than {limit:,} bytes"))
            else:
                explorer.scan_bytes(read_regular(str(file), limit or pointer.size), path)
        except FileNotFoundError:
            reason = f"a Git LFS pointer, its {pointer.size:,} bytes are not here; run `git lfs fetch`"
            skipped.append(SkippedItem(path, reason, LFS))
        except OSError as error:
            skipped.append(SkippedItem(path, f"its Git LFS object cannot be read: {os_error_text(error)}"))


def _identity(sighting: Sighting) -> tuple[str, Material, str]:
    """What makes two sightings one finding."""
    return sighting.detection.rule.id, sighting.detection.material, sighting.place.path


def open_source(request: ScanRequest) -> OpenedSource:
    """Return the index of the repository that the request names."""
    return _OpenedIndex(request, open_repository(request))
