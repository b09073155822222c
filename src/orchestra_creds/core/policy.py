"""When a credential is due, how long its predecessor lives on, and when that may be retired: functions of times, no clock."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestra_creds.core.durations import LONGEST, duration_text
from orchestra_creds.core.key_usage import LONGEST_UNUSED, KeyUsage
from orchestra_creds.errors import ConfigError

SHORTEST_GRACE = timedelta(hours=6)
"""Readers of `latest` and of aliases may be served an old version for "a few hours"
(cloud.google.com/secret-manager/docs/reference/consistency); twice three hours is the shortest grace that is safe for them."""
EXPIRY_SLACK = timedelta(days=2)
"""How much earlier than its grace needs the successor of an expiring credential is made: two daily runs may fail."""
SHORTEST_EVERY = timedelta(hours=1)
"""More often would be a loop, and Secret Manager's own rotation period has the same floor (secret-manager/docs/secret-rotation)."""


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """How one credential is rotated.

    every           age at which a successor is made            grace   how long the predecessor stays valid after promotion
    settle          how long a new key must keep authenticating before it is published
    soak            how long a disabled predecessor can still be enabled again before it is deleted
    require_unused  the predecessor must be proven unused for so long before it is disabled; zero asks nothing
    """

    every: timedelta = timedelta(days=90)
    grace: timedelta = timedelta(days=7)
    soak: timedelta = timedelta(days=7)
    settle: timedelta = timedelta(seconds=120)
    require_unused: timedelta = timedelta(days=1)

    def check(self, name: str) -> None:
        """Refuse what would break readers or never end.

        Raises:
            ConfigError: with what is wrong about the policy of the credential called `name`.
        """
        longest = max(self.every, self.grace, self.soak, self.settle, self.require_unused)
        if longest > LONGEST:
            raise ConfigError(
                f"credential {name}: {duration_text(longest)} is longer than a hundred years",
                hint="write 90d, 72h or 120s",
            )
        if self.require_unused > LONGEST_UNUSED:
            raise ConfigError(
                f"credential {name}: require_unused {duration_text(self.require_unused)} is longer than can be known",
                hint=f"Google counts the uses of a key for six weeks: at most {duration_text(LONGEST_UNUSED)}",
            )
        if self.grace < SHORTEST_GRACE:
            raise ConfigError(
                f"credential {name}: grace {duration_text(self.grace)} is shorter than stale reads allow",
                hint=f"readers may see the old version for hours: at least {duration_text(SHORTEST_GRACE)}",
            )
        if self.every < max(SHORTEST_EVERY, self.grace):
            raise ConfigError(
                f"credential {name}: every {duration_text(self.every)} is shorter than its grace {duration_text(self.grace)}",
                hint="a predecessor must be retired before the next successor comes",
            )

    def due_at(self, since: datetime, expires: datetime | None = None) -> datetime:
        """When a credential that is current since then is due: by its age, or earlier so that it outlives its own grace."""
        by_age = since + self.every
        return by_age if expires is None else min(by_age, self.last_start(since, expires))

    def last_start(self, since: datetime, expires: datetime) -> datetime:
        """When its successor must be made, so that a credential that ends at `expires` stays valid through its grace."""
        return expires - self.grace - _expiry_slack(expires - since)

    def room_in(self, lifetime: timedelta) -> timedelta:
        """How long after its beginning a credential with this lifetime is due at the latest; negative if it is too short."""
        return lifetime - self.grace - _expiry_slack(lifetime)

    def grace_ends(self, superseded: datetime) -> datetime:
        """When a predecessor may be disabled; the clock starts when the last destination holds the successor."""
        return superseded + self.grace

    def soak_ends(self, disabled: datetime) -> datetime:
        """When a disabled predecessor may be deleted."""
        return disabled + self.soak

    def reason_to_keep(self, usage: KeyUsage | None, now: datetime) -> str:
        """Why a predecessor is not proven unused for long enough, as a sentence; empty if it is, or if nothing keeps a record of uses."""
        if not self.require_unused or usage is None:
            return ""
        return usage.reason_to_keep(self.require_unused, now)

    def reason_to_hold(self, usage: KeyUsage | None, disabled: datetime, now: datetime) -> str:
        """Why a predecessor that was disabled then may not be deleted, as a sentence; empty if it may.

        A use that a record shows counts whatever the policy says; what is not known is a use only where `require_unused` is declared.
        """
        if usage is None:
            return ""
        return usage.reason_to_hold(disabled, now, unknown_is_use=bool(self.require_unused))


def _expiry_slack(lifetime: timedelta) -> timedelta:
    """How much of a lifetime is kept for runs that fail: two daily runs, at most a tenth of it."""
    return max(min(EXPIRY_SLACK, lifetime / 10), timedelta(0))
