"""The source "stdin": what arrives on standard input."""

from collections.abc import Callable
from pathlib import Path

from orchestra_creds.core.progress import Progress
from orchestra_creds.core.text import os_error_text
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.file_names import STDIN
from orchestra_creds.scanner.finding import ScanStats, SkippedItem
from orchestra_creds.scanner.git.repository import Repository
from orchestra_creds.scanner.opened_source import OpenedSource, SourceResult
from orchestra_creds.scanner.request import ScanRequest
from orchestra_creds.scanner.sources.shared import open_explorer


class _OpenedStdin(OpenedSource):
    """Standard input; its root is the working folder."""

    def scan(self, engine: Engine, progress: Progress, meanwhile: Callable[[], None]) -> SourceResult:  # noqa: ARG002  no workers
        """Read to the end."""
        return scan_stdin(self.request, engine, progress)


def open_source(request: ScanRequest) -> OpenedSource:
    """Return standard input; nothing is read yet."""
    here = Path.cwd()
    return _OpenedStdin(request, here, Repository.discover(here))


def scan_stdin(request: ScanRequest, engine: Engine, progress: Progress) -> SourceResult:
    """Scan what arrives on standard input."""
    progress.start(items=None, size=None)
    explorer = open_explorer(request, engine)
    failures = []
    try:
        with open(0, "rb", buffering=0, closefd=False) as source:
            explorer.scan(_StdinStream(source.read), STDIN, passed=lambda count: progress.advance(size=count))
    except OSError as error:
        failures.append(SkippedItem(STDIN, f"cannot be read: {os_error_text(error)}"))
    found = explorer.gathered
    return SourceResult(found.sightings, failures + found.skipped, ScanStats(blobs=found.blobs, bytes=found.size))


class _StdinStream:
    """Standard input as a stream; a terminal or pipe may return less than was asked for."""

    def __init__(self, read: Callable[[int], bytes | None]) -> None:
        self._read = read

    def read(self, size: int, /) -> bytes:
        return self._read(size) or b""
