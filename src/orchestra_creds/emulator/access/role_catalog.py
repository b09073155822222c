"""The predefined roles that matter to credentials, with the permissions Google gives them in these services.

Source: cloud.google.com/iam/docs/roles-permissions and /permissions-reference, cut down to what the embedded cloud
serves; a test compares them with an extract of Google's roles. A permission that is served by no predefined role here can still be given by a custom role.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PredefinedRole:
    """A role of Google's: `roles/…`, its title, what it is for, and its permissions."""

    name: str
    title: str
    description: str
    permissions: frozenset[str]


def _on(prefix: str, verbs: str) -> frozenset[str]:
    return frozenset(f"{prefix}.{verb}" for verb in verbs.split())


_LOCATIONS = _on("secretmanager.locations", "get list")
_SECRET_READ = _on("secretmanager.secrets", "get list getIamPolicy") | _LOCATIONS
_VERSION_READ = _on("secretmanager.versions", "get list")
_SECRET_WRITE = _on("secretmanager.secrets", "create update delete")
_SECRET_TAGS = _on("secretmanager.secrets", "createTagBinding deleteTagBinding")
_VERSION_WRITE = _on("secretmanager.versions", "add enable disable destroy")
_ACCESS = frozenset({"secretmanager.versions.access"})
_ROTATE = frozenset({"secretmanager.secrets.rotate"})
_SECRET_POLICY = frozenset({"secretmanager.secrets.setIamPolicy"})
_SECRETS_ALL = (
    _SECRET_READ | _VERSION_READ | _SECRET_WRITE | _SECRET_TAGS | _VERSION_WRITE | _ACCESS | _ROTATE | _SECRET_POLICY
)

_PROJECT = _on("resourcemanager.projects", "get")
_PROJECT_LIST = _on("resourcemanager.projects", "get list")
_PROJECT_POLICY = _on("resourcemanager.projects", "get getIamPolicy setIamPolicy")

_ACCOUNT_READ = _on("iam.serviceAccounts", "get list")
_ACCOUNT_WRITE = _on("iam.serviceAccounts", "create update delete enable disable")
_ACCOUNT_POLICY = _on("iam.serviceAccounts", "getIamPolicy setIamPolicy")
_ACCOUNT_TOKENS = _on("iam.serviceAccounts", "getAccessToken getOpenIdToken implicitDelegation signBlob signJwt")
_KEYS_READ = _on("iam.serviceAccountKeys", "get list")
_KEYS_ALL = _KEYS_READ | _on("iam.serviceAccountKeys", "create delete disable enable")
_ROLES_READ = _on("iam.roles", "get list")
_ROLES_ALL = _ROLES_READ | _on("iam.roles", "create update delete undelete")
_POOLS_READ = _on("iam.workloadIdentityPools", "get list getIamPolicy") | _on(
    "iam.workloadIdentityPoolProviders", "get list"
)
_POOLS_ALL = (
    _POOLS_READ
    | _on("iam.workloadIdentityPools", "create update delete undelete setIamPolicy")
    | _on("iam.workloadIdentityPoolProviders", "create update delete undelete")
)
_COUNTS_READ = _on("monitoring.timeSeries", "list")
_SERVICES_READ = _on("serviceusage.services", "get list")
_SERVICES_ALL = _SERVICES_READ | _on("serviceusage.services", "enable disable use")
_API_KEYS_READ = _on("apikeys.keys", "get list getKeyString") | _on("apikeys.keys", "lookup")
_API_KEYS_ALL = _API_KEYS_READ | _on("apikeys.keys", "create update delete undelete")
_ORG_POLICY_READ = _on("orgpolicy", "policy.get policies.list constraints.list")
_ORG_POLICY_ALL = _ORG_POLICY_READ | _on("orgpolicy", "policies.create policies.update policies.delete policy.set")
_ANALYZER = _on("policyanalyzer.serviceAccountKeyLastAuthenticationActivities", "query") | _on(
    "policyanalyzer.serviceAccountLastAuthenticationActivities", "query"
)
_BUCKETS_READ = _on("storage.buckets", "get list getIamPolicy")
_BUCKETS_ALL = _BUCKETS_READ | _on("storage.buckets", "create update delete setIamPolicy")
_OBJECTS_USE = _on("storage.objects", "create delete get list update")
_OBJECTS_ALL = _OBJECTS_USE | _on("storage.objects", "getIamPolicy setIamPolicy")
_SCHEDULES_READ = _on("cloudscheduler.jobs", "get list")
_SCHEDULES_ALL = _SCHEDULES_READ | _on("cloudscheduler.jobs", "create update delete pause enable run")
_JOBS_READ = _on("run.jobs", "get list getIamPolicy") | _on("run.operations", "get list")
_JOBS_WRITE = _JOBS_READ | _on("run.jobs", "create update delete run runWithOverrides")
_JOBS_ALL = _JOBS_WRITE | _on("run.jobs", "setIamPolicy")
_METRICS_READ = _on("logging.logMetrics", "get list")
_METRICS_ALL = _METRICS_READ | _on("logging.logMetrics", "create update delete")
_ALERTS_READ = _on("monitoring.alertPolicies", "get list") | _on("monitoring.notificationChannels", "get list")
_ALERTS_ALL = (
    _ALERTS_READ
    | _on("monitoring.alertPolicies", "create update delete")
    | _on("monitoring.notificationChannels", "create update delete")
)
_LOGS = _on("logging.logEntries", "list")
_PUBLISH = _on("pubsub.topics", "publish")
_OPERATIONS_READ = _SCHEDULES_READ | _JOBS_READ | _METRICS_READ | _ALERTS_READ | _COUNTS_READ

