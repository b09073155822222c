"""Waits for the output of git, and ends a git that makes no progress.

The files that git reads are checked before it starts (`git/control_files.py`). This watch is for what no check can see: a pipe that
an included configuration names, a file that changed after the check, deltas in a cycle.

Imports nothing that costs time: the first look at staged changes pays for every module.
"""

import os
import select

from orchestra_creds.errors import PreconditionError

TYPE_CHECKING = False  # typing's own costs 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LOOK = 1.0
"""Seconds without output after which git is looked at, and between two looks."""

BLOCKED = 3
"""Looks at which git slept and had done nothing since the look before: it waits for something that does not come."""

SILENT = 600
"""Looks without output after which git is ended, busy or not."""

MOST_MEMORY = 2 << 30
"""Bytes of its own that a git without output may hold; a cycle of deltas passes them in half a minute."""


class GitStalledError(PreconditionError):
    """Git was ended because it made no progress."""


_OPENS_A_PIPE = frozenset((b"wait_for_partner", b"fifo_open"))
"""Functions of Linux in which a process waits that opens a named pipe (fs/pipe.c)."""


def wait(pid: int, fds: "Sequence[int]", shown: str, size: "Callable[[], int]" = lambda: 0) -> list[int]:
    """Return those of the descriptors that can be read; `size` is that of a file the process writes to.

    Raises:
        GitStalledError: the process makes no progress; it still runs.
    """
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    silent = blocked = written = 0
    before = b""
    while not (ready := poll.poll(LOOK * 1000)):
        status = _process_file(pid, "status")
        if (now := size()) != written:
            written, silent = now, 0
        silent += 1
        blocked = blocked + 1 if status == before and b"\nState:\tS" in status else 0
        before = status
        if blocked >= BLOCKED or _process_file(pid, "wchan") in _OPENS_A_PIPE:
            raise _error(shown, "it waits for something that is no file")
        if _memory(status) > MOST_MEMORY:
            raise _error(shown, f"it took more than {MOST_MEMORY >> 30} GiB of memory")
        if silent >= SILENT:
            raise _error(shown, f"it gave no answer in {round(SILENT * LOOK):,} seconds")
    return [fd for fd, _ in ready]


def _error(shown: str, reason: str) -> GitStalledError:
    return GitStalledError(f"git was ended in {shown}: {reason}", hint="look for pipes and damaged packs in .git")


def _process_file(pid: int, name: str) -> bytes:
    """What Linux tells about a process: its state, memory and number of waits, or where it waits; elsewhere nothing."""
    try:
        fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return b""
    try:
        return os.read(fd, 1 << 16)
    except OSError:
        return b""  # it has just ended
    finally:
        os.close(fd)


def _memory(status: bytes) -> int:
    """Bytes that the process holds beside the files it maps; 0 where that is not told."""
    _, found, rest = status.partition(b"\nRssAnon:")
    return int(rest.split(None, 1)[0]) << 10 if found else 0
