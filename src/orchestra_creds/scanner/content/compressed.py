"""Compressed streams, read uncompressed: gzip, bzip2, xz, lzma and zstd.

Guarantees: only `DamagedArchiveError` is raised; memory is bounded whatever the stream claims; a stream that is cut short and
data after its end are damage, and what came before the damage is read. The libraries are loaded when they are needed.
"""

from collections.abc import Callable
from typing import Protocol

from orchestra_creds.scanner.content.formats import ArchiveKind
from orchestra_creds.scanner.content.tar import DamagedArchiveError, Readable

PIECE = 1 << 16
_ZSTD_PIECE = 1 << 8
_MOST_MEMORY = 128 << 20
"""Bytes that a decompressor may hold of what it has put out."""


class _Decompressor(Protocol):
    """What zlib, bz2 and lzma have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /, max_length: int) -> bytes: ...


class _GzipDecompressor:
    """zlib's decompressor with the interface of the other two."""

    def __init__(self) -> None:
        import zlib

        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, /, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _bunzip() -> _Decompressor:
    import bz2

    return bz2.BZ2Decompressor()


def _unxz() -> _Decompressor:
    import lzma

    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_MOST_MEMORY)


def _unlzma() -> _Decompressor:
    import lzma

    return lzma.LZMADecompressor(format=lzma.FORMAT_ALONE, memlimit=_MOST_MEMORY)


class _ZstdDecompressor:
    """The decompressor of the zstandard library, which puts out all it can, with the interface of the other ones.

    It gets so little at a time that what it puts out is bounded: a block of four bytes may unfold to 128 KiB.
    """

    def __init__(self) -> None:
        import zstandard

        self._inner = zstandard.ZstdDecompressor(max_window_size=_MOST_MEMORY).decompressobj()
        self._waiting = b""
        self._done = b""

    @property
    def eof(self) -> bool:
        return self._inner.eof and not self._done

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data + self._waiting

    def decompress(self, data: bytes, /, max_length: int) -> bytes:
        self._waiting += data
        out = bytearray(self._done)
        at = 0
        while len(out) < max_length and at < len(self._waiting) and not self._inner.eof:
            out += self._inner.decompress(self._waiting[at : at + _ZSTD_PIECE])
            at += _ZSTD_PIECE
        self._waiting = self._waiting[at:]
        self._done = bytes(out[max_length:])
        return bytes(out[:max_length])


_DECOMPRESSORS: dict[ArchiveKind, Callable[[], _Decompressor]] = {
    ArchiveKind.GZIP: _GzipDecompressor,
    ArchiveKind.BZIP2: _bunzip,
    ArchiveKind.XZ: _unxz,
    ArchiveKind.LZMA: _unlzma,
    ArchiveKind.ZSTD: _ZstdDecompressor,
}


class DecompressedStream:
    """A compressed stream, read uncompressed; several in a row are one, and padding may follow the last."""

    def __init__(self, source: Readable, kind: ArchiveKind) -> None:
        self._source = source
        self._new = _DECOMPRESSORS[kind]
        self._current = self._new()
        self._pending = b""
        self._hungry = True
        self._fresh = False
        self._ended = False
        self._damage: DamagedArchiveError | None = None

    def read(self, size: int, /) -> bytes:
        """The next bytes of what was compressed."""
        if self._damage is not None:
            raise self._damage
        out = bytearray()
        while len(out) < size and not self._ended:
            try:
                out += self._step(size - len(out))
            except DamagedArchiveError as damage:
                self._damage = damage
                if out:
                    return bytes(out)  # what came before the damage counts
                raise
        return bytes(out)

    def _step(self, size: int) -> bytes:
        if self._current.eof:
            self._next_stream()
            return b""
        data = self._pending
        self._pending = b""
        if not data and self._hungry:
            data = self._source.read(PIECE)
            if not data:
                raise DamagedArchiveError("the compressed data ends too early")
        try:
            out = self._current.decompress(data, size)
        except MemoryError:
            raise DamagedArchiveError("needs more memory to decompress than it may have") from None
        except Exception as error:  # zlib.error, OSError, LZMAError and ZstdError have no common base but this one
            reason = "data follows the end of the compressed data" if self._fresh else "the compressed data is damaged"
            raise DamagedArchiveError(reason) from error
        self._fresh = self._fresh and not out and not self._current.eof
        self._hungry = len(out) < size
        return out

    def _next_stream(self) -> None:
        """Behind the end of one stream: another one, padding, or the end."""
        rest = self._current.unused_data or self._source.read(PIECE)
        while rest and not (rest := rest.lstrip(b"\0")):
            rest = self._source.read(PIECE)
        if not rest:
            self._ended = True
            return
        self._current, self._pending, self._hungry, self._fresh = self._new(), rest, True, True
