"""The root command: one table of the verbs, and the group that imports a verb's module only when the verb is called.

Help and completion of the root read the table, so they load none of the verbs.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from orchestra_creds.cli import completion
from orchestra_creds.cli.session import CredsGroup
from orchestra_creds.cli.version import version_line


@dataclass(frozen=True, slots=True)
class Verb:
    """Where a verb is declared, and the first sentence of its help.

    Attributes:
        module: A module of this package.
        name: The module's `typer.Typer` (a group) or function (a single command).
        help: The same text as in the module; a test compares them.
    """

    module: str
    name: str
    help: str


VERBS = {
    "scan": Verb("scan", "app", "Look for leaked credentials in files, git and archives."),
    "rotate": Verb("rotate", "app", "Rotate what is due, without an outage; goes on where a crash left off."),
    "status": Verb(
        "status", "status", "Show age, next rotation, phase and problems of every managed credential; changes nothing."
    ),
    "setup": Verb("setup", "app", "Bring a project to what orchestra-creds.toml says: plan, show, confirm, apply."),
    "secret": Verb("secret", "app", "Secrets and their versions."),
    "key": Verb("key", "app", "Keys of service accounts."),
    "run": Verb(
        "run",
        "run",
        "Start a program with secrets in its environment, or in files; its exit code is ours, 126 or 127 when it cannot start.",
    ),
    "schedule": Verb("schedule", "app", "Let a scheduler run `rotate --due` every day."),
    "doctor": Verb(
        "doctor",
        "doctor",
        "Check git, folders, engine, identity, clock, APIs, permissions and organization policies; changes nothing.",
    ),
    "cache": Verb("cache", "app", "What scans keep on this machine to be faster."),
    "emulator": Verb("emulator", "app", "The embedded Google Cloud on this machine."),
    "legacy": Verb(
        "legacy", "app", "The verbs of secure_credential_manager.sh and setup_secure_credentials.sh, made safe."
    ),
    "completion": Verb("completion", "completion", "Print the completion script of a shell."),
}
"""Every verb, in the order of `--help`."""


def load_verb(name: str) -> Any:
    """Import the module of a verb and return its Click command."""
    verb = VERBS[name]
    declared = getattr(import_module(f"orchestra_creds.cli.{verb.module}"), verb.name)
    holder = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    if isinstance(declared, typer.Typer):
        holder.add_typer(declared, name=name)
    else:
        holder.command(name)(declared)
    return typer.main.get_group(holder).commands[name]


class LazyGroup(CredsGroup):
    """Lists the verbs by their table; loads the one that is called (Click documents the pattern under this name)."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        listed = {name: TyperCommand(name, help=verb.help) for name, verb in VERBS.items()}
        self.commands = {**listed, **self.commands}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the verb that the arguments name, with its options and subcommands."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, (load_verb(name) if name in VERBS else command), rest


app = typer.Typer(
    name="orchestra-creds",
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 clean, 1 attention, 2 usage, 3 denied, 4 not found, 5 incomplete, 6 unavailable, 70 a bug.",
)


def _version(*, value: bool) -> None:
    if value:
        typer.echo(version_line())
        raise typer.Exit


@app.callback()
def root(
    *,
    _show: Annotated[
        bool,
        typer.Option(
            "--version", callback=lambda value: _version(value=value), is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Find leaked Google Cloud credentials, prove which are live, and rotate them without an outage."""


def run() -> None:
    """Answer a shell's completion request, or run the verb."""
    completion.prepare()
    app()
