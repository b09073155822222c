from orchestra_creds.errors import CredsError, UnavailableError
from orchestra_creds.library.aio import AsyncCredentialManager
from orchestra_creds.library.connectors import Connector
from orchestra_creds.library.decoding import ServiceAccountKey
from orchestra_creds.library.manager import (
    AccessDeniedError,
    CredentialManager,
    NoEnabledVersionError,
    SecretNotFoundError,
    get_credential_manager,
    set_credential_manager,
)

__version__: str
__all__ = [
    "AccessDeniedError",
    "AsyncCredentialManager",
    "Connector",
    "CredentialManager",
    "CredsError",
    "NoEnabledVersionError",
    "SecretNotFoundError",
    "ServiceAccountKey",
    "UnavailableError",
    "get_credential_manager",
    "set_credential_manager",
]
