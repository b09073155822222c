"""Adds to the text of orchestra-creds.toml what an operator asks for; comments, order and everything else stay. Pure."""

from collections.abc import Mapping, Sequence

from orchestra_creds.config.desired import desired_state
from orchestra_creds.config.parse import parse
from orchestra_creds.errors import PreconditionError


def with_account(text: str, file: str, name: str, fields: Mapping[str, str | Sequence[str]]) -> str:
    """The text with `[service_accounts.NAME]` and those of the fields that are not empty; `project_roles` may leave out `roles/`.

    Raises:
        ConfigError: the text or its new account is not what `setup` understands, or a role would reach the whole project.
        PreconditionError: that account stands there already.
    """
    import tomlkit

    if name in parse(text, file).service_accounts:
        raise PreconditionError(f"{file} declares {name} already", hint="edit it there, then: orchestra-creds setup")
    roles = [r if r.startswith(("roles/", "projects/")) else f"roles/{r}" for r in fields.get("project_roles", ())]
    document = tomlkit.parse(text)
    accounts = document.setdefault("service_accounts", tomlkit.table(is_super_table=True))
    table = tomlkit.table()
    for key, value in {**fields, "project_roles": roles}.items():
        if value:
            table[key] = value if isinstance(value, str) else list(value)
    accounts[name] = table
    edited = tomlkit.dumps(document)
    read = parse(edited, file)
    desired_state(read, read.project.id or "project")
    return edited
