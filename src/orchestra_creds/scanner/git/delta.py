"""A delta of a packfile: the text it makes, and which part of that text has to be read again.

What a delta copies from its base was read there. Only matches that touch an insertion, or the seam between two copies,
can be new; they lie in windows that reach `back` bytes before and `ahead` bytes behind each of these. `windows`
holds all windows as one buffer, so that one pass of the engine reads them.

Guarantees: every byte of the text lies in a window or in a copied run (or in both); damaged deltas raise ValueError,
too large results OverflowError, before anything is allocated.

`apply` is the compiled one of `_native.c` where that was built, else `apply_slowly`, which is the same in Python.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from orchestra_creds.scanner import native
from orchestra_creds.scanner.buffers import SEPARATOR
from orchestra_creds.scanner.checks.verdict import Buffer


class CopyRun(NamedTuple):
    """`length` bytes at `to` of the text are those at `start` of the base."""

    to: int
    start: int
    length: int


class WindowMargin(NamedTuple):
    """How far windows reach out from what is new, in bytes."""

    back: int
    ahead: int


def inner(run: CopyRun, old: int, new: int, reach: WindowMargin) -> tuple[int, int]:
    """The part [low, high) of a run that lies in no window; low >= high when there is none.

    `old` and `new` are the sizes of base and text: where the run holds the edge of both, no seam is there.
    """
    low = run.to + (0 if run.to == run.start == 0 else reach.ahead)
    at_end = run.to + run.length == new and run.start + run.length == old
    return low, run.to + run.length - (0 if at_end else reach.back)


def triples(flat: bytes) -> Iterator[tuple[int, int, int]]:
    """The triples of `cuts` or `runs`, see `apply_slowly`."""
    numbers = iter(memoryview(flat).cast("q"))
    return zip(numbers, numbers, numbers, strict=True)


def in_text(cuts: bytes, offsets: Sequence[int]) -> list[int]:
    """Where ends found in `windows` lie in the text; an end in a separator means the end of its window."""
    windows = list(triples(cuts))
    starts = [window[0] for window in windows]
    found = []
    for offset in offsets:
        at, start, length = windows[bisect_right(starts, offset - 1) - 1]
        found.append(start + min(offset - at, length))
    return found


def _size(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 56:
            raise ValueError("the delta is damaged")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
    if value >= 1 << 63:
        raise ValueError("the delta is damaged")
    return value, at


def _operations(data: bytes, at: int) -> Iterator[tuple[int, int, bytes]]:
    """(offset, length, b"") of each copy and (0, length, bytes) of each insertion."""
    size = len(data)
    while at < size:
        op = data[at]
        at += 1
        if op & 0x80:
            start = length = 0
            for bit in range(7):
                if op & 1 << bit:
                    if at >= size:
                        raise ValueError("the delta is damaged")
                    if bit < 4:
                        start |= data[at] << 8 * bit
                    else:
                        length |= data[at] << 8 * (bit - 4)
                    at += 1
            yield start, length or 0x10000, b""
        else:
            if op == 0 or size - at < op:
                raise ValueError("the delta is damaged")
            yield 0, op, data[at : at + op]
            at += op


def apply_slowly(base: Buffer, delta: Buffer, limit: int, back: int, ahead: int) -> tuple[bytes, bytes, bytes, bytes]:
    """Return what a delta makes of its base: (text, windows, cuts, runs); the text may have at most `limit` bytes.

    windows   the windows, each followed by SEPARATOR; the text itself when all of it is new
    cuts      flat native int64 triples: (offset in `windows`, offset in `text`, length) of each window
    runs      flat native int64 triples, see `CopyRun`: copied runs that reach out of the windows around them

    Raises:
        ValueError: the delta is damaged.
        OverflowError: the text is larger than `limit`.
    """
    data = bytes(delta)
    old, at = _size(data, 0)
    new, at = _size(data, at)
    if old != len(base):
        raise ValueError("the delta is damaged")
    if new > limit:
        raise OverflowError("larger than the limit")
    text = bytearray()
    runs: list[CopyRun] = []
    for start, length, inserted in _operations(data, at):
        filled = len(text)
        if length > new - filled:
            raise ValueError("the delta is damaged")
        if inserted:
            text += inserted
            continue
        if start > old or length > old - start:
            raise ValueError("the delta is damaged")
        text += base[start : start + length]
        last = runs[-1] if runs else None
        if last and last.to + last.length == filled and last.start + last.length == start:
            runs[-1] = CopyRun(last.to, last.start, last.length + length)
        else:
            runs.append(CopyRun(filled, start, length))
    if len(text) != new:
        raise ValueError("the delta is damaged")
    reach = WindowMargin(back, ahead)
    useful = [run for run in runs if (part := inner(run, old, new, reach))[0] < part[1]]
    return _windows(bytes(text), useful, old, reach)


def _windows(text: bytes, runs: list[CopyRun], old: int, reach: WindowMargin) -> tuple[bytes, bytes, bytes, bytes]:
    size = len(text)
    joined = bytearray()
    cuts = []
    start = 0
    for low, high in [*(inner(run, old, size, reach) for run in runs), (size, size)]:
        if start < low:
            cuts.append((len(joined), start, low - start))
            joined += text[start:low]
            joined += SEPARATOR
        start = high
    windows = text if cuts == [(0, 0, size)] else bytes(joined)
    return text, windows, _flat(cuts), _flat(runs)


def _flat(rows: Sequence[tuple[int, int, int]]) -> bytes:
    return array("q", [number for row in rows for number in row]).tobytes()


apply = native.apply or apply_slowly
"""The fastest of the two that is there."""
