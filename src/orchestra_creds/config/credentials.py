"""`[credentials.NAME]`: the credentials that `rotate` looks after, as they stand in the file, with their kinds and keys.

A kind that CREDENTIAL_KINDS or DESTINATION_KINDS does not have is refused. `bootstrap/issuers.py` builds what is declared here.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from orchestra_creds.config.table import Table


class DestinationTable(Table, frozen=True):
    """`[[credentials.NAME.destinations]]`: a copy beyond the secret; `kind` decides which of the others it has."""

    kind: str
    name: str = ""
    path: str = ""
    argv: tuple[str, ...] = ()
    repository: str = ""
    environment: str = ""
    token_from: str = ""
    api: str = ""
    secret: str = ""
    mode: str = ""


class HooksTable(Table, frozen=True):
    """`[credentials.NAME.hooks]`: programs, as argument lists."""

    pre: tuple[str, ...] = ()
    deploy: tuple[str, ...] = ()
    fail: tuple[str, ...] = ()


class GenerateTable(Table, frozen=True):
    """`generate = { … }` of kind `generated`."""

    bytes: int = 32
    encoding: str = "urlsafe-base64"
    length: int = 0
    alphabet: str = ""


class PostgresTable(Table, frozen=True):
    """`[credentials.NAME.postgres]` of kind `postgres`."""

    users: tuple[str, ...]
    admin_secret: str
    host: str = "localhost"
    port: int = 5432
    database: str = "postgres"
    sslmode: str = "verify-full"
    form: str = "url"


class ApiKeyTable(Table, frozen=True):
    """`[credentials.NAME.api_key]` of kind `api-key`."""

    like: str = ""
    display_name: str = ""


class CredentialTable(Table, frozen=True):
    """One credential; lengths of time are written `90d`, `72h`, `0s`."""

    kind: str
    account: str = ""
    secret: str = ""
    every: str = ""
    grace: str = ""
    soak: str = ""
    settle: str = ""
    require_unused: str | bool = ""
    strategy: str = "auto"
    ignore: tuple[str, ...] = ()
    probe: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    timeout: str = ""
    destinations: tuple[DestinationTable, ...] = ()
    hooks: HooksTable = HooksTable()
    generate: GenerateTable = GenerateTable()
    postgres: PostgresTable | None = None
    api_key: ApiKeyTable = ApiKeyTable()


class KindKeys(msgspec.Struct, frozen=True):
    """The keys of one kind, beside those that every kind has; `table.key` is a key of a table."""

    needed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    labels: bool = False
    """Labels on a secret can declare this kind: it needs nothing that a label cannot say."""


CREDENTIAL_KINDS: Mapping[str, KindKeys] = {
    "service-account-key": KindKeys(("account",), ("strategy", "ignore"), labels=True),
    "generated": KindKeys(optional=("generate",), labels=True),
    "command": KindKeys(("command",)),
    "api-key": KindKeys(("api_key.like",), ("api_key.display_name",)),
    "postgres": KindKeys(
        ("postgres.users", "postgres.admin_secret"),
        ("postgres.host", "postgres.port", "postgres.database", "postgres.sslmode", "postgres.form"),
    ),
    "manual": KindKeys(labels=True),
}
DESTINATION_KINDS: Mapping[str, KindKeys] = {
    "file": KindKeys(("path",), ("mode",)),
    "command": KindKeys(("argv",)),
    "github": KindKeys(("repository", "secret", "token_from"), ("environment", "api")),
    "secret": KindKeys(("secret",)),
}


class UnknownKind(msgspec.Struct, frozen=True):
    """A kind that nothing is registered for. `path` leads to its key; `occurrence` counts, from 1, the keys with that path."""

    path: tuple[str, ...]
    occurrence: int
    kind: str
    known: tuple[str, ...]


def unknown_kinds(credentials: Any) -> Iterator[UnknownKind]:
    """Yield the unknown kinds in `[credentials]` as tomllib read it; whatever has another type is left to the typed parser."""
    for name, table in credentials.items() if isinstance(credentials, Mapping) else ():
        if not isinstance(table, Mapping):
            continue
        yield from _unknown([table], ("credentials", name, "kind"), CREDENTIAL_KINDS)
        listed = table.get("destinations")
        yield from _unknown(
            listed if isinstance(listed, list) else [], ("credentials", name, "destinations", "kind"), DESTINATION_KINDS
        )


def _unknown(tables: list[Any], path: tuple[str, ...], known: Collection[str]) -> Iterator[UnknownKind]:
    kinds = [table["kind"] for table in tables if isinstance(table, Mapping) and "kind" in table]
    for occurrence, kind in enumerate(kinds, 1):
        if isinstance(kind, str) and kind not in known:
            yield UnknownKind(path, occurrence, kind, tuple(known))
