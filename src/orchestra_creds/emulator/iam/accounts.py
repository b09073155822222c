"""Service accounts: created, found by mail address or unique id, changed, disabled, deleted, brought back.

An account is stored under `projects/P/serviceAccounts/EMAIL`; requests may name it by its unique id and its project by
`-` or number, which `name_rewriter` turns into that form before permissions are looked at. A deleted account comes back
within 30 days by its unique id, unless its address has been taken; a new account under an old address is another one.
"""

import re
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from google.cloud import iam_admin_v1
from google.protobuf import empty_pb2

from orchestra_creds.core.google import ACCOUNT_DOMAIN
from orchestra_creds.emulator.access import policies
from orchestra_creds.emulator.access.account_names import INDEX, NAME, stored_account_name
from orchestra_creds.emulator.protocol.errors import (
    Code,
    EmuError,
    aborted_error,
    already_exists_error,
    invalid_error,
    not_found_error,
    precondition_error,
)
from orchestra_creds.emulator.protocol.paging import page
from orchestra_creds.emulator.protocol.routes import IAM_ADMIN, raw
from orchestra_creds.emulator.protocol.service import Caller, Method, Service
from orchestra_creds.emulator.resource_manager import org_policy
from orchestra_creds.emulator.store.store import Txn

ACCOUNT = "account"
UNDELETE_WITHIN = timedelta(days=30)
"""How long a deleted account can be brought back (cloud.google.com/iam/docs/service-accounts-delete-undelete)."""
MOST_ACCOUNTS = 100
"""Accounts a project may have by default (cloud.google.com/iam/quotas)."""

_DELETED = "account_deleted"  # unique id -> the account
_ACCOUNT_ID = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
_DEFAULT_PAGE, _LARGEST_PAGE = 20, 100
"""Accounts on a page (iam.v1 discovery document, serviceAccounts.list)."""
_LONGEST_TITLE = 100
_LONGEST_DESCRIPTION = 256

ServiceAccount = raw(iam_admin_v1.ServiceAccount)
_Listed = raw(iam_admin_v1.ListServiceAccountsResponse)
_Restored = raw(iam_admin_v1.UndeleteServiceAccountResponse)


def name_rewriter(*path: str) -> Callable[[Any, Txn], Any]:
    """A rewrite of requests: the field at `path` names the account (or its key) as it is stored; unknown ones stay."""

    def rewrite_name(request: Any, txn: Txn) -> Any:
        copy = type(request)()
        copy.CopyFrom(request)
        owner = copy
        for part in path[:-1]:
            owner = getattr(owner, part)
        setattr(owner, path[-1], stored_account_name(txn, getattr(owner, path[-1])))
        return copy

    return rewrite_name


def load(txn: Txn, name: str) -> Any:
    """The account stored as `name`; NOT_FOUND, or INVALID_ARGUMENT when that is no name of an account."""
    if not NAME.fullmatch(name):
        raise invalid_error(f"Invalid service account name: {name[:512]}.", field="name")
    body = txn.get(ACCOUNT, name)
    if body is None:
        raise not_found_error(f"Service account {name} does not exist.")
    return ServiceAccount.FromString(body)


def find(txn: Txn, email: str) -> Any | None:
    """The account with this mail address, or None."""
    stored = txn.get(INDEX, email)
    return None if stored is None else load(txn, stored.decode())


def _create(request: Any, _caller: Caller, txn: Txn) -> Any:
    project = request.name.removeprefix("projects/")
    if not _ACCOUNT_ID.fullmatch(request.account_id):
        raise invalid_error(
            "The account ID must be 6 to 30 lower-case letters, digits and hyphens, and start with a letter.",
            field="account_id",
        )
    refused = "Service account creation is not allowed on this project."
    org_policy.refuse(txn, project, org_policy.NO_NEW_ACCOUNTS, refused, request.name)
    if txn.count(ACCOUNT, request.name) >= txn.setting("most_accounts", MOST_ACCOUNTS):
        raise EmuError(Code.RESOURCE_EXHAUSTED, "Maximum number of service accounts on project reached.")
    email = f"{request.account_id}@{project}{ACCOUNT_DOMAIN}"
    if txn.get(INDEX, email) is not None:
        raise already_exists_error(
            f"Service account {request.account_id} already exists within project {request.name}."
        )
    unique_id = "1" + "".join(str(secrets.randbelow(10)) for _ in range(20))
    account = ServiceAccount(
        name=f"{request.name}/serviceAccounts/{email}",
        project_id=project,
        unique_id=unique_id,
        oauth2_client_id=unique_id,
        email=email,
        display_name=request.service_account.display_name,
        description=request.service_account.description,
    )
    return _save_account(txn, account)


def _get(request: Any, _caller: Caller, txn: Txn) -> Any:
    return load(txn, request.name)


def _list(request: Any, _caller: Caller, txn: Txn) -> Any:
    size = min(request.page_size or _DEFAULT_PAGE, _LARGEST_PAGE)
    rows, token = page(txn, ACCOUNT, request.name, size=size, token=request.page_token)
    return _Listed(accounts=[ServiceAccount.FromString(row.body) for row in rows], next_page_token=token)


