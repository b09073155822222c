"""The state file: private, sealed, exclusive, durable, on one clock."""

import asyncio
import contextlib
import functools
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.exceptions import InvalidTag
from google.api_core.exceptions import GoogleAPICallError
from google.cloud.secretmanager_v1 import SecretManagerServiceAsyncClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports.grpc_asyncio import (
    SecretManagerServiceGrpcAsyncIOTransport,
)

from orchestra_creds.emulator.server import control
from orchestra_creds.emulator.store.store import AuditEntry, Store, Txn
from orchestra_creds.errors import ConfigError
from tests.emulator.conftest import PROJECT, Cloud, state_files

CANARY = b"canary-" + b"3f9a" * 8


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "private" / "emulator.db")


def test_only_the_owner_reads_the_files(store: Store) -> None:
    with store.transaction() as txn:
        txn.seal("x", CANARY)
    modes = {path.name: path.stat().st_mode & 0o777 for path in store.path.parent.iterdir()}
    assert {"emulator.db", "emulator.db.key"} <= modes.keys()
    assert ({0o600}, 0o700) == (set(modes.values()), store.path.parent.stat().st_mode & 0o777)
    store.close()


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "emulator.db"
    path.touch(mode=0o644)
    Store(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_payload_never_stands_in_the_files_in_the_clear(store: Store) -> None:
    with store.transaction() as txn:
        txn.seal("x", CANARY)
    assert CANARY not in state_files(store.path)
    with store.transaction() as txn:
        assert txn.unseal("x") == CANARY
        txn.shred("x")
        assert txn.unseal("x") is None
    store.close()
    assert CANARY not in state_files(store.path)


def test_a_sealed_payload_is_bound_to_its_name(store: Store) -> None:
    with store.transaction() as txn:
        txn.seal("x", CANARY)
        txn.database.execute("UPDATE sealed SET name='y'")
        with pytest.raises(InvalidTag):
            txn.unseal("y")
    store.close()


def test_a_state_without_its_own_key_is_refused(store: Store) -> None:
    store.close()
    key = store.path.with_name("emulator.db.key")
    for content in (None, b"x" * 32):
        key.unlink() if content is None else key.write_bytes(content)
        with pytest.raises(ConfigError, match="missing or belongs to another"):
            Store(store.path)


def test_a_state_of_version_1_goes_on_with_its_log(store: Store) -> None:
    with store.transaction() as txn:
        txn.record(AuditEntry(txn.now, "m", "r", "c", "OK", mutating=True))
    store.close()
    database = sqlite3.connect(store.path)
    database.execute("ALTER TABLE audit DROP COLUMN reason")
    database.execute("PRAGMA user_version=1")
    database.close()
    again = Store(store.path)
    with again.transaction() as txn:
        txn.record(AuditEntry(txn.now, "m", "r", "c", "OK", mutating=True, reason="why"))
        assert [entry.reason for entry in txn.audit()] == ["", "why"]
    again.close()


def test_a_state_of_another_version_is_refused(store: Store) -> None:
    store.close()
    database = sqlite3.connect(store.path)
    database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(ConfigError, match="schema 99"):
        Store(store.path)


def test_a_file_that_is_no_state_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "emulator.db"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(ConfigError, match="not a state file"):
        Store(path)


@pytest.mark.parametrize(
    ("code", "tries", "opened"),
    [
        (sqlite3.SQLITE_BUSY, 3, True),
        (sqlite3.SQLITE_BUSY_RECOVERY, 3, True),
        (sqlite3.SQLITE_LOCKED, 3, True),
        (sqlite3.SQLITE_FULL, 1, False),
    ],
)
def test_only_a_lock_is_waited_for_whatever_sqlite_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, tries: int, opened: bool
) -> None:
    asked = []

    class Refusing(sqlite3.Connection):
        def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
            if "journal_mode" in statement:
                asked.append(statement)
                if len(asked) < 3:
                    error = sqlite3.OperationalError("the file is locked" if code == sqlite3.SQLITE_FULL else "not now")
                    error.sqlite_errorcode = code
                    raise error
            return super().execute(statement, *parameters)

    monkeypatch.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=Refusing))
    with contextlib.nullcontext() if opened else pytest.raises(ConfigError):
        Store(tmp_path / "emulator.db").close()
    assert len(asked) == tries


def test_a_transaction_that_raises_leaves_nothing(store: Store) -> None:
    def half() -> None:
        with store.transaction() as txn:
            txn.put("kind", "name", b"body")
            raise InterruptedError

    with pytest.raises(InterruptedError):
        half()
    with store.transaction() as txn:
        assert txn.get("kind", "name") is None
    store.close()


def test_an_undoable_part_is_undone_alone(store: Store) -> None:
    def half(txn: Txn) -> None:
        with txn.undoable():
            txn.put("kind", "inside", b"2")
            raise InterruptedError

    with store.transaction() as txn:
        txn.put("kind", "before", b"1")
        with pytest.raises(InterruptedError):
            half(txn)
        txn.put("kind", "after", b"3")
    with store.transaction() as txn:
        assert [txn.get("kind", name) for name in ("before", "inside", "after")] == [b"1", None, b"3"]
    store.close()


def test_a_reader_may_see_the_past(store: Store) -> None:
    with store.transaction() as txn:
        txn.put("kind", "name", b"old")
    store.advance(timedelta(minutes=1))
    with store.transaction() as txn:
        txn.put("kind", "name", b"new")
        assert (txn.get("kind", "name"), txn.get("kind", "name", lag=10)) == (b"new", b"old")
    store.advance(timedelta(seconds=11))
    with store.transaction() as txn:
        assert txn.get("kind", "name", lag=10) == b"new"
    store.close()


