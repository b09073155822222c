"""Passwords of PostgreSQL, with two roles that take turns: the one readers have is never touched while they may have it.

Which generation a role's password belongs to stands in the role's own comment, so that retiring an old generation can never lock out a
newer one of the same role. The server gets a SCRAM verifier, computed here: the password itself appears in no statement and no log.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from orchestra_creds.core import values
from orchestra_creds.core.credential import Credential
from orchestra_creds.core.durations import duration_text
from orchestra_creds.core.key_usage import KeyUsage
from orchestra_creds.core.material import Material
from orchestra_creds.core.policy import SHORTEST_EVERY
from orchestra_creds.core.ports import SecretStore
from orchestra_creds.errors import (
    ConfigError,
    CredentialRefusedError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    UnavailableError,
)
from orchestra_creds.rotation.issuer import IssuedCredential, is_refused
from orchestra_creds.rotation.staged import changed_error
from orchestra_creds.rotation.state import LATEST

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

MARK = "orchestra-creds "
PASSWORD_BYTES = 32
_LOGIN = """
    SELECT r.rolcanlogin,
           r.rolvaliduntil IS NOT NULL AND r.rolvaliduntil <= now(),
           coalesce(d.datallowconn AND has_database_privilege(r.oid, d.oid, 'CONNECT'), false)
           AND (r.rolconnlimit < 0 OR r.rolconnlimit > (SELECT count(*) FROM pg_stat_activity WHERE usesysid = r.oid))
           AND (d.datconnlimit < 0 OR d.datconnlimit > (SELECT count(*) FROM pg_stat_activity WHERE datid = d.oid))
           AND (SELECT count(*) FROM pg_stat_activity WHERE datid IS NOT NULL)
               < current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                 - coalesce(current_setting('reserved_connections', true)::int, 0)
    FROM pg_roles r LEFT JOIN pg_database d ON d.datname = %s WHERE r.rolname = %s
"""
"""Whether a role may log in, whether its password has expired, and whether the database would admit one more connection of it."""


_ROLES = """
    SELECT rolname, rolcanlogin, shobj_description(oid, 'pg_authid'),
           CASE WHEN isfinite(rolvaliduntil) THEN extract(epoch FROM rolvaliduntil)::float8
                WHEN rolvaliduntil < now() THEN 0 END
    FROM pg_roles WHERE rolname = ANY(%s)
