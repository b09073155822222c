"""Many files through the engine, fast: read into one reused buffer, matched in batches of about 1 MB.

Guarantees: what is found does not depend on the batches: files are kept apart by the engine's `SEPARATOR`, a hit
belongs to the file its end lies in, and each file is examined by itself. Large files, archives and UTF-16 go to the
explorer one by one. Nothing blocks and no link is followed; a link's own text is scanned, as git keeps it. What cannot be
read is named. A file is read as long as it was when it was opened, so one that grows for ever ends.

Plain small files are read by `_files.c` where that was built and knows the system; it leaves all others to the code here,
which reads them just the same.
"""

import errno
import os
import stat
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator

from orchestra_creds.core.text import os_error_text
from orchestra_creds.scanner.absence import LFS
from orchestra_creds.scanner.buffers import (
    LFS_START,
    MAGIC_STARTS,
    SAMPLE,
    SEPARATOR,
    SPECIAL_STARTS,
    ZIP_END,
    ZIP_END_SIZE,
)
from orchestra_creds.scanner.content.blobscan import MOST_SIGHTINGS, TOO_MANY, examine_whole
from orchestra_creds.scanner.content.explore import Explorer, ExploreResult
from orchestra_creds.scanner.content.formats import HEAD, ends_as_zip
from orchestra_creds.scanner.content.lfs import read_pointer
from orchestra_creds.scanner.decoding.encoding import wide
from orchestra_creds.scanner.finding import SkippedItem
from orchestra_creds.scanner.native_files import fill
from orchestra_creds.scanner.safe_open import FileOpener, not_a_file
from orchestra_creds.scanner.tree.large_files import can_share

BATCH = 1 << 20
"""Bytes that are matched at a time; a larger file is scanned by itself."""

_ENDLESS = 16 << 20
"""Bytes read of a file that claims to have none: those of /proc do."""

_REASONS = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENXIO: "a socket or a pipe, not a file",
    errno.ENAMETOOLONG: "its path is too long for this system",
    errno.EMFILE: "too many open files",
}


