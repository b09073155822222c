"""What `setup` brings about around the rotation: the bucket, the run in the cloud, and the alerts. Pure."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from orchestra_creds.core.accounts import mail
from orchestra_creds.core.policies import distinct_grants
from orchestra_creds.core.resources import DesiredState, Ref, Resource, ResourceKind
from orchestra_creds.errors import ConfigError
from orchestra_creds.setup import alerts, runner, state


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """`[state]`: the name of the bucket and where it is."""

    name: str
    location: str


@dataclass(frozen=True, slots=True)
class RunSettings:
    """`[schedule]`: the daily run. `identity` is the name of an account of the file, `cron` five fields in UTC."""

    image: str
    identity: str
    region: str
    cron: str


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """`[alerts]`: channels and rules by name."""

    channels: tuple[str, ...]
    rules: tuple[str, ...]


def add_operations(
    wanted: DesiredState,
    *,
    accounts: Collection[str],
    bucket: BucketSettings | None,
    run: RunSettings | None,
    alerting: AlertSettings | None,
) -> DesiredState:
    """Return the desired state with all of these; `accounts` are the names of the accounts of the file.

    Raises:
        ConfigError: one of them cannot be.
    """
    more: list[Resource] = []
    grants = wanted.grants
    rotator = mail(run.identity, wanted.project) if run is not None else ""
    if bucket is not None:
        more += state.bucket(bucket.name, bucket.location)
    if run is not None:
        job = _rotation_run(wanted.project, run, rotator, accounts)
        more += job.resources
        grants = distinct_grants((*grants, *job.grants))
    if alerting is not None:
        cron = run.cron if run is not None else ""
        more += (Resource(Ref(ResourceKind.SERVICE, service)) for service in alerts.SERVICES)
        more += alerts.alerts(alerting.channels, alerting.rules, rotator=rotator, cron=cron)
    every = {resource.ref: resource for resource in (*wanted.resources, *more)}
    return replace(wanted, resources=tuple(every.values()), grants=grants)


def _rotation_run(project: str, run: RunSettings, rotator: str, accounts: Collection[str]) -> DesiredState:
    if run.identity not in accounts:
        raise ConfigError(
            f"schedule: there is no service account {run.identity!r}",
            hint=f"known here: {', '.join(sorted(accounts)) or 'none'}",
        )
    arguments = ("rotate", "--due", "--from-labels", "--backend", "gcp", "--project", project, "--jitter", "5m")
    return runner.cloud_run_job(
        project, image=run.image, identity=rotator, region=run.region, cron=run.cron, arguments=arguments
    )
