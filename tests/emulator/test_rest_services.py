"""What only REST offers: projects, services, last use, API keys, organization policies."""

import hashlib
import re
from datetime import timedelta
from typing import Any

import pytest

from orchestra_creds.emulator.iam import key_records
from orchestra_creds.emulator.identity import oauth
from orchestra_creds.emulator.protocol.faults import Lag
from orchestra_creds.emulator.store import project_numbers
from tests.emulator.conftest import Cloud, state_files
from tests.emulator.identities import PROJECT, Caller, account_name, credentials, email

SERVICES = f"/v1/{PROJECT}/services"
API_KEYS = f"/v2/{PROJECT}/locations/global/keys"
POLICIES = f"/v2/{PROJECT}/policies"
ACTIVITIES = f"/v1/{PROJECT}/locations/global/activityTypes"


@pytest.fixture
def boss(cloud: Cloud) -> Caller:
    return Caller(cloud.emulator, "")


def test_a_project_is_the_same_by_id_and_number_in_both_versions(boss: Caller) -> None:
    old = boss.rest("GET", f"/v1/{PROJECT}")[1]
    new = boss.rest("GET", f"/v3/{PROJECT}")[1]
    assert (old["projectId"], new["projectId"]) == ("demo-project", "demo-project")
    assert new["name"] == f"projects/{old['projectNumber']}"
    assert boss.rest("GET", f"/v3/{new['name']}")[1] == new
    assert [one["projectId"] for one in boss.rest("GET", "/v3/projects:search")[1]["projects"]] == ["demo-project"]
    assert len(boss.rest("GET", "/v1/projects")[1]["projects"]) == 1
    for name in ("Not_A_Project", "1"):
        assert boss.rest("GET", f"/v3/projects/{name}")[0] == 403


def test_a_projects_policy_keeps_its_audit_configs(boss: Caller) -> None:
    audit = [{"service": "secretmanager.googleapis.com", "auditLogConfigs": [{"logType": "DATA_READ"}]}]
    first = boss.rest("POST", f"/v3/{PROJECT}:getIamPolicy", {})[1]
    assert first["etag"] == "ACAB"
    body = {"policy": {"auditConfigs": audit, "etag": "ACAB"}, "updateMask": "auditConfigs,etag"}
    status, second = boss.rest("POST", f"/v1/{PROJECT}:setIamPolicy", body)
    assert (status, second["auditConfigs"]) == (200, audit)
    bindings = [{"role": "roles/viewer", "members": ["user:a@example.com"]}]
    third = boss.rest(
        "POST", f"/v3/{PROJECT}:setIamPolicy", {"policy": {"bindings": bindings, "etag": second["etag"]}}
    )[1]
    assert (third["bindings"], third["auditConfigs"]) == (bindings, audit)
    stale = {"policy": {"bindings": [], "etag": second["etag"]}}
    assert boss.rest("POST", f"/v3/{PROJECT}:setIamPolicy", stale)[0] == 409
    asked = {"permissions": ["resourcemanager.projects.get"]}
    assert boss.rest("POST", f"/v3/{PROJECT}:testIamPermissions", asked)[1] == asked
    assert boss.rest("POST", f"/v3/{PROJECT}:setIamPolicy", {"policy": {"bindingz": []}})[0] == 400


def test_our_apis_are_on_and_others_can_be_switched(boss: Caller) -> None:
    assert boss.rest("GET", f"{SERVICES}/secretmanager.googleapis.com")[1]["state"] == "ENABLED"
    assert boss.rest("GET", f"{SERVICES}/pubsub.googleapis.com")[1]["state"] == "DISABLED"
    operation = boss.rest("POST", f"{SERVICES}/pubsub.googleapis.com:enable", {})[1]
    assert (operation["done"], operation["response"]["service"]["state"]) == (True, "ENABLED")
    assert boss.rest("GET", f"/v1/{operation['name']}")[1] == operation
    enabled = boss.rest("GET", f"{SERVICES}?filter=state:ENABLED&pageSize=100")[1]["services"]
    assert "pubsub.googleapis.com" in {service["config"]["name"] for service in enabled}
    assert (
        boss.rest("POST", f"{SERVICES}/pubsub.googleapis.com:disable", {})[1]["response"]["service"]["state"]
        == "DISABLED"
    )
    body = {"serviceIds": ["pubsub.googleapis.com", "run.googleapis.com"]}
    assert len(boss.rest("POST", f"{SERVICES}:batchEnable", body)[1]["response"]["services"]) == 2
    named = "&".join(f"names={PROJECT}/services/{name}" for name in body["serviceIds"])
    assert {s["state"] for s in boss.rest("GET", f"{SERVICES}:batchGet?{named}")[1]["services"]} == {"ENABLED"}
    assert boss.rest("POST", f"{SERVICES}:batchEnable", {"serviceIds": []})[0] == 400
    assert boss.rest("GET", f"{SERVICES}/not-a-service")[0] == 404