class TreeScan:
    """Scans the files below one root, token by token (a token is a range of positions in `files`).

    With `share`, files that several workers had better share are left to them, and named in `shared`.
    """

    def __init__(
        self,
        explorer: Explorer,
        root: bytes,
        files: list[bytes],
        *,
        named: Collection[bytes],
        passed: Callable[[int, int], None],
        share: bool = False,
    ) -> None:
        self._explorer = explorer
        self._passed = passed  # hears of files and bytes that were read
        self._engine = explorer.engine
        self._files = files
        self._named = named
        self._opener = FileOpener(root, named)
        self._descent = self._opener.below
        self._buffer = bytearray(BATCH + len(SEPARATOR))
        self._view = memoryview(self._buffer)
        self._at = 0
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._paths: list[bytes] = []
        self._share = share
        self.absent: list[bytes] = []
        self.shared: list[bytes] = []

    def run(self, tokens: Iterable[range]) -> Iterator[tuple[ExploreResult, list[range]]]:
        """What was gathered, batch by batch, and the tokens that are whole with it; an empty list in the midst of one."""
        open_tokens: list[range] = []
        try:
            for token in tokens:
                for gathered in self._token(token):
                    yield gathered, open_tokens
                    open_tokens = []
                open_tokens.append(token)
            self._match()
            yield self._take_result(), open_tokens
        finally:
            self._descent.close()

    def _token(self, token: range) -> Iterator[ExploreResult]:
        """Read the files of a token; yields what is gathered whenever the buffer was full."""
        at = token.start
        most = min(BATCH, self._explorer.max_size or BATCH)
        while at < token.stop:
            try:
                root = -1 if self._named else self._descent.folder(b"")
            except OSError:
                root = -1  # each file of it will be named
            if fill is None or root < 0:
                for path in self._files[at : token.stop]:
                    yield from self._file(path)
                return
            at, self._at, spans, paths, odd = fill(
                root, self._files, at, token.stop, self._buffer, self._at, BATCH, most
            )
            self._starts += [start for start, _ in spans]
            self._ends += [end for _, end in spans]
            self._paths += paths
            for path in odd:
                yield from self._file(path)
            if at < token.stop and self._paths:
                self._match()
                yield self._take_result()

    def _file(self, path: bytes) -> Iterator[ExploreResult]:
        """Read one file into the buffer, or scan it; yields what is gathered whenever the buffer was full."""
        try:
            fd = self._opener.open(path)
        except OSError as error:
            self._handle_open_error(path, error)
            return
        try:
            status = os.fstat(fd)
            size = status.st_size
            if not stat.S_ISREG(status.st_mode):
                self._skip(path, not_a_file(status.st_mode))
            elif self._explorer.max_size and size > self._explorer.max_size:
                self._skip(path, f"larger than {self._explorer.max_size:,} bytes")
            elif size <= BATCH and (size or not os.pread(fd, 1, 0)):  # those of /proc say they are empty, and are not
                if size > BATCH - self._at:
                    self._match()
                    yield self._take_result()
                self._small(path, fd, size)
            elif self._share and can_share(fd, size, self._explorer):
                self.shared.append(path)
            else:
                yield from self._large(path, fd, size)
        except OSError as error:
            self._skip(path, f"cannot be read: {os_error_text(error)}")
        finally:
            os.close(fd)

    def _small(self, path: bytes, fd: int, size: int) -> None:
        start, at = self._at, self._at
        while size and (count := os.readv(fd, [self._view[at : at + size]])):
            at += count
            size -= count
        self._add(path, start, at)

    def _add(self, path: bytes, start: int, end: int) -> None:
        """Take the file that was read to buffer[start:end] into the batch, unless it wants to be scanned by itself."""
        buffer = self._buffer
        if end > start and (
            (buffer[start] in MAGIC_STARTS and buffer.startswith(SPECIAL_STARTS, start, end))
            or buffer.find(0, start, min(end, start + SAMPLE)) >= 0
            or buffer.startswith(ZIP_END, end - ZIP_END_SIZE)
        ):
            head = bytes(buffer[start : min(end, start + SAMPLE)])
            tail = bytes(buffer[max(start, end - ZIP_END_SIZE) : end])
            if wide(head) or self._explorer.kind_of(head[:HEAD]) or ends_as_zip(tail):
                self._explore(path, bytes(buffer[start:end]))
                return
            if head.startswith(LFS_START):
                self._name_pointer(path, bytes(buffer[start:end]))
        self._starts.append(start)
        self._ends.append(end)
        self._paths.append(path)
        buffer[end : end + len(SEPARATOR)] = SEPARATOR
        self._at = end + len(SEPARATOR)

    def _name_pointer(self, path: bytes, content: bytes) -> None:
        """Name a file that is a pointer of Git LFS: what it points to was not checked out."""
        if (pointer := read_pointer(content)) is not None:
            reason = f"a Git LFS pointer, its {pointer.size:,} bytes are not here; run `git lfs pull`"
            self._explorer.gathered.skipped.append(SkippedItem(os.fsdecode(path), reason, LFS))

    def _explore(self, path: bytes, content: bytes) -> None:
        import io

        file = io.BytesIO(content)
        self._explorer.scan(file, os.fsdecode(path), file=file, size=len(content), passed=self._count_bytes)
        self._passed(1, 0)

    def _large(self, path: bytes, fd: int, size: int) -> Iterator[ExploreResult]:
        """Scan a file that is larger than a batch."""
        self._match()
        yield self._take_result()
        with open(fd, "rb", buffering=0, closefd=False) as file:
            source = _BoundedReader(file.read, size or _ENDLESS)
            self._explorer.scan(source, os.fsdecode(path), file=file, size=size, passed=self._count_bytes)
        self._passed(1, 0)
        yield self._take_result()

    def _count_bytes(self, count: int) -> None:
        self._passed(0, count)

    def _match(self) -> None:
        """One pass over the batch, and a closer look at the files with hits."""
        gathered = self._explorer.gathered
        if self._paths:
            hits: dict[int, list[tuple[int, int]]] = {}
            with self._view[: self._at] as batch:
                batch_hits = self._engine.find_hits(batch)
            for rule, end in batch_hits:
                number = bisect_left(self._ends, end)
                if number < len(self._ends) and self._starts[number] < end:
                    hits.setdefault(number, []).append((rule, end - self._starts[number]))
            for number in sorted(hits):
                self._examine(number, hits[number])
            files, size = len(self._paths), sum(self._ends) - sum(self._starts)
            gathered.blobs += files
            gathered.size += size
            self._passed(files, size)
        self._starts.clear()
        self._ends.clear()
        self._paths.clear()
        self._at = 0

    def _examine(self, number: int, batch_hits: list[tuple[int, int]]) -> None:
        path = os.fsdecode(self._paths[number])
        content = bytes(self._view[self._starts[number] : self._ends[number]])
        found = examine_whole(self._engine, content, batch_hits, path)
        if self._engine.excess:
            self._skip(self._paths[number], self._engine.excess)
        if len(found) > MOST_SIGHTINGS:
            self._skip(self._paths[number], TOO_MANY)
        self._explorer.gathered.sightings += found[:MOST_SIGHTINGS]

    def _take_result(self) -> ExploreResult:
        gathered, self._explorer.gathered = self._explorer.gathered, ExploreResult()
        return gathered

    def _skip(self, path: bytes, reason: str) -> None:
        self._explorer.gathered.skipped.append(SkippedItem(os.fsdecode(path), reason))

    def _handle_open_error(self, path: bytes, error: OSError) -> None:
        """A file that did not open: a link is read as text, one that is gone is noted, all else is named."""
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            self.absent.append(path)
            return
        if error.errno in {errno.ELOOP, errno.EMLINK} and (text := self._link(path)) is not None:
            if len(text) > BATCH - self._at:
                self._match()
            self._view[self._at : self._at + len(text)] = text
            self._add(path, self._at, self._at + len(text))
            return
        reason = _REASONS.get(error.errno or 0, f"cannot be opened: {os_error_text(error)}")
        self._skip(path, reason)

    def _link(self, path: bytes) -> bytes | None:
        try:
            return self._descent.readlink(path)
        except OSError:
            return None


class _BoundedReader:
    """Reads at most so many bytes of a file."""

    def __init__(self, read: Callable[[int], bytes | None], most: int) -> None:
        self._read = read
        self._left = most

    def read(self, size: int, /) -> bytes:
        piece = self._read(min(size, self._left)) or b""
        self._left -= len(piece)
        return piece
