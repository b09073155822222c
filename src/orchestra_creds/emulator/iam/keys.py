"""Keys of service accounts: made, uploaded, listed, disabled, enabled, deleted.

A key that is made here is a real RSA key; its private half goes into the one reply and nowhere else. Over REST a key
also tells why it is disabled and whether it was found in public, which the gRPC messages of the client cannot hold.
"""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from google.cloud import iam_admin_v1
from google.protobuf import empty_pb2, json_format

from orchestra_creds.emulator.access.account_names import stored_account_name
from orchestra_creds.emulator.iam import accounts, key_records
from orchestra_creds.emulator.iam.key_records import NEVER, KeyRecord
from orchestra_creds.emulator.protocol.errors import (
    already_exists_error,
    invalid_error,
    not_found_error,
    precondition_error,
)
from orchestra_creds.emulator.protocol.routes import IAM_ADMIN, raw
from orchestra_creds.emulator.protocol.service import Caller, Method, RestCall, Route, Service
from orchestra_creds.emulator.resource_manager import org_policy
from orchestra_creds.emulator.store.store import Txn

MOST_KEYS = 10
"""User-managed keys an account may have; a fixed limit (cloud.google.com/iam/docs/keys-create-delete)."""
PKCS12_PASSWORD = b"notasecret"
"""The password of every PKCS12 key file that Google makes."""

EXPOSED = "EXPOSED"
COMPROMISED = "COMPROMISE_DETECTED"
_REASON = "SERVICE_ACCOUNT_KEY_DISABLE_REASON_"
_STATUS = "SERVICE_ACCOUNT_KEY_EXTENDED_STATUS_"
_REASONS = frozenset({"", "UNSPECIFIED", "USER_INITIATED", EXPOSED, COMPROMISED})
_LONGEST_UPLOAD = 25_000

ServiceAccountKey = raw(iam_admin_v1.ServiceAccountKey)
_Listed = raw(iam_admin_v1.ListServiceAccountKeysResponse)
_Algorithm = iam_admin_v1.ServiceAccountKeyAlgorithm
_PrivateType = iam_admin_v1.ServiceAccountPrivateKeyType
_PublicType = iam_admin_v1.ServiceAccountPublicKeyType
_KeyType = iam_admin_v1.ListServiceAccountKeysRequest.KeyType
_Origin = iam_admin_v1.ServiceAccountKeyOrigin


def base_url(txn: Txn) -> str:
    """Where the embedded cloud answers HTTP, without a slash at the end."""
    return f"http://127.0.0.1:{txn.setting('http_port', 0)}"


def expose(txn: Txn, name: str, where: str, *, what: str = EXPOSED) -> None:
    """Do what Google does with a key it finds in public at `where`: mark it for good, and disable it if policy says so.

    The mark can never be taken away; enabling the key again is possible, as it is at Google.
    """
    account, record = _load(txn, stored_account_name(txn, name))
    mark = "KEY_EXPOSED" if what == EXPOSED else "KEY_COMPROMISE_DETECTED"
    record = key_records.replace_fields(record, status=(*record.status, (mark, where)))
    if org_policy.allowed_values(txn, account.project_id, org_policy.KEY_EXPOSURE) != ["WAIT_FOR_ABUSE"]:
        record = key_records.replace_fields(record, disabled=True, reason=what)
    key_records.save(txn, account, record)


