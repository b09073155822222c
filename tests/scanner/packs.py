"""What the tests of packs share: deltas, packs and indexes written by hand, good ones and bad ones."""

import hashlib
import zlib
from collections.abc import Sequence

COMMIT, TREE, BLOB, TAG, OFS_DELTA, REF_DELTA = 1, 2, 3, 4, 6, 7


def size_of(number: int) -> bytes:
    """A size as a delta's header writes it."""
    out = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def copy(start: int, length: int) -> bytes:
    """Copy `length` bytes of the base, from `start`."""
    code, rest = 0x80, bytearray()
    for bit in range(4):
        if byte := start >> 8 * bit & 0xFF:
            code |= 1 << bit
            rest.append(byte)
    for bit in range(3):
        if length != 0x10000 and (byte := length >> 8 * bit & 0xFF):
            code |= 0x10 << bit
            rest.append(byte)
    return bytes([code]) + bytes(rest)


def insert(data: bytes) -> bytes:
    """Insert bytes, in pieces of 127."""
    return b"".join(bytes([len(data[at : at + 127])]) + data[at : at + 127] for at in range(0, len(data), 127))


def delta(old: int, operations: Sequence[tuple[int, int] | bytes]) -> bytes:
    """A delta on a base of `old` bytes: (start, length) copies, bytes are inserted."""
    new = sum(len(op) if isinstance(op, bytes) else op[1] for op in operations)
    code = b"".join(insert(op) if isinstance(op, bytes) else _copies(*op) for op in operations)
    return size_of(old) + size_of(new) + code


def _copies(start: int, length: int) -> bytes:
    whole = b"".join(copy(start + at, min(0xFFFF, length - at)) for at in range(0, length, 0xFFFF))
    return whole if length else b""


def header(kind: int, size: int) -> bytes:
    """The header of an object in a pack."""
    byte, size = kind << 4 | size & 15, size >> 4
    out = bytearray()
    while size:
        out.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    out.append(byte)
    return bytes(out)


def distance(number: int) -> bytes:
    """How far back the base of an offset delta begins."""
    out = [number & 0x7F]
    while number := number >> 7:
        number -= 1
        out.append(0x80 | number & 0x7F)
    return bytes(reversed(out))


def entry(kind: int, data: bytes, *, base: bytes = b"", claim: int | None = None) -> bytes:
    """An object of a pack; `claim` is the size it says it has."""
    return header(kind, len(data) if claim is None else claim) + base + zlib.compress(data)


def pack(entries: Sequence[bytes]) -> tuple[bytes, list[int]]:
    """A pack and the offsets of its objects."""
    out = bytearray(b"PACK" + (2).to_bytes(4, "big") + len(entries).to_bytes(4, "big"))
    offsets = []
    for one in entries:
        offsets.append(len(out))
        out += one
    return bytes(out) + hashlib.sha1(out, usedforsecurity=False).digest(), offsets


def index(oids: Sequence[bytes], offsets: Sequence[int], checksum: bytes = bytes(20)) -> bytes:
    """An index of version 2; ids in any order."""
    rows = sorted(zip(oids, offsets, strict=True))
    fan = b"".join(sum(oid[0] <= first for oid, _ in rows).to_bytes(4, "big") for first in range(256))
    names = b"".join(oid for oid, _ in rows)
    near = b"".join(offset.to_bytes(4, "big") for _, offset in rows)
    body = b"\xfftOc\0\0\0\2" + fan + names + bytes(4 * len(rows)) + near + checksum
    return body + hashlib.sha1(body, usedforsecurity=False).digest()


def oid_of(kind: str, text: bytes) -> bytes:
    """The id git gives an object."""
    return hashlib.sha1(f"{kind} {len(text)}\0".encode() + text, usedforsecurity=False).digest()
