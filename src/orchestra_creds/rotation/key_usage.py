"""The proof that nobody uses a key: all records of Google, asked once for each project and run."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestra_creds.core.accounts import account_project
from orchestra_creds.core.key_usage import KeyUsage, ProjectUsage
from orchestra_creds.core.ports import UsageSource

FRESH = timedelta(minutes=10)
"""How long an answer counts. Google counts uses of keys every ten minutes, so a newer answer could not say more."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the records said about a project, when they were asked, and from when on they were asked."""

    asked: datetime
    since: datetime
    usages: tuple[ProjectUsage, ...]


class UsageReader:
    """Reads when keys authenticated. Thread-safe. `project` is that of accounts whose mail address does not name one; `now` is aware UTC."""

    def __init__(self, sources: Sequence[UsageSource], project: str, now: Callable[[], datetime]) -> None:
        self._sources = tuple(sources)
        self._project = project
        self._now = now
        self._answers: dict[str, _Answer] = {}
        self._lock = threading.Lock()

    def usage_of(self, account: str, key_id: str, span: timedelta) -> KeyUsage:
        """Return what is known of the use of a key in the last `span`; `KeyUsage.reason_to_keep` says whether that proves it unused.

        Raises:
            CredsError: a record could not be read: nothing is known then, and the key counts as used.
        """
        project = account_project(account, self._project)
        with self._lock:  # whoever comes second waits for the answer to the first instead of asking too
            return KeyUsage(tuple(usage.usage_of(key_id) for usage in self._usages(project, span)))

    def _usages(self, project: str, span: timedelta) -> tuple[ProjectUsage, ...]:
        now = self._now()
        known = self._answers.get(project)
        if known is None or not timedelta(0) <= now - known.asked <= FRESH or known.since > now - span:
            since = now - span if known is None else min(now - span, known.since)
            usages = tuple(source.read_usage(project, since, now) for source in self._sources)
            known = self._answers[project] = _Answer(now, since, usages)
        return known.usages
