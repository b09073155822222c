"""Dependencies for FastAPI (extra `fastapi`): a failure is 503 without a detail, for a detail might tell what is wrong to strangers.

@app.get("/")
def route(password: Annotated[str, Depends(Secret("redis-password"))]): ...
"""

import logging
from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, HTTPException

from orchestra_creds.errors import CredsError
from orchestra_creds.library import manager as library
from orchestra_creds.library.manager import CredentialManager, ServiceAccountKey

_LOG = logging.getLogger("orchestra_creds")
UNAVAILABLE = 503


def get_credential_manager() -> CredentialManager:
    """The manager of this process; override it in tests with `app.dependency_overrides`."""
    return library.get_credential_manager()


ManagerDependency = Annotated[CredentialManager, Depends(get_credential_manager)]


class Secret:
    """The text of a secret, as a dependency."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, manager: ManagerDependency) -> str:
        """The value, read or from memory; FastAPI runs this in a thread."""
        try:
            return manager.get_secret(self.name)
        except CredsError as error:
            raise _unavailable(error) from None


def get_redis_credentials(manager: ManagerDependency) -> Mapping[str, str]:
    """`host` and `password`."""
    try:
        return library.get_redis_credentials(manager)
    except CredsError as error:
        raise _unavailable(error) from None


def get_vertex_ai_credentials(manager: ManagerDependency) -> ServiceAccountKey:
    """The key of `vertex-ai-agent`."""
    try:
        return library.get_vertex_ai_credentials(manager)
    except CredsError as error:
        raise _unavailable(error) from None


def get_gemini_credentials(manager: ManagerDependency) -> ServiceAccountKey:
    """The key of `gemini-agent`."""
    try:
        return library.get_gemini_credentials(manager)
    except CredsError as error:
        raise _unavailable(error) from None


def _unavailable(error: CredsError) -> HTTPException:
    _LOG.error("a secret cannot be read: %s", error)
    return HTTPException(UNAVAILABLE)
