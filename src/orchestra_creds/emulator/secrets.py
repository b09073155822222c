"""Secret Manager, global and regional: secrets, versions, payloads, as the service behaves and not only as it looks.

- Version numbers start at 1 and are never used twice; `latest` is the newest created version whatever its state.
- Each modification renews the etag, also one that changes nothing; a stale etag is FAILED_PRECONDITION; secret and
  version etags are independent; create and add take none.
- Aliases are read by get and access only, and moved by UpdateSecret, so under the secret's etag.
- A payload is at most 64 KiB, its CRC32C is checked when given and always returned; it is sealed at rest.
- With a destroy delay a version is DISABLED and scheduled; enabling or disabling it cancels; else destroy is final.
- Time is lazy: expiry, scheduled destruction and rotation happen at the first call after their time.

Names are kept as the caller writes them: the service itself answers with the project's number.
"""

import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import google_crc32c
from google.cloud.location import locations_pb2
from google.cloud.secretmanager_v1 import types
from google.protobuf import empty_pb2

from orchestra_creds.emulator import faults, policies
from orchestra_creds.emulator.errors import already_exists, invalid, not_found, precondition
from orchestra_creds.emulator.filters import compile_filter
from orchestra_creds.emulator.paging import page
from orchestra_creds.emulator.routes import LOCATIONS, SECRET_MANAGER, raw
from orchestra_creds.emulator.secret_rules import LARGEST_PAYLOAD, check_encryption, check_id, check_secret
from orchestra_creds.emulator.service import Caller, Method, Service
from orchestra_creds.emulator.store import AuditEntry, Row, Txn

SECRET = "secret"  # noqa: S105  # a kind of resource
VERSION = "version"
EVENTS = "service:secretmanager.googleapis.com"
"""Who stands as the caller of events in the audit log: what Pub/Sub topics would be told."""

REGIONS = (
    "africa-south1",
    "asia-east1",
    "asia-east2",
    "asia-northeast1",
    "asia-northeast2",
    "asia-northeast3",
    "asia-south1",
    "asia-south2",
    "asia-southeast1",
    "asia-southeast2",
    "australia-southeast1",
    "australia-southeast2",
    "europe-central2",
    "europe-north1",
    "europe-southwest1",
    "europe-west1",
    "europe-west10",
    "europe-west12",
    "europe-west2",
    "europe-west3",
    "europe-west4",
    "europe-west6",
    "europe-west8",
    "europe-west9",
    "me-central1",
    "me-central2",
    "me-west1",
    "northamerica-northeast1",
    "northamerica-northeast2",
    "southamerica-east1",
    "southamerica-west1",
    "us-central1",
    "us-east1",
    "us-east4",
    "us-east5",
    "us-south1",
    "us-west1",
    "us-west2",
    "us-west3",
    "us-west4",
)

Secret = raw(types.Secret)
SecretVersion = raw(types.SecretVersion)
AccessSecretVersionResponse = raw(types.AccessSecretVersionResponse)
ListSecretsResponse = raw(types.ListSecretsResponse)
ListSecretVersionsResponse = raw(types.ListSecretVersionsResponse)

_ENABLED, _DISABLED, _DESTROYED = 1, 2, 3
_STATES = {_ENABLED: "ENABLED", _DISABLED: "DISABLED", _DESTROYED: "DESTROYED"}
_PARENT = re.compile(r"projects/[^/]+(?:/locations/(?P<region>[^/]+))?")
_NAME = re.compile(rf"(?P<parent>{_PARENT.pattern})/secrets/[^/]+")
_VERSION_NAME = re.compile(rf"(?P<secret>{_NAME.pattern})/versions/(?P<version>[^/]+)")
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
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


# Secrets.


