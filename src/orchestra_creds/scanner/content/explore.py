"""One file with everything inside it: its own bytes, its text, and the members of archives, to a depth.

Guarantees: the raw bytes of every file and member are scanned, whatever it claims to be; what an archive hides is scanned
as far as its `ArchiveLimits` go, and what was not looked at is named, with its path, in `skipped`. A credential that stands both
in the raw bytes of an archive (stored, not compressed) and in a member is reported at the member.
"""

import io
from collections.abc import Callable
from typing import BinaryIO

from orchestra_creds.core.record import dataclass, field
from orchestra_creds.scanner.content import archives
from orchestra_creds.scanner.content.archives import (
    ArchiveLimitError,
    ArchiveLimits,
    ArchiveMember,
    Budget,
)
from orchestra_creds.scanner.content.blobscan import TOO_MANY, BlobScan
from orchestra_creds.scanner.content.formats import HEAD, ArchiveKind, ends_as_zip, kind_of
from orchestra_creds.scanner.content.tar import DamagedArchiveError, Readable
from orchestra_creds.scanner.detection import Sighting
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.finding import SkippedItem

PIECE = 256 << 10
MEMBER_MARK = "!"
"""Between the path of an archive and that of a member."""

_SUFFIXES = (
    (".tgz", ".tar"),
    (".tbz2", ".tar"),
    (".txz", ".tar"),
    (".gz", ""),
    (".bz2", ""),
    (".xz", ""),
    (".lzma", ""),
    (".tzst", ".tar"),
    (".zst", ""),
)

_TAIL = 64
_TOO_LARGE = "a {} in a stream, larger than {} MB, was not opened"


@dataclass(slots=True)
class ExploreResult:
    """What a scan has come to so far; `size` counts the bytes of content, that of members included."""

    sightings: list[Sighting] = field(default_factory=list)
    skipped: list[SkippedItem] = field(default_factory=list)
    blobs: int = 0
    size: int = 0


class Explorer:
    """Scans files one after the other into `gathered`, which the caller may replace at any time."""

    def __init__(self, engine: Engine, *, limits: ArchiveLimits, max_size: int = 0) -> None:
        self.engine = engine
        self.limits = limits
        self.max_size = max_size
        self.gathered = ExploreResult()

    def kind_of(self, head: bytes) -> ArchiveKind | None:
        """What kind of archive starts with `head`; None also when archives are to be read as plain bytes."""
        return kind_of(head) if self.limits.depth else None

    def scan(
        self, source: Readable, path: str, *, file: BinaryIO | None = None, size: int = 0, passed: Callable[[int], None]
    ) -> None:
        """Scan one file. `file` is `source` where it can seek; `passed` hears of the bytes that were read."""
        budget = Budget(self.limits, size)
        try:
            self._stream(
                _ProgressStream(source, budget, passed, grow=not size), path, self.limits.depth, budget, file=file
            )
        except ArchiveLimitError as limit:
            self._skip(path, str(limit))

    def scan_bytes(self, content: bytes, path: str) -> None:
        """Scan one file that is in memory."""
        file = io.BytesIO(content)
        self.scan(file, path, file=file, size=len(content), passed=lambda _count: None)

    def _skip(self, path: str, reason: str) -> None:
        self.gathered.skipped.append(SkippedItem(path, reason))

    def _stream(
        self,
        source: Readable,
        path: str,
        depth: int,
        budget: Budget,
        *,
        file: BinaryIO | None = None,
        outside: str | None = None,
    ) -> None:
        """Scan one file or member; `outside` is the path that its own members are shown under, if not `path`."""
        blob = BlobScan(self.engine, path)
        before = len(self.gathered.sightings)
        try:
            tee = _Tee(source, blob, self.max_size if file is None else 0)
            kind = self.kind_of(tee.head)
            if kind is None and file is not None and self.limits.depth and _ends_as_zip(file):
                kind = ArchiveKind.ZIP
            if outside is not None and kind is ArchiveKind.TAR:
                depth += 1  # a packed tar is one archive
            if kind is not None and depth <= 0:
                self._skip(path, f"archives nested more than {self.limits.depth} deep were not opened")
            elif kind is not None and kind.unread_reason:
                self._skip(path, kind.unread_reason)
            elif kind is not None:
                if file is not None and kind.is_sought_in:
                    tee.drain()
                self._inside(kind, tee, path if outside is None else outside, depth, budget, file=file)
            elif file is None and self.limits.depth:
                tee.keep(self.limits.in_memory)
            tee.drain()
            if kind is None and file is None and self.limits.depth and ends_as_zip(tee.tail):
                self._zip_at_the_end(tee, path, depth, budget)
        except _TooLargeError:
            self._skip(path, f"larger than {self.max_size:,} bytes")
        finally:
            self._finish(blob, path, before)

    def _finish(self, blob: BlobScan, path: str, before: int) -> None:
        found = blob.finish()
        if found:
            inside = {(s.detection.rule.id, s.detection.material) for s in self.gathered.sightings[before:]}
            self.gathered.sightings += (s for s in found if (s.detection.rule.id, s.detection.material) not in inside)
        if blob.overflow:
            self._skip(path, TOO_MANY)
        if blob.excess:
            self._skip(path, blob.excess)
        self.gathered.blobs += 1
        self.gathered.size += blob.size

    def _inside(
        self, kind: ArchiveKind, tee: "_Tee", path: str, depth: int, budget: Budget, *, file: BinaryIO | None
    ) -> None:
        """Scan the members of the archive that `tee` yields."""
        source: Readable = tee
        if kind.is_sought_in:
            if file is None and (file := self._in_memory(kind, tee, path)) is None:
                return
            file.seek(0)
            source = file
        try:
            for member in archives.members(kind, source, budget):
                if not self._member(member, kind, path, depth, budget) and not kind.is_sought_in:
                    return  # a stream cannot be read on behind the damage
        except DamagedArchiveError as damage:
            self._skip(path, str(damage))

    def _zip_at_the_end(self, tee: "_Tee", path: str, depth: int, budget: Budget) -> None:
        """Scan the members of a zip behind something else, in a stream that was read to its end."""
        if depth <= 0:
            self._skip(path, f"archives nested more than {self.limits.depth} deep were not opened")
        elif (content := tee.content()) is None:
            self._skip(path, _TOO_LARGE.format("zip", self.limits.in_memory >> 20))
        else:
            self._inside(ArchiveKind.ZIP, tee, path, depth, budget, file=io.BytesIO(content))

    def _member(self, member: ArchiveMember, kind: ArchiveKind, path: str, depth: int, budget: Budget) -> bool:
        """Scan one member; False when it could not be read."""
        below = f"{path}{MEMBER_MARK}{member.name or unpacked_name(path)}"
        if member.data is None:
            self._skip(below if member.name else path, member.reason)
            return True
        try:
            # a.tar.gz!x and not a.tar.gz!a.tar!x: the members of a packed tar are shown as those of the file
            self._stream(member.data, below, depth - 1, budget, outside=path if kind.compresses_one else None)
        except DamagedArchiveError as damage:
            self._skip(below, str(damage))
            return False
        return True

    def _in_memory(self, kind: ArchiveKind, tee: "_Tee", path: str) -> BinaryIO | None:
        """The whole of an archive that cannot be sought in."""
        content = bytearray()
        while len(content) <= self.limits.in_memory and (piece := tee.read(PIECE)):
            content += piece
        if len(content) > self.limits.in_memory:
            self._skip(path, _TOO_LARGE.format(kind.value, self.limits.in_memory >> 20))
            return None
        return io.BytesIO(content)


