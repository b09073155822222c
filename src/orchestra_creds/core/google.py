"""Facts of Google Cloud, and our marks on its resources, that several packages need. Pure."""

SECRET_ACCESSOR = "roles/secretmanager.secretAccessor"  # noqa: S105  a role
SECRET_VERSION_ADDER = "roles/secretmanager.secretVersionAdder"  # noqa: S105  a role
SECRET_VERSION_MANAGER = "roles/secretmanager.secretVersionManager"  # noqa: S105  a role
SECRET_VIEWER = "roles/secretmanager.viewer"  # noqa: S105  a role
SECRET_ADMIN = "roles/secretmanager.admin"  # noqa: S105  a role
ACCOUNT_USER = "roles/iam.serviceAccountUser"
ACCOUNT_TOKEN_CREATOR = "roles/iam.serviceAccountTokenCreator"  # noqa: S105  a role
ACCOUNT_KEY_ADMIN = "roles/iam.serviceAccountKeyAdmin"
WORKLOAD_IDENTITY_USER = "roles/iam.workloadIdentityUser"
RUN_INVOKER = "roles/run.invoker"

EVERYONE = frozenset({"allUsers", "allAuthenticatedUsers"})
"""Members of a policy that mean anyone on the internet."""

LARGEST_VALUE = 65_536
"""Bytes that a version of a secret may hold (cloud.google.com/secret-manager/quotas)."""

CLOUD_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
"""The OAuth scope that all calls need."""

ACCOUNT_DOMAIN = ".iam.gserviceaccount.com"
"""Ends the mail address of a service account, after its project."""

KEYS_OF_ACCOUNT = 10
"""Keys that a service account may have, disabled ones too (cloud.google.com/iam/quotas)."""

MANAGED_BY = "managed-by"
"""The label that names the program which made a resource."""
OWNER = "orchestra-creds"
"""Its value on our resources."""
MANAGED_LABELS = {MANAGED_BY: OWNER}
STATE_ANNOTATION = "orchestra-creds.state"
"""The annotation of a secret that holds the state of its rotation."""
LABEL_DUE = "orchestra-due"
"""The label of a secret with the day of its next rotation, YYYYMMDD in UTC: who may list secrets sees what is overdue without us."""

_KEY_SUFFIX = "-key"


def key_secret(account: str) -> str:
    """Return the name of the secret that holds the key of a service account; `account` is the name before the @."""
    return f"{account}{_KEY_SUFFIX}"
