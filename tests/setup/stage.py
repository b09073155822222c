"""A project for the tests of `setup`: the example file, the emulator's handlers without sockets, and calls that go wrong."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from orchestra_creds.bootstrap.setup import state_of
from orchestra_creds.config.parse import parse
from orchestra_creds.core.cloud_types import Binding, IamPolicy
from orchestra_creds.core.resources import DesiredState, ResourceKind
from orchestra_creds.emulator.protocol.routes import IAM_ADMIN
from orchestra_creds.gcp import alerts, resources
from orchestra_creds.gcp.buckets import Buckets
from orchestra_creds.gcp.policies import RestPolicyStore
from orchestra_creds.gcp.run_jobs import RunJobs
from orchestra_creds.gcp.schedules import Schedules
from orchestra_creds.setup.apply import apply
from orchestra_creds.setup.change import ChangeOutcome, Plan
from orchestra_creds.setup.example import example
from orchestra_creds.setup.plan import plan
from orchestra_creds.setup.snapshot import ProjectPorts, SecretResourceStore, take_snapshot
from tests.rotation.world import PROJECT, Loss, World

SMALL = f"""
schema = 1
services = ["aiplatform.googleapis.com"]
[project]
id = "{PROJECT}"
[environments.dev]
[service_accounts.runner-one]
project_roles = ["roles/aiplatform.user"]
[service_accounts.deployer]
act_as = ["runner-one"]
[custom_roles.watcher]
permissions = ["secretmanager.secrets.get", "secretmanager.secrets.list"]
[secrets.api-key]
environments = ["dev"]
consumers = ["runner-one"]
accessors = "exact"
[github]
owner = "acme"
owner_id = 4242
[[github.repositories]]
name = "app"
id = 777
[[github.federation]]
env = "dev"
pool = "github-dev"
repositories = ["app"]
impersonates = ["deployer"]
[audit.data_access]
"secretmanager.googleapis.com" = ["DATA_READ"]
"""

PLACE = "us-central1"
BUCKET, IMAGE = "demo-project-state", "us-central1-docker.pkg.dev/demo-project/ops/orchestra-creds@sha256:" + "0" * 64
FULL = (
    SMALL
    + f"""
[state]
bucket = "{BUCKET}"
location = "{PLACE}"
[schedule]
image = "{IMAGE}"
identity = "runner-one"
region = "{PLACE}"
[alerts]
channels = ["email:ops@example.com"]
rules = ["key-created", "rotation-silent"]
"""
)
"""Every kind of resource that there is."""


class Stage:
    """One project, strict unless told, and one file; one call at a time unless told, so that a run is the same each time."""

    def __init__(self, text: str = SMALL, *, strict: bool = True, at_once: int = 1) -> None:
        self.at_once = at_once
        self.world = World(strict=strict)
        self.policies = RestPolicyStore(self.world.session)
        self.told: list[str] = []
        self.read(text)

    def read(self, text: str) -> None:
        """Take this file from now on."""
        document = parse(text, "test.toml")
        self.wanted: DesiredState = state_of(document, PROJECT)

    @property
    def project(self) -> ProjectPorts:
        session, sleep = self.world.session, self.sleep
        return ProjectPorts(
            PROJECT,
            self.world.secrets,
            self.world.keys,
            self.policies,
            resources.RestProjectStore(session),
            {
                ResourceKind.SERVICE: resources.Services(session, sleep=sleep),
                ResourceKind.ROLE: resources.Roles(session, sleep=sleep),
                ResourceKind.ACCOUNT: resources.Accounts(session, sleep=sleep),
                ResourceKind.SECRET: SecretResourceStore(self.world.secrets),
                ResourceKind.POOL: resources.Pools(session, sleep=sleep),
                ResourceKind.PROVIDER: resources.Providers(session, sleep=sleep),
                ResourceKind.BUCKET: Buckets(session),
                ResourceKind.METRIC: alerts.Metrics(session),
                ResourceKind.CHANNEL: alerts.Channels(session),
                ResourceKind.ALERT: alerts.Alerts(session),
                ResourceKind.JOB: RunJobs(session, (PLACE,), sleep=sleep),
                ResourceKind.SCHEDULE: Schedules(session, (PLACE,)),
            },
            at_once=self.at_once,
        )

    def sleep(self, seconds: float) -> None:
        self.world.pass_time(timedelta(seconds=seconds))

    def plan(self) -> Plan:
        return plan(self.wanted, take_snapshot(self.project, self.wanted))

    def apply(
        self, between: Callable[[], None] = lambda: None, losses: Mapping[int, Loss] | None = None
    ) -> list[ChangeOutcome]:
        """Plan and apply; `between` happens after the plan, losses are counted from there."""
        planned = self.plan()
        between()
        self.world.lose(losses or {})
        return list(apply(planned, self.project, self.sleep, self.plan, self.told.append))

    def mutations(self) -> int:
        return len(self.world.emulator.mutations)

    def rest(self, verb: str, path: str, body: object = None, **query: str) -> dict[str, Any]:
        """A foreign change, over REST."""
        return self.world.session.rest("change something", verb, "iam", path, body=body, query=query or None)

    def bind(self, holder: str, role: str, member: str) -> None:
        """A foreign grant."""
        policy = self.policies.get_policy(holder)
        self.policies.set_policy(holder, IamPolicy((*policy.bindings, Binding(role, frozenset({member}))), policy.etag))

    def members(self, holder: str, role: str) -> set[str]:
        found = [binding.members for binding in self.policies.get_policy(holder).bindings if binding.role == role]
        return set().union(*found)

    def close(self) -> None:
        self.world.close()


def whole() -> Stage:
    """The example that `setup init` writes."""
    return Stage(example(PROJECT))


def pool_path(name: str = "github-dev") -> str:
    return f"v1/projects/{PROJECT}/locations/global/workloadIdentityPools/{name}"


def provider_path(name: str = "github-dev") -> str:
    return f"{pool_path(name)}/providers/github-provider"


def role_path(name: str = "watcher") -> str:
    return f"v1/projects/{PROJECT}/roles/{name}"


def account(stage: Stage, name: str) -> str:
    return str(stage.world.rpc("CreateServiceAccount", IAM_ADMIN, name=f"projects/{PROJECT}", account_id=name).email)
