"""Secret Manager's semantics, on the handlers."""

import re
from datetime import UTC, timedelta
from typing import Any

import google_crc32c
import pytest
from google.cloud.secretmanager_v1.types import SecretVersion

from orchestra_creds.emulator.protocol import faults, strict
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.emulator.protocol.faults import Lag
from orchestra_creds.emulator.protocol.routes import IAM_POLICY, LOCATIONS
from orchestra_creds.emulator.store import project_numbers
from tests.emulator.conftest import AUTOMATIC, PROJECT, Cloud, refused

State = SecretVersion.State
REGIONAL = f"{PROJECT}/locations/europe-west1"


def later(cloud: Cloud, **step: float) -> Any:
    """A request field with the emulator's time plus this much."""
    return cloud.store.now() + timedelta(**step)


def test_a_secret_is_created_once(cloud: Cloud) -> None:
    name = cloud.secret("db")
    assert re.fullmatch(r"projects/[0-9]{12}/secrets/db", name)
    with refused(Code.ALREADY_EXISTS, f"Secret [{name}] already exists."):
        cloud.secret("db")


@pytest.mark.parametrize("secret_id", ["", "a/b", "a b", "a.b", "ü", "x" * 256])
def test_a_secret_id_has_letters_digits_hyphens_and_underscores(cloud: Cloud, secret_id: str) -> None:
    with refused(Code.INVALID_ARGUMENT, "Secret ID"):
        cloud.secret(secret_id)


def test_a_secret_id_may_have_255_characters(cloud: Cloud) -> None:
    assert cloud.secret("x" * 255).endswith("x" * 255)


def test_a_global_secret_needs_a_replication(cloud: Cloud) -> None:
    with refused(Code.INVALID_ARGUMENT, "replication"):
        cloud.call("CreateSecret", parent=PROJECT, secret_id="db")


@pytest.mark.parametrize("locations", [[], ["nowhere"], ["us-east1", "us-east1"]])
def test_user_managed_replicas_are_distinct_known_locations(cloud: Cloud, locations: list[str]) -> None:
    replicas = {"user_managed": {"replicas": [{"location": location} for location in locations]}}
    with refused(Code.INVALID_ARGUMENT, "replication"):
        cloud.secret("db", replication=replicas)


def test_a_version_tells_its_replicas(cloud: Cloud) -> None:
    key = "projects/p/locations/us-east1/keyRings/r/cryptoKeys/k"
    replicas = [{"location": "us-east1", "customer_managed_encryption": {"kms_key_name": key}}]
    name = cloud.secret("db", b"x", replication={"user_managed": {"replicas": replicas}})
    version = cloud.call("GetSecretVersion", name=f"{name}/versions/1")
    replica = version.replication_status.user_managed.replicas[0]
    assert ("us-east1", f"{key}/cryptoKeyVersions/1") == (
        replica.location,
        replica.customer_managed_encryption.kms_key_version_name,
    )


def test_a_regional_secret_lives_beside_the_global_one(cloud: Cloud) -> None:
    cloud.secret("db", b"global")
    regional = cloud.call("CreateSecret", parent=REGIONAL, secret_id="db").name
    cloud.call("AddSecretVersion", parent=regional, payload={"data": b"regional"})
    assert cloud.access(f"{REGIONAL}/secrets/db/versions/latest") == b"regional"
    assert cloud.access(f"{PROJECT}/secrets/db/versions/latest") == b"global"
    assert len(cloud.call("ListSecrets", parent=PROJECT).secrets) == 1
    assert len(cloud.call("ListSecrets", parent=REGIONAL).secrets) == 1


def test_a_regional_secret_takes_no_replication(cloud: Cloud) -> None:
    with refused(Code.INVALID_ARGUMENT, "replication"):
        cloud.call("CreateSecret", parent=REGIONAL, secret_id="db", secret=AUTOMATIC)


def test_an_unknown_location_is_refused(cloud: Cloud) -> None:
    with refused(Code.INVALID_ARGUMENT, "not supported"):
        cloud.call("CreateSecret", parent=f"{PROJECT}/locations/moon", secret_id="db")


@pytest.mark.parametrize("parent", ["", "demo-project", "projects/", "folders/1", f"{PROJECT}/secrets/s"])
def test_a_parent_is_a_project_or_a_location(cloud: Cloud, parent: str) -> None:
    with refused(Code.INVALID_ARGUMENT):
        cloud.call("CreateSecret", parent=parent, secret_id="db", secret=AUTOMATIC)


