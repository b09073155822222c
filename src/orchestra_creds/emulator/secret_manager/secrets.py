"""Secret Manager, global and regional: secrets, versions, payloads, as the service behaves and not only as it looks.

- Version numbers start at 1 and are never used twice; `latest` is the newest created version whatever its state.
- Each modification renews the etag, also one that changes nothing; a stale etag is FAILED_PRECONDITION; secret and
  version etags are independent; create and add take none.
- Aliases are read by get and access only, and moved by UpdateSecret, so under the secret's etag.
- A payload is at most 64 KiB, its CRC32C is checked when given and always returned; it is sealed at rest.
- With a destroy delay a version is DISABLED and scheduled; enabling or disabling it cancels; else destroy is final.
- Time is lazy: expiry, scheduled destruction and rotation happen at the first call after their time.

Answers name the project by its number: see numbered_names.py.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from google.cloud.secretmanager_v1 import types
from google.protobuf import empty_pb2

from orchestra_creds.emulator.access import policies
from orchestra_creds.emulator.protocol.errors import already_exists_error, invalid_error
from orchestra_creds.emulator.protocol.routes import SECRET_MANAGER, raw
from orchestra_creds.emulator.protocol.service import Caller, Method, Service
from orchestra_creds.emulator.resource_manager import org_policy
from orchestra_creds.emulator.secret_manager import numbered_names
from orchestra_creds.emulator.secret_manager import versions as secret_versions
from orchestra_creds.emulator.secret_manager.locations import REGIONS
from orchestra_creds.emulator.secret_manager.records import (
    PARENT_NAME,
    SECRET,
    VERSION,
    Secret,
    check_etag,
    list_page,
    load_secret,
    new_etag,
    number_counter,
    publish,
)
from orchestra_creds.emulator.secret_manager.rules import check_encryption, check_id, check_secret
from orchestra_creds.emulator.store import project_numbers
from orchestra_creds.emulator.store.store import Txn

ListSecretsResponse = raw(types.ListSecretsResponse)

_MUTABLE = frozenset(
    {
        "labels",
        "annotations",
        "topics",
        "expire_time",
        "ttl",
        "rotation",
        "rotation.next_rotation_time",
        "rotation.rotation_period",
        "version_aliases",
        "version_destroy_ttl",
        "customer_managed_encryption",
        "etag",
    }
)


def create_secret(request: Any, _caller: Caller, txn: Txn) -> Any:
    """CreateSecret."""
    region = _region(request.parent, field="parent")
    check_id(request.secret_id)
    name = f"{request.parent}/secrets/{request.secret_id}"
    if txn.get(SECRET, name) is not None:
        raise already_exists_error(f"Secret [{name}] already exists.")
    secret = Secret()
    secret.CopyFrom(request.secret)
    secret.name = name
    secret.create_time.FromDatetime(txn.now)
    for field in ("tags", "policy_member"):
        secret.ClearField(field)
    _check_replication(secret, region)
    places = [region] if region else [replica.location for replica in secret.replication.user_managed.replicas]
    org_policy.require_locations(txn, request.parent.split("/")[1], places or ["global"], "a secret")
    if secret.version_aliases:
        raise invalid_error("Version aliases can only be set on an existing secret version.", field="version_aliases")
    _settle_expiry(secret, txn.now)
    check_secret(secret, txn.now, changed=frozenset({"rotation", "expiration"}))
    _save(txn, secret, parent=request.parent)
    publish(txn, secret, "SECRET_CREATE", name)
    return secret


def get_secret(request: Any, _caller: Caller, txn: Txn) -> Any:
    """GetSecret."""
    return load_secret(txn, request.name)


def list_secrets(request: Any, _caller: Caller, txn: Txn) -> Any:
    """ListSecrets: newest first; total_size is 0 when a filter is given."""
    _region(request.parent, field="parent")
    found, rest_of_reply = list_page(txn, SECRET, request.parent, request, lambda row: Secret.FromString(row.body))
    return ListSecretsResponse(secrets=found, **rest_of_reply)


def update_secret(request: Any, _caller: Caller, txn: Txn) -> Any:
    """UpdateSecret: the fields in the mask, under the etag if one is given."""
    secret = load_secret(txn, request.secret.name)
    check_etag(request.secret.etag, secret.etag)
    paths = list(request.update_mask.paths)
    if not paths:
        raise invalid_error("The update mask must name at least one field.", field="update_mask")
    for path in paths:
        if path not in _MUTABLE:
            raise invalid_error(f"The field {path[:64]} cannot be updated.", field="update_mask")
    for path in paths:
        _replace(secret, request.secret, path)
    _settle_expiry(secret, txn.now)
    changed = {"rotation"} if any(path.startswith("rotation") for path in paths) else set()
    if {"ttl", "expire_time"} & set(paths):
        changed.add("expiration")
    _check_encryption(secret)
    check_secret(secret, txn.now, changed=frozenset(changed))
    if "version_aliases" in paths:
        for number in secret.version_aliases.values():
            if txn.get(VERSION, f"{secret.name}/versions/{number}") is None:
                raise invalid_error("A version alias points to a version that does not exist.", field="version_aliases")
    _save(txn, secret)
    publish(txn, secret, "SECRET_UPDATE", secret.name)
    return secret


def delete_secret(request: Any, _caller: Caller, txn: Txn) -> Any:
    """DeleteSecret: the secret, its versions and its policy, for ever."""
    secret = load_secret(txn, request.name)
    check_etag(request.etag, secret.etag)
    publish(txn, secret, "SECRET_DELETE", secret.name)
    _forget(txn, secret.name)
    return empty_pb2.Empty()


# What the clock does.


def _expire(name: str, txn: Txn) -> None:
    """Timer: the secret's time is over."""
    body = txn.get(SECRET, name)
    if body is not None:
        publish(txn, Secret.FromString(body), "SECRET_DELETE", name)
        _forget(txn, name)


