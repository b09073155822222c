"""Connections to databases and servers with the value that a secret has now; none of the drivers is imported here.

Each adapter is called by its driver for every new connection, so a pool that lives as long as the process follows every rotation.
"""

import functools
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from orchestra_creds.errors import ConfigError
from orchestra_creds.library.refusals import Refused, is_password_refused

T = TypeVar("T")
C = TypeVar("C", bound=type[Any])
REDIS_MAX_AGE = 5.0
"""Seconds: a client of Redis does not tell its provider about a refusal, so a value that is older is read anew for a new connection."""
_URL = re.compile(r"[a-z][a-z0-9+.-]*://")
_NAMES = {"username": "user", "database": "dbname"}
_ARGUMENTS = frozenset({"user", "password", "host", "port", "dbname", "sslmode"})
"""Parts of a JSON value that are arguments of a connection; others, such as `engine`, are not (libpq's names)."""


class SecretUser(Protocol):
    """The part of CredentialManager that connectors need."""

    def get_secret(self, name: str, *, max_age: float | None = None) -> str:
        """Return the value as text."""
        ...

    async def get_text(self, name: str, *, max_age: float | None = None) -> str:
        """Return the value as text, for a caller in an event loop."""
        ...

    def on_auth_failure(self, name: str, attempt: Callable[[Any], T], refused: Refused) -> T:
        """Let an attempt use the value, and once more with a newer one after a refusal."""
        ...

    async def on_auth_failure_async(self, name: str, attempt: Callable[[Any], Awaitable[T]], refused: Refused) -> T:
        """Do the same for a caller in an event loop."""
        ...


def connection_arguments(value: str) -> dict[str, Any]:
    """Return the keyword arguments of a connection, by libpq's names, from a URL, a JSON object or a bare password."""
    if _URL.match(value):
        parts = urlsplit(value)
        found = {
            "user": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "host": unquote(parts.hostname or ""),
            "port": parts.port or "",
            "dbname": unquote(parts.path.removeprefix("/")),
            **dict(parse_qsl(parts.query)),
        }
        return {name: part for name, part in found.items() if part != ""}
    try:
        body = json.loads(value) if value.lstrip().startswith("{") else None
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return {"password": value}
    named = {_NAMES.get(name, name): part for name, part in body.items()}
    return {name: part for name, part in named.items() if name in _ARGUMENTS}


class Connector:
    """Connects with the value of one secret; see CredentialManager.connector."""

    def __init__(
        self,
        manager: SecretUser,
        name: str,
        *,
        refused: Refused | None = None,
        arguments: Callable[[str], Mapping[str, Any]] = connection_arguments,
    ) -> None:
        self._manager, self._name, self._arguments = manager, name, arguments
        self._refused = refused if refused is not None else is_password_refused

    def __repr__(self) -> str:
        return f"Connector({self._name!r})"

    def connect(self, connect: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Call `connect`, for example psycopg.connect, with these arguments and those of the value; once more after a refusal."""
        return self._manager.on_auth_failure(
            self._name, lambda value: connect(*arguments, **{**options, **self._arguments(value)}), self._refused
        )

    async def connect_async(self, connect: Callable[..., Awaitable[T]], *arguments: Any, **options: Any) -> T:
        """Do the same with a coroutine function, for example psycopg.AsyncConnection.connect."""
        return await self._manager.on_auth_failure_async(
            self._name, lambda value: connect(*arguments, **{**options, **self._arguments(value)}), self._refused
        )

    def connection_class(self, base: C) -> C:
        """Return a subclass of psycopg.Connection or AsyncConnection, as `connection_class` of a pool of psycopg_pool."""
        connect_base: Any = getattr(
            base.connect, "__func__", None
        )  # of the class method, to be called for the subclass
        if connect_base is None:
            raise ConfigError(f"{base.__name__}.connect is no class method", hint="use connect() of the connector")

        async def connect_async(cls: Any, conninfo: str = "", **options: Any) -> Any:
            return await self.connect_async(functools.partial(connect_base, cls), conninfo, **options)

        def connect(cls: Any, conninfo: str = "", **options: Any) -> Any:
            return self.connect(functools.partial(connect_base, cls), conninfo, **options)

        method: Any = connect_async if inspect.iscoroutinefunction(base.connect) else connect
        make: Any = type(base)
        return cast("C", make(f"Rotating{base.__name__}", (base,), {"connect": classmethod(method)}))

    def connect_engine(self, dialect: Any, _record: Any, arguments: Any, parameters: dict[str, Any]) -> Any:
        """Connect for an engine of SQLAlchemy: `event.listen(engine, "do_connect", connector.connect_engine)`."""
        return self.connect(dialect.connect, *arguments, **parameters)

    def redis_credentials(self, max_age: float = REDIS_MAX_AGE) -> "RedisCredentials":
        """Return a `credential_provider` for clients and pools of redis-py, those for asyncio included."""
        return RedisCredentials(self._manager, self._name, self._arguments, max_age)


class RedisCredentials:
    """User and password for each new connection to Redis: what redis-py calls a CredentialProvider."""

    def __init__(
        self, manager: SecretUser, name: str, arguments: Callable[[str], Mapping[str, Any]], max_age: float
    ) -> None:
        self._manager, self._name, self._arguments, self._max_age = manager, name, arguments, max_age

    def __repr__(self) -> str:
        return f"RedisCredentials({self._name!r})"

    def get_credentials(self) -> tuple[str, ...]:
        """Return the password, after the user if the value names one."""
        return self._pair(self._manager.get_secret(self._name, max_age=self._max_age))

    async def get_credentials_async(self) -> tuple[str, ...]:
        """Do the same without blocking the event loop."""
        return self._pair(await self._manager.get_text(self._name, max_age=self._max_age))

    def _pair(self, value: str) -> tuple[str, ...]:
        found = self._arguments(value)
        return tuple(str(found[part]) for part in ("user", "password") if found.get(part))
