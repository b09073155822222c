"""The library in a service: four uvicorn workers and a real PostgreSQL, while credentials rotate and Secret Manager fails.

The embedded cloud is a daemon, PostgreSQL is Debian's, the load is at a fixed rate. Each disturbance has a phase of its own; a request
fails if its answer is not 200, or does not come within the deadline. Needs the tools of `scripts/install dev` and Debian's `postgresql`.
"""

import argparse
import asyncio
import contextlib
import glob
import http.client
import json
import logging
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import page
from orchestra_creds.core.cloud_types import VersionMaterial
from orchestra_creds.core.material import Material
from orchestra_creds.errors import UnavailableError
from orchestra_creds.library.aio import AsyncCredentialManager

PROJECT = "demo-project"
COMMAND = str(Path(sys.executable).with_name("orchestra-creds"))
DEADLINE = 20.0
"""Seconds after which a request counts as failed."""
WORKERS = 4
ROUTES = ("/cached", "/token", "/psycopg", "/pool", "/sqlalchemy", "/health")
"""Routes in turn; `/disabled` is asked in its own phase only."""

APP = """
import os
from typing import Annotated

import google.auth.transport.requests
import psycopg
import psycopg_pool
import sqlalchemy
from fastapi import Depends, FastAPI, Request
from sqlalchemy import event

from orchestra_creds import CredentialManager, set_credential_manager
from orchestra_creds.fastapi import AuthFailureRetry, OnAuthFailure, Secret
from orchestra_creds.library.refusals import is_password_refused

creds = CredentialManager(ttl=float(os.environ["TTL"]))
set_credential_manager(creds)
for name in ("app-config", "app-db"):
    creds.get_secret(name)
connector = creds.connector("app-db")
place = {"host": "127.0.0.1", "port": int(os.environ["PGPORT"]), "dbname": "postgres", "connect_timeout": 10}
pool = psycopg_pool.ConnectionPool(
    kwargs=place, connection_class=connector.connection_class(psycopg.Connection), min_size=1, max_size=4, max_lifetime=5, open=True
)
engine = sqlalchemy.create_engine(f"postgresql+psycopg://127.0.0.1:{os.environ['PGPORT']}/postgres", pool_recycle=5, pool_size=4)
event.listen(engine, "do_connect", connector.connect_engine)
google_client = google.auth.transport.requests.AuthorizedSession(creds.google_credentials("app-one"))
root = os.environ["ORCHESTRA_CREDS_EMULATOR_HTTP"]
transport = google.auth.transport.requests.Request()
app = FastAPI()


@app.get("/health")
async def health() -> bool:
    return True


@app.get("/cached")
async def cached(value: Annotated[str, Depends(Secret("app-config"))]) -> int:
    return len(value)


@app.get("/disabled")
async def disabled(value: Annotated[str, Depends(Secret("app-disabled"))]) -> int:
    return len(value)


@app.get("/token")
def token() -> str:
    headers = {}
    google_client.credentials.before_request(transport, "GET", root, headers)
    return google_client.credentials.signer_email


@app.get("/psycopg")
def plain(database: Annotated[AuthFailureRetry, Depends(OnAuthFailure("app-db", is_password_refused))]) -> str:
    with database.call(lambda url: psycopg.connect(url, connect_timeout=10)) as connection:
        return connection.execute("SELECT current_user").fetchone()[0]


@app.get("/pool")
def pooled() -> str:
    with pool.connection() as connection:
        return connection.execute("SELECT current_user").fetchone()[0]


@app.get("/sqlalchemy")
def through_the_engine() -> str:
    with engine.connect() as connection:
        return connection.execute(sqlalchemy.text("SELECT current_user")).scalar()
"""

CONFIG = """schema = 1
[project]
id = "{project}"
[credentials.app-db]
kind = "postgres"
every = "30d"
grace = "1d"
soak = "0s"
settle = "0s"
[credentials.app-db.postgres]
users = ["app_a", "app_b"]
admin_secret = "pg-admin"
host = "127.0.0.1"
port = {port}
database = "postgres"
sslmode = "disable"
[credentials.app-one-key]
kind = "service-account-key"
account = "app-one"
every = "30d"
grace = "1d"
soak = "0s"
settle = "0s"
"""


