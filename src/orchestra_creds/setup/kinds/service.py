"""APIs that are enabled in the project."""

from collections.abc import Iterable

from orchestra_creds.core.resources import ResourceKind
from orchestra_creds.setup.kind import Body, KindEntry, TerraformForm


def _arguments(name: str, _fields: Body) -> Body:
    return {"service": name, "disable_on_destroy": False}


def _command(name: str, _fields: Body) -> Iterable[str]:
    return "services", "enable", name


ENTRY = KindEntry(
    ResourceKind.SERVICE,
    part="services",
    terraform=TerraformForm("google_project_service", _arguments, "{project}/{name}"),
    pulumi="projects.Service",
    gcloud=_command,
)
