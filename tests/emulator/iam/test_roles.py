"""Roles: Google's own to read, a project's own to keep, and what can be asked about both."""

from datetime import timedelta

import pytest

from orchestra_creds.emulator.access.role_catalog import PREDEFINED
from orchestra_creds.emulator.protocol.errors import Code
from tests.emulator.conftest import Cloud, refused
from tests.emulator.identities import PROJECT, Caller

ROLE = f"{PROJECT}/roles/rotor"
FULL = 1


@pytest.fixture
def iam(cloud: Cloud) -> Caller:
    return Caller(cloud.emulator, "")


def make(iam: Caller, *permissions: str) -> None:
    iam.call("CreateRole", parent=PROJECT, role_id="rotor", role={"title": "R", "included_permissions": permissions})


def test_predefined_roles_are_listed_and_read(iam: Caller) -> None:
    found = iam.call("ListRoles", page_size=10)
    assert (len(found.roles), list(found.roles[0].included_permissions)) == (10, [])
    rest = iam.call("ListRoles", page_size=1000, page_token=found.next_page_token, view=FULL)
    assert {role.name for role in (*found.roles, *rest.roles)} == set(PREDEFINED)
    assert rest.roles[0].included_permissions
    accessor = iam.call("GetRole", name="roles/secretmanager.secretAccessor")
    assert "secretmanager.versions.access" in accessor.included_permissions
    with refused(Code.NOT_FOUND):
        iam.call("GetRole", name="roles/nothing")


def test_a_custom_role_is_made_changed_deleted_and_brought_back(iam: Caller) -> None:
    make(iam, "secretmanager.versions.add")
    with refused(Code.ALREADY_EXISTS):
        make(iam)
    found = iam.call("GetRole", name=ROLE)
    wanted = {"included_permissions": ["secretmanager.versions.access"], "title": "ignored", "etag": found.etag}
    changed = iam.call("UpdateRole", name=ROLE, role=wanted, update_mask={"paths": ["included_permissions"]})
    assert (changed.title, list(changed.included_permissions)) == ("R", ["secretmanager.versions.access"])
    with refused(Code.ABORTED):
        iam.call("UpdateRole", name=ROLE, role=wanted, update_mask={"paths": ["included_permissions"]})
    assert iam.call("UpdateRole", name=ROLE, role={"title": "New"}).title == "New"
    assert iam.call("DeleteRole", name=ROLE).deleted
    with refused(Code.FAILED_PRECONDITION):
        iam.call("DeleteRole", name=ROLE)
    assert not iam.call("ListRoles", parent=PROJECT).roles
    assert [role.deleted for role in iam.call("ListRoles", parent=PROJECT, show_deleted=True).roles] == [True]
    assert not iam.call("UndeleteRole", name=ROLE).deleted
    with refused(Code.FAILED_PRECONDITION):
        iam.call("UndeleteRole", name=ROLE)


def test_a_deleted_role_is_gone_after_7_days(iam: Caller, cloud: Cloud) -> None:
    make(iam)
    iam.call("DeleteRole", name=ROLE)
    cloud.store.advance(timedelta(days=8))
    with refused(Code.NOT_FOUND):
        iam.call("UndeleteRole", name=ROLE)


@pytest.mark.parametrize("role_id", ["", "ab", "a b", "a-b", "x" * 65])
def test_a_role_id_has_3_to_64_letters_digits_underscores_and_periods(iam: Caller, role_id: str) -> None:
    with refused(Code.INVALID_ARGUMENT):
        iam.call("CreateRole", parent=PROJECT, role_id=role_id, role={})


def test_what_is_no_permission_is_refused(iam: Caller) -> None:
    for permission in ("everything", "a.*.c", "a.b"):
        with refused(Code.INVALID_ARGUMENT, "is not valid"):
            make(iam, permission)
    make(iam)
    with refused(Code.INVALID_ARGUMENT, "cannot be changed"):
        iam.call("UpdateRole", name=ROLE, role={}, update_mask={"paths": ["name"]})


def test_grantable_roles_and_testable_permissions_fit_the_resource(iam: Caller) -> None:
    secret = "//secretmanager.googleapis.com/projects/demo-project/secrets/db"
    roles = {role.name for role in iam.call("QueryGrantableRoles", full_resource_name=secret, page_size=1000).roles}
    assert "roles/secretmanager.admin" in roles
    assert "roles/iam.roleAdmin" not in roles
    reply = iam.call("QueryTestablePermissions", full_resource_name=secret, page_size=1000)
    assert {permission.name.partition(".")[0] for permission in reply.permissions} == {"secretmanager"}
    assert (
        len(
            iam.call(
                "QueryTestablePermissions", full_resource_name="//x/projects/demo-project", page_size=5
            ).permissions
        )
        == 5
    )
    assert iam.call("QueryAuditableServices", full_resource_name="//x").services


def test_a_condition_is_linted(iam: Caller) -> None:
    assert not iam.call(
        "LintPolicy", condition={"expression": "request.time < timestamp('2027-01-01T00:00:00Z')"}
    ).lint_results
    [result] = iam.call("LintPolicy", condition={"expression": "request.time <"}).lint_results
    assert "cannot be parsed" in result.debug_message


def test_the_roles_of_the_verbs_are_what_the_documentation_says() -> None:
    accessor, viewer, editor, owner = (
        PREDEFINED[f"roles/{name}"].permissions
        for name in ("secretmanager.secretAccessor", "viewer", "editor", "owner")
    )
    assert "secretmanager.versions.access" in accessor - editor
    assert viewer < editor < owner
