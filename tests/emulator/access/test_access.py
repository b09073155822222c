"""Who may do what: every call needs its permission, and a role gives nothing but its own, where it is bound."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from orchestra_creds.emulator.access import access
from orchestra_creds.emulator.access.role_catalog import PREDEFINED, TESTABLE
from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.errors import Code, EmuError
from orchestra_creds.emulator.protocol.routes import IAM_CREDENTIALS, IAM_POLICY, SECRET_MANAGER, rpcs
from orchestra_creds.emulator.protocol.service import Caller as Identity
from orchestra_creds.emulator.protocol.service import PermissionNeed
from orchestra_creds.emulator.server import control
from orchestra_creds.emulator.store import project_numbers
from tests.emulator.conftest import AUTOMATIC, refused
from tests.emulator.identities import PROJECT, SCOPE, Caller, account_name, acting_as, email, federated, owner

SECRET = f"{PROJECT}/secrets/db"
OTHER = f"{PROJECT}/secrets/other"
TARGET = account_name("target")
ME = f"serviceAccount:{email('rotator')}"

Act = Callable[[Caller], Any]


@pytest.fixture
def boss(guarded: control.InProcessEmulator) -> Caller:
    """The owner of a project with two secrets of one version each, and the accounts `rotator` and `target`."""
    guarded.emulator.store.reset()
    boss = owner(guarded.emulator.store, guarded.emulator)
    for secret in (SECRET, OTHER):
        boss.secret(
            "CreateSecret",
            parent=PROJECT,
            secret_id=secret.rpartition("/")[2],
            secret=AUTOMATIC,
        )
        boss.secret("AddSecretVersion", parent=secret, payload={"data": b"one"})
    boss.account("rotator")
    boss.account("target")
    return boss


@pytest.fixture
def rotator(boss: Caller) -> Caller:
    return acting_as(boss.emulator, boss.call("GetServiceAccount", name=account_name("rotator")))


def add(caller: Caller, secret: str = SECRET) -> Any:
    return caller.secret("AddSecretVersion", parent=secret, payload={"data": b"two"})


def read(caller: Caller, secret: str = SECRET) -> Any:
    return caller.secret("AccessSecretVersion", name=f"{secret}/versions/1")


def create(caller: Caller) -> Any:
    return caller.secret("CreateSecret", parent=PROJECT, secret_id="new", secret=AUTOMATIC)


def policy(caller: Caller, resource: str) -> Any:
    return caller.call("SetIamPolicy", IAM_POLICY, resource=resource, policy={})


def token(caller: Caller) -> Any:
    return caller.call("GenerateAccessToken", IAM_CREDENTIALS, name=TARGET, scope=[SCOPE])


@dataclass(frozen=True, slots=True)
class Case:
    """A role, where it is bound, what is tried, and the permission that is missing ("" when it works)."""

    title: str
    role: str
    on: str
    act: Act
    missing: str = ""


_ADDER = "roles/secretmanager.secretVersionAdder"
_ACCESSOR = "roles/secretmanager.secretAccessor"
_MANAGER = "roles/secretmanager.secretVersionManager"
_VIEWER = "roles/secretmanager.viewer"
_ADMIN = "roles/secretmanager.admin"
_KEYS = "roles/iam.serviceAccountKeyAdmin"
_TOKENS = "roles/iam.serviceAccountTokenCreator"
_V = "secretmanager.versions"
_S = "secretmanager.secrets"
_A = "iam.serviceAccounts"
_K = "iam.serviceAccountKeys"


def _version(method: str, secret: str = SECRET) -> Act:
    return lambda caller: caller.secret(method, name=f"{secret}/versions/1")


def _secret(method: str, **fields: Any) -> Act:
    return lambda caller: caller.secret(method, **fields)


def _iam(method: str, **fields: Any) -> Act:
    return lambda caller: caller.call(method, **fields)


CASES = (
    Case("adder adds on its secret", _ADDER, SECRET, add),
    Case("adder adds on no other", _ADDER, SECRET, lambda c: add(c, OTHER), f"{_V}.add"),
    Case("adder does not read", _ADDER, SECRET, read, f"{_V}.access"),
    Case("adder does not look at versions", _ADDER, SECRET, _version("GetSecretVersion"), f"{_V}.get"),
    Case("adder does not list versions", _ADDER, SECRET, _secret("ListSecretVersions", parent=SECRET), f"{_V}.list"),
    Case("adder does not disable", _ADDER, SECRET, _version("DisableSecretVersion"), f"{_V}.disable"),
    Case("adder does not enable", _ADDER, SECRET, _version("EnableSecretVersion"), f"{_V}.enable"),
    Case("adder does not destroy", _ADDER, SECRET, _version("DestroySecretVersion"), f"{_V}.destroy"),
    Case("adder does not look at the secret", _ADDER, SECRET, _secret("GetSecret", name=SECRET), f"{_S}.get"),
    Case("adder does not list secrets", _ADDER, SECRET, _secret("ListSecrets", parent=PROJECT), f"{_S}.list"),
    Case("adder does not create secrets", _ADDER, SECRET, create, f"{_S}.create"),
    Case("adder does not delete", _ADDER, SECRET, _secret("DeleteSecret", name=SECRET), f"{_S}.delete"),
    Case("adder does not grant", _ADDER, SECRET, lambda c: policy(c, SECRET), f"{_S}.setIamPolicy"),
    Case("adder on the project adds everywhere", _ADDER, PROJECT, lambda c: add(c, OTHER)),
    Case("accessor reads its secret", _ACCESSOR, SECRET, read),
    Case("accessor reads no other", _ACCESSOR, SECRET, lambda c: read(c, OTHER), f"{_V}.access"),
    Case("accessor does not add", _ACCESSOR, SECRET, add, f"{_V}.add"),
    Case("manager adds", _MANAGER, SECRET, add),
    Case("manager disables", _MANAGER, SECRET, _version("DisableSecretVersion")),
    Case("manager does not read", _MANAGER, SECRET, read, f"{_V}.access"),
    Case("manager destroys", _MANAGER, SECRET, _version("DestroySecretVersion")),
    Case("viewer looks", _VIEWER, PROJECT, _secret("ListSecrets", parent=PROJECT)),
    Case("viewer does not read", _VIEWER, PROJECT, read, f"{_V}.access"),
    Case("admin creates", _ADMIN, PROJECT, create),
    Case("admin reads", _ADMIN, PROJECT, read),
    Case("admin of a secret creates none", _ADMIN, SECRET, create, f"{_S}.create"),
    Case("admin grants", _ADMIN, SECRET, lambda c: policy(c, SECRET)),
    Case("admin of secrets makes no keys", _ADMIN, PROJECT, lambda c: c.key("target"), f"{_K}.create"),
    Case("key admin makes keys of its account", _KEYS, TARGET, lambda c: c.key("target")),
    Case("key admin makes no keys of others", _KEYS, TARGET, lambda c: c.key("rotator"), f"{_K}.create"),
    Case("key admin lists keys", _KEYS, TARGET, _iam("ListServiceAccountKeys", name=TARGET)),
    Case("key admin creates no accounts", _KEYS, PROJECT, lambda c: c.account("another"), f"{_A}.create"),
    Case("key admin disables no accounts", _KEYS, TARGET, _iam("DisableServiceAccount", name=TARGET), f"{_A}.disable"),
    Case("account viewer looks", "roles/iam.serviceAccountViewer", PROJECT, _iam("GetServiceAccount", name=TARGET)),
    Case("account viewer makes no keys", "roles/iam.serviceAccountViewer", PROJECT, lambda c: c.key("target"),
         f"{_K}.create"),
    Case("account admin disables", "roles/iam.serviceAccountAdmin", TARGET, _iam("DisableServiceAccount", name=TARGET)),
    Case("account admin makes no keys", "roles/iam.serviceAccountAdmin", PROJECT, lambda c: c.key("target"),
         f"{_K}.create"),
    Case("token creator acts as the account", _TOKENS, TARGET, token),
    Case("token creator of itself acts as no other", _TOKENS, account_name("rotator"), token, f"{_A}.getAccessToken"),
    Case("account user does not act as it", "roles/iam.serviceAccountUser", TARGET, token, f"{_A}.getAccessToken"),
    Case("viewer of the project reads no payload", "roles/viewer", PROJECT, read, f"{_V}.access"),
    Case("editor of the project reads no payload", "roles/editor", PROJECT, read, f"{_V}.access"),
    Case("editor of the project adds", "roles/editor", PROJECT, add),
    Case("editor of the project grants nothing", "roles/editor", PROJECT, lambda c: policy(c, SECRET),
         f"{_S}.setIamPolicy"),
    Case("owner of the project reads", "roles/owner", PROJECT, read),
    Case("security admin grants", "roles/iam.securityAdmin", PROJECT, lambda c: policy(c, SECRET)),
    Case("security admin does not read", "roles/iam.securityAdmin", PROJECT, read, f"{_V}.access"),
    Case("an unknown role gives nothing", "roles/secretmanager.everything", PROJECT, read, f"{_V}.access"),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case.title.replace(" ", "-") for case in CASES])
def test_a_role_gives_its_permissions_where_it_is_bound(boss: Caller, rotator: Caller, case: Case) -> None:
    boss.bind(case.on, case.role, ME)
    if not case.missing:
        case.act(rotator)
        return
    with pytest.raises(EmuError) as caught:
        case.act(rotator)
    assert caught.value.code is Code.PERMISSION_DENIED
    assert caught.value.message.startswith(f"Permission '{case.missing}' denied on resource 'projects/demo-project")
    assert caught.value.message.endswith("(or it may not exist).")


def test_a_caller_without_a_binding_may_do_nothing(rotator: Caller) -> None:
    for act in (add, read, create, token):
        with refused(Code.PERMISSION_DENIED):
            act(rotator)


def test_absence_is_not_told_to_who_may_not_look(rotator: Caller) -> None:
    with refused(Code.PERMISSION_DENIED, "or it may not exist"):
        rotator.secret("GetSecret", name=f"{PROJECT}/secrets/none")


@pytest.mark.parametrize(
    ("member", "principal", "also"),
    [
        ("user:a@example.com", "user:a@example.com", ()),
        ("allUsers", "user:a@example.com", ()),
        ("allAuthenticatedUsers", "user:a@example.com", ()),
        ("domain:example.com", "user:a@example.com", ()),
        ("group:team@example.com", "user:a@example.com", ()),
        ("principal://iam.googleapis.com/p/subject/s", "principal://iam.googleapis.com/p/subject/s", ()),
        ("principalSet://iam.googleapis.com/p/*", "principal://x", ("principalSet://iam.googleapis.com/p/*",)),
    ],
)
def test_members_of_every_kind_are_recognized(boss: Caller, member: str, principal: str, also: tuple[str, ...]) -> None:
    with boss.emulator.store.transaction() as txn:
        access.set_group(txn, "team@example.com", ["user:a@example.com"])
    boss.bind(SECRET, _ACCESSOR, member)
    read(federated(boss.emulator, principal, *also))


@pytest.mark.parametrize(
    "member",
    ["user:b@example.com", "domain:other.com", "group:none@example.com", "deleted:user:a@example.com?uid=1",
     "principalSet://iam.googleapis.com/p/*", "serviceAccount:a@example.com"],
)  # fmt: skip
def test_members_that_are_somebody_else_are_not(boss: Caller, member: str) -> None:
    boss.bind(SECRET, _ACCESSOR, member)
    with refused(Code.PERMISSION_DENIED):
        read(federated(boss.emulator, "user:a@example.com"))


def test_project_owner_as_a_member_means_whoever_owns_the_project(boss: Caller) -> None:
    boss.bind(SECRET, _ACCESSOR, "projectEditor:demo-project")
    editor = federated(boss.emulator, "user:e@example.com")
    with refused(Code.PERMISSION_DENIED):
        read(editor)
    boss.bind(PROJECT, "roles/editor", "user:e@example.com")
    read(editor)


def test_a_condition_on_the_name_holds_for_that_name_only(boss: Caller, rotator: Caller) -> None:
    with boss.emulator.store.transaction() as txn:
        number = project_numbers.number_of(txn, "demo-project")
    boss.bind(PROJECT, _ACCESSOR, ME, condition=f'resource.name.startsWith("projects/{number}/secrets/db/")')
    read(rotator)
    with refused(Code.PERMISSION_DENIED):
        read(rotator, OTHER)


def test_a_condition_on_the_time_ends_with_the_clock(boss: Caller, rotator: Caller) -> None:
    ends = (boss.emulator.store.now() + timedelta(minutes=30)).isoformat()
    boss.bind(SECRET, _ACCESSOR, ME, condition=f'request.time < timestamp("{ends}")')
    read(rotator)
    boss.emulator.store.advance(timedelta(minutes=31))
    with refused(Code.PERMISSION_DENIED):
        read(rotator)


def test_a_condition_on_the_type_and_one_that_cannot_be_evaluated(boss: Caller, rotator: Caller) -> None:
    boss.bind(SECRET, _ACCESSOR, ME, condition='resource.type == "secretmanager.googleapis.com/SecretVersion"')
    read(rotator)
    boss.bind(OTHER, _ACCESSOR, ME, condition="resource.nothing == 1")
    with refused(Code.PERMISSION_DENIED):
        read(rotator, OTHER)
    with refused(Code.INVALID_ARGUMENT, "cannot be parsed"):
        boss.bind(OTHER, _ACCESSOR, ME, condition="resource.name ==")


def test_a_custom_role_gives_exactly_what_it_holds(boss: Caller, rotator: Caller) -> None:
    role = {"title": "Rotor", "included_permissions": ["secretmanager.versions.add"]}
    made = boss.call("CreateRole", parent=PROJECT, role_id="rotor", role=role)
    boss.bind(SECRET, made.name, ME)
    add(rotator)
    with refused(Code.PERMISSION_DENIED):
        read(rotator)
    boss.call("DeleteRole", name=made.name)
    with refused(Code.PERMISSION_DENIED):
        add(rotator)
    boss.call("UndeleteRole", name=made.name)
    add(rotator)


def test_a_new_binding_is_seen_late_when_asked_for(boss: Caller, rotator: Caller) -> None:
    boss.bind(SECRET, "roles/viewer", ME)
    boss.emulator.store.advance(timedelta(minutes=5))
    with boss.emulator.store.transaction() as txn:
        faults.set_lag(txn, faults.Lag.IAM, 60)
    boss.bind(SECRET, _ACCESSOR, ME)
    with refused(Code.PERMISSION_DENIED):
        read(rotator)
    boss.emulator.store.advance(timedelta(seconds=61))
    read(rotator)


def test_test_iam_permissions_answers_what_the_caller_holds(boss: Caller, rotator: Caller) -> None:
    boss.bind(SECRET, _ADDER, ME)
    asked = ["secretmanager.versions.add", "secretmanager.versions.access"]
    reply = rotator.call("TestIamPermissions", IAM_POLICY, resource=SECRET, permissions=asked)
    assert list(reply.permissions) == asked[:1]
    reply = rotator.secret("TestIamPermissions", resource=SECRET, permissions=asked)
    assert list(reply.permissions) == asked[:1]
    status, document = rotator.rest("POST", f"/v1/{PROJECT}:testIamPermissions", {"permissions": asked})
    assert (status, document) == (200, {})


def test_resources_named_by_the_projects_number_or_wildcard_have_the_same_policy(boss: Caller, rotator: Caller) -> None:
    boss.bind(TARGET, _KEYS, ME)
    rotator.call("ListServiceAccountKeys", name=f"projects/-/serviceAccounts/{email('target')}")
    with boss.emulator.store.transaction() as txn:
        number = project_numbers.number_of(txn, "demo-project")
    status, _ = rotator.rest("GET", f"/v1/projects/{number}/serviceAccounts/{email('target')}/keys")
    assert status == 200


def test_everything_is_open_to_the_owner_and_closed_to_nobody(boss: Caller) -> None:
    read(boss)
    for bearer in ("", "ya29.wrong", "a.b.c"):
        with refused(Code.UNAUTHENTICATED):
            read(Caller(boss.emulator, bearer))
    with boss.emulator.store.transaction() as txn:
        assert access.holds(Identity(owner=True), PermissionNeed("any.thing.atall", "anywhere"), txn)
        assert not access.holds(Identity("user:x@y.z"), PermissionNeed("any.thing.atall", "anywhere"), txn)


def test_every_permission_of_the_served_calls_is_in_some_predefined_role() -> None:
    known = set(TESTABLE)
    for service in control.SERVICES:
        for method in service.methods.values():
            assert not method.permission or method.permission in known, method.permission
        for route in service.routes:
            assert not route.permission or route.permission in known, route.permission
    assert len(PREDEFINED) >= 25


def test_every_call_of_secret_manager_needs_a_permission(boss: Caller, rotator: Caller) -> None:
    free = {"TestIamPermissions"}
    for service in control.SERVICES:
        for name in service.methods:
            method = name.rpartition("/")[2]
            if name.startswith(SECRET_MANAGER) and method not in free:
                with pytest.raises(EmuError) as caught:
                    rotator.emulator.rpc(name, _empty(name), rotator.headers)
                assert caught.value.code in {Code.PERMISSION_DENIED, Code.INVALID_ARGUMENT}, name


def _empty(name: str) -> Any:
    request: Any = rpcs()[name].request()
    for field, value in (("parent", SECRET), ("name", f"{SECRET}/versions/1"), ("resource", SECRET)):
        if field in request.DESCRIPTOR.fields_by_name:
            setattr(request, field, value)
    return request
