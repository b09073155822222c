"""Several calls of the cloud at once, with the results and the failure of one after the other."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_A = TypeVar("_A")
_B = TypeVar("_B")

CALLS_AT_ONCE = 16
"""Calls under way at once. The adapters pace them under the quota of the project, so more would only wait."""


def map_in_order(work: Callable[[_A], _B], items: Iterable[_A], *, at_once: int = CALLS_AT_ONCE) -> list[_B]:
    """Return `work(item)` of each item, in the order of the items; up to `at_once` calls are under way at a time.

    Raises:
        Exception: what the first failing item in that order raised; items that nobody began then are left out.
    """
    listed = list(items)
    if len(listed) < 2 or at_once < 2:
        return [work(item) for item in listed]
    pool = ThreadPoolExecutor(max_workers=min(at_once, len(listed)), thread_name_prefix="calls")
    try:
        return list(pool.map(work, listed))
    finally:
        pool.shutdown(cancel_futures=True)
