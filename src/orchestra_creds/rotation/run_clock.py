"""Time as the engine gets it: a clock, a stopwatch and a way to wait; tests hand in virtual ones."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RunClock:
    """`now` is aware UTC, as the service has it; `monotonic` counts seconds and never jumps; `sleep` waits so many seconds."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
