"""Secrets for services: read once, kept for a while, refreshed before they grow old, and never from memory when Google says no.

Guarantees: one caller at a time reads a secret, the others get what is there or wait for it; an error is never kept; an old value is
served only while Google does not answer; a rotation is seen within the time to live; nothing of a value is in a repr or an error.
"""

import json
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from orchestra_creds.core.material import HIDDEN, Material
from orchestra_creds.core.ports import SecretStore
from orchestra_creds.core.values import full_name
from orchestra_creds.errors import (
    AuthError,
    ConfigError,
    CredsError,
    NotFoundError,
    PreconditionError,
    UnavailableError,
)

ALIASES = {"development": "dev", "production": "prod", "stage": "staging"}
"""Names of environments that services use, and the ones that secrets end in."""
AHEAD = 0.8
"""The share of its time to live after which one caller refreshes a value, while the others still get it."""
T = TypeVar("T")


class SecretNotFoundError(NotFoundError):
    """There is no such secret, or it has no version."""


class NoEnabledVersionError(PreconditionError):
    """Its newest version is disabled or destroyed."""


class AccessDeniedError(AuthError):
    """This identity may not read it."""


@dataclass(frozen=True, slots=True)
class ServiceAccountKey:
    """A key file; the repr shows whose and which it is."""

    account: str
    key_id: str
    material: Material = field(repr=False)

    def info(self) -> dict[str, Any]:
        """The fields of the file, private key included."""
        return dict(json.loads(self.material.reveal()))

    def credentials(self, scopes: tuple[str, ...] = ("https://www.googleapis.com/auth/cloud-platform",)) -> Any:
        """Credentials for Google's clients."""
        from orchestra_creds.bootstrap.cloud import key_credentials

        return key_credentials(self.material, scopes)


@dataclass(slots=True)
class _Entry:
    lock: threading.Lock = field(default_factory=threading.Lock)
    material: Material | None = None
    version: int = 0
    read_at: float = 0.0
    refresh_at: float = 0.0


