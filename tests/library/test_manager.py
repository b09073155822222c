"""The library: what it keeps, for how long, what it does when Google says no or nothing, and what it never shows."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, cast

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

import orchestra_creds
from orchestra_creds import fastapi as ours
from orchestra_creds.core.cloud_types import VersionMaterial
from orchestra_creds.core.material import Material
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.errors import AuthError, ConfigError, UnavailableError
from orchestra_creds.library.aio import AsyncCredentialManager
from orchestra_creds.library.decoding import ServiceAccountKey
from orchestra_creds.library.manager import (
    AccessDeniedError,
    CredentialManager,
    NoEnabledVersionError,
    SecretNotFoundError,
)
from orchestra_creds.library.threads import CALLBACKS
from tests.rotation.world import POLICY, World, service_account_key

CANARY = "swordfish" + "-9000"


class Counting:
    """A store that counts its reads and can be made to wait."""

    def __init__(self, world: World) -> None:
        self.world, self.reads = world, 0
        self.gate: threading.Event | None = None

    def access(self, name: str, version: int | str, *, deadline: float | None = None) -> VersionMaterial:  # noqa: ARG002  as SecretStore
        self.reads += 1
        if self.gate is not None:
            self.gate.wait(10)
        return self.world.secrets.access(name, version)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    for name, value in (
        ("db-dev", CANARY),
        ("config-dev", '{"a": [1]}'),
        ("app-key", '{"client_email": "app@x", "private_key_id": "1"}'),
    ):
        world.secrets.create_secret(name)
        world.secrets.add_version(name, Material(value.encode()))
    yield world
    world.close()


@pytest.fixture
def store(world: World) -> Counting:
    return Counting(world)


def manager(world: World, store: Any, **options: Any) -> CredentialManager:
    return CredentialManager(
        environment="development",
        store=store,
        clock=lambda: world.clock.timestamp(),  # noqa: PLW0108  the clock moves
        chance=lambda: 1.0,
        **options,
    )


def wait_for_callbacks() -> None:
    for thread in threading.enumerate():
        if thread.name == CALLBACKS:
            thread.join(60)


def later(world: World, seconds: float) -> None:
    world.pass_time(timedelta(seconds=seconds))


def test_it_is_what_the_package_offers() -> None:
    assert orchestra_creds.CredentialManager is CredentialManager
    assert orchestra_creds.AsyncCredentialManager is AsyncCredentialManager
    with pytest.raises(AttributeError):
        _ = orchestra_creds.nothing  # type: ignore[attr-defined]


def test_a_value_is_read_once_within_its_time_to_live(world: World, store: Counting) -> None:
    creds = manager(world, store)
    assert [creds.get_secret("db") for _ in range(5)] == [CANARY] * 5
    assert store.reads == 1
    later(world, 301)
    creds.get_secret("db")
    assert store.reads == 2


def test_a_rotation_is_seen_within_the_time_to_live_and_told(world: World, store: Counting) -> None:
    creds, told = manager(world, store), []
    creds.subscribe("db", lambda name, version: told.append((name, version)))
    assert creds.get_secret("db") == CANARY
    world.secrets.add_version("db-dev", Material(b"new"))
    assert creds.get_secret("db") == CANARY
    later(world, 301)
    assert creds.get_secret("db") == "new"
    wait_for_callbacks()
    assert told == [("db", 2)]
    creds.close()


def test_an_error_is_never_kept(world: World, store: Counting) -> None:
    creds = manager(world, store)
    with pytest.raises(SecretNotFoundError):
        creds.get_secret("late")
    world.secrets.create_secret("late-dev")
    world.secrets.add_version("late-dev", Material(b"here"))
    assert creds.get_secret("late") == "here"


def test_an_old_value_is_served_only_while_nobody_answers(world: World, store: Counting) -> None:
    creds = manager(world, store, stale_ok=600)
    creds.get_secret("db")
    later(world, 301)
    world.arm("AccessSecretVersion", Code.INTERNAL)
    assert creds.get_secret("db") == CANARY
    later(world, 700)
    with pytest.raises(UnavailableError):
        creds.get_secret("db")
    world.disarm()
    assert creds.get_secret("db") == CANARY
    later(world, 301)
    world.arm("AccessSecretVersion", Code.PERMISSION_DENIED)
    with pytest.raises(AccessDeniedError):
        creds.get_secret("db")


def test_a_disabled_newest_version_has_its_own_error(world: World, store: Counting) -> None:
    world.secrets.disable_version("db-dev", 1)
    with pytest.raises(NoEnabledVersionError):
        manager(world, store).get_secret("db")


def test_many_callers_make_one_read(world: World, store: Counting) -> None:
    creds, gate = manager(world, store), threading.Event()
    store.gate = gate
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(creds.get_secret("db"))) for _ in range(12)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    assert (found, store.reads) == ([CANARY] * 12, 1)


def test_a_value_is_refreshed_ahead_of_time_by_one_and_served_to_the_others(world: World, store: Counting) -> None:
    creds = CredentialManager(
        environment="dev",
        store=cast("Any", store),
        clock=lambda: world.clock.timestamp(),  # noqa: PLW0108  the clock moves
        chance=lambda: 0.0,
    )
    creds.get_secret("db")
    later(world, 250)
    store.gate = threading.Event()
    ahead = threading.Thread(target=creds.get_secret, args=("db",))
    ahead.start()
    while store.reads < 2:
        pass
    assert creds.get_secret("db") == CANARY
    store.gate.set()
    ahead.join()
    assert store.reads == 2


def test_a_refused_value_is_read_anew_once(world: World, store: Counting) -> None:
    creds = manager(world, store)
    creds.get_secret("db")
    world.secrets.add_version("db-dev", Material(b"new"))

    def attempt(value: str) -> str:
        if value != "new":
            raise AuthError("refused")
        return value

    assert creds.on_auth_failure("db", attempt) == "new"
    with pytest.raises(AuthError):
        creds.on_auth_failure("config", attempt)


def test_refresh_and_invalidate(world: World, store: Counting) -> None:
    creds = manager(world, store)
    creds.get_secret("db")
    creds.refresh()
    assert store.reads == 2
    creds.invalidate("db")
    creds.get_secret("db")
    assert (store.reads, creds.version("db")) == (3, 1)


def test_json_text_and_bytes(world: World, store: Counting) -> None:
    creds = manager(world, store)
    assert creds.get_json_secret("config") == {"a": [1]}
    assert creds.get_bytes("db") == CANARY.encode()
    with pytest.raises(ConfigError) as caught:
        creds.get_json_secret("db")
    assert CANARY not in str(caught.value) + caught.value.hint
    world.secrets.create_secret("binary-dev")
    world.secrets.add_version("binary-dev", Material(b"\xff"))
    with pytest.raises(ConfigError, match="is not text"):
        creds.get_secret("binary")


def test_a_variable_stands_in_only_where_it_is_asked_for(
    world: World, store: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "from-env")
    assert manager(world, store, fallback="env").get_secret("openai-api-key") == "from-env"
    with pytest.raises(SecretNotFoundError):
        manager(world, store).get_secret("openai-api-key")
    with pytest.raises(ConfigError):
        manager(world, store, fallback="default")


def test_a_rotated_key_is_given_whole_and_shown_by_name_only(world: World, store: Counting) -> None:
    from dataclasses import replace

    account = world.account("memory-system")
    credential = replace(
        service_account_key(account, policy=replace(POLICY, settle=timedelta(0))), secret="memory-system-key"
    )
    world.rotate(credential)
    key = manager(world, store).get_service_account_key("memory-system")
    assert key.account == account
    assert key.info()["private_key_id"] == key.key_id
    private = key.info()["private_key"].splitlines()[1]
    assert private not in repr(key) + str(key)
    assert CANARY not in repr(manager(world, store))


def test_the_same_for_asyncio(world: World, store: Counting) -> None:
    async def story() -> list[str]:
        creds = AsyncCredentialManager(environment="dev", store=store)
        both = await asyncio.gather(creds.get_secret("db"), creds.get_secret("db"))

        async def attempt(value: str) -> str:
            if value == CANARY:
                world.secrets.add_version("db-dev", Material(b"new"))
                raise AuthError("refused")
            return value

        return [*both, await creds.on_auth_failure("db", attempt)]

    assert asyncio.run(story()) == [CANARY, CANARY, "new"]


# -- FastAPI


def client(creds: CredentialManager) -> TestClient:
    app = FastAPI()
    app.dependency_overrides[ours.get_credential_manager] = lambda: creds

    @app.get("/db")
    def db(value: Annotated[str, Depends(ours.Secret("db"))]) -> int:
        return len(value)

    @app.get("/key")
    def key(value: Annotated[ServiceAccountKey, Depends(ours.ServiceAccountKeySecret("app"))]) -> list[str]:
        return [value.account, value.key_id]

    @app.get("/missing")
    def missing(value: Annotated[str, Depends(ours.Secret("nothing"))]) -> int:
        return len(value)

    return TestClient(app)


def test_routes_get_values_and_see_a_rotation(world: World, store: Counting) -> None:
    web = client(manager(world, store))
    assert web.get("/db").json() == len(CANARY)
    assert web.get("/key").json() == ["app@x", "1"]
    world.secrets.add_version("db-dev", Material(b"new"))
    later(world, 301)
    assert web.get("/db").json() == 3


def test_a_failure_is_503_and_tells_strangers_nothing(
    world: World, store: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client(manager(world, store)).get("/missing")
    assert answer.status_code == 503
    assert "nothing" not in answer.text
    assert "nothing-dev" in caplog.text