def _create(request: Any, _caller: Caller, txn: Txn) -> Any:
    account = accounts.load(txn, request.name)
    _check_room(txn, account)
    _check_policy(txn, account, org_policy.NO_KEY_CREATION, "Key creation is not allowed on this service account.")
    if request.key_algorithm == _Algorithm.KEY_ALG_RSA_1024:
        raise invalid_error("Keys of 1024 bits are not made any more.", field="key_algorithm")
    private = key_records.new_private_key()
    end = _end(txn, account)
    certificate = key_records.self_signed_certificate(private, account.unique_id, txn.now, end)
    record = KeyRecord(key_records.new_id(), key_records.pem(certificate), _whole(txn.now), end.timestamp())
    key_records.save(txn, account, record)
    message = _message(account, record)
    if request.private_key_type == _PrivateType.TYPE_PKCS12_FILE:
        message.private_key_type = _PrivateType.TYPE_PKCS12_FILE
        message.private_key_data = pkcs12.serialize_key_and_certificates(
            b"privatekey", private, certificate, None, serialization.BestAvailableEncryption(PKCS12_PASSWORD)
        )
    else:
        message.private_key_type = _PrivateType.TYPE_GOOGLE_CREDENTIALS_FILE
        message.private_key_data = _key_file(txn, account, record.id, private)
    return message


def _key_file(txn: Txn, account: Any, key_id: str, private: rsa.RSAPrivateKey) -> bytes:
    base = base_url(txn)
    text = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    fields = {
        "type": "service_account",
        "project_id": account.project_id,
        "private_key_id": key_id,
        "private_key": text,
        "client_email": account.email,
        "client_id": account.unique_id,
        "auth_uri": f"{base}/o/oauth2/auth",
        "token_uri": f"{base}/token",
        "auth_provider_x509_cert_url": f"{base}/oauth2/v1/certs",
        "client_x509_cert_url": f"{base}/robot/v1/metadata/x509/{quote(account.email, safe='')}",
        "universe_domain": "googleapis.com",
    }
    return json.dumps(fields, indent=2).encode() + b"\n"


def _upload(request: Any, _caller: Caller, txn: Txn) -> Any:
    account = accounts.load(txn, request.name)
    _check_room(txn, account)
    _check_policy(txn, account, org_policy.NO_KEY_UPLOAD, "Key upload is not allowed on this service account.")
    certificate = _certificate(request.public_key_data)
    public = certificate.public_key()
    if not isinstance(public, rsa.RSAPublicKey) or not key_records.BITS <= public.key_size <= 4096:
        raise invalid_error("The certificate must hold an RSA key of 2048 to 4096 bits.", field="public_key_data")
    if certificate.not_valid_after_utc <= txn.now:
        raise invalid_error("The certificate has expired.", field="public_key_data")
    mine = public.public_numbers()
    if any(record.public.public_numbers() == mine for record in key_records.every(txn, account, late=False)):
        raise already_exists_error("The public key is there already.")
    end = min(certificate.not_valid_after_utc, _end(txn, account))
    record = KeyRecord(
        key_records.new_id(),
        key_records.pem(certificate),
        certificate.not_valid_before_utc.timestamp(),
        end.timestamp(),
        uploaded=True,
    )
    key_records.save(txn, account, record)
    return _message(account, record)


def _certificate(data: bytes) -> x509.Certificate:
    problem = invalid_error(
        "The public key must be one X.509 version 3 certificate with an RSA key, in PEM.", field="public_key_data"
    )
    if not data or len(data) > _LONGEST_UPLOAD:
        raise problem
    try:
        found = x509.load_pem_x509_certificates(data)
        if len(found) != 1 or found[0].version is not x509.Version.v3:
            raise problem
        found[0].public_key()
    except (ValueError, x509.InvalidVersion):
        raise problem from None
    return found[0]


def _get(request: Any, _caller: Caller, txn: Txn) -> Any:
    account, record = _load(txn, request.name)
    return _with_public(_message(account, record), record, request.public_key_type)


def _list(request: Any, _caller: Caller, txn: Txn) -> Any:
    return _Listed(keys=[message for message, _record in _matching_keys(txn, request.name, set(request.key_types))])


def _matching_keys(txn: Txn, name: str, types: set[int]) -> list[tuple[Any, KeyRecord]]:
    account = accounts.load(txn, name)
    wanted = types - {_KeyType.KEY_TYPE_UNSPECIFIED}
    pairs = [(_message(account, record), record) for record in key_records.every(txn, account)]
    return [pair for pair in pairs if not wanted or pair[0].key_type in wanted]


