"""KeyStore over IAM: keys are read over REST, which alone tells why a key is disabled, and changed over gRPC."""

import base64
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from google.cloud import iam_admin_v1 as iam

from orchestra_creds.core.accounts import account_project
from orchestra_creds.core.cloud_types import Key, KeyOrigin, NewKey
from orchestra_creds.core.material import Material
from orchestra_creds.errors import ConfigError, NotFoundError
from orchestra_creds.gcp.key_usage import AnalyzerUsage
from orchestra_creds.gcp.session import ApiSession

NEVER = 9999
"""Year of validBeforeTime for a key without an end (IAM API)."""
LEAK_REASONS = frozenset(
    {"SERVICE_ACCOUNT_KEY_DISABLE_REASON_EXPOSED", "SERVICE_ACCOUNT_KEY_DISABLE_REASON_COMPROMISE_DETECTED"}
)
"""Values of disableReason with which Google disables a key that leaked (IAM API, ServiceAccountKeyDisableReason)."""
LEAK_STATUSES = frozenset(
    {
        "SERVICE_ACCOUNT_KEY_EXTENDED_STATUS_KEY_EXPOSED",
        "SERVICE_ACCOUNT_KEY_EXTENDED_STATUS_KEY_COMPROMISE_DETECTED",
    }
)
"""Keys of extendedStatus that say that a key leaked (IAM API, ServiceAccountKeyExtendedStatusKey)."""
_ACCOUNT = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9._-]+")
_KEY_ID = re.compile(r"[A-Za-z0-9]+")


class IamKeyStore:
    """Service-account keys of one project."""

    def __init__(self, session: ApiSession) -> None:
        self._session = session

    def list_keys(self, account: str) -> Iterator[Key]:
        """See KeyStore."""
        path = f"v1/{self._account(account)}/keys"
        reply = self._session.rest(f"list the keys of {account}", "GET", "iam", path, repeatable=True)
        keys = [_key(item, account) for item in reply.get("keys", [])]
        yield from sorted(keys, key=lambda key: (key.created, key.id))

    def get_key(self, account: str, key_id: str) -> Key:
        """See KeyStore."""
        path = f"v1/{self._key(account, key_id)}"
        return _key(self._session.rest(f"read key {key_id}", "GET", "iam", path, repeatable=True), account)

    def account_id(self, account: str) -> str:
        """See KeyStore."""
        return str(self._read_account(account).get("uniqueId", ""))

    def is_account_disabled(self, account: str) -> bool:
        """See KeyStore."""
        return bool(self._read_account(account).get("disabled", False))

    def _read_account(self, account: str) -> dict[str, Any]:
        path = f"v1/{self._account(account)}"
        return self._session.rest(f"read {account}", "GET", "iam", path, repeatable=True)

    def find_key(self, account: str, key_id: str) -> Key | None:
        """See KeyStore."""
        try:
            return self.get_key(account, key_id)
        except NotFoundError:
            return None

    def public_key(self, account: str, key_id: str) -> bytes:
        """See KeyStore."""
        path, query = f"v1/{self._key(account, key_id)}", {"publicKeyType": "TYPE_RAW_PUBLIC_KEY"}
        doing = f"read the public half of key {key_id}"
        reply = self._session.rest(doing, "GET", "iam", path, query=query, repeatable=True)
        return base64.b64decode(str(reply.get("publicKeyData", "")))

    def create_key(self, account: str) -> NewKey:
        """See KeyStore."""
        request = iam.CreateServiceAccountKeyRequest(name=self._account(account))
        doing = f"create a key for {account}"
        reply = self._session.call(doing, self._session.iam.create_service_account_key, request, repeatable=False)
        return NewKey(key=_key_from_grpc(reply, account), material=Material(reply.private_key_data))

    def upload_key(self, account: str, certificate: bytes) -> Key:
        """See KeyStore."""
        request = iam.UploadServiceAccountKeyRequest(name=self._account(account), public_key_data=certificate)
        doing = f"upload a key for {account}"
        return _key_from_grpc(
            self._session.call(doing, self._session.iam.upload_service_account_key, request, repeatable=False), account
        )

    def disable_key(self, account: str, key_id: str) -> None:
        """See KeyStore."""
        request = iam.DisableServiceAccountKeyRequest(name=self._key(account, key_id))
        self._session.call(
            f"disable key {key_id}", self._session.iam.disable_service_account_key, request, repeatable=True
        )

    def enable_key(self, account: str, key_id: str) -> None:
        """See KeyStore."""
        request = iam.EnableServiceAccountKeyRequest(name=self._key(account, key_id))
        self._session.call(
            f"enable key {key_id}", self._session.iam.enable_service_account_key, request, repeatable=True
        )

    def delete_key(self, account: str, key_id: str) -> None:
        """See KeyStore."""
        request = iam.DeleteServiceAccountKeyRequest(name=self._key(account, key_id))
        self._session.call(
            f"delete key {key_id}", self._session.iam.delete_service_account_key, request, repeatable=False
        )

    def last_uses(self, account: str) -> Mapping[str, datetime]:
        """See KeyStore."""
        return AnalyzerUsage(self._session).last_uses(account_project(account, self._session.project))

    def _account(self, account: str) -> str:
        if not _ACCOUNT.fullmatch(account):
            raise ConfigError(
                f"{account!r} is not a service account",
                hint="name it by its mail address: NAME@PROJECT.iam.gserviceaccount.com",
            )
        return f"projects/{account_project(account, self._session.project)}/serviceAccounts/{account}"

    def _key(self, account: str, key_id: str) -> str:
        if not _KEY_ID.fullmatch(key_id):
            raise ConfigError(f"{key_id!r} is not a key's id", hint=f"see: orchestra-creds key list {account}")
        return f"{self._account(account)}/keys/{key_id}"


def _key(item: Mapping[str, Any], account: str) -> Key:
    """The REST resource; proto defaults are absent there."""
    before = _time(item["validBeforeTime"]) if item.get("validBeforeTime") else None
    reason = str(item.get("disableReason", ""))
    status = tuple(str(entry.get("key", "")) for entry in item.get("extendedStatus", []))
    return Key(
        id=str(item["name"]).rpartition("/")[2],
        account=account,
        origin=KeyOrigin.SYSTEM if item.get("keyType") == "SYSTEM_MANAGED" else KeyOrigin.USER,
        created=_time(item["validAfterTime"]),
        expires=None if before is None or before.year == NEVER else before,
        disabled=bool(item.get("disabled", False)),
        uploaded=item.get("keyOrigin") == "USER_PROVIDED",
        disable_reason=reason,
        status=status,
        disabled_for_leak=reason in LEAK_REASONS,
        exposed=reason in LEAK_REASONS or not LEAK_STATUSES.isdisjoint(status),
    )


def _key_from_grpc(key: iam.ServiceAccountKey, account: str) -> Key:
    """The gRPC resource, as create and upload answer it."""
    before = datetime.fromtimestamp(key.valid_before_time.timestamp(), UTC) if key.valid_before_time else None
    return Key(
        id=key.name.rpartition("/")[2],
        account=account,
        origin=KeyOrigin.SYSTEM
        if key.key_type == iam.ListServiceAccountKeysRequest.KeyType.SYSTEM_MANAGED
        else KeyOrigin.USER,
        created=datetime.fromtimestamp(key.valid_after_time.timestamp(), UTC),
        expires=None if before is None or before.year == NEVER else before,
        disabled=key.disabled,
        uploaded=key.key_origin == iam.ServiceAccountKeyOrigin.USER_PROVIDED,
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