def create_secret(request: Any, _caller: Caller, txn: Txn) -> Any:
    """CreateSecret."""
    region = _region(request.parent, field="parent")
    check_id(request.secret_id)
    name = f"{request.parent}/secrets/{request.secret_id}"
    if txn.get(SECRET, name) is not None:
        raise already_exists(f"Secret [{name}] already exists.")
    secret = Secret()
    secret.CopyFrom(request.secret)
    secret.name = name
    secret.create_time.FromDatetime(txn.now)
    for field in ("tags", "policy_member"):
        secret.ClearField(field)
    _check_replication(secret, region)
    if secret.version_aliases:
        raise invalid("Version aliases can only be set on an existing secret version.", field="version_aliases")
    _settle_expiry(secret, txn.now)
    check_secret(secret, txn.now, changed=frozenset({"rotation", "expiration"}))
    _save(txn, secret, parent=request.parent)
    _publish(txn, secret, "SECRET_CREATE", name)
    return secret


def get_secret(request: Any, _caller: Caller, txn: Txn) -> Any:
    """GetSecret."""
    return _secret(txn, request.name)


def list_secrets(request: Any, _caller: Caller, txn: Txn) -> Any:
    """ListSecrets: newest first; total_size is 0 when a filter is given."""
    _region(request.parent, field="parent")
    matches = compile_filter(request.filter)
    rows, token = page(
        txn,
        SECRET,
        request.parent,
        size=request.page_size,
        token=request.page_token,
        text=request.filter,
        keep=lambda row: _settled(txn, row) and matches(Secret.FromString(row.body)),
    )
    return ListSecretsResponse(
        secrets=[Secret.FromString(row.body) for row in rows],
        next_page_token=token,
        total_size=0 if request.filter else txn.count(SECRET, request.parent),
    )


def update_secret(request: Any, _caller: Caller, txn: Txn) -> Any:
    """UpdateSecret: the fields in the mask, under the etag if one is given."""
    secret = _secret(txn, request.secret.name)
    _check_etag(request.secret.etag, secret.etag)
    paths = list(request.update_mask.paths)
    if not paths:
        raise invalid("The update mask must name at least one field.", field="update_mask")
    for path in paths:
        if path not in _MUTABLE:
            raise invalid(f"The field {path[:64]} cannot be updated.", field="update_mask")
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
                raise invalid("A version alias points to a version that does not exist.", field="version_aliases")
    _save(txn, secret)
    _publish(txn, secret, "SECRET_UPDATE", secret.name)
    return secret


def delete_secret(request: Any, _caller: Caller, txn: Txn) -> Any:
    """DeleteSecret: the secret, its versions and its policy, for ever."""
    secret = _secret(txn, request.name)
    _check_etag(request.etag, secret.etag)
    _publish(txn, secret, "SECRET_DELETE", secret.name)
    _forget(txn, secret.name)
    return empty_pb2.Empty()


# Versions.


def add_version(request: Any, _caller: Caller, txn: Txn) -> Any:
    """AddSecretVersion: not idempotent, every call adds one."""
    secret = _secret(txn, request.parent)
    data = request.payload.data
    if not data:
        raise invalid("The secret payload must not be empty.", field="payload.data")
    if len(data) > LARGEST_PAYLOAD:
        raise invalid(f"The secret payload is larger than {LARGEST_PAYLOAD} bytes.", field="payload.data")
    checked = request.payload.HasField("data_crc32c")
    if checked and request.payload.data_crc32c != google_crc32c.value(data):
        raise invalid("The CRC32C checksum does not match the payload.", field="payload.data_crc32c")
    number = txn.next(_numbers(secret.name))
    version = SecretVersion(name=f"{secret.name}/versions/{number}", state=_ENABLED)
    version.create_time.FromDatetime(txn.now)
    version.client_specified_payload_checksum = checked
    _tell_replication(version, secret)
    txn.seal(version.name, data)
    _save_version(txn, version, parent=secret.name)
    _publish(txn, secret, "SECRET_VERSION_ADD", version.name)
    return version


def get_version(request: Any, _caller: Caller, txn: Txn) -> Any:
    """GetSecretVersion, by number, alias or `latest`."""
    return _named_version(txn, request.name)


