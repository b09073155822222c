"""`rotate`: makes successors of credentials that are due, and retires their predecessors."""

from typing import Annotated

import typer

from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.cli.cloud import cloud_verb
from orchestra_creds.cli.session import DefaultGroup, Session
from orchestra_creds.cli.stopping import stoppable
from orchestra_creds.core.result import Result
from orchestra_creds.errors import ConfigError

app = typer.Typer(
    name="rotate",
    cls=DefaultGroup,
    rich_markup_mode=None,
    help="Rotate what is due, without an outage; goes on where a crash left off.",
)

NamesArgument = Annotated[list[str] | None, typer.Argument(metavar="[CREDENTIAL]...", help="Credentials by name.")]
NameArgument = Annotated[str, typer.Argument(metavar="CREDENTIAL", help="A credential by name.")]
JobsOption = Annotated[int, typer.Option("--jobs", "-j", min=1, max=64, help="Credentials at work at once.")]
TakeOverOption = Annotated[
    bool, typer.Option("--take-over", help="Also what another run still has the lease of; only when that run is dead.")
]


@app.command()
@cloud_verb
def rotate(
    session: Session,
    cloud: Cloud,
    *,
    names: NamesArgument = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Every declared credential; what has no version yet is issued.")
    ] = False,
    due: Annotated[
        bool, typer.Option("--due", help="For cron: every credential, and quiet when nothing is due.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Also what is not due.")] = False,
    leaked: Annotated[bool, typer.Option("--leaked", help="The predecessor leaked: it gets no grace.")] = False,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Take over a version that others made, and retire it later.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the steps; change nothing.")] = False,
    jobs: JobsOption = 4,
) -> Result:
    """Rotate what is due, without an outage; goes on where a crash left off.

    The successor is made, stored, proven by real tokens, and only then published; the predecessor stays valid for the grace, is
    disabled, and deleted after the soak. Each later step is a later run.
    """
    from orchestra_creds.bootstrap.rotation import rotated
    from orchestra_creds.render import rotation as show
    from orchestra_creds.rotation.situation import Want

    if bool(names) + all_ + due != 1:
        raise ConfigError("say what to rotate", hint="credentials by name, or --all, or --due")
    want = Want(force=force or leaked, leaked=leaked, adopt=adopt)
    with stoppable() as stop:
        report = rotated(cloud, names or (), want, dry=dry_run, jobs=jobs, stopping=stop, say=session.say)
    return show.report(report, dry=dry_run)


@app.command()
@cloud_verb
def resume(
    session: Session,
    cloud: Cloud,
    *,
    names: NamesArgument = None,
    take_over: TakeOverOption = False,
    jobs: JobsOption = 4,
) -> Result:
    """Go on with what a crash left, and begin nothing new."""
    from orchestra_creds.bootstrap.rotation import rotated
    from orchestra_creds.render import rotation as show
    from orchestra_creds.rotation.situation import Want

    with stoppable() as stop:
        report = rotated(
            cloud, names or (), Want(start=False), take_over=take_over, jobs=jobs, stopping=stop, say=session.say
        )
    return show.report(report, dry=False)


@app.command()
@cloud_verb
def rollback(
    session: Session,
    cloud: Cloud,
    *,
    name: NameArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the steps; change nothing.")] = False,
) -> Result:
    """Let the predecessor of a credential return, as a new version; what it replaces is retired like any other."""
    from orchestra_creds.bootstrap.rotation import rotated
    from orchestra_creds.render import rotation as show
    from orchestra_creds.rotation.situation import Want

    with stoppable() as stop:
        report = rotated(cloud, [name], Want(back=True), dry=dry_run, stopping=stop, say=session.say)
    return show.report(report, dry=dry_run)
