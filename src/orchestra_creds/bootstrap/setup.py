"""The ports that `setup` works on, and a plan from the file and the cloud."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.errors import ConfigError, PreconditionError

if TYPE_CHECKING:
    from orchestra_creds.config.document import Document
    from orchestra_creds.core.resources import DesiredState, Ref, RemovableStore, ResourceKind
    from orchestra_creds.setup.change import ChangeOutcome, Plan
    from orchestra_creds.setup.snapshot import ProjectPorts

EXAMPLE_ID = 9_007_199_254_740_991
"""The owner and repositories of the example that `setup init` writes: no number that GitHub will give in our lifetime."""


def project_ports(cloud: Cloud, locations: Sequence[str] = ()) -> "ProjectPorts":
    """Every store that `setup` needs; jobs and schedules are listed in these locations."""
    from orchestra_creds.core.resources import ResourceKind
    from orchestra_creds.gcp import alerts
    from orchestra_creds.gcp import resources as adapters
    from orchestra_creds.gcp.buckets import Buckets
    from orchestra_creds.gcp.run_jobs import RunJobs
    from orchestra_creds.gcp.schedules import Schedules
    from orchestra_creds.setup.snapshot import ProjectPorts, SecretResourceStore

    session = cloud.session
    return ProjectPorts(
        cloud.project,
        cloud.secrets,
        cloud.keys,
        cloud.policies,
        adapters.RestProjectStore(session),
        {
            ResourceKind.SERVICE: adapters.Services(session),
            ResourceKind.ROLE: adapters.Roles(session),
            ResourceKind.ACCOUNT: adapters.Accounts(session),
            ResourceKind.SECRET: SecretResourceStore(cloud.secrets),
            ResourceKind.POOL: adapters.Pools(session),
            ResourceKind.PROVIDER: adapters.Providers(session),
            ResourceKind.BUCKET: Buckets(session),
            ResourceKind.METRIC: alerts.Metrics(session),
            ResourceKind.CHANNEL: alerts.Channels(session),
            ResourceKind.ALERT: alerts.Alerts(session),
            ResourceKind.JOB: RunJobs(session, locations),
            ResourceKind.SCHEDULE: Schedules(session, locations),
        },
    )


def load_desired_state(cloud: Cloud, only: str = "", environment: str = "") -> "DesiredState":
    """What the file asks for in this project, or only one kind of it, or only one environment of it.

    Raises:
        ConfigError: there is no file, it asks for what cannot be, or it still holds the numbers of the example.
    """
    from orchestra_creds.config.desired import desired_state
    from orchestra_creds.config.environments import narrow_document

    settings = cloud.settings
    if settings.path is None:
        raise ConfigError("there is no orchestra-creds.toml", hint="write one: orchestra-creds setup init --project ID")
    github = settings.document.github
    if cloud.session.endpoints is None and github is not None and github.owner_id == EXAMPLE_ID:
        raise ConfigError(
            "github.owner_id is still that of the example",
            hint="gh api users/OWNER --jq .id; gh api repos/OWNER/REPOSITORY --jq .id",
        )
    document = narrow_document(settings.document, cloud.project, environment)
    return _select_kinds(_with_operations(desired_state(document, cloud.project), document), only)


def list_foreign_environments(cloud: Cloud) -> "Mapping[str, str]":
    """Environments of the file that live in another project -> that project."""
    from orchestra_creds.config.environments import foreign_environments

    return foreign_environments(cloud.settings.document, cloud.project)


def make_plan(cloud: Cloud, wanted: "DesiredState") -> "Plan":
    """What differs now."""
    from orchestra_creds.setup.plan import plan
    from orchestra_creds.setup.snapshot import take_snapshot

    return plan(wanted, take_snapshot(project_ports(cloud, _locations(wanted)), wanted))


def apply_plan(cloud: Cloud, plan: "Plan", plan_again: "Callable[[], Plan]") -> "Iterator[ChangeOutcome]":
    """Return what became of each change, as it comes about; `plan_again` plans the same once APIs that were off are enabled."""
    from orchestra_creds.setup.apply import apply

    return apply(plan, project_ports(cloud), time.sleep, plan_again)


def make_run_plan(cloud: Cloud, wanted: "DesiredState", identity: str) -> "Plan":
    """What is missing of the daily run in the cloud.

    Raises:
        ConfigError: the account that it shall run as does not exist.
    """
    from orchestra_creds.core.resources import Ref, ResourceKind
    from orchestra_creds.setup.plan import plan
    from orchestra_creds.setup.snapshot import take_partial_snapshot

    project = project_ports(cloud)
    if project.stores[ResourceKind.ACCOUNT].find(Ref(ResourceKind.ACCOUNT, identity)) is None:
        raise ConfigError(
            f"there is no service account {identity}",
            hint="let `orchestra-creds setup` make it, with the role of a rotator",
        )
    return plan(wanted, take_partial_snapshot(project, wanted))


def run_stores(cloud: Cloud) -> "Mapping[ResourceKind, RemovableStore]":
    """The stores of the daily run in the cloud."""
    from orchestra_creds.core.resources import ResourceKind
    from orchestra_creds.gcp.run_jobs import RunJobs
    from orchestra_creds.gcp.schedules import Schedules

    return {ResourceKind.JOB: RunJobs(cloud.session), ResourceKind.SCHEDULE: Schedules(cloud.session)}


def _locations(wanted: "DesiredState") -> list[str]:
    from orchestra_creds.core.resources import ResourceKind

    placed = {ResourceKind.JOB, ResourceKind.SCHEDULE}
    return sorted({r.ref.name.partition("/")[0] for r in wanted.resources if r.ref.kind in placed})


def _with_operations(wanted: "DesiredState", document: "Document") -> "DesiredState":
    """Beside what the file asks for: the bucket, the run in the cloud, and the alerts of its last tables.

    Raises:
        ConfigError: one of them cannot be.
    """
    from dataclasses import replace

    from orchestra_creds.core.accounts import mail
    from orchestra_creds.core.resources import Ref, Resource, ResourceKind
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
        more += (Resource(Ref(ResourceKind.SERVICE, service)) for service in alerts.SERVICES)
        more += alerts.alerts(document.alerts.channels, document.alerts.rules, rotator=rotator, cron=cron)
    every = {resource.ref: resource for resource in (*wanted.resources, *more)}
    return replace(wanted, resources=tuple(every.values()), grants=grants)


def unknown_refs(cloud: Cloud) -> "list[Ref]":
    """Secrets and accounts of the project that the file does not speak of."""
    from orchestra_creds.core.resources import ResourceKind
    from orchestra_creds.setup.adopt import unknown_resources

    project = project_ports(cloud)
    there = {r.ref: r for kind in (ResourceKind.ACCOUNT, ResourceKind.SECRET) for r in project.stores[kind].every()}
    return unknown_resources(load_desired_state(cloud), there)


def check_destroyable(cloud: Cloud, name: str) -> str:
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


def _select_kinds(wanted: "DesiredState", only: str) -> "DesiredState":
    from dataclasses import replace

    from orchestra_creds.core.resources import ResourceKind

    parts = {
        "services": {ResourceKind.SERVICE},
        "roles": {ResourceKind.ROLE},
        "accounts": {ResourceKind.ACCOUNT},
        "secrets": {ResourceKind.SECRET},
        "federation": {ResourceKind.POOL, ResourceKind.PROVIDER},
        "state": {ResourceKind.BUCKET},
        "alerts": {ResourceKind.METRIC, ResourceKind.CHANNEL, ResourceKind.ALERT},
        "schedule": {ResourceKind.JOB, ResourceKind.SCHEDULE},
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
