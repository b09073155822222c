"""Everything the embedded cloud remembers: one SQLite file (WAL, 0600) and one key file beside it (0600).

Guarantees: a transaction is exclusive over all threads and processes (BEGIN IMMEDIATE), so a handler sees no half
change and numbers never repeat; what was acknowledged survives `kill -9`; payloads are sealed with AES-256-GCM and
never stand in the file in the clear, also not after deletion (secure_delete); the time is the machine's plus an
offset that lives in the store, so all processes share one clock.
"""

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from orchestra_creds.emulator.store.private_file import read_private_file
from orchestra_creds.errors import ConfigError, UnavailableError

SCHEMA_VERSION = 2
"""2 keeps the reason of a call; a file of version 1 is brought to it when it is opened."""
STRICT = "strict"
"""Setting: the state is in strict mode (protocol/strict.py)."""
AUDIT_KEPT = 100_000
"""Entries of the audit log that are kept; older ones are dropped."""

_BUSY_SECONDS = 30.0
_LOCKED_CODES = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_NONCE_BYTES = 12
_SCHEMA = """
CREATE TABLE resource (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, name TEXT NOT NULL, parent TEXT NOT NULL,
  body BLOB NOT NULL, previous BLOB, created REAL NOT NULL, changed REAL NOT NULL, UNIQUE (kind, name));
CREATE INDEX resource_parent ON resource (kind, parent, seq);
CREATE TABLE sealed (name TEXT PRIMARY KEY, box BLOB NOT NULL);
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE timer (kind TEXT NOT NULL, name TEXT NOT NULL, due REAL NOT NULL, PRIMARY KEY (kind, name));
CREATE INDEX timer_due ON timer (due);
CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, method TEXT NOT NULL, resource TEXT NOT NULL,
  caller TEXT NOT NULL, status TEXT NOT NULL, mutating INTEGER NOT NULL, reason TEXT NOT NULL DEFAULT '');
"""
_AUDIT = "time, method, resource, caller, status, mutating, reason"
_TABLES = ("resource", "sealed", "counter", "timer", "audit", "sqlite_sequence")


@dataclass(frozen=True, slots=True)
class ResourceRow:
    """A stored resource: its place in the order of creation, its name, its encoded message, its birth (Unix time)."""

    seq: int
    name: str
    body: bytes
    created: float


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One call as the audit log keeps it; `status` is a canonical code name such as OK or NOT_FOUND, `reason` the caller's."""

    time: datetime
    method: str
    resource: str
    caller: str
    status: str
    mutating: bool
    reason: str = ""