# Versions and payloads.


def test_numbers_start_at_one_and_count_up(cloud: Cloud) -> None:
    name = cloud.secret("db")
    added = [cloud.call("AddSecretVersion", parent=name, payload={"data": b"x"}).name for _ in range(3)]
    assert [f"{name}/versions/{number}" for number in (1, 2, 3)] == added


def test_latest_is_the_newest_whatever_its_state(cloud: Cloud) -> None:
    name = cloud.secret("db", b"one", b"two")
    assert cloud.access(f"{name}/versions/latest") == b"two"
    cloud.call("DisableSecretVersion", name=f"{name}/versions/2")
    with refused(Code.FAILED_PRECONDITION, f"Secret Version [{name}/versions/2] is in DISABLED state."):
        cloud.access(f"{name}/versions/latest")
    assert f"{name}/versions/2" == cloud.call("GetSecretVersion", name=f"{name}/versions/latest").name


def test_latest_of_a_secret_without_versions_is_not_found(cloud: Cloud) -> None:
    name = cloud.secret("db")
    with refused(Code.NOT_FOUND, "has no versions"):
        cloud.access(f"{name}/versions/latest")


def test_a_payload_of_64_kib_passes_and_one_byte_more_is_refused(cloud: Cloud) -> None:
    name = cloud.secret("db", b"\xff" * 65_536)
    assert cloud.access(f"{name}/versions/1") == b"\xff" * 65_536
    with refused(Code.INVALID_ARGUMENT, "65536"):
        cloud.call("AddSecretVersion", parent=name, payload={"data": b"x" * 65_537})


def test_an_empty_payload_is_refused(cloud: Cloud) -> None:
    with refused(Code.INVALID_ARGUMENT, "empty"):
        cloud.call("AddSecretVersion", parent=cloud.secret("db"), payload={})


@pytest.mark.parametrize("wrong", [0, -1, 1, 2**40])
def test_a_wrong_crc_is_refused(cloud: Cloud, wrong: int) -> None:
    name = cloud.secret("db")
    with refused(Code.INVALID_ARGUMENT, "CRC32C"):
        cloud.call("AddSecretVersion", parent=name, payload={"data": b"x", "data_crc32c": wrong})
    assert cloud.call("ListSecretVersions", parent=name).total_size == 0


def test_a_refused_version_uses_up_no_number(cloud: Cloud) -> None:
    name = cloud.secret("db")
    with refused(Code.INVALID_ARGUMENT):
        cloud.call("AddSecretVersion", parent=name, payload={"data": b"x", "data_crc32c": 1})
    assert f"{name}/versions/1" == cloud.call("AddSecretVersion", parent=name, payload={"data": b"x"}).name


def test_the_crc_is_returned_and_it_is_told_whether_the_client_gave_it(cloud: Cloud) -> None:
    name = cloud.secret("db", b"without")
    crc = google_crc32c.value(b"with")
    given = cloud.call("AddSecretVersion", parent=name, payload={"data": b"with", "data_crc32c": crc})
    assert given.client_specified_payload_checksum
    assert not cloud.call("GetSecretVersion", name=f"{name}/versions/1").client_specified_payload_checksum
    for number, data in (("1", b"without"), ("2", b"with")):
        payload = cloud.call("AccessSecretVersion", name=f"{name}/versions/{number}").payload
        assert google_crc32c.value(data) == payload.data_crc32c


@pytest.mark.parametrize("version", ["9", "0", "01", "-1", "unknown", "NEW"])
def test_an_unknown_version_is_not_found(cloud: Cloud, version: str) -> None:
    name = cloud.secret("db", b"x")
    with refused(Code.NOT_FOUND):
        cloud.access(f"{name}/versions/{version}")


@pytest.mark.parametrize("name", ["", "x", f"{PROJECT}/secrets", f"{PROJECT}/secrets/s/versions/1/more"])
def test_a_name_of_the_wrong_shape_is_refused(cloud: Cloud, name: str) -> None:
    with refused(Code.INVALID_ARGUMENT):
        cloud.access(name)
    with refused(Code.INVALID_ARGUMENT):
        cloud.call("GetSecret", name=name)


def test_a_missing_secret_is_named(cloud: Cloud) -> None:
    missing = cloud.secret("db").replace("/db", "/none")
    with refused(Code.NOT_FOUND, f"Secret [{missing}] not found."):
        cloud.call("GetSecret", name=f"{PROJECT}/secrets/none")
    with refused(Code.NOT_FOUND, f"Secret [{missing}] not found."):
        cloud.call("AddSecretVersion", parent=f"{PROJECT}/secrets/none", payload={"data": b"x"})


