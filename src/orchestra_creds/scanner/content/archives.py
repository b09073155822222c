"""What is inside of archives: zip (jar, whl, docx …), tar, ar (deb), gzip, bzip2, xz, lzma and zstd, without writing anything to disk.

An archive is hostile. Guarantees: memory is bounded (streams are read in pieces, sizes that headers claim are believed
only up to a limit); the whole of one file on disk decompresses to at most `ArchiveLimits.total` bytes and `ArchiveLimits.ratio` times
its size, and holds at most `ArchiveLimits.members` members, at every depth together; what cannot be read (damaged, encrypted,
an unknown compression) is a `SkippedItem`, never a silence and never a crash. Member names are data: nothing is extracted.
"""

import io
from collections.abc import Iterator
from typing import BinaryIO, cast

from orchestra_creds.core.record import dataclass, field
from orchestra_creds.scanner.content import tar
from orchestra_creds.scanner.content.compressed import DecompressedStream
from orchestra_creds.scanner.content.formats import ArchiveKind
from orchestra_creds.scanner.content.tar import DamagedArchiveError, Readable, TarMember

_LARGEST_DIRECTORY = 8 << 20
"""Bytes of a zip's directory: names and offsets of some 80,000 members."""


class ArchiveLimitError(Exception):
    """The archive asks for more than it may have; the text says of what."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What one file on disk may unfold to.

    depth      archives inside of archives          members    files, at all depths together
    total      bytes, likewise                      ratio      bytes per byte of the file, above `floor` bytes
    in_memory  bytes of a zip that is itself a member, or comes from standard input
    """

    depth: int = 5
    members: int = 100_000
    total: int = 4 << 30
    ratio: int = 200
    floor: int = 64 << 20
    in_memory: int = 64 << 20


@dataclass(slots=True)
class Budget:
    """What one file on disk has unfolded to so far. `size` is that of the file: as read so far, or known."""

    limits: ArchiveLimits
    size: int = 0
    unfolded: int = 0
    members: int = 0

    def unfold(self, count: int) -> None:
        """So many more bytes came out."""
        self.unfolded += count
        if self.unfolded > self.limits.total:
            raise ArchiveLimitError(f"decompresses to more than {self.limits.total >> 20} MB")
        if self.unfolded > self.limits.floor and self.unfolded > self.limits.ratio * max(self.size, 1):
            raise ArchiveLimitError(f"decompresses to more than {self.limits.ratio} times its size")

    def member(self) -> None:
        """One more member."""
        self.members += 1
        if self.members > self.limits.members:
            raise ArchiveLimitError(f"holds more than {self.limits.members:,} members")


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """A file in an archive: its data, or why it has none.

    `name` is as stored; "" for a compressed stream, and for a fault of the archive itself.
    """

    name: str
    data: Readable | None = None
    reason: str = ""


def members(kind: ArchiveKind, source: Readable, budget: Budget) -> Iterator[ArchiveMember]:
    """The members of the archive in `source`; each must be read before the next is asked for.

    `source` must be seekable for a kind that is sought in.

    Raises:
        DamagedArchiveError: the archive itself cannot be read on.
        ArchiveLimitError: it asks for more than it may have.
    """
    if kind is ArchiveKind.ZIP:
        return _zip_members(cast("BinaryIO", source), budget)
    if kind is ArchiveKind.TAR:
        return _stream_members(tar.members(source), budget)
    if kind is ArchiveKind.SQLITE:
        return _database_members(source, budget)
    if kind is ArchiveKind.AR:
        from orchestra_creds.scanner.content import ar

        return _stream_members(ar.members(source), budget)
    return iter([ArchiveMember("", _MeteredStream(DecompressedStream(source, kind), budget))])


@dataclass(slots=True)
class _MeteredStream:
    """A stream whose bytes are counted."""

    source: Readable
    budget: Budget

    def read(self, size: int, /) -> bytes:
        data = self.source.read(size)
        self.budget.unfold(len(data))
        return data


def _stream_members(found: Iterator[TarMember], budget: Budget) -> Iterator[ArchiveMember]:
    for member in found:
        budget.member()
        yield ArchiveMember(member.name.decode("utf-8", "surrogateescape"), _MeteredStream(member, budget))


def _database_members(source: Readable, budget: Budget) -> Iterator[ArchiveMember]:
    """The records of a database, as one text."""
    from orchestra_creds.scanner.content import sqlite

    most = budget.limits.in_memory
    content = source.read(most + 1)
    if len(content) > most:
        yield ArchiveMember("", reason=f"a database larger than {most >> 20} MB: its records were not read one by one")
        return
    budget.member()
    yield ArchiveMember("records", _MeteredStream(sqlite.as_text(content), budget))


class _CappedFile(io.RawIOBase):
    """A seekable file that refuses to hand out a whole directory of absurd size at once."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file

    def read(self, size: int = -1, /) -> bytes:
        if size > _LARGEST_DIRECTORY:
            raise ArchiveLimitError("its directory is larger than any it should need")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


_ENCRYPTED = 0x1
_UNKNOWN_SIZE = 1 << 62


def _zip_members(file: BinaryIO, budget: Budget) -> Iterator[ArchiveMember]:
    import lzma
    import struct
    import zipfile
    import zlib

    from orchestra_creds.scanner.content import zip_account

    failures = (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        OSError,
        EOFError,
        ValueError,
        OverflowError,
        RuntimeError,  # also NotImplementedError: an unknown compression
        LookupError,
        MemoryError,
        AssertionError,
        struct.error,
    )
    try:
        archive = zipfile.ZipFile(cast("BinaryIO", _CappedFile(file)))
    except failures as error:
        raise DamagedArchiveError("the zip's directory is damaged") from error
    infos = archive.infolist()
    try:
        reasons = zip_account.faults(
            file, ((info.header_offset, info.compress_size) for info in infos), file.seek(0, io.SEEK_END)
        )
    except failures as error:
        raise DamagedArchiveError("the zip's directory is damaged") from error
    yield from (ArchiveMember("", reason=reason) for reason in reasons)
    for info in infos:
        if info.filename.endswith("/") and not info.file_size and not info.compress_size:
            continue
        budget.member()
        if info.flag_bits & _ENCRYPTED:
            yield ArchiveMember(info.filename, reason="protected by a password")
            continue
        info.file_size = (
            _UNKNOWN_SIZE  # the size that the directory claims may hide the rest; the checksum is of it all
        )
        try:
            data = archive.open(info)
        except NotImplementedError:
            yield ArchiveMember(info.filename, reason="compressed in a way that is not supported")
            continue
        except failures:
            yield ArchiveMember(info.filename, reason="damaged")
            continue
        with data:
            yield ArchiveMember(info.filename, _MeteredStream(_DamageGuard(cast("BinaryIO", data), failures), budget))


@dataclass(slots=True)
class _DamageGuard:
    """A stream whose many ways to fail become one."""

    source: BinaryIO
    failures: tuple[type[Exception], ...] = field(repr=False)

    def read(self, size: int, /) -> bytes:
        try:
            return self.source.read(size)
        except ArchiveLimitError:
            raise
        except self.failures as error:
            raise DamagedArchiveError("damaged") from error
