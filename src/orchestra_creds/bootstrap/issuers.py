"""A declared credential -> who makes its successors, and where copies of it go.

The kinds and their keys in the file stand in `config/credentials.py`; tests hold both tables equal.
"""

import secrets as randomness
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
from orchestra_creds.rotation.key_usage import UsageReader

GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105  an address


@dataclass(frozen=True, slots=True)
class IssuerContext:
    """What issuers are built from: the cloud, the time (aware UTC), and the proof that a key is unused, which a run asks for once."""

    cloud: Cloud
    now: Callable[[], datetime]
    usage: UsageReader


def issuer_context(cloud: Cloud, now: Callable[[], datetime]) -> IssuerContext:
    """Return the context of one run."""
    return IssuerContext(cloud, now, UsageReader(cloud.usage_sources, cloud.project, now))


def _service_account_keys(credential: Credential, context: IssuerContext) -> Issuer:
    cloud = context.cloud
    ends = cloud.session.endpoints
    uri = f"{ends.http}/token" if ends else GOOGLE_TOKEN_URI
    return ServiceAccountKeys(
        credential, cloud.keys, cloud.tokens, cloud.inspector, context.usage, token_uri=uri, now=context.now
    )


ISSUERS: Mapping[CredentialKind, Callable[[Credential, IssuerContext], Issuer]] = {
    CredentialKind.SERVICE_ACCOUNT_KEY: _service_account_keys,
    CredentialKind.GENERATED: lambda credential, _context: GeneratedValues(credential, randomness.token_bytes),
    CredentialKind.COMMAND: lambda credential, _context: ProgramIssuer(credential),
    CredentialKind.API_KEY: lambda credential, context: ApiKeys(credential, context.cloud.api_keys),
    CredentialKind.POSTGRES: lambda credential, context: PostgresRoles(
        credential, context.cloud.secrets, randomness.token_bytes
    ),
    CredentialKind.MANUAL: lambda credential, _context: ManualIssuer(credential),
}


def issuer_of(credential: Credential, context: IssuerContext) -> Issuer:
    """Return the issuer of the credential's kind."""
    return ISSUERS[credential.kind](credential, context)


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