def test_a_disabled_version_comes_back_and_a_destroyed_one_does_not(cloud: Cloud) -> None:
    name = cloud.secret("db", b"x")
    version = f"{name}/versions/1"
    assert cloud.call("DisableSecretVersion", name=version).state == State.DISABLED
    assert cloud.call("EnableSecretVersion", name=version).state == State.ENABLED
    assert cloud.access(version) == b"x"
    destroyed = cloud.call("DestroySecretVersion", name=version)
    assert (destroyed.state, destroyed.HasField("destroy_time")) == (State.DESTROYED, True)
    for method in ("EnableSecretVersion", "DisableSecretVersion", "DestroySecretVersion", "AccessSecretVersion"):
        with refused(Code.FAILED_PRECONDITION, "DESTROYED"):
            cloud.call(method, name=version)


def test_a_number_is_never_used_twice_in_a_secret(cloud: Cloud) -> None:
    name = cloud.secret("db", b"x")
    cloud.call("DestroySecretVersion", name=f"{name}/versions/1")
    assert f"{name}/versions/2" == cloud.call("AddSecretVersion", parent=name, payload={"data": b"x"}).name


def test_deleting_a_secret_takes_its_versions_and_its_policy(cloud: Cloud) -> None:
    name = cloud.secret("db", b"x")
    binding = {"role": "roles/viewer", "members": ["user:a@example.com"]}
    cloud.call("SetIamPolicy", resource=name, policy={"bindings": [binding]})
    cloud.call("DeleteSecret", name=name)
    with refused(Code.NOT_FOUND):
        cloud.access(f"{name}/versions/1")
    cloud.secret("db", b"y")
    assert list(cloud.call("GetIamPolicy", resource=name).bindings) == []
    assert cloud.access(f"{name}/versions/1") == b"y"


# Etags.


def test_every_change_renews_the_etag_also_one_that_changes_nothing(cloud: Cloud) -> None:
    name = cloud.secret("db", b"x")
    version = f"{name}/versions/1"
    tags = [cloud.call("EnableSecretVersion", name=version).etag for _ in range(3)]
    secret_tags = [cloud.update(name, labels={"a": "b"}).etag for _ in range(3)]
    assert (len(set(tags)), len(set(secret_tags))) == (3, 3)
    assert all(tag.startswith('"') and tag.endswith('"') for tag in tags + secret_tags)


@pytest.mark.parametrize("method", ["EnableSecretVersion", "DisableSecretVersion", "DestroySecretVersion"])
def test_a_stale_version_etag_is_refused_and_the_current_one_passes(cloud: Cloud, method: str) -> None:
    name = cloud.secret("db", b"x")
    version = f"{name}/versions/1"
    stale = cloud.call("GetSecretVersion", name=version).etag
    current = cloud.call("EnableSecretVersion", name=version).etag
    with refused(Code.FAILED_PRECONDITION, "etag"):
        cloud.call(method, name=version, etag=stale)
    cloud.call(method, name=version, etag=current)


def test_a_stale_secret_etag_is_refused(cloud: Cloud) -> None:
    name = cloud.secret("db")
    stale = cloud.call("GetSecret", name=name).etag
    current = cloud.update(name, labels={"a": "b"}).etag
    with refused(Code.FAILED_PRECONDITION, "etag"):
        cloud.update(name, "labels", labels={"c": "d"}, etag=stale)
    with refused(Code.FAILED_PRECONDITION, "etag"):
        cloud.call("DeleteSecret", name=name, etag=stale)
    cloud.call("DeleteSecret", name=name, etag=current)


def test_secret_and_version_etags_are_independent(cloud: Cloud) -> None:
    name = cloud.secret("db", b"x")
    secret, version = cloud.call("GetSecret", name=name).etag, f"{name}/versions/1"
    cloud.call("AddSecretVersion", parent=name, payload={"data": b"y"})
    cloud.call("DisableSecretVersion", name=version)
    assert secret == cloud.call("GetSecret", name=name).etag
    before = cloud.call("GetSecretVersion", name=version).etag
    cloud.update(name, labels={"a": "b"})
    assert before == cloud.call("GetSecretVersion", name=version).etag


# Aliases.