def list_versions(request: Any, _caller: Caller, txn: Txn) -> Any:
    """ListSecretVersions: newest first; total_size is 0 when a filter is given."""
    secret = _secret(txn, request.parent)
    matches = compile_filter(request.filter)
    rows, token = page(
        txn,
        VERSION,
        secret.name,
        size=request.page_size,
        token=request.page_token,
        text=request.filter,
        keep=lambda row: _settled(txn, row) and matches(_version(txn, row.name)),
    )
    return ListSecretVersionsResponse(
        versions=[_version(txn, row.name) for row in rows],
        next_page_token=token,
        total_size=0 if request.filter else txn.count(VERSION, secret.name),
    )


def access_version(request: Any, _caller: Caller, txn: Txn) -> Any:
    """AccessSecretVersion, by number, alias or `latest`: the payload with its checksum."""
    version = _named_version(txn, request.name)
    data = txn.unseal(version.name)
    if version.state != _ENABLED or data is None:
        raise precondition(f"Secret Version [{version.name}] is in {_STATES[version.state]} state.")
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
        raise precondition(f"Secret Version [{version.name}] is already scheduled for destruction.")
    if not secret.HasField("version_destroy_ttl"):
        _destroy(txn, secret, version)
        return version
    due = txn.now + secret.version_destroy_ttl.ToTimedelta()
    version.state = _DISABLED
    version.scheduled_destroy_time.FromDatetime(due)
    txn.schedule("destroy", version.name, due)
    _save_version(txn, version)
    _publish(txn, secret, "SECRET_VERSION_DESTROY_SCHEDULED", version.name)
    return version


# Locations.


def list_locations(request: Any, _caller: Caller, _txn: Txn) -> Any:
    """ListLocations: every region; page size and token are honoured."""
    start = int(request.page_token) if request.page_token.isdecimal() else 0
    size = request.page_size if request.page_size > 0 else len(REGIONS)
    shown = REGIONS[start : start + size]
    following = start + size
    return locations_pb2.ListLocationsResponse(
        locations=[_location(request.name, region) for region in shown],
        next_page_token=str(following) if following < len(REGIONS) else "",
    )


def get_location(request: Any, _caller: Caller, _txn: Txn) -> Any:
    """GetLocation."""
    project, _, region = request.name.partition("/locations/")
    if region not in REGIONS:
        raise not_found(f"Location [{request.name}] not found.")
    return _location(project, region)


# What the clock does.


def _expire(name: str, txn: Txn) -> None:
    """Timer: the secret's time is over."""
    body = txn.get(SECRET, name)
    if body is not None:
        _publish(txn, Secret.FromString(body), "SECRET_DELETE", name)
        _forget(txn, name)


def _destroy_scheduled(name: str, txn: Txn) -> None:
    """Timer: the delay of a destroyed version is over."""
    body = txn.get(VERSION, name)
    secret = txn.get(SECRET, name.rpartition("/versions/")[0])
    if body is not None and secret is not None:
        _destroy(txn, Secret.FromString(secret), SecretVersion.FromString(body))


def _rotate(name: str, txn: Txn) -> None:
    """Timer: tell the topics that it is time, and set the next time when there is a period."""
    body = txn.get(SECRET, name)
    if body is None:
        return
    secret = Secret.FromString(body)
    _publish(txn, secret, "SECRET_ROTATE", name)
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
    match = _PARENT.fullmatch(parent)
    if match is None:
        raise invalid(f"Invalid resource field value in the request: [{parent[:256]}].", field=field)
    region = match["region"] or ""
    if region and region not in REGIONS:
        raise invalid(f"Location [{region[:64]}] is not supported.", field=field)
    return region


def _secret(txn: Txn, name: str) -> Any:
    if not _NAME.fullmatch(name):
        raise invalid(f"Invalid resource field value in the request: [{name[:512]}].", field="name")
    body = txn.get(SECRET, name)
    if body is None:
        raise not_found(f"Secret [{name}] not found.")
    return Secret.FromString(body)


def _version(txn: Txn, name: str) -> Any:
    """A version as a reader sees it: its state may be late, its existence may not."""
    body = txn.get(VERSION, name, lag=faults.lag(txn, faults.Lag.STATE)) or txn.get(VERSION, name)
    if body is None:
        raise not_found(f"Secret Version [{name}] not found.")
    return SecretVersion.FromString(body)


