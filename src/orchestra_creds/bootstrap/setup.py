"""The ports that `setup` works on, and a plan from the file and the cloud."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.errors import ConfigError, PreconditionError

if TYPE_CHECKING:
    from orchestra_creds.config.document import Document
    from orchestra_creds.core.resources import Desired, Kind, Ref, RemovableStore
    from orchestra_creds.setup.change import Applied, Plan
    from orchestra_creds.setup.snapshot import Project

EXAMPLE_ID = 9_007_199_254_740_991
"""The owner and repositories of the example that `setup init` writes: no number that GitHub will give in our lifetime."""


def project_of(cloud: Cloud, locations: Sequence[str] = ()) -> "Project":
    """Every store that `setup` needs; jobs and schedules are listed in these locations."""
    from orchestra_creds.core.resources import Kind
    from orchestra_creds.gcp import alerts
    from orchestra_creds.gcp import resources as adapters
    from orchestra_creds.gcp.buckets import Buckets
    from orchestra_creds.gcp.run_jobs import RunJobs
    from orchestra_creds.gcp.schedules import Schedules
    from orchestra_creds.setup.snapshot import Project, SecretResources

    session = cloud.session
    return Project(
        cloud.project,
        cloud.secrets,
        cloud.keys,
        cloud.policies,
        adapters.RestProjectStore(session),
        {
            Kind.SERVICE: adapters.Services(session),
            Kind.ROLE: adapters.Roles(session),
            Kind.ACCOUNT: adapters.Accounts(session),
            Kind.SECRET: SecretResources(cloud.secrets),
            Kind.POOL: adapters.Pools(session),
            Kind.PROVIDER: adapters.Providers(session),
            Kind.BUCKET: Buckets(session),
            Kind.METRIC: alerts.Metrics(session),
            Kind.CHANNEL: alerts.Channels(session),
            Kind.ALERT: alerts.Alerts(session),
            Kind.JOB: RunJobs(session, locations),
            Kind.SCHEDULE: Schedules(session, locations),
        },
    )


def wanted_of(cloud: Cloud, only: str = "", environment: str = "") -> "Desired":
    """What the file asks for in this project, or only one kind of it, or only one environment of it.

    Raises:
        ConfigError: there is no file, it asks for what cannot be, or it still holds the numbers of the example.
    """
    from orchestra_creds.config.desired import desired
    from orchestra_creds.config.environments import narrowed

    settings = cloud.settings
    if settings.path is None:
        raise ConfigError("there is no orchestra-creds.toml", hint="write one: orchestra-creds setup init --project ID")
    github = settings.document.github
    if cloud.session.endpoints is None and github is not None and github.owner_id == EXAMPLE_ID:
        raise ConfigError(
            "github.owner_id is still that of the example",
            hint="gh api users/OWNER --jq .id; gh api repos/OWNER/REPOSITORY --jq .id",
        )
    document = narrowed(settings.document, cloud.project, environment)
    return _only(_with_operations(desired(document, cloud.project), document), only)


def elsewhere(cloud: Cloud) -> "Mapping[str, str]":
    """Environments of the file that live in another project -> that project."""
    from orchestra_creds.config.environments import elsewhere

    return elsewhere(cloud.settings.document, cloud.project)


def planned(cloud: Cloud, wanted: "Desired") -> "Plan":
    """What differs now."""
    from orchestra_creds.setup.plan import plan
    from orchestra_creds.setup.snapshot import look

    return plan(wanted, look(project_of(cloud, _locations(wanted)), wanted))


def applied(cloud: Cloud, plan: "Plan", plan_again: "Callable[[], Plan]") -> "Iterator[Applied]":
    """Return what became of each change, as it comes about; `plan_again` plans the same once APIs that were off are enabled."""
    from orchestra_creds.setup.apply import apply

    return apply(plan, project_of(cloud), time.sleep, plan_again)


def planned_run(cloud: Cloud, wanted: "Desired", identity: str) -> "Plan":
    """What is missing of the daily run in the cloud.

    Raises:
        ConfigError: the account that it shall run as does not exist.
    """
    from orchestra_creds.core.resources import Kind, Ref
    from orchestra_creds.setup.plan import plan
    from orchestra_creds.setup.snapshot import look_at

    project = project_of(cloud)
    if project.stores[Kind.ACCOUNT].find(Ref(Kind.ACCOUNT, identity)) is None:
        raise ConfigError(
            f"there is no service account {identity}",
            hint="let `orchestra-creds setup` make it, with the role of a rotator",
        )
    return plan(wanted, look_at(project, wanted))


def run_stores(cloud: Cloud) -> "Mapping[Kind, RemovableStore]":
    """The stores of the daily run in the cloud."""
    from orchestra_creds.core.resources import Kind
    from orchestra_creds.gcp.run_jobs import RunJobs
    from orchestra_creds.gcp.schedules import Schedules

    return {Kind.JOB: RunJobs(cloud.session), Kind.SCHEDULE: Schedules(cloud.session)}


def _locations(wanted: "Desired") -> list[str]:
    from orchestra_creds.core.resources import Kind

    placed = {Kind.JOB, Kind.SCHEDULE}
    return sorted({r.ref.name.partition("/")[0] for r in wanted.resources if r.ref.kind in placed})


def _with_operations(wanted: "Desired", document: "Document") -> "Desired":
    """Beside what the file asks for: the bucket, the run in the cloud, and the alerts of its last tables.

    Raises:
        ConfigError: one of them cannot be.
    """
    from dataclasses import replace

    from orchestra_creds.core.accounts import mail
    from orchestra_creds.core.resources import Kind, Ref, Resource
    from orchestra_creds.setup import alerts, runner, state

    more: list[Resource] = []
    grants = wanted.grants
    schedule, rotator = document.schedule, ""
    if document.state is not None:
        more += state.bucket(document.state.bucket, document.state.location)
    if schedule is not None:
        if schedule.identity not in document.service_accounts:
            raise ConfigError(
                f"schedule: there is no service account {schedule.identity!r}",
                hint=f"known here: {', '.join(sorted(document.service_accounts)) or 'none'}",
            )
        rotator = mail(schedule.identity, wanted.project)
        project = ("--project", wanted.project)
        arguments = ("rotate", "--due", "--from-labels", "--backend", "gcp", *project, "--jitter", "5m")
        run = runner.cloud_run_job(
            wanted.project,
            image=schedule.image,
            identity=rotator,
            region=schedule.region,
            cron=schedule.cron,
            arguments=arguments,
        )
        more += run.resources
        grants = tuple(sorted({*grants, *run.grants}))
    if document.alerts is not None:
        cron = schedule.cron if schedule is not None else ""
        more += (Resource(Ref(Kind.SERVICE, service)) for service in alerts.SERVICES)
        more += alerts.alerts(document.alerts.channels, document.alerts.rules, rotator=rotator, cron=cron)
    every = {resource.ref: resource for resource in (*wanted.resources, *more)}
    return replace(wanted, resources=tuple(every.values()), grants=grants)


def unknown_of(cloud: Cloud) -> "list[Ref]":
    """Secrets and accounts of the project that the file does not speak of."""
    from orchestra_creds.core.resources import Kind
    from orchestra_creds.setup.adopt import unknown

    project = project_of(cloud)
    there = {r.ref: r for kind in (Kind.ACCOUNT, Kind.SECRET) for r in project.stores[kind].every()}
    return unknown(wanted_of(cloud), there)


def destroyable(cloud: Cloud, name: str) -> str:
    """The etag of a secret that may be deleted.

    Raises:
        PreconditionError: setup did not make it, or a version of it can still be read.
    """
    from orchestra_creds.config.desired import OWNED, OWNER
    from orchestra_creds.core.cloud_types import VersionState

    secret = cloud.secrets.get_secret(name)
    if secret.labels.get(OWNED) != OWNER:
        raise PreconditionError(f"secret {name} was not made by setup", hint="nothing that is not ours is deleted")
    environment = cloud.settings.document.environments.get(secret.labels.get("env", ""))
    if environment is not None and environment.deletion == "refuse":
        raise PreconditionError(
            f"secret {name} is of {secret.labels['env']}, where nothing is deleted",
            hint=f"environments.{secret.labels['env']}.deletion in orchestra-creds.toml says so",
        )
    enabled = [version.number for version in cloud.secrets.list_versions(name) if version.state is VersionState.ENABLED]
    if enabled:
        raise PreconditionError(
            f"version {enabled[0]} of secret {name} can still be read",
            hint=f"orchestra-creds secret disable {name} {enabled[0]}; watch for a day whether anybody misses it",
        )
    return secret.etag


def _only(wanted: "Desired", only: str) -> "Desired":
    from dataclasses import replace

    from orchestra_creds.core.resources import Kind

    parts = {
        "services": {Kind.SERVICE},
        "roles": {Kind.ROLE},
        "accounts": {Kind.ACCOUNT},
        "secrets": {Kind.SECRET},
        "federation": {Kind.POOL, Kind.PROVIDER},
        "state": {Kind.BUCKET},
        "alerts": {Kind.METRIC, Kind.CHANNEL, Kind.ALERT},
        "schedule": {Kind.JOB, Kind.SCHEDULE},
    }
    if not only:
        return wanted
    if only == "access":
        return replace(wanted, resources=(), audit={}, waiting=frozenset())
    if only == "audit":
        return replace(wanted, resources=(), grants=(), exact=frozenset(), waiting=frozenset())
    if only not in parts:
        raise ConfigError(f"--only {only!r} is not known", hint=f"one of {', '.join([*parts, 'access', 'audit'])}")
    kept = tuple(resource for resource in wanted.resources if resource.ref.kind in parts[only])
    role = {"federation": "workloadIdentityUser", "schedule": "run.invoker"}.get(only, "")
    grants = tuple(g for g in wanted.grants if role and role in g.role)
    waiting = wanted.waiting if only == "secrets" else frozenset[str]()
    return replace(wanted, resources=kept, grants=grants, exact=frozenset(), audit={}, waiting=waiting)