def test_operations_are_forgotten_after_a_day(boss: Caller, cloud: Cloud) -> None:
    operation = boss.rest("POST", f"{SERVICES}/pubsub.googleapis.com:enable", {})[1]
    cloud.store.advance(timedelta(days=1, seconds=1))
    assert boss.rest("GET", f"/v1/{operation['name']}")[0] == 404


def test_last_use_is_told_to_the_day_that_starts_at_seven(boss: Caller, cloud: Cloud) -> None:
    account = boss.account()
    used, unused = boss.key()[0], boss.key()[0]
    with cloud.store.transaction() as txn:
        key_records.note_use(txn, account, used.rpartition("/")[2])
        now = txn.now
    day = now - timedelta(hours=7)
    _status, reply = boss.rest("GET", f"{ACTIVITIES}/serviceAccountKeyLastAuthentication/activities:query")
    found = {one["fullResourceName"]: one["activity"] for one in reply["activities"]}
    assert set(found) == {f"//iam.googleapis.com/{used}", f"//iam.googleapis.com/{unused}"}
    assert found[f"//iam.googleapis.com/{used}"]["lastAuthenticatedTime"] == f"{day.date().isoformat()}T07:00:00Z"
    assert "lastAuthenticatedTime" not in found[f"//iam.googleapis.com/{unused}"]
    query = f'filter=activities.full_resource_name%3D"//iam.googleapis.com/{used}"'
    _status, reply = boss.rest("GET", f"{ACTIVITIES}/serviceAccountKeyLastAuthentication/activities:query?{query}")
    assert len(reply["activities"]) == 1
    _status, reply = boss.rest("GET", f"{ACTIVITIES}/serviceAccountLastAuthentication/activities:query")
    assert reply["activities"][0]["fullResourceName"] == f"//iam.googleapis.com/{account_name('rotator')}"
    assert boss.rest("GET", f"{ACTIVITIES}/other/activities:query")[0] == 400


def test_authentication_is_what_counts_as_use(boss: Caller, cloud: Cloud) -> None:
    account = boss.account()
    name, fields = boss.key()
    key_id = name.rpartition("/")[2]
    boss.call("GetServiceAccountKey", name=name)
    with cloud.store.transaction() as txn:
        assert key_records.last_use(txn, account, key_id) is None
    text = credentials(fields)._make_authorization_grant_assertion().decode()
    assert boss.form("/token", grant_type=oauth.GRANT_TYPE, assertion=text)[0] == 200
    with cloud.store.transaction() as txn:
        used = key_records.last_use(txn, account, key_id)
        assert used is not None
        assert timedelta(0) <= txn.now - used < timedelta(minutes=1)


def test_the_operation_that_makes_an_api_key_holds_its_string_when_it_is_done(boss: Caller, cloud: Cloud) -> None:
    cloud.lag(Lag.OPERATION, 5)
    begun = boss.rest("POST", f"{API_KEYS}?keyId=maps", {})[1]
    assert {"done", "response"} & begun.keys() == set()
    cloud.store.advance(timedelta(seconds=6))
    ended = boss.rest("GET", f"/v2/{begun['name']}")[1]
    text = boss.rest("GET", f"{API_KEYS}/maps/keyString")[1]["keyString"]
    assert (ended["done"], ended["response"].get("keyString")) == (True, text)
    assert boss.rest("GET", f"/v2/{begun['name']}")[1] == ended
    assert text.encode() not in state_files(cloud.store.path)
    cloud.store.advance(timedelta(days=1))
    assert boss.rest("GET", f"/v2/{begun['name']}")[0] == 404
    changed = boss.rest("PATCH", f"{API_KEYS}/maps?updateMask=displayName", {"displayName": "Maps"})[1]
    cloud.store.advance(timedelta(seconds=6))
    assert "keyString" not in boss.rest("GET", f"/v2/{changed['name']}")[1]["response"]


