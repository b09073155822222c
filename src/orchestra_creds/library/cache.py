"""Values in memory, and who reads them again.

Guarantees: at most one read of a secret runs at a time, and all callers that need its result share it; no lock is held while one runs;
a caller that has a usable value waits at most PATIENCE seconds, and not at all during an outage; a refusal removes the value;
an error is never kept.
"""

import asyncio
import contextlib
import copy
import functools
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass

from orchestra_creds.core.cloud_types import VersionMaterial
from orchestra_creds.core.material import Material
from orchestra_creds.errors import CredsError, UnavailableError
from orchestra_creds.library.threads import ReadThreads

AHEAD = 0.8
"""The share of its time to live after which a value is refreshed in the background."""
PATIENCE = 0.5
"""Seconds that a caller with a value older than its time to live waits for the newer one, counted from the start of that read."""
FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
"""Seconds before the second try after a failure, and the most between two tries; the delay doubles with every failure."""

_LOG = logging.getLogger("orchestra_creds")


@dataclass(frozen=True, slots=True)
class CachedValue:
    """A value, the number of its version, and when it was read, in seconds of the clock."""

    material: Material
    version: int
    read_at: float


class SecretRead(Future[CachedValue]):
    """One read of a secret, for everyone who waits for it; never canceled."""

    def __init__(self) -> None:
        super().__init__()
        self.started = time.monotonic()


@dataclass(slots=True)
class CacheEntry:
    """Everything that is known about one secret."""

    name: str
    value: CachedValue | None = None
    version: int = 0
    refresh_at: float = 0.0
    failures: int = 0
    read: SecretRead | None = None


@dataclass(frozen=True, slots=True)
class PendingValue:
    """A read that a caller may wait for, the usable value it has meanwhile, and whether it must start that read."""

    entry: CacheEntry
    read: SecretRead
    value: CachedValue | None
    is_new: bool


