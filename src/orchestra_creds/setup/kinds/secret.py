"""Secrets, without any value."""

from collections.abc import Iterable

from orchestra_creds.core.resources import ResourceKind
from orchestra_creds.setup.kind import Body, KindEntry, PolicyForm, TerraformForm


def _arguments(name: str, fields: Body) -> Body:
    places = fields["replication"]
    replication: dict[str, object] = {"auto": {}}
    if isinstance(places, list) and places:
        replication = {"user_managed": {"replicas": [{"location": place} for place in places]}}
    body = {"secret_id": name, "labels": fields["labels"], "replication": replication}
    return {**body, "version_destroy_ttl": f"{fields['destroyTtl']}s"} if "destroyTtl" in fields else body


def _command(name: str, _fields: Body) -> Iterable[str]:
    return "secrets", "create", name


ENTRY = KindEntry(
    ResourceKind.SECRET,
    part="secrets",
    terraform=TerraformForm("google_secret_manager_secret", _arguments, "projects/{project}/secrets/{name}"),
    pulumi="secretmanager.Secret",
    gcloud=_command,
    policy=PolicyForm(
        "projects/{project}/secrets/{name}",
        terraform="google_secret_manager_secret_iam_member",
        pulumi="secretmanager.SecretIamMember",
        arguments=lambda project, name, _holder: {"project": project, "secret_id": name},
        gcloud=("secrets",),
    ),
    immutable="replication",
    api="secretmanager.googleapis.com",
    at_once=True,
)
