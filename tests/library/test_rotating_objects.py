"""Objects that live longer than a credential, on real servers: Google's clients, psycopg and its pool, SQLAlchemy, redis-py."""

import asyncio
import contextlib
import socketserver
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import google.auth.transport.requests
import psycopg
import psycopg_pool
import pytest
import redis
import redis.asyncio
import sqlalchemy
from sqlalchemy import event

from orchestra_creds.emulator.protocol.routes import IAM_ADMIN, rpcs
from orchestra_creds.emulator.server import control
from orchestra_creds.gcp.keys import IamKeyStore
from orchestra_creds.gcp.secrets import SecretManagerStore
from orchestra_creds.gcp.session import ApiSession, Endpoints
from orchestra_creds.library.manager import CredentialManager
from tests.library.test_outage import Clock
from tests.library.test_production import Shelf, manager
from tests.rotation.test_postgres import Server, server  # noqa: F401  a fixture

PROJECT = "demo-project"


# -- Google's clients


class Key:
    """An account of an embedded cloud on real ports, and its key in a secret."""

    def __init__(self, running: control.InProcessEmulator) -> None:
        ends = Endpoints(running.endpoints.grpc, running.endpoints.http)
        self.session = ApiSession(PROJECT, endpoints=ends, environment={})
        self.secrets, self.keys = SecretManagerStore(self.session), IamKeyStore(self.session)
        make = f"{IAM_ADMIN}/CreateServiceAccount"
        request = rpcs()[make].request(name=f"projects/{PROJECT}", account_id="app-one")
        self.account = str(running.emulator.rpc(make, request, {}).email)
        self.secrets.create_secret("app-one-key")
        self.current = ""
        self.rotate()

    def rotate(self, *, leaked: bool = False) -> None:
        """Store a new key; the one before is disabled if it leaked."""
        before, made = self.current, self.keys.create_key(self.account)
        self.secrets.add_version("app-one-key", made.material)
        self.current = made.key.id
        if leaked:
            self.keys.disable_key(self.account, before)


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Key]:
    with control.start_in_process(tmp_path / "emulator.db") as running:
        monkeypatch.setenv("ORCHESTRA_CREDS_EMULATOR_GRPC", running.endpoints.grpc)
        monkeypatch.setenv("ORCHESTRA_CREDS_EMULATOR_HTTP", running.endpoints.http)
        made = Key(running)
        yield made
        made.session.close()


def test_m7_google_credentials_outlive_a_leaked_key(key: Key, clock: Clock) -> None:
    creds = CredentialManager(environment="dev", store=key.secrets, clock=clock, chance=lambda: 1.0)
    credentials = creds.google_credentials("app-one")
    fixed = creds.get_service_account_key("app-one").credentials()
    transport = google.auth.transport.requests.Request()
    headers: dict[str, str] = {}
    credentials.before_request(transport, "GET", "http://x", headers)
    first = headers["authorization"]
    assert (credentials.signer_email, credentials.valid) == (key.account, True)

    key.rotate(leaked=True)  # the value in memory is the old one
    credentials.expiry = datetime(2020, 1, 1)  # noqa: DTZ001  google-auth counts in naive UTC
    with contextlib.suppress(google.auth.exceptions.RefreshError):
        credentials.before_request(transport, "GET", "http://x", headers)
    assert headers["authorization"] != first
    with pytest.raises(google.auth.exceptions.RefreshError):
        fixed.refresh(transport)  # credentials of one key end with it
    assert "private" not in repr(credentials)


def test_m7_google_credentials_move_to_a_new_key_before_their_token_ends(key: Key, clock: Clock) -> None:
    creds = CredentialManager(environment="dev", store=key.secrets, clock=clock, chance=lambda: 1.0)
    credentials = creds.google_credentials("app-one")
    transport, headers = google.auth.transport.requests.Request(), dict[str, str]()
    credentials.before_request(transport, "GET", "http://x", headers)
    signed = credentials.sign_bytes(b"x")
    before = headers["authorization"]
    key.rotate()
    clock.now += 301
    creds.get_service_account_key("app-one")
    assert not credentials.valid
    credentials.before_request(transport, "GET", "http://x", headers)
    assert headers["authorization"] != before
    assert credentials.sign_bytes(b"x") != signed


@pytest.fixture
def clock() -> Clock:
    return Clock()


# -- PostgreSQL


class Roles:
    """Two roles that take turns, as the kind `postgres` has them, and a store whose secret names one of them."""

    def __init__(self, server: Server) -> None:  # noqa: F811
        self.server = server
        self.shelf = Shelf(db_dev="")
        self.turn = 0
        for role in ("lib_a", "lib_b"):
            server.run(f"DROP ROLE IF EXISTS {role}")
            server.run(f"CREATE ROLE {role}")
        self.rotate()

    def rotate(self, *, leaked: bool = False) -> None:
        self.turn += 1
        before, role = ("lib_a", "lib_b") if self.turn % 2 == 0 else ("lib_b", "lib_a")
        password = f"turn-{self.turn}-pass"
        self.server.run(f"ALTER ROLE {role} WITH LOGIN PASSWORD '{password}'")
        place = f"127.0.0.1:{self.server.port}/postgres?sslmode=disable"
        self.shelf.versions["db-dev"].append(f"postgresql://{role}:{password}@{place}")
        if leaked:
            self.server.run(f"ALTER ROLE {before} WITH NOLOGIN PASSWORD NULL")
            open_sessions = self.server.run("SELECT usename::text, pid FROM pg_stat_activity WHERE usename IS NOT NULL")
            for pid in (pid for role, pid in open_sessions if role == before):
                self.server.run(f"SELECT pg_terminate_backend({pid})")


@pytest.fixture
def roles(server: Server) -> Roles:  # noqa: F811
    return Roles(server)


