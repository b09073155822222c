"""Secrets for services: read once, kept for a time, refreshed before they are old (see `library/cache.py`).

Guarantees: one read of a secret at a time, however many callers there are; an error is never kept; an old value is served only while
Google does not answer, and then at once; nothing of a value is in a repr or an error. A forked child opens a connection of its own.
"""

import asyncio
import functools
import os
import random
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from orchestra_creds.bootstrap.cloud import Cloud, open_cloud, rotating_key_credentials
from orchestra_creds.config.document import Document
from orchestra_creds.config.environments import environment_of, secret_name
from orchestra_creds.config.settings import load
from orchestra_creds.core.cloud_types import VersionMaterial
from orchestra_creds.core.google import CLOUD_SCOPE, LABEL_DUE, key_secret
from orchestra_creds.core.material import HIDDEN, Material
from orchestra_creds.core.ports import SecretStore
from orchestra_creds.core.values import version_selector
from orchestra_creds.errors import (
    AuthError,
    ConfigError,
    CredsError,
    NotFoundError,
    PreconditionError,
)
from orchestra_creds.library.cache import CachedValue, FetchedValue, SecretCache, SecretRef
from orchestra_creds.library.connectors import Connector, connection_arguments
from orchestra_creds.library.decoding import DECODERS, ServiceAccountKey, decode_json, decode_key, decode_text
from orchestra_creds.library.injection import SecretInjector, json_injector, text_injector
from orchestra_creds.library.listeners import ListenerList
from orchestra_creds.library.refusals import Refused, is_refusal
from orchestra_creds.parallel import map_in_order

T = TypeVar("T")


class SecretNotFoundError(NotFoundError):
    """The secret does not exist, or has no version."""


class NoEnabledVersionError(PreconditionError):
    """The newest version of the secret is disabled or destroyed."""


class AccessDeniedError(AuthError):
    """This identity may not read the secret."""


