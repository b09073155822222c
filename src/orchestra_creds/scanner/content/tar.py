"""Reads tar archives from a stream, one pass, nothing to seek, bounded memory whatever the headers claim.

Guarantees: only `DamagedArchiveError` is raised; a member's data is read from the stream as it is asked for; a header cannot ask for
more memory than `LONGEST_HEADER`. Knows ustar, GNU (long names, sparse members as they are stored) and pax (path, size).
"""

from collections.abc import Iterator
from typing import Protocol

BLOCK = 512
LONGEST_HEADER = 1 << 16
"""Bytes of a long name or of a pax header that are read; longer ones are damage."""

_FILES = frozenset((b"\0", b"0", b"7", b"S"))
_LINKS = frozenset((b"1", b"2"))
_EXTENSIONS = frozenset((b"L", b"K", b"x", b"g"))
_MAGIC_AT = 257


class DamagedArchiveError(Exception):
    """An archive that cannot be read further; the text says why, and quotes nothing of it."""


class Readable(Protocol):
    """Yields bytes; fewer than asked for only at the end."""

    def read(self, size: int, /) -> bytes:
        """The next `size` bytes; fewer only at the end."""
        ...


def is_tar(head: bytes) -> bool:
    """Whether `head`, the start of a file, is a tar header: its checksum tells, old archives have no magic."""
    if len(head) < BLOCK or not head[0]:
        return False
    return (head[_MAGIC_AT : _MAGIC_AT + 5] == b"ustar" or head[148:154].strip(b" ").isdigit()) and _valid(head)


class TarMember:
    """The data of one member, as a stream."""

    def __init__(self, source: Readable, name: bytes, size: int) -> None:
        self._source = source
        self.name = name
        self.size = size
        self._left = size

    def read(self, size: int, /) -> bytes:
        """The next bytes of the member."""
        data = self._source.read(min(size, self._left))
        if not data and self._left:
            raise DamagedArchiveError("the archive ends inside of this member")
        self._left -= len(data)
        return data

    def drain(self) -> None:
        """Pass over what was not read."""
        while self._left:
            self.read(1 << 16)

    def skip(self) -> None:
        """Pass over what was not read, and over the padding."""
        self.drain()
        _skip(self._source, -self.size % BLOCK)


def members(source: Readable) -> Iterator[TarMember]:
    """The files in the archive, in its order; each must be read before the next is asked for.

    Members after an end mark are those of another archive that was appended.

    Raises:
        DamagedArchiveError: a member cannot be read, or the archive stops before its end mark.
    """
    said: dict[bytes, bytes] = {}  # by extension headers, about the next member
    ended = False
    while header := source.read(BLOCK):
        if not header.strip(b"\0"):
            ended, said = ended or len(header) == BLOCK, {}
            continue
        if len(header) < BLOCK or not _valid(header):
            raise DamagedArchiveError("data follows the end of the archive" if ended else "a tar header is damaged")
        ended = False
        kind, length = header[156:157], _number(header[124:136])
        if kind in _EXTENSIONS:
            said |= _extension(kind, _body(source, length))
            continue
        length = _decimal(said[b"size"]) if b"size" in said else length
        if kind == b"S":
            _skip_sparse_maps(source, header)
        if kind in _LINKS:  # they carry no data, whatever their size field says
            length = 0
        member = TarMember(source, said.get(b"path") or _name(header), length)
        if kind in _FILES:
            yield member
        member.skip()
        said = {}
    if not ended:
        raise DamagedArchiveError("the archive stops before its end mark")


def _extension(kind: bytes, body: bytes) -> dict[bytes, bytes]:
    if kind == b"L":
        return {b"path": body.rstrip(b"\0")}
    return _pax(body) if kind == b"x" else {}


def _valid(header: bytes) -> bool:
    stored = header[148:156].strip(b" \0")
    try:
        return int(stored, 8) == sum(header[:148]) + sum(header[156:BLOCK]) + 8 * ord(" ")
    except ValueError:
        return False


def _name(header: bytes) -> bytes:
    name, prefix = header[:100].split(b"\0")[0], header[345:500].split(b"\0")[0]
    return prefix + b"/" + name if prefix and header[_MAGIC_AT : _MAGIC_AT + 6] == b"ustar\0" else name


def _number(field: bytes) -> int:
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    try:
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError:
        raise DamagedArchiveError("a tar header is damaged") from None


def _decimal(field: bytes) -> int:
    if not field.isdigit() or len(field) > 20:
        raise DamagedArchiveError("a pax header is damaged")
    return int(field)


def _body(source: Readable, length: int) -> bytes:
    if length > LONGEST_HEADER:
        raise DamagedArchiveError("an extended tar header is larger than any name needs")
    body = source.read(length)
    if len(body) < length:
        raise DamagedArchiveError("the archive ends inside of a header")
    _skip(source, -length % BLOCK)
    return body


def _pax(body: bytes) -> dict[bytes, bytes]:
    r"""The records "LENGTH KEY=VALUE\n" of a pax header."""
    fields = {}
    while body.strip(b"\0"):
        digits, space, _ = body.partition(b" ")
        length = _decimal(digits)
        if not space or length <= len(digits) + 1 or length > len(body):
            raise DamagedArchiveError("a pax header is damaged")
        key, _, value = body[len(digits) + 1 : length - 1].partition(b"=")
        fields[key] = value
        body = body[length:]
    return fields


def _skip_sparse_maps(source: Readable, header: bytes) -> None:
    more = header[482]
    while more:
        block = source.read(BLOCK)
        if len(block) < BLOCK:
            raise DamagedArchiveError("the archive ends inside of a header")
        more = block[504]


def _skip(source: Readable, count: int) -> None:
    while count:
        data = source.read(min(count, 1 << 16))
        if not data:
            return
        count -= len(data)
