"""`setup`: brings a project to what orchestra-creds.toml says: plan, show, confirm, apply, prove."""

from pathlib import Path
from typing import Annotated

import typer

from orchestra_creds import outfile
from orchestra_creds.bootstrap import setup as making
from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.cli import setup_add
from orchestra_creds.cli.cloud import EnvOption, JobsOption, cloud_verb
from orchestra_creds.cli.names import check_secret_name
from orchestra_creds.cli.session import (
    ConfirmOption,
    DefaultCommand,
    DefaultGroup,
    QuietOption,
    Session,
    YesOption,
    confirm,
    confirm_name,
    file_of,
    write_stdout,
)
from orchestra_creds.core.result import Result
from orchestra_creds.errors import ConfigError
from orchestra_creds.parallel import CALLS_AT_ONCE
from orchestra_creds.render import setup as show
from orchestra_creds.render.result import as_table
from orchestra_creds.setup.adopt import suggestion
from orchestra_creds.setup.example import example
from orchestra_creds.setup.export import export as written
from orchestra_creds.setup.export import unimportable

app = typer.Typer(
    name="setup",
    cls=DefaultGroup,
    rich_markup_mode=None,
    help="Bring a project to what orchestra-creds.toml says: plan, show, confirm, apply.",
)


app.add_typer(setup_add.app)


@app.command(cls=DefaultCommand)
@cloud_verb
def setup(
    session: Session,
    cloud: Cloud,
    *,
    plan: Annotated[bool, typer.Option("--plan", help="Show what differs; change nothing.")] = False,
    check: Annotated[bool, typer.Option("--check", help="As --plan, and exit 1 on any drift.")] = False,
    only: Annotated[
        str,
        typer.Option(
            "--only",
            metavar="PART",
            help="services, roles, accounts, secrets, federation, access, audit, state, schedule or alerts.",
        ),
    ] = "",
    yes: YesOption = False,
    allow_widening: Annotated[
        bool, typer.Option("--allow-widening", help="With --yes: also what lets somebody do more.")
    ] = False,
    confirmed: ConfirmOption = "",
    jobs: JobsOption = CALLS_AT_ONCE,
    env: EnvOption = "",
) -> Result:
    """Bring a project to what orchestra-creds.toml says; nothing that the file does not speak of is ever removed.

    There is no state file: what is there is looked at, each change is made under its etag and read back. A second run changes nothing;
    one that was interrupted is completed by running it again.
    """
    wanted = making.load_desired_state(cloud, only, env)
    found = (
        making.make_plan(cloud, wanted) if plan or check else making.make_plan_when_ready(cloud, wanted, session.say)
    )
    for name, project in sorted(making.list_foreign_environments(cloud).items() if not env else ()):
        session.say(f"{name} lives in project {project}: setup --env {name}")
    if plan or check or not found.work:
        return show.plan(found, check=check)
    if (yes or confirmed) and found.widens and not allow_widening:
        raise ConfigError(
            "the plan lets somebody do more than before, and --yes alone does not agree to that",
            hint="look at `orchestra-creds setup --plan`, then add --allow-widening",
        )
    if not yes:
        session.say(as_table(show.plan(found)).rstrip("\n"))
    guarded = found.guarded_environments(wanted)
    if len(guarded) > 1:
        raise ConfigError(
            f"the plan changes {' and '.join(guarded)}, and the name of each is to be typed",
            hint="one at a time: setup --env NAME",
        )
    if guarded:
        confirm_name(f"this changes {guarded[0]}", guarded[0], given=confirmed)
    else:
        confirm(f"apply {len(found.work)} changes to project {found.project}?", yes=yes)
    return show.apply_result(
        found.project,
        list(making.apply_plan(cloud, found, lambda: making.make_plan(cloud, wanted), session.say)),
    )


@app.command()
def init(
    *,
    project: Annotated[str, typer.Option("--project", help="The Google Cloud project.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write it; - is stdout.")
    ] = Path("orchestra-creds.toml"),
    quiet: QuietOption = False,
) -> None:
    """Write a complete, commented orchestra-creds.toml for AI Orchestra; an existing file is never overwritten."""
    text = example(project)
    if file_of(output) is None:
        write_stdout(text)
        return
    if output.exists():
        raise ConfigError(f"{output} exists already", hint="edit it, or name another with --output")
    outfile.write(str(output), text, mode=0o644)
    write_stdout(f"wrote {output}; next: orchestra-creds setup --plan\n")


@app.command()
@cloud_verb
def export(
    session: Session,
    cloud: Cloud,
    *,
    form: Annotated[
        str,
        typer.Option("--to", help="terraform (JSON syntax), pulumi-python, both with imports, or gcloud (to read)."),
    ],
    only: Annotated[str, typer.Option("--only", metavar="PART", help="As for setup.")] = "",
    jobs: JobsOption = CALLS_AT_ONCE,
    env: EnvOption = "",
) -> None:
    """Print the same desired state for another tool, with imports of what exists; no value of a secret is in it."""
    wanted = making.load_desired_state(cloud, only, env)
    existing = making.find_existing_parts(cloud, wanted)
    for ref in unimportable(wanted, existing) if form != "gcloud" else ():
        session.say(f"{ref} exists and only the service knows its id: import it by hand, or it is made a second time")
    write_stdout(written(wanted, making.project_ports(cloud).itself.number(), form, existing))


@app.command()
@cloud_verb
def adopt(session: Session, cloud: Cloud, *, jobs: JobsOption = CALLS_AT_ONCE, env: EnvOption = "") -> None:
    """Print sections for what is in the project and not in the file; put them in, and `setup` marks them as its own."""
    found = making.unknown_refs(cloud)
    session.say(f"{len(found)} secrets and accounts are not in the file" if found else "the file speaks of everything")
    write_stdout(suggestion(found))


@app.command()
@cloud_verb
def destroy(
    session: Session,
    cloud: Cloud,
    *,
    name: Annotated[
        str, typer.Argument(metavar="SECRET", help="A secret that setup made.", callback=check_secret_name)
    ],
    confirmed: ConfirmOption = "",
    env: EnvOption = "",
) -> Result:
    """Delete one secret that setup made; refused while anybody may read a version of it. Accounts and pools are never deleted."""
    name = cloud.full_name(name, env)
    etag = making.check_destroyable(cloud, name)
    confirm_name(f"deleting secret {name} and all its versions cannot be undone", name, given=confirmed)
    cloud.secrets.delete_secret(name, etag=etag)
    return show.destroy_result(name)
