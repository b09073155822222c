"""Roles: Google's predefined ones to read, a project's custom ones to keep; and which permissions exist.

A custom role may hold every permission that is known here or looks like one of another service; a deleted role gives
nothing, and can be brought back for 7 days.
"""

import re
import secrets
from datetime import timedelta
from typing import Any

from google.cloud import iam_admin_v1

from orchestra_creds.emulator.access import known_names
from orchestra_creds.emulator.access.role_catalog import PREDEFINED, TESTABLE, PredefinedRole
from orchestra_creds.emulator.access.role_records import ROLE, Role, short
from orchestra_creds.emulator.cel import language as cel
from orchestra_creds.emulator.cel.values import CelError
from orchestra_creds.emulator.iam.accounts import request_name
from orchestra_creds.emulator.protocol import strict
from orchestra_creds.emulator.protocol.errors import (
    aborted_error,
    already_exists_error,
    invalid_error,
    not_found_error,
    precondition_error,
)
from orchestra_creds.emulator.protocol.routes import IAM_ADMIN, raw
from orchestra_creds.emulator.protocol.service import Caller, Method, PermissionNeed, Service
from orchestra_creds.emulator.store.store import Txn

UNDELETE_WITHIN = timedelta(days=7)
"""How long a deleted custom role can be brought back (cloud.google.com/iam/docs/creating-custom-roles)."""
BLOCKED_FOR = timedelta(days=30)
"""How long its id is taken after that (the same page)."""
BLOCKED = "role that was deleted for good"
_ROLE_ID = re.compile(r"[A-Za-z0-9_.]{3,64}")
_PERMISSION = re.compile(r"[a-z][a-zA-Z0-9]*(\.googleapis\.com/[a-zA-Z]\w*|\.[a-zA-Z]\w*)\.[a-zA-Z]\w*")
_NOT_IN_PROJECT_ROLES = frozenset({"resourcemanager.projects.list"})
"""Permissions of organizations and folders only (cloud.google.com/iam/docs/custom-roles-permissions-support)."""
_PARENT = re.compile(r"(projects|organizations)/[^/]+")
_MUTABLE = frozenset({"title", "description", "included_permissions", "stage"})
_LARGEST_PAGE = 1000
_DEFAULT_PAGE = 300

_Permission = raw(iam_admin_v1.Permission)
_Roles = raw(iam_admin_v1.ListRolesResponse)
_Grantable = raw(iam_admin_v1.QueryGrantableRolesResponse)
_Testable = raw(iam_admin_v1.QueryTestablePermissionsResponse)
_Auditable = raw(iam_admin_v1.QueryAuditableServicesResponse)
_Lint = raw(iam_admin_v1.LintPolicyResponse)
_FULL = iam_admin_v1.RoleView.FULL
_GA = iam_admin_v1.Role.RoleLaunchStage.GA


def _predefined_role(role: PredefinedRole, *, full: bool) -> Any:
    return Role(
        name=role.name,
        title=role.title,
        description=role.description,
        stage=_GA,
        etag=b"AA==",
        included_permissions=sorted(role.permissions) if full else [],
    )


def _get(request: Any, _caller: Caller, txn: Txn) -> Any:
    if request.name in PREDEFINED:
        return _predefined_role(PREDEFINED[request.name], full=True)
    return _load(txn, request.name)


def _list(request: Any, _caller: Caller, txn: Txn) -> Any:
    full = request.view == _FULL
    if not request.parent:
        found = [_predefined_role(role, full=full) for role in PREDEFINED.values()]
    else:
        found = [Role.FromString(row.body) for row in txn.children(ROLE, request.parent)[::-1]]
        found = [role for role in found if request.show_deleted or not role.deleted]
        if not full:
            for role in found:
                del role.included_permissions[:]
    shown, token = _page(found, request)
    return _Roles(roles=shown, next_page_token=token)


def _create(request: Any, _caller: Caller, txn: Txn) -> Any:
    if not _PARENT.fullmatch(request.parent) or not _ROLE_ID.fullmatch(request.role_id):
        raise invalid_error(
            "A role id has 3 to 64 letters, digits, underscores and periods, in a project or organization.",
            field="role_id",
        )
    name = f"{request.parent}/roles/{request.role_id}"
    if txn.get(ROLE, name) is not None:
        raise already_exists_error(f"A role named {request.role_id} in {request.parent} already exists.")
    if txn.get(BLOCKED, name) is not None:
        raise precondition_error(f"You can't create a role_id ({request.role_id}) which has been marked for deletion.")
    role = Role()
    role.CopyFrom(request.role)
    role.name, role.deleted = name, False
    return _save_role(txn, role)


def _update(request: Any, _caller: Caller, txn: Txn) -> Any:
    role = _load(txn, request.name)
    _check_etag(role, request.role.etag)
    paths = set(request.update_mask.paths) or {field.name for field, _ in request.role.ListFields()} & _MUTABLE
    if paths - _MUTABLE:
        raise invalid_error(f"The field {min(paths - _MUTABLE)} of a role cannot be changed.", field="update_mask")
    for path in paths:
        role.ClearField(path)
        value = getattr(request.role, path)
        if path == "included_permissions":
            role.included_permissions.extend(value)
        else:
            setattr(role, path, value)
    return _save_role(txn, role)


def _delete(request: Any, _caller: Caller, txn: Txn) -> Any:
    role = _load(txn, request.name)
    _check_etag(role, request.etag)
    if role.deleted:
        raise precondition_error(f"The role {request.name} is deleted already.")
    role.deleted = True
    txn.schedule(ROLE, role.name, txn.now + UNDELETE_WITHIN)
    return _save_role(txn, role)


