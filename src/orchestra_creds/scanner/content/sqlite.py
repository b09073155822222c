"""Reads the records of an SQLite database: their columns stand side by side in the file, without anything between them.

Guarantees: never raises on any input; every page is read once, and so is every chain of overflow pages, so the time is linear in the
size of the file. Follows https://www.sqlite.org/fileformat2.html, sections 1.6 and 2.1. What was deleted is not read here: the scan of
the raw bytes sees it.
"""

import io
from collections.abc import Iterator

HEADER = 100
"""Bytes of the header of the file, at the start of its first page."""

_LEAF, _INDEX_LEAF, _INDEX = 0x0D, 0x0A, 0x02
_SHORTEST = 4  # bytes of a column that may hold something


def as_text(content: bytes) -> io.BytesIO:
    """Return the text and blob columns of all records, one to a line, an empty line behind each record."""
    return io.BytesIO(b"".join(b"%b\n\n" % b"\n".join(columns) for columns in _records(content)))


def _records(content: bytes) -> Iterator[list[bytes]]:
    size = int.from_bytes(content[16:18], "big")
    size = 65536 if size == 1 else size
    if len(content) < HEADER or size < 512 or size & (size - 1):
        return
    usable = size - content[20]
    seen: set[int] = set()
    for start in range(0, len(content), size):
        page = content[start : start + size]
        head = HEADER if start == 0 else 0
        kind = page[head] if head < len(page) else 0
        if kind not in {_LEAF, _INDEX_LEAF, _INDEX}:
            continue
        pointers = head + (12 if kind == _INDEX else 8)
        for at in range(int.from_bytes(page[head + 3 : head + 5], "big")):
            cell = int.from_bytes(page[pointers + 2 * at : pointers + 2 * at + 2], "big")
            if 0 < cell < len(page):
                record = _record(content, page, cell, kind, size, usable, seen)
                if columns := [column for column in _columns(record) if len(column) >= _SHORTEST]:
                    yield columns


def _record(content: bytes, page: bytes, at: int, kind: int, size: int, usable: int, seen: set[int]) -> bytes:
    """The record of a cell, with what overflows to other pages; `seen` are the overflow pages that were read."""
    if kind == _INDEX:
        at += 4
    length, at = _varint(page, at)
    if kind == _LEAF:
        _, at = _varint(page, at)
    most = usable - 35 if kind == _LEAF else (usable - 12) * 64 // 255 - 23
    if length <= most:
        return page[at : at + length]
    least = (usable - 12) * 32 // 255 - 23
    local = least + (length - least) % (usable - 4)
    local = local if local <= most else least
    parts = [page[at : at + local]]
    left = length - local
    following = int.from_bytes(page[at + local : at + local + 4], "big")
    while left > 0 and following and following not in seen:
        seen.add(following)
        start = (following - 1) * size
        parts.append(content[start + 4 : start + min(usable, 4 + left)])
        left -= usable - 4
        following = int.from_bytes(content[start : start + 4], "big")
    return b"".join(parts)


def _columns(record: bytes) -> Iterator[bytes]:
    """The text and blob columns of a record."""
    end, at = _varint(record, 0)
    body = end
    while at < min(end, len(record)):
        kind, at = _varint(record, at)
        width = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0)[kind] if kind < 12 else (kind - 12) // 2
        if kind >= 12:
            yield record[body : body + width]
        body += width
        if body > len(record):
            return


def _varint(text: bytes, at: int) -> tuple[int, int]:
    """The number of at most nine bytes that begins at `at`, and where it ends."""
    number = 0
    for place in range(9):
        byte = text[at + place] if at + place < len(text) else 0
        if place == 8:
            return number << 8 | byte, at + 9
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            return number, at + place + 1
    return number, at + 9
