"""The library while Secret Manager does not answer: nobody waits who has a usable value, and those who must wait share one read."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, cast

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from orchestra_creds import fastapi as ours
from orchestra_creds.core.cloud_types import VersionMaterial
from orchestra_creds.core.material import Material
from orchestra_creds.errors import AuthError, CredsError, UnavailableError
from orchestra_creds.library.aio import AsyncCredentialManager
from orchestra_creds.library.manager import AccessDeniedError, CredentialManager

CALLERS = 40
"""The number of threads in which FastAPI runs routes."""


class Store:
    """A store that counts reads, hangs while its gate is closed, and then answers or raises `error`."""

    def __init__(self) -> None:
        self.reads, self.number = 0, 1
        self.error: CredsError | None = None
        self.gate = threading.Event()
        self.gate.set()

    def access(self, name: str, _version: int | str, *, deadline: float | None = None) -> VersionMaterial:  # noqa: ARG002  as SecretStore
        self.reads += 1
        self.gate.wait(20)
        if self.error is not None:
            raise self.error
        return VersionMaterial(name, self.number, Material(f"value-{self.number}".encode()))


class Clock:
    """Seconds that pass only when told; counts who looks."""

    def __init__(self) -> None:
        self.now, self.looks = 1000.0, 0
        self.enough, self.awaited = threading.Event(), sys.maxsize

    def __call__(self) -> float:
        self.looks += 1
        if self.looks >= self.awaited:
            self.enough.set()
        return self.now


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.gate.set()
    wait_for_reads()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def options(store: Store, clock: Clock, chance: float = 1.0) -> dict[str, Any]:
    return {"environment": "dev", "store": cast("Any", store), "clock": clock, "chance": lambda: chance}


def wait_for(name: str) -> None:
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(60)


def wait_for_reads() -> None:
    wait_for("orchestra-creds-read")


def run_together(work: Callable[[], object], *, before_join: Callable[[], object] = lambda: None) -> list[object]:
    """Run the work in CALLERS threads; return results and errors of those that ended within ten seconds."""
    ended: list[object] = []

    def run() -> None:
        try:
            ended.append(work())
        except CredsError as error:
            ended.append(error)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    before_join()
    end = time.monotonic() + 10
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0))
    return list(ended)


def test_forty_threads_get_the_old_value_while_one_read_hangs(store: Store, clock: Clock) -> None:
    creds = CredentialManager(**options(store, clock))
    assert creds.get_secret("db") == "value-1"
    store.gate.clear()
    store.number = 2
    clock.now += 301
    ended = run_together(lambda: [creds.get_secret("db") for _ in range(5)])
    assert (ended, store.reads) == ([["value-1"] * 5] * CALLERS, 2)
    store.gate.set()
    wait_for_reads()
    assert creds.get_secret("db") == "value-2"
    assert store.reads == 2


def test_after_a_failure_the_next_try_comes_later_and_later(store: Store, clock: Clock) -> None:
    creds = CredentialManager(**options(store, clock))
    creds.get_secret("db")
    store.error = UnavailableError("no answer")
    clock.now += 301
    for delay in (1, 2, 4, 8, 16, 30, 30):
        before = store.reads
        assert run_together(lambda: creds.get_secret("db")) == ["value-1"] * CALLERS
        wait_for_reads()
        clock.now += delay - 0.01
        assert creds.get_secret("db") == "value-1"
        wait_for_reads()
        assert store.reads == before + 1
        clock.now += 0.01
    store.error, store.number = None, 2
    creds.get_secret("db")
    wait_for_reads()
    assert creds.get_secret("db") == "value-2"


@pytest.mark.parametrize(("ttl", "longest"), [(20.0, 10.0), (0.0, 1.0)])
def test_the_delay_is_at_most_half_the_time_to_live_and_random(
    ttl: float, longest: float, store: Store, clock: Clock
) -> None:
    creds = CredentialManager(**options(store, clock, chance=0.0), ttl=ttl)
    creds.get_secret("db")
    store.error = UnavailableError("no answer")
    clock.now += ttl
    for _ in range(8):
        creds.get_secret("db")
        wait_for_reads()
        clock.now += longest / 2  # chance 0 gives half of the delay
    before = store.reads
    clock.now -= 0.01
    creds.get_secret("db")
    wait_for_reads()
    assert store.reads == before
    clock.now += 0.01
    creds.get_secret("db")
    wait_for_reads()
    assert store.reads == before + 1


def test_values_that_are_too_old_are_one_read_and_one_error_for_all(store: Store, clock: Clock) -> None:
    creds = CredentialManager(**options(store, clock), stale_ok=600)
    creds.get_secret("db")
    clock.now += 901
    store.gate.clear()
    store.error = UnavailableError("no answer", hint="try again")
    clock.awaited = clock.looks + 2 * CALLERS  # everyone has looked twice: everyone waits

    def release() -> None:
        clock.enough.wait(5)
        store.gate.set()

    ended = run_together(lambda: creds.get_secret("db"), before_join=release)
    assert [(type(error), str(error), cast("CredsError", error).hint) for error in ended] == [
        (UnavailableError, "no answer", "try again")
    ] * CALLERS
    assert store.reads == 2


def test_a_delay_does_not_extend_the_time_that_an_old_value_is_usable(store: Store, clock: Clock) -> None:
    creds = CredentialManager(**options(store, clock, chance=0.0), stale_ok=0)
    creds.get_secret("db")
    store.error = UnavailableError("no answer")
    clock.now += 299.9
    assert creds.get_secret("db") == "value-1"
    wait_for_reads()
    clock.now += 0.2
    with pytest.raises(UnavailableError):
        creds.get_secret("db")


def test_a_first_read_waits_and_fails_with_its_error(store: Store, clock: Clock) -> None:
    creds = CredentialManager(**options(store, clock))
    store.error = UnavailableError("no answer")
    with pytest.raises(UnavailableError, match="no answer"):
        creds.get_secret("db")
    store.error = None
    assert creds.get_secret("db") == "value-1"


def test_a_refusal_in_the_background_removes_the_value(store: Store, clock: Clock) -> None:
    creds = CredentialManager(**options(store, clock, chance=0.0))
    creds.get_secret("db")
    store.error = AuthError("permission denied")
    store.gate.clear()
    clock.now += 250
    assert creds.get_secret("db") == "value-1"
    store.gate.set()
    wait_for_reads()
    with pytest.raises(AccessDeniedError):
        creds.get_secret("db")
    store.error = UnavailableError("no answer")
    with pytest.raises(UnavailableError):
        creds.get_secret("db")


def test_a_listener_can_neither_break_a_read_nor_stop_it(
    store: Store, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    creds = CredentialManager(**options(store, clock))

    def fail(_name: str, _version: int) -> None:
        raise ValueError(creds.get_secret("db"))

    creds.subscribe("db", fail)
    creds.subscribe("db", lambda name, _version: creds.refresh(name))
    creds.get_secret("db")
    store.number = 2
    creds.refresh("db")
    assert creds.get_secret("db") == "value-2"
    wait_for("orchestra-creds-callback")
    creds.close()
    assert "ValueError" in caplog.text
    assert "value-2" not in caplog.text


def test_background_reads_use_few_threads(store: Store, clock: Clock) -> None:
    creds = CredentialManager(**options(store, clock))
    for number in range(CALLERS):
        creds.get_secret(f"db-{number}")
    store.gate.clear()
    clock.now += 301
    ended = run_together(lambda: {creds.get_secret(f"db-{number}") for number in range(CALLERS)})
    assert ended == [{"value-1"}] * CALLERS
    assert len([thread for thread in threading.enumerate() if thread.name == "orchestra-creds-read"]) == 8
    store.gate.set()
    wait_for_reads()
    assert store.reads == 2 * CALLERS


def test_where_no_thread_can_be_started_the_caller_reads(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    creds = CredentialManager(**options(store, clock))
    creds.get_secret("db")
    store.number = 2
    clock.now += 301

    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert creds.get_secret("db") == "value-2"


def test_asyncio_needs_no_thread_of_the_executor(store: Store, clock: Clock) -> None:
    creds = AsyncCredentialManager(**options(store, clock))

    async def read_while_the_executor_is_busy() -> list[str]:
        loop, release = asyncio.get_running_loop(), threading.Event()
        loop.set_default_executor(ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, release.wait, 60)
        try:
            return [await finish(name, again=again) for name, again in (("db", 0), ("db", 0), ("db", 301), ("db", 0))]
        finally:
            store.gate.set()
            release.set()
            await busy

    async def finish(name: str, *, again: float) -> str:
        if again:
            clock.now += again
            store.gate.clear()
        task = asyncio.ensure_future(creds.get_secret(name))
        await asyncio.wait({task}, timeout=10)
        assert task.done(), "the read waits for a thread of the executor"
        return await task

    assert asyncio.run(read_while_the_executor_is_busy()) == ["value-1"] * 4
    assert store.reads == 2


def test_asyncio_callers_share_a_read_and_its_error(store: Store, clock: Clock) -> None:
    creds = AsyncCredentialManager(**options(store, clock))
    store.error = UnavailableError("no answer")
    store.gate.clear()

    async def read_together() -> list[str | BaseException]:
        tasks = [asyncio.ensure_future(creds.get_secret("db")) for _ in range(CALLERS)]
        canceled = asyncio.ensure_future(creds.get_secret("db"))
        await asyncio.sleep(0)
        canceled.cancel()
        store.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    ended = asyncio.run(read_together())
    assert ([type(error) for error in ended], store.reads) == ([UnavailableError] * CALLERS, 1)
    store.error, store.number = None, 2
    asyncio.run(creds.refresh("db"))
    assert asyncio.run(creds.get_secret("db")) == "value-2"


def test_routes_of_fastapi_answer_while_the_store_hangs(store: Store, clock: Clock) -> None:
    creds = CredentialManager(**options(store, clock))
    creds.get_secret("db")
    app = FastAPI()
    app.dependency_overrides[ours.get_credential_manager] = lambda: creds

    @app.get("/db")
    def db(value: Annotated[str, Depends(ours.Secret("db"))]) -> int:
        return len(value)

    store.gate.clear()
    clock.now += 301

    with TestClient(app) as web:  # one event loop, and its threads, for all
        left = threading.Semaphore(0)

        def ask() -> int:
            try:
                return web.get("/db").status_code
            finally:
                left.release()

        ended = run_together(ask)
        store.gate.set()
        for _ in range(CALLERS):
            left.acquire(timeout=60)
    assert (ended, store.reads) == ([200] * CALLERS, 2)


FORK = """
import os, signal, sys, threading
from types import SimpleNamespace
from orchestra_creds.core.cloud_types import VersionMaterial
from orchestra_creds.core.material import Material
from orchestra_creds.library import manager
from orchestra_creds.library.manager import CredentialManager, get_credential_manager

