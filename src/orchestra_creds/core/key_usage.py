"""When a key authenticated last, by the records that Google keeps, and whether that is enough to call it unused. Pure.

Each record misses something, and each is late. What a record does not know counts as a use.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

LATEST_DATA = timedelta(days=3)
"""How old the end of an observed period may be. Policy Analyzer counts whole days and is up to two days late; older data says nothing."""
LONGEST_UNUSED = timedelta(days=40)
"""The longest time without use that can be proven: Cloud Monitoring keeps counts of keys for six weeks
(cloud.google.com/iam/docs/service-account-monitoring)."""


@dataclass(frozen=True, slots=True)
class SourceUsage:
    """What one record of Google knows of one key.

    It would show a use between `start` and `end`; both are None if it has no data about the key. The last use that it shows was
    between `earliest` and `latest`; both are None if it shows none. Times are aware UTC.
    """

    source: str
    start: datetime | None = None
    end: datetime | None = None
    earliest: datetime | None = None
    latest: datetime | None = None

    def reason_to_keep(self, span: timedelta, now: datetime) -> str:
        """Return why this record does not show a time of `span` without use, as a sentence; empty if it does."""
        if self.start is None or self.end is None:
            return f"{self.source} has no data about it"
        if self.latest is not None and self.end - self.latest < span:
            return f"{self.source} shows that it authenticated {_between(self.earliest, self.latest)}"
        if now - self.end > LATEST_DATA:
            return f"{self.source} has no data after {self.end:%Y-%m-%d %H:%M} UTC"
        if self.end - self.start < span:
            return f"{self.source} has data from {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC only"
        return ""

    def reason_to_hold(self, disabled: datetime, now: datetime, *, unknown_is_use: bool) -> str:
        """Return why this record does not show that a key stayed unused since it was disabled, as a sentence; empty if it does.

        A use that may have been before that moment is none. With `unknown_is_use`, the record must know of a time after the moment.
        """
        if self.earliest is not None and self.latest is not None and self.earliest >= disabled:
            return f"{self.source} shows that it authenticated {_between(self.earliest, self.latest)}, after it was disabled"
        if not unknown_is_use:
            return ""
        if self.start is None or self.end is None:
            return f"{self.source} has no data about it"
        if self.end <= disabled or now - self.end > LATEST_DATA:
            return f"{self.source} has no data after {self.end:%Y-%m-%d %H:%M} UTC"
        if self.start > max(disabled, now - LONGEST_UNUSED):
            return f"{self.source} has data from {self.start:%Y-%m-%d %H:%M} UTC only, and it was disabled before"
        return ""


@dataclass(frozen=True, slots=True)
class ProjectUsage:
    """What one record of Google knows of the keys of a project: by key id, and of those that it does not name."""

    by_key: Mapping[str, SourceUsage]
    otherwise: SourceUsage

    def usage_of(self, key_id: str) -> SourceUsage:
        """Return what the record knows of one key."""
        return self.by_key.get(key_id, self.otherwise)


@dataclass(frozen=True, slots=True)
class KeyUsage:
    """What all records know of one key: the evidence that whoever ends a key needs."""

    sources: tuple[SourceUsage, ...]

    @property
    def last_used(self) -> datetime | None:
        """The last use that any record shows: the earliest moment at which it can have been. None if no record shows a use."""
        return max((one.earliest for one in self.sources if one.earliest is not None), default=None)

    def reason_to_keep(self, span: timedelta, now: datetime) -> str:
        """Return why the key is not proven unused for `span`, as sentences; empty if every record shows that it is.

        Without any record it is not proven.
        """
        if not self.sources:
            return "no record of its use was read"
        return "; ".join(filter(None, (one.reason_to_keep(span, now) for one in self.sources)))

    def reason_to_hold(self, disabled: datetime, now: datetime, *, unknown_is_use: bool) -> str:
        """Return why the key may not be deleted: it was used since it was disabled; with `unknown_is_use`, also if a record does not tell.

        Sentences; empty if it may.
        """
        if not self.sources:
            return "no record of its use was read" if unknown_is_use else ""
        reasons = (one.reason_to_hold(disabled, now, unknown_is_use=unknown_is_use) for one in self.sources)
        return "; ".join(filter(None, reasons))

    def was_used_after(self, moment: datetime) -> bool:
        """Return whether a record shows a use that cannot have been before `moment`."""
        return self.last_used is not None and self.last_used >= moment


def _between(earliest: datetime | None, latest: datetime) -> str:
    if earliest is None:
        return f"before {latest:%Y-%m-%d %H:%M} UTC"
    return f"between {earliest:%Y-%m-%d %H:%M} and {latest:%Y-%m-%d %H:%M} UTC"
