"""Reads the packs of git's object database where they lie, by memory map.

Guarantees: nothing of a pack is believed before it is checked: damaged indexes and packs raise ValueError, damaged
objects are of kind BROKEN or fail when they are inflated, delta chains that bite their own tail are BROKEN, and no
object expands to more than its header says and its compressed size allows, no delta to more than `LARGEST_DELTA`. Nothing
is written, nothing is fetched.
"""

import hashlib
import mmap
import zlib
from array import array
from bisect import bisect_left
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Literal, NamedTuple

from orchestra_creds.scanner import native
from orchestra_creds.scanner.checks.verdict import Buffer
from orchestra_creds.scanner.git.delta import apply

fast_zlib: ModuleType = zlib
try:
    from isal import isal_zlib
except ImportError:
    pass
else:
    fast_zlib = isal_zlib  # twice as fast, where there is a wheel

BROKEN, COMMIT, TREE, BLOB, TAG = range(5)
DAMAGED: tuple[type[Exception], ...] = (ValueError, EOFError, zlib.error, fast_zlib.error)
"""What reading a damaged object raises; OverflowError says that it is larger than the limit."""

INDEX_MAGIC = b"\xfftOc\0\0\0\2"
_OFS_DELTA, _REF_DELTA = 6, 7
_UNKNOWN = 254
_ROW = 4 + 4 + 8  # bytes of an object in an index, beside its id: check sum, offset, large offset
_DELTA_HEAD = 64  # bytes, more than the two sizes at the start of a delta take
_FAN = 8 + 1024
_EXPANSION = 1032
"""What deflate can reach at most: output bytes for an input byte."""

LARGEST_DELTA = 256 << 20
"""Bytes of the largest delta that is inflated. git makes none for a file above 512 MiB (core.bigFileThreshold), and none that
is larger than half of its text (builtin/pack-objects.c, try_delta)."""

_TRUSTED = 64 << 10
"""Compressed bytes up to which output is not watched while it grows: it cannot pass `_EXPANSION` times that."""


class LargeDeltaError(OverflowError):
    """A delta is larger than any that git makes: no text is worth its memory, and git must not inflate it either."""


def begin(data: bytes, size: int) -> bytes:
    """The first `size` bytes of a zlib stream, fewer when it is shorter."""
    return bytes(fast_zlib.decompressobj().decompress(data, size))


def inflate(data: memoryview, size: int) -> bytes:
    """The `size` bytes that the zlib stream at the start of `data` holds."""
    if size > len(data) * _EXPANSION + _EXPANSION:
        raise ValueError("the object is damaged")
    if len(data) <= _TRUSTED:
        text: bytes = fast_zlib.decompress(data, bufsize=size + 1)
    else:
        stream = fast_zlib.decompressobj()
        text = stream.decompress(data, size + 1)
        while len(text) < size and not stream.eof:
            more = stream.decompress(stream.unconsumed_tail, size + 1 - len(text))
            if not more:
                break
            text += more
        if not stream.eof:  # the check sum behind the data was not read yet
            text += stream.decompress(stream.unconsumed_tail, 1)
        if not stream.eof:
            raise ValueError("the object is damaged")
    if len(text) != size:
        raise ValueError("the object is damaged")
    return text


class PackColumns(NamedTuple):
    """What a pack holds, one entry for each object in the order of the file.

    place     in the index, which is sorted by id     kind      of the object, for a delta that of its chain's end
    offset    where its header begins                 size      inflated: of the object or of the delta
    data      where its zlib stream begins            parent    which object a delta is based on; -1 for a full object
    weight    a measure of the work of the object     first     the first delta that is based on it; -1 for none
              and of all that is based on it          next      the next delta with the same base; -1 for none
    """

    place: memoryview
    offset: memoryview
    kind: memoryview
    size: memoryview
    data: memoryview
    parent: memoryview
    weight: memoryview
    first: memoryview
    next: memoryview


