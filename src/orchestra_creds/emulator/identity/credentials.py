"""Acting as a service account: short-lived tokens and signatures, without one of its user-managed keys.

The caller needs the permission on the account; with delegates, on the first of them, and each of those on the next.
The same signatures are served by the older methods of the IAM service.
"""

import itertools
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from google.cloud import iam_admin_v1, iam_credentials_v1

from orchestra_creds.emulator.access import access
from orchestra_creds.emulator.access.account_names import stored_account_name
from orchestra_creds.emulator.iam import accounts, key_records
from orchestra_creds.emulator.identity import jwt, tokens
from orchestra_creds.emulator.protocol.errors import invalid_error, precondition_error
from orchestra_creds.emulator.protocol.routes import IAM_ADMIN, IAM_CREDENTIALS, raw
from orchestra_creds.emulator.protocol.service import Caller, Method, PermissionNeed, Service
from orchestra_creds.emulator.resource_manager import org_policy
from orchestra_creds.emulator.store.store import Txn

LONGEST = timedelta(hours=12)
"""With the constraint that allows it; without it an hour (cloud.google.com/iam/docs/create-short-lived-credentials-direct)."""
_LONGEST_JWT = 12 * 3600

_AccessToken = raw(iam_credentials_v1.GenerateAccessTokenResponse)
_IdToken = raw(iam_credentials_v1.GenerateIdTokenResponse)
_SignedBlob = raw(iam_credentials_v1.SignBlobResponse)
_SignedJwt = raw(iam_credentials_v1.SignJwtResponse)
_OldSignedBlob = raw(iam_admin_v1.SignBlobResponse)
_OldSignedJwt = raw(iam_admin_v1.SignJwtResponse)


def _generate_access_token(request: Any, caller: Caller, txn: Txn) -> Any:
    account = _acting_as(request, caller, txn, "iam.serviceAccounts.getAccessToken")
    if not request.scope:
        raise invalid_error("At least one scope is needed.", field="scope")
    if not tokens.are_scopes(request.scope):
        raise invalid_error("Invalid OAuth scope.", field="scope")
    lifetime = request.lifetime.ToTimedelta() or tokens.LIFETIME
    extended = {account.email, f"serviceAccount:{account.email}"} & set(
        org_policy.allowed_values(txn, account.project_id, org_policy.LIFETIME_EXTENSION)
    )
    longest = LONGEST if extended else tokens.LIFETIME
    if not timedelta(0) < lifetime <= longest:
        raise invalid_error(
            f"The lifetime must lie between 0 and {longest.total_seconds():.0f} seconds.", field="lifetime"
        )
    through = (*caller.through, caller.principal, *(_member(name) for name in request.delegates))
    text, ends = tokens.for_account(txn, account, tuple(request.scope), lifetime=lifetime, through=through)
    reply = _AccessToken(access_token=text)
    reply.expire_time.FromSeconds(int(ends.timestamp()))
    return reply


def _generate_id_token(request: Any, caller: Caller, txn: Txn) -> Any:
    account = _acting_as(request, caller, txn, "iam.serviceAccounts.getOpenIdToken")
    if not request.audience:
        raise invalid_error("An audience is needed.", field="audience")
    return _IdToken(token=tokens.id_token(txn, account, request.audience, email=request.include_email))


def _sign_blob(request: Any, caller: Caller, txn: Txn) -> Any:
    account = _acting_as(request, caller, txn, "iam.serviceAccounts.signBlob")
    key_id, signature = _sign_bytes(txn, account, request.payload)
    return _SignedBlob(key_id=key_id, signed_blob=signature)


def _sign_jwt(request: Any, caller: Caller, txn: Txn) -> Any:
    account = _acting_as(request, caller, txn, "iam.serviceAccounts.signJwt")
    key_id, text = _signed_jwt(txn, account, request.payload)
    return _SignedJwt(key_id=key_id, signed_jwt=text)