@dataclass
class Load:
    """Requests at a fixed rate from a few threads: what came of each, by phase and route."""

    port: int
    rate: float
    phase: str = "warm-up"
    seconds: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    failures: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    stop: threading.Event = field(default_factory=threading.Event)
    count: int = 0
    guard: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Ask until told to stop; a request that is late because others were slow is still asked at its time."""
        began = time.monotonic()
        threads = [threading.Thread(target=self._work, args=(began,), daemon=True) for _ in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self, began: float) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        while not self.stop.is_set():
            with self.guard:
                number, self.count = self.count, self.count + 1
            if self.stop.wait(max(began + number / self.rate - time.monotonic(), 0)):
                return
            routes = (*ROUTES, "/disabled") if self.phase == "secret disable" else ROUTES
            connection = self._ask(connection, routes[number % len(routes)])

    def _ask(self, connection: http.client.HTTPConnection, route: str) -> http.client.HTTPConnection:
        place, start = (self.phase, route), time.monotonic()
        try:
            connection.request("GET", route)
            reply = connection.getresponse()
            body = reply.read()
            wrong = "" if reply.status == 200 else f"{reply.status} {body[:60]!r}"
        except (OSError, http.client.HTTPException) as error:
            wrong = type(error).__name__
            connection.close()
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        with self.guard:
            self.seconds[place].append(time.monotonic() - start)
            if wrong:
                self.failures[place].append(wrong)
        return connection


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[int]:
    """A PostgreSQL of Debian's with two roles; its port."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    if not found:
        raise SystemExit("there is no PostgreSQL server; install Debian's postgresql")
    binary, data = Path(found[-1]).parent, folder / "data"
    owner = pwd.getpwnam("postgres") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    folder.mkdir()
    if os.getuid() == 0:
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    port = free_port()

    def as_owner(*command: str) -> None:
        user = {"user": owner.pw_uid, "group": owner.pw_gid} if os.getuid() == 0 else {}
        subprocess.run(command, check=True, capture_output=True, cwd=folder, **user)  # type: ignore[call-overload]

    as_owner(str(binary / "initdb"), "-D", str(data), "-U", "admin", "--auth=trust", "--no-sync")
    (data / "pg_hba.conf").write_text("host all admin 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200"
    as_owner(str(binary / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        with psycopg.connect(f"postgresql://admin@127.0.0.1:{port}/postgres", autocommit=True) as connection:
            connection.execute("CREATE ROLE app_a")
            connection.execute("CREATE ROLE app_b")
        yield port
    finally:
        as_owner(str(binary / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Stage:
    """The embedded cloud with the secrets of the service, and the command that works on it."""

    def __init__(self, folder: Path, database: int) -> None:
        self.folder = folder
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRA_CREDS")}
        self.environment |= {
            "ORCHESTRA_CREDS_STATE_DIR": str(folder / "state"),
            "ORCHESTRA_CREDS_BACKEND": "local",
            "ORCHESTRA_CREDS_PROJECT": PROJECT,
        }
        (folder / "orchestra-creds.toml").write_text(CONFIG.format(project=PROJECT, port=database))
        self.run("emulator", "start")
        for line in self.run("emulator", "env", "--project", PROJECT).splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            if name.startswith("ORCHESTRA_CREDS_EMULATOR"):
                self.environment[name] = value.strip("'")
        self.store("pg-admin", f"postgresql://admin@127.0.0.1:{database}/postgres?sslmode=disable")
        self.store("app-config", json.dumps({"feature": True}))
        self.store("app-disabled", "soon disabled")
        self.make_account()
        self.run("rotate", "--all")

    def run(self, *arguments: str, text: str = "", codes: Sequence[int] = (0,)) -> str:
        """Run a verb; what it prints."""
        done = subprocess.run(
            [COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in codes:
            raise SystemExit(f"{' '.join(arguments)}: exit {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def store(self, name: str, value: str) -> None:
        """Store a value."""
        self.run("secret", "set", name, "--stdin", text=value)

    def make_account(self) -> None:
        """Make the account whose key rotates."""
        from orchestra_creds.emulator.protocol.routes import IAM_ADMIN, rpcs
        from orchestra_creds.emulator.server import control
        from orchestra_creds.emulator.server.dispatch import Emulator
        from orchestra_creds.emulator.store.store import Store

        store = Store(self.folder / "state" / "emulator.db")
        name = f"{IAM_ADMIN}/CreateServiceAccount"
        request = rpcs()[name].request(name=f"projects/{PROJECT}", account_id="app-one")
        Emulator(store, control.SERVICES).rpc(name, request, {})
        store.close()


def disturbances(stage: Stage, outage: float) -> list[tuple[str, Callable[[], None]]]:
    """Each disturbance by name, and what makes it."""
    names = ("app-db", "app-one-key")

    def stop_the_cloud() -> None:
        stage.run("emulator", "stop")
        time.sleep(outage)
        stage.run("emulator", "start")

    def slow_the_cloud() -> None:
        stage.run("emulator", "fault", "*", "--code", "OK", "--times", "0", "--delay", "5s")
        time.sleep(outage)
        stage.run("emulator", "fault", "--clear")

    def restart_the_cloud() -> None:
        stage.run("emulator", "stop")
        stage.run("emulator", "start")

    def leak() -> None:
        for name in names:
            stage.run("rotate", name, "--leaked")

    def retire() -> None:
        stage.run("emulator", "clock", "--advance", "2d")
        stage.run("rotate", "--due")

    return [
        ("rotate --force", lambda: stage.run("rotate", *names, "--force") and None),
        ("retire", retire),
        ("rotate --leaked", leak),
        ("secret disable", lambda: stage.run("secret", "disable", "app-disabled", "1") and None),
        (f"{outage:.0f} s down", stop_the_cloud),
        (f"{outage:.0f} s slow, 5 s a call", slow_the_cloud),
        ("emulator restart", restart_the_cloud),
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share lies, in milliseconds."""
    return 1000 * sorted(values)[min(int(len(values) * share), len(values) - 1)] if values else 0.0


def report(load: Load, phases: Sequence[str]) -> tuple[str, bool]:
    """A table by phase, and whether all holds that must: nothing failed but what asked for a disabled version."""
    lines = [
        "| phase | requests | failed | cached p50 ms | cached p99 ms | no secret p99 ms | database p99 ms | why |",
        "| --- |" + " --- |" * 7,
    ]
    good = True
    for phase in phases:
        places = [place for place in load.seconds if place[0] == phase]
        wrong = [f"{place[1]} {text}" for place in places for text in load.failures[place]]
        bad = [text for text in wrong if not text.startswith("/disabled 503")]
        good = good and not bad
        cached = load.seconds[phase, "/cached"]
        database = [each for route in ("/psycopg", "/pool", "/sqlalchemy") for each in load.seconds[phase, route]]
        shown = f"{len(bad)}" + (
            f" (and {len(wrong) - len(bad)} of the disabled version)" if len(wrong) > len(bad) else ""
        )
        why = "; ".join(sorted(set(bad)))[:120]
        total = sum(len(load.seconds[place]) for place in places)
        lines.append(
            f"| {phase} | {total} | {shown} | {percentile(cached, 0.5):.1f} | {percentile(cached, 0.99):.1f} "
            f"| {percentile(load.seconds[phase, '/health'], 0.99):.1f} | {percentile(database, 0.99):.1f} | {why} |"
        )
    return "\n".join(lines), good


class SilentStore:
    """Answers once, and then not at all, or with a refusal to answer; counts the calls."""

    def __init__(self, *, hangs: bool) -> None:
        self.hangs, self.calls = hangs, 0

    def access(self, name: str, _version: int | str, *, deadline: float | None = None) -> VersionMaterial:
        """The value at first; then an outage."""
        self.calls += 1
        if self.calls == 1:
            return VersionMaterial(name, 1, Material(b"held"))
        if self.hangs:
            time.sleep(deadline or 10.0)
        raise UnavailableError("no answer")


def read_in_process(seconds: float) -> str:
    """A table of reads a second by 40 threads and by 1,000 coroutines that hold a value, while the store hangs or refuses."""
    lines = ["| callers | store | reads a second | slowest read ms | calls of the store |", "| --- |" + " --- |" * 4]
    for callers, count in (("40 threads", count_in_threads), ("1,000 coroutines", count_in_coroutines)):
        for what, hangs in (("hangs", True), ("UNAVAILABLE", False)):
            store, start = SilentStore(hangs=hangs), time.monotonic()
            later = [0.0]
            options: dict[str, Any] = {
                "ttl": 20.0,
                "store": store,
                "clock": lambda later=later: time.monotonic() + later[0],
            }
            manager = AsyncCredentialManager(environment="", **options)
            manager.manager.get_secret("db")
            later[0] = 21.0
            reads, slowest = count(manager, seconds)
            rate = reads / (time.monotonic() - start)
            lines.append(f"| {callers} | {what} | {rate:,.0f} | {slowest * 1000:.0f} | {store.calls - 1} |")
    return "\n".join(lines)


def count_in_threads(manager: AsyncCredentialManager, seconds: float) -> tuple[int, float]:
    """Reads by 40 threads, and the slowest."""
    end = time.monotonic() + seconds

    def read(_number: int) -> tuple[int, float]:
        count, slowest = 0, 0.0
        while (start := time.monotonic()) < end:
            manager.manager.get_secret("db")
            slowest = max(slowest, time.monotonic() - start)
            count += 1
        return count, slowest

    with ThreadPoolExecutor(40) as pool:
        found = list(pool.map(read, range(40)))
    return sum(count for count, _ in found), max(slowest for _, slowest in found)


def count_in_coroutines(manager: AsyncCredentialManager, seconds: float) -> tuple[int, float]:
    """Reads by 1,000 coroutines, each of which lets the others go on after a read, and the slowest."""
    end = time.monotonic() + seconds

    async def read() -> tuple[int, float]:
        count, slowest = 0, 0.0
        while (start := time.monotonic()) < end:
            await manager.get_secret("db")
            slowest = max(slowest, time.monotonic() - start)
            count += 1
            await asyncio.sleep(0)
        return count, slowest

    async def read_all() -> list[tuple[int, float]]:
        return await asyncio.gather(*(read() for _ in range(1000)))

    found = asyncio.run(read_all())
    return sum(count for count, _ in found), max(slowest for _, slowest in found)


def main() -> None:
    """Run the service through every disturbance, and print what became of the requests."""
    parser = argparse.ArgumentParser(prog="scripts/bench library", description=__doc__)
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument("--ttl", type=float, default=20.0, help="seconds a value is kept")
    parser.add_argument("--quiet-for", type=float, default=30.0, help="seconds of a phase beside its disturbance")
    parser.add_argument("--outage", type=float, default=60.0, help="seconds that Secret Manager is down, and slow")
    parser.add_argument(
        "--in-process", type=float, default=15.0, help="seconds of each reading without a service; 0 for none"
    )
    parser.add_argument("--write", type=Path, help="a page with marks for `library`; the tables go there")
    options = parser.parse_args()
    logging.getLogger("orchestra_creds").setLevel(logging.ERROR)
    tables = [read_in_process(options.in_process)] if options.in_process else []
    folder = Path(tempfile.mkdtemp(prefix="bench-library-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        with postgres(folder / "pg") as database:
            tables.append(measure(folder, database, options))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.write:
        page.replace(options.write, "library", "\n\n".join(tables))
    else:
        print("\n\n".join(tables))


def measure(folder: Path, database: int, options: argparse.Namespace) -> str:
    """Start cloud, service and load; disturb; return the table.

    Raises:
        SystemExit: a request failed that must not.
    """
    stage = Stage(folder, database)
    (folder / "app.py").write_text(textwrap.dedent(APP))
    port = free_port()
    environment = stage.environment | {"TTL": str(options.ttl), "PGPORT": str(database)}
    command = [sys.executable, "-m", "uvicorn", "app:app", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "app.log").open("wb") as log:
        service = subprocess.Popen(
            [*command, "--workers", str(WORKERS), "--log-level", "warning"],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
        )
    load = Load(port, options.rate)
    try:
        wait_for_service(port)
        runner = threading.Thread(target=load.run, daemon=True)
        runner.start()
        time.sleep(5)
        phases = ["quiet"]
        load.phase = "quiet"
        time.sleep(options.quiet_for)
        for name, disturb in disturbances(stage, options.outage):
            load.phase = name
            phases.append(name)
            disturb()
            time.sleep(options.quiet_for)
        load.stop.set()
        runner.join(DEADLINE + 5)
        text, good = report(load, phases)
        quiet = percentile(load.seconds["quiet", "/cached"], 0.99)
        worst = max(percentile(load.seconds[phase, "/cached"], 0.99) for phase in phases[1:])
        beside = max(
            percentile(load.seconds[phase, "/cached"], 0.99) / percentile(load.seconds[phase, "/health"], 0.99)
            for phase in phases[1:]
        )
        text += (
            f"\n\nThe 99th percentile of the cached route: {quiet:.1f} ms undisturbed, {worst:.1f} ms at worst "
            f"({worst / quiet:.1f} times); {beside:.1f} times that of a route without a secret in the same phase at worst."
        )
        if not good:
            print(text, (folder / "app.log").read_text()[-4000:], sep="\n", file=sys.stderr)
            raise SystemExit(1)
        return text
    finally:
        load.stop.set()
        service.terminate()
        service.wait(30)
        stage.run("emulator", "stop")


def wait_for_service(port: int) -> None:
    """Return when the service answers."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.2)
    raise SystemExit("the service did not start")


if __name__ == "__main__":
    main()
