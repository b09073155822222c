"""A declared credential -> who makes its successors, and where copies of it go. Heavy imports stand where they are needed."""

import secrets as randomness
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.core.credential import Copy, Credential, CredentialKind

if TYPE_CHECKING:
    from orchestra_creds.core.ports import Destination
    from orchestra_creds.rotation.issuer import Issuer

GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105  an address


def issuer_of(credential: Credential, cloud: Cloud, *, now: Callable[[], datetime]) -> "Issuer":
    """The issuer of its kind."""
    match credential.kind:
        case CredentialKind.SERVICE_ACCOUNT_KEY:
            from orchestra_creds.rotation.issuers.service_account_key import ServiceAccountKeys

            ends = cloud.session.endpoints
            uri = f"{ends.http}/token" if ends else GOOGLE_TOKEN_URI
            return ServiceAccountKeys(credential, cloud.keys, cloud.tokens, cloud.inspector, token_uri=uri, now=now)
        case CredentialKind.GENERATED:
            from orchestra_creds.rotation.issuers.generated import GeneratedValues

            return GeneratedValues(credential, randomness.token_bytes)
        case CredentialKind.COMMAND:
            from orchestra_creds.rotation.issuers.command import ProgramIssuer

            return ProgramIssuer(credential)
        case CredentialKind.API_KEY:
            from orchestra_creds.rotation.issuers.api_key import ApiKeys

            return ApiKeys(credential, cloud.api_keys)
        case CredentialKind.POSTGRES:
            from orchestra_creds.rotation.issuers.postgres import PostgresRoles

            return PostgresRoles(credential, cloud.secrets, randomness.token_bytes)
        case CredentialKind.MANUAL:
            from orchestra_creds.rotation.issuers.manual import ManualIssuer

            return ManualIssuer(credential)


def destinations_of(credential: Credential, cloud: Cloud) -> "tuple[Destination, ...]":
    """The copies beyond its secret."""
    return tuple(_destination(copy, credential, cloud) for copy in credential.copies)


def _destination(copy: Copy, credential: Credential, cloud: Cloud) -> "Destination":
    from orchestra_creds.rotation import destinations

    match copy.kind:
        case "file":
            return destinations.FileCopy(copy)
        case "command":
            return destinations.ProgramCopy(copy, credential.timeout)
        case "github":
            return _actions_secret(copy, cloud)
    return destinations.SecretCopy(copy, cloud.secrets)


def _actions_secret(copy: Copy, cloud: Cloud) -> "Destination":
    from orchestra_creds.github.actions import API, ActionsSecret

    option = {key: str(value) for key, value in copy.options.items()}
    return ActionsSecret(
        copy.name,
        option["repository"],
        option["secret"],
        lambda: cloud.secrets.access(option["token_from"], "latest").material,
        environment=option.get("environment", ""),
        api=option.get("api", API),
    )
