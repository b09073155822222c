"""The cloud's things in our words: secrets, their versions, service-account keys, policies and tokens.

Frozen data without behaviour of its own. Times are aware and in UTC. No value of a secret is in here but in `VersionMaterial`,
`NewKey` and `Token`, where it is a `Material`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from orchestra_creds.core.material import Material


class VersionState(StrEnum):
    """The states of a secret's version (Secret Manager API, SecretVersion.State)."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class SecretResource:
    """A secret without its material. `aliases` name version numbers; `location` is empty for a global secret.

    `replicas` are the locations that its owner chose. `kms_keys` are the Cloud KMS keys that encrypt it: one for each replica (empty
    for Google's own), or one where there are no replicas; none if Google's own encrypts all of it.
    """

    name: str
    etag: str
    created: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    destroy_ttl: timedelta | None = None
    expires: datetime | None = None
    replicas: tuple[str, ...] = ()
    kms_keys: tuple[str, ...] = ()
    location: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a secret. `destroy_at` is set while a delayed destruction is pending."""

    secret: str
    number: int
    state: VersionState
    created: datetime
    etag: str
    destroyed: datetime | None = None
    destroy_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class VersionMaterial:
    """The material of one version, whose checksum was verified."""

    secret: str
    number: int
    material: Material


class KeyOrigin(StrEnum):
    """Who made a key. SYSTEM keys are Google's own and are never touched."""

    USER = "user"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Key:
    """A service-account key resource. `disable_reason` and `status` are Google's words, for people to read.

    disabled_for_leak  Google disabled it because it leaked        exposed  Google knows that it leaked, whether or not it is disabled
    """

    id: str
    account: str
    origin: KeyOrigin
    created: datetime
    expires: datetime | None
    disabled: bool
    uploaded: bool = False
    disable_reason: str = ""
    status: tuple[str, ...] = ()
    disabled_for_leak: bool = False
    exposed: bool = False
    last_used: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key at the one moment when its private half is there: the JSON file, as Google hands it out."""

    key: Key
    material: Material


@dataclass(frozen=True, slots=True)
class ApiKeyFacts:
    """An API key without its string. `restrictions` are Google's JSON, to be handed on as they are."""

    id: str
    display_name: str
    created: datetime
    restrictions: Mapping[str, object] = field(default_factory=dict)
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Binding:
    """A role and who holds it. `condition` is a CEL expression; empty means always."""

    role: str
    members: frozenset[str]
    condition: str = ""
    condition_title: str = ""
    condition_description: str = ""


@dataclass(frozen=True, slots=True)
class IamPolicy:
    """Who may do what on one resource; `etag` guards a write against a change in between."""

    bindings: tuple[Binding, ...]
    etag: str


@dataclass(frozen=True, slots=True)
class Token:
    """A short-lived access token."""

    material: Material
    expires: datetime
