"""Runs a program as a child, as if it had become this process.

Signals reach it once, a stop of its job stops this process too, what it prints can be masked, and its exit code is told as a shell
tells it. What it leaves running in the background is not waited for.
"""

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FrameType
from typing import IO

from orchestra_creds.core.masking import Masker, masked_lines

FAULTS = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL})
"""Signals that a fault of this process raises: a handler would repeat the fault for ever."""
FORWARDED = signal.valid_signals() - FAULTS - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}
"""Every signal that can be caught, but for faults and the news about the child itself."""
FROM_TERMINAL = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTSTP, signal.SIGWINCH})
"""Signals that a terminal sends to every process of its foreground group: the child has them already."""
JOB_STOPS = frozenset({signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
PIECE = 65_536
"""Bytes read of a stream at a time: what a pipe holds (pipe(7))."""


def supervise_child(
    program: str,
    command: list[str],
    environment: Mapping[str, str],
    secrets: contextlib.AbstractContextManager[Mapping[str, str]],
    masked: Iterable[bytes] | None = None,
) -> int:
    """Run the program and return its exit code; 128 + N after signal N.

    `secrets` gives more variables; it is entered for as long as the program runs, while signals do not end this process. The values in
    `masked` are taken out of each stream that is not a terminal.

    Raises:
        OSError: the program cannot be started.
    """
    out, err = (subprocess.PIPE if masked is not None and _is_redirected(number) else None for number in (1, 2))
    with _forward_signals() as wait_for, secrets as variables:
        child = subprocess.Popen(
            [program, *command[1:]], env={**environment, **variables}, bufsize=0, stdout=out, stderr=err
        )
        with _pass_on_streams(child, masked or ()):
            code = wait_for(child)
    return 128 - code if code < 0 else code


@contextlib.contextmanager
def _forward_signals() -> Iterator[Callable[[subprocess.Popen[bytes]], int]]:
    """Give a function that waits for a child; while the block runs, signals are for that child.

    A signal that comes before there is a child waits for it. One that is ignored stays so for the child: its handler comes later.
    """
    children: list[subprocess.Popen[bytes]] = []
    waiting: list[int] = []
    woken, waking = os.pipe()
    os.set_blocking(waking, False)

    def forward(number: int, _frame: FrameType | None) -> None:
        if number in FROM_TERMINAL and _in_foreground():
            return
        if children:
            _send(children[0], number)
        else:
            waiting.append(number)

    def wait_for(child: subprocess.Popen[bytes]) -> int:
        children.append(child)
        for number in ignored:
            signal.signal(number, forward)
        for early in waiting:
            _send(child, early)
        while (code := _look_at(child)) is None:
            select.select([woken], [], [])  # a signal that comes just before this has written a byte
            os.read(woken, PIECE)
        return code

    before = {number: signal.getsignal(number) for number in (*FORWARDED, signal.SIGCHLD)}
    ignored = [number for number in FORWARDED if before[number] is signal.SIG_IGN]
    wakeup_before = signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    for number in FORWARDED.difference(ignored):
        signal.signal(number, forward)
    signal.signal(
        signal.SIGCHLD, lambda _number, _frame: None
    )  # wakes; where it is ignored, the exit code would be lost
    try:
        yield wait_for
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup_before)
        os.close(woken)
        os.close(waking)


def _send(child: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to a child that has not ended; one that runs as another user may not be reached."""
    if child.returncode is None:
        with contextlib.suppress(OSError):
            os.kill(child.pid, number)


def _look_at(child: subprocess.Popen[bytes]) -> int | None:
    """Return the exit code, or None while the child lives; if its job was stopped, this process stops as well until it goes on."""
    pid, status = os.waitpid(child.pid, os.WNOHANG | os.WUNTRACED)
    if not pid:
        return None
    if not os.WIFSTOPPED(status):
        child.returncode = os.waitstatus_to_exitcode(status)
    elif os.WSTOPSIG(status) in JOB_STOPS:
        os.kill(os.getpid(), signal.SIGSTOP)
    return child.returncode


def _in_foreground() -> bool:
    """Whether this process, and the child with it, is what its terminal sends signals to."""
    for number in (0, 1, 2):
        with contextlib.suppress(OSError):
            return os.tcgetpgrp(number) == os.getpgrp()
    return False


@contextlib.contextmanager
def _pass_on_streams(child: subprocess.Popen[bytes], masked: Iterable[bytes]) -> Iterator[None]:
    """Pass on what the child prints for as long as the block runs, and what is left in its pipes then."""
    lines = masked_lines(masked)
    ended, ending = os.pipe()
    readers = [
        threading.Thread(target=_pass_on, args=(stream, number, Masker(lines), ended))
        for number, stream in ((1, child.stdout), (2, child.stderr))
        if stream is not None
    ]
    for reader in readers:
        reader.start()
    try:
        yield
    finally:
        os.close(ending)
        for reader in readers:
            reader.join()
        os.close(ended)


def _pass_on(stream: IO[bytes], number: int, masker: Masker, ended: int) -> None:
    """Pass on until the child closes the stream or has ended; when nobody reads any more, it is closed for the child too."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # a SIGPIPE of ours is none for the child
    with stream, contextlib.suppress(OSError):
        for piece in _read_pieces(stream.fileno(), ended):
            _write(number, masker.feed(piece))
        _write(number, masker.feed(b"", last=True))


def _read_pieces(stream: int, ended: int) -> Iterator[bytes]:
    """Yield what a pipe gives until its end, or until the other end of the pipe `ended` is closed: then only what it holds."""
    poll = select.poll()
    for descriptor in (stream, ended):
        poll.register(descriptor, select.POLLIN)
    while ended not in {descriptor for descriptor, _ in poll.poll()}:
        piece = os.read(stream, PIECE)
        if not piece:
            return
        yield piece
    left = int.from_bytes(fcntl.ioctl(stream, termios.FIONREAD, bytes(4)), sys.byteorder)
    while left and (piece := os.read(stream, min(left, PIECE))):
        left -= len(piece)
        yield piece


def _write(number: int, data: bytes) -> None:
    while data:
        data = data[os.write(number, data) :]


def _is_redirected(number: int) -> bool:
    """Whether a stream is there and goes to a pipe or a file."""
    try:
        os.fstat(number)
    except OSError:
        return False
    return not os.isatty(number)
