"""Reads ar archives from a stream: Debian packages and static libraries.

Guarantees: only `DamagedArchiveError` is raised; every byte of the archive belongs to a header, a member or the padding
after one, and an archive of which this is not true is damaged. Knows the long names of GNU and of BSD.
"""

from collections.abc import Iterator

from orchestra_creds.scanner.content.tar import LONGEST_HEADER, DamagedArchiveError, Readable, TarMember

_MAGIC = b"!<arch>\n"
_HEADER = 60
_HEADER_END = b"`\n"
_BSD_NAME = b"#1/"


def members(source: Readable) -> Iterator[TarMember]:
    """Yield the members of the archive in its order; each must be read before the next is asked for.

    Raises:
        DamagedArchiveError: a member cannot be read.
    """
    if source.read(len(_MAGIC)) != _MAGIC:
        raise DamagedArchiveError("the archive's first bytes are damaged")
    long_names = b""
    while header := source.read(_HEADER):
        if len(header) < _HEADER or header[58:] != _HEADER_END:
            raise DamagedArchiveError("a header of the archive is damaged")
        size = _number(header[48:58])
        name = header[:16].rstrip(b" ")
        padding = size % 2
        if name == b"//":
            long_names = _read(source, size)
        elif name.startswith(_BSD_NAME):
            length = _number(name[len(_BSD_NAME) :])
            if length > size:
                raise DamagedArchiveError("a header of the archive is damaged")
            yield from _member(source, _read(source, length).rstrip(b"\0"), size - length)
        else:
            yield from _member(source, _full_name(name, long_names), size)
        if padding and source.read(1) not in (b"\n", b"\0", b""):
            raise DamagedArchiveError("data stands between the members of the archive")


def _member(source: Readable, name: bytes, size: int) -> Iterator[TarMember]:
    member = TarMember(source, name, size)
    yield member
    member.drain()


def _full_name(name: bytes, long_names: bytes) -> bytes:
    if name[:1] == b"/" and name[1:].isdigit():
        return long_names[int(name[1:]) :].partition(b"/\n")[0].partition(b"\n")[0]
    return name if name in (b"/", b"/SYM64/") else name.removesuffix(b"/")


def _number(field: bytes) -> int:
    digits = field.strip(b" ")
    if not digits.isdigit():
        raise DamagedArchiveError("a header of the archive is damaged")
    return int(digits)


def _read(source: Readable, size: int) -> bytes:
    if size > LONGEST_HEADER:
        raise DamagedArchiveError("the names in the archive are longer than any it should need")
    data = source.read(size)
    if len(data) < size:
        raise DamagedArchiveError("the archive ends inside of a header")
    return data