"""
"""The roles, and when their passwords end, in seconds of Unix time; NULL if they do not."""


@dataclass(frozen=True, slots=True)
class DatabaseRole:
    """A role: whether it may log in, the id that its comment holds, and when its password ends (VALID UNTIL, UTC), None if it does not."""

    name: str
    may_log_in: bool
    mark: str
    expires: datetime | None = None


class PostgresLoginError(UnavailableError):
    """A connection was not made. libpq tells no SQLSTATE for that, but whether the server had asked for the password."""

    def __init__(self, message: str, *, hint: str, password_used: bool) -> None:
        super().__init__(message, hint=hint)
        self.password_used = password_used


class PostgresRoles:
    """Local kind: the passwords of two roles. An id is `ROLE#ATTEMPT`."""

    needs_settle_time = False

    def __init__(self, credential: Credential, secrets: SecretStore, random: Callable[[int], bytes]) -> None:
        self._credential = credential
        self._wanted = credential.postgres
        self._secrets = secrets
        self._random = random
        self._where = f"PostgreSQL on {credential.postgres.host}"

    def check(self, *, emergency: bool = False) -> None:
        """Refuse anything but two roles that exist."""
        if len(set(self._wanted.users)) != 2:
            raise ConfigError(
                f"credential {self._credential.name}: kind postgres needs two users", hint='users = ["app_a", "app_b"]'
            )
        there = {role.name for role in self._roles()}
        for user in self._wanted.users:
            if user not in there:
                raise NotFoundError(
                    f"credential {self._credential.name}: there is no role {user} on {self._wanted.host}",
                    hint="create both roles with the same grants; their passwords are ours",
                )

    def list_credentials(self) -> Sequence[IssuedCredential]:
        """Return the two roles, each with the id that its comment holds."""
        return [IssuedCredential(one.mark or one.name, one.may_log_in, expires=one.expires) for one in self._roles()]

    def check_successor(self, current: str, now: datetime, *, emergency: bool = False) -> None:
        """Refuse a role whose password, by its VALID UNTIL, ends too early for the grace of what it replaces.

        Nobody but its database's administrator changes that time: a new password ends with it as the old one did.
        """
        user, policy = self._successor_of(current), self._credential.policy
        ends = next((role.expires for role in self._roles() if role.name == user), None)
        if ends is None or (emergency and ends > now):
            return
        if ends <= now or policy.room_in(ends - now) < max(SHORTEST_EVERY, policy.grace):
            raise PreconditionError(
                f"role {user} of {self._credential.name} ends at {ends:%Y-%m-%d %H:%M} UTC: "
                f"too early for the grace of {duration_text(policy.grace)}",
                hint=f"let it end later: ALTER ROLE {user} VALID UNTIL '...'; nothing was changed",
            )

    def _successor_of(self, current: str) -> str:
        """Return the role that is not in force."""
        first, second = self._wanted.users
        return second if _role(current) == first else first

    def accepts_material(self) -> bool:
        """Return True: passwords are always made here."""
        return True

    def make(self, current: str, token: str) -> Material:
        """Return a password for the role that is not in force."""
        user = self._successor_of(current)
        password = values.random_value(self._random(PASSWORD_BYTES)).reveal().decode()
        return Material(json.dumps({"id": f"{user}#{token}", "user": user, "password": password}).encode())

    def fingerprint(self, made: Material) -> str:
        """Return nothing: a hash of a password would let people test guesses."""
        return ""

    def find_activated(self, fingerprint: str, token: str) -> str:
        """Return the id in the comment of a role that ends with the attempt's token; empty if there is none."""
        return next((one.mark for one in self._roles() if one.mark.endswith(f"#{token}")), "")

    def activate(self, made: Material, token: str) -> str:
        """Set the password of the role, and let it log in; a repeated call sets the same password again."""
        body = _body(made)
        with self._connect_admin() as connection:
            verifier = connection.pgconn.encrypt_password(
                body["password"].encode(), body["user"].encode(), b"scram-sha-256"
            )
            with connection.transaction():
                alter = "ALTER ROLE {} WITH LOGIN PASSWORD {}"
                connection.execute(_statement(alter, body["user"], verifier.decode()))
                connection.execute(_statement("COMMENT ON ROLE {} IS {}", body["user"], MARK + body["id"]))
        return body["id"]

    def secret_value(self, made: Material, identifier: str) -> Material:
        """Return a connection URL, or the bare password."""
        body, wanted = _body(made), self._wanted
        if wanted.form == "password":
            return Material(body["password"].encode())
        user, password = quote(body["user"], safe=""), quote(body["password"], safe="")
        place = f"{quote(wanted.host, safe='.:-')}:{wanted.port}/{quote(wanted.database, safe='')}"
        return Material(f"postgresql://{user}:{password}@{place}?sslmode={wanted.sslmode}".encode())

    def identify(self, value: Material) -> str:
        """Return nothing: the bytes do not tell the attempt that made them."""
        return ""

    def verify(self, value: Material) -> None:
        """Make a connection, and end it."""
        text = value.reveal().decode("utf-8", "replace")
        if self._wanted.form == "password":
            tries = [(user, text) for user in self._wanted.users]
        else:
            parts = urlsplit(text)
            tries = [(unquote(parts.username or ""), unquote(parts.password or ""))]
        if not any(self._admits(user, password) for user, password in tries):
            raise CredentialRefusedError(f"{self._where} refuses the role", hint="is its password ours? may it log in?")

    def _admits(self, user: str, password: str) -> bool:
        """Return whether a role can log in; False only if the role or the password is what stands in the way.

        A refused password is one that the server asked for, and refused again while the admin role sees no other obstacle.

        Raises:
            UnavailableError: the server did not answer, or does not admit the role for another reason.
        """
        refused = self._login_error(user, password)
        if refused is None:
            return True
        with self._connect_admin() as connection:
            row = connection.execute(_LOGIN, (self._wanted.database, user)).fetchone()
        may_log_in, expired, admits = row or (False, False, False)
        if not may_log_in or (expired and refused.password_used):
            return False
        if refused.password_used and admits:
            refused = self._login_error(user, password)
            if refused is None or refused.password_used:
                return refused is None
        raise UnavailableError(str(refused), hint=refused.hint)

    def _login_error(self, user: str, password: str) -> PostgresLoginError | None:
        try:
            with self._connect(user=user, password=password, dbname=self._wanted.database):
                return None
        except PostgresLoginError as error:
            return error

    def usage_of(self, identifier: str, span: timedelta) -> KeyUsage | None:
        """Return None: PostgreSQL does not keep it."""
        return None

    def disable(self, identifier: str) -> None:
        """Let the role log in no more; sessions that it has go on."""
        self._alter_if_marked(identifier, "NOLOGIN")

    def enable(self, identifier: str) -> None:
        """Let the role log in again."""
        self._alter_if_marked(identifier, "LOGIN")

    def end(self, identifier: str, value: Material | None) -> None:
        """Let the role log in no more."""
        self.disable(identifier)

    def is_ended(self, identifier: str, value: Material | None) -> bool:
        """Return whether its role may not log in, and its password opens no connection."""
        if any(role.mark == identifier and role.may_log_in for role in self._roles()):
            return False
        return value is None or is_refused(self.verify, value)

    def delete(self, identifier: str) -> None:
        """Take the password from the role, which keeps its grants."""
        self._alter_if_marked(identifier, "NOLOGIN PASSWORD NULL")

    def _alter_if_marked(self, identifier: str, change: str) -> None:
        for role in self._roles():
            if role.mark == identifier:
                with self._connect_admin() as connection, connection.transaction():
                    connection.execute(_statement(f"ALTER ROLE {{}} WITH {change}", role.name))

    def _roles(self) -> list[DatabaseRole]:
        """Return the roles that exist."""
        with self._connect_admin() as connection:
            rows = connection.execute(_ROLES, (list(self._wanted.users),)).fetchall()
        return [
            DatabaseRole(str(role), bool(login), str(text or "").removeprefix(MARK), _expiry(ends))
            for role, login, text, ends in rows
        ]

    @contextlib.contextmanager
    def _connect_admin(self) -> "Iterator[psycopg.Connection[Any]]":
        """A connection of the role that may alter the two."""
        text = self._secrets.access(self._wanted.admin_secret, "latest").material.reveal().decode("utf-8", "replace")
        try:
            with self._connect(conninfo=text) as connection:
                yield connection
        except PostgresLoginError as error:
            if not error.password_used:
                raise UnavailableError(str(error), hint=error.hint) from None
            raise PermissionDeniedError(
                f"{self._where} refuses the role of {self._wanted.admin_secret}",
                hint="is its password right? may it log in?",
            ) from None

    @contextlib.contextmanager
    def _connect(self, conninfo: str = "", **options: Any) -> "Iterator[psycopg.Connection[Any]]":
        try:
            import psycopg  # an optional extra
        except ImportError:
            raise ConfigError(
                f"credential {self._credential.name}: kind postgres is not installed",
                hint="pip install 'orchestra-creds[postgres]'",
            ) from None
        if not conninfo:
            options |= {"host": self._wanted.host, "port": self._wanted.port, "sslmode": self._wanted.sslmode}
        no_answer, hint = f"no answer from {self._where}", "is it reachable from here?"
        timeout = int(self._credential.timeout.total_seconds())
        try:
            try:
                connection = psycopg.connect(conninfo, connect_timeout=timeout, **options)
            except psycopg.OperationalError as error:
                used = error.pgconn is not None and error.pgconn.used_password and not error.pgconn.needs_password
                raise PostgresLoginError(no_answer, hint=hint, password_used=used) from None
            with connection:
                yield connection
        except psycopg.OperationalError:
            raise UnavailableError(no_answer, hint=hint) from None
        except psycopg.Error as error:  # its text may quote a statement
            raise PermissionDeniedError(
                f"{self._where} refused to alter a role (SQLSTATE {error.sqlstate})",
                hint="may the admin role alter both?",
            ) from None


def _body(made: Material) -> dict[str, str]:
    """What `make` made.

    Raises:
        PreconditionError: somebody else wrote it.
    """
    try:
        body = json.loads(made.reveal())
        return {name: str(body[name]) for name in ("id", "user", "password")}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise changed_error() from None


def _statement(template: str, role: str, *literals: str) -> "sql.Composed":
    """Return a statement about a role, with its name and the literals quoted: `ALTER ROLE {} WITH PASSWORD {}`."""
    from psycopg import sql  # an optional extra

    return sql.SQL(template).format(sql.Identifier(role), *(sql.Literal(text) for text in literals))


def _expiry(seconds: float | None) -> datetime | None:
    """Return a time that the state can hold; what lies behind all times does not end."""
    if seconds is None or seconds > LATEST:
        return None
    return datetime.fromtimestamp(max(int(seconds), 0), UTC)


def _role(identifier: str) -> str:
    return identifier.rpartition("#")[0]
