"""What a project holds, in one shape for `setup`: a kind, a name, and fields that are JSON; and the port that reads and changes it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from orchestra_creds.core import google


class ResourceKind(StrEnum):
    """Kinds of resources, in the order in which they are brought about."""

    SERVICE = "service"
    ROLE = "role"
    ACCOUNT = "service account"
    SECRET = "secret"  # noqa: S105  a word
    POOL = "workload identity pool"
    PROVIDER = "workload identity provider"
    BUCKET = "bucket"
    METRIC = "log metric"
    CHANNEL = "notification channel"
    ALERT = "alert policy"
    JOB = "Cloud Run job"
    SCHEDULE = "schedule"


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """Which resource: a service's name, a role's id, an account's mail, a secret's or pool's name, `POOL/PROVIDER`.

    Jobs and schedules are `LOCATION/NAME`. Channels and alerts have ids that only the service knows: their display name stands here.
    """

    kind: ResourceKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource as it is or shall be. `deleted` ones can be brought back; `etag` guards a change, where the API has one."""

    ref: Ref
    fields: Mapping[str, object] = field(default_factory=dict)
    etag: str = ""
    deleted: bool = False


class ResourceStore(Protocol):
    """One kind of a project's resources; errors as in SecretStore."""

    def every(self) -> Iterator[Resource]:
        """All of them, deleted ones that can come back included: one list call a page."""
        ...

    def find(self, ref: Ref) -> Resource | None:
        """One, read anew, or None."""
        ...

    def create(self, wanted: Resource) -> None:
        """Make it. PreconditionError when it is there already."""
        ...

    def update(self, wanted: Resource, fields: Sequence[str], etag: str) -> None:
        """Change these fields, if it still has that etag (where the API has one)."""
        ...

    def undelete(self, ref: Ref) -> None:
        """Bring a deleted one back, as it was."""
        ...


class RemovableStore(ResourceStore, Protocol):
    """A kind whose resources may be taken away again: what runs something, never what holds something."""

    def delete(self, ref: Ref, etag: str) -> None:
        """Delete it for good, if it still has that etag (where the API has one). NotFoundError when it is not there."""
        ...


class ProjectStore(Protocol):
    """What is one for the whole project."""

    def number(self) -> str:
        """Its number; names of federated principals hold it."""
        ...

    def audit(self) -> Mapping[str, frozenset[str]]:
        """Service -> kinds of calls that are logged beyond the changes that always are: ADMIN_READ, DATA_READ, DATA_WRITE."""
        ...

    def set_audit(self, wanted: Mapping[str, frozenset[str]]) -> None:
        """Replace that, and nothing else of the project's policy."""
        ...


NUMBER = "{number}"
"""Stands for the project's number in the members of grants, until it is known."""


PROJECT_WIDE = frozenset(
    {
        google.SECRET_ADMIN,
        google.SECRET_ACCESSOR,
        google.ACCOUNT_KEY_ADMIN,
        google.ACCOUNT_TOKEN_CREATOR,
        "roles/owner",
        "roles/editor",
    }
)
"""Roles that no account is to have in a project: each reads every secret, or makes a key or a token for every account."""


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """A member has a role on something. `holder` is the name of what has the policy: `projects/P`, `projects/P/secrets/S` and so on."""

    holder: str
    role: str
    member: str
    condition: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class DesiredState:
    """What a project shall hold. Nothing in it says that something shall go, but for `exact`.

    exact    holders whose accessors are those of `grants` and nobody else             keyless  accounts that shall have no user key
    audit    service -> kinds of calls that shall be logged, beyond what is logged already
    waiting  secrets that only a person can give a value
    guarded  what of it belongs to an environment whose name must be typed (str(Ref), or a holder) -> that environment
    """

    project: str
    number: str = ""
    resources: tuple[Resource, ...] = ()
    grants: tuple[Grant, ...] = ()
    exact: frozenset[str] = frozenset()
    audit: Mapping[str, frozenset[str]] = field(default_factory=dict)
    keyless: frozenset[str] = frozenset()
    waiting: frozenset[str] = frozenset()
    guarded: Mapping[str, str] = field(default_factory=dict)
