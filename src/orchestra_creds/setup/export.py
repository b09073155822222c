"""The same desired state for other tools, with what it takes to import what is there already; no value of a secret is in it."""

import json

from orchestra_creds.core.resources import DesiredState
from orchestra_creds.errors import ConfigError
from orchestra_creds.setup import gcloud, pulumi, terraform

FORMATS = ("terraform", "pulumi-python", "gcloud")


def export(wanted: DesiredState, number: str, form: str) -> str:
    """The document in a form; `number` is that of the project.

    Raises:
        ConfigError: there is no such form.
    """
    match form:
        case "terraform":
            return json.dumps(terraform.document(terraform.blocks(wanted, number)), indent=2) + "\n"
        case "pulumi-python":
            return pulumi.program(terraform.blocks(wanted, number))
        case "gcloud":
            return "".join(line + "\n" for line in gcloud.commands(wanted, number))
    raise ConfigError(f"--to {form!r} is not known", hint=f"one of {', '.join(FORMATS)}")