class Store:
    """One state file, opened; safe to use from any number of threads, and the file from any number of processes."""

    owner_token: str
    """The bearer token of who may do everything; derived from the key file, so it outlives `reset` and never ends."""

    def __init__(self, path: Path, *, wall: Callable[[], float] = time.time) -> None:
        self.path = path
        self._wall = wall
        self._lock = threading.Lock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _private(path)
        self._database = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
            key = self._key()
            self._box = AESGCM(key)
            self.owner_token = "ya29.owner-" + hmac.new(key, b"owner token", hashlib.sha256).hexdigest()
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise ConfigError(
                f"{path} is not a state file of the embedded cloud", hint="choose another state path or delete the file"
            ) from error
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Close the file; a later transaction raises."""
        with self._lock:
            self._database.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator["Txn"]:
        """One exclusive transaction: committed at the end, rolled back when the block raises."""
        with self._lock, _finish(Txn(self._database, self._wall, self._box, self.owner_token)) as txn:
            yield txn

    def reset(self) -> None:
        """Forget every resource, payload, fault, timer and audit entry; keep only the mode and where the servers listen."""
        with self.transaction() as txn:
            for table in _TABLES:
                txn.database.execute(f"DELETE FROM {table}")  # noqa: S608  # names are constants above
            txn.database.execute("DELETE FROM setting WHERE key NOT IN ('key_check', 'http_port', ?)", (STRICT,))

    def advance(self, step: timedelta) -> datetime:
        """Move the shared clock forward; returns the new time."""
        if step < timedelta(0):
            raise ConfigError("the clock moves forward only", hint="`emulator reset` puts it back")
        with self.transaction() as txn:
            txn.set_setting("clock_offset", txn.setting("clock_offset", 0.0) + step.total_seconds())
        with self.transaction() as txn:
            return txn.now

    def audit(self, *, limit: int = AUDIT_KEPT, mutating: bool = False) -> list[AuditEntry]:
        """The last entries of the audit log, oldest first, or of those that change something; keeps no call waiting."""
        with self._lock:
            return _audit_entries(self._database, limit, mutating=mutating)

    def now(self) -> datetime:
        """The time that handlers see."""
        with self.transaction() as txn:
            return txn.now

    def _prepare(self) -> None:
        for pragma in ("synchronous=NORMAL", "secure_delete=ON", "foreign_keys=OFF"):
            self._database.execute(f"PRAGMA {pragma}")
        self._switch_to_wal()
        self._database.execute("BEGIN IMMEDIATE")
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            for statement in _SCHEMA.split(";"):
                self._database.execute(statement)
        if version == 1:
            self._database.execute("ALTER TABLE audit ADD COLUMN reason TEXT NOT NULL DEFAULT ''")
        if version < SCHEMA_VERSION:
            self._database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        self._database.execute("COMMIT")
        if version > SCHEMA_VERSION:
            raise ConfigError(
                f"{self.path} was written by another version (schema {version}, this one has {SCHEMA_VERSION})",
                hint="choose another state path or delete the file",
            )

    def _switch_to_wal(self) -> None:
        # NOTE: the switch itself ignores the busy timeout when two processes open a new file at the same moment.
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                self._database.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _LOCKED_CODES:  # the low byte is the primary code
                    raise
                if time.monotonic() > deadline:
                    raise UnavailableError(f"{self.path} is locked by another process") from error
                time.sleep(0.005)
            else:
                return

    def _key(self) -> bytes:
        """The sealing key, made at first use; a state file without its own key is refused."""
        path = self.path.with_name(self.path.name + ".key")
        with _finish(Txn(self._database, self._wall, None)) as txn:  # it cannot seal
            check = txn.setting("key_check", "")
            if not check:
                key = _new_key(path)
                txn.set_setting("key_check", hashlib.sha256(key).hexdigest()[:32])
                return key
        try:
            key = read_private_file(path)
        except FileNotFoundError:
            key = b""
        if hashlib.sha256(key).hexdigest()[:32] != check:
            raise ConfigError(
                f"{path} is missing or belongs to another state file", hint="restore it, or delete both files"
            )
        return key


class Txn:
    """One exclusive transaction: resources, payloads, counters, timers, settings, audit, and the time `now`."""

    def __init__(
        self, database: sqlite3.Connection, wall: Callable[[], float], box: AESGCM | None, owner_token: str = ""
    ) -> None:
        self.owner_token = owner_token
        self.database = database
        self._wall = wall
        self._box = box
        self._settings: dict[str, str] = {}
        self.now = datetime.min.replace(tzinfo=UTC)

    # Resources: one encoded message per kind and name, in the order of creation.

    def get(self, kind: str, name: str, *, lag: float = 0.0) -> bytes | None:
        """The resource's body, or None. With `lag` seconds: as a reader saw it that long ago (one change deep)."""
        row = self.database.execute(
            "SELECT body, previous, changed FROM resource WHERE kind=? AND name=?", (kind, name)
        ).fetchone()
        if row is None:
            return None
        body, previous, changed = row
        seen: bytes | None = previous if lag and changed > self.now.timestamp() - lag else body
        return seen

    def put(self, kind: str, name: str, body: bytes, *, parent: str = "") -> None:
        """Create or replace; a replaced resource keeps its parent and its place in the order."""
        self.database.execute(
            "INSERT INTO resource (kind, name, parent, body, created, changed) VALUES (?1, ?2, ?3, ?4, ?5, ?5) "
            "ON CONFLICT (kind, name) DO UPDATE SET previous=resource.body, body=excluded.body, changed=excluded.changed",
            (kind, name, parent, body, self.now.timestamp()),
        )

    def delete(self, kind: str, name: str) -> bool:
        """Remove; False when there was none."""
        return self.database.execute("DELETE FROM resource WHERE kind=? AND name=?", (kind, name)).rowcount > 0

    def children(self, kind: str, parent: str, *, before: int | None = None, limit: int = -1) -> list[ResourceRow]:
        """Resources under a parent, newest first; `before` is a `seq` to go on after, limit -1 means all."""
        rows = self.database.execute(
            "SELECT seq, name, body, created FROM resource WHERE kind=? AND parent=? AND seq<? ORDER BY seq DESC LIMIT ?",
            (kind, parent, 2**62 if before is None else before, limit),
        )
        return [ResourceRow(*row) for row in rows]

    def count(self, kind: str, parent: str) -> int:
        """How many resources a parent has."""
        found = self.database.execute("SELECT COUNT(*) FROM resource WHERE kind=? AND parent=?", (kind, parent))
        return int(found.fetchone()[0])

    def newest(self, kind: str, parent: str, *, lag: float = 0.0) -> ResourceRow | None:
        """The newest child; with `lag` seconds the newest that has existed for so long, or else the oldest."""
        rows = self.children(kind, parent) if lag else self.children(kind, parent, limit=1)
        if not rows:
            return None
        settled = [row for row in rows if row.created <= self.now.timestamp() - lag] if lag else rows
        return settled[0] if settled else rows[-1]

    # Payloads, sealed at rest.

    def seal(self, name: str, payload: bytes) -> None:
        """Keep a payload under a name, sealed; the name is bound to it."""
        if self._box is None:
            raise RuntimeError("this transaction cannot seal")
        nonce = secrets.token_bytes(_NONCE_BYTES)
        box = nonce + self._box.encrypt(nonce, payload, name.encode())
        self.database.execute("INSERT OR REPLACE INTO sealed (name, box) VALUES (?, ?)", (name, box))

    def unseal(self, name: str) -> bytes | None:
        """The payload, or None when there is none (any more)."""
        row = self.database.execute("SELECT box FROM sealed WHERE name=?", (name,)).fetchone()
        if row is None or self._box is None:
            return None
        return self._box.decrypt(row[0][:_NONCE_BYTES], row[0][_NONCE_BYTES:], name.encode())

    def shred(self, name: str) -> None:
        """Forget a payload for ever."""
        self.database.execute("DELETE FROM sealed WHERE name=?", (name,))

    # Numbers, settings and timers.

    def next(self, counter: str) -> int:
        """The next number of a counter: 1, 2, 3, … never twice."""
        row = self.database.execute(
            "INSERT INTO counter (name, value) VALUES (?, 1) "
            "ON CONFLICT (name) DO UPDATE SET value=value+1 RETURNING value",
            (counter,),
        ).fetchone()
        return int(row[0])

    def forget(self, counter: str) -> None:
        """Start a counter anew."""
        self.database.execute("DELETE FROM counter WHERE name=?", (counter,))

    def setting(self, key: str, default: Any) -> Any:
        """A JSON value kept under a key."""
        text = self._settings.get(key)
        return default if text is None else json.loads(text)

    def set_setting(self, key: str, value: Any) -> None:
        """Keep a JSON value under a key; None removes it."""
        if value is None:
            self.database.execute("DELETE FROM setting WHERE key=?", (key,))
            self._settings.pop(key, None)
        else:
            self._settings[key] = json.dumps(value)
            self.database.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (key, self._settings[key]))

    def schedule(self, kind: str, name: str, due: datetime) -> None:
        """Have the service's timer function called with `name` once the clock has passed `due`."""
        self.database.execute("INSERT OR REPLACE INTO timer VALUES (?, ?, ?)", (kind, name, due.timestamp()))

    def unschedule(self, kind: str, name: str) -> None:
        """Drop a timer, if there is one."""
        self.database.execute("DELETE FROM timer WHERE kind=? AND name=?", (kind, name))

    def take_due(self) -> list[tuple[str, str]]:
        """Remove and return the (kind, name) of every timer that is due, earliest first."""
        due = self.database.execute(
            "SELECT kind, name FROM timer WHERE due<=? ORDER BY due", (self.now.timestamp(),)
        ).fetchall()
        for kind, name in due:
            self.unschedule(kind, name)
        return due

    # The audit log.

    def record(self, entry: AuditEntry) -> None:
        """Append to the audit log."""
        cursor = self.database.execute(
            f"INSERT INTO audit ({_AUDIT}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  # a constant above
            (
                entry.time.timestamp(),
                entry.method,
                entry.resource,
                entry.caller,
                entry.status,
                entry.mutating,
                entry.reason,
            ),
        )
        if cursor.lastrowid is not None and cursor.lastrowid % 1000 == 0:
            self.database.execute("DELETE FROM audit WHERE id<=?", (cursor.lastrowid - AUDIT_KEPT,))

    def audit(self, *, limit: int = AUDIT_KEPT) -> list[AuditEntry]:
        """The last entries of the audit log, oldest first."""
        return _audit_entries(self.database, limit)

    # The course of the transaction.

    def begin(self) -> None:
        """Take the file for ourselves, read the few settings there are, and fix the time."""
        self.database.execute("BEGIN IMMEDIATE")
        self._settings = dict(self.database.execute("SELECT key, value FROM setting"))
        self.now = datetime.fromtimestamp(self._wall() + self.setting("clock_offset", 0.0), UTC)

    def commit(self) -> None:
        """Make it durable."""
        self.database.execute("COMMIT")

    def rollback(self) -> None:
        """Undo everything since `begin`."""
        self.database.execute("ROLLBACK")

    @contextlib.contextmanager
    def undoable(self) -> Iterator[None]:
        """A part that is undone by itself when it raises, while the rest of the transaction stands."""
        self.database.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            self.database.execute("ROLLBACK TO part")
            self.database.execute("RELEASE part")
            raise
        self.database.execute("RELEASE part")


