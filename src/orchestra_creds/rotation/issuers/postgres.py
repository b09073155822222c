"""Passwords of PostgreSQL, with two roles that take turns: the one readers have is never touched while they may have it.

Which generation a role's password belongs to stands in the role's own comment, so that retiring an old generation can never lock out a
newer one of the same role. The server gets a SCRAM verifier, computed here: the password itself appears in no statement and no log.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from orchestra_creds.core import values
from orchestra_creds.core.credential import Credential
from orchestra_creds.core.material import Material
from orchestra_creds.core.ports import SecretStore
from orchestra_creds.errors import (
    ConfigError,
    CredentialRefusedError,
    CredsError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)
from orchestra_creds.rotation.issuer import IssuedCredential

if TYPE_CHECKING:
    import psycopg

MARK = "orchestra-creds "
PASSWORD_BYTES = 32
WRONG_PASSWORD = "28P01"  # noqa: S105  an SQLSTATE
_REFUSED = ("password authentication failed for user", "is not permitted to log in")
"""What the server says of a wrong password and of a role without LOGIN. libpq gives no SQLSTATE for a connection that was refused,
and 28000 also stands for an address that pg_hba.conf does not list, which is no fault of the credential."""


class PostgresRoles:
    """See Issuer. An id is `ROLE#ATTEMPT`."""

    local = True
    revocable = True
    needs_settle_time = False

    def __init__(self, credential: Credential, secrets: SecretStore, random: Callable[[int], bytes]) -> None:
        self._credential = credential
        self._wanted = credential.postgres
        self._secrets = secrets
        self._random = random

    def check(self) -> None:
        """See Issuer."""
        if len(set(self._wanted.users)) != 2:
            raise ConfigError(
                f"credential {self._credential.name}: kind postgres needs two users", hint='users = ["app_a", "app_b"]'
            )
        there = {role for role, _, _ in self._roles()}
        for user in self._wanted.users:
            if user not in there:
                raise NotFoundError(
                    f"credential {self._credential.name}: there is no role {user} on {self._wanted.host}",
                    hint="create both roles with the same grants; their passwords are ours",
                )

    def list_credentials(self) -> Sequence[IssuedCredential]:
        """See Issuer."""
        return [IssuedCredential(mark or role, enabled) for role, enabled, mark in self._roles()]

    def make(self, current: str, token: str) -> Material:
        """See Issuer: a password for the role that is not in force."""
        first, second = self._wanted.users
        user = second if _role(current) == first else first
        password = values.random_value(self._random(PASSWORD_BYTES)).reveal().decode()
        return Material(json.dumps({"id": f"{user}#{token}", "user": user, "password": password}).encode())

    def fingerprint(self, made: Material) -> str:
        """See Issuer: none."""
        return ""

    def activate(self, made: Material, token: str) -> str:
        """See Issuer: repeating it sets the same password again."""
        body = json.loads(made.reveal())
        with self._connect_admin() as connection:
            verifier = connection.pgconn.encrypt_password(
                body["password"].encode(), body["user"].encode(), b"scram-sha-256"
            )
            with connection.transaction():
                self._alter(connection, body["user"], "LOGIN PASSWORD {}", verifier.decode())
                self._comment(connection, body["user"], MARK + body["id"])
        return str(body["id"])

    def create(self, token: str) -> tuple[str, Material]:
        """See Issuer: never asked of a local kind."""
        made = self.make("", token)
        return self.activate(made, token), made

    def find(self, token: str) -> tuple[str, Material] | None:
        """See Issuer."""
        return None

    def secret_value(self, made: Material, identifier: str) -> Material:
        """See Issuer: a connection URL, or the bare password."""
        body, wanted = json.loads(made.reveal()), self._wanted
        if wanted.form == "password":
            return Material(body["password"].encode())
        user, password = quote(body["user"], safe=""), quote(body["password"], safe="")
        place = f"{quote(wanted.host, safe='.:-')}:{wanted.port}/{quote(wanted.database, safe='')}"
        return Material(f"postgresql://{user}:{password}@{place}?sslmode={wanted.sslmode}".encode())

    def identify(self, value: Material) -> str:
        """See Issuer: the bytes do not tell the attempt."""
        return ""

    def verify(self, value: Material) -> None:
        """See Issuer: a connection is made, and ended."""
        text = value.reveal().decode("utf-8", "replace")
        if self._wanted.form == "password":
            tries = [(user, text) for user in self._wanted.users]
        else:
            parts = urlsplit(text)
            tries = [(unquote(parts.username or ""), unquote(parts.password or ""))]
        refusal: CredsError | None = None
        for user, password in tries:
            try:
                with self._connect(user=user, password=password, dbname=self._wanted.database):
                    return
            except CredentialRefusedError as error:
                refusal = error
        raise refusal or CredentialRefusedError("no password to connect with")

    def last_used(self, identifier: str) -> datetime | None:
        """See Issuer: PostgreSQL does not keep it."""
        return None

    def disable(self, identifier: str) -> None:
        """See Issuer: the role may not log in; sessions that it has go on."""
        self._alter_if_marked(identifier, "NOLOGIN")

    def enable(self, identifier: str) -> None:
        """See Issuer."""
        self._alter_if_marked(identifier, "LOGIN")

    def end(self, identifier: str, value: Material | None) -> None:
        """See Issuer."""
        self.disable(identifier)

    def is_ended(self, identifier: str, value: Material | None) -> bool:
        """See Issuer: its role may not log in, and its password opens no connection."""
        if any(mark == identifier and login for _, login, mark in self._roles()):
            return False
        if value is None:
            return True
        try:
            self.verify(value)
        except CredentialRefusedError:
            return True
        return False

    def delete(self, identifier: str) -> None:
        """See Issuer: the role keeps its grants and has no password."""
        self._alter_if_marked(identifier, "NOLOGIN PASSWORD NULL")

    def _alter_if_marked(self, identifier: str, change: str) -> None:
        for role, _, mark in self._roles():
            if mark == identifier:
                with self._connect_admin() as connection, connection.transaction():
                    self._alter(connection, role, change)

    def _roles(self) -> list[tuple[str, bool, str]]:
        """Role, whether it may log in, and the id that its comment holds."""
        query = "SELECT rolname, rolcanlogin, shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = ANY(%s)"
        with self._connect_admin() as connection:
            rows = connection.execute(query, (list(self._wanted.users),)).fetchall()
        return [(str(role), bool(login), str(text or "").removeprefix(MARK)) for role, login, text in rows]

    def _alter(self, connection: "psycopg.Connection[Any]", role: str, change: str, *literals: str) -> None:
        from psycopg import sql

        rest = sql.SQL(change).format(*(sql.Literal(text) for text in literals))
        connection.execute(sql.SQL("ALTER ROLE {} WITH {}").format(sql.Identifier(role), rest))

    def _comment(self, connection: "psycopg.Connection[Any]", role: str, text: str) -> None:
        from psycopg import sql

        connection.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(sql.Identifier(role), sql.Literal(text)))

    @contextlib.contextmanager
    def _connect_admin(self) -> "Iterator[psycopg.Connection[Any]]":
        """A connection of the role that may alter the two."""
        text = self._secrets.access(self._wanted.admin_secret, "latest").material.reveal().decode("utf-8", "replace")
        try:
            with self._connect(conninfo=text) as connection:
                yield connection
        except CredentialRefusedError as error:  # it is about the admin role, and not about the credential under test
            raise PermissionDeniedError(f"{error} of {self._wanted.admin_secret}", hint=error.hint) from None

    @contextlib.contextmanager
    def _connect(self, conninfo: str = "", **options: Any) -> "Iterator[psycopg.Connection[Any]]":
        try:
            import psycopg
        except ImportError:
            raise ConfigError(
                f"credential {self._credential.name}: kind postgres is not installed",
                hint="pip install 'orchestra-creds[postgres]'",
            ) from None
        where = f"PostgreSQL on {self._wanted.host}"
        if not conninfo:
            options |= {"host": self._wanted.host, "port": self._wanted.port, "sslmode": self._wanted.sslmode}
        try:
            with psycopg.connect(
                conninfo, connect_timeout=int(self._credential.timeout.total_seconds()), **options
            ) as connection:
                yield connection
        except psycopg.OperationalError as error:
            if error.sqlstate == WRONG_PASSWORD or any(text in str(error) for text in _REFUSED):
                raise CredentialRefusedError(
                    f"{where} refuses the role", hint="is its password ours? may it log in?"
                ) from None
            raise UnavailableError(f"no answer from {where}", hint="is it reachable from here?") from None
        except psycopg.Error as error:  # its text may quote a statement
            raise PermissionDeniedError(
                f"{where} refused to alter a role (SQLSTATE {error.sqlstate})", hint="may the admin role alter both?"
            ) from None


def _role(identifier: str) -> str:
    return identifier.rpartition("#")[0]
