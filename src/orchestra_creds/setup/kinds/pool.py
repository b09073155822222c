"""Workload identity pools."""

from collections.abc import Iterable

from orchestra_creds.core.resources import ResourceKind
from orchestra_creds.setup.kind import Body, KindEntry, TerraformForm, display_arguments

PATH = "projects/{project}/locations/global/workloadIdentityPools"


def _arguments(name: str, fields: Body) -> Body:
    return {"workload_identity_pool_id": name, **display_arguments(fields)}


def _command(name: str, _fields: Body) -> Iterable[str]:
    return "iam", "workload-identity-pools", "create", name, "--location=global"


ENTRY = KindEntry(
    ResourceKind.POOL,
    part="federation",
    terraform=TerraformForm("google_iam_workload_identity_pool", _arguments, PATH + "/{name}"),
    pulumi="iam.WorkloadIdentityPool",
    gcloud=_command,
    api="iam.googleapis.com",
)
