"""Many attempts at once: those that wait for something stand aside, so that a settle time costs a run nothing but itself.

One attempt's failure, even a bug, ends that attempt only. Attempts are taken from their source as places become free, so memory does
not grow with their number.
"""

import heapq
import itertools
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime

from orchestra_creds.errors import ExitCode
from orchestra_creds.rotation.engine import Attempt, Pause
from orchestra_creds.rotation.outcome import Ending, Outcome
from orchestra_creds.rotation.run_clock import RunClock

WAITING_FOR_EACH = 32
"""Attempts that may wait beside each one at work: a settle time is about so many times as long as the calls of a rotation."""


def run(attempts: Iterable[Attempt], time: RunClock, *, jobs: int = 1) -> Iterator[Outcome]:
    """The outcomes, in the order in which they come about; at most `jobs` attempts are at work at any time."""
    source = iter(attempts)
    if jobs <= 1:
        yield from _run_serial(source, time)
        return
    with ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="rotate") as pool:
        yield from _run_parallel(source, time, pool, jobs)


class _Queue:
    """Attempts that wait, the earliest first; refilled from the source when nothing is ready."""

    def __init__(self, source: Iterator[Attempt], time: RunClock, most: int) -> None:
        self._source, self._time, self._most = source, time, most
        self._waiting: list[tuple[datetime, int, Attempt]] = []
        self._numbers = itertools.count()

    def put(self, attempt: Attempt, until: datetime) -> None:
        heapq.heappush(self._waiting, (until, next(self._numbers), attempt))

    def ready(self) -> Attempt | None:
        """One that can go on: an old one first, for it holds a lease."""
        if self._waiting and self._waiting[0][0] <= self._time.now():
            return heapq.heappop(self._waiting)[2]
        return next(self._source, None) if len(self._waiting) < self._most else None

    def seconds(self) -> float | None:
        """How long until one is ready; None when none waits."""
        return max((self._waiting[0][0] - self._time.now()).total_seconds(), 0.0) if self._waiting else None


def _run_serial(source: Iterator[Attempt], time: RunClock) -> Iterator[Outcome]:
    queue = _Queue(source, time, WAITING_FOR_EACH)
    while True:
        attempt = queue.ready()
        if attempt is None:
            seconds = queue.seconds()
            if seconds is None:
                return
            time.sleep(seconds)
            continue
        result = _advance(attempt)
        if isinstance(result, Pause):
            queue.put(attempt, result.until)
        else:
            yield result


def _run_parallel(source: Iterator[Attempt], time: RunClock, pool: ThreadPoolExecutor, jobs: int) -> Iterator[Outcome]:
    queue = _Queue(source, time, jobs * WAITING_FOR_EACH)
    working: dict[Future[Pause | Outcome], Attempt] = {}
    while True:
        while len(working) < jobs and (attempt := queue.ready()) is not None:
            working[pool.submit(_advance, attempt)] = attempt
        seconds = queue.seconds()
        if not working:
            if seconds is None:
                return
            time.sleep(seconds)
            continue
        # with every place taken, only an end matters
        ended, _ = wait(working, timeout=seconds if len(working) < jobs else None, return_when=FIRST_COMPLETED)
        for future in ended:
            attempt, result = working.pop(future), future.result()
            if isinstance(result, Pause):
                queue.put(attempt, result.until)
            else:
                yield result


def _advance(attempt: Attempt) -> Pause | Outcome:
    try:
        return attempt.advance()
    except Exception as error:  # noqa: BLE001  a bug in one credential's rotation must not stop the others; its text may hold material
        return Outcome(
            attempt.credential.name,
            Ending.FAILED,
            message=f"a bug in orchestra-creds ({type(error).__name__})",
            hint="nothing was undone; the next run goes on; please report it",
            steps=tuple(attempt.steps),
            code=ExitCode.BUG,
        )
