"""`setup add`: writes into orchestra-creds.toml what `setup` then brings about."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from orchestra_creds import outfile
from orchestra_creds.cli.cloud import ConfigOption
from orchestra_creds.cli.session import QuietOption, write_stdout
from orchestra_creds.config import settings as configuration
from orchestra_creds.config.edit import with_account
from orchestra_creds.errors import ConfigError

app = typer.Typer(
    name="add", no_args_is_help=True, rich_markup_mode=None, help="Write something new into orchestra-creds.toml."
)


class Keys(StrEnum):
    """What an account may have of keys."""

    NONE = "none"
    FORBIDDEN = "forbidden"
    ROTATED = "rotated"


@app.command("service-account")
def service_account(
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its id: 6 to 30 lower-case letters, digits, hyphens.")],
    role: Annotated[
        list[str] | None, typer.Option("--role", metavar="ROLE", help="A role in the project; may be repeated.")
    ] = None,
    custom_role: Annotated[
        list[str] | None, typer.Option("--custom-role", metavar="NAME", help="One of [custom_roles]; may be repeated.")
    ] = None,
    act_as: Annotated[
        list[str] | None, typer.Option("--act-as", metavar="NAME", help="An account that it may run things as.")
    ] = None,
    keys: Annotated[
        Keys, typer.Option("--keys", help="rotated goes with --rotation; else any key is drift.")
    ] = Keys.NONE,
    rotation: Annotated[str, typer.Option("--rotation", metavar="NAME", help="One of [rotation].")] = "",
    description: Annotated[str, typer.Option("--description", metavar="TEXT", help="What it is for.")] = "",
    config: ConfigOption = None,
    quiet: QuietOption = False,
) -> None:
    """Declare a service account; `setup` makes it. Comments and everything else in the file stay."""
    path = configuration.load(config).path
    if path is None:
        raise ConfigError("there is no orchestra-creds.toml", hint="write one: orchestra-creds setup init --project ID")
    fields = {
        "description": description,
        "project_roles": role or (),
        "custom_roles": custom_role or (),
        "act_as": act_as or (),
        "keys": "" if keys is Keys.NONE else keys.value,
        "rotation": rotation,
    }
    declare(path, path.read_text(encoding="utf-8"), name, fields)
    write_stdout(f"declared {name} in {path}; next: orchestra-creds setup --plan\n")


def declare(path: Path, text: str, name: str, fields: Mapping[str, str | Sequence[str]]) -> None:
    """Write the account into the file, whole or not at all."""
    outfile.write(str(path), with_account(text, str(path), name, fields), mode=0o644)
