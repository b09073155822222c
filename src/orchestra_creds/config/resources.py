"""What `setup` brings about, as it stands in the file: accounts, roles, secrets, federation, audit. No value of a secret, ever."""

import msgspec

from orchestra_creds.config.table import Table


class SecretDefaults(Table, frozen=True):
    """`[defaults.secret]`: for secrets that say nothing else. `replication` lists locations; empty means automatic."""

    replication: tuple[str, ...] = ()
    destroy_ttl: str = ""


class Defaults(Table, frozen=True):
    """`[defaults]`."""

    secret: SecretDefaults = SecretDefaults()


class RoleTable(Table, frozen=True):
    """`[custom_roles.NAME]`: a role of the project."""

    permissions: tuple[str, ...]
    title: str = ""
    description: str = ""


class AccountTable(Table, frozen=True):
    """`[service_accounts.NAME]`. `keys`: `none` or `forbidden` (any user key is drift), or `rotated` (with `rotation`)."""

    display_name: str = ""
    description: str = ""
    project_roles: tuple[str, ...] = ()
    custom_roles: tuple[str, ...] = ()
    act_as: tuple[str, ...] = ()
    keys: str = "none"
    rotation: str = ""


class RotationTable(Table, frozen=True):
    """`[rotation.NAME]`: a policy that secrets and accounts may name; it becomes labels, which `rotate` reads."""

    kind: str
    every: str = ""
    grace: str = ""
    soak: str = ""
    settle: str = ""
    require_unused: str | bool = ""


class ConsumerTable(Table, frozen=True):
    """A consumer with conditions: only in some environments, or until a date."""

    member: str
    only: tuple[str, ...] = ()
    expires: str = ""


class SecretTable(Table, frozen=True):
    """`[secrets.NAME]`: one secret in each of its environments. `accessors`: `additive`, or `exact` (others are removed).

    `env_var` is its name for `run` and `secret export`; by default the secret's name in capitals.
    """

    environments: tuple[str, ...] = ()
    rotation: str = ""
    consumers: tuple[str | ConsumerTable, ...] = ()
    env_var: str = ""
    accessors: str = "additive"
    replication: tuple[str, ...] | None = None
    destroy_ttl: str = ""


class RepositoryTable(Table, frozen=True):
    """`[[github.repositories]]`: names change hands, numbers do not; only the number counts."""

    name: str
    id: int


class FederationTable(Table, frozen=True):
    """`[[github.federation]]`: which runs of GitHub Actions may act as which accounts."""

    env: str
    pool: str
    repositories: tuple[str, ...]
    impersonates: tuple[str, ...]
    provider: str = "github-provider"
    refs: tuple[str, ...] = ("refs/heads/main",)
    events: tuple[str, ...] = ("push", "workflow_dispatch")
    github_environment: str = ""


class GithubTable(Table, frozen=True):
    """`[github]`."""

    owner: str
    owner_id: int
    repositories: tuple[RepositoryTable, ...] = ()
    federation: tuple[FederationTable, ...] = ()


class AuditTable(Table, frozen=True):
    """`[audit]`: which reads are logged."""

    data_access: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
