"""What services ask of the outside world, in the words of `core`. One contract suite per port runs on every adapter.

`Progress` stands in `progress.py`: a scan loads that one and none of these.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from orchestra_creds.core.cloud_types import (
    ApiKeyFacts,
    IamPolicy,
    Key,
    NewKey,
    SecretResource,
    Token,
    Version,
    VersionMaterial,
)
from orchestra_creds.core.key_usage import ProjectUsage
from orchestra_creds.core.material import Material


class SecretStore(Protocol):
    """Secrets and their versions in one project.

    `get_` raises NotFoundError, `find_` answers None, `list_` yields. Every method may raise AuthError (naming the missing
    permission), PreconditionError (wrong state, stale etag), ConfigError (an argument the service refuses) and
    UnavailableError (no answer in time: the call may or may not have happened; look before repeating it).
    """

    def get_secret(self, name: str) -> SecretResource:
        """The secret called `name`."""
        ...

    def find_secret(self, name: str) -> SecretResource | None:
        """The secret called `name`, or None."""
        ...

    def list_secrets(self, *, query: str = "") -> Iterator[SecretResource]:
        """All secrets, or those that match a filter in the service's syntax."""
        ...

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
        """A new secret without a version; `replicas` are locations, none means that the service chooses; `kms_keys` as in SecretResource."""
        ...

    def update_secret(
        self,
        secret: SecretResource,
        *,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        aliases: Mapping[str, int] | None = None,
        destroy_ttl: timedelta | None = None,
    ) -> SecretResource:
        """Replace the given maps if the secret still has the etag of `secret`; PreconditionError when it has not."""
        ...

    def delete_secret(self, name: str, *, etag: str = "") -> None:
        """Remove the secret and all its versions, for ever."""
        ...

    def add_version(self, name: str, material: Material) -> Version:
        """Store the material as the newest version; its checksum is verified both ways. Not idempotent."""
        ...

    def get_version(self, name: str, version: int | str) -> Version:
        """A version by number, by alias, or `latest`: the newest created, whatever its state."""
        ...

    def list_versions(self, name: str) -> Iterator[Version]:
        """All versions, newest first."""
        ...

    def access(self, name: str, version: int | str, *, deadline: float | None = None) -> VersionMaterial:
        """The material of a version by number, alias or `latest`; its checksum is verified.

        `deadline` is the most seconds that the call may take, if that is less than the store's own.
        """
        ...

    def enable_version(self, name: str, number: int, *, etag: str = "") -> Version:
        """Make it readable again; also cancels a pending destruction."""
        ...

    def disable_version(self, name: str, number: int, *, etag: str = "") -> Version:
        """Make it unreadable, reversibly."""
        ...

    def destroy_version(self, name: str, number: int, *, etag: str = "") -> Version:
        """Destroy its material, or schedule that where the secret has a destroy TTL: look at the state that comes back."""
        ...


class KeyStore(Protocol):
    """Keys of service accounts. An account is named by its mail address; errors as in SecretStore."""

    def list_keys(self, account: str) -> Iterator[Key]:
        """All keys, Google's own included, oldest first."""
        ...

    def get_key(self, account: str, key_id: str) -> Key:
        """One key with its disable reason and extended status."""
        ...

    def account_id(self, account: str) -> str:
        """The unique id of the account: another account of the same mail address, made later, has another one."""
        ...

    def is_account_disabled(self, account: str) -> bool:
        """Whether the account is disabled: then none of its keys authenticates, whatever the keys' own state."""
        ...

    def find_key(self, account: str, key_id: str) -> Key | None:
        """One key, or None when it does not exist; a refusal is never taken for absence."""
        ...

    def public_key(self, account: str, key_id: str) -> bytes:
        """Its public half in PEM (SubjectPublicKeyInfo)."""
        ...

    def create_key(self, account: str) -> NewKey:
        """A new key pair made by Google. Not idempotent, and the private half is shown this once."""
        ...

    def upload_key(self, account: str, certificate: bytes) -> Key:
        """Make the public key of a PEM certificate (X.509 v3, RSA) valid for the account."""
        ...

    def disable_key(self, account: str, key_id: str) -> None:
        """Make it unable to authenticate, reversibly."""
        ...

    def enable_key(self, account: str, key_id: str) -> None:
        """Make it able to authenticate again."""
        ...

    def delete_key(self, account: str, key_id: str) -> None:
        """Remove it for ever."""
        ...

    def last_uses(self, account: str) -> Mapping[str, datetime]:
        """Return the last authentication that Google's Policy Analyzer knows of for each used key of the account's project, by key id.

        To the day (UTC).
        """
        ...


