"""Several calls of the cloud at once, with the results and the failure of one after the other."""

import threading
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from orchestra_creds.errors import CancelledError

_A = TypeVar("_A")
_B = TypeVar("_B")
_K = TypeVar("_K", bound=Hashable)

CALLS_AT_ONCE = 16
"""Calls under way at once. The adapters pace them under the quota of the project, so more would only wait."""
MOST_AT_ONCE = 64
"""Calls under way at once that an operator may ask for."""


def map_in_order(
    work: Callable[[_A], _B],
    items: Iterable[_A],
    *,
    at_once: int = CALLS_AT_ONCE,
    abandon: Callable[[], None] = lambda: None,
) -> list[_B]:
    """Return `work(item)` of each item, in the order of the items; up to `at_once` calls are under way at a time.

    When an item fails, and at Ctrl-C, items that nobody began are left out, and this returns after the calls under way. `abandon` is
    called before it waits for them; it may tell them to end early.

    Raises:
        Exception: what the first failing item in that order raised.
    """
    listed = list(items)
    if len(listed) < 2 or at_once < 2:
        return [work(item) for item in listed]
    calls = _CountedCalls(work)
    pool = ThreadPoolExecutor(max_workers=min(at_once, len(listed)), thread_name_prefix="calls")
    try:
        return list(pool.map(calls.make, listed))
    except BaseException:
        calls.forbid_more()
        abandon()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        calls.wait_for_all()


class _CountedCalls(Generic[_A, _B]):
    """Calls of a function, counted: a pool forgets a thread that was just being started when Ctrl-C came."""

    def __init__(self, work: Callable[[_A], _B]) -> None:
        self._work = work
        self._changed = threading.Condition()
        self._under_way = 0
        self._is_over = False

    def make(self, item: _A) -> _B:
        """Return what the call returns.

        Raises:
            CancelledError: no more calls may begin.
        """
        with self._changed:
            if self._is_over:
                raise CancelledError("interrupted")
            self._under_way += 1
        try:
            return self._work(item)
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def forbid_more(self) -> None:
        """Let no call begin any more."""
        with self._changed:
            self._is_over = True

    def wait_for_all(self) -> None:
        """Return when no call is under way."""
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way)


def call_both(first: Callable[[], _A], second: Callable[[], _B], *, at_once: int = CALLS_AT_ONCE) -> tuple[_A, _B]:
    """Return what two calls return that are made at once, or one after the other if `at_once` is 1.

    Raises:
        Exception: what the first of them raised, else what the second raised.
    """
    found: list[_A] = []
    other: list[_B] = []
    calls: tuple[Callable[[], None], ...] = (lambda: found.append(first()), lambda: other.append(second()))

    def run(number: int) -> None:
        calls[number]()

    map_in_order(run, range(len(calls)), at_once=at_once)
    return found[0], other[0]


class KnownAnswers(Generic[_K, _B]):
    """Answers that are asked for once, by a key. Thread-safe.

    Who wants an answer that is being asked for waits for it. Who wants another one does not wait. A failure is told to all who wait,
    and asked for again by who comes later.
    """

    def __init__(self) -> None:
        self._answers: dict[_K, Future[_B]] = {}
        self._lock = threading.Lock()

    def find(self, key: _K, ask: Callable[[], _B]) -> _B:
        """Return the answer for a key, which `ask` returns to the first who wants it.

        Raises:
            Exception: what `ask` raised.
        """
        with self._lock:
            known = self._answers.get(key)
            answer: Future[_B] = self._answers.setdefault(key, Future())
        if known is not None:
            return known.result()
        try:
            answer.set_result(ask())
        except BaseException as error:
            with self._lock:
                del self._answers[key]
            answer.set_exception(error)
            raise
        return answer.result()