def _named_version(txn: Txn, name: str) -> Any:
    """The version that a number, an alias or `latest` means to a reader."""
    match = _VERSION_NAME.fullmatch(name)
    if match is None:
        raise invalid(f"Invalid resource field value in the request: [{name[:512]}].", field="name")
    secret, wanted = match["secret"], match["version"]
    if _NUMBER.fullmatch(wanted):
        _secret(txn, secret)
        return _version(txn, name)
    if wanted == "latest":
        _secret(txn, secret)
        newest = txn.newest(VERSION, secret, lag=faults.lag(txn, faults.Lag.LATEST))
        if newest is None:
            raise not_found(f"Secret [{secret}] not found or has no versions.")
        return _version(txn, newest.name)
    seen = txn.get(SECRET, secret, lag=faults.lag(txn, faults.Lag.ALIAS))
    aliases = Secret.FromString(seen).version_aliases if seen is not None else _secret(txn, secret).version_aliases
    if wanted not in aliases:
        raise not_found(f"Secret Version [{name}] not found.")
    return _version(txn, f"{secret}/versions/{aliases[wanted]}")


def _numbered_version(txn: Txn, request: Any) -> tuple[Any, Any]:
    """Secret and version of a request that changes a version: by number only, under the etag, not DESTROYED."""
    match = _VERSION_NAME.fullmatch(request.name)
    if match is None or not _NUMBER.fullmatch(match["version"]):
        raise invalid(
            f"The provided Secret Version [{request.name[:512]}] does not name a version by its number.", field="name"
        )
    secret = _secret(txn, match["secret"])
    body = txn.get(VERSION, request.name)
    if body is None:
        raise not_found(f"Secret Version [{request.name}] not found.")
    version = SecretVersion.FromString(body)
    _check_etag(request.etag, version.etag)
    if version.state == _DESTROYED:
        raise precondition(f"Secret Version [{version.name}] is in DESTROYED state.")
    return secret, version


def _set_state(txn: Txn, request: Any, state: int, event: str) -> Any:
    secret, version = _numbered_version(txn, request)
    version.state = state
    version.ClearField("scheduled_destroy_time")
    txn.unschedule("destroy", version.name)
    _save_version(txn, version)
    _publish(txn, secret, event, version.name)
    return version


def _destroy(txn: Txn, secret: Any, version: Any) -> None:
    txn.shred(version.name)
    txn.unschedule("destroy", version.name)
    version.state = _DESTROYED
    version.destroy_time.FromDatetime(txn.now)
    version.ClearField("scheduled_destroy_time")
    _save_version(txn, version)
    _publish(txn, secret, "SECRET_VERSION_DESTROY", version.name)


def _forget(txn: Txn, secret: str) -> None:
    for row in txn.children(VERSION, secret):
        txn.shred(row.name)
        txn.unschedule("destroy", row.name)
        txn.delete(VERSION, row.name)
    txn.unschedule("expire", secret)
    txn.unschedule("rotate", secret)
    txn.delete(policies.KIND, secret)
    txn.delete(SECRET, secret)
    txn.forget(_numbers(secret))


def _save(txn: Txn, secret: Any, *, parent: str = "") -> None:
    """Store under a new etag and arm the timers."""
    secret.etag = _etag()
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


def _save_version(txn: Txn, version: Any, *, parent: str = "") -> None:
    version.etag = _etag()
    txn.put(VERSION, version.name, version.SerializeToString(), parent=parent)


def _etag() -> str:
    return f'"{secrets.token_hex(7)}"'


def _check_etag(given: str, stored: str) -> None:
    if given and given != stored:
        raise precondition("The etag provided does not match the current etag of the resource.", kind="ETAG")


def _numbers(secret: str) -> str:
    return f"versions:{secret}"


def _settled(txn: Txn, row: Row) -> bool:
    """Whether lists show the row already."""
    return row.created <= txn.now.timestamp() - faults.lag(txn, faults.Lag.LIST)


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
            raise invalid("ttl is out of range.", field="ttl") from None


