"""How long a rotation waits for things outside its policy: leases, lags of the issuer, and the days after which someone should look."""

from datetime import timedelta

LEASE = timedelta(minutes=15)
"""How long a run may write after its last sign of life: more than a call's deadline and one heartbeat, less than a cron interval."""
MARGIN = timedelta(seconds=30)
"""How much of the lease must be left beyond a call's deadline."""
SWEEP_AFTER = timedelta(minutes=15)
"""How old a window must be before its orphans are looked for: new keys are listed late (keys.list may lag by minutes)."""
LISTED_LATE = timedelta(minutes=15)
"""How long a new key may be missing from the list of its account's keys before someone should look."""
CREATED_WITHIN = 2 * LEASE
"""How long after its record a creation can still happen: it is sent under the lease, which is renewed at most once before it."""
SKEW = timedelta(minutes=2)
"""How far the issuer's clock may be from ours when creation times are compared with a window."""
MADE_BEFORE = timedelta(minutes=10)
"""How long before its rotation a key of ours may seem to have been made: an uploaded one counts from the beginning of its certificate."""
VERIFY_CAP = timedelta(minutes=10)
"""How long a new key may be refused; keys usually work after 2 minutes, "potentially 7 minutes or longer" (docs/rotation.md)."""
VERIFY_PAUSE = timedelta(seconds=15)
"""How long a run waits, at most, before it tries a key again."""
LATE = timedelta(days=2)
"""How long after its time a predecessor may still be there before someone should look: two daily runs."""
SECRET_ENDS_SOON = timedelta(days=30)
"""How long before a secret with an expiry deletes itself that somebody has to know."""
OVERDUE_AFTER = timedelta(days=2)
"""How long after the day on its label a secret that is not declared here counts as forgotten: two daily runs of whoever declares it."""
TRIES = 4
"""Lost replies in a row after which an attempt leaves the rest to the next run."""
