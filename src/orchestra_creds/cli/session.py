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

from orchestra_creds.errors import CredsError, ExitCode, IncompleteError


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

    def say(self, line: str) -> None:
        """One line of talk to the operator; stderr, and nothing with `--quiet`."""
        if not self.quiet:
            sys.stderr.write(printable(line) + "\n")


def printable(text: str) -> str:
    """The text with control characters and undecodable bytes escaped: names from outside may hold escape sequences."""
    return "".join(c if c.isprintable() or c == "\t" else c.encode("unicode_escape", "replace").decode() for c in text)


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
    sys.stderr.write(f"error: {printable(str(error))}\n")
    if error.hint:
        sys.stderr.write(f"hint: {printable(error.hint)}\n")


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
        try:
            return super().invoke(ctx)
        except CredsError as error:
            Session.of(ctx).fail(error)
        except (typer.Abort, KeyboardInterrupt):
            sys.stderr.write("cancelled\n")
            raise typer.Exit(ExitCode.CANCELLED) from None


class DefaultGroup(TyperGroup):
    """A group whose first command also runs when no subcommand is named: `scan PATH` beside `scan rules`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the default command unless a subcommand or the group's help is asked for."""
        if not args or args[0] not in self.commands:
            args = [next(iter(self.commands)), *args]
        return super().parse_args(ctx, args)


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
