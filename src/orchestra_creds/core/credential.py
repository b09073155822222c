"""What operators declare: a credential, its kind, its policy, and where copies of it go. Frozen data, no material."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum

from orchestra_creds.core.policy import RotationPolicy

DEFAULT_POLICY = RotationPolicy()


class CredentialKind(StrEnum):
    """What a credential is, and so who makes its successor."""

    SERVICE_ACCOUNT_KEY = "service-account-key"
    GENERATED = "generated"
    COMMAND = "command"
    API_KEY = "api-key"
    POSTGRES = "postgres"
    MANUAL = "manual"


class Strategy(StrEnum):
    """How a service-account key comes to be: its public half uploaded, or made by Google. AUTO uploads where that is allowed."""

    AUTO = "auto"
    UPLOAD = "upload"
    CREATE = "create"


@dataclass(frozen=True, slots=True)
class Copy:
    """One destination beyond the secret. `options` are those of its kind: `path`, `argv`, `repository` and so on."""

    kind: str
    name: str
    options: Mapping[str, str | int | tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hooks:
    """Programs of the operator, each an argument list; empty means none.

    pre     before the first change; a failure vetoes the rotation     fail   after a rotation that failed
    deploy  after publication, repeated until it succeeds; gets names and numbers in its environment, never material
    """

    pre: tuple[str, ...] = ()
    deploy: tuple[str, ...] = ()
    fail: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GenerateOptions:
    """How a `generated` credential looks: random bytes in an encoding, or `length` characters of an alphabet."""

    bytes: int = 32
    encoding: str = "urlsafe-base64"
    length: int = 0
    alphabet: str = ""


@dataclass(frozen=True, slots=True)
class Postgres:
    """Where a `postgres` credential lives.

    users   one role, or two that take turns                 admin_secret  holds the connection string of a role that may alter them
    form    what readers get: `url` or `password`
    """

    host: str = "localhost"
    port: int = 5432
    database: str = "postgres"
    users: tuple[str, ...] = ()
    admin_secret: str = ""
    sslmode: str = "verify-full"
    form: str = "url"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The API key whose restrictions the first successor takes over: its id or resource name."""

    like: str = ""
    display_name: str = ""


@dataclass(frozen=True, slots=True)
class IgnoredKey:
    """A key of the account that others made, accepted through a day; why, in the operator's words."""

    id: str
    until: date
    reason: str


@dataclass(frozen=True, slots=True)
class Credential:
    """One declared credential. `secret` is the name of its secret; `source` tells where it was declared: `file`, `labels` or `none`."""

    name: str
    kind: CredentialKind
    secret: str
    policy: RotationPolicy = DEFAULT_POLICY
    account: str = ""
    strategy: Strategy = Strategy.AUTO
    ignored: tuple[IgnoredKey, ...] = ()
    copies: tuple[Copy, ...] = ()
    hooks: Hooks = Hooks()
    probe: tuple[str, ...] = ()
    """A program that proves a successor, material on its standard input; exit 0 means that it works."""
    command: tuple[str, ...] = ()
    generated: GenerateOptions = GenerateOptions()
    postgres: Postgres = Postgres()
    api_key: ApiKey = ApiKey()
    timeout: timedelta = timedelta(seconds=60)
    """How long one of the operator's programs may take."""
    source: str = "file"
