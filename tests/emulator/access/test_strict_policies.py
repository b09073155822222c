"""Policies in strict mode, over the wire: what Google refuses is refused, and what it accepts comes back in its spelling."""

from collections.abc import Iterator
from typing import Any

import pytest

from orchestra_creds.emulator.store import project_numbers
from tests.emulator.conftest import AUTOMATIC, Cloud
from tests.emulator.identities import PROJECT, Caller, email
from tests.strictness import strict_mode

SECRET = f"{PROJECT}/secrets/db"
POLICY = f"/v1/{SECRET}:{{verb}}IamPolicy"
CONDITION = {"title": "for now", "expression": 'request.time < timestamp("2100-01-01T00:00:00Z")'}
READER = "roles/secretmanager.secretAccessor"
POOL = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/pool-1"


@pytest.fixture
def boss(cloud: Cloud) -> Iterator[Caller]:
    """The owner of a project in strict mode, with every API on, a secret, and the account `rotator`."""
    with strict_mode(cloud.store):
        boss = Caller(cloud.emulator, "")
        boss.secret("CreateSecret", parent=PROJECT, secret_id="db", secret=AUTOMATIC)
        boss.account()
        yield boss


def write(boss: Caller, *bindings: dict[str, Any], version: int = 3, **policy: Any) -> tuple[int, Any]:
    body = {"policy": {"version": version, "bindings": list(bindings), **policy}}
    return boss.rest("POST", POLICY.format(verb="set"), body)


def read(boss: Caller, version: int | str = 3) -> tuple[int, Any]:
    return boss.rest("GET", f"{POLICY.format(verb='get')}?options.requestedPolicyVersion={version}")


def bind(*members: str, role: str = READER, **more: Any) -> dict[str, Any]:
    return {"role": role, "members": list(members), **more}


def test_members_come_back_as_google_spells_them_merged_and_once(boss: Caller) -> None:
    me, subject = f"serviceAccount:{email('rotator')}", f"principal:{POOL}/subject/Repo:Acme"
    sent = [bind("group:OnCall@Example.com", "user:Ann@Example.com", me.replace("rotator", "Rotator")),
            bind("group:oncall@example.com", "domain:Example.COM", subject, me)]  # fmt: skip
    status, answered = write(boss, *sent)
    assert status == 200, answered
    (one,) = answered["bindings"]
    assert one["members"] == ["group:oncall@example.com", "user:ann@example.com", me, "domain:example.com", subject]
    assert read(boss)[1]["bindings"] == [one]


def test_bindings_of_one_role_under_another_condition_stay_apart(boss: Caller) -> None:
    status, answered = write(boss, bind("user:a@b.example"), bind("user:a@b.example", condition=CONDITION))
    assert (status, len(answered["bindings"]), answered["version"]) == (200, 2, 3)


@pytest.mark.parametrize(
    "member",
    [
        "user:alice", "group:team", "domain:example", "principalSet://nonsense", "principal://nonsense",
        f"principal:{POOL.replace('123456789012', 'demo-project')}/subject/x", f"principalSet:{POOL}",
        f"principalSet:{POOL}/attribute.x", "serviceAccount:nobody@demo-project.iam.gserviceaccount.com",
        "serviceAccount:rotator@example.com",
    ],
)  # fmt: skip
def test_a_member_that_cannot_be_is_refused(boss: Caller, member: str) -> None:
    status, refused = write(boss, bind(member))
    assert (status, member.partition(":")[2] in refused.get("error", {}).get("message", "")) == (400, True)


