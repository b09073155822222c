"""The `postgres` kind on a real server, started here from Debian's package as a user without privileges."""

import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from orchestra_creds.core.cloud_types import VersionState
from orchestra_creds.core.credential import Credential, CredentialKind, Postgres
from orchestra_creds.core.material import Material
from orchestra_creds.core.policy import EXPIRY_SLACK
from orchestra_creds.errors import (
    AuthError,
    ConfigError,
    CredentialRefusedError,
    CredsError,
    NotFoundError,
    PreconditionError,
    UnavailableError,
)
from orchestra_creds.rotation.issuers.postgres import PostgresRoles
from orchestra_creds.rotation.outcome import Ending
from orchestra_creds.rotation.situation import RunRequest
from orchestra_creds.rotation.status import CredentialFacts, CredentialStatus, Problem, credential_status
from tests.rotation.test_issuers import Counting
from tests.rotation.world import POLICY, World

psycopg = pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")


RULES = "host all admin 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


@dataclass(frozen=True)
class Server:
    port: int
    log: Path

    def reject(self, role: str) -> None:
        """Let pg_hba.conf refuse a role whatever its password; empty refuses none."""
        line = f"host all {role} 127.0.0.1/32 reject\n" if role else ""
        (self.log.parent / "data" / "pg_hba.conf").write_text(line + RULES)
        self.run("SELECT pg_reload_conf()")
        time.sleep(0.2)

    @property
    def admin(self) -> str:
        return f"postgresql://admin@127.0.0.1:{self.port}/postgres?sslmode=disable"

    def run(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.admin, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    binary = Path(found[-1]).parent if found else None
    if binary is None and shutil.which("initdb"):
        binary = Path(str(shutil.which("initdb"))).parent
    if binary is None:
        pytest.skip("there is no PostgreSQL server (Debian: postgresql)")
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as text:
        folder = Path(text)
        owner = pwd.getpwnam("postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name)
        if os.getuid() == 0:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])

        def as_owner(*command: str) -> None:
            user = {"user": owner.pw_uid, "group": owner.pw_gid} if os.getuid() == 0 else {}
            subprocess.run(command, check=True, capture_output=True, cwd=folder, **user)  # type: ignore[call-overload]

        data = folder / "data"
        as_owner(str(binary / "initdb"), "-D", str(data), "-U", "admin", "--auth=trust", "--no-sync")
        (data / "pg_hba.conf").write_text(RULES)
        log = folder / "log"
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c log_statement=all"
        as_owner(str(binary / "pg_ctl"), "-D", str(data), "-w", "-l", str(log), "-o", options, "start")
        try:
            yield Server(port, log)
        finally:
            as_owner(str(binary / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")


@pytest.fixture
def world(server: Server) -> Iterator[World]:
    server.run("DROP ROLE IF EXISTS app_a")
    server.run("DROP ROLE IF EXISTS app_b")
    server.run("CREATE ROLE app_a")
    server.run("CREATE ROLE app_b")
    world = World()
    world.secrets.create_secret("pg-admin")
    world.secrets.add_version("pg-admin", Material(server.admin.encode()))
    yield world
    world.close()


def declared(server: Server, **fields: object) -> Credential:
    options: dict[str, object] = {"users": ("app_a", "app_b"), "admin_secret": "pg-admin", "host": "127.0.0.1"}
    wanted = Postgres(**{**options, "port": server.port, "sslmode": "disable", **fields})  # type: ignore[arg-type]
    return replace(Credential("db", CredentialKind.POSTGRES, "db", POLICY), postgres=wanted)


def issuer(world: World, credential: Credential) -> PostgresRoles:
    return PostgresRoles(credential, world.secrets, Counting())


def connects(url: bytes) -> str:
    """As whom; empty when refused."""
    try:
        with psycopg.connect(url.decode(), connect_timeout=5) as connection:
            return str(connection.execute("SELECT current_user").fetchone()[0])
    except psycopg.OperationalError:
        return ""


def test_users_take_turns_and_readers_never_break(world: World, server: Server) -> None:
    credential = declared(server)
    makers = issuer(world, credential)
    assert world.rotate(credential, issuer=makers).ending is Ending.ROTATED
    first = world.secrets.access("db", "latest").material.reveal()
    assert connects(first) == "app_a"
    world.pass_time(POLICY.every)
    assert world.rotate(credential, issuer=makers).ending is Ending.ROTATED
    second = world.secrets.access("db", "latest").material.reveal()
    assert (connects(first), connects(second)) == ("app_a", "app_b")
    world.pass_time(POLICY.grace)
    assert world.rotate(credential, issuer=makers).ending is Ending.RETIRED
    assert (connects(first), connects(second)) == ("", "app_b")
    world.pass_time(POLICY.soak)
    assert world.rotate(credential, issuer=makers).ending is Ending.RETIRED
    world.pass_time(POLICY.every)
    assert world.rotate(credential, issuer=makers).ending is Ending.ROTATED
    third = world.secrets.access("db", "latest").material.reveal()
    assert (connects(first), connects(second), connects(third)) == ("", "app_b", "app_a")


def test_the_other_user_is_not_touched_while_it_is_in_its_grace(world: World, server: Server) -> None:
    credential = declared(server)
    makers = issuer(world, credential)
    world.rotate(credential, issuer=makers)
    first = world.secrets.access("db", "latest").material.reveal()
    world.rotate(credential, RunRequest(force=True), issuer=makers)
    outcome = world.rotate(credential, RunRequest(force=True), issuer=makers)
    assert isinstance(outcome.error, PreconditionError)
    assert "grace" in outcome.message
    assert connects(first) == "app_a"


def test_a_leaked_password_opens_nothing_after_the_run_even_in_the_grace_of_the_other(
    world: World, server: Server
) -> None:
    credential = declared(server)
    makers = issuer(world, credential)
    world.rotate(credential, issuer=makers)
    world.rotate(credential, RunRequest(force=True), issuer=makers)
    leaked = world.secrets.access("db", "latest").material.reveal()
    outcome = world.rotate(credential, RunRequest(leaked=True, force=True), issuer=makers)
    assert (outcome.ending, outcome.code) == (Ending.ROTATED, 0)
    assert (connects(leaked), connects(world.secrets.access("db", "latest").material.reveal())) == ("", "app_a")
    assert world.versions("db")[2] is VersionState.DISABLED
    for step in (POLICY.grace, POLICY.soak, POLICY.soak):
        world.pass_time(step)
        world.rotate(credential, issuer=makers)
    assert connects(world.secrets.access("db", "latest").material.reveal()) == "app_a"


def test_retiring_an_old_generation_never_locks_out_a_newer_one_of_the_same_user(world: World, server: Server) -> None:
    credential = declared(server)
    makers = issuer(world, credential)
    old = makers.activate(makers.make("", "one"), "one")
    made = makers.make("app_b#x", "two")
    new = makers.activate(made, "two")
    assert (old, new) == ("app_a#one", "app_a#two")
    makers.disable(old)
    makers.delete(old)
    assert connects(makers.secret_value(made, new).reveal()) == "app_a"


def test_a_rollback_lets_the_old_user_in_again(world: World, server: Server) -> None:
    credential = declared(server)
    makers = issuer(world, credential)
    world.rotate(credential, issuer=makers)
    world.pass_time(POLICY.every)
    world.rotate(credential, issuer=makers)
    world.pass_time(POLICY.grace)
    world.rotate(credential, issuer=makers)
    assert world.rotate(credential, RunRequest(back=True), issuer=makers).ending is Ending.ROTATED
    assert connects(world.secrets.access("db", "latest").material.reveal()) == "app_a"


def test_no_password_reaches_the_servers_log(world: World, server: Server) -> None:
    credential = declared(server, form="password")
    world.rotate(credential, issuer=issuer(world, credential))
    password = world.secrets.access("db", "latest").material.reveal()
    log = server.log.read_bytes()
    assert b"SCRAM-SHA-256$" in log
    assert password not in log


def test_a_bare_password_is_proven_too(world: World, server: Server) -> None:
    credential = declared(server, form="password")
    makers = issuer(world, credential)
    assert world.rotate(credential, issuer=makers).ending is Ending.ROTATED
    with pytest.raises(AuthError):
        makers.verify(Material(b"wrong"))


OBSTACLES = {
    "wrong password": ("", CredentialRefusedError),
    "no login": ("ALTER ROLE app_a NOLOGIN", CredentialRefusedError),
    "expired password": ("ALTER ROLE app_a VALID UNTIL '2001-01-01'", CredentialRefusedError),
    "role dropped": ("DROP ROLE app_a", CredentialRefusedError),
    "no room for the role": ("ALTER ROLE app_a CONNECTION LIMIT 0", UnavailableError),
    "no room in the database": ("ALTER DATABASE appdb CONNECTION LIMIT 0", UnavailableError),
    "no right to connect": ("REVOKE CONNECT ON DATABASE appdb FROM PUBLIC", UnavailableError),
    "database closed": ("ALTER DATABASE appdb ALLOW_CONNECTIONS false", UnavailableError),
    "database dropped": ("DROP DATABASE appdb", UnavailableError),
}
"""Why PostgreSQL lets nobody in after it asked for the password; only the first four are about the credential."""


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_only_the_role_and_its_password_mean_that_the_credential_is_dead(
    world: World, server: Server, obstacle: str
) -> None:
    server.run("DROP DATABASE IF EXISTS appdb")
    server.run("CREATE DATABASE appdb")
    makers = issuer(world, declared(server, database="appdb"))
    made = makers.make("", "one")
    value = makers.secret_value(made, makers.activate(made, "one"))
    makers.verify(value)
    statement, meant = OBSTACLES[obstacle]
    if statement:
        server.run(statement)
    else:
        value = Material(value.reveal().replace(b"app_a:", b"app_a:x"))
    with pytest.raises(CredsError) as refused:
        makers.verify(value)
    assert type(refused.value) is meant


def test_a_client_that_the_server_does_not_serve_says_nothing_about_the_password(world: World, server: Server) -> None:
    makers = issuer(world, declared(server))
    made = makers.make("", "one")
    value = makers.secret_value(made, makers.activate(made, "one"))
    server.reject("app_a")
    try:
        with pytest.raises(UnavailableError):
            makers.verify(value)
    finally:
        server.reject("")
    makers.verify(value)


def test_what_cannot_work_is_one_line(world: World, server: Server) -> None:
    with pytest.raises(ConfigError, match="two users"):
        issuer(world, declared(server, users=("app_a",))).check()
    with pytest.raises(NotFoundError, match="no role nobody"):
        issuer(world, declared(server, users=("app_a", "nobody"))).check()
    with pytest.raises(NotFoundError):
        issuer(world, declared(server, admin_secret="missing")).check()
    world.secrets.create_secret("far")
    world.secrets.add_version("far", Material(b"postgresql://admin:canary-password@127.0.0.1:9/x?sslmode=disable"))
    with pytest.raises(UnavailableError) as caught:
        issuer(world, declared(server, admin_secret="far")).check()
    assert "canary-password" not in str(caught.value) + caught.value.hint
    server.run("DROP ROLE IF EXISTS weak")
    server.run("CREATE ROLE weak LOGIN PASSWORD 'weak'")
    world.secrets.create_secret("weak")
    url = f"postgresql://weak:weak@127.0.0.1:{server.port}/postgres?sslmode=disable"
    world.secrets.add_version("weak", Material(url.encode()))
    makers = issuer(world, declared(server, admin_secret="weak"))
    with pytest.raises(AuthError, match="refused to alter"):
        makers.activate(makers.make("", "t"), "t")


def end_role(world: World, server: Server, role: str, after: timedelta) -> datetime:
    """Let a role end so long from now, by the clock of the test."""
    ends = world.clock + after
    server.run(f"ALTER ROLE {role} VALID UNTIL '{ends.isoformat()}'")
    return ends


def valid_until(server: Server, role: str) -> object:
    rows = server.run("SELECT rolname, rolvaliduntil::text FROM pg_roles")
    return next(ends for name, ends in rows if name == role)


def row_of(world: World, credential: Credential) -> CredentialStatus:
    secret, latest = world.secrets.get_secret("db"), world.secrets.get_version("db", "latest")
    return credential_status(CredentialFacts(credential, secret, None, latest=latest), world.clock)


def test_the_end_of_a_role_is_shown_and_its_successor_made_before_it(world: World, server: Server) -> None:
    credential = declared(server)
    makers = issuer(world, credential)
    ends = end_role(world, server, "app_a", timedelta(days=30))
    before = valid_until(server, "app_a")
    world.rotate(credential, issuer=makers)
    assert world.rotate(credential, issuer=makers).ending is Ending.NOTHING
    row = row_of(world, credential)
    due = ends - POLICY.grace - EXPIRY_SLACK
    assert (row.expires, row.due, row.problems) == (ends, due, ())
    assert world.secrets.get_secret("db").labels["orchestra-due"] == f"{due:%Y%m%d}"
    changes = len(world.emulator.mutations)
    assert world.rotate(credential, issuer=makers).ending is Ending.NOTHING
    assert len(world.emulator.mutations) == changes
    world.pass_time(due - world.clock + timedelta(seconds=1))
    assert {one.problem for one in row_of(world, credential).problems} == {Problem.OVERDUE, Problem.EXPIRING}
    assert world.rotate(credential, issuer=makers).ending is Ending.ROTATED
    assert connects(world.secrets.access("db", "latest").material.reveal()) == "app_b"
    row = row_of(world, credential)
    assert (row.expires, row.due, row.problems) == (None, world.clock + POLICY.every, ())
    assert (valid_until(server, "app_a"), valid_until(server, "app_b")) == (before, None)


def test_an_end_that_an_administrator_takes_away_or_moves_is_followed(world: World, server: Server) -> None:
    credential = declared(server)
    makers = issuer(world, credential)
    end_role(world, server, "app_a", timedelta(days=30))
    world.rotate(credential, issuer=makers)
    for statement, expected in (
        (None, world.clock + timedelta(days=200)),
        ("ALTER ROLE app_a VALID UNTIL 'infinity'", None),
        ("ALTER ROLE app_a VALID UNTIL '9000-01-01'", None),
    ):
        if statement:
            server.run(statement)
        else:
            end_role(world, server, "app_a", timedelta(days=200))
        world.rotate(credential, issuer=makers)
        row = row_of(world, credential)
        assert (row.expires, row.since) == (expected, world.began)
        assert row.due == world.began + POLICY.every


@pytest.mark.parametrize("after", [timedelta(days=3), timedelta(days=-1)], ids=["soon", "over"])
def test_a_role_that_ends_too_early_is_no_successor(world: World, server: Server, after: timedelta) -> None:
    credential = declared(server)
    makers = issuer(world, credential)
    world.rotate(credential, issuer=makers)
    first = world.secrets.access("db", "latest").material.reveal()
    end_role(world, server, "app_b", after)
    changes = len(world.emulator.mutations)
    outcome = world.rotate(credential, RunRequest(force=True), issuer=makers)
    assert (outcome.ending, outcome.code) == (Ending.FAILED, 4), outcome.message
    assert "role app_b of db ends at" in outcome.message
    assert "ALTER ROLE app_b VALID UNTIL" in outcome.hint
    assert (len(world.emulator.mutations), connects(first)) == (changes, "app_a")
    leaked = world.rotate(credential, RunRequest(leaked=True, force=True), issuer=makers)
    if after > timedelta():  # better a short life than a leaked one
        assert (leaked.ending, connects(first)) == (Ending.ROTATED, "")
    else:
        assert (leaked.ending, leaked.code) == (Ending.FAILED, 4)
        server.run("ALTER ROLE app_b VALID UNTIL 'infinity'")
        assert world.rotate(credential, issuer=makers).ending is Ending.ROTATED
        assert connects(first) == ""
