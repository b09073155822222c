"""The versions of a secret: payloads, states, `latest`, aliases, delayed destruction. See secret_manager/secrets.py for the rules."""

import re
from typing import Any

import google_crc32c
from google.cloud.secretmanager_v1 import types

from orchestra_creds.core.google import LARGEST_VALUE
from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.errors import invalid_error, not_found_error, precondition_error
from orchestra_creds.emulator.protocol.routes import raw
from orchestra_creds.emulator.protocol.service import Caller
from orchestra_creds.emulator.secret_manager.records import (
    SECRET,
    VERSION,
    VERSION_NAME,
    Secret,
    SecretVersion,
    check_etag,
    list_page,
    load_secret,
    new_etag,
    number_counter,
    publish,
)
from orchestra_creds.emulator.store.store import Txn

AccessSecretVersionResponse = raw(types.AccessSecretVersionResponse)
ListSecretVersionsResponse = raw(types.ListSecretVersionsResponse)

_ENABLED, _DISABLED, _DESTROYED = 1, 2, 3
_STATES = {_ENABLED: "ENABLED", _DISABLED: "DISABLED", _DESTROYED: "DESTROYED"}
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")


def add_version(request: Any, _caller: Caller, txn: Txn) -> Any:
    """AddSecretVersion: not idempotent, every call adds one."""
    secret = load_secret(txn, request.parent)
    data = request.payload.data
    if not data:
        raise invalid_error("The secret payload must not be empty.", field="payload.data")
    if len(data) > LARGEST_VALUE:
        raise invalid_error(f"The secret payload is larger than {LARGEST_VALUE} bytes.", field="payload.data")
    checked = request.payload.HasField("data_crc32c")
    if checked and request.payload.data_crc32c != google_crc32c.value(data):
        raise invalid_error("The CRC32C checksum does not match the payload.", field="payload.data_crc32c")
    number = txn.next(number_counter(secret.name))
    version = SecretVersion(name=f"{secret.name}/versions/{number}", state=_ENABLED)
    version.create_time.FromDatetime(txn.now)
    version.client_specified_payload_checksum = checked
    _tell_replication(version, secret)
    txn.seal(version.name, data)
    _save_version(txn, version, parent=secret.name)
    publish(txn, secret, "SECRET_VERSION_ADD", version.name)
    return version


def get_version(request: Any, _caller: Caller, txn: Txn) -> Any:
    """GetSecretVersion, by number, alias or `latest`."""
    return _named_version(txn, request.name)


def list_versions(request: Any, _caller: Caller, txn: Txn) -> Any:
    """ListSecretVersions: newest first; total_size is 0 when a filter is given."""
    secret = load_secret(txn, request.parent)
    found, rest_of_reply = list_page(txn, VERSION, secret.name, request, lambda row: _version(txn, row.name))
    return ListSecretVersionsResponse(versions=found, **rest_of_reply)


def access_version(request: Any, _caller: Caller, txn: Txn) -> Any:
    """AccessSecretVersion, by number, alias or `latest`: the payload with its checksum."""
    version = _named_version(txn, request.name)
    data = txn.unseal(version.name)
    if version.state != _ENABLED or data is None:
        raise precondition_error(f"Secret Version [{version.name}] is in {_STATES[version.state]} state.")
    payload = {"data": data, "data_crc32c": google_crc32c.value(data)}
    return AccessSecretVersionResponse(name=version.name, payload=payload)


def enable_version(request: Any, _caller: Caller, txn: Txn) -> Any:
    """EnableSecretVersion; cancels a scheduled destruction."""
    return _set_state(txn, request, _ENABLED, "SECRET_VERSION_ENABLE")


def disable_version(request: Any, _caller: Caller, txn: Txn) -> Any:
    """DisableSecretVersion; cancels a scheduled destruction."""
    return _set_state(txn, request, _DISABLED, "SECRET_VERSION_DISABLE")


def destroy_version(request: Any, _caller: Caller, txn: Txn) -> Any:
    """DestroySecretVersion: at once and for ever, or disabled and scheduled where the secret has a destroy delay."""
    secret, version = _numbered_version(txn, request)
    if version.HasField("scheduled_destroy_time"):
        raise precondition_error(f"Secret Version [{version.name}] is already scheduled for destruction.")
    if not secret.HasField("version_destroy_ttl"):
        _destroy(txn, secret, version)
        return version
    due = txn.now + secret.version_destroy_ttl.ToTimedelta()
    version.state = _DISABLED
    version.scheduled_destroy_time.FromDatetime(due)
    txn.schedule("destroy", version.name, due)
    _save_version(txn, version)
    publish(txn, secret, "SECRET_VERSION_DESTROY_SCHEDULED", version.name)
    return version


