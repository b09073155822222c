"""Keeps a run under Google's quotas, so that it waits a little here instead of being refused there.

A token bucket for each kind of call and project. Thread-safe. Figures: cloud.google.com/secret-manager/quotas (per minute and project:
90,000 access, 600 read, 600 write) and cloud.google.com/iam/quotas (6,000 read, 600 write); nine tenths of them, for others call too.
"""

import threading
import time
from collections.abc import Callable

SHARE = 0.9
PER_MINUTE = {
    "secretmanager:access": 90_000,
    "secretmanager:read": 600,
    "secretmanager:write": 600,
    "iam:read": 6_000,
    "iam:write": 600,
}
BURST_SECONDS = 6.0
"""A bucket holds what comes in so many seconds."""


class Pace:
    """Buckets that fill with time; `take` waits until one call is free."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        per_minute: dict[str, int] = PER_MINUTE,
    ) -> None:
        self._monotonic, self._sleep = monotonic, sleep
        self._rates = {name: limit * SHARE / 60 for name, limit in per_minute.items()}
        self._levels = {name: rate * BURST_SECONDS for name, rate in self._rates.items()}
        self._filled = dict.fromkeys(self._rates, monotonic())
        self._lock = threading.Lock()

    def take(self, bucket: str) -> None:
        """Return when a call of this kind may be sent; kinds without a limit at once."""
        if bucket not in self._rates:
            return
        with self._lock:
            now, rate = self._monotonic(), self._rates[bucket]
            level = min(self._levels[bucket] + (now - self._filled[bucket]) * rate, rate * BURST_SECONDS) - 1
            self._levels[bucket], self._filled[bucket] = level, now
        if level < 0:  # this call's place in the queue is taken; only the waiting is left
            self._sleep(-level / rate)


def bucket_of(service: str, method: str) -> str:
    """The kind of a client's method, such as `add_secret_version` of `secretmanager`."""
    verb = method.partition("_")[0]
    kind = "access" if verb == "access" else "read" if verb in {"get", "list", "test", "GET"} else "write"
    return f"{service}:{kind}"