def test_an_api_key_lives_its_life(boss: Caller, cloud: Cloud) -> None:
    status, operation = boss.rest("POST", f"{API_KEYS}?keyId=maps", {"displayName": "Maps"})
    made = operation["response"]
    with cloud.store.transaction() as txn:
        number = project_numbers.number_of(txn, "demo-project")
    assert (status, made["name"]) == (200, f"projects/{number}/locations/global/keys/maps")
    text = boss.rest("GET", f"{API_KEYS}/maps/keyString")[1]["keyString"]
    assert re.fullmatch(r"AIza[A-Za-z0-9_-]{35}", text)
    assert boss.rest("POST", f"{API_KEYS}?keyId=maps", {})[0] == 409
    assert "keyString" not in boss.rest("GET", f"{API_KEYS}/maps")[1]
    assert made["keyString"] == text
    found = boss.rest("GET", f"/v2/keys:lookupKey?keyString={text}")[1]
    assert found == {"parent": f"projects/{number}/locations/global", "name": made["name"]}
    assert boss.rest("GET", "/v2/keys:lookupKey?keyString=AIzaOther")[0] == 404

    restrictions = {"apiTargets": [{"service": "maps.googleapis.com"}]}
    changed = boss.rest("PATCH", f"{API_KEYS}/maps?updateMask=restrictions", {"restrictions": restrictions})[1][
        "response"
    ]
    assert (changed["restrictions"], changed["displayName"]) == (restrictions, "Maps")
    assert boss.rest("PATCH", f"{API_KEYS}/maps?updateMask=displayName", {"etag": made["etag"]})[0] == 409
    assert boss.rest("PATCH", f"{API_KEYS}/maps?updateMask=uid", {"uid": "x"})[0] == 400

    assert boss.rest("DELETE", f"{API_KEYS}/maps")[1]["response"]["deleteTime"]
    assert boss.rest("GET", API_KEYS)[1] == {"keys": []}
    assert len(boss.rest("GET", f"{API_KEYS}?showDeleted=true")[1]["keys"]) == 1
    assert boss.rest("DELETE", f"{API_KEYS}/maps")[0] == 400
    assert boss.rest("POST", f"{API_KEYS}/maps:undelete", {})[0] == 200
    assert boss.rest("POST", f"{API_KEYS}/maps:undelete", {})[0] == 400
    boss.rest("DELETE", f"{API_KEYS}/maps")
    cloud.store.advance(timedelta(days=31))
    assert boss.rest("GET", f"{API_KEYS}/maps")[0] == 404
    assert boss.rest("GET", f"/v2/keys:lookupKey?keyString={text}")[0] == 404


def test_a_key_is_restricted_to_one_kind_of_client(boss: Caller) -> None:
    both: dict[str, Any] = {"restrictions": {"browserKeyRestrictions": {}, "serverKeyRestrictions": {}}}
    assert boss.rest("POST", API_KEYS, both)[0] == 400


def test_the_key_string_is_nowhere_in_the_state(boss: Caller, cloud: Cloud) -> None:
    boss.rest("POST", f"{API_KEYS}?keyId=maps", {})
    text = boss.rest("GET", f"{API_KEYS}/maps/keyString")[1]["keyString"]
    everything = state_files(cloud.store.path)
    assert text.encode() not in everything
    assert hashlib.sha256(text.encode()).hexdigest().encode() in everything


def test_organization_policies_are_set_read_listed_and_taken_away(boss: Caller) -> None:
    name = "iam.disableServiceAccountKeyCreation"
    effective = f"{POLICIES}/{name}:getEffectivePolicy"
    assert boss.rest("GET", effective)[1]["spec"]["rules"] == [{"enforce": False}]
    policy = {"name": f"{PROJECT}/policies/{name}", "spec": {"rules": [{"enforce": True}]}}
    status, made = boss.rest("POST", POLICIES, policy)
    assert status == 200
    assert boss.rest("POST", POLICIES, policy)[0] == 409
    assert boss.rest("GET", effective)[1]["spec"]["rules"] == [{"enforce": True}]
    assert len(boss.rest("GET", POLICIES)[1]["policies"]) == 1
    assert boss.rest("PATCH", f"{POLICIES}/{name}", {**policy, "etag": "stale"})[0] == 409
    assert boss.rest("PATCH", f"{POLICIES}/{name}", {**policy, "etag": made["etag"]})[0] == 200
    assert boss.rest("PATCH", f"{POLICIES}/{name}", {"spec": {"rules": "none"}})[0] == 400
    assert boss.rest("DELETE", f"{POLICIES}/{name}")[0] == 200
    assert boss.rest("GET", f"{POLICIES}/{name}")[0] == 404
    assert len(boss.rest("GET", f"/v2/{PROJECT}/constraints")[1]["constraints"]) >= 5


def test_exposed_keys_are_disabled_by_default(boss: Caller) -> None:
    path = f"{POLICIES}/iam.serviceAccountKeyExposureResponse:getEffectivePolicy"
    assert boss.rest("GET", path)[1]["spec"]["rules"] == [{"values": {"allowedValues": ["DISABLE_KEY"]}}]


def test_bodies_that_are_no_objects_are_refused(boss: Caller) -> None:
    for verb, target in (
        ("POST", API_KEYS),
        ("POST", f"{SERVICES}:batchEnable"),
        ("POST", f"/v3/{PROJECT}:setIamPolicy"),
    ):
        assert boss.rest(verb, target, [1])[0] == 400
        assert boss.rest(verb, target, b"{")[0] == 400


def test_projects_are_known_by_their_number_once_it_was_given(boss: Caller, cloud: Cloud) -> None:
    boss.account()
    with cloud.store.transaction() as txn:
        number = project_numbers.number_of(txn, "demo-project")
        assert project_numbers.id_of(txn, number) == "demo-project"
        assert project_numbers.id_of(txn, "1") == "1"
    status, _ = boss.rest("GET", f"/v1/projects/{number}/serviceAccounts/{email('rotator')}")
    assert status == 200