def test_an_alias_reads_and_does_not_write(cloud: Cloud) -> None:
    name = cloud.secret("db", b"one", b"two")
    cloud.update(name, version_aliases={"current": 1})
    assert cloud.access(f"{name}/versions/current") == b"one"
    assert f"{name}/versions/1" == cloud.call("GetSecretVersion", name=f"{name}/versions/current").name
    for version in ("current", "latest"):
        with refused(Code.INVALID_ARGUMENT, "number"):
            cloud.call("DisableSecretVersion", name=f"{name}/versions/{version}")


def test_an_alias_moves_under_the_etag(cloud: Cloud) -> None:
    name = cloud.secret("db", b"one", b"two")
    etag = cloud.update(name, version_aliases={"current": 1}).etag
    cloud.update(name, "version_aliases", version_aliases={"current": 2}, etag=etag)
    with refused(Code.FAILED_PRECONDITION):
        cloud.update(name, "version_aliases", version_aliases={"current": 1}, etag=etag)
    assert cloud.access(f"{name}/versions/current") == b"two"


@pytest.mark.parametrize("alias", ["latest", "NEW", "1st", "", "a.b", "x" * 64])
def test_an_alias_starts_with_a_letter_and_is_not_reserved(cloud: Cloud, alias: str) -> None:
    with refused(Code.INVALID_ARGUMENT, "alias"):
        cloud.update(cloud.secret("db", b"x"), version_aliases={alias: 1})


def test_an_alias_points_to_a_version_that_exists(cloud: Cloud) -> None:
    name = cloud.secret("db", b"x")
    with refused(Code.INVALID_ARGUMENT, "alias"):
        cloud.update(name, version_aliases={"current": 2})


def test_there_are_at_most_50_aliases(cloud: Cloud) -> None:
    name = cloud.secret("db", b"x")
    cloud.update(name, version_aliases={f"a{number}": 1 for number in range(50)})
    with refused(Code.INVALID_ARGUMENT, "50"):
        cloud.update(name, version_aliases={f"a{number}": 1 for number in range(51)})


# Updates.


def test_an_update_changes_what_the_mask_names_and_nothing_else(cloud: Cloud) -> None:
    name = cloud.secret("db", labels={"a": "b"}, annotations={"kept": "yes"})
    changed = cloud.update(name, "labels", labels={"c": "d"}, annotations={"kept": "no"})
    assert (dict(changed.labels), dict(changed.annotations)) == ({"c": "d"}, {"kept": "yes"})


def test_a_masked_field_that_is_not_given_is_cleared(cloud: Cloud) -> None:
    name = cloud.secret("db", labels={"a": "b"})
    assert dict(cloud.update(name, "labels").labels) == {}


@pytest.mark.parametrize("path", ["name", "replication", "create_time", "secret_type", "nonsense", "labels.a", ""])
def test_a_field_that_cannot_be_updated_is_refused(cloud: Cloud, path: str) -> None:
    with refused(Code.INVALID_ARGUMENT, "cannot be updated"):
        cloud.update(cloud.secret("db"), path)


def test_an_empty_mask_is_refused(cloud: Cloud) -> None:
    name = cloud.secret("db")
    with refused(Code.INVALID_ARGUMENT, "mask"):
        cloud.call("UpdateSecret", secret={"name": name, "labels": {"a": "b"}})


