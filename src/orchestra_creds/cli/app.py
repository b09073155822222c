"""The root command: registers the verbs. Imports only Typer and signatures; services load inside the commands."""

from typing import Annotated

import typer

from orchestra_creds.cli import completion, doctor, emulator, key, legacy, rotate, scan, schedule, secret, setup, status
from orchestra_creds.cli.run import run as run_program
from orchestra_creds.cli.session import CredsGroup
from orchestra_creds.cli.version import version_line

app = typer.Typer(
    name="orchestra-creds",
    cls=CredsGroup,
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


app.add_typer(scan.app, name="scan")
app.add_typer(rotate.app, name="rotate")
app.add_typer(setup.app, name="setup")
app.add_typer(secret.app, name="secret")
app.add_typer(key.app, name="key")
app.add_typer(emulator.app, name="emulator")
app.command("run")(run_program)
app.command("status")(status.status)
app.add_typer(schedule.app, name="schedule")
app.add_typer(legacy.app, name="legacy")
app.command("doctor")(doctor.doctor)
app.command("completion")(completion.completion)


def run() -> None:
    """Answer a shell's completion request, or run the verb."""
    completion.prepare()
    app()
