"""The rules of SecretStore."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import grpc
import pytest

from orchestra_creds.core.cloud_types import VersionState
from orchestra_creds.core.material import Material
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.emulator.protocol.faults import FaultPhase
from orchestra_creds.errors import (
    AuthError,
    ChecksumError,
    ConfigError,
    CredsError,
    NotFoundError,
    PreconditionError,
    UnavailableError,
)
from orchestra_creds.gcp.secrets import SecretManagerStore
from orchestra_creds.gcp.session import LOCAL_DEADLINE, ApiSession, Endpoints
from tests.contract.conftest import CloudUnderTest, Tamper, Tampered

ONE = Material(b"first\x00value\xff")
TWO = Material(b"second-value")


@pytest.fixture
def name(world: CloudUnderTest) -> str:
    """A secret with two versions."""
    name = world.new_name()
    world.secrets.create_secret(name, labels={"team": "a"})
    for number, material in enumerate((ONE, TWO), start=1):
        assert world.secrets.add_version(name, material).number == number
    return name


def test_what_was_added_is_read_back_by_its_number_at_once(world: CloudUnderTest, name: str) -> None:
    assert [world.secrets.access(name, number).material for number in (1, 2)] == [ONE, TWO]


def test_latest_is_the_newest_created_whatever_its_state(world: CloudUnderTest, name: str) -> None:
    assert world.secrets.get_version(name, "latest").number == 2
    assert world.secrets.disable_version(name, 2).state is VersionState.DISABLED
    assert world.secrets.get_version(name, "latest").number == 2
    with pytest.raises(PreconditionError):
        world.secrets.access(name, "latest")
    world.secrets.enable_version(name, 2)
    assert world.secrets.access(name, "latest").number == 2


def test_an_alias_is_switched_under_the_etag_of_the_secret(world: CloudUnderTest, name: str) -> None:
    first = world.secrets.update_secret(world.secrets.get_secret(name), aliases={"current": 1})
    assert world.secrets.access(name, "current").material == ONE
    switched = world.secrets.update_secret(first, aliases={"current": 2})
    assert (world.secrets.access(name, "current").material, switched.aliases) == (TWO, {"current": 2})
    with pytest.raises(PreconditionError):
        world.secrets.update_secret(first, aliases={"current": 1})
    assert world.secrets.get_version(name, "current").number == 2


def test_maps_that_are_not_given_stay_as_they_are(world: CloudUnderTest, name: str) -> None:
    secret = world.secrets.update_secret(world.secrets.get_secret(name), annotations={"owner": "ada"})
    assert (secret.labels, secret.annotations) == ({"team": "a"}, {"owner": "ada"})
    assert world.secrets.update_secret(secret, labels={}).labels == {}


def test_a_version_is_changed_under_its_etag(world: CloudUnderTest, name: str) -> None:
    stale = world.secrets.get_version(name, 1).etag
    world.secrets.disable_version(name, 1, etag=stale)
    for change in (world.secrets.enable_version, world.secrets.disable_version, world.secrets.destroy_version):
        with pytest.raises(PreconditionError):
            change(name, 1, etag=stale)
    assert world.secrets.get_version(name, 1).state is VersionState.DISABLED


def test_a_secret_is_deleted_under_its_etag(world: CloudUnderTest, name: str) -> None:
    stale = world.secrets.get_secret(name)
    world.secrets.update_secret(stale, labels={"team": "b"})
    with pytest.raises(PreconditionError):
        world.secrets.delete_secret(name, etag=stale.etag)
    world.secrets.delete_secret(name, etag=world.secrets.get_secret(name).etag)
    assert world.secrets.find_secret(name) is None


def test_destroy_is_for_ever_and_delayed_where_the_secret_says_so(world: CloudUnderTest, name: str) -> None:
    gone = world.secrets.destroy_version(name, 1)
    assert (gone.state, gone.destroyed is not None) == (VersionState.DESTROYED, True)
    with pytest.raises(PreconditionError):
        world.secrets.access(name, 1)
    world.secrets.update_secret(world.secrets.get_secret(name), destroy_ttl=timedelta(days=2))
    pending = world.secrets.destroy_version(name, 2)
    assert (pending.state, pending.destroy_at is not None) == (VersionState.DISABLED, True)
    assert world.secrets.enable_version(name, 2).destroy_at is None


def test_lists_are_whole_over_pages_and_newest_first(world: CloudUnderTest, name: str) -> None:
    paged = SecretManagerStore(world.session, page_size=2)
    for _ in range(3):
        paged.add_version(name, TWO)
    assert [version.number for version in paged.list_versions(name)] == [5, 4, 3, 2, 1]
    others = [world.new_name() for _ in range(4)]
    for other in others:
        paged.create_secret(other, labels={"team": "c"})
    assert {name, *others} <= {secret.name for secret in paged.list_secrets()}
    assert {secret.name for secret in paged.list_secrets(query="labels.team=c")} >= set(others)
    assert name not in {secret.name for secret in paged.list_secrets(query="labels.team=c")}


def test_a_secret_tells_what_it_was_made_with(world: CloudUnderTest) -> None:
    name = world.new_name()
    made = world.secrets.create_secret(
        name, labels={"a": "b"}, annotations={"k": "v w"}, destroy_ttl=timedelta(days=1), replicas=["europe-west3"]
    )
    assert (made.name, made.labels, made.annotations) == (name, {"a": "b"}, {"k": "v w"})
    assert (made.destroy_ttl, made.replicas) == (timedelta(days=1), ("europe-west3",))
    assert made == world.secrets.get_secret(name) == world.secrets.find_secret(name)


KMS_KEY = "projects/p/locations/{}/keyRings/r/cryptoKeys/k"


@pytest.mark.parametrize(
    ("replicas", "places"),
    [
        ((), ["global"]),
        (("europe-west3", "us-east1"), ["europe-west3", "us-east1"]),
        (("us-east1", "us-west1"), ["", "us-west1"]),
    ],
)
def test_a_secret_tells_which_keys_encrypt_it(
    world: CloudUnderTest, replicas: tuple[str, ...], places: list[str]
) -> None:
    if world.kind == "live":
        pytest.skip("a real project may have no such key")
    keys = tuple(place and KMS_KEY.format(place) for place in places)
    name = world.new_name()
    made = world.secrets.create_secret(name, replicas=replicas, kms_keys=keys)
    assert (made.replicas, made.kms_keys) == (replicas, keys)
    assert world.secrets.get_secret(name) == made


def test_a_regional_secret_may_have_a_key_of_its_own(world: CloudUnderTest) -> None:
    if world.kind == "live":
        pytest.skip("a real project may have no such key")
    regional = SecretManagerStore(world.session, location="europe-west3")
    key = KMS_KEY.format("europe-west3")
    assert regional.create_secret("local-two", kms_keys=[key]).kms_keys == (key,)
    assert regional.get_secret("local-two").kms_keys == (key,)
    assert regional.create_secret("local-three").kms_keys == ()


def test_a_regional_secret_lives_in_its_location(world: CloudUnderTest) -> None:
    if world.kind == "live":
        pytest.skip("a real project may not allow the location")
    regional = SecretManagerStore(world.session, location="europe-west3")
    regional.create_secret("local-one")
    assert regional.add_version("local-one", ONE).number == 1
    assert (regional.access("local-one", "latest").material, regional.get_secret("local-one").location) == (
        ONE,
        "europe-west3",
    )
    assert world.secrets.find_secret("local-one") is None


@pytest.mark.parametrize(
    ("attempt", "error"),
    [
        (lambda s, n: s.get_secret("nowhere"), NotFoundError),
        (lambda s, n: s.get_version(n, 9), NotFoundError),
        (lambda s, n: s.access(n, 9), NotFoundError),
        (lambda s, n: s.access(n, "no-such-alias"), NotFoundError),
        (lambda s, n: s.add_version("nowhere", ONE), NotFoundError),
        (lambda s, n: s.disable_version(n, 9), NotFoundError),
        (lambda s, n: s.delete_secret("nowhere"), NotFoundError),
        (lambda s, n: list(s.list_versions("nowhere")), NotFoundError),
        (lambda s, n: s.create_secret(n), PreconditionError),
        (lambda s, n: s.create_secret("bad name"), ConfigError),
        (lambda s, n: s.add_version(n, Material(b"x" * 65_537)), ConfigError),
        (lambda s, n: list(s.list_secrets(query="((")), ConfigError),
        (lambda s, n: s.update_secret(s.get_secret(n), aliases={"current": 9}), CredsError),
    ],
    ids=lambda case: getattr(case, "__name__", ""),
)
def test_bad_input_is_told_in_our_words(
    world: CloudUnderTest, name: str, attempt: Callable[[SecretManagerStore, str], object], error: type[CredsError]
) -> None:
    with pytest.raises(error) as caught:
        attempt(world.secrets, name)
    assert (caught.value.hint != "", "\n" in str(caught.value)) == (True, False)
    assert str(caught.value).startswith("cannot ")


def test_the_largest_payload_fits(world: CloudUnderTest, name: str) -> None:
    largest = Material(bytes(range(256)) * 256)
    assert len(largest) == 65_536
    assert world.secrets.access(name, world.secrets.add_version(name, largest).number).material == largest


def flipped(message: Any) -> Any:
    message.payload.data = bytes([message.payload.data[0] ^ 1]) + message.payload.data[1:]
    return message


def same(_method: str, message: Any) -> Any:
    return message


@pytest.mark.parametrize("damaged", ["AddSecretVersion", "AccessSecretVersion"])
def test_a_payload_that_was_damaged_on_the_way_is_refused_both_ways(
    world: CloudUnderTest, name: str, damaged: str
) -> None:
    world.emulator  # noqa: B018  # a real wire cannot be damaged on purpose

    def damage(method: str, message: Any) -> Any:
        return flipped(message) if method.endswith(damaged) else message

    there, back = (damage, same) if damaged.startswith("Add") else (same, damage)
    store = SecretManagerStore(tampered(world, there, back))
    with pytest.raises(ChecksumError, match="damaged on the way"):
        store.add_version(name, ONE) if damaged.startswith("Add") else store.access(name, 1)
    assert next(world.secrets.list_versions(name)).number == 2


def test_a_checksum_that_is_not_confirmed_is_told(world: CloudUnderTest, name: str) -> None:
    world.emulator  # noqa: B018  # a real service always confirms it

    def forgetful(method: str, message: Any) -> Any:
        if method.endswith("AddSecretVersion"):
            message.client_specified_payload_checksum = False
        return message

    with pytest.raises(UnavailableError, match="did not confirm"):
        SecretManagerStore(tampered(world, same, forgetful)).add_version(name, ONE)


def tampered(world: CloudUnderTest, there: Tamper, back: Tamper) -> ApiSession:
    """A session over a wire that changes messages."""
    session = world.open()
    session.channel = grpc.intercept_channel(session.channel, Tampered(there, back))
    return session


WRITES = pytest.mark.parametrize(
    ("method", "call"),
    [
        ("CreateSecret", lambda s, n: s.create_secret(n + "-2")),
        ("AddSecretVersion", lambda s, n: s.add_version(n, TWO)),
        ("UpdateSecret", lambda s, n: s.update_secret(s.get_secret(n), labels={})),
        ("DestroySecretVersion", lambda s, n: s.destroy_version(n, 1)),
        ("DeleteSecret", lambda s, n: s.delete_secret(n)),
        ("DisableSecretVersion", lambda s, n: s.disable_version(n, 1, etag=s.get_version(n, 1).etag)),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)


@WRITES
@pytest.mark.parametrize("phase", [FaultPhase.BEFORE, FaultPhase.AFTER])
def test_a_lost_reply_of_a_call_that_must_not_be_repeated_is_told_and_not_repeated(
    world: CloudUnderTest, name: str, method: str, call: Callable[[SecretManagerStore, str], object], phase: FaultPhase
) -> None:
    before = world.calls(method)
    world.arm(method, phase)
    with pytest.raises(UnavailableError) as caught:
        call(world.secrets, name)
    assert world.calls(method) == before + 1
    assert "look, then try again" in caught.value.hint


@WRITES
def test_a_change_that_a_used_up_quota_refused_is_made_a_little_later(
    world: CloudUnderTest, name: str, method: str, call: Callable[[SecretManagerStore, str], object]
) -> None:
    before = world.calls(method)
    world.arm(method, FaultPhase.BEFORE, code=Code.RESOURCE_EXHAUSTED, times=2)
    call(world.secrets, name)
    assert world.calls(method) == before + 3


def test_a_change_is_not_repeated_once_its_reply_was_lost_after_a_used_up_quota(
    world: CloudUnderTest, name: str
) -> None:
    before = world.calls("AddSecretVersion")
    world.arm("AddSecretVersion", FaultPhase.BEFORE, code=Code.RESOURCE_EXHAUSTED)
    world.arm("AddSecretVersion", FaultPhase.AFTER, first=2)
    with pytest.raises(UnavailableError):
        world.secrets.add_version(name, TWO)
    assert world.calls("AddSecretVersion") == before + 2


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("GetSecret", lambda s, n: s.get_secret(n)),
        ("ListSecrets", lambda s, n: list(s.list_secrets())),
        ("ListSecretVersions", lambda s, n: list(s.list_versions(n))),
        ("GetSecretVersion", lambda s, n: s.get_version(n, 1)),
        ("AccessSecretVersion", lambda s, n: s.access(n, 1)),
        ("DisableSecretVersion", lambda s, n: s.disable_version(n, 1)),
        ("EnableSecretVersion", lambda s, n: s.enable_version(n, 1)),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
def test_a_lost_reply_of_a_call_that_may_be_repeated_is_mended(
    world: CloudUnderTest, name: str, method: str, call: Callable[[SecretManagerStore, str], object]
) -> None:
    before = world.calls(method)
    world.arm(method, FaultPhase.AFTER)
    call(world.secrets, name)
    assert world.calls(method) == before + 2


def test_a_refused_connection_is_told_within_the_deadline() -> None:
    session = ApiSession("demo-project", endpoints=Endpoints("127.0.0.1:1", "http://127.0.0.1:1"), environment={})
    started = time.monotonic()
    with pytest.raises(UnavailableError, match="cannot read secret n"):
        SecretManagerStore(session).get_secret("n")
    assert time.monotonic() - started < LOCAL_DEADLINE
    session.close()


def test_a_missing_permission_is_named(guarded: CloudUnderTest) -> None:
    guarded.secrets.create_secret("db")
    guarded.secrets.add_version("db", ONE)
    guarded.account("reader")
    reader = SecretManagerStore(guarded.open(impersonate=f"reader@{guarded.project}.iam.gserviceaccount.com"))
    for attempt, permission in (
        (lambda: reader.access("db", 1), "secretmanager.versions.access"),
        (lambda: reader.add_version("db", TWO), "secretmanager.versions.add"),
        (lambda: list(reader.list_secrets()), "secretmanager.secrets.list"),
    ):
        with pytest.raises(AuthError, match=f"permission {permission} is missing"):
            attempt()


def test_somebody_without_a_name_is_told_to_log_in(guarded: CloudUnderTest) -> None:
    anonymous = SecretManagerStore(guarded.open(owner_token=""))
    with pytest.raises(AuthError):
        anonymous.get_secret("db")