def _delete(request: Any, _caller: Caller, txn: Txn) -> Any:
    account, record = _load(txn, request.name, late=False)
    _check_own(record)
    key_records.remove(txn, account, record.id)
    return empty_pb2.Empty()


def _disable(request: Any, _caller: Caller, txn: Txn) -> Any:
    _switch(txn, request.name, disabled=True, reason="USER_INITIATED")
    return empty_pb2.Empty()


def _enable(request: Any, _caller: Caller, txn: Txn) -> Any:
    _switch(txn, request.name, disabled=False, reason="")
    return empty_pb2.Empty()


def _switch(txn: Txn, name: str, *, disabled: bool, reason: str) -> None:
    account, record = _load(txn, name, late=False)
    _check_own(record)
    # NOTE: a change that changes nothing must not look like a fresh one to late readers.
    if record.disabled != disabled or reason not in {record.reason, "USER_INITIATED"}:
        key_records.save(txn, account, key_records.replace_fields(record, disabled=disabled, reason=reason))


def _load(txn: Txn, name: str, *, late: bool = True) -> tuple[Any, KeyRecord]:
    owner, _, key_id = name.partition("/keys/")
    account = accounts.load(txn, owner)
    record = key_records.find(txn, account, key_id, late=late)
    if record is None:
        raise not_found_error(f"Service account key {key_id} does not exist.")
    return account, record


def _check_own(record: KeyRecord) -> None:
    if record.system:
        raise precondition_error("Precondition check failed.", kind="SYSTEM_MANAGED_KEY", subject=record.id)


def _check_room(txn: Txn, account: Any) -> None:
    if account.disabled:
        raise precondition_error("Precondition check failed.", kind="SERVICE_ACCOUNT_DISABLED", subject=account.name)
    if sum(not record.system for record in key_records.every(txn, account, late=False)) >= MOST_KEYS:
        raise precondition_error("Precondition check failed.", kind="KEY_LIMIT", subject=account.name)


def _check_policy(txn: Txn, account: Any, constraints: tuple[str, ...], message: str) -> None:
    org_policy.refuse(txn, account.project_id, constraints, message, f"{account.name}?configvalue={account.email}")


def _end(txn: Txn, account: Any) -> datetime:
    """When a new key ends: never, unless policy gives keys a lifetime in hours."""
    hours = [
        int(value.removesuffix("h"))
        for value in org_policy.allowed_values(txn, account.project_id, org_policy.KEY_EXPIRY)
        if value.removesuffix("h").isdecimal()
    ]
    return txn.now + timedelta(hours=min(hours)) if hours else NEVER


def _whole(moment: datetime) -> float:
    return float(int(moment.timestamp()))


def _message(account: Any, record: KeyRecord) -> Any:
    message = ServiceAccountKey(
        name=f"{account.name}/keys/{record.id}",
        key_algorithm=_Algorithm.KEY_ALG_RSA_2048,
        key_origin=_Origin.USER_PROVIDED if record.uploaded else _Origin.GOOGLE_PROVIDED,
        key_type=_KeyType.SYSTEM_MANAGED if record.system else _KeyType.USER_MANAGED,
        disabled=record.disabled,
    )
    message.valid_after_time.FromSeconds(int(record.after))
    message.valid_before_time.FromSeconds(int(record.before))
    return message


def _with_public(message: Any, record: KeyRecord, form: int) -> Any:
    if form == _PublicType.TYPE_X509_PEM_FILE:
        message.public_key_data = record.certificate.encode()
    elif form == _PublicType.TYPE_RAW_PUBLIC_KEY:
        message.public_key_data = public_pem(record).encode()
    return message


