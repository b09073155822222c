"""Callbacks for secrets that change: one thread runs them, another sees to it that a secret with a callback is read without a reader.

Guarantees: a callback runs in a thread of its own and never in that of a read, so it can neither fail a read, nor delay or block one;
it is called once for each new version, also after the value was forgotten.
"""

import contextlib
import functools
import logging
import threading
import time
import weakref
from collections.abc import Callable

from orchestra_creds.library.cache import SecretCache, SecretRef
from orchestra_creds.library.threads import CALLBACKS, BackgroundThreads

WATCHER = "orchestra-creds-watch"
"""Name of the thread that has secrets read that nobody reads."""
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 30.0
"""Seconds between two looks of the watcher at one secret; the longest one if it cannot be read."""

Callback = Callable[[str, int], None]
_LOG = logging.getLogger("orchestra_creds")


class ListenerList:
    """The callbacks of one manager, and the newest version that each of their secrets was seen with."""

    def __init__(self) -> None:
        self._callbacks: dict[SecretRef, list[Callback]] = {}
        self._versions: dict[SecretRef, int] = {}
        self._thread = BackgroundThreads(CALLBACKS, 1)
        self._guard = threading.Lock()
        self._watcher: threading.Thread | None = None
        self._stop = threading.Event()

    def reset_after_fork(self, cache: SecretCache) -> None:
        """Start the threads again: a forked child has none of its parent's."""
        self._guard = threading.Lock()
        self._thread.reset()
        self._stop = threading.Event()
        self._watcher = None
        if self._callbacks:
            self._watch(cache)

    def add(self, ref: SecretRef, callback: Callback, cache: SecretCache) -> None:
        """Call the callback for each version of this secret that follows."""
        known = cache.peek(ref)
        with self._guard:
            self._callbacks.setdefault(ref, []).append(callback)
            if known is not None:
                self._versions.setdefault(ref, known.version)
            self._watch(cache)

    def note(self, ref: SecretRef, version: int) -> None:
        """A read found this version: have the callbacks run if it is another one than before."""
        callbacks = self._callbacks.get(ref)
        if callbacks is None:
            return
        with self._guard:
            before = self._versions.get(ref, version)
            self._versions[ref] = version
        if before != version:
            for callback in tuple(callbacks):
                self._thread.run(functools.partial(_call, callback, ref.name, version))

    def close(self) -> None:
        """End the watcher."""
        self._stop.set()

    def _watch(self, cache: SecretCache) -> None:
        if self._watcher is None or not self._watcher.is_alive():
            self._stop.clear()
            arguments = (weakref.ref(self), weakref.ref(cache), self._stop)
            self._watcher = threading.Thread(target=_refresh_when_due, args=arguments, name=WATCHER, daemon=True)
            with contextlib.suppress(
                RuntimeError
            ):  # the interpreter is shutting down, or the system allows no more threads
                self._watcher.start()

    def refs(self) -> tuple[SecretRef, ...]:
        """Return the secrets with callbacks."""
        return tuple(self._callbacks)


def _refresh_when_due(
    listeners: "weakref.ref[ListenerList]", of_cache: "weakref.ref[SecretCache]", stop: threading.Event
) -> None:
    """Have every secret with a callback read when its value gets old, until the manager is closed or gone."""
    pause, looks = 0.0, dict[SecretRef, float]()
    while not stop.wait(pause):
        found, cache = listeners(), of_cache()
        if found is None or cache is None:
            return
        now = time.monotonic()
        for ref in found.refs():
            if now >= looks.get(ref, now):
                cache.touch(ref)
                left = cache.seconds_left(ref)
                looks[ref] = now + (LONGEST_PAUSE if left is None else min(max(left, SHORTEST_PAUSE), LONGEST_PAUSE))
        pause = max(min(looks.values(), default=now + LONGEST_PAUSE) - time.monotonic(), 0.0)
        del found, cache


def _call(callback: Callback, name: str, version: int) -> None:
    try:
        callback(name, version)
    except Exception as error:  # noqa: BLE001  the other callbacks must run; its text may hold a value
        _LOG.error("a callback for secret %s raised %s", name, type(error).__name__)
