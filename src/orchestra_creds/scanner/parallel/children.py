"""The processes that a scan starts: their group, their memory, their end.

Guarantees: a worker, and a git of this process, leads a group of its own, so Ctrl-C at a terminal reaches the scan alone, which ends
them; a git that a worker starts is in the worker's group and ends with it, however the worker ends.

Imports nothing that costs time: the first look at staged changes pays for every module.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

if sys.platform == "linux":
    import resource

MOST_DATA = 4 << 30
"""Bytes that git may hold beside the files that it maps: RLIMIT_DATA of Linux, which counts no pack, for git maps packs to read them.

git streams files above 512 MiB and makes no deltas of them (core.bigFileThreshold), so that a delta, its base and its result take
less than half of it; nor does the list of objects of a large history take more."""

_HEADROOM = 64 << 20
"""Bytes that this process may take while its own memory is limited, which takes some microseconds."""

_leader = 0
"""The id of the worker that made itself the leader of a group; a process that it forks has another one."""


class ChildProcess:
    """A process whose standard output is read from `stdout`; leave it with `wait` or `kill`."""

    def __init__(self, pid: int, stdout: int, stderr: int, ended: Callable[[], int]) -> None:
        self.pid = pid
        self.stdout = stdout
        self.stderr = stderr
        self._ended = ended
        self._status: int | None = None
        self._owner = os.getpid()

    def __del__(self) -> None:
        """Leave no process behind that an exception made us forget."""
        if self._status is None and self._owner == os.getpid():
            self.kill()

    def wait(self) -> int:
        """The exit code, once the process has ended; negative for a signal."""
        if self._status is None:
            self._status = self._ended()
        self._close()
        return self._status

    def kill(self) -> None:
        """Ends the process and its group if it still runs."""
        if self._status is None:
            kill_group(self.pid)
        self.wait()

    def _close(self) -> None:
        for name in ("stdout", "stderr"):
            if (fd := getattr(self, name)) >= 0:
                os.close(fd)
                setattr(self, name, -1)


def spawn(
    command: list[bytes],
    env: Mapping[bytes, bytes],
    actions: Sequence[tuple[int, int, int]],
    stdout: int,
    stderr: int,
    most_data: int,
) -> ChildProcess:
    """Start a process in a group of its own, or in that of this worker, that may hold `most_data` bytes (not on Windows)."""
    # No signal may come before there is something that ends the process.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    limits = None
    try:
        if sys.platform == "linux":
            with suppress(OSError):  # no /proc here
                limits = _limit_own_memory(most_data)
        pid = os.posix_spawn(
            command[0],
            command,
            env,
            file_actions=actions,
            setpgroup=_leader if _leader == os.getpid() else 0,
            setsigmask=before,
            # Python ignores it and a child inherits that: git must die when nobody reads it any more.
            setsigdef=[signal.SIGPIPE],
        )
        return ChildProcess(pid, stdout, stderr, lambda: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    finally:
        if limits is not None:
            resource.setrlimit(resource.RLIMIT_DATA, limits)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def lead_group() -> None:
    """Make this worker the leader of a group of its own."""
    global _leader  # noqa: PLW0603  of this process
    os.setpgid(0, 0)
    _leader = os.getpid()


def kill_group(pid: int) -> None:
    """Kill a child and its group; the child alone if another process leads that group."""
    if sys.platform == "win32":
        os.kill(pid, signal.SIGTERM)
        return
    with suppress(ProcessLookupError):
        (os.killpg if os.getpgid(pid) == pid else os.kill)(pid, signal.SIGKILL)


def _limit_own_memory(most: int) -> tuple[int, int]:
    """Let this process, and so a child that it starts, hold so many bytes, or what it holds itself; returns the limits before."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with open("/proc/self/statm", "rb", buffering=0) as file:
        held = int(file.read(200).split()[5]) * resource.getpagesize()
    known = [limit for limit in (max(most, held + _HEADROOM), *before) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(known), before[1]))
    return before