def destroy_scheduled(name: str, txn: Txn) -> None:
    """Timer: the delay of a destroyed version is over."""
    body = txn.get(VERSION, name)
    secret = txn.get(SECRET, name.rpartition("/versions/")[0])
    if body is not None and secret is not None:
        _destroy(txn, Secret.FromString(secret), SecretVersion.FromString(body))


def _version(txn: Txn, name: str) -> Any:
    """A version as a reader sees it: its state may be late, its existence may not."""
    body = txn.get(VERSION, name, lag=faults.lag(txn, faults.Lag.STATE)) or txn.get(VERSION, name)
    if body is None:
        raise not_found_error(f"Secret Version [{name}] not found.")
    return SecretVersion.FromString(body)


def _named_version(txn: Txn, name: str) -> Any:
    """The version that a number, an alias or `latest` means to a reader."""
    match = VERSION_NAME.fullmatch(name)
    if match is None:
        raise invalid_error(f"Invalid resource field value in the request: [{name[:512]}].", field="name")
    secret, wanted = match["secret"], match["version"]
    if _NUMBER.fullmatch(wanted):
        load_secret(txn, secret)
        return _version(txn, name)
    if wanted == "latest":
        load_secret(txn, secret)
        newest = txn.newest(VERSION, secret, lag=faults.lag(txn, faults.Lag.LATEST))
        if newest is None:
            raise not_found_error(f"Secret [{secret}] not found or has no versions.")
        return _version(txn, newest.name)
    seen = txn.get(SECRET, secret, lag=faults.lag(txn, faults.Lag.ALIAS))
    aliases = Secret.FromString(seen).version_aliases if seen is not None else load_secret(txn, secret).version_aliases
    if wanted not in aliases:
        raise not_found_error(f"Secret Version [{name}] not found.")
    return _version(txn, f"{secret}/versions/{aliases[wanted]}")


def _numbered_version(txn: Txn, request: Any) -> tuple[Any, Any]:
    """Secret and version of a request that changes a version: by number only, under the etag, not DESTROYED."""
    match = VERSION_NAME.fullmatch(request.name)
    if match is None or not _NUMBER.fullmatch(match["version"]):
        raise invalid_error(
            f"The provided Secret Version [{request.name[:512]}] does not name a version by its number.", field="name"
        )
    secret = load_secret(txn, match["secret"])
    body = txn.get(VERSION, request.name)
    if body is None:
        raise not_found_error(f"Secret Version [{request.name}] not found.")
    version = SecretVersion.FromString(body)
    check_etag(request.etag, version.etag)
    if version.state == _DESTROYED:
        raise precondition_error(f"Secret Version [{version.name}] is in DESTROYED state.")
    return secret, version


def _set_state(txn: Txn, request: Any, state: int, event: str) -> Any:
    secret, version = _numbered_version(txn, request)
    version.state = state
    version.ClearField("scheduled_destroy_time")
    txn.unschedule("destroy", version.name)
    _save_version(txn, version)
    publish(txn, secret, event, version.name)
    return version


def _destroy(txn: Txn, secret: Any, version: Any) -> None:
    txn.shred(version.name)
    txn.unschedule("destroy", version.name)
    version.state = _DESTROYED
    version.destroy_time.FromDatetime(txn.now)
    version.ClearField("scheduled_destroy_time")
    _save_version(txn, version)
    publish(txn, secret, "SECRET_VERSION_DESTROY", version.name)


def _save_version(txn: Txn, version: Any, *, parent: str = "") -> None:
    version.etag = new_etag()
    txn.put(VERSION, version.name, version.SerializeToString(), parent=parent)


def _tell_replication(version: Any, secret: Any) -> None:
    """Fill in where the version lives and under which key."""
    match secret.replication.WhichOneof("replication"):
        case "automatic":
            version.replication_status.automatic.SetInParent()
            _tell_encryption(version.replication_status.automatic, secret.replication.automatic)
        case "user_managed":
            for replica in secret.replication.user_managed.replicas:
                status = version.replication_status.user_managed.replicas.add(location=replica.location)
                _tell_encryption(status, replica)
        case _:
            _tell_encryption(version, secret)


def _tell_encryption(status: Any, source: Any) -> None:
    if source.HasField("customer_managed_encryption"):
        key = source.customer_managed_encryption.kms_key_name
        status.customer_managed_encryption.kms_key_version_name = f"{key}/cryptoKeyVersions/1"
