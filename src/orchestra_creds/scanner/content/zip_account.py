"""The account of a zip: which of its bytes belong to a member that its directory lists, and what the other bytes hold.

A program that unpacks a zip may trust the directory or the header in front of each member. A member with a header that the
directory does not list is invisible to us and visible to others. So are two members that share bytes.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO

OVERLAP = "members of the zip share bytes"
UNLISTED = "the zip holds a file that its directory does not list"

_HEADER = struct.Struct("<4s5H3L2H")
_MAGIC = b"PK\3\4"
_PIECE = 1 << 20
_LATEST_VERSION = 63
_METHODS = frozenset((*range(21), *range(93, 100)))
_LONGEST_NAME = 4096


def faults(file: BinaryIO, members: Iterable[tuple[int, int]], size: int) -> list[str]:
    """Return what does not fit in a zip of `size` bytes; `members` are the header's offset and the compressed size of each."""
    found = set()
    end = 0
    for start, stop in sorted(_spans(file, members)):
        if start < end:
            found.add(OVERLAP)
        elif _holds_member(file, end, start):
            found.add(UNLISTED)
        end = max(end, stop)
    if _holds_member(file, end, size):
        found.add(UNLISTED)
    return sorted(found)


def _spans(file: BinaryIO, members: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for offset, compressed in members:
        file.seek(max(offset, 0))
        header = file.read(_HEADER.size)
        if len(header) == _HEADER.size and header.startswith(_MAGIC):  # another one is damaged: reading it says so
            *_, name, extra = _HEADER.unpack(header)
            yield offset, offset + _HEADER.size + name + extra + compressed


def _holds_member(file: BinaryIO, start: int, stop: int) -> bool:
    """Whether a header of a member stands between two offsets."""
    while stop - start > _HEADER.size:
        file.seek(start)
        piece = file.read(min(_PIECE, stop - start))
        if len(piece) <= _HEADER.size:
            return False
        at = piece.find(_MAGIC)
        while at >= 0:
            header = piece[at : at + _HEADER.size]
            if len(header) == _HEADER.size and _is_header(header):
                return True
            at = piece.find(_MAGIC, at + 1)
        start += len(piece) - _HEADER.size
    return False


def _is_header(header: bytes) -> bool:
    """Whether this is a header, and not a program that mentions its first bytes."""
    _, version, _, method, _, _, _, _, _, name, _ = _HEADER.unpack(header)
    return version & 0xFF <= _LATEST_VERSION and method in _METHODS and 0 < name <= _LONGEST_NAME