def _check_replication(secret: Any, region: str) -> None:
    kind = secret.replication.WhichOneof("replication")
    if region:
        if kind is not None:
            raise invalid("A regional secret takes no replication.", field="secret.replication")
        _check_encryption(secret)
        return
    if kind is None:
        raise invalid("The replication of a secret must be automatic or user managed.", field="secret.replication")
    if secret.HasField("customer_managed_encryption"):
        raise invalid(
            "Customer-managed encryption of a global secret belongs to its replication.",
            field="secret.customer_managed_encryption",
        )
    if kind == "automatic":
        sources = [secret.replication.automatic]
    else:
        sources = list(secret.replication.user_managed.replicas)
        locations = {replica.location for replica in sources}
        if not sources or len(locations) != len(sources) or not locations <= set(REGIONS):
            raise invalid("User-managed replication needs one or more distinct locations.", field="secret.replication")
    for source in sources:
        _check_encryption(source)


def _check_encryption(source: Any) -> None:
    if source.HasField("customer_managed_encryption"):
        check_encryption(source.customer_managed_encryption)


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


def _publish(txn: Txn, secret: Any, event: str, resource: str) -> None:
    """What Pub/Sub topics would be told stands in the audit log."""
    if secret.topics:
        txn.record(AuditEntry(txn.now, f"event/{event}", resource, EVENTS, "OK", mutating=False))


def _location(project: str, region: str) -> Any:
    return locations_pb2.Location(
        name=f"{project}/locations/{region}", location_id=region, labels={"cloud.googleapis.com/region": region}
    )


def _name_of(request: Any) -> str:
    return str(request.name)


def _parent_of(request: Any) -> str:
    return str(request.parent)


def _secret_name_of(request: Any) -> str:
    return str(request.secret.name)


SERVICE = Service(
    methods={
        f"{SECRET_MANAGER}/CreateSecret": Method(
            create_secret, "secretmanager.secrets.create", _parent_of, mutates=True
        ),
        f"{SECRET_MANAGER}/GetSecret": Method(get_secret, "secretmanager.secrets.get", _name_of),
        f"{SECRET_MANAGER}/ListSecrets": Method(list_secrets, "secretmanager.secrets.list", _parent_of),
        f"{SECRET_MANAGER}/UpdateSecret": Method(
            update_secret, "secretmanager.secrets.update", _secret_name_of, mutates=True
        ),
        f"{SECRET_MANAGER}/DeleteSecret": Method(delete_secret, "secretmanager.secrets.delete", _name_of, mutates=True),
        f"{SECRET_MANAGER}/AddSecretVersion": Method(
            add_version, "secretmanager.versions.add", _parent_of, mutates=True
        ),
        f"{SECRET_MANAGER}/GetSecretVersion": Method(get_version, "secretmanager.versions.get", _name_of),
        f"{SECRET_MANAGER}/ListSecretVersions": Method(list_versions, "secretmanager.versions.list", _parent_of),
        f"{SECRET_MANAGER}/AccessSecretVersion": Method(
            access_version, "secretmanager.versions.access", _name_of, kind="access"
        ),
        f"{SECRET_MANAGER}/EnableSecretVersion": Method(
            enable_version, "secretmanager.versions.enable", _name_of, mutates=True
        ),
        f"{SECRET_MANAGER}/DisableSecretVersion": Method(
            disable_version, "secretmanager.versions.disable", _name_of, mutates=True
        ),
        f"{SECRET_MANAGER}/DestroySecretVersion": Method(
            destroy_version, "secretmanager.versions.destroy", _name_of, mutates=True
        ),
        f"{SECRET_MANAGER}/GetIamPolicy": policies.GET,
        f"{SECRET_MANAGER}/SetIamPolicy": policies.SET,
        f"{SECRET_MANAGER}/TestIamPermissions": policies.TEST,
        f"{LOCATIONS}/ListLocations": Method(list_locations, "secretmanager.locations.list", _name_of),
        f"{LOCATIONS}/GetLocation": Method(get_location, "secretmanager.locations.get", _name_of),
    },
    timers={"expire": _expire, "destroy": _destroy_scheduled, "rotate": _rotate},
)
