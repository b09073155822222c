"""`scan baseline`: findings that somebody has accepted, with a reason and, if wanted, an end."""

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from orchestra_creds import outfile
from orchestra_creds.bootstrap import clock, scanning
from orchestra_creds.cli.session import (
    Format,
    FormatOption,
    QuietOption,
    Session,
    emit,
    file_of,
    refuse_terminal,
    write_stdout,
)
from orchestra_creds.render.baseline import audit_result
from orchestra_creds.scanner.baseline import service as baseline_service

app = typer.Typer(
    name="baseline", rich_markup_mode=None, no_args_is_help=True, help="Keep accepted findings, each with a reason."
)

PathArgument = Annotated[Path, typer.Argument(metavar="[PATH]", help="The folder or repository that is scanned.")]
FileOption = Annotated[
    Path | None,
    typer.Option(
        "--baseline", metavar="FILE", help="The baseline. Default: .orchestra-creds-baseline.json of the scanned root."
    ),
]
HistoryOption = Annotated[
    bool, typer.Option("--history", help="Look at everything that git holds, not only at the tree.")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why the finding is no risk; needed.")]
ExpiresOption = Annotated[
    datetime | None,
    typer.Option("--expires", formats=["%Y-%m-%d"], help="The last day on which it counts as accepted."),
]
AuthorOption = Annotated[
    str, typer.Option("--author", envvar="ORCHESTRA_CREDS_AUTHOR", help="Who accepts. Default: the user's name.")
]


@app.command()
def create(
    ctx: typer.Context,
    *,
    path: PathArgument = Path(),
    reason: ReasonOption = "",
    expires: ExpiresOption = None,
    author: AuthorOption = "",
    history: HistoryOption = False,
    file: FileOption = None,
    quiet: QuietOption = False,
) -> None:
    """Accept everything that a scan finds now. A baseline that exists is not replaced."""
    service = scanning.baseline(path, file=file, history=history)
    Session.of(ctx).say(service.create(scanning.acceptance(reason, author, expires), folder=path))


@app.command()
def add(
    ctx: typer.Context,
    *,
    fingerprint: Annotated[str, typer.Argument(help="Start of a finding's fingerprint or of its credential.")],
    path: PathArgument = Path(),
    reason: ReasonOption = "",
    expires: ExpiresOption = None,
    author: AuthorOption = "",
    anywhere: Annotated[bool, typer.Option("--anywhere", help="Accept the credential at every path.")] = False,
    history: HistoryOption = False,
    file: FileOption = None,
    quiet: QuietOption = False,
) -> None:
    """Accept one finding."""
    service = scanning.baseline(path, file=file, history=history)
    done = service.add(fingerprint, scanning.acceptance(reason, author, expires), anywhere=anywhere)
    Session.of(ctx).say(done)


@app.command()
def remove(
    ctx: typer.Context,
    *,
    fingerprint: Annotated[str, typer.Argument(help="Start of an entry's fingerprint or of its credential.")],
    path: PathArgument = Path(),
    file: FileOption = None,
    quiet: QuietOption = False,
) -> None:
    """Stop accepting one finding."""
    Session.of(ctx).say(scanning.baseline(path, file=file, history=False).remove(fingerprint))


@app.command()
def audit(
    *,
    path: PathArgument = Path(),
    history: HistoryOption = False,
    prune: Annotated[bool, typer.Option("--prune", help="Remove entries whose finding has vanished.")] = False,
    file: FileOption = None,
    format_: FormatOption = Format.TABLE,
) -> None:
    """Compare every entry with what a scan finds.

    States: current, moved, expired, vanished. Ends with 1 when one needs a decision. Entries made with --history are audited with it.
    """
    found = scanning.baseline(path, file=file, history=history).audit(today=clock.utc_now().date(), prune=prune)
    rows = [
        (
            item.entry.fingerprint,
            item.state.value,
            item.entry.rule,
            item.entry.path,
            item.entry.expires,
            item.entry.reason,
        )
        for item in found.entries
    ]
    emit(audit_result(rows, pruned=found.pruned, exit_code=found.exit_code), format_)


@app.command("import")
def import_(
    ctx: typer.Context,
    *,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A gitleaks JSON report, or a .gitleaksignore file.")],
    path: PathArgument = Path(),
    reason: ReasonOption = "",
    expires: ExpiresOption = None,
    author: AuthorOption = "",
    history: HistoryOption = False,
    file: FileOption = None,
    quiet: QuietOption = False,
) -> None:
    """Take over what gitleaks was told to accept: positions become content fingerprints where the credential is still found."""
    service = scanning.baseline(path, file=file, history=history)
    Session.of(ctx).say(service.import_(source, scanning.acceptance(reason, author, expires)))


@app.command()
def key(
    ctx: typer.Context,
    *,
    path: PathArgument = Path(),
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the key to a file (mode 0600), for a colleague or CI; - is stdout."),
    ] = None,
    install: Annotated[
        Path | None, typer.Option("--install", metavar="FILE", help="Take the key of a file for this repository.")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Name the key behind the fingerprints of this repository, hand it over, or install one that was handed over."""
    keys, session = scanning.fingerprint_keys(), Session.of(ctx)
    if install is not None:
        session.say(
            f"fingerprint key {baseline_service.take_over(path, install, keys=keys)} is now the key of this repository"
        )
        return
    file = file_of(output)
    if output is not None and file is None:
        refuse_terminal("the key", hint="use -o FILE or a pipe")
    name, text = baseline_service.hand_over(path, keys=keys, environment=os.environ)
    if file is not None:
        outfile.write(str(file), text.reveal() + b"\n")
    elif output is not None:
        write_stdout(text.reveal() + b"\n")
    session.say(
        f"fingerprint key {name}"
        + (f" is in {file or 'standard output'}; who has it can test guesses against the baseline" if output else "")
    )
