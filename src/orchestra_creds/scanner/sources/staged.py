"""The source "staged": what the next commit would add or change, as it is in the index."""

import os
from collections.abc import Callable

from orchestra_creds.core.progress import Progress
from orchestra_creds.core.text import os_error_text
from orchestra_creds.scanner.absence import LFS
from orchestra_creds.scanner.content.explore import Explorer
from orchestra_creds.scanner.content.lfs import object_path, read_pointer
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.exclusions import Exclusions
from orchestra_creds.scanner.finding import ScanStats, SkippedItem
from orchestra_creds.scanner.git.control_files import read_regular
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
                self._scan_large_file(staged.content, path, explorer, too_large)
        found = explorer.gathered
        stats = ScanStats(blobs=found.blobs, bytes=found.size)
        return SourceResult(found.sightings, too_large + found.skipped, stats, paths)

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


def open_source(request: ScanRequest) -> OpenedSource:
    """Return the index of the repository that the request names."""
    return _OpenedIndex(request, open_repository(request))