def public_pem(record: KeyRecord) -> str:
    """The bare public key in PEM."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return record.public.public_bytes(serialization.Encoding.PEM, form).decode()


# Over REST: the same, and what only REST tells.


def _document(message: Any, record: KeyRecord) -> dict[str, Any]:
    document: dict[str, Any] = json_format.MessageToDict(message)
    if record.reason:
        document["disableReason"] = _REASON + record.reason
    if record.status:
        document["extendedStatus"] = [{"key": _STATUS + what, "value": where} for what, where in record.status]
    return document


def _rest_get(call: RestCall, _caller: Caller, txn: Txn) -> dict[str, Any]:
    account, record = _load(txn, _stored_name(call, txn))
    form = call.query.get("publicKeyType", "TYPE_NONE")
    if form not in _PublicType.__members__:
        raise invalid_error(f'Invalid value at "public_key_type": "{form[:64]}".')
    return _document(_with_public(_message(account, record), record, _PublicType.__members__[form]), record)


def _rest_list(call: RestCall, _caller: Caller, txn: Txn) -> dict[str, Any]:
    types = call.query.get("keyTypes", "").split(",") if call.query.get("keyTypes") else []
    unknown = [name for name in types if name not in _KeyType.__members__]
    if unknown:
        raise invalid_error(f'Invalid value at "key_types": "{unknown[0][:64]}".')
    pairs = _matching_keys(txn, _stored_name(call, txn), {int(_KeyType.__members__[name]) for name in types})
    return {"keys": [_document(*pair) for pair in pairs]}


def _rest_disable(call: RestCall, _caller: Caller, txn: Txn) -> dict[str, Any]:
    body = call.body if isinstance(call.body, dict) else {}
    reason = str(body.get("serviceAccountKeyDisableReason", "")).removeprefix(_REASON)
    if reason not in _REASONS:
        raise invalid_error("The disable reason is not known.", field="service_account_key_disable_reason")
    reason = "USER_INITIATED" if reason in {"", "UNSPECIFIED"} else reason
    _switch(txn, _stored_name(call, txn), disabled=True, reason=reason)
    return {}


def _rest_name(call: RestCall) -> str:
    key = call.path.get("key", "")
    return f"projects/{call.path['project']}/serviceAccounts/{call.path['account']}" + (f"/keys/{key}" if key else "")


def _stored_name(call: RestCall, txn: Txn) -> str:
    return stored_account_name(txn, _rest_name(call))


def _method(handle: Callable[[Any, Caller, Txn], Any], verb: str, *, mutates: bool = False) -> Method:
    return Method(
        handle,
        f"iam.serviceAccountKeys.{verb}",
        accounts.request_name,
        mutates=mutates,
        inward=accounts.name_rewriter("name"),
    )


_KEYS = "/v1/projects/{project}/serviceAccounts/{account}/keys"

SERVICE = Service(
    methods={
        f"{IAM_ADMIN}/CreateServiceAccountKey": _method(_create, "create", mutates=True),
        f"{IAM_ADMIN}/UploadServiceAccountKey": _method(_upload, "create", mutates=True),
        f"{IAM_ADMIN}/GetServiceAccountKey": _method(_get, "get"),
        f"{IAM_ADMIN}/ListServiceAccountKeys": _method(_list, "list"),
        f"{IAM_ADMIN}/DeleteServiceAccountKey": _method(_delete, "delete", mutates=True),
        f"{IAM_ADMIN}/DisableServiceAccountKey": _method(_disable, "disable", mutates=True),
        f"{IAM_ADMIN}/EnableServiceAccountKey": _method(_enable, "enable", mutates=True),
    },
    routes=(
        Route("GET", _KEYS, f"{IAM_ADMIN}/ListServiceAccountKeys", _rest_list, "iam.serviceAccountKeys.list", _rest_name),
        Route("GET", f"{_KEYS}/{{key}}", f"{IAM_ADMIN}/GetServiceAccountKey", _rest_get, "iam.serviceAccountKeys.get",
              _rest_name),
        Route("POST", f"{_KEYS}/{{key}}:disable", f"{IAM_ADMIN}/DisableServiceAccountKey", _rest_disable,
              "iam.serviceAccountKeys.disable", _rest_name, mutates=True),
    ),
)  # fmt: skip
