"""The library in services: bounded memory, callbacks that block nothing, names and projects as the commands have them, rotating objects."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, cast

import fastapi.dependencies.utils
import google_crc32c
import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from google.cloud import secretmanager_v1

from orchestra_creds import fastapi as ours
from orchestra_creds.bootstrap import cloud as clouds
from orchestra_creds.core.cloud_types import VersionMaterial
from orchestra_creds.core.material import Material
from orchestra_creds.errors import AuthError, ConfigError, CredsError, NotFoundError, UnavailableError
from orchestra_creds.library import manager as library
from orchestra_creds.library.aio import AsyncCredentialManager
from orchestra_creds.library.cache import REFRESH_DEADLINE
from orchestra_creds.library.connectors import connection_arguments
from orchestra_creds.library.manager import CredentialManager, SecretNotFoundError
from tests.library.test_outage import Clock, wait_for_reads


class Shelf:
    """A store in memory: versions of secrets by full name; it counts reads, hangs while its gate is closed, and raises `error`."""

    def __init__(self, **secrets: str) -> None:
        self.versions = {name.replace("_", "-"): [value] for name, value in secrets.items()}
        self.labels: dict[str, dict[str, str]] = {}
        self.asked: list[tuple[str, int | str]] = []
        self.deadlines: list[float | None] = []
        self.error: CredsError | None = None
        self.gate = threading.Event()
        self.gate.set()

    def access(self, name: str, version: int | str, *, deadline: float | None = None) -> VersionMaterial:
        self.asked.append((name, version))
        self.deadlines.append(deadline)
        self.gate.wait(20)
        if self.error is not None:
            raise self.error
        if name not in self.versions:
            raise NotFoundError(f"there is no secret {name}")
        values = self.versions[name]
        number = version if isinstance(version, int) else {"previous": len(values) - 1}.get(version, len(values))
        return VersionMaterial(name, number, Material(values[number - 1].encode()))

    def get_secret(self, name: str) -> Any:
        return SimpleNamespace(labels=self.labels[name])


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    shelf = Shelf(db_dev="one")
    yield shelf
    shelf.gate.set()
    wait_for_reads()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def manager(shelf: Shelf, clock: Callable[[], float], **options: Any) -> CredentialManager:
    return CredentialManager(environment="dev", store=cast("Any", shelf), clock=clock, chance=lambda: 1.0, **options)


# -- B1: what an outage, a fork and a long life may cost


def test_b1_reads_of_a_held_value_go_on_while_the_store_hangs(shelf: Shelf, clock: Clock) -> None:
    creds = manager(shelf, clock)
    twin = AsyncCredentialManager(environment="dev", store=cast("Any", shelf), clock=clock, chance=lambda: 1.0)
    creds.get_secret("db")
    asyncio.run(twin.get_secret("db"))
    shelf.gate.clear()
    clock.now += 301
    end = time.monotonic() + 1.0

    def read_until_the_end() -> int:
        count = 0
        while time.monotonic() < end:
            assert creds.get_secret("db") == "one"
            count += 1
        return count

    async def read_together() -> int:
        async def read_some() -> int:
            for _ in range(5):
                assert await twin.get_secret("db") == "one"
            return 5

        return sum(await asyncio.gather(*(read_some() for _ in range(1000))))

    with ThreadPoolExecutor(40) as pool:
        reads = sum(pool.map(lambda _: read_until_the_end(), range(40)))
    began = time.monotonic()
    awaited = asyncio.run(read_together())
    assert reads >= 1000
    assert (awaited, time.monotonic() - began < 5) == (5000, True)
    assert len(shelf.asked) == 4  # one first read and one that hangs, for each of the two


def test_b1_a_read_with_a_usable_value_has_a_short_deadline(shelf: Shelf, clock: Clock) -> None:
    creds = manager(shelf, clock)
    creds.get_secret("db")
    clock.now += 301
    creds.get_secret("db")
    assert shelf.deadlines == [None, REFRESH_DEADLINE]


def test_b1_memory_is_bounded_also_for_names_that_do_not_exist(shelf: Shelf, clock: Clock) -> None:
    creds = manager(shelf, clock, max_entries=3)
    for number in range(20):
        with pytest.raises(SecretNotFoundError):
            creds.get_secret(f"absent-{number}")
    assert creds._cache.refs() == ()
    shelf.versions |= {f"s{number}-dev": ["x"] for number in range(5)}
    for name in ("s0", "s1", "s2", "s0", "s3"):
        creds.get_secret(name)
    assert sorted(ref.name for ref in creds._cache.refs()) == ["s0", "s2", "s3"]  # s1 was not used for the longest time


def test_b1_a_variable_that_replaces_a_secret_is_kept_like_a_value(
    shelf: Shelf, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "from-env")
    creds = manager(shelf, clock, fallback="env")
    assert [creds.get_secret("api-token") for _ in range(10)] == ["from-env"] * 10
    assert len(shelf.asked) == 1


def test_b1_a_callback_that_never_ends_blocks_no_read(shelf: Shelf, clock: Clock) -> None:
    creds, release = manager(shelf, clock), threading.Event()
    creds.get_secret("db")
    seen: list[str] = []

    def wait_for_ever(_name: str, _version: int) -> None:
        release.wait(60)

    def read_on() -> None:
        for number in range(2, 12):
            shelf.versions["db-dev"].append(f"value-{number}")
            creds.refresh("db")
            seen.append(creds.get_secret("db"))

    creds.subscribe("db", wait_for_ever)
    reader = threading.Thread(target=read_on, daemon=True)
    reader.start()
    reader.join(10)
    release.set()
    creds.close()
    assert seen == [f"value-{number}" for number in range(2, 12)]


def test_b1_a_callback_is_told_after_the_value_was_forgotten_and_without_a_reader(shelf: Shelf) -> None:
    told: list[int] = []
    new = threading.Event()
    creds = manager(shelf, time.monotonic, ttl=0.1)
    creds.get_secret("db")

    def tell(_name: str, version: int) -> None:
        told.append(version)
        new.set()

    creds.subscribe("db", tell)
    creds.invalidate("db")
    shelf.versions["db-dev"].append("two")
    creds.get_secret("db")
    assert new.wait(10)
    new.clear()
    shelf.versions["db-dev"].append("three")
    assert new.wait(10), "nobody reads it, so nobody tells"
    creds.close()
    assert told == [2, 3]


# -- M1, M2, M8: the same names and the same project as the commands

CONFIG = """schema = 1
[project]
id = "from-file"
[naming]
secret = "{env}-{name}"
[environments.dev]
[environments.prod]
project = "prod-project"
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("ENVIRONMENT", "ORCHESTRA_CREDS_PROJECT", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "orchestra-creds.toml"
    path.write_text(CONFIG)
    return path


def test_m1_a_name_that_ends_in_key_has_its_environment(shelf: Shelf, clock: Clock) -> None:
    shelf.versions |= {"openai-api-key-dev": ["sk"], "app-key": ['{"client_email": "app@x", "private_key_id": "1"}']}
    creds = manager(shelf, clock)
    with contextlib.suppress(SecretNotFoundError):
        creds.get_secret("openai-api-key")
    assert creds.get_service_account_key("app").account == "app@x"
    creds.refresh("app-key")
    assert [name for name, _ in shelf.asked] == ["openai-api-key-dev", "app-key", "app-key"]


def test_m2_the_pattern_of_the_file_counts_and_an_undeclared_environment_is_refused(shelf: Shelf, config: Path) -> None:
    shelf.versions["dev-gadget"] = ["g"]
    creds = CredentialManager(environment="development", config=config, store=cast("Any", shelf))
    with contextlib.suppress(SecretNotFoundError):
        creds.get_secret("gadget")
    assert (creds.environment, shelf.asked) == ("dev", [("dev-gadget", "latest")])
    with pytest.raises(ConfigError, match="no environment 'qa'"):
        CredentialManager(environment="qa", config=config, store=cast("Any", shelf))


@pytest.mark.parametrize(
    ("given", "ours_", "environment", "expected"),
    [
        ("given", "variable", "dev", "given"),
        ("", "variable", "dev", "variable"),
        ("", "", "dev", "from-file"),
        ("", "", "prod", "prod-project"),
        ("", "", "production", "prod-project"),
    ],
)
def test_m8_the_project_of_the_library_is_that_of_the_commands(
    given: str, ours_: str, environment: str, expected: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "always-set-on-cloud-run")
    monkeypatch.setenv("ORCHESTRA_CREDS_PROJECT", ours_)
    monkeypatch.delenv("ORCHESTRA_CREDS_BACKEND", raising=False)
    opened: list[str] = []

    def open_google(project: str, _options: object) -> Any:
        opened.append(project)
        return SimpleNamespace(project=project, close=lambda: None)

    monkeypatch.setattr(clouds, "_open_google", open_google)
    monkeypatch.setattr(clouds, "endpoints_from_environment", lambda _variables: None)
    creds = CredentialManager(given or None, environment, config=config)
    monkeypatch.setattr(clouds.Cloud, "secrets", Shelf(dev_x="1", prod_x="1"))
    assert creds.get_secret("x") == "1"
    clouds.open_cloud(project=given, environment=environment, config=config)  # as a command does
    assert opened == [expected, expected]


def test_m8_without_a_file_the_variable_of_google_is_the_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestra_creds.config.document import Document
    from orchestra_creds.config.environments import choose_project

    assert choose_project(Document(), "", "", {"GOOGLE_CLOUD_PROJECT": "g"}) == "g"
    assert choose_project(Document(), "", "", {}) == ""


# -- versions, age, and a time to live that follows the rotator


def test_a_version_can_be_named_by_number_and_alias(shelf: Shelf, clock: Clock) -> None:
    shelf.versions["db-dev"] = ["one", "two"]
    creds = manager(shelf, clock)
    assert [creds.get_secret("db", version) for version in ("latest", 1, "previous")] == ["two", "one", "one"]
    assert shelf.asked == [("db-dev", "latest"), ("db-dev", 1), ("db-dev", "previous")]


def test_a_value_older_than_max_age_is_read_anew_but_served_in_an_outage(shelf: Shelf, clock: Clock) -> None:
    creds = manager(shelf, clock)
    creds.get_secret("db")
    shelf.versions["db-dev"].append("two")
    clock.now += 4
    assert creds.get_secret("db", max_age=5) == "one"
    clock.now += 2
    assert creds.get_secret("db", max_age=5) == "two"
    shelf.error = UnavailableError("no answer")
    clock.now += 6
    assert [creds.get_secret("db", max_age=5) for _ in range(20)] == ["two"] * 20
    assert len(shelf.asked) == 3


@pytest.mark.parametrize(("due", "kept"), [("20300102", 3600), ("20291231", 300), ("", 300), ("20300101", 300)])
def test_a_value_may_be_kept_until_its_secret_is_due(due: str, kept: float, shelf: Shelf, clock: Clock) -> None:
    shelf.labels["db-dev"] = {"orchestra-due": due}
    now = datetime(2030, 1, 1, 12, tzinfo=UTC)
    creds = manager(shelf, clock, longest_ttl=3600, today=lambda: now)
    creds.get_secret("db")
    clock.now += kept - 1
    creds.get_secret("db")
    assert len(shelf.asked) == 1
    clock.now += 2
    creds.get_secret("db")
    assert len(shelf.asked) == 2


class Client:
    """What stands for a client of Secret Manager; it notes how it is called."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, float]] = []

    def access_secret_version(self, *, request: Any, timeout: float, **_options: Any) -> Any:
        self.calls.append((request.name, timeout))
        data = b"from the client"
        payload = secretmanager_v1.SecretPayload(data=data, data_crc32c=google_crc32c.value(data))
        return secretmanager_v1.AccessSecretVersionResponse(name=f"{request.name[:-6]}7", payload=payload)


def test_a_client_a_location_and_a_timeout_are_used(config: Path) -> None:
    client = Client()
    creds = CredentialManager(
        "acme", "dev", config=config, client=client, location="europe-west3", timeout=3.0, ttl=300.0
    )
    assert (creds.get_secret("db"), creds.version("db")) == ("from the client", 7)
    assert client.calls == [("projects/acme/locations/europe-west3/secrets/dev-db/versions/latest", 3.0)]
    creds.close()
    with pytest.raises(ConfigError, match="own identity"):
        CredentialManager("acme", "dev", config=config, client=client, impersonate="a@b").get_secret("db")


# -- M7: objects that rotate with the secret


class Refusal(Exception):  # noqa: N818  what a driver raises
    pass


def test_m7_a_dead_database_costs_no_read_of_the_secret(shelf: Shelf, clock: Clock) -> None:
    creds = manager(shelf, clock)

    def attempt(_value: str) -> None:
        raise Refusal("server down")

    for _ in range(100):
        with pytest.raises(Refusal):
            creds.on_auth_failure("db", attempt, refused=lambda error: "password" in str(error))
    assert len(shelf.asked) == 1


def test_m7_many_refusals_share_one_read_and_cause_no_other_for_min_age(shelf: Shelf, clock: Clock) -> None:
    creds = manager(shelf, clock)

    def attempt(_value: str) -> None:
        raise Refusal

    def run(_number: int) -> None:
        with pytest.raises(Refusal):
            creds.on_auth_failure("db", attempt, Refusal)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(run, range(400)))
    assert len(shelf.asked) == 2
    clock.now += 6
    run(0)
    assert len(shelf.asked) == 3


def test_m7_a_refusal_is_not_replaced_by_an_error_of_the_store(shelf: Shelf, clock: Clock) -> None:
    creds = manager(shelf, clock)
    creds.get_secret("db")
    shelf.error = UnavailableError("no answer")

    def attempt(_value: str) -> None:
        raise Refusal("wrong password")

    with pytest.raises((Refusal, CredsError)) as caught:
        creds.on_auth_failure("db", attempt, Refusal)
    assert (type(caught.value), str(caught.value)) == (Refusal, "wrong password")


KEY = '{"client_email": "app@x", "private_key_id": "%s"}'


@pytest.mark.parametrize(
    ("kind", "name", "values", "seen"),
    [
        ("text", "db", ["old", "new"], ["old", "new"]),
        ("bytes", "db", ["old", "new"], [b"old", b"new"]),
        ("json", "db", ['{"p": 1}', '{"p": 2}'], [{"p": 1}, {"p": 2}]),
        ("key", "app", [KEY % 1, KEY % 2], ["1", "2"]),
    ],
)
def test_m7_every_kind_of_value_is_retried_with_the_new_one(
    kind: str, name: str, values: list[str], seen: list[object], shelf: Shelf, clock: Clock
) -> None:
    secret = "app-key" if kind == "key" else "db-dev"

    def make_attempt() -> tuple[list[object], Callable[[Any], str]]:
        used: list[object] = []

        def attempt(value: Any) -> str:
            used.append(value.key_id if kind == "key" else value)
            if len(used) == 1:
                shelf.versions[secret] = values
                raise AuthError("refused")
            return "ok"

        return used, attempt

    shelf.versions[secret] = values[:1]
    used, attempt = make_attempt()
    assert manager(shelf, clock).on_auth_failure(name, attempt, kind=kind) == "ok"
    assert used == seen

    shelf.versions[secret] = values[:1]
    used, attempt = make_attempt()

    async def attempt_async(value: Any) -> str:
        return attempt(value)

    twin = AsyncCredentialManager(environment="dev", store=cast("Any", shelf), clock=clock)
    assert asyncio.run(twin.on_auth_failure(name, attempt_async, kind=kind)) == "ok"
    assert used == seen


@pytest.mark.parametrize(
    ("value", "arguments"),
    [
        ("bare:p@ss", {"password": "bare:p@ss"}),
        (
            "postgresql://a%40b" + ":p%2Fw@db:5433/app?sslmode=require",
            {
                "user": "a@b",
                "password": "p/w",
                "host": "db",
                "port": 5433,
                "dbname": "app",
                "sslmode": "require",
            },
        ),
        ('{"username": "u", "password": "p", "engine": "postgres"}', {"user": "u", "password": "p"}),
        ("{not json", {"password": "{not json"}),
    ],
)
def test_m7_a_connection_is_made_from_a_url_json_or_a_password(value: str, arguments: dict[str, object]) -> None:
    assert connection_arguments(value) == arguments


def test_m7_functions_get_secrets_as_arguments(shelf: Shelf, clock: Clock) -> None:
    shelf.versions["config-dev"] = [json.dumps({"username": "u", "n": 1})]
    creds = manager(shelf, clock)

    @creds.inject(password="db")
    @creds.inject_json("config", user="username", number="n")
    def connect(host: str, *, user: str, password: str, number: int) -> tuple[str, str, str, int]:
        return host, user, password, number

    @creds.inject(password="db")
    async def connect_async(*, password: str) -> str:
        return password

    @creds.inject_json("config", user="absent")
    def fail(*, user: str) -> str:
        return user

    assert connect("h") == ("h", "u", "one", 1)
    assert connect("h", password="given") == ("h", "u", "given", 1)
    assert (connect.__name__, asyncio.run(connect_async())) == ("connect", "one")
    with pytest.raises(ConfigError, match="no key 'absent'"):
        fail()


def test_m7_routes_retry_after_a_refusal_and_use_no_thread_for_a_cached_value(
    shelf: Shelf, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.versions["config-dev"] = ['{"a": 1}']
    creds = manager(shelf, clock)
    app = FastAPI()
    app.dependency_overrides[ours.get_credential_manager] = lambda: creds

    def query(value: str) -> str:
        if value == "one":
            shelf.versions["db-dev"].append("two")
            raise Refusal
        return value

    @app.get("/sync")
    def sync(database: Annotated[ours.AuthFailureRetry, Depends(ours.OnAuthFailure("db", Refusal))]) -> str:
        return database.call(query)

    @app.get("/async")
    async def in_the_loop(
        database: Annotated[ours.AuthFailureRetry, Depends(ours.OnAuthFailure("db", Refusal))],
    ) -> str:
        async def attempt(value: str) -> str:
            return query(value)

        return await database.call_async(attempt)

    @app.get("/json")
    async def config(value: Annotated[dict[str, int], Depends(ours.Secret("config", kind="json"))]) -> int:
        return value["a"]

    @app.get("/absent")
    async def absent(database: Annotated[ours.AuthFailureRetry, Depends(ours.OnAuthFailure("nothing"))]) -> str:
        return database.call(str)

    web = TestClient(app)
    assert (web.get("/sync").json(), web.get("/json").json(), web.get("/absent").status_code) == ("two", 1, 503)

    async def fail(*_arguments: object, **_options: object) -> None:
        raise AssertionError("a thread is used")

    async def this_manager() -> CredentialManager:
        return creds

    app.dependency_overrides[ours.get_credential_manager] = this_manager
    with monkeypatch.context() as patch:
        patch.setattr(fastapi.dependencies.utils, "run_in_threadpool", fail)
        assert web.get("/json").json() == 1
    shelf.versions["db-dev"] = ["one"]
    creds.invalidate("db")
    assert web.get("/async").json() == "two"


def test_a_manager_with_options_of_its_own_is_that_of_the_process(
    shelf: Shelf, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "_managers", {})
    monkeypatch.delenv("ENVIRONMENT", raising=False)
    creds = manager(shelf, clock, ttl=20)
    library.set_credential_manager(creds)
    assert asyncio.run(ours.get_credential_manager()) is creds
