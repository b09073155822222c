"""The envelope in which the staging secret keeps what a remote issuer made: its id and its material."""

import base64
import json

from orchestra_creds.core.material import Material

_WRAPPED = b'{"orchestra-creds":'


def wrap_material(identifier: str, material: Material) -> Material:
    """Material of a remote kind with its id, as the staging secret keeps it."""
    text = base64.b64encode(material.reveal()).decode()
    return Material(_WRAPPED + json.dumps({"id": identifier, "material": text}).encode() + b"}")


def is_wrapped(staged: Material) -> bool:
    """Return whether the staged bytes are such an envelope."""
    return staged.reveal().startswith(_WRAPPED)


def unwrap_material(staged: Material) -> tuple[str, Material]:
    """Return id and material of such an envelope."""
    body = json.loads(staged.reveal())["orchestra-creds"]
    return str(body["id"]), Material(base64.b64decode(body["material"]))
