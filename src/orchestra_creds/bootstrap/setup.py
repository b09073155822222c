"""The stores of resources that `setup` works on, and its plan from the file and the cloud."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.bootstrap.declarations import only_in_file
from orchestra_creds.config.desired import desired_state
from orchestra_creds.config.document import Document
from orchestra_creds.config.environments import foreign_environments, narrow_document
from orchestra_creds.core.resources import DesiredState, Ref, RemovableStore, ResourceKind
from orchestra_creds.errors import ApiDisabledError, ConfigError
from orchestra_creds.parallel import map_in_order
from orchestra_creds.setup.adopt import ADOPTABLE, unknown_resources
from orchestra_creds.setup.apply import apply, limit_of_plan
from orchestra_creds.setup.change import ChangeOutcome, Plan
from orchestra_creds.setup.destroy import require_deletable
from orchestra_creds.setup.operations import AlertSettings, BucketSettings, RunSettings, add_operations
from orchestra_creds.setup.parts import locations, select_part
from orchestra_creds.setup.plan import plan
from orchestra_creds.setup.snapshot import (
    ExistingParts,
    ProjectPorts,
    SecretResourceStore,
    find_existing,
    take_partial_snapshot,
    take_snapshot,
)
from orchestra_creds.setup.waiting import Waiter

SCHEDULE_PART = "schedule"
"""The value of `setup --only` that means the daily run in the cloud."""
EXAMPLE_ID = 9_007_199_254_740_991
"""The owner and repositories of the example that `setup init` writes: no number that GitHub will give in our lifetime."""


def project_ports(cloud: Cloud, places: Sequence[str] = ()) -> ProjectPorts:
    """Return every store that `setup` needs; jobs and schedules are listed in these places."""
    from orchestra_creds.gcp import alerts, buckets, resources, run_jobs, schedules  # the door to Google's clients

    session = cloud.session
    return ProjectPorts(
        cloud.project,
        cloud.secrets,
        cloud.keys,
        cloud.policies,
        resources.RestProjectStore(session),
        {
            ResourceKind.SERVICE: resources.Services(session),
            ResourceKind.ROLE: resources.Roles(session),
            ResourceKind.ACCOUNT: resources.Accounts(session),
            ResourceKind.SECRET: SecretResourceStore(cloud.secrets),
            ResourceKind.POOL: resources.Pools(session),
            ResourceKind.PROVIDER: resources.Providers(session),
            ResourceKind.BUCKET: buckets.Buckets(session),
            ResourceKind.METRIC: alerts.Metrics(session),
            ResourceKind.CHANNEL: alerts.Channels(session),
            ResourceKind.ALERT: alerts.Alerts(session),
            ResourceKind.JOB: run_jobs.RunJobs(session, places),
            ResourceKind.SCHEDULE: schedules.Schedules(session, places),
        },
        cloud.calls_at_once,
    )


def load_desired_state(cloud: Cloud, only: str = "", environment: str = "") -> DesiredState:
    """What the file asks for in this project, or only one kind of it, or only one environment of it.

    Raises:
        ConfigError: there is no file, it asks for what cannot be, or it still holds the numbers of the example.
    """
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
    if document.schedule is not None and document.credentials and only in {"", SCHEDULE_PART}:
        _require_labels(cloud)
    return select_part(state_of(document, cloud.project), only)


def _require_labels(cloud: Cloud) -> None:
    """Refuse a daily run in the cloud that would leave credentials of the file unrotated.

    A secret that does not exist yet cannot be labelled: the next `setup` looks at it, and the daily run names it until then.

    Raises:
        ConfigError: credentials are declared only in the file, which the Cloud Run job does not have.
    """
    try:
        names = only_in_file(cloud, absent=False)
    except ApiDisabledError:
        return  # a new project: there are no secrets
    if names:
        raise ConfigError(
            f"the Cloud Run job of [schedule] will not have {cloud.settings.path}, and only that declares {', '.join(names)}",
            hint="label their secrets with the same (docs/rotation.md), or run them elsewhere: schedule install",
        )


def state_of(document: Document, project: str) -> DesiredState:
    """Return all that a file asks for in a project, the bucket, the daily run and the alerts included.

    Raises:
        ConfigError: it asks for what cannot be.
    """
    bucket, run, alerting = document.state, document.schedule, document.alerts
    return add_operations(
        desired_state(document, project),
        accounts=document.service_accounts,
        bucket=BucketSettings(bucket.bucket, bucket.location) if bucket else None,
        run=RunSettings(run.image, run.identity, run.region, run.cron) if run else None,
        alerting=AlertSettings(alerting.channels, alerting.rules) if alerting else None,
    )


def list_foreign_environments(cloud: Cloud) -> Mapping[str, str]:
    """Environments of the file that live in another project -> that project."""
    return foreign_environments(cloud.settings.document, cloud.project)


def find_existing_parts(cloud: Cloud, wanted: DesiredState) -> ExistingParts:
    """What exists of it now."""
    return find_existing(project_ports(cloud, locations(wanted)), wanted)


def make_plan(cloud: Cloud, wanted: DesiredState) -> Plan:
    """What differs now."""
    return plan(wanted, take_snapshot(project_ports(cloud, locations(wanted)), wanted))


def make_plan_when_ready(cloud: Cloud, wanted: DesiredState, announce: Callable[[str], None]) -> Plan:
    """What differs, as soon as every API that is enabled answers."""
    return Waiter(time.sleep, announce).wait_for(lambda: make_plan(cloud, wanted), limit_of_plan)


def apply_plan(
    cloud: Cloud, plan: Plan, plan_again: Callable[[], Plan], announce: Callable[[str], None] = lambda _line: None
) -> Iterator[ChangeOutcome]:
    """Return what became of each change, as it comes about.

    `plan_again` plans the same once APIs that were off are enabled; `announce` takes a line about each long wait.
    """
    stopping = threading.Event()

    def sleep(seconds: float) -> None:
        stopping.wait(seconds)

    return apply(plan, project_ports(cloud), sleep, plan_again, announce, stopping)


def make_run_plan(cloud: Cloud, wanted: DesiredState, identity: str) -> Plan:
    """What is missing of the daily run in the cloud.

    Raises:
        ConfigError: the account that it shall run as does not exist.
    """
    project = project_ports(cloud)
    if project.stores[ResourceKind.ACCOUNT].find(Ref(ResourceKind.ACCOUNT, identity)) is None:
        raise ConfigError(
            f"there is no service account {identity}",
            hint="let `orchestra-creds setup` make it, with the role of a rotator",
        )
    return plan(wanted, take_partial_snapshot(project, wanted))


def run_stores(cloud: Cloud) -> Mapping[ResourceKind, RemovableStore]:
    """The stores of the daily run in the cloud."""
    from orchestra_creds.gcp import run_jobs, schedules  # the door to Google's clients

    return {
        ResourceKind.JOB: run_jobs.RunJobs(cloud.session),
        ResourceKind.SCHEDULE: schedules.Schedules(cloud.session),
    }


def unknown_refs(cloud: Cloud) -> list[Ref]:
    """Secrets and accounts of the project that the file does not speak of."""
    project = project_ports(cloud)
    listed = map_in_order(lambda kind: list(project.stores[kind].every()), ADOPTABLE, at_once=cloud.calls_at_once)
    there = {resource.ref: resource for found in listed for resource in found}
    return unknown_resources(load_desired_state(cloud), there)


def check_destroyable(cloud: Cloud, name: str) -> str:
    """Return the etag of a secret that may be deleted.

    Raises:
        PreconditionError: setup did not make it, its environment keeps it, or a version of it can still be read.
    """
    environments = cloud.settings.document.environments
    keeping = [label for label, environment in environments.items() if environment.deletion == "refuse"]
    return require_deletable(cloud.secrets, name, keeping)
