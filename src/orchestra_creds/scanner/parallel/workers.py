"""Work in parallel: forked processes that draw tokens from one pipe and answer on one each.

Guarantees: every token is drawn once; what a worker answered before it died is kept, and the tokens whose answer is
missing are returned, never forgotten; no worker outlives this process or an exception here, Ctrl-C and SIGTERM included;
a worker runs none of this process's clean-up. See docs/adr/0005-parallel-by-fork.md.

Where forking is not safe (macOS, Windows, a process with threads) threads do the same work: the first pass releases
Python's lock. `serve` is the work: it takes tokens and a way to answer, and is called once in each worker.
"""

import contextlib
import gc
import os
import select
import signal
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue

from orchestra_creds.core.record import dataclass
from orchestra_creds.scanner.native_files import hold
from orchestra_creds.scanner.parallel.children import kill_group, lead_group

MOST_TOKENS = 1000
"""Tokens of 8 bytes that are sure to fit into an empty pipe, so that nobody has to feed it."""

_TOKEN = struct.Struct("=II")
_LENGTH = struct.Struct("=I")
_READ = 1 << 18
_HELD = 32 << 20
"""Bytes that a worker has freed and may keep: the texts of one pass, and as many again."""

Answer = Callable[[bytes], None]
Serve = Callable[[Iterator[range], Answer], None]
Answers = SimpleQueue[bytes | BaseException | None]


@dataclass(frozen=True, slots=True)
class WorkerDeath:
    """How a worker ended that was not done: its signal, or 0 when it failed."""

    signal: int


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def tokens(count: int, jobs: int, least: int) -> list[range]:
    """`count` positions in ranges of at least `least`, and not more ranges than fit into a pipe."""
    step = max(least, -(-count // MOST_TOKENS)) if jobs > 1 else max(count, 1)
    return [range(start, min(start + step, count)) for start in range(0, count, step)]


def can_fork() -> bool:
    """Whether a forked child may go on working: not on macOS, and not from a process with threads."""
    return hasattr(os, "fork") and sys.platform != "darwin" and threading.active_count() == 1


def run_in_processes(serve: Serve, work: list[range], jobs: int) -> Iterator[bytes | WorkerDeath]:
    """The answers of `jobs` children to all of `work`, as they come, and the deaths of children that did not finish."""
    source, feed = os.pipe()
    children: dict[int, int] = {}
    gc.freeze()  # the children share these pages as long as nobody touches them
    try:
        os.write(feed, b"".join(_TOKEN.pack(token.start, token.stop) for token in work))
        os.close(feed)
        feed = -1
        for _ in range(jobs):
            pid, answers = _start(serve, source, list(children))
            children[answers] = pid
        yield from _collect(children)
    finally:
        gc.unfreeze()
        if feed >= 0:
            os.close(feed)
        os.close(source)
        _end(children)


class ForkedCall:
    """One piece of work in a child of its own, from now on; ask for the answer, or close it."""

    def __init__(self, work: Callable[[], bytes]) -> None:
        source, feed = os.pipe()
        os.close(feed)
        try:
            pid, answers = _start(lambda _tokens, answer: answer(work()), source, [])
        finally:
            os.close(source)
        self._children = {answers: pid}

    def ready(self) -> bool:
        """Whether the answer is there, or begins to come."""
        return bool(select.select(list(self._children), (), (), 0)[0])

    def answer(self) -> bytes | None:
        """What the work came to, once it is done; None when the child failed or was killed."""
        try:
            return next((one for one in _collect(self._children) if isinstance(one, bytes)), None)
        finally:
            self.close()

    def close(self) -> None:
        """End the child if it still runs."""
        _end(self._children)


def _end(children: dict[int, int]) -> None:
    """Leave no child behind: answers' descriptor to process id."""
    while children:
        answers, pid = children.popitem()
        os.close(answers)
        kill_group(pid)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def _start(serve: Serve, source: int, others: list[int]) -> tuple[int, int]:
    """Fork one worker; returns its process id and the pipe of its answers."""
    answers, reply = os.pipe()
    # No signal may arrive between the fork and the place where both sides know what to do with it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    pid = os.fork()
    if pid == 0:
        _serve(serve, source, reply, [answers, *others], before)
    with contextlib.suppress(ProcessLookupError):  # the child does the same: whoever comes first
        os.setpgid(pid, pid)
    os.close(reply)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid, answers


def _serve(serve: Serve, source: int, reply: int, unneeded: list[int], mask: set[int | signal.Signals]) -> None:
    """A worker's whole life; never returns."""
    code = 1
    try:
        lead_group()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if hold is not None:
            hold(_HELD)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for fd in unneeded:
            os.close(fd)
        parent = os.getppid()

        def draw() -> Iterator[range]:
            while len(token := os.read(source, _TOKEN.size)) == _TOKEN.size:
                yield range(*_TOKEN.unpack(token))

        def answer(data: bytes) -> None:
            if os.getppid() != parent:
                os._exit(1)
            _write(reply, _LENGTH.pack(len(data)) + data)

        serve(draw(), answer)
        code = 0
    finally:
        os._exit(code)  # also on an error: its text may hold material, and the parent names the death


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _collect(children: dict[int, int]) -> Iterator[bytes | WorkerDeath]:
    buffers = {answers: bytearray() for answers in children}
    poll = select.poll()
    for answers in children:
        poll.register(answers, select.POLLIN)
    while buffers:
        for answers, _ in poll.poll():
            data = os.read(answers, _READ)
            buffer = buffers[answers]
            buffer += data
            yield from _frames(buffer)
            if data:
                continue
            poll.unregister(answers)
            del buffers[answers]
            os.close(answers)
            pid = children.pop(answers)
            kill_group(pid)  # it has ended, and how is settled; what it left behind ends now
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            if status:
                yield WorkerDeath(max(-status, 0))


def _frames(buffer: bytearray) -> Iterator[bytes]:
    """Take the whole answers off the front of the buffer."""
    while len(buffer) >= _LENGTH.size:
        (length,) = _LENGTH.unpack_from(buffer)
        end = _LENGTH.size + length
        if len(buffer) < end:
            return
        yield bytes(buffer[_LENGTH.size : end])
        del buffer[:end]


def run_in_threads(serves: list[Serve], work: list[range]) -> Iterator[bytes | WorkerDeath]:
    """The same by threads, one for each of `serves`; an error in one of them is raised here."""
    waiting = iter(work)
    lock = threading.Lock()
    answers: Answers = SimpleQueue()
    stop = threading.Event()

    def draw() -> Iterator[range]:
        while not stop.is_set():
            with lock:
                token = next(waiting, None)
            if token is None:
                return
            yield token

    threads = [threading.Thread(target=_live, args=(serve, draw(), answers), daemon=True) for serve in serves]
    try:
        for thread in threads:
            thread.start()
        for _ in threads:
            while (answer := answers.get()) is not None:
                if isinstance(answer, BaseException):
                    raise answer
                yield answer
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _live(serve: Serve, draw: Iterator[range], answers: Answers) -> None:
    """A thread's whole life; None is its last word."""
    try:
        serve(draw, answers.put)
    except BaseException as error:  # noqa: BLE001  handed over to the thread that asked
        answers.put(error)
    answers.put(None)