_FORMATS: tuple[Literal["I", "q", "B", "i"], ...] = ("I", "q", "B", "q", "q", "i", "q", "i", "i")

_HASHES = {20: "sha1", 32: "sha256"}
"""The check sum at the end of an index, by the size of an object id (git's pack format)."""


class Pack:
    """One pack and its index, mapped."""

    def __init__(self, index: Path, width: int, *, check: bool = True) -> None:
        """Maps the files; `width` is the size of an object id in bytes. Git does not `check` the sum of an index.

        Raises:
            ValueError: the index or the pack is damaged, or of an unknown version.
            OSError: a file cannot be read.
        """
        self.path = index.with_suffix(".pack")
        self.width = width
        self._index = memoryview(_map(index))
        self._pack = memoryview(_map(self.path))
        count = int.from_bytes(self._index[_FAN - 4 : _FAN], "big")
        if len(self._index) > _FAN + 2 * width + count * (width + _ROW):
            raise ValueError("the index is damaged")  # a file without end is not read to its end
        summed = hashlib.new(_HASHES[width], self._index[:-width], usedforsecurity=False).digest() if check else b""
        if check and summed != self._index[-width:]:
            raise ValueError("the index is damaged")  # a wrong offset or id would lose an object without a word
        columns = survey(self._index, self._pack, width)
        self.columns = PackColumns(*(memoryview(c).cast(f) for c, f in zip(columns, _FORMATS, strict=True)))
        self._names = _FAN

    def __len__(self) -> int:
        return len(self.columns.place)

    @property
    def name(self) -> str:
        """What tells this pack from any other: the check sum of its content, as git keeps it at the end of the file."""
        return bytes(self._pack[-self.width :]).hex()

    def oid(self, number: int) -> bytes:
        """The id of an object."""
        at = self._names + self.columns.place[number] * self.width
        return bytes(self._index[at : at + self.width])

    def names(self) -> Buffer:
        """All ids in rising order, one behind the other."""
        return self._index[self._names : self._names + len(self) * self.width]

    @cached_property
    def _by_place(self) -> "array[int]":
        numbers = array("I", bytes(4 * len(self)))
        for number, place in enumerate(self.columns.place):
            numbers[place] = number
        return numbers

    def ids_between(self, low: int, high: int) -> tuple[int, list[bytes]]:
        """The ids whose first byte is in [low, high), as the index sorts them, and the place of the first of them."""
        start, stop = (min(self._count_below(byte), len(self)) for byte in (low, high))
        first, width = self._names + start * self.width, self.width
        names = bytes(self._index[first : self._names + stop * width])
        return start, [names[at : at + width] for at in range(0, len(names), width)]

    def _count_below(self, byte: int) -> int:
        """How many ids have a smaller first byte, by the table at the start of the index."""
        return int.from_bytes(self._index[4 + 4 * byte : 8 + 4 * byte], "big") if byte else 0

    def number_at(self, place: int) -> int:
        """The number of the object at a place of the index."""
        return self._by_place[place]

    def has_cycle(self) -> bool:
        """Whether deltas are based on each other in a cycle: git would follow it for ever."""
        parent = self.columns.parent
        ended: set[int] = set()  # broken objects whose chain has an end
        for start, kind in enumerate(bytes(self.columns.kind)):
            walked: dict[int, None] = {}
            number = start if kind == BROKEN else -1
            while number >= 0 and number not in ended:
                if number in walked:
                    return True
                walked[number] = None
                number = parent[number]
            ended.update(walked)
        return False

    def has_large_delta(self) -> bool:
        """Whether a delta is larger than any that git makes: git would inflate it whole."""
        parent, size, kind = self.columns.parent, self.columns.size, self.columns.kind
        return max(size, default=0) > LARGEST_DELTA and any(
            size[number] > LARGEST_DELTA and (parent[number] >= 0 or kind[number] == BROKEN)
            for number in range(len(self))
        )

    def end(self, number: int) -> int:
        """Where the next object begins."""
        following = number + 1
        return self.columns.offset[following] if following < len(self) else len(self._pack) - self.width

    def inflate(self, number: int, limit: int) -> bytes:
        """The object's own bytes: its text of at most `limit` bytes, or its delta.

        Raises:
            DAMAGED; LargeDeltaError or OverflowError, before anything is inflated, if it is too large.
        """
        size = self.columns.size[number]
        if self.columns.parent[number] < 0:
            if size > limit:
                raise OverflowError("larger than the limit")
        elif size > min(LARGEST_DELTA, 2 * limit + _DELTA_HEAD):
            raise LargeDeltaError("larger than any delta of git")
        return inflate(self._pack[self.columns.data[number] : self.end(number)], size)

    def text(self, number: int, limit: int) -> bytes:
        """The text of an object, through all deltas it is based on."""
        parent = self.columns.parent
        chain = [number]
        while (number := parent[number]) >= 0:
            chain.append(number)
        text = self.inflate(chain.pop(), limit)
        while chain:
            text = apply(text, self.inflate(chain.pop(), limit), limit, 0, 0)[0]
        return text

    def children(self, number: int) -> list[int]:
        """The deltas that are based on an object, in the order of the file."""
        found = []
        child = self.columns.first[number]
        while child >= 0:
            found.append(child)
            child = self.columns.next[child]
        return found


