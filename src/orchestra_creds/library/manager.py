"""Secrets for services: read once, kept for a time, refreshed before they are old (see `library/cache.py`).

Guarantees: one read of a secret at a time, however many callers there are; an error is never kept; an old value is served only while
Google does not answer, and then at once; nothing of a value is in a repr or an error. A forked child opens a connection of its own.
"""

import json
import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from orchestra_creds.bootstrap.cloud import key_credentials, open_cloud
from orchestra_creds.core.cloud_types import VersionMaterial
from orchestra_creds.core.google import CLOUD_SCOPE, is_key_secret, key_secret
from orchestra_creds.core.material import HIDDEN, Material
from orchestra_creds.core.ports import SecretStore
from orchestra_creds.core.values import full_name
from orchestra_creds.errors import (
    AuthError,
    ConfigError,
    CredsError,
    NotFoundError,
    PreconditionError,
)
from orchestra_creds.library.cache import CachedValue, SecretCache

ALIASES = {"development": "dev", "production": "prod", "stage": "staging"}
"""Names of environments that services use, and the ones that secrets end in."""
T = TypeVar("T")
_LOG = logging.getLogger("orchestra_creds")


class SecretNotFoundError(NotFoundError):
    """The secret does not exist, or has no version."""


class NoEnabledVersionError(PreconditionError):
    """The newest version of the secret is disabled or destroyed."""


class AccessDeniedError(AuthError):
    """This identity may not read the secret."""


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
        """Return credentials for Google's clients."""
        return key_credentials(self.material, scopes)