_VIEWER = (
    _SECRET_READ | _VERSION_READ | _PROJECT_LIST | _on("resourcemanager.projects", "getIamPolicy") | _ACCOUNT_READ
    | _on("iam.serviceAccounts", "getIamPolicy") | _KEYS_READ | _ROLES_READ | _POOLS_READ | _SERVICES_READ
    | _API_KEYS_READ | _ORG_POLICY_READ | _ANALYZER | _OPERATIONS_READ | _LOGS | _on("storage.buckets", "list")
)  # fmt: skip
_EDITOR = (
    _VIEWER | _SECRET_WRITE | _VERSION_WRITE | _ROTATE | _ACCOUNT_WRITE | _on("iam.serviceAccounts", "actAs")
    | _KEYS_ALL | _SERVICES_ALL | _API_KEYS_ALL | _on("resourcemanager.projects", "update") | _PUBLISH
    | _SCHEDULES_ALL | _JOBS_WRITE | _METRICS_ALL | _ALERTS_ALL | _on("storage.buckets", "create delete list")
)  # fmt: skip
_OWNER = (
    _EDITOR | _SECRETS_ALL | _PROJECT_POLICY | _ACCOUNT_POLICY | _ROLES_ALL | _POOLS_ALL
    | _on("iam.serviceAccounts", "undelete") | _on("resourcemanager.projects", "delete undelete") | _BUCKETS_ALL | _OBJECTS_ALL | _JOBS_ALL
)  # fmt: skip

_REVIEW = (
    _on("resourcemanager.projects", "list getIamPolicy") | _on("iam.serviceAccounts", "get list getIamPolicy")
    | _on("iam.serviceAccountKeys", "list") | _ROLES_READ | _on("iam.workloadIdentityPools", "list getIamPolicy")
    | _on("iam.workloadIdentityPoolProviders", "list") | _on("secretmanager.secrets", "list getIamPolicy")
    | _on("secretmanager.locations", "list") | _on("secretmanager.versions", "list") | _on("apikeys.keys", "list")
    | _on("serviceusage.services", "list") | _on("orgpolicy", "constraints.list policies.list")
    | _on("storage.buckets", "list getIamPolicy") | _on("storage.objects", "list getIamPolicy")
    | _on("cloudscheduler.jobs", "list") | _on("run.jobs", "list getIamPolicy") | _on("run.operations", "list") | _LOGS
    | _on("logging.logMetrics", "list") | _on("monitoring.alertPolicies", "list")
    | _on("monitoring.notificationChannels", "list") | _COUNTS_READ
)  # fmt: skip
"""Every list and every policy: what a reviewer of access may read."""
_SET_POLICIES = frozenset(
    f"{permission.removesuffix('.getIamPolicy')}.setIamPolicy"
    for permission in _REVIEW
    if permission.endswith(".getIamPolicy")
)

