from orchestra_creds.errors import CredsError, UnavailableError
from orchestra_creds.library.aio import AsyncCredentialManager
from orchestra_creds.library.manager import (
    AccessDeniedError,
    CredentialManager,
    NoEnabledVersionError,
    SecretNotFoundError,
    ServiceAccountKey,
    get_credential_manager,
)

__version__: str
__all__ = [
    "AccessDeniedError",
    "AsyncCredentialManager",
    "CredentialManager",
    "CredsError",
    "NoEnabledVersionError",
    "SecretNotFoundError",
    "ServiceAccountKey",
    "UnavailableError",
    "get_credential_manager",
]