def _map(path: Path) -> mmap.mmap:
    with path.open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _find(index: Buffer, names: int, oid: bytes, width: int) -> int | None:
    """The place of an id in the index."""
    low = int.from_bytes(index[8 + 4 * (oid[0] - 1) : 8 + 4 * oid[0]], "big") if oid[0] else 0
    high = int.from_bytes(index[8 + 4 * oid[0] : 12 + 4 * oid[0]], "big")
    while low < high:
        middle = (low + high) // 2
        name = bytes(index[names + middle * width : names + (middle + 1) * width])
        if name == oid:
            return middle
        if name < oid:
            low = middle + 1
        else:
            high = middle
    return None


def survey_slowly(index: Buffer, pack: Buffer, width: int) -> tuple[bytes, ...]:
    """The columns of a pack (see `PackColumns`) as native integers; the same as the compiled `survey`."""
    offsets = _offsets(index, width, len(pack) - width)
    count = len(offsets)
    if len(pack) < 12 + width or bytes(pack[:7]) != b"PACK\0\0\0" or pack[7] not in {2, 3}:
        raise ValueError("the pack is damaged")
    if int.from_bytes(pack[8:12], "big") != count:
        raise ValueError("the pack and its index do not belong together")
    order = sorted(range(count), key=offsets.__getitem__)
    ordered = [offsets[place] for place in order]
    end = len(pack) - width
    kind, size, data, parent = (
        bytearray(count),
        array("q", [0]) * count,
        array("q", [0]) * count,
        array("i", [-1]) * count,
    )
    weight = array("q", [4096]) * count
    for number, offset in enumerate(ordered):
        limit = min(ordered[number + 1], end) if number + 1 < count else end
        header = _header(pack, offset, limit, width)
        if header is None:
            continue
        kind[number], size[number], data[number], base = header
        if kind[number] == _REF_DELTA:
            place = _find(index, _FAN, bytes(pack[base : base + width]), width)
            base = -1 if place is None else offsets[place]
        if kind[number] in {_OFS_DELTA, _REF_DELTA}:
            at = bisect_left(ordered, base) if base >= 0 else count
            known = at < count and ordered[at] == base
            parent[number], kind[number] = (at, _UNKNOWN) if known else (-1, BROKEN)
        weight[number] += size[number] if size[number] < 1 << 40 else 0
    _resolve(kind, parent)
    for number in range(count - 1, -1, -1):
        if 0 <= parent[number] < number:
            weight[parent[number]] += weight[number]
    first, following = _families(kind, parent)
    columns = (array("I", order), array("q", ordered), kind, size, data, parent, weight, first, following)
    return tuple(bytes(column) for column in columns)