def test_all_stores_on_a_file_share_one_clock_that_moves_forward(tmp_path: Path) -> None:
    frozen = datetime(2026, 1, 1, tzinfo=UTC)
    one, two = (Store(tmp_path / "emulator.db", wall=frozen.timestamp) for _ in range(2))
    assert frozen + timedelta(days=8) == one.advance(timedelta(days=8)) == two.now()
    with pytest.raises(ConfigError, match="forward only"):
        one.advance(timedelta(seconds=-1))
    two.reset()
    assert frozen == one.now()
    one.close()
    two.close()


def test_timers_come_due_once_in_order(store: Store) -> None:
    now = store.now()
    with store.transaction() as txn:
        txn.schedule("b", "later", now + timedelta(hours=2))
        txn.schedule("a", "sooner", now + timedelta(hours=1))
        txn.schedule("c", "never", now + timedelta(days=9))
        assert txn.take_due() == []
    store.advance(timedelta(hours=3))
    with store.transaction() as txn:
        assert txn.take_due() == [("a", "sooner"), ("b", "later")]
        assert txn.take_due() == []
    store.close()


def test_the_audit_log_keeps_its_order_and_forgets_the_oldest(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestra_creds.emulator.store.store.AUDIT_KEPT", 10)
    with store.transaction() as txn:
        for number in range(1005):
            txn.record(AuditEntry(txn.now, "m", str(number), "c", "OK", mutating=False))
        assert [str(number) for number in range(990, 1005)] == [entry.resource for entry in txn.audit()][-15:]
        assert len(txn.audit(limit=1000)) == 15
    store.close()


def test_a_reset_forgets_everything_but_the_port(store: Store) -> None:
    with store.transaction() as txn:
        txn.put("kind", "name", b"body")
        txn.seal("x", CANARY)
        txn.set_setting("http_port", 4711)
        txn.set_setting("faults", [])
        txn.next("counter")
    store.reset()
    with store.transaction() as txn:
        assert (
            txn.get("kind", "name"),
            txn.unseal("x"),
            txn.setting("http_port", 0),
            txn.setting("faults", "none"),
        ) == (None, None, 4711, "none")
        assert txn.next("counter") == 1
    store.close()


def test_two_threads_and_two_stores_never_share_a_number(tmp_path: Path) -> None:
    stores = [Store(tmp_path / "emulator.db") for _ in range(2)]
    numbers: list[int] = []

    def count(store: Store) -> None:
        for _ in range(50):
            with store.transaction() as txn:
                numbers.append(txn.next("counter"))

    threads = [threading.Thread(target=count, args=(store,)) for store in stores * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(range(1, 201)) == sorted(numbers)
    for store in stores:
        store.close()


SERVER = """
import sys, threading
from pathlib import Path
from orchestra_creds.emulator.server import control
running = control.start_in_process(Path(sys.argv[1]))
print(running.endpoints.grpc, flush=True)
threading.Event().wait()
"""


def test_kill_9_of_two_servers_loses_nothing_acknowledged(tmp_path: Path) -> None:
    state = tmp_path / "emulator.db"
    with control.start_in_process(state) as running:
        Cloud(running.emulator).secret("db")
    servers = [
        subprocess.Popen([sys.executable, "-c", SERVER, str(state)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    acknowledged: dict[str, bytes] = {}

    async def add(client: SecretManagerServiceAsyncClient, payload: bytes) -> None:
        try:
            version = await client.add_secret_version(
                request={"parent": f"{PROJECT}/secrets/db", "payload": {"data": payload}}, timeout=20
            )
        except GoogleAPICallError:
            return
        assert version.name not in acknowledged
        acknowledged[version.name] = payload
        if len(acknowledged) == 80:
            for server in servers:
                os.kill(server.pid, signal.SIGKILL)

    async def attack() -> None:
        targets = [server.stdout.readline().strip() for server in servers if server.stdout is not None]
        channels = [grpc.aio.insecure_channel(target) for target in targets]
        clients = [
            SecretManagerServiceAsyncClient(transport=SecretManagerServiceGrpcAsyncIOTransport(channel=channel))
            for channel in channels
        ]
        await asyncio.gather(*(add(clients[n % 2], b"payload %d" % n) for n in range(200)))
        for channel in channels:
            await channel.close()

    asyncio.run(attack())
    for server in servers:
        assert server.wait() == -signal.SIGKILL
        if server.stdout is not None:
            server.stdout.close()
    assert 80 <= len(acknowledged) < 200
    with control.start_in_process(state) as running:
        cloud = Cloud(running.emulator)
        for name, payload in acknowledged.items():
            assert payload == cloud.access(name)
        listed = cloud.call("ListSecretVersions", parent=f"{PROJECT}/secrets/db", page_size=1000)
        stored = [version.name for version in listed.versions]
        assert len(stored) == len(set(stored)) >= len(acknowledged)
        assert set(acknowledged) <= set(stored)


def test_the_log_is_read_to_its_limit_and_keeps_no_call_waiting(store: Store) -> None:
    with store.transaction() as txn:
        for number in range(10):
            txn.record(AuditEntry(txn.now, f"Method{number}", "r", "c", "OK", mutating=number % 3 == 0))
    said: list[str] = []
    store._database.set_trace_callback(said.append)
    assert [entry.method for entry in store.audit(limit=2)] == ["Method8", "Method9"]
    assert [entry.method for entry in store.audit(limit=2, mutating=True)] == ["Method6", "Method9"]
    assert [statement.split()[0] for statement in said] == ["SELECT", "SELECT"]
    assert all(statement.endswith("LIMIT 2") for statement in said)
    store.close()
