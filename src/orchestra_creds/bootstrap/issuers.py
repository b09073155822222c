"""A declared credential -> who makes its successors, and where copies of it go.

The kinds and their keys in the file stand in `config/credentials.py`; tests hold both tables equal.
"""

import secrets as randomness
from collections.abc import Callable, Mapping
from datetime import datetime

from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.core.credential import Copy, Credential, CredentialKind
from orchestra_creds.core.ports import Destination
from orchestra_creds.github.actions import API, ActionsSecret
from orchestra_creds.rotation import destinations
from orchestra_creds.rotation.issuer import Issuer
from orchestra_creds.rotation.issuers.api_key import ApiKeys
from orchestra_creds.rotation.issuers.command import ProgramIssuer
from orchestra_creds.rotation.issuers.generated import GeneratedValues
from orchestra_creds.rotation.issuers.manual import ManualIssuer
from orchestra_creds.rotation.issuers.postgres import PostgresRoles
from orchestra_creds.rotation.issuers.service_account_key import ServiceAccountKeys

GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105  an address

Now = Callable[[], datetime]
"""The time, aware UTC."""


def _service_account_keys(credential: Credential, cloud: Cloud, now: Now) -> Issuer:
    ends = cloud.session.endpoints
    uri = f"{ends.http}/token" if ends else GOOGLE_TOKEN_URI
    return ServiceAccountKeys(credential, cloud.keys, cloud.tokens, cloud.inspector, token_uri=uri, now=now)


ISSUERS: Mapping[CredentialKind, Callable[[Credential, Cloud, Now], Issuer]] = {
    CredentialKind.SERVICE_ACCOUNT_KEY: _service_account_keys,
    CredentialKind.GENERATED: lambda credential, _cloud, _now: GeneratedValues(credential, randomness.token_bytes),
    CredentialKind.COMMAND: lambda credential, _cloud, _now: ProgramIssuer(credential),
    CredentialKind.API_KEY: lambda credential, cloud, _now: ApiKeys(credential, cloud.api_keys),
    CredentialKind.POSTGRES: lambda credential, cloud, _now: PostgresRoles(
        credential, cloud.secrets, randomness.token_bytes
    ),
    CredentialKind.MANUAL: lambda credential, _cloud, _now: ManualIssuer(credential),
}


def issuer_of(credential: Credential, cloud: Cloud, *, now: Now) -> Issuer:
    """Return the issuer of the credential's kind."""
    return ISSUERS[credential.kind](credential, cloud, now)


def destinations_of(credential: Credential, cloud: Cloud) -> tuple[Destination, ...]:
    """Return the copies beyond the credential's secret."""
    context = destinations.DestinationContext(cloud.secrets, credential.timeout)
    return tuple(DESTINATIONS[copy.kind](copy, context) for copy in credential.copies)


def _actions_secret(copy: Copy, context: destinations.DestinationContext) -> Destination:
    option = {key: str(value) for key, value in copy.options.items()}
    return ActionsSecret(
        copy.name,
        option["repository"],
        option["secret"],
        lambda: context.secrets.access(option["token_from"], "latest").material,
        environment=option.get("environment", ""),
        api=option.get("api", API),
    )


DESTINATIONS: Mapping[str, destinations.Builder] = {**destinations.BUILDERS, "github": _actions_secret}
"""The builders of rotation/destinations.py, and those of adapters that other packages hold."""