def _offsets(index: Buffer, width: int, end: int) -> list[int]:
    """The offset of each object, in the order of the ids; -1 for one that lies outside of the pack."""
    if width not in {20, 32} or len(index) < _FAN + 2 * width or bytes(index[:8]) != INDEX_MAGIC:
        raise ValueError("the index is damaged")
    fan = array("I", bytes(index[8:_FAN]))
    fan.byteswap()
    count = fan[255]
    rising = all(before <= after for before, after in pairwise(fan))
    if not rising or count > (1 << 31) - 2 or (len(index) - _FAN - 2 * width) // (width + 8) < count:
        raise ValueError("the index is damaged")
    small = _FAN + count * (width + 4)
    near = array("I", bytes(index[small : small + 4 * count]))
    near.byteswap()
    far = small + 4 * count
    fars = (len(index) - 2 * width - far) // 8
    offsets: list[int] = []
    for value in near:
        offset = value
        if value & 0x80000000:
            at = value & 0x7FFFFFFF
            offset = int.from_bytes(index[far + 8 * at : far + 8 * at + 8], "big") if at < fars else -1
            offset = offset if offset < end else -1
        offsets.append(offset)
    return offsets


def _header(pack: Buffer, offset: int, end: int, width: int) -> tuple[int, int, int, int] | None:
    """(type, size, where the data begins, base) of an object; None when it is damaged.

    The base is an offset for an offset delta, where its id stands for a reference delta, else -1.
    """
    if not 12 <= offset < end:
        return None
    try:
        byte = pack[offset]
        type_ = byte >> 4 & 7
        size, at = _varint(pack, offset + 1, end, byte)
        base = -1
        if type_ == _OFS_DELTA:
            back, at = _distance(pack, at, end)
            if not 0 < back <= offset:
                return None
            base = offset - back
        elif type_ == _REF_DELTA:
            base, at = at, at + width
    except IndexError:
        return None
    if type_ in {0, 5} or at > end:
        return None
    return type_, size, at, base


def _varint(pack: Buffer, at: int, end: int, byte: int) -> tuple[int, int]:
    """The rest of an object's size, least significant bits first; `byte` holds the first four."""
    value, shift = byte & 15, 4
    while byte & 0x80:
        if at >= end or shift > 53:
            raise IndexError
        byte = pack[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
    return value, at


def _distance(pack: Buffer, at: int, end: int) -> tuple[int, int]:
    """How far before a delta its base begins."""
    if at >= end:
        raise IndexError
    byte = pack[at]
    at += 1
    value = byte & 0x7F
    while byte & 0x80:
        if at >= end or value >= 1 << 55:
            raise IndexError
        byte = pack[at]
        at += 1
        value = (value + 1) << 7 | byte & 0x7F
    return value, at


def _resolve(kind: bytearray, parent: "array[int]") -> None:
    """Give each delta the kind of its chain's end; a chain that bites its own tail is broken."""
    for number in range(len(kind)):
        walked: list[int] = []
        at = number
        while kind[at] == _UNKNOWN and len(walked) <= len(kind):
            walked.append(at)
            at = parent[at]
        found = BROKEN if kind[at] == _UNKNOWN else kind[at]
        for at in walked:
            kind[at] = found


def _families(kind: bytearray, parent: "array[int]") -> tuple["array[int]", "array[int]"]:
    """The first child of each object and its next sibling, as in `PackColumns`."""
    count = len(kind)
    first, following = array("i", [-1]) * count, array("i", [-1]) * count
    for number in range(count - 1, -1, -1):
        if (base := parent[number]) >= 0 and kind[number] != BROKEN:
            following[number], first[base] = first[base], number
    return first, following


survey = native.survey or survey_slowly
"""The fastest of the two that is there."""
