"""What one invocation shares: how results are printed, the error boundary, and the way out.

Guarantees: stdout carries one document or nothing, stderr everything else; every CredsError ends as one line and its
exit code; a report that could not be written whole never ends with 0 or 1.
"""

import json
import os
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from orchestra_creds.core.result import Result
from orchestra_creds.core.text import visible
from orchestra_creds.errors import CancelledError, ConfigError, CredsError, ExitCode, IncompleteError


class Format(StrEnum):
    """How most verbs print their result."""

    TABLE = "table"
    JSON = "json"


@dataclass
class Session:
    """The state of one invocation, kept in Typer's context."""

    json_errors: bool = False
    quiet: bool = False

    @staticmethod
    def of(ctx: typer.Context) -> "Session":
        """The session of this invocation; made on first use."""
        return ctx.ensure_object(Session)

    def fail(self, error: CredsError) -> NoReturn:
        """Print the error, and end with its exit code."""
        report_error(error, as_json=self.json_errors)
        raise typer.Exit(error.exit_code) from error

    def say(self, text: str) -> None:
        """Talk to the operator, line by line; stderr, and nothing with `--quiet`."""
        if not self.quiet:
            sys.stderr.write("".join(visible(line) + "\n" for line in text.split("\n")))


def report_error(error: CredsError, *, as_json: bool = False) -> None:
    """One `error:` line and one `hint:` line on stderr, or one JSON object."""
    if as_json:
        body = {
            "code": type(error).__name__,
            "message": str(error),
            "hint": error.hint,
            "exit_code": int(error.exit_code),
        }
        sys.stderr.write(json.dumps({"error": body}) + "\n")
        return
    sys.stderr.write(f"error: {visible(str(error))}\n")
    if error.hint:
        sys.stderr.write(f"hint: {visible(error.hint)}\n")


def write_stdout(text: str | bytes) -> None:
    """Write the one document of this invocation and make sure that it arrived.

    Raises:
        IncompleteError: stdout is closed or full; the report was not delivered whole.
    """
    data = text.encode("utf-8", "backslashreplace") if isinstance(text, str) else text
    reason = "it is closed"  # `sys.stdout` is None when the caller closed it before we started
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
    _forget_stdout()
    raise IncompleteError(
        f"cannot write the report to stdout: {reason}", hint="nothing but the output is lost: run it again"
    )


def _forget_stdout() -> None:
    """Point stdout to nowhere, so that Python's own flush at exit does not complain a second time."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


class CredsGroup(TyperGroup):
    """The one place where a CredsError becomes text and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; turn errors, a declined prompt and Ctrl-C into their exit codes."""
        Session.of(ctx)  # made here, so that what a verb's options say to it is known to the boundary
        try:
            return super().invoke(ctx)
        except CredsError as error:
            Session.of(ctx).fail(error)
        except (typer.Abort, KeyboardInterrupt):
            sys.stderr.write("cancelled\n")
            raise typer.Exit(ExitCode.CANCELLED) from None


class DefaultGroup(TyperGroup):
    """A group whose first command also runs when no subcommand is named: `scan PATH` beside `scan rules`."""

    @property
    def default(self) -> str:
        """The name of that command; operators never type it."""
        return next(iter(self.commands))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the default command unless a subcommand is named."""
        if not args or args[0] not in self.commands:
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The default command goes by the group's own name, in usage lines too."""
        name, command, rest = super().resolve_command(ctx, args)
        return ("" if name == self.default else name), command, rest


def _remember_format(ctx: typer.Context, value: StrEnum) -> StrEnum:
    Session.of(ctx).json_errors = value == Format.JSON
    return value


def _remember_quiet(ctx: typer.Context, value: bool) -> bool:  # noqa: FBT001  Typer's signature
    Session.of(ctx).quiet = value
    return value


FormatOption = Annotated[
    Format,
    typer.Option(
        "--format",
        "-f",
        callback=_remember_format,
        is_eager=True,
        envvar="ORCHESTRA_CREDS_FORMAT",
        help="How to print the result.",
    ),
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", callback=_remember_quiet, help="Say nothing on stderr but errors.")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Say more on stderr.")]
NoColorOption = Annotated[bool, typer.Option("--no-color", help="No colour, also on a terminal.")]
ConfirmOption = Annotated[str, typer.Option("--confirm", metavar="NAME", help="The name, in place of typing it.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def emit(result: Result, format_: Format) -> NoReturn:
    """Print a verb's answer and end with its exit code."""
    from orchestra_creds.render.result import as_json, as_table
    from orchestra_creds.render.style import style_of

    write_stdout(as_json(result) if format_ is Format.JSON else as_table(result, style_of(sys.stdout, os.environ)))
    raise typer.Exit(result.exit_code)


def confirm(question: str, *, yes: bool) -> None:
    """Ask a person; the default is no.

    Raises:
        ConfigError: there is nobody to ask, and `--yes` was not given.
        CancelledError: the answer was no.
    """
    if yes:
        return
    _need_a_person("--yes")
    if not typer.confirm(visible(question), default=False, err=True):
        raise CancelledError("declined: nothing was changed")


def confirm_name(what: str, name: str, *, given: str) -> None:
    """Ask a person to type the name of what is about to be lost for ever; `given` is what `--confirm` said.

    Raises:
        ConfigError: `--confirm` names something else, or there is nobody to ask.
        CancelledError: another name was typed.
    """
    if given == name:
        return
    if given:
        raise ConfigError(f"--confirm says {given!r}, but this is {name!r}", hint="nothing was changed; check the name")
    _need_a_person(f"--confirm {name}")
    if (
        typer.prompt(
            visible(f"{what} cannot be undone; type {name} to go on"), default="", show_default=False, err=True
        )
        != name
    ):
        raise CancelledError("the name did not match: nothing was changed")


def _need_a_person(instead: str) -> None:
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr is not None and sys.stderr.isatty()):
        raise ConfigError("this needs a decision, and there is no terminal to ask at", hint=f"decide with {instead}")
