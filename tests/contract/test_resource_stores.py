"""The rules of ResourceStore, for every kind."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from orchestra_creds.core.cloud_types import Binding
from orchestra_creds.core.permissions import least_role
from orchestra_creds.core.resources import Ref, RemovableStore, Resource, ResourceKind, ResourceStore
from orchestra_creds.emulator.protocol.faults import FaultPhase
from orchestra_creds.errors import AuthError, ConfigError, NotFoundError, PreconditionError, UnavailableError
from orchestra_creds.gcp import alerts, resources, run_jobs, schedules
from orchestra_creds.gcp.policies import RestPolicyStore
from tests.contract.conftest import PROJECT, CloudUnderTest
from tests.contract.stores import ALERT, CASES, CHANNEL, IMAGE, JOB, PLACE, SCHEDULE, Case

BY_KIND = pytest.mark.parametrize("kind", list(CASES))
BY_ETAG = pytest.mark.parametrize("kind", [kind for kind, case in CASES.items() if case.has_etag])


LISTED_FIRST = {
    ResourceKind.ALERT: ("monitoring.notificationChannels", "ListNotificationChannels"),
    ResourceKind.PROVIDER: ("iam.workloadIdentityPools", "ListWorkloadIdentityPools"),
}
"""What a list of these lists before: its permission and method."""


def prepared(world: CloudUnderTest, kind: ResourceKind) -> tuple[Case, ResourceStore]:
    """The case and its store, with what must be there first."""
    case = CASES[kind]
    for before, wanted in case.before:
        CASES[before].store(world.session).create(wanted)
    if case.needs_account:
        world.account("runner-one")
    return case, case.store(world.session)


def found(store: ResourceStore, ref: Ref) -> Resource:
    there = store.find(ref)
    assert there is not None
    return there


@BY_KIND
def test_what_was_made_is_read_back_and_listed(embedded: CloudUnderTest, kind: ResourceKind) -> None:
    case, store = prepared(embedded, kind)
    store.create(case.wanted)
    there = found(store, case.wanted.ref)
    assert (there.fields, there.deleted, bool(there.etag)) == (case.wanted.fields, False, bool(there.etag))
    assert there in list(store.every())


@BY_KIND
def test_what_is_not_there_is_none(embedded: CloudUnderTest, kind: ResourceKind) -> None:
    case, store = prepared(embedded, kind)
    assert store.find(case.wanted.ref) is None
    assert case.wanted.ref not in {one.ref for one in store.every()}


@pytest.mark.parametrize("kind", [kind for kind, case in CASES.items() if case.finds_by == "get"])
def test_what_is_there_is_not_made_twice(embedded: CloudUnderTest, kind: ResourceKind) -> None:
    case, store = prepared(embedded, kind)
    store.create(case.wanted)
    with pytest.raises(PreconditionError):
        store.create(case.wanted)


@BY_KIND
def test_an_update_writes_the_named_fields_and_no_others(embedded: CloudUnderTest, kind: ResourceKind) -> None:
    case, store = prepared(embedded, kind)
    store.create(case.wanted)
    there = found(store, case.wanted.ref)
    store.update(replace(case.wanted, fields={**case.wanted.fields, **case.change}), tuple(case.change), there.etag)
    assert found(store, case.wanted.ref).fields == {**case.wanted.fields, **case.change}


@BY_ETAG
def test_an_update_with_an_old_etag_is_refused_and_changes_nothing(
    embedded: CloudUnderTest, kind: ResourceKind
) -> None:
    case, store = prepared(embedded, kind)
    store.create(case.wanted)
    first = found(store, case.wanted.ref)
    changed = replace(case.wanted, fields={**case.wanted.fields, **case.change})
    store.update(changed, tuple(case.change), first.etag)
    theirs = found(store, case.wanted.ref)
    with pytest.raises(PreconditionError):
        store.update(case.wanted, tuple(case.change), first.etag)
    assert found(store, case.wanted.ref) == theirs


@BY_KIND
def test_a_lost_reply_is_told_and_what_was_made_is_there(embedded: CloudUnderTest, kind: ResourceKind) -> None:
    case, store = prepared(embedded, kind)
    embedded.arm(case.create, FaultPhase.AFTER)
    with pytest.raises(UnavailableError):
        store.create(case.wanted)
    assert found(store, case.wanted.ref).fields == case.wanted.fields


@BY_KIND
def test_a_missing_permission_is_named_and_never_taken_for_absence(guarded: CloudUnderTest, kind: ResourceKind) -> None:
    case, store = prepared(guarded, kind)
    store.create(case.wanted)
    there = found(store, case.wanted.ref)
    theirs = case.store(guarded.open(impersonate=guarded.account("nobody-special")))
    calls: tuple[tuple[Callable[[], object], str], ...] = (
        (lambda: list(theirs.every()), "list"),
        (lambda: theirs.find(case.wanted.ref), case.finds_by),
        (lambda: theirs.create(case.wanted), "list" if kind is ResourceKind.ALERT else "create"),
    )
    for call, verb in calls:
        with pytest.raises(AuthError, match=r"permission \S+ is missing") as caught:
            call()
        prefix = LISTED_FIRST[kind][0] if kind in LISTED_FIRST and verb == "list" else case.permission
        assert f"{prefix}.{verb} " in str(caught.value)
        assert f"ask for {least_role(f'{prefix}.{verb}')}, " in caught.value.hint
    with pytest.raises(AuthError):
        theirs.update(case.wanted, tuple(case.change), there.etag)
    assert found(store, case.wanted.ref) == there


@BY_KIND
def test_many_are_listed_without_reading_each(embedded: CloudUnderTest, kind: ResourceKind) -> None:
    case, store = prepared(embedded, kind)
    name = case.wanted.ref.name
    for number in range(60):
        other = name.replace("@", f"{number}@") if "@" in name else f"{name}{number}"
        store.create(replace(case.wanted, ref=Ref(kind, other)))
    with embedded.emulator.store.transaction() as txn:
        before = len(list(txn.audit()))
    assert len({one.ref for one in store.every()}) == 60
    with embedded.emulator.store.transaction() as txn:
        calls = [entry.method.rpartition("/")[2] for entry in txn.audit()][before:]
    assert set(calls) == {case.listed, *LISTED_FIRST.get(kind, ())[1:]}
    assert len(calls) <= 4


@pytest.mark.parametrize(
    "kind", [ResourceKind.SECRET, ResourceKind.BUCKET, ResourceKind.CHANNEL, ResourceKind.ALERT, ResourceKind.JOB]
)
def test_labels_of_others_stay(embedded: CloudUnderTest, kind: ResourceKind) -> None:
    case, store = prepared(embedded, kind)
    store.create(replace(case.wanted, fields={**case.wanted.fields, "labels": {"team": "ops"}}))
    there = found(store, case.wanted.ref)
    store.update(case.wanted, ("labels",), there.etag)
    assert found(store, case.wanted.ref).fields["labels"] == {"team": "ops", "managed-by": "orchestra-creds"}


def test_a_name_that_would_leave_its_path_is_refused_before_a_call(embedded: CloudUnderTest) -> None:
    for kind, name in (
        (ResourceKind.BUCKET, "a/b"),
        (ResourceKind.METRIC, ".."),
        (ResourceKind.JOB, "us/a/b"),
        (ResourceKind.SCHEDULE, "us/"),
    ):
        with pytest.raises(ConfigError, match="is no name of a"):
            CASES[kind].store(embedded.session).find(Ref(kind, name))


def test_what_is_not_ours_of_a_job_stays(embedded: CloudUnderTest) -> None:
    embedded.account("runner-one")
    store = run_jobs.RunJobs(embedded.session, (PLACE,))
    path = f"v2/projects/{PROJECT}/locations/{PLACE}/jobs"
    secret = {"name": "TOKEN", "valueSource": {"secretKeyRef": {"secret": "token", "version": "1"}}}
    container = {"image": IMAGE, "env": [secret], "resources": {"limits": {"memory": "1Gi"}}}
    task = {"containers": [container], "serviceAccount": JOB.fields["identity"], "volumes": [{"name": "v"}]}
    embedded.session.rest(
        "make a job", "POST", "run", path, body={"template": {"template": task}}, query={"jobId": "orchestra-creds"}
    )
    there = found(store, JOB.ref)
    store.update(JOB, tuple(JOB.fields), there.etag)
    assert found(store, JOB.ref).fields == JOB.fields
    now = embedded.session.rest("read it", "GET", "run", f"{path}/orchestra-creds")["template"]["template"]
    assert (now["volumes"], now["containers"][0]["resources"]) == (task["volumes"], container["resources"])
    assert secret in now["containers"][0]["env"]


def test_a_job_is_run(embedded: CloudUnderTest) -> None:
    embedded.account("runner-one")
    store = run_jobs.RunJobs(embedded.session, (PLACE,))
    store.create(JOB)
    store.run(JOB.ref)
    assert embedded.calls("RunJob") == 1


def test_a_schedule_that_shall_be_paused_is_made_and_paused(embedded: CloudUnderTest) -> None:
    case, store = prepared(embedded, ResourceKind.SCHEDULE)
    store.create(replace(SCHEDULE, fields={**SCHEDULE.fields, "paused": True}))
    assert found(store, SCHEDULE.ref).fields["paused"] is True
    store.update(SCHEDULE, ("paused",), "")
    assert found(store, case.wanted.ref).fields == SCHEDULE.fields


def test_an_alert_that_names_a_channel_that_is_not_there_is_refused_before_it_is_made(embedded: CloudUnderTest) -> None:
    with pytest.raises(NotFoundError, match="which is not there"):
        alerts.Alerts(embedded.session).create(ALERT)
    assert embedded.calls("CreateAlertPolicy") == 0


def test_of_two_channels_with_one_name_the_first_is_taken(embedded: CloudUnderTest) -> None:
    store = alerts.Channels(embedded.session)
    store.create(CHANNEL)
    store.create(replace(CHANNEL, fields={**CHANNEL.fields, "enabled": False}))
    assert [one.fields["enabled"] for one in store.every()] == [True]


@pytest.mark.parametrize("kind", [ResourceKind.ROLE, ResourceKind.POOL, ResourceKind.PROVIDER])
def test_a_deleted_one_is_listed_keeps_its_name_and_comes_back(embedded: CloudUnderTest, kind: ResourceKind) -> None:
    case, store = prepared(embedded, kind)
    store.create(case.wanted)
    pools = "locations/global/workloadIdentityPools"
    name = case.wanted.ref.name.replace("/", "/providers/")
    kinds = {ResourceKind.ROLE: "roles", ResourceKind.POOL: pools, ResourceKind.PROVIDER: pools}
    embedded.session.rest("delete it", "DELETE", "iam", f"v1/projects/{PROJECT}/{kinds[kind]}/{name}")
    assert [one.deleted for one in store.every()] == [True]
    with pytest.raises(PreconditionError):
        store.create(case.wanted)
    store.undelete(case.wanted.ref)
    assert found(store, case.wanted.ref).fields == case.wanted.fields


@pytest.mark.parametrize("kind", [ResourceKind.BUCKET, ResourceKind.JOB])
def test_the_policy_of_a_bucket_and_of_a_job_is_changed_under_its_etag(
    embedded: CloudUnderTest, kind: ResourceKind
) -> None:
    case, store = prepared(embedded, kind)
    store.create(case.wanted)
    name = case.wanted.ref.name
    resource = f"projects/_/buckets/{name}" if kind is ResourceKind.BUCKET else _job_name(name)
    member = f"serviceAccount:{embedded.account('reader')}"
    first = embedded.policies.get_policy(resource)
    role = "roles/storage.objectViewer" if kind is ResourceKind.BUCKET else "roles/run.viewer"
    until = Binding(role, frozenset({member}), 'request.time < timestamp("2100-01-01T00:00:00Z")', "t", "d")
    stored = embedded.policies.set_policy(resource, replace(first, bindings=(until,)))
    assert embedded.policies.get_policy(resource) == stored
    assert stored.bindings == (until,)
    with pytest.raises(PreconditionError):
        embedded.policies.set_policy(resource, first)
    asked = (f"{case.permission}.get", f"{case.permission}.delete")
    assert embedded.policies.test_permissions(resource, asked) == frozenset(asked)


@pytest.mark.parametrize("kind", [ResourceKind.BUCKET, ResourceKind.JOB])
def test_a_role_on_a_bucket_or_a_job_reaches_no_other(guarded: CloudUnderTest, kind: ResourceKind) -> None:
    case, store = prepared(guarded, kind)
    store.create(case.wanted)
    other = replace(case.wanted, ref=Ref(kind, f"{case.wanted.ref.name}2"))
    store.create(other)
    caller = guarded.account("reader")
    name = case.wanted.ref.name
    resource = f"projects/_/buckets/{name}" if kind is ResourceKind.BUCKET else _job_name(name)
    role = "roles/storage.admin" if kind is ResourceKind.BUCKET else "roles/run.admin"
    policy = guarded.policies.get_policy(resource)
    granted = (Binding(role, frozenset({f"serviceAccount:{caller}"})),)
    guarded.policies.set_policy(resource, replace(policy, bindings=granted))
    theirs = case.store(guarded.open(impersonate=caller))
    assert found(theirs, case.wanted.ref).fields == case.wanted.fields
    with pytest.raises(AuthError):
        theirs.find(other.ref)
    held = RestPolicyStore(guarded.open(impersonate=caller)).test_permissions(resource, (f"{case.permission}.delete",))
    assert held == {f"{case.permission}.delete"}


@pytest.mark.parametrize("kind", [ResourceKind.JOB, ResourceKind.SCHEDULE])
def test_who_may_not_act_as_the_account_makes_no_job_with_it(guarded: CloudUnderTest, kind: ResourceKind) -> None:
    case, _ = prepared(guarded, kind)
    caller = guarded.account("deployer")
    policy = guarded.policies.get_policy(f"projects/{PROJECT}")
    member = frozenset({f"serviceAccount:{caller}"})
    roles = (Binding("roles/run.admin", member), Binding("roles/cloudscheduler.admin", member))
    guarded.policies.set_policy(f"projects/{PROJECT}", replace(policy, bindings=(*policy.bindings, *roles)))
    theirs = case.store(guarded.open(impersonate=caller))
    with pytest.raises(AuthError, match=r"permission iam\.serviceAccounts\.actAs is missing"):
        theirs.create(case.wanted)
    account = f"projects/{PROJECT}/serviceAccounts/{JOB.fields['identity']}"
    own = guarded.policies.get_policy(account)
    acting = (Binding("roles/iam.serviceAccountUser", member),)
    guarded.policies.set_policy(account, replace(own, bindings=acting))
    theirs.create(case.wanted)
    assert found(theirs, case.wanted.ref).fields == case.wanted.fields


def test_the_long_spelling_of_a_pool_permission_gives_the_permission(guarded: CloudUnderTest) -> None:
    permissions = ["iam.googleapis.com/workloadIdentityPools.list"]
    role = Resource(
        Ref(ResourceKind.ROLE, "poolReader"), {"title": "Pools", "description": "", "includedPermissions": permissions}
    )
    resources.Roles(guarded.session).create(role)
    assert found(resources.Roles(guarded.session), role.ref).fields["includedPermissions"] == permissions
    caller = guarded.account("reader")
    policy = guarded.policies.get_policy(f"projects/{PROJECT}")
    granted = Binding(f"projects/{PROJECT}/roles/poolReader", frozenset({f"serviceAccount:{caller}"}))
    guarded.policies.set_policy(f"projects/{PROJECT}", replace(policy, bindings=(*policy.bindings, granted)))
    assert list(resources.Pools(guarded.open(impersonate=caller)).every()) == []


def _job_name(name: str) -> str:
    place, _, job = name.partition("/")
    return f"projects/{PROJECT}/locations/{place}/jobs/{job}"


@pytest.mark.parametrize("kind", [ResourceKind.JOB, ResourceKind.SCHEDULE])
def test_what_may_be_taken_away_again_is_deleted_once(embedded: CloudUnderTest, kind: ResourceKind) -> None:
    case, _ = prepared(embedded, kind)
    stores: dict[ResourceKind, RemovableStore] = {
        ResourceKind.JOB: run_jobs.RunJobs(embedded.session, (PLACE,)),
        ResourceKind.SCHEDULE: schedules.Schedules(embedded.session, (PLACE,)),
    }
    store = stores[kind]
    store.create(case.wanted)
    there = found(store, case.wanted.ref)
    if case.has_etag:
        store.update(replace(case.wanted, fields={**case.wanted.fields, **case.change}), tuple(case.change), there.etag)
        with pytest.raises(PreconditionError):
            store.delete(case.wanted.ref, there.etag)
        there = found(store, case.wanted.ref)
    store.delete(case.wanted.ref, there.etag)
    assert store.find(case.wanted.ref) is None
    with pytest.raises(NotFoundError):
        store.delete(case.wanted.ref, there.etag)


# -- services: they have a name and nothing else

API = Resource(Ref(ResourceKind.SERVICE, "aiplatform.googleapis.com"))


def test_an_api_is_there_when_it_is_enabled_and_enabled_again_without_harm(embedded: CloudUnderTest) -> None:
    store = resources.Services(embedded.session)
    assert store.find(API.ref) is None
    assert API not in list(store.every())
    for _ in range(2):
        store.create(API)
        assert store.find(API.ref) == API
    assert API in list(store.every())


def test_a_lost_reply_of_an_api_is_told_and_it_is_enabled(embedded: CloudUnderTest) -> None:
    store = resources.Services(embedded.session)
    embedded.arm("EnableService", FaultPhase.AFTER)
    with pytest.raises(UnavailableError):
        store.create(API)
    assert store.find(API.ref) == API


def test_a_missing_permission_for_apis_is_named(guarded: CloudUnderTest) -> None:
    theirs = resources.Services(guarded.open(impersonate=guarded.account("nobody-special")))
    calls: tuple[tuple[Callable[[], object], str], ...] = (
        (lambda: list(theirs.every()), "list"),
        (lambda: theirs.find(API.ref), "get"),
        (lambda: theirs.create(API), "enable"),
    )
    for call, verb in calls:
        with pytest.raises(AuthError, match=f"permission serviceusage.services.{verb} is missing"):
            call()


# -- ProjectStore: what is one for the whole project


def test_the_number_of_the_project_is_digits(embedded: CloudUnderTest) -> None:
    assert resources.RestProjectStore(embedded.session).number().isdecimal()


def test_what_is_audited_is_replaced_and_nothing_else_of_the_policy(embedded: CloudUnderTest) -> None:
    store, project = resources.RestProjectStore(embedded.session), f"projects/{PROJECT}"
    first = embedded.policies.get_policy(project)
    reader = frozenset({f"serviceAccount:{embedded.account('reader')}"})
    bound = Binding("roles/secretmanager.viewer", reader, "true", "always", "")
    embedded.policies.set_policy(project, replace(first, bindings=(bound,)))
    wanted = {
        "secretmanager.googleapis.com": frozenset({"ADMIN_READ", "DATA_READ"}),
        "iam.googleapis.com": frozenset({"DATA_WRITE"}),
    }
    store.set_audit(wanted)
    assert store.audit() == wanted
    assert embedded.policies.get_policy(project).bindings == (bound,)
    embedded.policies.set_policy(project, replace(embedded.policies.get_policy(project), bindings=()))
    assert store.audit() == wanted
    store.set_audit({})
    assert store.audit() == {}


def test_who_is_exempt_from_the_audit_stays_exempt(embedded: CloudUnderTest) -> None:
    store = resources.RestProjectStore(embedded.session)
    exempt = {"logType": "DATA_READ", "exemptedMembers": ["user:ada@example.com"]}
    configs = [{"service": "iam.googleapis.com", "auditLogConfigs": [exempt]}]
    body = {"policy": {"auditConfigs": configs}, "updateMask": "auditConfigs"}
    path = f"v3/projects/{PROJECT}"
    embedded.session.rest("exempt", "POST", "cloudresourcemanager", f"{path}:setIamPolicy", body=body)
    store.set_audit({"iam.googleapis.com": frozenset({"DATA_READ", "ADMIN_READ"})})
    policy = embedded.session.rest("look", "POST", "cloudresourcemanager", f"{path}:getIamPolicy", body={})
    assert exempt in policy["auditConfigs"][0]["auditLogConfigs"]


def test_a_lost_reply_of_the_audit_is_told_and_it_is_changed(embedded: CloudUnderTest) -> None:
    store = resources.RestProjectStore(embedded.session)
    embedded.arm("SetIamPolicy", FaultPhase.AFTER)
    with pytest.raises(UnavailableError):
        store.set_audit({"iam.googleapis.com": frozenset({"DATA_READ"})})
    assert store.audit() == {"iam.googleapis.com": frozenset({"DATA_READ"})}


def test_a_missing_permission_on_the_project_is_named(guarded: CloudUnderTest) -> None:
    theirs = resources.RestProjectStore(guarded.open(impersonate=guarded.account("nobody-special")))
    calls: tuple[tuple[Callable[[], object], str], ...] = (
        (theirs.number, "get"),
        (theirs.audit, "getIamPolicy"),
    )
    for call, verb in calls:
        with pytest.raises(AuthError, match=f"permission resourcemanager.projects.{verb} is missing"):
            call()
