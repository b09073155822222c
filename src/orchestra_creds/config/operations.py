"""What `setup` brings about around the rotation, as it stands in the file: a bucket, the run in the cloud, alerts."""

from orchestra_creds.config.table import Table


class StateTable(Table, frozen=True):
    """`[state]`: a private bucket of the project, versioned; never for values. `location` is fixed once it is made."""

    bucket: str
    location: str


class ScheduleTable(Table, frozen=True):
    """`[schedule]`: `rotate --due` as a Cloud Run job. `identity` names an account of the file, `image` is named by its digest.

    `cron` is in UTC, by default twice a day: an absence of runs can be noticed within 23.5 hours at most.
    """

    image: str
    identity: str
    region: str
    cron: str = "17 3,15 * * *"


class AlertsTable(Table, frozen=True):
    """`[alerts]`: `channels` as `email:ADDRESS`, `rules` by name; no rule means all that the file allows."""

    channels: tuple[str, ...]
    rules: tuple[str, ...] = ()