class CredentialManager:
    """The secrets of one environment.

    A `name` is one as in `[secrets.NAME]`: without the environment, which is added as `[naming] secret` of orchestra-creds.toml says.

    Args:
        project: the Google Cloud project; else ORCHESTRA_CREDS_PROJECT, the file, or GOOGLE_CLOUD_PROJECT, in this order, as for
            every command.
        environment: one of the file, or dev, staging, prod (or development, production); else ENVIRONMENT. "": names are full names.
        ttl: seconds a value is kept (300).
        stale_ok: seconds beyond that for which it may be served while Google does not answer (3600).
        longest_ttl: seconds a value is kept while its secret is not due: the label `orchestra-due` is further away. None: `ttl`.
            Needs the permission secretmanager.secrets.get; without it, `ttl` counts.
        max_entries: values in memory at most (1024); beyond that, the one that was not used for the longest time is forgotten.
        min_age: seconds after a read caused by a refusal (`on_auth_failure`) in which another refusal causes none (5).
        fallback: `env` uses a variable where there is no such secret; None never does.
        config: an orchestra-creds.toml; else ORCHESTRA_CREDS_CONFIG, or the nearest one from the working folder upward.
        location: the location of regional secrets; "" for global ones.
        impersonate: the mail address of a service account to read as.
        timeout: seconds that one read may take, retries included (10, or 5 on the embedded cloud).
        client: a google.cloud.secretmanager_v1.SecretManagerServiceClient to use instead of one made here; it is not closed.
        store, clock, chance, today: for tests; the clock counts seconds, chance answers between 0 and 1, today is the time in UTC.

    Raises:
        ConfigError: the file has environments, and this is none of them; or an argument is not known.
    """

    def __init__(
        self,
        project: str | None = None,
        environment: str | None = None,
        *,
        ttl: float = 300.0,
        stale_ok: float = 3600.0,
        longest_ttl: float | None = None,
        max_entries: int = 1024,
        min_age: float = 5.0,
        fallback: str | None = None,
        config: str | os.PathLike[str] | None = None,
        location: str = "",
        impersonate: str = "",
        timeout: float | None = None,
        client: Any = None,
        store: SecretStore | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        today: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if fallback not in {None, "env"}:
            raise ConfigError(f"fallback {fallback!r} is not known", hint='"env" or None')
        if max_entries < 1:
            raise ConfigError("max_entries must be at least 1")
        named = environment if environment is not None else os.environ.get("ENVIRONMENT", "")
        self._config = Path(config) if config is not None else None
        document = load(self._config).document if store is None or config is not None else Document()
        self._document = document
        self.environment = environment_of(document, named)
        self._cloud_options: dict[str, Any] = {
            "project": project or "",
            "config": self._config,
            "environment": self.environment,
            "location": location,
            "impersonate": impersonate,
            "timeout": timeout,
            "client": client,
        }
        self._fallback, self._given = fallback, store
        self._ttl, self._longest_ttl, self._today, self._min_age = ttl, longest_ttl, today, min_age
        self._cloud: Cloud | None = None
        self._opening = threading.Lock()
        self._parent_clouds: list[Cloud] = []
        self._ref = functools.lru_cache(4 * max_entries)(self._make_ref)
        self._listeners = ListenerList()
        self._cache = SecretCache(
            self._fetch,
            self._listeners.note,
            ttl=ttl,
            stale_ok=stale_ok,
            max_entries=max_entries,
            clock=clock,
            chance=chance,
        )
        _all_managers.add(self)

    def __repr__(self) -> str:
        return f"CredentialManager(environment={self.environment!r}, secrets={HIDDEN})"

    def get_bytes(self, name: str, version: int | str = "latest", *, max_age: float | None = None) -> bytes:
        """Return the value of a secret, in this environment.

        Args:
            name: see the class.
            version: a number, an alias such as `current` or `previous`, or `latest`.
            max_age: seconds; an older value is read anew, but served while Google does not answer.

        Raises:
            SecretNotFoundError, NoEnabledVersionError, AccessDeniedError, UnavailableError.
        """
        return self._cache.get(self._ref(name, version), max_age=max_age).material.reveal()

    def get_secret(self, name: str, version: int | str = "latest", *, max_age: float | None = None) -> str:
        """Return the value as text."""
        return decode_text(name, self._cache.get(self._ref(name, version), max_age=max_age).material)

    def get_json_secret(self, name: str, version: int | str = "latest", *, max_age: float | None = None) -> Any:
        """Return the value, parsed as JSON; an error never shows it."""
        return decode_json(name, self._cache.get(self._ref(name, version), max_age=max_age).material)

    def get_service_account_key(
        self, name: str, version: int | str = "latest", *, max_age: float | None = None
    ) -> ServiceAccountKey:
        """Return the key of the account called `name`, from the secret `NAME-key`, which is the same in every environment.

        The key does not change when the secret is rotated; see `google_credentials` for clients that live longer than that.
        """
        return decode_key(key_secret(name), self._cache.get(_key_ref(name, version), max_age=max_age).material)

    def google_credentials(self, name: str, scopes: Sequence[str] = (CLOUD_SCOPE,)) -> Any:
        """Return credentials for Google's clients that follow the rotation of the key of the account called `name`.

        They are a google.auth.credentials.Credentials and may live as long as the process: a token is fetched with the key that the
        secret `NAME-key` holds then, and when that key is refused, the secret is read anew and the token fetched once more.
        """
        ref = _key_ref(name, "latest")

        def replace(refused: Material) -> Material | None:
            other = self._cache.replace_refused(ref, CachedValue(refused, 0, 0.0), self._min_age)
            return other.material if other is not None else None

        return rotating_key_credentials(lambda: self._cache.get(ref).material, replace, tuple(scopes))

    def connector(
        self,
        name: str,
        *,
        refused: Refused | None = None,
        arguments: Callable[[str], Mapping[str, Any]] = connection_arguments,
    ) -> Connector:
        """Return what connects to a database or a server with the value of a secret, and once more with a newer one after a refusal.

        Args:
            name: see the class.
            refused: the exception class, or a function that tells from an exception, that the value was refused; by default what
                psycopg raises when the server had asked for a password.
            arguments: makes the keyword arguments of a connection from the value; the default takes a URL, a JSON object or a bare
                password.
        """
        return Connector(self, name, refused=refused, arguments=arguments)

    def inject(self, **secrets: str) -> SecretInjector:
        """Return a decorator that adds keyword arguments, each the text of a secret: `@creds.inject(password="redis-password")`.

        A coroutine function stays one, and blocks no event loop. An argument that the caller gives is left as it is.
        """
        return text_injector(self, secrets)

    def inject_json(self, name: str, **parts: str) -> SecretInjector:
        """Return a decorator that adds keyword arguments from one secret that is JSON: `@creds.inject_json("db", user="username")`.

        Raises:
            ConfigError: (when the function is called) the value is no JSON object, or lacks one of the keys.
        """
        return json_injector(self, name, parts)

    async def get_material(self, name: str, version: int | str = "latest", *, max_age: float | None = None) -> Material:
        """Return the value of a secret, for a caller in an event loop, which is never blocked.

        Raises:
            SecretNotFoundError, NoEnabledVersionError, AccessDeniedError, UnavailableError.
        """
        return (await self._cache.get_async(self._ref(name, version), max_age=max_age)).material

    async def get_text(self, name: str, version: int | str = "latest", *, max_age: float | None = None) -> str:
        """Return the value as text, for a caller in an event loop, which is never blocked."""
        return decode_text(name, await self.get_material(name, version, max_age=max_age))

    async def get_key_material(self, name: str, version: int | str = "latest") -> Material:
        """Return the key file of the account called `name`, for a caller in an event loop, which is never blocked."""
        return (await self._cache.get_async(_key_ref(name, version))).material

    def version(self, name: str) -> int:
        """Return the number of the version that the value is from; 0 for a variable."""
        return self._cache.get(self._refs_called(name)[0]).version

    def refresh(self, *names: str) -> None:
        """Read these secrets again, or all in memory; raise one error at the end. A value stays unless its secret was refused."""

        def read(ref: SecretRef) -> CredsError | None:
            try:
                self._cache.refresh(ref)
            except CredsError as error:
                return error
            return None

        failures = [error for error in map_in_order(read, self._refs_to_refresh(names)) if error is not None]
        if failures:
            raise failures[-1]

    async def refresh_async(self, *names: str) -> None:
        """Do the same as `refresh`, for a caller in an event loop."""
        reads = (self._cache.refresh_async(ref) for ref in self._refs_to_refresh(names))
        results = await asyncio.gather(*reads, return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            raise failures[-1]

    def invalidate(self, name: str) -> None:
        """Forget the value: the next call reads it."""
        for ref in self._refs_called(name):
            self._cache.invalidate(ref)

    def subscribe(self, name: str, callback: Callable[[str, int], None]) -> None:
        """Call `callback(name, version)` once for each new version, in a thread of its own; its exceptions are only logged.

        The secret is read in the background when its value gets old, also if nobody asks for it.
        """
        self._listeners.add(self._refs_called(name)[0], callback, self._cache)

    def on_auth_failure(
        self,
        name: str,
        attempt: Callable[[Any], T],
        refused: Refused = AuthError,
        *,
        kind: str = "text",
        min_age: float | None = None,
    ) -> T:
        """Let `attempt` use the value; when it is refused, read the value anew and try once more with another one.

        Args:
            name: see the class; of an account for the kind `key`.
            attempt: takes the value.
            refused: exception class or classes, or a function that tells whether an exception means that the value was refused.
            kind: what `attempt` takes: `text`, `bytes`, `json`, or `key` (a ServiceAccountKey).
            min_age: see the class.

        Raises:
            Exception: what `attempt` raised first, if there is no other value or nobody knows; else what it raised then.
        """
        ref, decode = self._ref_and_decoder(name, kind)
        value = self._cache.get(ref)
        try:
            return attempt(decode(value.material))
        except Exception as error:
            if not is_refusal(error, refused):
                raise
            other = self._cache.replace_refused(ref, value, self._min_age if min_age is None else min_age)
            if other is None:
                raise
            value = other
        return attempt(decode(value.material))

    async def on_auth_failure_async(
        self,
        name: str,
        attempt: Callable[[Any], Awaitable[T]],
        refused: Refused = AuthError,
        *,
        kind: str = "text",
        min_age: float | None = None,
    ) -> T:
        """Do the same as `on_auth_failure`, for a caller in an event loop."""
        ref, decode = self._ref_and_decoder(name, kind)
        value = await self._cache.get_async(ref)
        try:
            return await attempt(decode(value.material))
        except Exception as error:
            if not is_refusal(error, refused):
                raise
            age = self._min_age if min_age is None else min_age
            other = await self._cache.replace_refused_async(ref, value, age)
            if other is None:
                raise
            value = other
        return await attempt(decode(value.material))

    def close(self) -> None:
        """End the connection, and the background reads for callbacks."""
        self._listeners.close()
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
        self._listeners.reset_after_fork(self._cache)

    # -- below the surface

    def _make_ref(self, name: str, version: int | str = "latest") -> SecretRef:
        return SecretRef(name, secret_name(self._document, name, self.environment), str(version))

    def _refs_called(self, name: str) -> list[SecretRef]:
        """Return the values of that name that are in memory, or else the newest one; `NAME-key` may be the key of an account."""
        return [ref for ref in self._cache.refs() if ref.name == name] or [self._ref(name)]

    def _refs_to_refresh(self, names: Sequence[str]) -> list[SecretRef]:
        if not names:
            return list(self._cache.refs())
        return [ref for name in names for ref in self._refs_called(name)]

    def _ref_and_decoder(self, name: str, kind: str) -> tuple[SecretRef, Callable[[Material], Any]]:
        if kind not in DECODERS:
            raise ConfigError(f"kind {kind!r} is not known", hint=f"one of {', '.join(DECODERS)}")
        ref = _key_ref(name, "latest") if kind == "key" else self._ref(name)
        return ref, functools.partial(DECODERS[kind], ref.name)

    def _fetch(self, ref: SecretRef, deadline: float | None) -> FetchedValue:
        store = self._store()
        options = {"deadline": deadline} if deadline is not None else {}
        try:
            found = store.access(ref.secret, version_selector(ref.version), **options)
        except NotFoundError as error:
            replacement = self._variable(ref)
            if replacement is not None:
                return FetchedValue(replacement)
            raise SecretNotFoundError(str(error), hint=error.hint) from None
        except PreconditionError as error:
            raise NoEnabledVersionError(str(error), hint=error.hint) from None
        except AuthError as error:
            raise AccessDeniedError(str(error), hint=error.hint) from None
        return FetchedValue(found, self._seconds_until_due(store, ref))

    def _seconds_until_due(self, store: SecretStore, ref: SecretRef) -> float | None:
        """Return for how long a value may be kept because its secret is not due before; None: `ttl` seconds."""
        if self._longest_ttl is None:
            return None
        try:
            due = datetime.strptime(store.get_secret(ref.secret).labels.get(LABEL_DUE, ""), "%Y%m%d").replace(
                tzinfo=UTC
            )
        except (CredsError, ValueError):  # not permitted, no answer, or no such label
            return None
        return max(self._ttl, min((due - self._today()).total_seconds(), self._longest_ttl))

    def _variable(self, ref: SecretRef) -> VersionMaterial | None:
        """Return the value of the variable that replaces a missing secret, or None."""
        variable = ref.name.replace("-", "_").upper()
        if self._fallback != "env" or variable not in os.environ:
            return None
        return VersionMaterial(ref.secret, 0, Material(os.environ[variable].encode()))

    def _store(self) -> SecretStore:
        if self._given is not None:
            return self._given
        with self._opening:
            if self._cloud is None:
                backend = os.environ.get("ORCHESTRA_CREDS_BACKEND", "")
                self._cloud = open_cloud(backend=backend, **self._cloud_options)
            store: SecretStore = self._cloud.secrets
            return store


def _key_ref(account: str, version: int | str) -> SecretRef:
    """Return the reference of an account's key; it has no environment."""
    return SecretRef(key_secret(account), key_secret(account), str(version))


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


def set_credential_manager(
    manager: CredentialManager, project_id: str | None = None, environment: str | None = None
) -> None:
    """Let `get_credential_manager` return this manager, made with options of your own, for a project and an environment."""
    key = project_id or "", environment or os.environ.get("ENVIRONMENT", "")
    with _making:
        _managers[key] = manager


def _reset_after_fork() -> None:
    """Let no lock of a thread that does not exist here stop a forked child."""
    global _making  # noqa: PLW0603
    _making = threading.Lock()
    for manager in _all_managers:
        manager.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
