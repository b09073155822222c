"""Dependencies for FastAPI (extra `fastapi`). A secret that cannot be read is 503 without a detail, which would help an attacker.

@app.get("/")
async def route(password: Annotated[str, Depends(Secret("redis-password"))]): ...
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from fastapi import Depends, HTTPException

from orchestra_creds.core.google import key_secret
from orchestra_creds.errors import AuthError, ConfigError, CredsError
from orchestra_creds.library import manager as library
from orchestra_creds.library.decoding import DECODERS, ServiceAccountKey, decode_key
from orchestra_creds.library.manager import CredentialManager
from orchestra_creds.library.refusals import Refused

__all__ = ["AuthFailureRetry", "OnAuthFailure", "Secret", "ServiceAccountKeySecret", "get_credential_manager"]

T = TypeVar("T")
_LOG = logging.getLogger("orchestra_creds")
_UNAVAILABLE = 503


async def get_credential_manager() -> CredentialManager:
    """Return the manager of this process; a coroutine, because FastAPI runs any other dependency in a thread.

    `library.manager.set_credential_manager` chooses one with options of your own; tests override it with `app.dependency_overrides`.
    """
    return library.get_credential_manager()


_ManagerDependency = Annotated[CredentialManager, Depends(get_credential_manager)]


class Secret:
    """The secret called `name`, as a dependency: its text, or what `kind` names (`text`, `bytes` or `json`)."""

    def __init__(self, name: str, kind: str = "text") -> None:
        if kind not in DECODERS or kind == "key":
            raise ConfigError(f"kind {kind!r} is not known", hint="text, bytes or json")
        self.name, self.kind = name, kind

    async def __call__(self, manager: _ManagerDependency) -> Any:
        """Return the value, from memory without any thread, or read without blocking the event loop.

        Raises:
            HTTPException: 503, because the secret cannot be read; the log says why.
        """
        try:
            return DECODERS[self.kind](self.name, await manager.get_material(self.name))
        except CredsError as error:
            raise _unavailable(error) from None


class ServiceAccountKeySecret:
    """The key of the service account called `account`, from the secret `ACCOUNT-key`, as a dependency."""

    def __init__(self, account: str) -> None:
        self.account = account

    async def __call__(self, manager: _ManagerDependency) -> ServiceAccountKey:
        """Return the key, from memory without any thread, or read without blocking the event loop.

        Raises:
            HTTPException: 503, because the secret cannot be read or holds no key file; the log says why.
        """
        try:
            return decode_key(key_secret(self.account), await manager.get_key_material(self.account))
        except CredsError as error:
            raise _unavailable(error) from None


class AuthFailureRetry:
    """Lets a route use a secret, and once more with a newer value after a refusal; see OnAuthFailure."""

    def __init__(self, manager: CredentialManager, name: str, refused: Refused, kind: str) -> None:
        self._manager, self._name, self._refused, self._kind = manager, name, refused, kind

    def call(self, attempt: Callable[[Any], T]) -> T:
        """Return what `attempt` returns for the value; for a route that is no coroutine."""
        return self._manager.on_auth_failure(self._name, attempt, self._refused, kind=self._kind)

    async def call_async(self, attempt: Callable[[Any], Awaitable[T]]) -> T:
        """Return what awaiting `attempt` returns for the value."""
        return await self._manager.on_auth_failure_async(self._name, attempt, self._refused, kind=self._kind)


class OnAuthFailure:
    """A dependency that gives a route an AuthFailureRetry for the secret called `name`.

    `refused` and `kind` are those of CredentialManager.on_auth_failure.
    """

    def __init__(self, name: str, refused: Refused = AuthError, kind: str = "text") -> None:
        if kind not in DECODERS:
            raise ConfigError(f"kind {kind!r} is not known", hint=f"one of {', '.join(DECODERS)}")
        self.name, self.refused, self.kind = name, refused, kind

    async def __call__(self, manager: _ManagerDependency) -> AuthFailureRetry:
        """Return it once the secret is in memory.

        Raises:
            HTTPException: 503, because the secret cannot be read; the log says why.
        """
        try:
            if self.kind == "key":
                await manager.get_key_material(self.name)
            else:
                await manager.get_material(self.name)
        except CredsError as error:
            raise _unavailable(error) from None
        return AuthFailureRetry(manager, self.name, self.refused, self.kind)


def _unavailable(error: CredsError) -> HTTPException:
    _LOG.error("a secret cannot be read: %s", error)
    return HTTPException(_UNAVAILABLE)
