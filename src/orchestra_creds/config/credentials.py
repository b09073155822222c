"""`[credentials.NAME]`: the credentials that `rotate` looks after, as they stand in the file."""

from orchestra_creds.config.table import Table


class DestinationTable(Table, frozen=True):
    """`[[credentials.NAME.destinations]]`: a copy beyond the secret; `kind` decides which of the others it needs."""

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
    probe: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    timeout: str = ""
    destinations: tuple[DestinationTable, ...] = ()
    hooks: HooksTable = HooksTable()
    generate: GenerateTable = GenerateTable()
    postgres: PostgresTable | None = None
    api_key: ApiKeyTable = ApiKeyTable()
