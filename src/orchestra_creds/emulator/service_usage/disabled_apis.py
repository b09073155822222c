"""Refuses calls to an API that is off in the project, as Google does.

In strict mode every API that nobody has enabled is off. Otherwise only one that was disabled is refused, so that a new
project can be used at once.
"""

import re

from google.rpc import error_details_pb2

from orchestra_creds.emulator.access import bucket_names
from orchestra_creds.emulator.access.account_names import stored_account_name
from orchestra_creds.emulator.protocol.errors import Code, EmuError
from orchestra_creds.emulator.service_usage import services as api_services
from orchestra_creds.emulator.store import project_numbers
from orchestra_creds.emulator.store.store import Txn

_APIS = {
    "google.api.apikeys.": "apikeys",
    "google.api.serviceusage.": "serviceusage",
    "google.cloud.location.": "secretmanager",
    "google.cloud.orgpolicy.": "orgpolicy",
    "google.cloud.policyanalyzer.": "policyanalyzer",
    "google.cloud.resourcemanager.": "cloudresourcemanager",
    "google.cloud.run.": "run",
    "google.cloud.scheduler.": "cloudscheduler",
    "google.cloud.secretmanager.": "secretmanager",
    "google.iam.credentials.": "iamcredentials",
    "google.iam.": "iam",
    "google.identity.sts.": "sts",
    "google.logging.": "logging",
    "google.monitoring.": "monitoring",
    "google.storage.": "storage",
}
"""Beginning of a method's full name -> API; the first that fits counts. Log-in endpoints and operations belong to none."""
_ALWAYS = frozenset(
    {
        "google.api.serviceusage.v1.ServiceUsage/BatchEnableServices",
        "google.api.serviceusage.v1.ServiceUsage/EnableService",
    }
)
"""Google charges these calls of gcloud to a project of its own, so that Service Usage can be enabled again."""
_NO_PROJECT = frozenset({"-", "_"})
"""What stands for the project in the name of an account or a bucket that is not there."""
_PROJECT = re.compile(r"(?://[a-z.]+/)?projects/([^/]+)")


def require_enabled(txn: Txn, method: str, resource: str) -> None:
    """Raise PERMISSION_DENIED with reason SERVICE_DISABLED when the API of the method is off in the resource's project.

    Source of the shape: google.rpc.ErrorInfo in googleapis/google/rpc/error_details.proto, and answers of Google in public issues.
    """
    api = _api(method, resource)
    found = _PROJECT.match(bucket_names.stored_bucket_name(txn, stored_account_name(txn, resource)))
    if not api or found is None or found[1] in _NO_PROJECT or method in _ALWAYS:
        return
    service, project = f"{api}.googleapis.com", project_numbers.id_of(txn, found[1])
    if api_services.is_callable(txn, project, service):
        return
    number, title = project_numbers.number_of(txn, project), api_services.TITLES.get(service, service)
    page = f"https://console.developers.google.com/apis/api/{service}/overview?project={number}"
    message = (
        f"{title} has not been used in project {number} before or it is disabled. Enable it by visiting {page} then retry."
        " If you enabled this API recently, wait a few minutes for the action to propagate to our systems and retry."
    )
    facts = {
        "service": service,
        "serviceTitle": title,
        "consumer": f"projects/{number}",
        "containerInfo": number,
        "activationUrl": page,
    }
    raise EmuError(
        Code.PERMISSION_DENIED,
        message,
        error_details_pb2.ErrorInfo(reason="SERVICE_DISABLED", domain="googleapis.com", metadata=facts),
        error_details_pb2.Help(
            links=[error_details_pb2.Help.Link(description="Google developers console API activation", url=page)]
        ),
    )


def _api(method: str, resource: str) -> str:
    if method.startswith("google.iam.v1.IAMPolicy/") and "/secrets/" in resource:
        return "secretmanager"
    return next((api for beginning, api in _APIS.items() if method.startswith(beginning)), "")