class SecretCache:
    """The values of one manager.

    Args:
        fetch: reads the newest version of a secret; raises UnavailableError if there was no answer, another CredsError if it was refused.
        notify: called with name and version when a read finds another version; must not raise.
        ttl, stale_ok, clock, chance: see CredentialManager.
    """

    def __init__(
        self,
        fetch: Callable[[str], VersionMaterial],
        notify: Callable[[str, int], None],
        *,
        ttl: float,
        stale_ok: float,
        clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self._fetch, self._notify = fetch, notify
        self._ttl, self._stale_ok, self._clock, self._chance = ttl, stale_ok, clock, chance
        self._entries: dict[str, CacheEntry] = {}
        self._threads = ReadThreads()
        self._guard = threading.Lock()
        self._outage = False

    def reset_after_fork(self) -> None:
        """Drop the reads of the parent: their threads do not exist in a forked child. Values stay."""
        self._guard = threading.Lock()
        self._threads.reset()
        for entry in self._entries.values():
            entry.read = None

    def names(self) -> tuple[str, ...]:
        """Return the secrets that were asked for."""
        return tuple(self._entries)

    def invalidate(self, name: str) -> None:
        """Forget one secret."""
        with self._guard:
            self._entries.pop(name, None)

    def get(self, name: str) -> CachedValue:
        """Return the value; read it if there is none, and refresh it in the background if it is old.

        Raises:
            CredsError: there is no usable value and it cannot be read, or the service refused.
        """
        found = self._find(name)
        if isinstance(found, CachedValue):
            return found
        if found.is_new:
            self._start(found, in_background=found.value is not None)
        patience = self._patience(found)
        if patience != 0:
            wait([found.read], patience)
        return self._settle(found)

    async def get_async(self, name: str) -> CachedValue:
        """Do the same as `get` without blocking the event loop, and without a thread of its executor."""
        found = self._find(name)
        if isinstance(found, CachedValue):
            return found
        if found.is_new:
            self._start(found, in_background=True)
        patience = self._patience(found)
        if patience != 0:
            await _wait_async(found.read, patience)
        return self._settle(found)

    def refresh(self, name: str) -> None:
        """Read the value now; the result of a read that started before this call is not enough.

        Raises:
            CredsError: it cannot be read. The value stays, except after a refusal.
        """
        earlier = self._entry(name).read
        if earlier is not None:
            wait([earlier])
        pending = self._join(name)
        if pending.is_new:
            self._start(pending, in_background=False)
        _result(pending.read)

    async def refresh_async(self, name: str) -> None:
        """Do the same as `refresh` without blocking the event loop, and without a thread of its executor."""
        earlier = self._entry(name).read
        if earlier is not None:
            await _wait_async(earlier, None)
        pending = self._join(name)
        if pending.is_new:
            self._start(pending, in_background=True)
        await _wait_async(pending.read, None)
        _result(pending.read)

    def _entry(self, name: str) -> CacheEntry:
        entry = self._entries.get(name)
        return entry if entry is not None else self._entries.setdefault(name, CacheEntry(name))

    def _find(self, name: str) -> CachedValue | PendingValue:
        """Return a value that needs no refresh yet, or else the read that refreshes it."""
        entry = self._entry(name)
        value = entry.value
        if value is not None and self._clock() < entry.refresh_at:
            return value
        with self._guard:
            value, now = entry.value, self._clock()
            if value is not None and now < entry.refresh_at:
                return value  # another thread has just refreshed it
            usable = value is not None and now < value.read_at + self._ttl + self._stale_ok
            return _pending(entry, value if usable else None)

    def _join(self, name: str) -> PendingValue:
        entry = self._entry(name)
        with self._guard:
            return _pending(entry, None)

    def _start(self, pending: PendingValue, *, in_background: bool) -> None:
        job = functools.partial(self._read, pending.entry, pending.read)
        if in_background:
            self._threads.run(job, first=pending.value is None)
        else:
            job()

    def _patience(self, pending: PendingValue) -> float | None:
        """Return the seconds that a caller waits for the read; None: until it ends."""
        if pending.value is None:
            return None
        if self._outage or self._clock() < pending.value.read_at + self._ttl:
            return 0.0
        return max(PATIENCE - (time.monotonic() - pending.read.started), 0.0)

    def _settle(self, pending: PendingValue) -> CachedValue:
        """Return what the read found, or the old value if it did not end or got no answer."""
        if pending.value is None:
            return _result(pending.read)
        if not pending.read.done():
            self._outage = self._outage or time.monotonic() - pending.read.started >= PATIENCE
            return pending.value
        try:
            return _result(pending.read)
        except UnavailableError:
            return pending.value

    def _read(self, entry: CacheEntry, read: SecretRead) -> None:
        try:
            version = self._fetch(entry.name)
        except Exception as error:  # noqa: BLE001  every caller that waits gets it
            self._note_failure(entry, error)
            read.set_exception(error)
        except BaseException:
            entry.read = None
            read.set_exception(UnavailableError(f"the read of {entry.name} was interrupted", hint="try again"))
            raise
        else:
            value, is_other = self._keep(entry, version)
            try:
                if is_other:
                    self._notify(entry.name, value.version)
            finally:
                read.set_result(value)

    def _keep(self, entry: CacheEntry, version: VersionMaterial) -> tuple[CachedValue, bool]:
        """Keep what was read; return it, and whether it is another version than before."""
        with self._guard:
            value = CachedValue(version.material, version.number, self._clock())
            is_other = entry.version not in {0, value.version}
            entry.value, entry.version, entry.failures, entry.read = value, value.version, 0, None
            entry.refresh_at = value.read_at + self._ttl * (AHEAD + (1 - AHEAD) * self._chance())
            self._outage = False
        return value, is_other

    def _note_failure(self, entry: CacheEntry, error: Exception) -> None:
        """Choose the time of the next try if there was no answer; remove the value if there was a refusal."""
        with self._guard:
            entry.read = None
            self._outage = isinstance(error, UnavailableError)
            if not self._outage:
                entry.value = None
            if entry.value is None:
                return
            longest = min(LONGEST_DELAY, max(FIRST_DELAY, self._ttl / 2))
            delay = min(FIRST_DELAY * 2.0 ** min(entry.failures, 10), longest) * (1 + self._chance()) / 2
            end = entry.value.read_at + self._ttl + self._stale_ok
            entry.failures += 1
            entry.refresh_at = min(self._clock() + delay, end)
        _LOG.warning("secret %s was not refreshed, its old value is used for now: %s", entry.name, error)


def _pending(entry: CacheEntry, value: CachedValue | None) -> PendingValue:
    """Return the read of this entry that runs, or a new one; the caller holds the guard."""
    if entry.read is not None:
        return PendingValue(entry, entry.read, value, is_new=False)
    entry.read = SecretRead()
    return PendingValue(entry, entry.read, value, is_new=True)


def _result(read: SecretRead) -> CachedValue:
    """Return the result of a read that ended, or raise its error, as a copy: many threads may raise it at the same time."""
    error = read.exception()
    if isinstance(error, CredsError):
        raise copy.copy(error) from error.__cause__
    return read.result()


async def _wait_async(read: SecretRead, seconds: float | None) -> None:
    """Wait until the read ends, but no longer than this; None: without a limit."""
    loop, end = asyncio.get_running_loop(), asyncio.Event()

    def wake(_read: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(end.set)

    read.add_done_callback(wake)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(end.wait(), seconds)