class CredentialManager:
    """The secrets of one environment.

    Args:
        project: the Google Cloud project; else ORCHESTRA_CREDS_PROJECT, GOOGLE_CLOUD_PROJECT or the configuration.
        environment: dev, staging, prod (or development, production); else ENVIRONMENT. None: names are taken as they are.
        ttl: seconds a value is kept (300).
        stale_ok: seconds beyond that for which it may be served while Google does not answer (3600).
        fallback: `env` reads a variable where there is no such secret; None never does.
        store, clock, chance: for tests; the clock counts seconds, chance answers between 0 and 1.
    """

    def __init__(
        self,
        project: str | None = None,
        environment: str | None = None,
        *,
        ttl: float = 300.0,
        stale_ok: float = 3600.0,
        fallback: str | None = None,
        store: SecretStore | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        if fallback not in {None, "env"}:
            raise ConfigError(f"fallback {fallback!r} is not known", hint='"env" or None')
        named = environment if environment is not None else os.environ.get("ENVIRONMENT", "")
        self.environment = ALIASES.get(named, named)
        self._project = project or os.environ.get("GOOGLE_CLOUD_PROJECT", "")
        self._fallback, self._given = fallback, store
        self._cloud: Any = None
        self._opening = threading.Lock()
        self._parent_clouds: list[Any] = []
        self._listeners: dict[str, list[Callable[[str, int], None]]] = {}
        self._cache = SecretCache(self._fetch, self._notify, ttl=ttl, stale_ok=stale_ok, clock=clock, chance=chance)
        _all_managers.add(self)

    def __repr__(self) -> str:
        return f"CredentialManager(environment={self.environment!r}, secrets={HIDDEN})"

    def get_bytes(self, name: str) -> bytes:
        """Return the value of a secret, in this environment.

        Raises:
            SecretNotFoundError, NoEnabledVersionError, AccessDeniedError, UnavailableError.
        """
        return self._value(name).material.reveal()

    def get_secret(self, name: str) -> str:
        """Return the value as text."""
        return decode_text(name, self._value(name).material)

    def get_json_secret(self, name: str) -> Any:
        """Return the value, parsed as JSON; an error never shows it."""
        return decode_json(name, self._value(name).material)

    def get_service_account_key(self, name: str) -> ServiceAccountKey:
        """Return the key of the account called `name`, from the secret `NAME-key`. An attached identity is better where there is one."""
        return decode_key(key_secret(name), self._value(key_secret(name)).material)

    async def get_material(self, name: str) -> Material:
        """Return the value of a secret, for a caller in an event loop, which is never blocked.

        Raises:
            SecretNotFoundError, NoEnabledVersionError, AccessDeniedError, UnavailableError.
        """
        try:
            return (await self._cache.get_async(name)).material
        except SecretNotFoundError:
            replacement = self._variable(name)
            if replacement is None:
                raise
            return replacement.material

    def version(self, name: str) -> int:
        """Return the number of the version that the value is from."""
        return self._value(name).version

    def refresh(self, *names: str) -> None:
        """Read these secrets again, or all that were read; raise one error at the end. A value stays unless its secret was refused."""
        failure: CredsError | None = None
        for name in names or self._cache.names():
            try:
                self._cache.refresh(name)
            except SecretNotFoundError as error:
                failure = failure if self._variable(name) else error
            except CredsError as error:
                failure = error
        if failure is not None:
            raise failure

    async def refresh_async(self, *names: str) -> None:
        """Do the same as `refresh`, for a caller in an event loop."""
        failure: CredsError | None = None
        for name in names or self._cache.names():
            try:
                await self._cache.refresh_async(name)
            except SecretNotFoundError as error:
                failure = failure if self._variable(name) else error
            except CredsError as error:
                failure = error
        if failure is not None:
            raise failure

    def invalidate(self, name: str) -> None:
        """Forget the value: the next call reads it."""
        self._cache.invalidate(name)

    def subscribe(self, name: str, callback: Callable[[str, int], None]) -> None:
        """Call `callback(name, version)` when a read finds another version, in the thread of that read; its exceptions are only logged."""
        self._listeners.setdefault(name, []).append(callback)

    def on_auth_failure(self, name: str, attempt: Callable[[str], T], refused: type[Exception] = AuthError) -> T:
        """Let `attempt` use the value; when it raises `refused`, read the value again and try once more."""
        value = self.get_secret(name)
        try:
            return attempt(value)
        except refused:
            self.refresh(name)
            if self.get_secret(name) == value:
                raise
            return attempt(self.get_secret(name))

    def close(self) -> None:
        """End the connection."""
        with self._opening:
            if self._cloud is not None:
                self._cloud.close()
                self._cloud = None

    def reset_after_fork(self) -> None:
        """Make the manager usable in a forked child: values stay; locks, reads and the connection of the parent do not.

        The connection is not closed here, because that could wait for threads that exist in the parent only.
        """
        self._opening = threading.Lock()
        if self._cloud is not None:
            self._parent_clouds.append(self._cloud)
            self._cloud = None
        self._cache.reset_after_fork()

    # -- below the surface

    def _value(self, name: str) -> CachedValue:
        try:
            return self._cache.get(name)
        except SecretNotFoundError:
            replacement = self._variable(name)
            if replacement is None:
                raise
            return replacement

    def _fetch(self, name: str) -> VersionMaterial:
        try:
            return self._store().access(self._full_name(name), "latest")
        except NotFoundError as error:
            raise SecretNotFoundError(str(error), hint=error.hint) from None
        except PreconditionError as error:
            raise NoEnabledVersionError(str(error), hint=error.hint) from None
        except AuthError as error:
            raise AccessDeniedError(str(error), hint=error.hint) from None

    def _variable(self, name: str) -> CachedValue | None:
        """Return the value of the variable that replaces a missing secret, or None."""
        variable = name.replace("-", "_").upper()
        if self._fallback != "env" or variable not in os.environ:
            return None
        return CachedValue(Material(os.environ[variable].encode()), 0, 0.0)

    def _notify(self, name: str, version: int) -> None:
        for callback in tuple(self._listeners.get(name, ())):
            try:
                callback(name, version)
            except Exception as error:  # noqa: BLE001  a read must not fail because of a listener; its text may hold a value
                _LOG.error("a callback for secret %s raised %s", name, type(error).__name__)

    def _full_name(self, name: str) -> str:
        return full_name(name, self.environment) if not is_key_secret(name) else name

    def _store(self) -> SecretStore:
        if self._given is not None:
            return self._given
        with self._opening:
            if self._cloud is None:
                backend = os.environ.get("ORCHESTRA_CREDS_BACKEND", "")
                self._cloud = open_cloud(backend=backend, project=self._project, environment=self.environment)
            store: SecretStore = self._cloud.secrets
            return store


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


_all_managers: weakref.WeakSet[CredentialManager] = weakref.WeakSet()
_managers: dict[tuple[str, str], CredentialManager] = {}
_making = threading.Lock()


def get_credential_manager(project_id: str | None = None, environment: str | None = None) -> CredentialManager:
    """Return the one manager of this process for a project and an environment."""
    key = project_id or "", environment or os.environ.get("ENVIRONMENT", "")
    with _making:
        if key not in _managers:
            _managers[key] = CredentialManager(project_id, environment)
        return _managers[key]


def _reset_after_fork() -> None:
    """Let no lock of a thread that does not exist here stop a forked child."""
    global _making  # noqa: PLW0603
    _making = threading.Lock()
    for manager in _all_managers:
        manager.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