def _rotate(name: str, txn: Txn) -> None:
    """Timer: tell the topics that it is time, and set the next time when there is a period."""
    body = txn.get(SECRET, name)
    if body is None:
        return
    secret = Secret.FromString(body)
    publish(txn, secret, "SECRET_ROTATE", name)
    if secret.rotation.HasField("rotation_period"):
        due = secret.rotation.next_rotation_time.ToDatetime(tzinfo=UTC)
        period = secret.rotation.rotation_period.ToTimedelta()
        secret.rotation.next_rotation_time.FromDatetime(due + period * ((txn.now - due) // period + 1))
    else:
        secret.ClearField("rotation")
    _save(txn, secret)


# Helpers.


def _region(parent: str, *, field: str) -> str:
    """The region of a parent, "" for a global one."""
    match = PARENT_NAME.fullmatch(parent)
    if match is None:
        raise invalid_error(f"Invalid resource field value in the request: [{parent[:256]}].", field=field)
    region = match["region"] or ""
    if region and region not in REGIONS:
        raise invalid_error(f"Location [{region[:64]}] is not supported.", field=field)
    return region


def _forget(txn: Txn, secret: str) -> None:
    for row in txn.children(VERSION, secret):
        txn.shred(row.name)
        txn.unschedule("destroy", row.name)
        txn.delete(VERSION, row.name)
    txn.unschedule("expire", secret)
    txn.unschedule("rotate", secret)
    txn.delete(policies.KIND, secret)
    txn.delete(SECRET, secret)
    txn.forget(number_counter(secret))


def _save(txn: Txn, secret: Any, *, parent: str = "") -> None:
    """Store under a new etag and arm the timers."""
    secret.etag = new_etag()
    txn.put(SECRET, secret.name, secret.SerializeToString(), parent=parent)
    timers: Mapping[str, tuple[bool, Any]] = {
        "expire": (secret.HasField("expire_time"), secret.expire_time),
        "rotate": (secret.rotation.HasField("next_rotation_time"), secret.rotation.next_rotation_time),
    }
    for kind, (is_set, when) in timers.items():
        if is_set:
            txn.schedule(kind, secret.name, when.ToDatetime(tzinfo=UTC))
        else:
            txn.unschedule(kind, secret.name)


def _replace(secret: Any, wanted: Any, path: str) -> None:
    """Copy one field of the mask; a field that is not set in the request is cleared."""
    if path == "etag":
        return
    if path in {"ttl", "expire_time"}:
        for field in ("ttl", "expire_time"):
            secret.ClearField(field)
        expiration = wanted.WhichOneof("expiration")
        if expiration is not None:
            getattr(secret, expiration).CopyFrom(getattr(wanted, expiration))
        return
    source, target = wanted, secret
    *outer, field = path.split(".")
    for name in outer:
        source, target = getattr(source, name), getattr(target, name)
    descriptor = target.DESCRIPTOR.fields_by_name[field]
    target.ClearField(field)
    if descriptor.is_repeated:
        getattr(target, field).MergeFrom(getattr(source, field))
    elif source.HasField(field):
        getattr(target, field).CopyFrom(getattr(source, field))
    if secret.HasField("rotation") and not secret.rotation.ListFields():
        secret.ClearField("rotation")


def _settle_expiry(secret: Any, now: datetime) -> None:
    """A ttl is input only: what is stored and shown is the time of expiry."""
    if secret.HasField("ttl"):
        ttl = secret.ttl.ToTimedelta()
        try:
            secret.expire_time.FromDatetime(now + ttl)
        except (OverflowError, ValueError):
            raise invalid_error("ttl is out of range.", field="ttl") from None


def _check_replication(secret: Any, region: str) -> None:
    kind = secret.replication.WhichOneof("replication")
    if region:
        if kind is not None:
            raise invalid_error("A regional secret takes no replication.", field="secret.replication")
        _check_encryption(secret)
        return
    if kind is None:
        raise invalid_error(
            "The replication of a secret must be automatic or user managed.", field="secret.replication"
        )
    if secret.HasField("customer_managed_encryption"):
        raise invalid_error(
            "Customer-managed encryption of a global secret belongs to its replication.",
            field="secret.customer_managed_encryption",
        )
    if kind == "automatic":
        sources = [secret.replication.automatic]
    else:
        sources = list(secret.replication.user_managed.replicas)
        locations = {replica.location for replica in sources}
        if not sources or len(locations) != len(sources) or not locations <= set(REGIONS):
            raise invalid_error(
                "User-managed replication needs one or more distinct locations.", field="secret.replication"
            )
    for source in sources:
        _check_encryption(source)


def _check_encryption(source: Any) -> None:
    if source.HasField("customer_managed_encryption"):
        check_encryption(source.customer_managed_encryption)


def _name_of(request: Any) -> str:
    return str(request.name)


def _parent_of(request: Any) -> str:
    return str(request.parent)


def _secret_name_of(request: Any) -> str:
    return str(request.secret.name)


_METHODS = {
    "CreateSecret": Method(create_secret, "secretmanager.secrets.create", _parent_of, mutates=True),
    "GetSecret": Method(get_secret, "secretmanager.secrets.get", _name_of),
    "ListSecrets": Method(list_secrets, "secretmanager.secrets.list", _parent_of),
    "UpdateSecret": Method(update_secret, "secretmanager.secrets.update", _secret_name_of, mutates=True),
    "DeleteSecret": Method(delete_secret, "secretmanager.secrets.delete", _name_of, mutates=True),
    "AddSecretVersion": Method(secret_versions.add_version, "secretmanager.versions.add", _parent_of, mutates=True),
    "GetSecretVersion": Method(secret_versions.get_version, "secretmanager.versions.get", _name_of),
    "ListSecretVersions": Method(secret_versions.list_versions, "secretmanager.versions.list", _parent_of),
    "AccessSecretVersion": Method(
        secret_versions.access_version, "secretmanager.versions.access", _name_of, kind="access"
    ),
    "EnableSecretVersion": Method(
        secret_versions.enable_version, "secretmanager.versions.enable", _name_of, mutates=True
    ),
    "DisableSecretVersion": Method(
        secret_versions.disable_version, "secretmanager.versions.disable", _name_of, mutates=True
    ),
    "DestroySecretVersion": Method(
        secret_versions.destroy_version, "secretmanager.versions.destroy", _name_of, mutates=True
    ),
    "GetIamPolicy": policies.GET,
    "SetIamPolicy": policies.SET,
    "TestIamPermissions": policies.TEST,
}

SERVICE = Service(
    methods={
        f"{SECRET_MANAGER}/{name}": replace(
            method, inward=project_numbers.use_ids, handle=numbered_names.answer_with_numbers(method.handle)
        )
        for name, method in _METHODS.items()
    },
    timers={"expire": _expire, "destroy": secret_versions.destroy_scheduled, "rotate": _rotate},
)
