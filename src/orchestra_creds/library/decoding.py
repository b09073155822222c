"""What a value is to its reader: text, bytes, JSON, or the key of a service account. An error never shows the value."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestra_creds.bootstrap.cloud import key_credentials
from orchestra_creds.core.google import CLOUD_SCOPE
from orchestra_creds.core.material import Material
from orchestra_creds.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ServiceAccountKey:
    """A service-account key file; the repr shows the account and the key id, never the key."""

    account: str
    key_id: str
    material: Material = field(repr=False)

    def info(self) -> dict[str, Any]:
        """Return the fields of the file, private key included."""
        return dict(json.loads(self.material.reveal()))

    def credentials(self, scopes: tuple[str, ...] = (CLOUD_SCOPE,)) -> Any:
        """Return credentials for Google's clients, by this key until it ends; see CredentialManager.google_credentials."""
        return key_credentials(self.material, scopes)


def decode_text(name: str, material: Material) -> str:
    """Return the value as text."""
    try:
        return material.reveal().decode()
    except UnicodeDecodeError:
        raise ConfigError(f"the value of {name} is not text", hint="use get_bytes") from None


def decode_json(name: str, material: Material) -> Any:
    """Return the value, parsed as JSON; an error never shows it."""
    try:
        return json.loads(material.reveal())
    except (ValueError, RecursionError):
        raise ConfigError(f"the value of {name} is not JSON") from None


def decode_key(secret: str, material: Material) -> ServiceAccountKey:
    """Return the key in a key file."""
    try:
        body = json.loads(material.reveal())
        return ServiceAccountKey(str(body["client_email"]), str(body["private_key_id"]), material)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ConfigError(f"secret {secret} holds no key file") from None


def decode_bytes(_name: str, material: Material) -> bytes:
    """Return the value as it is."""
    return material.reveal()


DECODERS: Mapping[str, Callable[[str, Material], Any]] = {
    "text": decode_text,
    "bytes": decode_bytes,
    "json": decode_json,
    "key": decode_key,
}
"""What `on_auth_failure` may give to an attempt."""