def _iam_sign_blob(request: Any, _caller: Caller, txn: Txn) -> Any:
    key_id, signature = _sign_bytes(txn, _usable(txn, request.name), request.bytes_to_sign)
    return _OldSignedBlob(key_id=key_id, signature=signature)


def _iam_sign_jwt(request: Any, _caller: Caller, txn: Txn) -> Any:
    key_id, text = _signed_jwt(txn, _usable(txn, request.name), request.payload)
    return _OldSignedJwt(key_id=key_id, signed_jwt=text)


def _sign_bytes(txn: Txn, account: Any, payload: bytes) -> tuple[str, bytes]:
    key_id, private = key_records.system_key(txn, account)
    return key_id, private.sign(payload, padding.PKCS1v15(), hashes.SHA256())


def _signed_jwt(txn: Txn, account: Any, payload: str) -> tuple[str, str]:
    try:
        claims = json.loads(payload)
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise invalid_error("The payload must be a JSON object of claims.", field="payload")
    now, ends = int(txn.now.timestamp()), claims.get("exp")
    if ends is not None and (not isinstance(ends, int | float) or not now <= ends <= now + _LONGEST_JWT):
        raise invalid_error("The claim exp must lie within the next 12 hours.", field="payload")
    key_id, private = key_records.system_key(txn, account)
    return key_id, jwt.write_jwt(claims, private, key_id)


def _acting_as(request: Any, caller: Caller, txn: Txn, permission: str) -> Any:
    """The account, if the chain of delegates leads to it; the caller's own step has been checked already."""
    chain = [stored_account_name(txn, name) for name in (*request.delegates, request.name)]
    for name, following in itertools.pairwise(chain):
        delegate = _usable(txn, name)
        step = permission if following == chain[-1] else "iam.serviceAccounts.implicitDelegation"
        if not caller.owner:
            access.authorize(Caller(f"serviceAccount:{delegate.email}"), [PermissionNeed(step, following)], txn)
    return _usable(txn, chain[-1])


def _usable(txn: Txn, name: str) -> Any:
    account = accounts.load(txn, name)
    if account.disabled:
        raise precondition_error(
            "The service account is disabled.", kind="SERVICE_ACCOUNT_DISABLED", subject=account.name
        )
    return account


def _member(name: str) -> str:
    return f"serviceAccount:{name.rpartition('/')[2]}"


def _delegated_method(handle: Callable[[Any, Caller, Txn], Any], permission: str) -> Method:
    def needs(request: Any) -> tuple[PermissionNeed, ...]:
        if request.delegates:
            return (PermissionNeed("iam.serviceAccounts.implicitDelegation", request.delegates[0]),)
        return (PermissionNeed(permission, request.name),)

    return Method(handle, "", accounts.request_name, needs=needs, inward=accounts.name_rewriter("name"), kind="token")


def _iam_method(handle: Callable[[Any, Caller, Txn], Any], permission: str) -> Method:
    return Method(handle, permission, accounts.request_name, inward=accounts.name_rewriter("name"), kind="token")


SERVICE = Service(
    methods={
        f"{IAM_CREDENTIALS}/GenerateAccessToken": _delegated_method(
            _generate_access_token, "iam.serviceAccounts.getAccessToken"
        ),
        f"{IAM_CREDENTIALS}/GenerateIdToken": _delegated_method(
            _generate_id_token, "iam.serviceAccounts.getOpenIdToken"
        ),
        f"{IAM_CREDENTIALS}/SignBlob": _delegated_method(_sign_blob, "iam.serviceAccounts.signBlob"),
        f"{IAM_CREDENTIALS}/SignJwt": _delegated_method(_sign_jwt, "iam.serviceAccounts.signJwt"),
        f"{IAM_ADMIN}/SignBlob": _iam_method(_iam_sign_blob, "iam.serviceAccounts.signBlob"),
        f"{IAM_ADMIN}/SignJwt": _iam_method(_iam_sign_jwt, "iam.serviceAccounts.signJwt"),
    }
)