@pytest.mark.parametrize(
    "member",
    [
        f"principalSet:{POOL}/*", f"principalSet:{POOL}/group/g", f"principalSet:{POOL}/attribute.repository_id/7",
        f"principal:{POOL}/subject/a/b", "projectOwner:demo-project", "allUsers",
        "serviceAccount:service-1@gcp-sa-pubsub.iam.gserviceaccount.com", "serviceAccount:demo-project.svc.id.goog[ns/name]",
        "serviceAccount:1-compute@developer.gserviceaccount.com", "serviceAccount:demo-project@appspot.gserviceaccount.com",
        f"deleted:serviceAccount:{email('gone')}?uid=123",
        "principalSet://cloudresourcemanager.googleapis.com/projects/123456789012",
    ],
)  # fmt: skip
def test_other_members_that_google_documents_are_accepted(boss: Caller, member: str) -> None:
    status, answered = write(boss, bind(member))
    assert (status, answered.get("bindings", [{}])[0].get("members")) == (200, [member]), answered


def test_a_project_is_not_given_to_everybody(boss: Caller) -> None:
    for member in ("allUsers", "allAuthenticatedUsers"):
        policy = {"policy": {"bindings": [bind(member, role="roles/viewer")]}}
        assert boss.rest("POST", f"/v3/{PROJECT}:setIamPolicy", policy)[0] == 400


@pytest.mark.parametrize(
    "role",
    ["roles/doesNot.exist", "roles/secretmanager.everything", f"{PROJECT}/roles/missing", f"{READER}_withcond_1234"],
)
def test_a_role_that_does_not_exist_is_refused(boss: Caller, role: str) -> None:
    assert write(boss, bind("user:a@b.example", role=role))[0] == 400


def test_roles_that_are_known_or_made_are_accepted(boss: Caller) -> None:
    made = boss.rest(
        "POST", f"/v1/{PROJECT}/roles", {"roleId": "mine", "role": {"includedPermissions": ["run.jobs.run"]}}
    )
    assert made[0] == 200
    for role in (f"{PROJECT}/roles/mine", "roles/bigquery.dataViewer", "roles/logging.logWriter"):
        assert write(boss, bind("user:a@b.example", role=role))[0] == 200, role
    assert boss.rest("DELETE", f"/v1/{PROJECT}/roles/mine")[0] == 200
    assert write(boss, bind("user:a@b.example", role=f"{PROJECT}/roles/mine"))[0] == 400


@pytest.mark.parametrize("permission", ["foo.bar.baz", "resourcemanager.projects.list", "secretmanager.secrets.read"])
def test_a_custom_role_holds_permissions_that_exist_and_that_a_project_can_give(boss: Caller, permission: str) -> None:
    role = {"roleId": "mine", "role": {"includedPermissions": ["iam.roles.get", permission]}}
    status, refused = boss.rest("POST", f"/v1/{PROJECT}/roles", role)
    assert (status, f"Permission {permission} is not valid." in str(refused)) == (400, True)
    pools = [
        "iam.googleapis.com/workloadIdentityPools.get",
        "iam.workloadIdentityPoolProviders.get",
        "bigquery.jobs.create",
    ]
    assert (
        boss.rest("POST", f"/v1/{PROJECT}/roles", {"roleId": "mine", "role": {"includedPermissions": pools}})[0] == 200
    )


def test_a_condition_needs_version_3_to_be_written_kept_or_seen(boss: Caller) -> None:
    given = bind("user:a@b.example", condition=CONDITION)
    assert [write(boss, given, version=version)[0] for version in (0, 1, 2)] == [400] * 3
    stored = write(boss, given)[1]
    for version in (0, 1):
        status, seen = read(boss, version)
        (binding,) = seen["bindings"]
        assert (status, seen["version"], seen["etag"], "condition" in binding) == (200, 1, stored["etag"], False)
        name, _, digest = binding["role"].partition("_withcond_")
        assert (name, len(digest)) == (READER, 20)
        assert write(boss, binding, version=version, etag=seen["etag"])[0] == 400
        assert write(boss, version=version, etag=seen["etag"])[0] == 400
    assert read(boss)[1] == stored
    assert [read(boss, version)[0] for version in (2, 4)] == [400] * 2
    # Without an etag the conditions are lost, as the reference of Policy says.
    assert write(boss, bind("user:a@b.example"), version=1)[0] == 200