def _private(path: Path) -> None:
    """The file exists and only its owner may read it."""
    # NOTE: an existing file is never opened here: closing it would drop the locks of another Store in this process.
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        path.chmod(0o600)


def _new_key(path: Path) -> bytes:
    """A fresh key in a 0600 file; called inside the exclusive transaction that first opens the state."""
    key = AESGCM.generate_key(bit_length=256)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
    return key


def _audit_entries(database: sqlite3.Connection, limit: int, *, mutating: bool = False) -> list[AuditEntry]:
    """Return the last entries of the audit log, oldest first; with `mutating`, the last of those that change something."""
    wanted = "WHERE mutating " if mutating else ""
    newest_first = f"SELECT {_AUDIT} FROM audit {wanted}ORDER BY id DESC LIMIT ?"  # noqa: S608  # constants
    return [
        AuditEntry(datetime.fromtimestamp(row[0], UTC), row[1], row[2], row[3], row[4], bool(row[5]), row[6])
        for row in reversed(database.execute(newest_first, (limit,)).fetchall())
    ]


@contextlib.contextmanager
def _finish(txn: Txn) -> Iterator[Txn]:
    """Begin a transaction; commit it at the end of the block, or roll it back when the block raises."""
    txn.begin()
    try:
        yield txn
    except BaseException:
        txn.rollback()
        raise
    txn.commit()
