"""Which predefined role gives a permission that is missing: what an operator asks for at 3 a.m. Pure.

Source: cloud.google.com/iam/docs/roles-permissions. Roles of a whole service are named only where no smaller one has the permission.
"""

from collections.abc import Mapping

from orchestra_creds.core import google

_READ = frozenset({"get", "list", "query", "lookup", "getKeyString"})
_BY_RESOURCE: Mapping[str, tuple[str, str]] = {
    "secretmanager.secrets": (google.SECRET_VIEWER, google.SECRET_ADMIN),
    "secretmanager.versions": (google.SECRET_VIEWER, google.SECRET_VERSION_MANAGER),
    "iam.serviceAccounts": ("roles/iam.serviceAccountViewer", "roles/iam.serviceAccountAdmin"),
    "iam.serviceAccountKeys": ("roles/iam.serviceAccountViewer", google.ACCOUNT_KEY_ADMIN),
    "iam.roles": ("roles/iam.roleViewer", "roles/iam.roleAdmin"),
    "iam.workloadIdentityPools": ("roles/iam.workloadIdentityPoolViewer", "roles/iam.workloadIdentityPoolAdmin"),
    "iam.workloadIdentityPoolProviders": (
        "roles/iam.workloadIdentityPoolViewer",
        "roles/iam.workloadIdentityPoolAdmin",
    ),
    "resourcemanager.projects": ("roles/browser", "roles/resourcemanager.projectIamAdmin"),
    "serviceusage.services": ("roles/serviceusage.serviceUsageViewer", "roles/serviceusage.serviceUsageAdmin"),
    "apikeys.keys": ("roles/serviceusage.apiKeysViewer", "roles/serviceusage.apiKeysAdmin"),
    "orgpolicy.policy": ("roles/orgpolicy.policyViewer", "roles/orgpolicy.policyAdmin"),
    "policyanalyzer.serviceAccountKeyLastAuthenticationActivities": (
        "roles/policyanalyzer.activityAnalysisViewer",
        "",
    ),
    "storage.buckets": ("roles/storage.admin", "roles/storage.admin"),
    "run.jobs": ("roles/run.viewer", "roles/run.developer"),
    "run.operations": ("roles/run.viewer", ""),
    "cloudscheduler.jobs": ("roles/cloudscheduler.viewer", "roles/cloudscheduler.admin"),
    "logging.logMetrics": ("roles/logging.viewer", "roles/logging.configWriter"),
    "monitoring.alertPolicies": ("roles/monitoring.viewer", "roles/monitoring.editor"),
    "monitoring.notificationChannels": ("roles/monitoring.viewer", "roles/monitoring.editor"),
    "monitoring.timeSeries": ("roles/monitoring.viewer", ""),
}
"""Resource -> the role that reads, and the one that changes."""
_EXACT: Mapping[str, str] = {
    "secretmanager.secrets.getIamPolicy": google.SECRET_VIEWER,
    "secretmanager.versions.access": google.SECRET_ACCESSOR,
    "secretmanager.versions.add": google.SECRET_VERSION_ADDER,
    "iam.serviceAccounts.create": "roles/iam.serviceAccountCreator",
    "iam.serviceAccounts.delete": "roles/iam.serviceAccountDeleter",
    "iam.serviceAccounts.getIamPolicy": "roles/iam.serviceAccountViewer",
    "iam.serviceAccounts.actAs": google.ACCOUNT_USER,
    "iam.serviceAccounts.getAccessToken": google.ACCOUNT_TOKEN_CREATOR,
    "resourcemanager.projects.getIamPolicy": "roles/browser",
    "run.jobs.getIamPolicy": "roles/run.viewer",
    "run.jobs.setIamPolicy": "roles/run.admin",
    "run.jobs.run": google.RUN_INVOKER,
}


def least_role(permission: str) -> str:
    """The predefined role to ask for, or "" for a permission that none of our verbs needs."""
    spelled = permission.replace("iam.googleapis.com/", "iam.")  # custom roles and refusals spell some in two ways
    resource, _, verb = spelled.rpartition(".")
    reads, changes = _BY_RESOURCE.get(resource, ("", ""))
    return _EXACT.get(spelled, reads if verb in _READ else changes)
