"""One example of each kind of resource, and the store that keeps it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestra_creds.core.resources import Ref, Resource, ResourceKind, ResourceStore
from orchestra_creds.gcp import alerts, buckets, resources, run_jobs, schedules
from orchestra_creds.gcp.secrets import SecretManagerStore
from orchestra_creds.gcp.session import ApiSession
from orchestra_creds.setup.snapshot import SecretResourceStore
from tests.contract.conftest import PROJECT

PLACE = "us-central1"
MAIL = f"runner-one@{PROJECT}.iam.gserviceaccount.com"
IMAGE = "us-central1-docker.pkg.dev/demo-project/ops/orchestra-creds@sha256:" + "0" * 64
JOB = Resource(
    Ref(ResourceKind.JOB, f"{PLACE}/orchestra-creds"),
    {
        "image": IMAGE,
        "identity": MAIL,
        "arguments": ["rotate", "--due"],
        "environment": {"ORCHESTRA_CREDS_PROJECT": PROJECT},
        "labels": {"managed-by": "orchestra-creds"},
        "timeout": 900,
        "retries": 0,
    },
)
SCHEDULE = Resource(
    Ref(ResourceKind.SCHEDULE, f"{PLACE}/orchestra-creds"),
    {
        "cron": "17 3 * * *",
        "zone": "Etc/UTC",
        "uri": f"https://run.googleapis.com/v2/projects/{PROJECT}/locations/{PLACE}/jobs/orchestra-creds:run",
        "identity": MAIL,
        "description": "Daily rotation",
        "deadline": 180,
        "retries": 1,
        "paused": False,
    },
)
METRIC = Resource(
    Ref(ResourceKind.METRIC, "orchestra-creds-finished"),
    {"filter": 'jsonPayload.event="rotation.finished"', "description": "Rotations.", "disabled": False},
)
COUNTER = f'metric.type="logging.googleapis.com/user/{METRIC.ref.name}" AND resource.type="cloud_run_job"'
"""What an alert watches that misses entries of the metric; strict mode and Google want both of its parts."""
CHANNEL = Resource(
    Ref(ResourceKind.CHANNEL, "email:ops@example.com"),
    {
        "type": "email",
        "address": {"email_address": "ops@example.com"},
        "labels": {"managed-by": "orchestra-creds"},
        "enabled": True,
    },
)
ALERT = Resource(
    Ref(ResourceKind.ALERT, "orchestra-creds key-created"),
    {
        "match": "log",
        "filter": 'protoPayload.methodName="google.iam.admin.v1.CreateServiceAccountKey"',
        "seconds": 300,
        "channels": [CHANNEL.ref.name],
        "documentation": "Somebody made a key.",
        "labels": {"managed-by": "orchestra-creds"},
        "enabled": True,
    },
)


@dataclass(frozen=True, slots=True)
class Case:
    """A kind: its store, an example, a change, and what the API calls it in permissions and methods."""

    store: Callable[[ApiSession], ResourceStore]
    wanted: Resource
    change: Mapping[str, Any]
    permission: str
    create: str
    listed: str
    has_etag: bool = False
    finds_by: str = "get"
    needs_account: bool = False
    before: tuple[tuple[ResourceKind, Resource], ...] = field(default=())


POOL = Resource(
    Ref(ResourceKind.POOL, "github-pool"), {"displayName": "GitHub", "description": "Builds.", "disabled": False}
)
PROVIDER = Resource(
    Ref(ResourceKind.PROVIDER, "github-pool/github-provider"),
    {
        "attributeMapping": {"google.subject": "assertion.sub", "attribute.repository_id": "assertion.repository_id"},
        "attributeCondition": "assertion.repository_id == '777'",
        "issuerUri": "https://token.actions.githubusercontent.com",
        "disabled": False,
    },
)

CASES = {
    ResourceKind.ROLE: Case(
        resources.Roles,
        Resource(
            Ref(ResourceKind.ROLE, "orchestraCredsReader"),
            {"title": "Reader", "description": "Reads.", "includedPermissions": ["secretmanager.secrets.list"]},
        ),
        {"includedPermissions": ["secretmanager.secrets.get"]},
        "iam.roles",
        "CreateRole",
        "ListRoles",
        has_etag=True,
    ),
    ResourceKind.ACCOUNT: Case(
        resources.Accounts,
        Resource(
            Ref(ResourceKind.ACCOUNT, f"creds-rotator@{PROJECT}.iam.gserviceaccount.com"),
            {"displayName": "Rotator", "description": "Rotates."},
        ),
        {"description": "Rotates, daily."},
        "iam.serviceAccounts",
        "CreateServiceAccount",
        "ListServiceAccounts",
    ),
    ResourceKind.POOL: Case(
        resources.Pools,
        POOL,
        {"disabled": True},
        "iam.workloadIdentityPools",
        "CreateWorkloadIdentityPool",
        "ListWorkloadIdentityPools",
    ),
    ResourceKind.PROVIDER: Case(
        resources.Providers,
        PROVIDER,
        {"attributeCondition": "assertion.repository_id == '778'", "disabled": True},
        "iam.workloadIdentityPoolProviders",
        "CreateWorkloadIdentityPoolProvider",
        "ListWorkloadIdentityPoolProviders",
        before=((ResourceKind.POOL, POOL),),
    ),
    ResourceKind.SECRET: Case(
        lambda session: SecretResourceStore(SecretManagerStore(session)),
        Resource(
            Ref(ResourceKind.SECRET, "db-pass-dev"),
            {
                "labels": {"managed-by": "orchestra-creds"},
                "replication": ["us-central1"],
                "rotated": False,
                "destroyTtl": 86_400,
            },
        ),
        {"labels": {"managed-by": "orchestra-creds", "env": "dev"}, "destroyTtl": 604_800},
        "secretmanager.secrets",
        "CreateSecret",
        "ListSecrets",
        has_etag=True,
    ),
    ResourceKind.BUCKET: Case(
        buckets.Buckets,
        Resource(
            Ref(ResourceKind.BUCKET, "demo-project-orchestra-creds"),
            {
                "location": "US-CENTRAL1",
                "labels": {"managed-by": "orchestra-creds"},
                "versioning": True,
                "uniformAccess": True,
                "publicAccessPrevention": "enforced",
            },
        ),
        {"versioning": False},
        "storage.buckets",
        "InsertBucket",
        "ListBuckets",
        has_etag=True,
    ),
    ResourceKind.METRIC: Case(
        alerts.Metrics,
        METRIC,
        {"filter": 'jsonPayload.event="rotation.failed"'},
        "logging.logMetrics",
        "CreateLogMetric",
        "ListLogMetrics",
    ),
    ResourceKind.CHANNEL: Case(
        alerts.Channels,
        CHANNEL,
        {"enabled": False},
        "monitoring.notificationChannels",
        "CreateNotificationChannel",
        "ListNotificationChannels",
        finds_by="list",
    ),
    ResourceKind.ALERT: Case(
        alerts.Alerts,
        ALERT,
        {"match": "absence", "filter": COUNTER, "seconds": 7200},
        "monitoring.alertPolicies",
        "CreateAlertPolicy",
        "ListAlertPolicies",
        finds_by="list",
        before=((ResourceKind.CHANNEL, CHANNEL), (ResourceKind.METRIC, METRIC)),
    ),
    ResourceKind.JOB: Case(
        lambda session: run_jobs.RunJobs(session, (PLACE,)),
        JOB,
        {"arguments": ["rotate", "--due", "--jitter", "5m"], "environment": {"A": "1", "B": "2"}},
        "run.jobs",
        "CreateJob",
        "ListJobs",
        has_etag=True,
        needs_account=True,
    ),
    ResourceKind.SCHEDULE: Case(
        lambda session: schedules.Schedules(session, (PLACE,)),
        SCHEDULE,
        {"cron": "5 4 * * *", "deadline": 300, "paused": True},
        "cloudscheduler.jobs",
        "CreateJob",
        "ListJobs",
        needs_account=True,
    ),
}
