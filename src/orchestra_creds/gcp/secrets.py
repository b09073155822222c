"""SecretStore over Secret Manager: the official client, checksums both ways, and our words for what comes back."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import google_crc32c
from google.cloud import secretmanager_v1 as sm
from google.protobuf import duration_pb2, field_mask_pb2

from orchestra_creds.core.cloud_types import SecretResource, Version, VersionMaterial, VersionState
from orchestra_creds.core.google import LARGEST_VALUE
from orchestra_creds.core.material import Material
from orchestra_creds.errors import ChecksumError, ConfigError, NotFoundError, UnavailableError
from orchestra_creds.gcp.errors import KnownRefusal, translate_errors
from orchestra_creds.gcp.session import ApiSession

_DAMAGED = "its checksum is wrong, the bytes were damaged on the way"
_CHECKSUM = KnownRefusal(
    "INVALID_ARGUMENT",
    re.compile(r"(?i)checksum|crc32c"),
    ChecksumError,
    hint="try again",
    message=_DAMAGED,
    field="data_crc32c",
)
"""The refusal of an argument that is not wrong itself, but was damaged on its way."""

STATES = {
    sm.SecretVersion.State.ENABLED: VersionState.ENABLED,
    sm.SecretVersion.State.DISABLED: VersionState.DISABLED,
    sm.SecretVersion.State.DESTROYED: VersionState.DESTROYED,
}


class SecretManagerStore:
    """Secrets of one project, global or of one location."""

    def __init__(self, session: ApiSession, *, location: str = "", page_size: int = 500) -> None:
        self._session = session
        self._page_size = page_size
        self._location = location
        self._client = session.secret_manager(location)
        self._parent = f"projects/{session.project}" + (f"/locations/{location}" if location else "")

    def get_secret(self, name: str) -> SecretResource:
        """See SecretStore."""
        request = sm.GetSecretRequest(name=self._name(name))
        return self._secret(
            self._session.call(f"read secret {name}", self._client.get_secret, request, repeatable=True)
        )

    def find_secret(self, name: str) -> SecretResource | None:
        """See SecretStore."""
        try:
            return self.get_secret(name)
        except NotFoundError:
            return None

    def list_secrets(self, *, query: str = "") -> Iterator[SecretResource]:
        """See SecretStore."""
        request = sm.ListSecretsRequest(parent=self._parent, filter=query, page_size=self._page_size)
        with translate_errors("list secrets"):
            for secret in self._session.call("list secrets", self._client.list_secrets, request, repeatable=True):
                yield self._secret(secret)

    def create_secret(
        self,
        name: str,
        *,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        destroy_ttl: timedelta | None = None,
        replicas: Sequence[str] = (),
        kms_keys: Sequence[str] = (),
    ) -> SecretResource:
        """See SecretStore."""
        secret = sm.Secret(labels=labels or {}, annotations=annotations or {})
        if destroy_ttl is not None:
            secret.version_destroy_ttl = _duration(destroy_ttl)
        if not self._location:
            secret.replication = _replication(replicas, kms_keys)
        elif kms_keys:
            secret.customer_managed_encryption = sm.CustomerManagedEncryption(kms_key_name=kms_keys[0])
        request = sm.CreateSecretRequest(parent=self._parent, secret_id=name, secret=secret)
        return self._secret(
            self._session.call(f"create secret {name}", self._client.create_secret, request, repeatable=False)
        )

    def update_secret(
        self,
        secret: SecretResource,
        *,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        aliases: Mapping[str, int] | None = None,
        destroy_ttl: timedelta | None = None,
    ) -> SecretResource:
        """See SecretStore."""
        wanted = sm.Secret(name=self._name(secret.name), etag=secret.etag)
        mask = []
        for field, value in (("labels", labels), ("annotations", annotations), ("version_aliases", aliases)):
            if value is not None:
                setattr(wanted, field, dict(value))
                mask.append(field)
        if destroy_ttl is not None:
            wanted.version_destroy_ttl = _duration(destroy_ttl)
            mask.append("version_destroy_ttl")
        request = sm.UpdateSecretRequest(secret=wanted, update_mask=field_mask_pb2.FieldMask(paths=mask))
        doing = f"update secret {secret.name}"
        return self._secret(self._session.call(doing, self._client.update_secret, request, repeatable=False))

    def delete_secret(self, name: str, *, etag: str = "") -> None:
        """See SecretStore."""
        request = sm.DeleteSecretRequest(name=self._name(name), etag=etag)
        self._session.call(f"delete secret {name}", self._client.delete_secret, request, repeatable=False)

    def add_version(self, name: str, material: Material) -> Version:
        """See SecretStore."""
        data = material.reveal()
        if len(data) > LARGEST_VALUE:
            hint = "store a reference to it, or split it"
            raise ConfigError(
                f"cannot add a version to {name}: {len(data)} bytes, the limit is {LARGEST_VALUE}", hint=hint
            )
        payload = sm.SecretPayload(data=data, data_crc32c=google_crc32c.value(data))
        request = sm.AddSecretVersionRequest(parent=self._name(name), payload=payload)
        doing = f"add a version to {name}"
        reply = self._session.call(
            doing, self._client.add_secret_version, request, repeatable=False, refusals=[_CHECKSUM]
        )
        if not reply.client_specified_payload_checksum:
            raise UnavailableError(
                f"cannot {doing}: the service did not confirm the checksum",
                hint="check the newest version before using it",
            )
        return _version(reply)

    def get_version(self, name: str, version: int | str) -> Version:
        """See SecretStore."""
        request = sm.GetSecretVersionRequest(name=self._version_name(name, version))
        doing = f"read version {version} of {name}"
        return _version(self._session.call(doing, self._client.get_secret_version, request, repeatable=True))

    def list_versions(self, name: str) -> Iterator[Version]:
        """See SecretStore."""
        doing = f"list the versions of {name}"
        request = sm.ListSecretVersionsRequest(parent=self._name(name), page_size=self._page_size)
        with translate_errors(doing):
            for version in self._session.call(doing, self._client.list_secret_versions, request, repeatable=True):
                yield _version(version)

    def access(self, name: str, version: int | str, *, deadline: float | None = None) -> VersionMaterial:
        """See SecretStore."""
        request = sm.AccessSecretVersionRequest(name=self._version_name(name, version))
        doing = f"access version {version} of {name}"
        method = self._client.access_secret_version
        reply = self._session.call(doing, method, request, repeatable=True, deadline=deadline)
        if google_crc32c.value(reply.payload.data) != reply.payload.data_crc32c:
            raise ChecksumError(f"cannot {doing}: {_DAMAGED}", hint="try again")
        return VersionMaterial(secret=name, number=_number(reply.name), material=Material(reply.payload.data))

    def enable_version(self, name: str, number: int, *, etag: str = "") -> Version:
        """See SecretStore."""
        request = sm.EnableSecretVersionRequest(name=self._version_name(name, number), etag=etag)
        doing = f"enable version {number} of {name}"
        return _version(self._session.call(doing, self._client.enable_secret_version, request, repeatable=not etag))

    def disable_version(self, name: str, number: int, *, etag: str = "") -> Version:
        """See SecretStore."""
        request = sm.DisableSecretVersionRequest(name=self._version_name(name, number), etag=etag)
        doing = f"disable version {number} of {name}"
        return _version(self._session.call(doing, self._client.disable_secret_version, request, repeatable=not etag))

    def destroy_version(self, name: str, number: int, *, etag: str = "") -> Version:
        """See SecretStore."""
        request = sm.DestroySecretVersionRequest(name=self._version_name(name, number), etag=etag)
        doing = f"destroy version {number} of {name}"
        return _version(self._session.call(doing, self._client.destroy_secret_version, request, repeatable=False))

    def _name(self, name: str) -> str:
        return f"{self._parent}/secrets/{name}"

    def _version_name(self, name: str, version: int | str) -> str:
        return f"{self._name(name)}/versions/{version}"

    def _secret(self, secret: sm.Secret) -> SecretResource:
        replicas = secret.replication.user_managed.replicas
        encrypted = replicas or [secret if self._location else secret.replication.automatic]
        kms_keys = tuple(one.customer_managed_encryption.kms_key_name for one in encrypted)
        return SecretResource(
            name=secret.name.rpartition("/")[2],
            etag=secret.etag,
            created=_optional_time(secret.create_time) or datetime.fromtimestamp(0, UTC),
            labels=dict(secret.labels),
            annotations=dict(secret.annotations),
            aliases=dict(secret.version_aliases),
            destroy_ttl=secret.version_destroy_ttl or None,
            expires=_optional_time(secret.expire_time),
            replicas=tuple(replica.location for replica in replicas),
            kms_keys=kms_keys if any(kms_keys) else (),
            location=self._location,
        )


def _version(version: sm.SecretVersion) -> Version:
    return Version(
        secret=version.name.split("/")[-3],
        number=_number(version.name),
        state=STATES[version.state],
        created=_optional_time(version.create_time) or datetime.fromtimestamp(0, UTC),
        etag=version.etag,
        destroyed=_optional_time(version.destroy_time),
        destroy_at=_optional_time(version.scheduled_destroy_time),
    )


def _number(name: str) -> int:
    return int(name.rpartition("/")[2])


def _optional_time(stamp: datetime | None) -> datetime | None:
    return datetime.fromtimestamp(stamp.timestamp(), UTC) if stamp else None


def _duration(length: timedelta) -> duration_pb2.Duration:
    return duration_pb2.Duration(seconds=int(length.total_seconds()))


def _replication(replicas: Sequence[str], kms_keys: Sequence[str]) -> sm.Replication:
    encryption = [_encryption(key) for key in kms_keys] or [None] * (len(replicas) or 1)
    if not replicas:
        return sm.Replication(automatic=sm.Replication.Automatic(customer_managed_encryption=encryption[0]))
    managed = [
        sm.Replication.UserManaged.Replica(location=location, customer_managed_encryption=one)
        for location, one in zip(replicas, encryption, strict=True)
    ]
    return sm.Replication(user_managed=sm.Replication.UserManaged(replicas=managed))


def _encryption(kms_key: str) -> sm.CustomerManagedEncryption | None:
    return sm.CustomerManagedEncryption(kms_key_name=kms_key) if kms_key else None
