"""Custom roles of the project."""

from orchestra_creds.core.resources import ResourceKind
from orchestra_creds.setup.kind import Body, KindEntry, TerraformForm


def _arguments(name: str, fields: Body) -> Body:
    shown = {"title": fields["title"], "description": fields["description"]}
    return {"role_id": name, **shown, "permissions": fields["includedPermissions"]}


ENTRY = KindEntry(
    ResourceKind.ROLE,
    part="roles",
    terraform=TerraformForm("google_project_iam_custom_role", _arguments, "projects/{project}/roles/{name}"),
    pulumi="projects.IAMCustomRole",
    api="iam.googleapis.com",
)