@pytest.mark.parametrize(
    ("role", "condition"),
    [
        (READER, {"expression": "true"}),
        (READER, {"title": "t", "expression": "nonsense.x == 1"}),
        ("roles/viewer", CONDITION),
    ],
)
def test_a_condition_that_google_refuses_is_refused(boss: Caller, role: str, condition: dict[str, str]) -> None:
    assert write(boss, bind("user:a@b.example", role=role, condition=condition))[0] == 400
    assert write(boss, bind("allUsers", condition=CONDITION))[0] == 400


def test_audit_settings_are_written_without_a_word_about_the_version(boss: Caller) -> None:
    account = bind("user:a@b.example", role=READER, condition=CONDITION)
    policy: dict[str, Any] = {"version": 3, "bindings": [account]}
    etag = boss.rest("POST", f"/v3/{PROJECT}:setIamPolicy", {"policy": policy})[1]["etag"]
    audit = [{"service": "allServices", "auditLogConfigs": [{"logType": "DATA_READ"}]}]
    body = {"policy": {"etag": etag, "auditConfigs": audit}, "updateMask": "auditConfigs,etag"}
    status, changed = boss.rest("POST", f"/v3/{PROJECT}:setIamPolicy", body)
    assert (status, len(changed["bindings"]), changed["auditConfigs"]) == (200, 1, audit)


def test_buckets_and_jobs_read_the_version_from_their_queries(boss: Caller) -> None:
    boss.rest("POST", "/storage/v1/b?project=demo-project", {"name": "state-bucket"})
    task = {"containers": [{"image": "i@sha256:1"}], "serviceAccount": email("rotator")}
    job = f"/v2/{PROJECT}/locations/us-central1/jobs"
    assert boss.rest("POST", f"{job}?jobId=daily", {"template": {"template": task}})[0] == 200
    for role, setter, getter in (
        ("roles/storage.admin", ("PUT", "/storage/v1/b/state-bucket/iam"), "/storage/v1/b/state-bucket/iam?optionsR"),
        ("roles/run.invoker", ("POST", f"{job}/daily:setIamPolicy"), f"{job}/daily:getIamPolicy?options.r"),
    ):
        policy = {"version": 3, "bindings": [bind("user:a@b.example", role=role, condition=CONDITION)]}
        assert boss.rest(*setter, policy if setter[0] == "PUT" else {"policy": policy})[0] == 200
        seen = {version: boss.rest("GET", f"{getter}equestedPolicyVersion={version}") for version in (1, 2, 3)}
        assert [status for status, _ in seen.values()] == [200, 400, 200]
        assert "_withcond_" in seen[1][1]["bindings"][0]["role"]
        assert seen[3][1]["bindings"][0]["condition"] == CONDITION


def test_secret_manager_answers_with_the_number_and_takes_both(boss: Caller, cloud: Cloud) -> None:
    with cloud.store.transaction() as txn:
        number = project_numbers.number_of(txn, "demo-project")
    boss.secret("AddSecretVersion", parent=SECRET, payload={"data": b"one"})
    by_number = f"/v1/projects/{number}/secrets"
    assert boss.rest("GET", f"/v1/{SECRET}")[1]["name"] == f"projects/{number}/secrets/db"
    assert (
        boss.rest("GET", f"{by_number}/db/versions/1:access")[1]["name"] == f"projects/{number}/secrets/db/versions/1"
    )
    assert boss.rest("GET", by_number)[1] == boss.rest("GET", f"/v1/{PROJECT}/secrets")[1]


def test_conditions_are_not_lost_to_a_writer_of_version_1_in_any_mode(cloud: Cloud) -> None:
    boss = Caller(cloud.emulator, "")
    boss.secret("CreateSecret", parent=PROJECT, secret_id="db", secret=AUTOMATIC)
    etag = write(boss, bind("user:a@b.example", condition=CONDITION))[1]["etag"]
    status, refused = write(boss, bind("user:a@b.example"), version=1, etag=etag)
    assert (status, "cannot be less than the existing policy version (3)" in str(refused)) == (400, True)
    assert read(boss)[1]["bindings"][0]["condition"] == CONDITION