def _update(request: Any, _caller: Caller, txn: Txn) -> Any:
    account = load(txn, request.name)
    if request.etag and request.etag != account.etag:
        raise aborted_error("The account was changed in between. Please read it again and retry.")
    account.display_name = request.display_name
    return _save_account(txn, account)


def _patch(request: Any, _caller: Caller, txn: Txn) -> Any:
    account = load(txn, request.service_account.name)
    paths = set(request.update_mask.paths)
    if not paths or paths - {"display_name", "description"}:
        raise invalid_error(
            "The update mask may name display_name and description, and must name one.", field="update_mask"
        )
    for path in paths:
        setattr(account, path, getattr(request.service_account, path))
    return _save_account(txn, account)


def _switch(*, disabled: bool) -> Callable[[Any, Caller, Txn], Any]:
    def switch(request: Any, _caller: Caller, txn: Txn) -> Any:
        account = load(txn, request.name)
        account.disabled = disabled
        _save_account(txn, account)
        return empty_pb2.Empty()

    return switch


def _delete(request: Any, _caller: Caller, txn: Txn) -> Any:
    account = load(txn, request.name)
    txn.delete(ACCOUNT, account.name)
    for index in (account.email, account.unique_id):
        txn.delete(INDEX, index)
    txn.put(_DELETED, account.unique_id, account.SerializeToString())
    txn.schedule(_DELETED, account.unique_id, txn.now + UNDELETE_WITHIN)
    member = f"serviceAccount:{account.email}"
    policies.rename_member(txn, member, f"deleted:{member}?uid={account.unique_id}")
    return empty_pb2.Empty()


def _undelete(request: Any, _caller: Caller, txn: Txn) -> Any:
    unique_id = request.name.rpartition("/")[2]
    body = txn.get(_DELETED, unique_id)
    if body is None:
        raise not_found_error(f"Service account {request.name} does not exist.")
    account = ServiceAccount.FromString(body)
    if txn.get(INDEX, account.email) is not None:
        raise precondition_error(f"Another service account has the address {account.email} by now.")
    txn.delete(_DELETED, unique_id)
    txn.unschedule(_DELETED, unique_id)
    member = f"serviceAccount:{account.email}"
    policies.rename_member(txn, f"deleted:{member}?uid={unique_id}", member)
    return _Restored(restored_account=_save_account(txn, account))


def _save_account(txn: Txn, account: Any) -> Any:
    if len(account.display_name) > _LONGEST_TITLE or len(account.description) > _LONGEST_DESCRIPTION:
        raise invalid_error(
            f"A display name has at most {_LONGEST_TITLE} characters, a description {_LONGEST_DESCRIPTION}.",
            field="service_account",
        )
    account.etag = secrets.token_bytes(8)
    txn.put(ACCOUNT, account.name, account.SerializeToString(), parent=f"projects/{account.project_id}")
    for index in (account.email, account.unique_id):
        txn.put(INDEX, index, account.name.encode())
    return account


def _purge_account(unique_id: str, txn: Txn) -> None:
    txn.delete(_DELETED, unique_id)


def request_name(request: Any) -> str:
    """The resource of a request that has a name."""
    return str(request.name)


_BY_NAME = name_rewriter("name")
_POLICY = name_rewriter("resource")

SERVICE = Service(
    methods={
        f"{IAM_ADMIN}/CreateServiceAccount": Method(_create, "iam.serviceAccounts.create", request_name, mutates=True),
        f"{IAM_ADMIN}/GetServiceAccount": Method(_get, "iam.serviceAccounts.get", request_name, inward=_BY_NAME),
        f"{IAM_ADMIN}/ListServiceAccounts": Method(_list, "iam.serviceAccounts.list", request_name),
        f"{IAM_ADMIN}/UpdateServiceAccount": Method(
            _update, "iam.serviceAccounts.update", request_name, mutates=True, inward=_BY_NAME
        ),
        f"{IAM_ADMIN}/PatchServiceAccount": Method(
            _patch,
            "iam.serviceAccounts.update",
            lambda request: str(request.service_account.name),
            mutates=True,
            inward=name_rewriter("service_account", "name"),
        ),
        f"{IAM_ADMIN}/EnableServiceAccount": Method(
            _switch(disabled=False), "iam.serviceAccounts.enable", request_name, mutates=True, inward=_BY_NAME
        ),
        f"{IAM_ADMIN}/DisableServiceAccount": Method(
            _switch(disabled=True), "iam.serviceAccounts.disable", request_name, mutates=True, inward=_BY_NAME
        ),
        f"{IAM_ADMIN}/DeleteServiceAccount": Method(
            _delete, "iam.serviceAccounts.delete", request_name, mutates=True, inward=_BY_NAME
        ),
        f"{IAM_ADMIN}/UndeleteServiceAccount": Method(
            _undelete, "iam.serviceAccounts.undelete", request_name, mutates=True
        ),
        f"{IAM_ADMIN}/GetIamPolicy": replace(policies.GET, inward=_POLICY),
        f"{IAM_ADMIN}/SetIamPolicy": replace(policies.SET, inward=_POLICY),
        f"{IAM_ADMIN}/TestIamPermissions": replace(policies.TEST, inward=_POLICY),
    },
    timers={_DELETED: _purge_account},
)
