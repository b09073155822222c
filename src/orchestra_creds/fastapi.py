"""Dependencies for FastAPI (extra `fastapi`). A secret that cannot be read is 503 without a detail, which would help an attacker.

@app.get("/")
def route(password: Annotated[str, Depends(Secret("redis-password"))]): ...
"""

import logging
from typing import Annotated

from fastapi import Depends, HTTPException

from orchestra_creds.errors import CredsError
from orchestra_creds.library import manager as library
from orchestra_creds.library.manager import CredentialManager, ServiceAccountKey

__all__ = ["Secret", "ServiceAccountKeySecret", "get_credential_manager"]

_LOG = logging.getLogger("orchestra_creds")
_UNAVAILABLE = 503


def get_credential_manager() -> CredentialManager:
    """Return the manager of this process; override it in tests with `app.dependency_overrides`."""
    return library.get_credential_manager()


_ManagerDependency = Annotated[CredentialManager, Depends(get_credential_manager)]


class Secret:
    """The text of the secret called `name`, as a dependency."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, manager: _ManagerDependency) -> str:
        """Return the value, read or from memory; FastAPI runs this in a thread.

        Raises:
            HTTPException: 503, because the secret cannot be read; the log says why.
        """
        try:
            return manager.get_secret(self.name)
        except CredsError as error:
            raise _unavailable(error) from None


class ServiceAccountKeySecret:
    """The key of the service account called `account`, from the secret `ACCOUNT-key`, as a dependency."""

    def __init__(self, account: str) -> None:
        self.account = account

    def __call__(self, manager: _ManagerDependency) -> ServiceAccountKey:
        """Return the key, read or from memory; FastAPI runs this in a thread.

        Raises:
            HTTPException: 503, because the secret cannot be read or holds no key file; the log says why.
        """
        try:
            return manager.get_service_account_key(self.account)
        except CredsError as error:
            raise _unavailable(error) from None


def _unavailable(error: CredsError) -> HTTPException:
    _LOG.error("a secret cannot be read: %s", error)
    return HTTPException(_UNAVAILABLE)
