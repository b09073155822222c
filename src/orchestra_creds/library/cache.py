"""Values in memory, and who reads them again.

Guarantees: at most one read of a secret runs at a time, and all callers that need its result share it; no lock is held while one runs;
a caller that has a usable value waits at most PATIENCE seconds, and not at all during an outage; a refusal removes the value;
an error is never kept; at most `max_entries` secrets are in memory, and none that does not exist.
"""

import asyncio
import contextlib
import copy
import functools
import itertools
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import NamedTuple

from orchestra_creds.core.cloud_types import VersionMaterial
from orchestra_creds.core.material import Material
from orchestra_creds.errors import CredsError, UnavailableError
from orchestra_creds.library.threads import LIMIT, READERS, BackgroundThreads

AHEAD = 0.8
"""The share of its time to live after which a value is refreshed in the background."""
PATIENCE = 0.5
"""Seconds that a caller with a value older than its time to live waits for the newer one, counted from the start of that read."""
FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
"""Seconds before the second try after a failure, and the most between two tries; the delay doubles with every failure."""
REFRESH_DEADLINE = 5.0
"""Seconds that a read may take while a usable value is in memory."""

_LOG = logging.getLogger("orchestra_creds")


class SecretRef(NamedTuple):
    """Which value: the name that callers use, the full name of the secret, and the version's number, alias or `latest`."""

    name: str
    secret: str
    version: str = "latest"


@dataclass(frozen=True, slots=True)
class FetchedValue:
    """What a read returns: the material, the number of its version, and for how many seconds it may be kept (None: the usual time)."""

    version: VersionMaterial
    ttl: float | None = None


@dataclass(frozen=True, slots=True)
class CachedValue:
    """A value, the number of its version, when it was read, and its time to live, both in seconds of the clock."""

    material: Material
    version: int
    read_at: float
    ttl: float = 0.0


class SecretRead(Future[CachedValue]):
    """One read of a secret, for everyone who waits for it; never canceled."""

    def __init__(self) -> None:
        super().__init__()
        self.started = time.monotonic()


