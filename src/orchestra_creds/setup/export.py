"""The same desired state for other tools, with what it takes to import what is there already; no value of a secret is in it."""

import json

from orchestra_creds.core.resources import DesiredState, Ref
from orchestra_creds.errors import ConfigError
from orchestra_creds.setup import gcloud, pulumi, terraform
from orchestra_creds.setup.registry import ENTRIES
from orchestra_creds.setup.snapshot import ExistingParts

FORMATS = ("terraform", "pulumi-python", "gcloud")


def export(wanted: DesiredState, number: str, form: str, existing: ExistingParts) -> str:
    """The document in a form; `number` is that of the project, and only what exists is imported.

    Raises:
        ConfigError: there is no such form.
    """
    match form:
        case "terraform":
            return (
                json.dumps(terraform.document(terraform.blocks(wanted, number, existing), wanted.project), indent=2)
                + "\n"
            )
        case "pulumi-python":
            return pulumi.program(terraform.blocks(wanted, number, existing))
        case "gcloud":
            return "".join(line + "\n" for line in gcloud.commands(wanted, number))
    raise ConfigError(f"--to {form!r} is not known", hint=f"one of {', '.join(FORMATS)}")


def unimportable(wanted: DesiredState, existing: ExistingParts) -> list[Ref]:
    """Return what exists and has no identifier that we know, so that the other tool would make it a second time."""
    refs = [resource.ref for resource in wanted.resources if not ENTRIES[resource.ref.kind].terraform.identifier]
    return [ref for ref in refs if ref in existing.resources]
