"""`rotate`: makes successors of credentials that are due, and retires their predecessors."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import typer

from orchestra_creds.bootstrap.clock import utc_now
from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.cli import rotation_run
from orchestra_creds.cli.cloud import FromLabelsOption, JobsOption, cloud_verb, project_verb
from orchestra_creds.cli.names import (
    CredentialArgument,
    CredentialsArgument,
    ManagedArgument,
    check_credential_id,
    check_secret_name,
)
from orchestra_creds.cli.rotation_run import LogFormat, RunOptions
from orchestra_creds.cli.session import (
    STDOUT,
    ConfirmOption,
    DefaultCommand,
    DefaultGroup,
    Session,
    YesOption,
    confirm_name,
)
from orchestra_creds.cli.signals import StopFlag, catch_stop_signals
from orchestra_creds.core import durations
from orchestra_creds.core.result import Result
from orchestra_creds.core.text import os_error_text
from orchestra_creds.errors import ConfigError, PreconditionError
from orchestra_creds.render import rotation as show
from orchestra_creds.rotation.outcome import Report
from orchestra_creds.rotation.situation import RunRequest

app = typer.Typer(
    name="rotate",
    cls=DefaultGroup,
    rich_markup_mode=None,
    help="Rotate what is due, without an outage; goes on where a crash left off.",
)

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show the steps; change nothing.")]
LogFormatOption = Annotated[
    LogFormat,
    typer.Option("--log-format", help="Log on stderr as text or JSON; auto: JSON for --due off a terminal, else none."),
]
UndeclaredOption = Annotated[
    bool, typer.Option("--undeclared", help="The name is that of a secret that nothing declares.")
]
TakeOverOption = Annotated[
    bool, typer.Option("--take-over", help="Also what another run still has the lease of; only when that run is dead.")
]


@app.command(cls=DefaultCommand)
@cloud_verb
def rotate(
    session: Session,
    cloud: Cloud,
    *,
    names: CredentialsArgument = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Every declared credential; what has no version yet is issued.")
    ] = False,
    due: Annotated[
        bool, typer.Option("--due", help="For cron: every credential, and not a word when nothing is due.")
    ] = False,
    from_labels: FromLabelsOption = False,
    force: Annotated[bool, typer.Option("--force", help="Also what is not due.")] = False,
    leaked: Annotated[bool, typer.Option("--leaked", help="It leaked: replace it, and end it in this run.")] = False,
    key: Annotated[
        str,
        typer.Option(
            "--key",
            metavar="ID",
            help="With --leaked: the id of what leaked, if it is a predecessor.",
            callback=check_credential_id,
        ),
    ] = "",
    kill_first: Annotated[
        bool, typer.Option("--kill-first", help="With --leaked: end it before its successor exists; readers fail.")
    ] = False,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Take over a version that others made, and retire it later.")
    ] = False,
    dry_run: DryRunOption = False,
    jobs: JobsOption = 4,
    jitter: Annotated[
        str, typer.Option("--jitter", metavar="SPAN", help="Wait up to so long before a run that has work: 5m.")
    ] = "0s",
    fail_if_locked: Annotated[
        bool, typer.Option("--fail-if-locked", help="Exit 6 when another run is going on on this machine.")
    ] = False,
    ping_url: Annotated[
        str,
        typer.Option(
            "--ping-url",
            envvar="ORCHESTRA_CREDS_PING_URL",
            metavar="URL",
            help="A dead man's switch to tell about the run.",
        ),
    ] = "",
    metrics_file: Annotated[
        str,
        typer.Option(
            "--metrics-file",
            metavar="FILE",
            help="Write Prometheus metrics for node_exporter; - prints them and nothing else.",
        ),
    ] = "",
    log_format: LogFormatOption = LogFormat.AUTO,
    yes: YesOption = False,
    confirmed: ConfirmOption = "",
) -> Result | None:
    """Rotate what is due, without an outage; goes on where a crash left off.

    The successor is made, stored, proven by real tokens, and only then published; the predecessor stays valid for the grace, is
    disabled, and deleted after the soak. Each later step is a later run.
    """
    if bool(names) + all_ + due != 1:
        raise ConfigError("say what to rotate", hint="credentials by name, or --all, or --due")
    if (key or kill_first) and not (leaked and names and len(names) == 1):
        raise ConfigError("--key and --kill-first need --leaked and the name of one credential")
    if kill_first and not dry_run:
        name = (names or [""])[0]
        confirm_name(f"readers of {name} fail until its successor is there", name, given=name if yes else confirmed)
    options = RunOptions(
        names or (),
        RunRequest(
            force=force or (leaked and not key), leaked=leaked, adopt=adopt, leaked_id=key, kill_first=kill_first
        ),
        from_labels=from_labels,
        jobs=jobs,
        quiet_when_idle=due,
        fail_if_locked=fail_if_locked or leaked,
        jitter=durations.parse(jitter, what="--jitter"),
        ping_url=ping_url,
        metrics_file=metrics_file,
        log_format=log_format,
    )
    with catch_stop_signals() as stop:
        if dry_run:
            return _run_result(rotation_run.dry_run(cloud, options, stop), stop, dry=True)
        result = _run_result(rotation_run.run(cloud, session, options, stop), stop, silent=due, quiet=session.quiet)
    if metrics_file == str(STDOUT) and result is not None:
        raise typer.Exit(result.exit_code)  # standard output holds one document
    return result


@app.command()
@cloud_verb
def resume(
    session: Session,
    cloud: Cloud,
    *,
    names: CredentialsArgument = None,
    from_labels: FromLabelsOption = False,
    take_over: TakeOverOption = False,
    jobs: JobsOption = 4,
    log_format: LogFormatOption = LogFormat.AUTO,
) -> Result | None:
    """Go on with what a crash left, and begin nothing new."""
    options = RunOptions(
        names or (),
        RunRequest(start=False),
        from_labels=from_labels,
        take_over=take_over,
        jobs=jobs,
        log_format=log_format,
    )
    return _plan_or_run(session, cloud, options, dry_run=False)


@app.command()
@cloud_verb
def rollback(
    session: Session,
    cloud: Cloud,
    *,
    name: CredentialArgument,
    from_labels: FromLabelsOption = False,
    dry_run: DryRunOption = False,
) -> Result | None:
    """Let the predecessor of a credential return, as a new version; what it replaces is retired like any other."""
    options = RunOptions([name], RunRequest(back=True), from_labels=from_labels)
    return _plan_or_run(session, cloud, options, dry_run=dry_run)


@app.command()
@cloud_verb
def retire(
    session: Session,
    cloud: Cloud,
    *,
    name: ManagedArgument,
    undeclared: UndeclaredOption = False,
    in_use: Annotated[bool, typer.Option("--in-use", help="End it even if it was used within require_unused.")] = False,
    from_labels: FromLabelsOption = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    confirmed: ConfirmOption = "",
    log_format: LogFormatOption = LogFormat.AUTO,
) -> Result | None:
    """End a credential that nobody needs any more.

    Its keys and versions are disabled in this run, and deleted after the soak by the next runs, whether or not it is declared.
    """
    options = RunOptions(
        [name],
        RunRequest(retire=True, in_use=in_use, undeclared=undeclared),
        from_labels=from_labels,
        fail_if_locked=True,
        log_format=log_format,
    )
    if not dry_run:
        confirm_name(f"retiring {name} ends every key and version of it", name, given=name if yes else confirmed)
    return _plan_or_run(session, cloud, options, dry_run=dry_run)


@app.command()
@cloud_verb
def abandon(
    session: Session,
    cloud: Cloud,
    *,
    name: ManagedArgument,
    undeclared: UndeclaredOption = False,
    from_labels: FromLabelsOption = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    confirmed: ConfirmOption = "",
    log_format: LogFormatOption = LogFormat.AUTO,
) -> Result | None:
    """Stop looking after a credential; destroy nothing, and name what stays valid."""
    options = RunOptions(
        [name],
        RunRequest(abandon=True, undeclared=undeclared),
        from_labels=from_labels,
        fail_if_locked=True,
        log_format=log_format,
    )
    if not dry_run:
        confirm_name(f"abandoning {name} forgets its predecessors", name, given=name if yes else confirmed)
    return _plan_or_run(session, cloud, options, dry_run=dry_run)


def _plan_or_run(session: Session, cloud: Cloud, options: RunOptions, *, dry_run: bool) -> Result | None:
    """Show the steps, or take them."""
    with catch_stop_signals() as stop:
        if dry_run:
            return _run_result(rotation_run.dry_run(cloud, options, stop), stop, dry=True)
        return _run_result(rotation_run.run(cloud, session, options, stop), stop, quiet=session.quiet)


@app.command()
@project_verb
def history(
    session: Session,
    project: str,
    *,
    name: Annotated[
        str, typer.Argument(metavar="[CREDENTIAL]", help="Only this one.", callback=check_secret_name)
    ] = "",
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the chain of hashes; exit 1 when it is broken.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The latest so many steps.")] = 1000,
    since: Annotated[
        str,
        typer.Option(
            "--since", metavar="WHEN", help="Only steps since a day such as 2026-03-01, or for a time: 12h, 7d."
        ),
    ] = "",
) -> Result:
    """Show the latest steps that this machine has taken, from its journal."""
    journal = rotation_run.journal_of(project)
    start = _moment(since) if since else None
    try:
        found, more = journal.latest(limit, name, start)
        verdict = journal.verify() if verify else None
    except OSError as error:
        raise PreconditionError(
            f"the journal of {project} cannot be read: {os_error_text(error)}", hint=f"look at {journal.path.parent}"
        ) from None
    return show.history(found, verdict, more=more, chosen=bool(name or since))


def _moment(when: str) -> datetime:
    """Return the moment that a day or a length of time before now means (aware UTC).

    Raises:
        ConfigError: it is neither.
    """
    try:
        moment = datetime.fromisoformat(when)
    except ValueError:
        return utc_now() - durations.parse(when, what="--since")
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _run_result(
    report: Report | None, stop: StopFlag, *, dry: bool = False, silent: bool = False, quiet: bool = False
) -> Result | None:
    """What is printed; with `silent`, nothing when nobody has to look and nothing was done; with `quiet`, no table."""
    if report is None:
        return None
    result = show.report(report, dry=dry, silent=silent)
    if quiet:
        result = replace(result, rows=(), lines=())  # failures are on stderr
    return replace(result, exit_code=stop.code) if stop.code else result