@pytest.mark.parametrize(
    "fields",
    [
        {"labels": {f"k{number}": "v" for number in range(65)}},
        {"labels": {"Upper": "v"}},
        {"labels": {"1st": "v"}},
        {"labels": {"k": "x" * 64}},
        {"labels": {"k": "Upper"}},
        {"annotations": {"-k": "v"}},
        {"annotations": {"k" * 64: "v"}},
        {"annotations": {"k": "v" * 16_383}},
        {"topics": [{"name": f"projects/p/topics/topic{number}"} for number in range(11)]},
        {"topics": [{"name": "topic"}]},
        {"version_destroy_ttl": {"seconds": 3600}},
        {"version_destroy_ttl": {"seconds": 86_400 * 1001}},
        {"ttl": {"seconds": 0}},
        {"ttl": {"seconds": -5}},
        {"ttl": {"seconds": 10**12 // 4}},
        {"rotation": {"rotation_period": {"seconds": 3600}}, "topics": [{"name": "projects/p/topics/rotations"}]},
    ],
)
def test_what_the_rules_of_a_secret_forbid_is_refused_at_birth_and_later(cloud: Cloud, fields: dict[str, Any]) -> None:
    with refused(Code.INVALID_ARGUMENT):
        cloud.secret("db", **fields)
    name = cloud.secret("db")
    with refused(Code.INVALID_ARGUMENT):
        cloud.update(name, **fields)


def test_labels_and_annotations_at_their_limits_pass(cloud: Cloud) -> None:
    name = cloud.secret("db", labels={f"k{number}": "" for number in range(64)} | {"k0": "größe-1_x"})
    cloud.update(name, annotations={"a.b-c_d": "v" * 16_376})


# Time.


def test_a_delayed_destruction_happens_after_the_delay(cloud: Cloud) -> None:
    name = cloud.secret("db", b"x", version_destroy_ttl={"seconds": 86_400})
    version = f"{name}/versions/1"
    pending = cloud.call("DestroySecretVersion", name=version)
    assert (pending.state, pending.HasField("scheduled_destroy_time")) == (State.DISABLED, True)
    with refused(Code.FAILED_PRECONDITION, "DISABLED"):
        cloud.access(version)
    with refused(Code.FAILED_PRECONDITION, "already scheduled"):
        cloud.call("DestroySecretVersion", name=version)
    cloud.store.advance(timedelta(hours=23))
    assert cloud.call("GetSecretVersion", name=version).state == State.DISABLED
    cloud.store.advance(timedelta(hours=2))
    assert cloud.call("GetSecretVersion", name=version).state == State.DESTROYED
    with cloud.store.transaction() as txn:
        assert txn.unseal(version) is None


@pytest.mark.parametrize(
    ("method", "state"), [("EnableSecretVersion", State.ENABLED), ("DisableSecretVersion", State.DISABLED)]
)
def test_enabling_or_disabling_cancels_a_delayed_destruction(cloud: Cloud, method: str, state: State) -> None:
    name = cloud.secret("db", b"x", version_destroy_ttl={"seconds": 86_400})
    version = f"{name}/versions/1"
    cloud.call("DestroySecretVersion", name=version)
    assert not cloud.call(method, name=version).HasField("scheduled_destroy_time")
    cloud.store.advance(timedelta(days=3))
    assert state == cloud.call("GetSecretVersion", name=version).state


def test_a_secret_expires_with_everything_in_it(cloud: Cloud) -> None:
    name = cloud.secret("db", b"x", ttl={"seconds": 3600})
    shown = cloud.call("GetSecret", name=name)
    assert later(cloud, hours=1) - shown.expire_time.ToDatetime(tzinfo=UTC) < timedelta(seconds=5)
    cloud.store.advance(timedelta(hours=1))
    with refused(Code.NOT_FOUND):
        cloud.call("GetSecret", name=name)
    with cloud.store.transaction() as txn:
        assert txn.unseal(f"{name}/versions/1") is None


def test_an_expiry_can_be_taken_away(cloud: Cloud) -> None:
    name = cloud.secret("db", ttl={"seconds": 3600})
    assert not cloud.update(name, "expire_time").HasField("expire_time")
    cloud.store.advance(timedelta(hours=2))
    assert name == cloud.call("GetSecret", name=name).name


def test_a_rotation_needs_topics_and_five_minutes(cloud: Cloud) -> None:
    topics = [{"name": "projects/p/topics/rotations"}]
    with refused(Code.INVALID_ARGUMENT, "Topics"):
        cloud.secret("db", rotation={"next_rotation_time": later(cloud, hours=1)})
    with refused(Code.INVALID_ARGUMENT, "300s"):
        cloud.secret("db", topics=topics, rotation={"next_rotation_time": later(cloud, minutes=4)})
    with refused(Code.INVALID_ARGUMENT, "1 hour"):
        rotation = {"next_rotation_time": later(cloud, hours=1), "rotation_period": timedelta(minutes=59)}
        cloud.secret("db", topics=topics, rotation=rotation)


def test_a_rotation_only_tells_and_moves_on(cloud: Cloud) -> None:
    first = later(cloud, hours=1)
    rotation = {"next_rotation_time": first, "rotation_period": timedelta(days=1)}
    name = cloud.secret("db", b"x", topics=[{"name": "projects/p/topics/rotations"}], rotation=rotation)
    cloud.store.advance(timedelta(days=2))
    following = cloud.call("GetSecret", name=name).rotation.next_rotation_time.ToDatetime(tzinfo=UTC)
    assert first + timedelta(days=2) == following
    assert cloud.call("ListSecretVersions", parent=name).total_size == 1
    with cloud.store.transaction() as txn:
        events = [entry.method for entry in txn.audit() if entry.method.startswith("event/")]
    assert events == ["event/SECRET_CREATE", "event/SECRET_VERSION_ADD", "event/SECRET_ROTATE"]


def test_parts_of_a_rotation_can_be_updated(cloud: Cloud) -> None:
    rotation = {"next_rotation_time": later(cloud, hours=1), "rotation_period": timedelta(days=1)}
    name = cloud.secret("db", topics=[{"name": "projects/p/topics/rotations"}], rotation=rotation)
    changed = cloud.update(name, "rotation.rotation_period", rotation={"rotation_period": timedelta(days=2)})
    assert timedelta(days=2) == changed.rotation.rotation_period.ToTimedelta()
    assert changed.rotation.HasField("next_rotation_time")
    assert not cloud.update(name, "rotation").HasField("rotation")


# Lists.


def test_lists_are_newest_first_and_paged(cloud: Cloud) -> None:
    names = [cloud.secret(f"s{number}") for number in range(7)]
    seen, token = [], ""
    while True:
        page = cloud.call("ListSecrets", parent=PROJECT, page_size=3, page_token=token)
        assert (len(page.secrets) <= 3, 7) == (True, page.total_size)
        seen += [secret.name for secret in page.secrets]
        token = page.next_page_token
        if not token:
            break
    assert names[::-1] == seen


def test_versions_are_listed_newest_first_with_their_state(cloud: Cloud) -> None:
    name = cloud.secret("db", b"one", b"two", b"three")
    cloud.call("DestroySecretVersion", name=f"{name}/versions/2")
    found = cloud.call("ListSecretVersions", parent=name, filter="state:DESTROYED")
    assert ([f"{name}/versions/2"], 0) == ([version.name for version in found.versions], found.total_size)
    everything = cloud.call("ListSecretVersions", parent=name)
    assert [version.name.rpartition("/")[2] for version in everything.versions] == ["3", "2", "1"]


def test_a_page_token_belongs_to_its_list(cloud: Cloud) -> None:
    for number in range(3):
        cloud.secret(f"s{number}")
    token = cloud.call("ListSecrets", parent=PROJECT, page_size=1).next_page_token
    for fields in ({"parent": PROJECT, "filter": "name:s"}, {"parent": REGIONAL}):
        with refused(Code.INVALID_ARGUMENT, "page token"):
            cloud.call("ListSecrets", page_token=token, **fields)
    with refused(Code.INVALID_ARGUMENT, "page token"):
        cloud.call("ListSecrets", parent=PROJECT, page_token="nonsense")
    with refused(Code.INVALID_ARGUMENT, "Page size"):
        cloud.call("ListSecrets", parent=PROJECT, page_size=-1)


def test_a_filtered_list_is_paged_without_gaps(cloud: Cloud) -> None:
    for number in range(12):
        cloud.secret(f"s{number}", labels={"odd": str(number % 2)})
    first = cloud.call("ListSecrets", parent=PROJECT, page_size=4, filter="labels.odd=1")
    second = cloud.call(
        "ListSecrets", parent=PROJECT, page_size=4, filter="labels.odd=1", page_token=first.next_page_token
    )
    shown = [secret.name.rpartition("/")[2] for secret in (*first.secrets, *second.secrets)]
    assert (shown, second.next_page_token) == (["s11", "s9", "s7", "s5", "s3", "s1"], "")


def test_locations_are_listed_and_got(cloud: Cloud) -> None:
    listed = cloud.call("ListLocations", LOCATIONS, name=PROJECT, page_size=5)
    assert (len(listed.locations), listed.next_page_token) == (5, "5")
    one = cloud.call("GetLocation", LOCATIONS, name=f"{PROJECT}/locations/us-east1")
    assert one.location_id == "us-east1"
    with refused(Code.NOT_FOUND):
        cloud.call("GetLocation", LOCATIONS, name=f"{PROJECT}/locations/moon")


# Policies.


def test_a_policy_is_set_under_its_etag(cloud: Cloud) -> None:
    name = cloud.secret("db")
    empty = cloud.call("GetIamPolicy", resource=name)
    binding = {"role": "roles/secretmanager.secretAccessor", "members": ["user:a@example.com"]}
    first = cloud.call("SetIamPolicy", resource=name, policy={"bindings": [binding], "etag": empty.etag})
    assert first.etag != empty.etag
    with refused(Code.ABORTED, "concurrent policy changes"):
        cloud.call("SetIamPolicy", resource=name, policy={"etag": empty.etag})
    cloud.call("SetIamPolicy", resource=name, policy={"etag": first.etag})
    assert list(cloud.call("GetIamPolicy", resource=name).bindings) == []


@pytest.mark.parametrize(
    "binding",
    [
        {"role": "owner", "members": ["user:a@example.com"]},
        {"role": "roles/viewer", "members": ["a@example.com"]},
        {"role": "roles/viewer", "members": ["robot:a@example.com"]},
    ],
)
def test_a_binding_names_a_role_and_typed_members(cloud: Cloud, binding: dict[str, Any]) -> None:
    with refused(Code.INVALID_ARGUMENT):
        cloud.call("SetIamPolicy", resource=cloud.secret("db"), policy={"bindings": [binding]})


def test_a_policy_with_a_condition_is_version_three(cloud: Cloud) -> None:
    binding = {
        "role": "roles/secretmanager.viewer",
        "members": ["user:a@example.com"],
        "condition": {"title": "t", "expression": "true"},
    }
    policy = cloud.call("SetIamPolicy", resource=cloud.secret("db"), policy={"bindings": [binding], "version": 3})
    assert policy.version == 3


def test_a_policy_of_nothing_is_not_found_and_its_permissions_are_none(cloud: Cloud) -> None:
    with refused(Code.NOT_FOUND):
        cloud.call("GetIamPolicy", resource=f"{PROJECT}/secrets/none")
    asked = ["secretmanager.versions.access"]
    reply = cloud.call("TestIamPermissions", resource=f"{PROJECT}/secrets/none", permissions=asked)
    assert list(reply.permissions) == []
    with refused(Code.INVALID_ARGUMENT):
        cloud.call("TestIamPermissions", resource=f"{PROJECT}/secrets/none", permissions=["secretmanager.*"])


def test_a_policy_keeps_audit_configs_that_the_mask_names(cloud: Cloud) -> None:
    name = cloud.secret("db")
    audit = [{"service": "secretmanager.googleapis.com", "audit_log_configs": [{"log_type": "DATA_READ"}]}]
    paths = {"paths": ["audit_configs"]}
    cloud.call("SetIamPolicy", resource=name, policy={"audit_configs": audit}, update_mask=paths)
    cloud.call("SetIamPolicy", resource=name, policy={})
    assert len(cloud.call("GetIamPolicy", resource=name).audit_configs) == 1
    with refused(Code.INVALID_ARGUMENT, "mask"):
        cloud.call("SetIamPolicy", resource=name, policy={}, update_mask={"paths": ["rules"]})


def test_a_binding_without_members_is_dropped(cloud: Cloud) -> None:
    policy = {"bindings": [{"role": "roles/viewer"}]}
    assert not cloud.call("SetIamPolicy", resource=cloud.secret("db"), policy=policy).bindings


@pytest.mark.parametrize("resource", ["", "db", f"{PROJECT}/topics/t"])
def test_only_some_resources_carry_a_policy(cloud: Cloud, resource: str) -> None:
    for method in ("GetIamPolicy", "SetIamPolicy", "TestIamPermissions"):
        with refused(Code.INVALID_ARGUMENT, "carries a policy"):
            cloud.call(method, resource=resource)


def test_the_policy_mixin_serves_every_resource(cloud: Cloud) -> None:
    name = cloud.secret("db")
    binding = {"role": "roles/viewer", "members": ["user:a@example.com"]}
    assert name.split("/")[1].isdecimal()
    cloud.call("SetIamPolicy", IAM_POLICY, resource=name, policy={"bindings": [binding]})
    assert cloud.call("GetIamPolicy", IAM_POLICY, resource=name) == cloud.call("GetIamPolicy", resource=name)
    assert not cloud.call("GetIamPolicy", IAM_POLICY, resource=PROJECT).bindings


# Customer-managed keys.

KEY = "projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k"


def test_a_customer_managed_key_stands_where_the_kind_of_secret_wants_it(cloud: Cloud) -> None:
    encryption = {"customer_managed_encryption": {"kms_key_name": KEY}}
    automatic = cloud.secret("auto", b"x", replication={"automatic": encryption})
    status = cloud.call("GetSecretVersion", name=f"{automatic}/versions/1").replication_status.automatic
    assert status.customer_managed_encryption.kms_key_version_name == f"{KEY}/cryptoKeyVersions/1"
    regional = cloud.call("CreateSecret", parent=REGIONAL, secret_id="db", secret=encryption).name
    version = cloud.call("AddSecretVersion", parent=regional, payload={"data": b"x"})
    assert version.customer_managed_encryption.kms_key_version_name == f"{KEY}/cryptoKeyVersions/1"
    with refused(Code.INVALID_ARGUMENT, "belongs to its replication"):
        cloud.secret("global", **encryption)
    with refused(Code.INVALID_ARGUMENT, "kms_key_name"):
        cloud.update(regional, customer_managed_encryption={"kms_key_name": "k"})


# Project numbers.


@pytest.mark.parametrize("mode", ["strict", pytest.param("lenient", marks=pytest.mark.lenient)])
def test_answers_and_refusals_name_the_project_by_its_number_in_both_modes(cloud: Cloud, mode: str) -> None:
    with cloud.store.transaction() as txn:
        assert strict.is_strict(txn) == (mode == "strict")
    name = f"{PROJECT}/secrets/db"
    cloud.secret("db", b"x")
    with cloud.store.transaction() as txn:
        number = project_numbers.number_of(txn, "demo-project")
    numbered = f"projects/{number}/secrets/db"
    assert cloud.call("GetSecret", name=name).name == numbered
    assert cloud.call("AccessSecretVersion", name=f"{numbered}/versions/1").name == f"{numbered}/versions/1"
    assert [s.name for s in cloud.call("ListSecrets", parent=f"projects/{number}").secrets] == [numbered]
    assert [v.name for v in cloud.call("ListSecretVersions", parent=name).versions] == [f"{numbered}/versions/1"]
    assert dict(cloud.update(numbered, labels={"a": "b"}).labels) == {"a": "b"}
    assert not cloud.call("GetIamPolicy", resource=numbered).bindings
    with refused(Code.NOT_FOUND, f"[projects/{number}/secrets/none]"):
        cloud.call("GetSecret", name=f"{PROJECT}/secrets/none")
    with refused(Code.PERMISSION_DENIED if mode == "strict" else Code.NOT_FOUND):
        cloud.call("GetSecret", name="projects/999999999999/secrets/db")  # a number that was not given out


# What is seen late.


def test_latest_may_be_late_and_a_number_never(cloud: Cloud) -> None:
    name = cloud.secret("db", b"one")
    cloud.store.advance(timedelta(minutes=10))
    cloud.lag(Lag.LATEST, 60)
    cloud.call("AddSecretVersion", parent=name, payload={"data": b"two"})
    assert cloud.access(f"{name}/versions/2") == b"two"
    assert cloud.access(f"{name}/versions/latest") == b"one"
    cloud.store.advance(timedelta(seconds=61))
    assert cloud.access(f"{name}/versions/latest") == b"two"


def test_an_alias_may_be_late(cloud: Cloud) -> None:
    name = cloud.secret("db", b"one", b"two")
    cloud.update(name, version_aliases={"current": 1})
    cloud.store.advance(timedelta(minutes=10))
    cloud.lag(Lag.ALIAS, 60)
    cloud.update(name, version_aliases={"current": 2})
    assert cloud.access(f"{name}/versions/current") == b"one"
    cloud.store.advance(timedelta(seconds=61))
    assert cloud.access(f"{name}/versions/current") == b"two"


def test_a_state_may_be_late(cloud: Cloud) -> None:
    name = cloud.secret("db", b"one")
    cloud.lag(Lag.STATE, 60)
    cloud.call("DisableSecretVersion", name=f"{name}/versions/1")
    assert cloud.access(f"{name}/versions/1") == b"one"
    cloud.store.advance(timedelta(seconds=61))
    with refused(Code.FAILED_PRECONDITION, "DISABLED"):
        cloud.access(f"{name}/versions/1")


def test_a_list_may_be_late(cloud: Cloud) -> None:
    cloud.lag(Lag.LIST, 60)
    name = cloud.secret("db", b"one")
    assert list(cloud.call("ListSecrets", parent=PROJECT).secrets) == []
    assert list(cloud.call("ListSecretVersions", parent=name).versions) == []
    cloud.store.advance(timedelta(seconds=61))
    assert len(cloud.call("ListSecrets", parent=PROJECT).secrets) == 1


@pytest.mark.lenient  # in strict mode some lags come back when all are cleared
def test_lags_are_listed_and_cleared(cloud: Cloud) -> None:
    cloud.lag(Lag.IAM, 5)
    with cloud.store.transaction() as txn:
        assert faults.lags(txn) == {Lag.IAM: 5.0}
        faults.clear(txn)
        assert faults.lags(txn) == {}
