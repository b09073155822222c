"""Service accounts, by their mail address."""

from collections.abc import Iterable

from orchestra_creds.core.resources import ResourceKind
from orchestra_creds.setup.kind import Body, KindEntry, PolicyForm, TerraformForm, display_arguments


def _arguments(name: str, fields: Body) -> Body:
    return {"account_id": name.partition("@")[0], **display_arguments(fields)}


def _command(name: str, fields: Body) -> Iterable[str]:
    return "iam", "service-accounts", "create", name.partition("@")[0], f"--display-name={fields['displayName']}"


ENTRY = KindEntry(
    ResourceKind.ACCOUNT,
    part="accounts",
    terraform=TerraformForm("google_service_account", _arguments, "projects/{project}/serviceAccounts/{name}"),
    pulumi="serviceaccount.Account",
    gcloud=_command,
    policy=PolicyForm(
        "projects/{project}/serviceAccounts/{name}",
        terraform="google_service_account_iam_member",
        pulumi="serviceaccount.IAMMember",
        arguments=lambda _project, _name, holder: {"service_account_id": holder},
        gcloud=("iam", "service-accounts"),
    ),
    api="iam.googleapis.com",
    at_once=True,
)