class CredentialManager:
    """The secrets of one environment.

    Args:
        project: the Google Cloud project; else ORCHESTRA_CREDS_PROJECT, GOOGLE_CLOUD_PROJECT or the configuration.
        environment: dev, staging, prod (or development, production); else ENVIRONMENT. None: names are taken as they are.
        ttl: seconds a value is kept.              stale_ok: seconds beyond that it may be served while Google does not answer.
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
        self._ttl, self._stale_ok, self._fallback = ttl, stale_ok, fallback
        self._given, self._clock, self._chance = store, clock, chance
        self._cloud: Any = None
        self._guard = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._listeners: dict[str, list[Callable[[str, int], None]]] = {}

    def __repr__(self) -> str:
        return f"CredentialManager(environment={self.environment!r}, secrets={HIDDEN})"

    def get_bytes(self, name: str) -> bytes:
        """The value of a secret, in this environment.

        Raises:
            SecretNotFoundError, NoEnabledVersionError, AccessDeniedError, UnavailableError.
        """
        return self._material(name).reveal()

    def get_secret(self, name: str) -> str:
        """The value as text."""
        try:
            return self.get_bytes(name).decode()
        except UnicodeDecodeError:
            raise ConfigError(f"the value of {name} is not text", hint="use get_bytes") from None

    def get_json_secret(self, name: str) -> Any:
        """The value, parsed; an error never shows it."""
        try:
            return json.loads(self.get_bytes(name))
        except (ValueError, RecursionError):
            raise ConfigError(f"the value of {name} is not JSON") from None

    def get_service_account_key(self, name: str) -> ServiceAccountKey:
        """The key of the account called `name`, from the secret `NAME-key`. An attached identity is better where there is one."""
        material = self._material(f"{name}-key")
        try:
            body = json.loads(material.reveal())
            return ServiceAccountKey(str(body["client_email"]), str(body["private_key_id"]), material)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ConfigError(f"secret {name}-key holds no key file") from None

    def version(self, name: str) -> int:
        """Which version the value is from."""
        self._material(name)
        return self._entry(name).version

    def refresh(self, *names: str) -> None:
        """Read these anew, or all that were read; what cannot be read keeps its value, and the error is raised at the end."""
        failed: CredsError | None = None
        for name in names or tuple(self._entries):
            entry = self._entry(name)
            with entry.lock:
                try:
                    self._read(name, entry)
                except CredsError as error:
                    failed = error
        if failed is not None:
            raise failed

    def invalidate(self, name: str) -> None:
        """Forget it: the next call reads it."""
        with self._guard:
            self._entries.pop(name, None)

    def subscribe(self, name: str, callback: Callable[[str, int], None]) -> None:
        """Call `callback(name, version)` when a read finds another version."""
        with self._guard:
            self._listeners.setdefault(name, []).append(callback)

    def on_auth_failure(self, name: str, attempt: Callable[[str], T], refused: type[Exception] = AuthError) -> T:
        """Let `attempt` use the value; when it raises `refused`, read it anew and try once more: so a rotation goes unnoticed."""
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
        with self._guard:
            if self._cloud is not None:
                self._cloud.close()
                self._cloud = None

    # -- below the surface

    def _material(self, name: str) -> Material:
        entry, now = self._entry(name), self._clock()
        if entry.material is not None and now < entry.refresh_at:
            return entry.material
        fresh_enough = entry.material is not None and now < entry.read_at + self._ttl
        if not entry.lock.acquire(blocking=not fresh_enough):
            return entry.material or self._material(name)  # somebody else refreshes it, ahead of time
        try:
            if entry.material is not None and self._clock() < entry.refresh_at:
                return entry.material  # somebody else has just read it
            return self._read_or_stale(name, entry)
        finally:
            entry.lock.release()

    def _read_or_stale(self, name: str, entry: _Entry) -> Material:
        try:
            return self._read(name, entry)
        except UnavailableError:
            if entry.material is not None and self._clock() < entry.read_at + self._ttl + self._stale_ok:
                return entry.material
            raise

    def _read(self, name: str, entry: _Entry) -> Material:
        try:
            payload = self._store().access(self._full_name(name), "latest")
        except NotFoundError as error:
            variable = name.replace("-", "_").upper()
            if self._fallback == "env" and variable in os.environ:
                return Material(os.environ[variable].encode())
            raise SecretNotFoundError(str(error), hint=error.hint) from None
        except PreconditionError as error:
            raise NoEnabledVersionError(str(error), hint=error.hint) from None
        except AuthError as error:
            raise AccessDeniedError(str(error), hint=error.hint) from None
        now = self._clock()
        changed = entry.version not in {0, payload.number}
        entry.material, entry.version, entry.read_at = payload.material, payload.number, now
        entry.refresh_at = now + self._ttl * (AHEAD + (1 - AHEAD) * self._chance())
        for callback in self._listeners.get(name, ()) if changed else ():
            callback(name, payload.number)
        return payload.material

    def _entry(self, name: str) -> _Entry:
        with self._guard:
            return self._entries.setdefault(name, _Entry())

    def _full_name(self, name: str) -> str:
        return full_name(name, self.environment) if not name.endswith("-key") else name

    def _store(self) -> SecretStore:
        if self._given is not None:
            return self._given
        with self._guard:
            if self._cloud is None:
                from orchestra_creds.bootstrap.cloud import open_cloud

                backend = os.environ.get("ORCHESTRA_CREDS_BACKEND", "")
                self._cloud = open_cloud(backend=backend, project=self._project, environment=self.environment)
            store: SecretStore = self._cloud.secrets
            return store


_managers: dict[tuple[str, str], CredentialManager] = {}
_making = threading.Lock()


def get_credential_manager(project_id: str | None = None, environment: str | None = None) -> CredentialManager:
    """The one manager of this process for a project and an environment."""
    key = project_id or "", environment or os.environ.get("ENVIRONMENT", "")
    with _making:
        if key not in _managers:
            _managers[key] = CredentialManager(project_id, environment)
        return _managers[key]


def get_vertex_ai_credentials(manager: CredentialManager | None = None) -> ServiceAccountKey:
    """The key of `vertex-ai-agent`."""
    return (manager or get_credential_manager()).get_service_account_key("vertex-ai-agent")


def get_gemini_credentials(manager: CredentialManager | None = None) -> ServiceAccountKey:
    """The key of `gemini-agent`."""
    return (manager or get_credential_manager()).get_service_account_key("gemini-agent")


def get_redis_credentials(manager: CredentialManager | None = None) -> Mapping[str, str]:
    """`host` and `password`."""
    chosen = manager or get_credential_manager()
    return {"host": chosen.get_secret("redis-host"), "password": chosen.get_secret("redis-password")}
