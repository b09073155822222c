"""Runs a program and says what it cost: wall time, processor time, and the peak memory of its whole process tree.

Time is measured without sampling. Memory is measured in a run of its own: every 10 ms the proportional set sizes (PSS,
which counts a page shared by n processes as 1/n in each) of the program and all its descendants are read from /proc and
summed; the peak is the largest sum seen. Pages of files that are mapped count; the page cache does not.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_INTERVAL: Final = 0.01


class TimeLimitError(Exception):
    """The program was stopped at its time limit."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds by the clock, seconds of all processors, and the exit code."""

    wall: float
    cpu: float
    code: int


def timed(command: Sequence[str], folder: Path, environment: Mapping[str, str], limit: float) -> Cost:
    """One run, output to nowhere; processor time is that of the program and every child it waited for.

    Raises:
        TimeLimitError: after `limit` seconds; the program's process group is ended.
    """
    start = time.perf_counter()
    process = _start(command, folder, environment)
    expired = threading.Event()

    def stop() -> None:
        expired.set()
        _end(process.pid)

    timer = threading.Timer(limit, stop)
    timer.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    if expired.is_set():
        raise TimeLimitError(" ".join(command))
    return Cost(wall, usage.ru_utime + usage.ru_stime, process.returncode)


def peak(command: Sequence[str], folder: Path, environment: Mapping[str, str], limit: float) -> tuple[float, float]:
    """The peak memory of one run in MB (10^6 bytes), and the seconds it took (sampling costs the others a little).

    Raises:
        TimeLimitError: after `limit` seconds.
    """
    process = _start(command, folder, environment)
    highest, start = 0, time.monotonic()
    while process.poll() is None:
        highest = max(highest, sum(map(_pss, _tree(process.pid))))
        if time.monotonic() > start + limit:
            _end(process.pid)
            process.wait()
            raise TimeLimitError(" ".join(command))
        time.sleep(_INTERVAL)
    return highest * 1024 / 1e6, time.monotonic() - start


def _start(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _end(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _tree(root: int) -> list[int]:
    """The process and all its descendants, threads' children included."""
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                waiting += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0
