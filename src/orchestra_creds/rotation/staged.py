"""The envelope in which the staging secret keeps what a remote issuer made: its id and its material."""

import base64
import json

from orchestra_creds.core.material import Material
from orchestra_creds.errors import PreconditionError

_WRAPPED = b'{"orchestra-creds":'


def wrap_material(identifier: str, material: Material) -> Material:
    """Material of a remote kind with its id, as the staging secret keeps it."""
    text = base64.b64encode(material.reveal()).decode()
    return Material(_WRAPPED + json.dumps({"id": identifier, "material": text}).encode() + b"}")


def is_wrapped(staged: Material) -> bool:
    """Return whether the staged bytes are such an envelope."""
    return staged.reveal().startswith(_WRAPPED)


def unwrap_material(staged: Material) -> tuple[str, Material]:
    """Return id and material of such an envelope.

    Raises:
        PreconditionError: somebody changed it.
    """
    try:
        body = json.loads(staged.reveal())["orchestra-creds"]
        return str(body["id"]), Material(base64.b64decode(body["material"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise changed_error() from None


def changed_error() -> PreconditionError:
    """Return the refusal of a staged copy that this program did not store."""
    return PreconditionError(
        "the staged copy is not one that orchestra-creds stored: somebody wrote into the staging secret",
        hint="delete the secret whose name ends with --orchestra-staging; the next run makes another successor",
    )