class _TooLargeError(Exception):
    """A member is larger than the operator wants to look at."""


class _Tee:
    """Hands out what it reads, and shows it to a scan of the raw bytes first. It reads ahead, a piece at a time."""

    def __init__(self, source: Readable, blob: BlobScan, most: int) -> None:
        self._source = source
        self._blob = blob
        self._most = most
        self._ended = False
        self._ahead = b""
        self._at = 0
        self._kept: list[bytes] = []
        self._room = 0
        self.tail = b""
        self._has_more()
        self.head = self._ahead[:HEAD]

    def _has_more(self) -> bool:
        """Read the next piece; False at the end of the source."""
        self._at, self._ahead = 0, b"" if self._ended else self._source.read(PIECE)
        if not self._ahead:
            self._ended = True  # a zip is sought in behind our back: never read on from where that left off
            return False
        self.tail = (self.tail + self._ahead[-_TAIL:])[-_TAIL:]
        if self._room:
            self._keep_piece()
        self._blob.feed(self._ahead)
        if self._most and self._blob.size > self._most:
            raise _TooLargeError
        return True

    def read(self, size: int, /) -> bytes:
        piece = self._ahead[self._at : self._at + size]
        self._at += len(piece)
        while len(piece) < size and self._has_more():
            self._at = size - len(piece)
            piece += self._ahead[: self._at]
        return piece

    def keep(self, most: int) -> None:
        """Keep what was read and will be, up to so many bytes. No more than the first piece was read yet."""
        self._room = most
        self._keep_piece()

    def _keep_piece(self) -> None:
        self._room -= len(self._ahead)
        self._kept.append(self._ahead)
        if self._room <= 0:
            self._room = 0
            self._kept.clear()

    def content(self) -> bytes | None:
        """All that was read; None if it was more than there is room for."""
        return b"".join(self._kept) if self._room else None

    def drain(self) -> None:
        """Read on to the end."""
        while self._has_more():
            pass


@dataclass(slots=True)
class _ProgressStream:
    """The stream of a whole file: tells how far it was read, in full pieces."""

    source: Readable
    budget: Budget
    passed: Callable[[int], None]
    grow: bool

    def read(self, size: int, /) -> bytes:
        pieces = []
        while size and (piece := self.source.read(size)):
            pieces.append(piece)
            size -= len(piece)
            self.passed(len(piece))
            if self.grow:
                self.budget.size += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _ends_as_zip(file: BinaryIO) -> bool:
    here = file.tell()
    file.seek(max(file.seek(0, io.SEEK_END) - _TAIL, 0))
    tail = file.read(_TAIL)
    file.seek(here)
    return ends_as_zip(tail)


def unpacked_name(path: str) -> str:
    """The name of what a compressed file holds: `a.txt` for `x/a.txt.gz`."""
    name = path.rsplit("/", 1)[-1].rsplit(MEMBER_MARK, 1)[-1]
    for suffix, instead in _SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)] + instead
    return name
