"""The whole of orchestra-creds.toml, as typed tables."""

from typing import Literal

import msgspec

from orchestra_creds.config.credentials import CredentialTable
from orchestra_creds.config.operations import AlertsTable, ScheduleTable, StateTable
from orchestra_creds.config.resources import (
    AccountTable,
    AuditTable,
    Defaults,
    GithubTable,
    RoleTable,
    RotationTable,
    SecretTable,
)
from orchestra_creds.config.table import Table


class ProjectTable(Table, frozen=True):
    """`[project]`: which Google Cloud project is meant; a wrong number is an error of `setup`.

    `elsewhere` names secrets of the project whose credentials another file declares; `*` stands for any letters.
    """

    id: str = ""
    number: str = ""
    elsewhere: tuple[str, ...] = ()


class Naming(Table, frozen=True):
    """`[naming]`: how the name of a secret is built from `{name}` and `{env}`."""

    secret: str = "{name}-{env}"  # noqa: S105  a pattern for names


class Environment(Table, frozen=True):
    """`[environments.NAME]`: one of dev, staging, prod or the operator's own; that it stands there makes it known.

    `project` is where it lives, by default that of the file, and `number` that project's. `confirm = "type-name"` wants its name typed
    before anything of it is changed. `destroy_ttl` is the least that its secrets have. `deletion = "refuse"`: `setup destroy` does not.
    """

    project: str = ""
    number: str = ""
    confirm: Literal["", "type-name"] = ""
    destroy_ttl: str = ""
    deletion: Literal["", "refuse"] = ""


class Scan(Table, frozen=True):
    """`[scan]`: defaults of `orchestra-creds scan`; sizes in bytes."""

    exclude: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    severity: str = ""
    max_size: int | None = None
    archive_depth: int | None = None
    jobs: int | None = None
    gitleaks_config: str = ""


class Document(Table, frozen=True):
    """The whole file."""

    schema: Literal[1] = 1
    project: ProjectTable = ProjectTable()
    naming: Naming = Naming()
    environments: dict[str, Environment] = msgspec.field(default_factory=dict)
    scan: Scan = Scan()
    credentials: dict[str, CredentialTable] = msgspec.field(default_factory=dict)
    defaults: Defaults = Defaults()
    services: tuple[str, ...] = ()
    custom_roles: dict[str, RoleTable] = msgspec.field(default_factory=dict)
    service_accounts: dict[str, AccountTable] = msgspec.field(default_factory=dict)
    rotation: dict[str, RotationTable] = msgspec.field(default_factory=dict)
    secrets: dict[str, SecretTable] = msgspec.field(default_factory=dict)
    github: GithubTable | None = None
    audit: AuditTable = AuditTable()
    state: StateTable | None = None
    schedule: ScheduleTable | None = None
    alerts: AlertsTable | None = None