def _undelete(request: Any, _caller: Caller, txn: Txn) -> Any:
    role = _load(txn, request.name)
    _check_etag(role, request.etag)
    if not role.deleted:
        raise precondition_error(f"The role {request.name} is not deleted.")
    role.deleted = False
    txn.unschedule(ROLE, role.name)
    return _save_role(txn, role)


def _purge_role(name: str, txn: Txn) -> None:
    txn.delete(ROLE, name)
    txn.put(BLOCKED, name, b"")
    txn.schedule(BLOCKED, name, txn.now + BLOCKED_FOR)


def _unblock_role(name: str, txn: Txn) -> None:
    txn.delete(BLOCKED, name)


def _save_role(txn: Txn, role: Any) -> Any:
    for permission in role.included_permissions:
        if not _PERMISSION.fullmatch(permission):
            raise invalid_error(f"Permission {permission} is not valid.", field="role.included_permissions")
        if strict.is_strict(txn) and not _is_grantable(permission):
            raise invalid_error(f"Permission {permission} is not valid.", field="role.included_permissions")
    role.etag = secrets.token_bytes(8)
    txn.put(ROLE, role.name, role.SerializeToString(), parent=role.name.rpartition("/roles/")[0])
    return role


def _is_grantable(permission: str) -> bool:
    """Whether a custom role of a project may hold the permission."""
    name = short(permission)
    return known_names.is_permission(name) and name not in _NOT_IN_PROJECT_ROLES


def _load(txn: Txn, name: str) -> Any:
    body = txn.get(ROLE, name)
    if body is None:
        raise not_found_error(f"The role named {name} was not found.")
    return Role.FromString(body)


def _check_etag(role: Any, given: bytes) -> None:
    if given and given != role.etag:
        raise aborted_error("The role was changed in between. Please read it again and retry.")


def _query_grantable_roles(request: Any, _caller: Caller, _txn: Txn) -> Any:
    """The predefined roles that say something about the resource; basic roles only on projects."""
    resource = request.full_resource_name
    prefix = next((prefix for part, prefix in _PREFIXES if part in resource), "")
    found = [
        _predefined_role(role, full=request.view == _FULL)
        for role in PREDEFINED.values()
        if any(permission.startswith(prefix) for permission in role.permissions)
    ]
    shown, token = _page(found, request)
    return _Grantable(roles=shown, next_page_token=token)


def _query_testable_permissions(request: Any, _caller: Caller, _txn: Txn) -> Any:
    resource = request.full_resource_name
    prefix = next((prefix for part, prefix in _PREFIXES if part in resource), "")
    found = [_Permission(name=name, stage=_GA) for name in TESTABLE if name.startswith(prefix)]
    shown, token = _page(found, request)
    return _Testable(permissions=shown, next_page_token=token)


_PREFIXES = (("/secrets/", "secretmanager."), ("/serviceAccounts/", "iam.serviceAccount"))


def _query_auditable_services(_request: Any, _caller: Caller, _txn: Txn) -> Any:
    names = ("iam.googleapis.com", "secretmanager.googleapis.com", "cloudresourcemanager.googleapis.com")
    return _Auditable(services=[_Auditable.AuditableService(name=name) for name in names])


def _lint(request: Any, _caller: Caller, _txn: Txn) -> Any:
    """LintPolicy looks at a condition only, as at Google."""
    reply = _Lint()
    try:
        cel.compile_expression(request.condition.expression)
    except CelError as error:
        reply.lint_results.add(
            level=iam_admin_v1.LintResult.Level.CONDITION,
            validation_unit_name="LintValidationUnits/ConditionCompileCheck",
            severity=iam_admin_v1.LintResult.Severity.ERROR,
            field_name="condition.expression",
            debug_message=f"The expression cannot be parsed: {error}.",
        )
    return reply


def _page(found: list[Any], request: Any) -> tuple[list[Any], str]:
    start = int(request.page_token) if request.page_token.isdecimal() else 0
    end = start + min(request.page_size if request.page_size > 0 else _DEFAULT_PAGE, _LARGEST_PAGE)
    return found[start:end], str(end) if end < len(found) else ""


def _parent(request: Any) -> str:
    return str(request.parent)


def _anything(request: Any) -> str:
    return str(request.full_resource_name)


SERVICE = Service(
    methods={
        f"{IAM_ADMIN}/GetRole": Method(
            _get,
            "",
            request_name,
            needs=lambda r: () if r.name in PREDEFINED else (PermissionNeed("iam.roles.get", r.name),),
        ),
        f"{IAM_ADMIN}/ListRoles": Method(
            _list, "", _parent, needs=lambda r: (PermissionNeed("iam.roles.list", r.parent),) if r.parent else ()
        ),
        f"{IAM_ADMIN}/CreateRole": Method(_create, "iam.roles.create", _parent, mutates=True),
        f"{IAM_ADMIN}/UpdateRole": Method(_update, "iam.roles.update", request_name, mutates=True),
        f"{IAM_ADMIN}/DeleteRole": Method(_delete, "iam.roles.delete", request_name, mutates=True),
        f"{IAM_ADMIN}/UndeleteRole": Method(_undelete, "iam.roles.undelete", request_name, mutates=True),
        f"{IAM_ADMIN}/QueryGrantableRoles": Method(_query_grantable_roles, "", _anything),
        f"{IAM_ADMIN}/QueryTestablePermissions": Method(_query_testable_permissions, "", _anything),
        f"{IAM_ADMIN}/LintPolicy": Method(_lint, "", _anything),
        f"{IAM_ADMIN}/QueryAuditableServices": Method(_query_auditable_services, "", _anything),
    },
    timers={ROLE: _purge_role, BLOCKED: _unblock_role},
)