class UsageSource(Protocol):
    """A record that Google keeps of when keys of service accounts authenticated; errors as in SecretStore."""

    def read_usage(self, project: str, since: datetime, now: datetime) -> ProjectUsage:
        """What it knows of all keys of a project from `since` to `now`; a record that keeps only the last use may answer for longer.

        An answer that is not complete is an error.
        """
        ...


class PolicyStore(Protocol):
    """IAM policies of resources by name.

    That is `projects/P`, `projects/P/secrets/S`, `projects/P/serviceAccounts/MAIL`, `projects/P/locations/L/jobs/J` (Cloud Run) or
    `projects/_/buckets/B`.
    """

    def get_policy(self, resource: str) -> IamPolicy:
        """The policy with its etag."""
        ...

    def set_policy(self, resource: str, policy: IamPolicy) -> IamPolicy:
        """Replace the bindings if the policy still has that etag; PreconditionError when it has not. What is audited stays."""
        ...

    def test_permissions(self, resource: str, permissions: Sequence[str]) -> frozenset[str]:
        """Those of the permissions that the caller has."""
        ...


class TokenIssuer(Protocol):
    """Proves that a key authenticates, and tells who the operator is."""

    def mint(self, key_file: Material) -> Token:
        """An access token for a service-account key file, asked of the token endpoint: the proof that the key works.

        Raises CredentialRefusedError when the key itself is refused, another AuthError when the request is, ConfigError when
        the file is no key file or names a foreign endpoint, UnavailableError when there was no answer.
        """
        ...

    def whoami(self) -> str:
        """The mail address of the operator's own identity; `anonymous` when there is none to tell."""
        ...


class ProjectInspector(Protocol):
    """Facts about the project that decide whether our verbs can work there; errors as in SecretStore.

    Organization policies are those of `project`, or of the project of the run if it is empty: an account may belong to another one.
    """

    def is_api_enabled(self, service: str) -> bool:
        """Whether an API such as `secretmanager.googleapis.com` is switched on."""
        ...

    def is_constraint_enforced(self, constraint: str, *, project: str = "") -> bool:
        """Whether an organization policy such as `iam.disableServiceAccountKeyCreation` is in force."""
        ...

    def allowed_values(self, constraint: str, *, project: str = "") -> Sequence[str]:
        """The values that an organization policy such as `iam.serviceAccountKeyExpiryHours` allows; empty if it is not set."""
        ...

    def server_time(self) -> datetime:
        """The service's time, to the second."""
        ...


class ApiKeyStore(Protocol):
    """API keys of one project (API Keys API v2), named by id; errors as in SecretStore."""

    def find(self, key_id: str) -> ApiKeyFacts | None:
        """The key, or None where there is none; one that is deleted and could come back is shown as such."""
        ...

    def create(self, key_id: str, *, display_name: str, restrictions: Mapping[str, object]) -> None:
        """Make a key with this id and these restrictions. Not idempotent: look first."""
        ...

    def material(self, key_id: str) -> Material:
        """The key string; it can be read as often as one likes."""
        ...

    def owner(self, material: Material) -> str:
        """The id of the key that has this string; NotFoundError when there is none."""
        ...

    def delete(self, key_id: str) -> None:
        """Make it unusable; it can be brought back for 30 days."""
        ...


class Destination(Protocol):
    """A copy of a credential beyond its secret: a file, a program, a repository's secret."""

    name: str

    def check(self) -> None:
        """Refuse, before anything is changed, what cannot be written to. Reads only."""
        ...

    def put(self, material: Material, *, identifier: str, version: int) -> None:
        """Let it hold the material of that credential and version; putting the same again changes nothing for its readers.

        Raises:
            CredsError: it does not hold it, or nobody knows.
        """
        ...


@runtime_checkable
class ReadableDestination(Protocol):
    """A destination whose content can be compared."""

    name: str

    def holds(self, material: Material) -> bool:
        """Whether its readers get exactly this; False also if it cannot be read."""
        ...


@runtime_checkable
class VersionedDestination(Protocol):
    """A destination that keeps what it held before, as versions of a secret."""

    name: str

    def put_version(self, material: Material, known: Mapping[str, int]) -> tuple[str, int]:
        """Let the newest version hold the material, and return the secret, as the state names it, and the version's number.

        `known` has the highest version of each secret that is known to exist. A repeated call adds no second version.
        """
        ...
