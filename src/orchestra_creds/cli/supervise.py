"""Runs a program as a child: signals reach it once, what it prints can be masked, and its exit code is told as a shell tells it."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FrameType
from typing import IO

from orchestra_creds.core.masking import Masker, masked_lines

FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
FROM_TERMINAL = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGHUP})
"""What a terminal sends to every process of its foreground group: the child has it already."""
PIECE = 65_536
"""Bytes read of a stream at a time: what a pipe holds (pipe(7))."""


def supervise_child(
    program: str, command: list[str], environment: Mapping[str, str], masked: Iterable[bytes] | None = None
) -> int:
    """The exit code; 128 + N after signal N. `masked`: values that are taken out of each stream that is not a terminal.

    Raises:
        OSError: the program cannot be started.
    """
    out, err = (subprocess.PIPE if masked is not None and _is_redirected(number) else None for number in (1, 2))
    with _forward_signals() as deliver_to:
        child = subprocess.Popen([program, *command[1:]], env=dict(environment), bufsize=0, stdout=out, stderr=err)
        deliver_to(child)
        lines = masked_lines(masked or ())
        readers = [
            threading.Thread(target=_pass_on, args=(stream, number, Masker(lines)))
            for number, stream in ((1, child.stdout), (2, child.stderr))
            if stream is not None
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        code = int(child.wait())
    return 128 - code if code < 0 else code


@contextlib.contextmanager
def _forward_signals() -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """While the block runs, signals are for the child; the function that is given tells who that is.

    One that comes before there is a child waits for it. What a terminal sends is not sent again.
    """
    children: list[subprocess.Popen[bytes]] = []
    waiting: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        if number in FROM_TERMINAL and _in_foreground():
            return
        if children:
            children[0].send_signal(number)
        else:
            waiting.append(number)

    def deliver_to(child: subprocess.Popen[bytes]) -> None:
        children.append(child)
        for number in waiting:
            child.send_signal(number)

    before = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        yield deliver_to
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_foreground() -> bool:
    """Whether this process, and the child with it, is what its terminal sends signals to."""
    for number in (0, 1, 2):
        with contextlib.suppress(OSError):
            return os.tcgetpgrp(number) == os.getpgrp()
    return False


def _pass_on(stream: IO[bytes], number: int, masker: Masker) -> None:
    """Until the child closes it; when nobody reads any more, it is closed for the child too."""
    with stream:
        try:
            while piece := os.read(stream.fileno(), PIECE):
                _write(number, masker.feed(piece))
            _write(number, masker.feed(b"", last=True))
        except OSError:
            return


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
