"""Providers of workload identity pools; a name is `POOL/PROVIDER`."""

from collections.abc import Iterable

from orchestra_creds.core import google
from orchestra_creds.core.resources import ResourceKind
from orchestra_creds.setup.kind import Body, KindEntry, TerraformForm
from orchestra_creds.setup.kinds.pool import PATH


def _arguments(name: str, fields: Body) -> Body:
    pool, _, provider = name.partition("/")
    return {
        "workload_identity_pool_id": pool,
        "workload_identity_pool_provider_id": provider,
        "attribute_mapping": fields["attributeMapping"],
        "attribute_condition": fields["attributeCondition"],
        "oidc": {"issuer_uri": fields["issuerUri"]},
    }


def _pool(name: str, _fields: Body) -> Iterable[str]:
    return (name.partition("/")[0],)


ENTRY = KindEntry(
    ResourceKind.PROVIDER,
    part="federation",
    terraform=TerraformForm(
        "google_iam_workload_identity_pool_provider", _arguments, PATH + "/{first}/providers/{rest}"
    ),
    pulumi="iam.WorkloadIdentityPoolProvider",
    grant_role=google.WORKLOAD_IDENTITY_USER,
    widens=True,
    needs=_pool,
    api="iam.googleapis.com",
)