WHO = "SELECT current_user"


def test_m7_psycopg_and_its_pool_outlive_a_leaked_password(roles: Roles, clock: Clock) -> None:
    connector = manager(roles.shelf, clock).connector("db")
    pool = psycopg_pool.ConnectionPool(
        connection_class=connector.connection_class(psycopg.Connection),
        check=psycopg_pool.ConnectionPool.check_connection,
        min_size=1,
        open=True,
    )
    with pool:
        for leaked in (False, True):
            if leaked:
                roles.rotate(leaked=True)
            plain = pooled = None
            with contextlib.suppress(psycopg.OperationalError), connector.connect(psycopg.connect) as connection:
                plain = connection.execute(WHO).fetchone()
            with contextlib.suppress(psycopg_pool.PoolTimeout), pool.connection(timeout=10) as connection:
                pooled = connection.execute(WHO).fetchone()
            assert plain == pooled == (("lib_b",) if leaked else ("lib_a",))
    assert len(roles.shelf.asked) == 2


def test_m7_an_asynchronous_pool_outlives_a_leaked_password(roles: Roles, clock: Clock) -> None:
    connector = manager(roles.shelf, clock).connector("db")

    async def story() -> list[Any]:
        seen = []
        async with psycopg_pool.AsyncConnectionPool(
            connection_class=connector.connection_class(psycopg.AsyncConnection),
            check=psycopg_pool.AsyncConnectionPool.check_connection,
            min_size=1,
            open=False,
        ) as pool:
            for leaked in (False, True):
                if leaked:
                    roles.rotate(leaked=True)
                async with pool.connection(timeout=10) as connection:
                    seen.append(await (await connection.execute(WHO)).fetchone())
        return seen

    assert asyncio.run(story()) == [("lib_a",), ("lib_b",)]
    assert len(roles.shelf.asked) == 2


def test_m7_an_engine_of_sqlalchemy_outlives_a_leaked_password(roles: Roles, clock: Clock) -> None:
    connector = manager(roles.shelf, clock).connector("db")
    engine = sqlalchemy.create_engine("postgresql+psycopg://nowhere.invalid/none", pool_pre_ping=True)
    event.listen(engine, "do_connect", connector.connect_engine)
    seen = []
    for leaked in (False, True):
        if leaked:
            roles.rotate(leaked=True)
        refused = (sqlalchemy.exc.DBAPIError, sqlalchemy.exc.InvalidatePoolError)
        with contextlib.suppress(*refused), engine.connect() as connection:
            seen.append(connection.execute(sqlalchemy.text(WHO)).scalar())
    engine.dispose()
    assert (seen, len(roles.shelf.asked)) == (["lib_a", "lib_b"], 2)


def test_m7_a_server_that_is_down_costs_no_read(roles: Roles, clock: Clock) -> None:
    connector = manager(roles.shelf, clock).connector("db")
    place = roles.shelf.versions["db-dev"][-1].replace(str(roles.server.port), "1")
    roles.shelf.versions["db-dev"].append(place)
    for _ in range(5):
        with pytest.raises(psycopg.OperationalError):
            connector.connect(psycopg.connect, connect_timeout=5)
    assert len(roles.shelf.asked) == 1


# -- Redis


class RedisServer(socketserver.ThreadingTCPServer):
    """Answers AUTH, HELLO and PING like Redis, with one password that is right."""

    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _RedisHandler)
        self.password = "one"
        self.refusals = 0


class _RedisHandler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, RedisServer)
        entered = False
        while line := self.rfile.readline():
            words = [self._word() for _ in range(int(line[1:]))]
            command = words[0].upper()
            if command in {b"AUTH", b"HELLO"}:
                given = words[words.index(b"AUTH") + 2] if command == b"HELLO" and b"AUTH" in words else words[-1]
                entered = given.decode() == self.server.password
                self.server.refusals += not entered
                answer = b"+OK\r\n" if entered else b"-WRONGPASS invalid username-password pair\r\n"
                if command == b"HELLO" and entered:
                    answer = b"%1\r\n+proto\r\n:3\r\n"
            else:
                answer = b"-NOAUTH Authentication required.\r\n"
                if entered:
                    answer = b"+PONG\r\n" if command == b"PING" else b"+OK\r\n"
            self.wfile.write(answer)

    def _word(self) -> bytes:
        size = int(self.rfile.readline()[1:])
        return self.rfile.read(size + 2)[:size]


@contextlib.contextmanager
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield found
        finally:
            found.shutdown()
            thread.join()


def test_m7_a_client_of_redis_outlives_a_rotation(clock: Clock) -> None:
    shelf = Shelf(redis_dev="one")
    provider = manager(shelf, clock).connector("redis").redis_credentials()
    assert "one" not in repr(provider)
    with redis_server() as found:
        client = redis.Redis(port=found.server_address[1], credential_provider=provider)  # type: ignore[arg-type]
        assert client.ping()
        shelf.versions["redis-dev"].append("two")
        found.password = "two"
        clock.now += 6
        client.connection_pool.disconnect()  # as a server does that restarts
        with contextlib.suppress(redis.AuthenticationError):
            client.ping()
        client.close()

        async def ask() -> bool:
            twin = redis.asyncio.Redis(port=found.server_address[1], credential_provider=provider)  # type: ignore[arg-type]
            answer = bool(await twin.ping())
            await twin.aclose()
            return answer

        assert found.refusals == 0
        assert asyncio.run(ask())
        assert found.refusals == 0


def test_m7_redis_takes_a_user_from_the_value(clock: Clock) -> None:
    shelf = Shelf(redis_dev='{"username": "app", "password": "p"}')
    assert manager(shelf, clock).connector("redis").redis_credentials().get_credentials() == ("app", "p")
