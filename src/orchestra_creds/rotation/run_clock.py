"""Time as the engine gets it: a clock, a stopwatch and a way to wait; tests hand in virtual ones."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RunClock:
    """`now` is aware UTC, as the service has it; `monotonic` counts seconds and never jumps; `sleep` waits so many seconds."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]


def seconds_since_boot() -> float:
    """Return a count of seconds that goes on while the host is suspended, where there is one (Linux: CLOCK_BOOTTIME).

    A lease ends by the clock of others: a run that slept with its host must not believe that it still has it.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