opened, now = [], [1000.0]

class Store:
    def __init__(self):
        self.gate, self.reads = threading.Event(), threading.Event()
        self.gate.set()
        opened.append(self)

    def access(self, name, version, deadline=None):
        self.reads.set()
        self.gate.wait(20)
        return VersionMaterial(name, len(opened), Material(f"value-{len(opened)}".encode()))

manager.open_cloud = lambda **_options: SimpleNamespace(secrets=Store(), close=lambda: None)
creds = CredentialManager(environment="dev", clock=lambda: now[0])
print(creds.get_secret("db"))
creds.subscribe("db", lambda name, version: None)
opened[0].gate.clear()
opened[0].reads.clear()
now[0] += 301
reader = threading.Thread(target=creds.refresh, args=("db",), daemon=True)
reader.start()
opened[0].reads.wait(60)
sys.stdout.flush()
child = os.fork()
if child == 0:
    signal.alarm(20)
    print(creds.get_secret("db"), creds.get_secret("other"), get_credential_manager() is get_credential_manager())
    print("orchestra-creds-watch" in {thread.name for thread in threading.enumerate()})
    sys.stdout.flush()
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(len(opened))
"""


def test_a_forked_child_reads_over_a_connection_of_its_own() -> None:
    done = subprocess.run(  # the read of the parent still hangs at its end, and must not keep it
        [sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout.split("\n"), done.returncode) == (
        ["value-1", "value-2 value-2 True", "True", "0", "1", ""],
        0,
    ), done.stderr