_ROLES = (
    PredefinedRole("roles/owner", "Owner", "Full access to most Google Cloud resources.", _OWNER),
    PredefinedRole("roles/editor", "Editor", "View, create, update, and delete most resources.", _EDITOR),
    PredefinedRole("roles/viewer", "Viewer", "View most Google Cloud resources.", _VIEWER),
    PredefinedRole("roles/browser", "Browser", "Browse the resource hierarchy.",
                   _PROJECT_LIST | _on("resourcemanager.projects", "getIamPolicy")),
    PredefinedRole("roles/secretmanager.admin", "Secret Manager Admin", "Full access to administer Secret Manager.",
                   _SECRETS_ALL | _PROJECT_LIST),
    PredefinedRole("roles/secretmanager.secretAccessor", "Secret Manager Secret Accessor",
                   "Read the payload of secrets.", _ACCESS | _PROJECT_LIST),
    PredefinedRole("roles/secretmanager.secretVersionAdder", "Secret Manager Secret Version Adder",
                   "Add versions to secrets.", _on("secretmanager.versions", "add") | _ROTATE | _PROJECT_LIST),
    PredefinedRole("roles/secretmanager.secretVersionManager", "Secret Manager Secret Version Manager",
                   "Add versions to secrets and manage them.", _VERSION_READ | _VERSION_WRITE | _ROTATE | _PROJECT_LIST),
    PredefinedRole("roles/secretmanager.viewer", "Secret Manager Viewer", "View metadata of secrets.",
                   _SECRET_READ | _VERSION_READ | _PROJECT_LIST),
    PredefinedRole("roles/iam.serviceAccountAdmin", "Service Account Admin", "Create and manage service accounts.",
                   _ACCOUNT_READ | _ACCOUNT_WRITE | _on("iam.serviceAccounts", "undelete") | _ACCOUNT_POLICY | _PROJECT_LIST),
    PredefinedRole("roles/iam.serviceAccountCreator", "Create Service Accounts", "Create service accounts.",
                   _ACCOUNT_READ | _on("iam.serviceAccounts", "create") | _PROJECT_LIST),
    PredefinedRole("roles/iam.serviceAccountDeleter", "Delete Service Accounts", "Delete service accounts.",
                   _ACCOUNT_READ | _on("iam.serviceAccounts", "delete") | _PROJECT_LIST),
    PredefinedRole("roles/iam.serviceAccountKeyAdmin", "Service Account Key Admin",
                   "Create and manage (and rotate) service account keys.", _KEYS_ALL | _ACCOUNT_READ | _PROJECT_LIST),
    PredefinedRole("roles/iam.serviceAccountTokenCreator", "Service Account Token Creator",
                   "Impersonate service accounts.", _ACCOUNT_TOKENS | _ACCOUNT_READ | _PROJECT_LIST),
    PredefinedRole("roles/iam.serviceAccountOpenIdTokenCreator", "Service Account OpenID Connect Identity Token Creator",
                   "Create OpenID Connect tokens.", _on("iam.serviceAccounts", "getOpenIdToken")),
    PredefinedRole("roles/iam.serviceAccountUser", "Service Account User", "Run operations as the service account.",
                   _ACCOUNT_READ | _on("iam.serviceAccounts", "actAs") | _PROJECT_LIST),
    PredefinedRole("roles/iam.serviceAccountViewer", "View Service Accounts",
                   "Read service accounts, metadata, and keys.",
                   _ACCOUNT_READ | _on("iam.serviceAccounts", "getIamPolicy") | _KEYS_READ | _PROJECT_LIST),
    PredefinedRole("roles/iam.workloadIdentityUser", "Workload Identity User",
                   "Impersonate service accounts from federated workloads.",
                   _on("iam.serviceAccounts", "getAccessToken getOpenIdToken get list")),
    PredefinedRole("roles/iam.workloadIdentityPoolAdmin", "IAM Workload Identity Pool Admin",
                   "Create and manage workload identity pools.", _POOLS_ALL | _PROJECT_LIST),
    PredefinedRole("roles/iam.workloadIdentityPoolViewer", "IAM Workload Identity Pool Viewer",
                   "Read workload identity pools.", _POOLS_READ | _PROJECT_LIST),
    PredefinedRole("roles/iam.securityAdmin", "Security Admin", "Get and set any IAM policy.",
                   _REVIEW | _SET_POLICIES),
    PredefinedRole("roles/iam.securityReviewer", "Security Reviewer", "List resources and read IAM policies.",
                   _REVIEW),
    PredefinedRole("roles/iam.roleAdmin", "Role Administrator", "Manage custom roles of the project.",
                   _ROLES_ALL | _on("resourcemanager.projects", "get getIamPolicy")),
    PredefinedRole("roles/iam.roleViewer", "Role Viewer", "Read custom roles of the project.",
                   _ROLES_READ | _on("resourcemanager.projects", "get getIamPolicy")),
    PredefinedRole("roles/resourcemanager.projectIamAdmin", "Project IAM Admin", "Administer a project's policies.",
                   _PROJECT_POLICY),
    PredefinedRole("roles/policyanalyzer.activityAnalysisViewer", "Activity Analysis Viewer",
                   "View last authentication of accounts and keys.", _ANALYZER),
    PredefinedRole("roles/serviceusage.serviceUsageAdmin", "Service Usage Admin", "Enable and disable services.",
                   _SERVICES_ALL | _COUNTS_READ),
    PredefinedRole("roles/serviceusage.serviceUsageConsumer", "Service Usage Consumer",
                   "Inspect service states and use services.",
                   _SERVICES_READ | _COUNTS_READ | _on("serviceusage.services", "use")),
    PredefinedRole("roles/serviceusage.serviceUsageViewer", "Service Usage Viewer", "Inspect service states.",
                   _SERVICES_READ | _COUNTS_READ),
    PredefinedRole("roles/serviceusage.apiKeysAdmin", "API Keys Admin", "Create and manage API keys.",
                   _API_KEYS_ALL | _on("orgpolicy", "policy.get")),
    PredefinedRole("roles/serviceusage.apiKeysViewer", "API Keys Viewer", "View API keys.", _API_KEYS_READ),
    PredefinedRole("roles/orgpolicy.policyAdmin", "Organization Policy Administrator", "Manage organization policies.",
                   _ORG_POLICY_ALL),
    PredefinedRole("roles/orgpolicy.policyViewer", "Organization Policy Viewer", "View organization policies.",
                   _ORG_POLICY_READ),
    PredefinedRole("roles/storage.admin", "Storage Admin", "Full control of buckets and objects.",
                   _BUCKETS_ALL | _OBJECTS_ALL | _PROJECT_LIST | _on("orgpolicy", "policy.get")),
    PredefinedRole("roles/storage.objectUser", "Storage Object User", "Create, read, update and delete objects.",
                   _OBJECTS_USE | _PROJECT_LIST | _on("orgpolicy", "policy.get")),
    PredefinedRole("roles/cloudscheduler.admin", "Cloud Scheduler Admin", "Full access to jobs.",
                   _SCHEDULES_ALL | _PROJECT_LIST | _SERVICES_READ),
    PredefinedRole("roles/cloudscheduler.viewer", "Cloud Scheduler Viewer", "Get and list jobs.",
                   _SCHEDULES_READ | _PROJECT_LIST | _SERVICES_READ),
    PredefinedRole("roles/run.admin", "Cloud Run Admin", "Full control of Cloud Run.", _JOBS_ALL | _PROJECT_LIST),
    PredefinedRole("roles/run.developer", "Cloud Run Developer", "Write Cloud Run resources; no policies.",
                   _JOBS_WRITE | _PROJECT_LIST),
    PredefinedRole("roles/run.viewer", "Cloud Run Viewer", "Read Cloud Run resources.", _JOBS_READ | _PROJECT_LIST),
    PredefinedRole("roles/run.invoker", "Cloud Run Invoker", "Run jobs and call services.", _on("run.jobs", "run")),
    PredefinedRole("roles/logging.configWriter", "Logs Configuration Writer", "Configure sinks, metrics and buckets.",
                   _METRICS_ALL | _PROJECT_LIST),
    PredefinedRole("roles/monitoring.editor", "Monitoring Editor", "Write monitoring data and configurations.",
                   _ALERTS_ALL | _COUNTS_READ | _PROJECT_LIST | _on("serviceusage.services", "enable get")),
    PredefinedRole("roles/monitoring.viewer", "Monitoring Viewer", "Read monitoring data and configurations.",
                   _ALERTS_READ | _COUNTS_READ | _PROJECT_LIST),
    PredefinedRole("roles/logging.viewer", "Logs Viewer", "View logs.", _LOGS | _METRICS_READ | _PROJECT),
    PredefinedRole("roles/pubsub.publisher", "Pub/Sub Publisher", "Publish messages.",
                   _PUBLISH),
)  # fmt: skip

PREDEFINED: Mapping[str, PredefinedRole] = {role.name: role for role in _ROLES}
"""Every predefined role that is known, by name."""

TESTABLE: tuple[str, ...] = tuple(
    sorted(frozenset[str]().union(*(role.permissions for role in _ROLES)) | _ORG_POLICY_ALL)
)
"""Every permission that is known: what custom roles may hold."""