@dataclass(slots=True, eq=False)
class CacheEntry:
    """Everything that is known about one value.

    `used` grows with every use: the smallest was not used for the longest time. `reread_at` is when a refusal last caused a read.
    """

    ref: SecretRef
    value: CachedValue | None = None
    refresh_at: float = 0.0
    failures: int = 0
    read: SecretRead | None = None
    used: int = 0
    reread_at: float | None = None


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
        fetch: reads a value within so many seconds (None: the usual deadline); raises UnavailableError if there was no answer,
            another CredsError if it was refused.
        notify: called with the reference and the version's number after every read, in the thread of that read; must not raise or wait.
        ttl, stale_ok, max_entries, clock, chance: see CredentialManager.
    """

    def __init__(
        self,
        fetch: Callable[[SecretRef, float | None], FetchedValue],
        notify: Callable[[SecretRef, int], None],
        *,
        ttl: float,
        stale_ok: float,
        max_entries: int,
        clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self._fetch, self._notify = fetch, notify
        self._ttl, self._stale_ok, self._clock, self._chance = ttl, stale_ok, clock, chance
        self._most = max_entries
        self._entries: dict[SecretRef, CacheEntry] = {}
        self._uses = itertools.count(1)
        self._threads = BackgroundThreads(READERS, LIMIT)
        self._guard = threading.Lock()
        self._outage = False

    def reset_after_fork(self) -> None:
        """Drop the reads of the parent: their threads do not exist in a forked child. Values stay."""
        self._guard = threading.Lock()
        self._threads.reset()
        for entry in self._entries.values():
            entry.read = None

    def refs(self) -> tuple[SecretRef, ...]:
        """Return the values that are in memory or being read."""
        return tuple(self._entries)

    def invalidate(self, ref: SecretRef) -> None:
        """Forget one value."""
        with self._guard:
            self._entries.pop(ref, None)

    def peek(self, ref: SecretRef) -> CachedValue | None:
        """Return the value in memory, however old it is, or None; read nothing."""
        entry = self._entries.get(ref)
        return entry.value if entry is not None else None

    def seconds_left(self, ref: SecretRef) -> float | None:
        """Return the seconds until the value should be read again, 0 or less if that is now; None if there is no value."""
        entry = self._entries.get(ref)
        return entry.refresh_at - self._clock() if entry is not None and entry.value is not None else None

    def get(self, ref: SecretRef, *, max_age: float | None = None) -> CachedValue:
        """Return the value; read it if there is none, and refresh it in the background if it is old.

        With `max_age`, a value that is older than so many seconds counts as older than its time to live.

        Raises:
            CredsError: there is no usable value and it cannot be read, or the service refused.
        """
        found = self._find(ref, max_age)
        if isinstance(found, CachedValue):
            return found
        if found.is_new:
            self._start(found, in_background=found.value is not None)
        seconds = self._waiting_time(found, max_age)
        if seconds != 0:
            wait([found.read], seconds)
        return self._settle(found)

    async def get_async(self, ref: SecretRef, *, max_age: float | None = None) -> CachedValue:
        """Do the same as `get` without blocking the event loop, and without a thread of its executor."""
        found = self._find(ref, max_age)
        if isinstance(found, CachedValue):
            return found
        if found.is_new:
            self._start(found, in_background=True)
        seconds = self._waiting_time(found, max_age)
        if seconds != 0:
            await _wait_async(found.read, seconds)
        return self._settle(found)

    def touch(self, ref: SecretRef) -> None:
        """Start a read in the background if the value should be read again; wait for nothing."""
        found = self._find(ref, None)
        if isinstance(found, PendingValue) and found.is_new:
            self._start(found, in_background=True)

    def refresh(self, ref: SecretRef) -> CachedValue:
        """Read the value now; the result of a read that started before this call is not enough.

        Raises:
            CredsError: it cannot be read. The value stays, except after a refusal.
        """
        earlier = self._entry(ref).read
        if earlier is not None:
            wait([earlier])
        pending = self._join(ref)
        if pending.is_new:
            self._start(pending, in_background=False)
        return _result(pending.read)

    async def refresh_async(self, ref: SecretRef) -> CachedValue:
        """Do the same as `refresh` without blocking the event loop, and without a thread of its executor."""
        earlier = self._entry(ref).read
        if earlier is not None:
            await _wait_async(earlier, None)
        pending = self._join(ref)
        if pending.is_new:
            self._start(pending, in_background=True)
        await _wait_async(pending.read, None)
        return _result(pending.read)

    def replace_refused(self, ref: SecretRef, refused: CachedValue, min_age: float) -> CachedValue | None:
        """Return another value than one that was refused, or None if there is none or nobody knows.

        Refusals cause one read at a time, which all of them share, and none for `min_age` seconds after the last such read.
        """
        for _ in range(2):  # a read that runs may have begun before the new value was there
            found = self._join_refused(ref, refused, min_age)
            if not isinstance(found, PendingValue):
                return found
            if found.is_new:
                self._start(found, in_background=False)
            wait([found.read])
            if found.is_new:
                break
        return self._other_value(ref, refused)

    async def replace_refused_async(self, ref: SecretRef, refused: CachedValue, min_age: float) -> CachedValue | None:
        """Do the same as `replace_refused` without blocking the event loop, and without a thread of its executor."""
        for _ in range(2):
            found = self._join_refused(ref, refused, min_age)
            if not isinstance(found, PendingValue):
                return found
            if found.is_new:
                self._start(found, in_background=True)
            await _wait_async(found.read, None)
            if found.is_new:
                break
        return self._other_value(ref, refused)

    def _join_refused(self, ref: SecretRef, refused: CachedValue, min_age: float) -> CachedValue | PendingValue | None:
        entry = self._entry(ref)
        with self._guard:
            if entry.value is not None and _is_other(entry.value, refused):
                return entry.value
            if entry.read is None:
                if entry.reread_at is not None and self._clock() < entry.reread_at + min_age:
                    return None
                entry.reread_at = self._clock()
            return _pending(entry, None)

    def _other_value(self, ref: SecretRef, refused: CachedValue) -> CachedValue | None:
        value = self.peek(ref)
        return value if value is not None and _is_other(value, refused) else None

    def _entry(self, ref: SecretRef) -> CacheEntry:
        entry = self._entries.get(ref)
        if entry is None:
            with self._guard:
                entry = self._entries.get(ref) or CacheEntry(ref)
                if ref not in self._entries:
                    self._make_room()
                    self._entries[ref] = entry
        entry.used = next(self._uses)
        return entry

    def _make_room(self) -> None:
        """Forget the value that was not used for the longest time, if there is no room for one more; the caller holds the guard."""
        if len(self._entries) < self._most:
            return
        idle = [entry for entry in self._entries.values() if entry.read is None]
        if idle:
            del self._entries[min(idle, key=lambda entry: entry.used).ref]

    def _find(self, ref: SecretRef, max_age: float | None) -> CachedValue | PendingValue:
        """Return a value that needs no refresh yet, or else the read that refreshes it."""
        entry = self._entry(ref)
        value = entry.value
        if value is not None and self._clock() < self._refresh_time(entry, value, max_age):
            return value
        with self._guard:
            value, now = entry.value, self._clock()
            if value is not None and now < self._refresh_time(entry, value, max_age):
                return value  # another thread has just refreshed it
            usable = value is not None and now < value.read_at + value.ttl + self._stale_ok
            return _pending(entry, value if usable else None)

    def _refresh_time(self, entry: CacheEntry, value: CachedValue, max_age: float | None) -> float:
        """Return when the value should be read again; after a failure that is not before the next try, whatever `max_age` says."""
        if max_age is None or entry.failures:
            return entry.refresh_at
        return min(entry.refresh_at, value.read_at + max_age)

    def _join(self, ref: SecretRef) -> PendingValue:
        entry = self._entry(ref)
        with self._guard:
            return _pending(entry, None)

    def _start(self, pending: PendingValue, *, in_background: bool) -> None:
        deadline = REFRESH_DEADLINE if pending.value is not None else None
        job = functools.partial(self._read, pending.entry, pending.read, deadline)
        if in_background:
            self._threads.run(job, first=pending.value is None)
        else:
            job()

    def _waiting_time(self, pending: PendingValue, max_age: float | None) -> float | None:
        """Return the seconds that a caller waits for the read; None: until it ends."""
        if pending.value is None:
            return None
        limit = pending.value.ttl if max_age is None else min(pending.value.ttl, max_age)
        if self._outage or self._clock() < pending.value.read_at + limit:
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

    def _read(self, entry: CacheEntry, read: SecretRead, deadline: float | None) -> None:
        try:
            fetched = self._fetch(entry.ref, deadline)
        except Exception as error:  # noqa: BLE001  every caller that waits gets it
            self._note_failure(entry, error)
            read.set_exception(error)
        except BaseException:
            entry.read = None
            read.set_exception(UnavailableError(f"the read of {entry.ref.name} was interrupted", hint="try again"))
            raise
        else:
            value = self._keep(entry, fetched)
            self._notify(entry.ref, value.version)
            read.set_result(value)

    def _keep(self, entry: CacheEntry, fetched: FetchedValue) -> CachedValue:
        """Keep what was read."""
        ttl = self._ttl if fetched.ttl is None else fetched.ttl
        with self._guard:
            value = CachedValue(fetched.version.material, fetched.version.number, self._clock(), ttl)
            entry.value, entry.failures, entry.read = value, 0, None
            entry.refresh_at = value.read_at + ttl * (AHEAD + (1 - AHEAD) * self._chance())
            self._outage = False
        return value

    def _note_failure(self, entry: CacheEntry, error: Exception) -> None:
        """Choose the time of the next try if there was no answer; remove the value if there was a refusal."""
        with self._guard:
            entry.read = None
            self._outage = isinstance(error, UnavailableError)
            if not self._outage:
                entry.value = None
            if entry.value is None:
                if self._entries.get(entry.ref) is entry:
                    del self._entries[entry.ref]
                return
            value = entry.value
            longest = min(LONGEST_DELAY, max(FIRST_DELAY, self._ttl / 2))
            delay = min(FIRST_DELAY * 2.0 ** min(entry.failures, 10), longest) * (1 + self._chance()) / 2
            end = value.read_at + value.ttl + self._stale_ok
            entry.failures += 1
            entry.refresh_at = min(self._clock() + delay, end)
        _LOG.warning("secret %s was not refreshed, its old value is used for now: %s", entry.ref.name, error)


def _pending(entry: CacheEntry, value: CachedValue | None) -> PendingValue:
    """Return the read of this entry that runs, or a new one; the caller holds the guard."""
    if entry.read is not None:
        return PendingValue(entry, entry.read, value, is_new=False)
    entry.read = SecretRead()
    return PendingValue(entry, entry.read, value, is_new=True)


def _is_other(value: CachedValue, refused: CachedValue) -> bool:
    return value.material.reveal() != refused.material.reveal()


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
