"""What one invocation shares: how results are printed, the error boundary, and the way out.

Guarantees: stdout carries one document or nothing, stderr everything else; every CredsError ends as one line and its
exit code; a report that could not be written whole never ends with 0 or 1.
"""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from orchestra_creds.cli.stderr import redirect_to_null
from orchestra_creds.core.result import Result
from orchestra_creds.core.text import os_error_text, visible
from orchestra_creds.errors import CancelledError, ConfigError, CredsError, ExitCode, IncompleteError
from orchestra_creds.outfile import Content, encode
from orchestra_creds.render.result import as_json, as_table
from orchestra_creds.render.style import style_of

STDOUT = Path("-")
"""What an option that takes a file to write to is given for standard output."""


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


def wants_json(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether these arguments ask for JSON; read off before they are parsed, for parsing is the first thing that can fail."""
    chosen = environment.get("ORCHESTRA_CREDS_FORMAT", "")
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=False):
        if argument == "--":
            break
        if argument in {"--format", "-f"}:
            chosen = following
        elif argument.startswith(("--format=", "-f")):
            chosen = argument.removeprefix("--format=").removeprefix("-f")
    return chosen == Format.JSON


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


def write_stdout(content: Content) -> None:
    """Write the one document of this invocation and make sure that it arrived.

    Raises:
        IncompleteError: stdout is closed or full; the report was not delivered whole.
    """
    reason = "it is closed"  # `sys.stdout` is None when the caller closed it before we started
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
            sys.stdout.buffer.writelines(encode(content))
            sys.stdout.buffer.flush()
            return
    except OSError as error:
        reason = os_error_text(error)
    redirect_to_null(1)
    raise IncompleteError(
        f"cannot write the report to stdout: {reason}", hint="nothing but the output is lost: run it again"
    )


def file_of(output: Path | None) -> Path | None:
    """Return the file that an option names; None where there is none, or where it is `-`, which means standard output."""
    return None if output == STDOUT else output


def refuse_terminal(what: str, *, hint: str) -> None:
    """Refuse to print something secret where a person, a recording or a scroll buffer sees it.

    Raises:
        ConfigError: standard output is a terminal.
    """
    if sys.stdout is not None and sys.stdout.isatty():
        raise ConfigError(f"this would print {what} on your terminal", hint=hint)


class CredsGroup(TyperGroup):
    """The one place where an error becomes text and an exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Find out how errors are to be told, then parse."""
        session = Session.of(ctx)  # made here, so that what a verb's options say to it is known to the boundary
        session.json_errors = wants_json(args, os.environ)
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as error:
            session.fail(_usage_error(error))

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; turn errors, a declined prompt and Ctrl-C into their exit codes."""
        try:
            return super().invoke(ctx)
        except CredsError as error:
            Session.of(ctx).fail(error)
        except typer.TyperException as error:
            Session.of(ctx).fail(_usage_error(error))
        except (typer.Abort, KeyboardInterrupt):
            sys.stderr.write("cancelled\n")
            raise typer.Exit(ExitCode.CANCELLED) from None


def _usage_error(error: typer.TyperException) -> ConfigError:
    """What the parser says as one of our errors; text that stands where none is expected may be a secret and is not repeated."""
    text, ctx = " ".join(str(getattr(error, "format_message", error.__str__)()).split()), getattr(error, "ctx", None)
    if text.startswith("Usage: "):
        raise error  # no error but the help page, which a group shows when nothing is asked of it
    text = re.sub(r"^Got unexpected extra argument.*", "too many arguments", text)
    command = " ".join(ctx.command_path.split()) if ctx is not None else "orchestra-creds"
    return ConfigError(text[:1].lower() + text[1:].rstrip("."), hint=f"see `{command} --help`")


class DefaultGroup(TyperGroup):
    """A group whose first command also runs when no subcommand is named: `scan PATH` beside `scan rules`.

    That first command is declared with `cls=DefaultCommand`.
    """

    @property
    def default(self) -> str:
        """The name of that command; operators never type it."""
        return next(iter(self.commands))

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names that an operator can type."""
        return [name for name in super().list_commands(ctx) if name != self.default]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the default command unless another one is named."""
        if not args or args[0] not in self.commands or args[0] == self.default:
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The default command goes by the group's own name, in usage lines too."""
        name, command, rest = super().resolve_command(ctx, args)
        return ("" if name == self.default else name), command, rest


class DefaultCommand(TyperCommand):
    """The first command of a `DefaultGroup`: its help is that of the group and lists the subcommands."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write the usage line under the group's name, because the command has none of its own."""
        formatter.write_usage(ctx.command_path.rstrip(), " ".join(self.collect_usage_pieces(ctx)))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, then the subcommands of the group."""
        super().format_options(ctx, formatter)
        ctx.parent.command.format_commands(ctx.parent, formatter)


def _remember_quiet(ctx: typer.Context, value: bool) -> bool:  # noqa: FBT001  Typer's signature
    Session.of(ctx).quiet = value
    return value


FormatOption = Annotated[
    Format,
    typer.Option(
        "--format",
        "-f",
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


def confirm_name(why: str, name: str, *, given: str) -> None:
    """Ask a person to type the name of what is at stake; `given` is what `--confirm` said.

    Raises:
        ConfigError: `--confirm` names something else, or there is nobody to ask.
        CancelledError: another name was typed.
    """
    if given == name:
        return
    if given:
        raise ConfigError(f"--confirm says {given!r}, but this is {name!r}", hint="nothing was changed; check the name")
    _need_a_person(f"--confirm {name}")
    if typer.prompt(visible(f"{why}; type {name} to go on"), default="", show_default=False, err=True) != name:
        raise CancelledError("the name did not match: nothing was changed")


def _need_a_person(instead: str) -> None:
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr is not None and sys.stderr.isatty()):
        raise ConfigError("this needs a decision, and there is no terminal to ask at", hint=f"decide with {instead}")
