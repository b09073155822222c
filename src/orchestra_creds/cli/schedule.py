"""`schedule`: lets a scheduler run `rotate --due` once a day: of this machine, in the cloud, or GitHub Actions."""

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from orchestra_creds.bootstrap.cloud import Cloud, open_cloud
from orchestra_creds.cli.cloud import Backend, BackendOption, ConfigOption, ProjectOption
from orchestra_creds.cli.remote_schedule import (
    RemoteOptions,
    cloud_run_job,
    file_in_checkout,
    find_job,
    find_workflow,
    print_workflow,
    remove_job,
    remove_workflow,
    require_labels,
    workflow,
)
from orchestra_creds.cli.session import STDOUT, Format, FormatOption, QuietOption, YesOption, emit
from orchestra_creds.config import credential_declarations as declarations
from orchestra_creds.config import settings as configuration
from orchestra_creds.config.environments import choose_project
from orchestra_creds.core.result import Result
from orchestra_creds.errors import ConfigError, ExitCode
from orchestra_creds.folders import STATE_VARIABLE
from orchestra_creds.rotation.destinations import path_of
from orchestra_creds.schedule import entry as entries
from orchestra_creds.schedule import install as installing
from orchestra_creds.schedule.install import Installation
from orchestra_creds.schedule.workflow import LOCK

app = typer.Typer(
    name="schedule", no_args_is_help=True, rich_markup_mode=None, help="Let a scheduler run `rotate --due` every day."
)


class Runner(StrEnum):
    """Who runs it."""

    CRONTAB = "crontab"
    SYSTEMD = "systemd"
    CLOUD_RUN_JOB = "cloud-run-job"
    GITHUB_ACTIONS = "github-actions"


RunnerOption = Annotated[Runner, typer.Option("--runner", help="Who runs it.")]
WhichOption = Annotated[Runner | None, typer.Option("--runner", help="Only this one.")]
REGION = "us-central1"
RegionOption = Annotated[str, typer.Option("--region", metavar="REGION", help="cloud-run-job: where.")]
WorkflowOption = Annotated[
    str, typer.Option("--output", "-o", metavar="FILE", help="github-actions: the workflow; install prints it to -.")
]
IdentityOption = Annotated[
    str, typer.Option("--identity", metavar="MAIL", help="cloud-run-job, github-actions: the account it runs as.")
]
UserOption = Annotated[
    bool, typer.Option("--user/--system", help="systemd: units for you alone, or for the machine (needs root).")
]


@app.command()
def install(
    *,
    runner: RunnerOption = Runner.CRONTAB,
    at: Annotated[str, typer.Option("--at", metavar="HH:MM", help="When. Default: shortly after three.")] = "",
    ping_url: Annotated[str, typer.Option("--ping-url", metavar="URL", help="A dead man's switch.")] = "",
    metrics_file: Annotated[str, typer.Option("--metrics-file", metavar="FILE", help="Prometheus metrics.")] = "",
    from_labels: Annotated[
        bool,
        typer.Option("--from-labels", help="The run also reads labels of secrets; always without the file."),
    ] = False,
    user: UserOption = True,
    identity: IdentityOption = "",
    image: Annotated[str, typer.Option("--image", metavar="IMAGE", help="cloud-run-job: NAME@sha256:DIGEST.")] = "",
    region: RegionOption = REGION,
    provider: Annotated[
        str, typer.Option("--provider", metavar="NAME", help="github-actions: projects/NUMBER/.../providers/NAME.")
    ] = "",
    github_environment: Annotated[
        str, typer.Option("--github-environment", metavar="NAME", help="github-actions: the protected environment.")
    ] = "production",
    lock: Annotated[
        str,
        typer.Option("--lock", metavar="FILE", help="github-actions: requirements with hashes, in the repository."),
    ] = LOCK,
    output: WorkflowOption = "",
    yes: YesOption = False,
    backend: BackendOption = None,
    project: ProjectOption = "",
    config: ConfigOption = None,
    format_: FormatOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """Install the daily run for a project; a second time changes nothing.

    cron and systemd run it on this machine. A Cloud Run job runs it in the project, as an account, started by Cloud Scheduler; times are
    UTC. GitHub Actions runs a workflow that is written here, with federation and no key; it checks out the file if that lies in the working
    folder, and installs what --lock names by hash. A run without the file reads the labels of secrets: then a credential that only the
    file declares is refused.
    """
    path, project = _config_and_project(project, config)
    remote = RemoteOptions(identity, image, region, provider, github_environment, output, ping_url, yes, lock)
    if runner is Runner.CLOUD_RUN_JOB:
        with _cloud(project, backend, config) as cloud:
            require_labels(cloud, runner.value)
            made = cloud_run_job(cloud, entries.entry(cloud.project, ("orchestra-creds",), at), remote)
        emit(made, format_)
    if runner is Runner.GITHUB_ACTIONS:
        remote = replace(remote, config=file_in_checkout(path), from_labels=from_labels)
        if configuration.load(config).document.credentials and not remote.config:
            with _cloud(project, backend, config) as cloud:
                require_labels(cloud, runner.value)
        daily = entries.entry(project, ("orchestra-creds",), at)
        if output == str(STDOUT):
            print_workflow(daily, remote)
            return
        done = workflow(daily, remote)
        emit(_result([done], ["installed" if done.changed else "nothing to change"]), format_)
    if metrics_file == str(STDOUT):
        raise ConfigError("a scheduled run needs a file for its metrics", hint="--metrics-file FILE")
    metrics = os.path.abspath(metrics_file) if metrics_file else ""
    by_labels = from_labels or not path
    command = _command(project, path, backend, ping_url, metrics, from_labels=by_labels)
    state = os.environ.get(STATE_VARIABLE, "")
    variables = ((STATE_VARIABLE, os.path.abspath(state)),) if state else ()
    folders = (*_folders_to_write(config, project, metrics), *(value for _, value in variables))
    wanted = replace(entries.entry(project, command, at, variables), folders=folders)
    if runner is Runner.CRONTAB:
        done = installing.install_crontab(wanted)
    else:
        done = installing.install_systemd(wanted, installing.unit_folder(user=user), user=user)
    code = ExitCode.ATTENTION if done.todo else ExitCode.OK
    lines = ["there is no orchestra-creds.toml here: the run trusts the labels of secrets"] if not path else []
    lines += ["installed" if done.changed else "nothing to change", *([f"now run: {done.todo}"] if done.todo else [])]
    emit(_result([done], lines, code), format_)


@app.command()
def show(
    *,
    runner: WhichOption = None,
    region: RegionOption = REGION,
    output: WorkflowOption = "",
    backend: BackendOption = None,
    project: ProjectOption = "",
    config: ConfigOption = None,
    format_: FormatOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """Show what is installed for a project: on this machine and in the working folder, or in the cloud when that runner is named."""
    if runner is Runner.CLOUD_RUN_JOB:
        with _cloud(project, backend, config) as cloud:
            found = find_job(cloud, region)
    else:
        settled = _config_and_project(project, config)[1]
        found = installing.list_installations(settled, _folders()) + find_workflow(settled, output)
        found = [one for one in found if runner is None or one.runner == runner.value]
    emit(_result(found, [] if found else ["nothing is installed"]), format_)


@app.command()
def remove(
    *,
    runner: WhichOption = None,
    user: UserOption = True,
    region: RegionOption = REGION,
    output: WorkflowOption = "",
    yes: YesOption = False,
    backend: BackendOption = None,
    project: ProjectOption = "",
    config: ConfigOption = None,
    format_: FormatOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """Remove what was installed for a project, of crontab and systemd unless a runner is named; everything else stays."""
    if runner is Runner.CLOUD_RUN_JOB:
        with _cloud(project, backend, config) as cloud:
            found = remove_job(cloud, region, yes=yes)
    elif runner is Runner.GITHUB_ACTIONS:
        found = remove_workflow(_config_and_project(project, config)[1], output, yes=yes)
    else:
        only = runner.value if runner is not None else ""
        found = installing.remove_installations(
            _config_and_project(project, config)[1], _folders(), user=user, only=only
        )
    emit(_result(found, ["removed" if found else "nothing is installed"]), format_)


@contextlib.contextmanager
def _cloud(project: str, backend: Backend | None, config: Path | None) -> "Iterator[Cloud]":
    with open_cloud(backend=backend.value if backend else "", project=project, config=config) as cloud:
        yield cloud


def _config_and_project(project: str, config: Path | None) -> tuple[str, str]:
    """The configuration file as a scheduler must be given it, and the project."""
    settings = configuration.load(config)
    path = str(settings.path.resolve()) if settings.path else ""
    return path, choose_project(settings.document, "", project, os.environ)


def _command(
    project: str, config: str, backend: Backend | None, ping_url: str, metrics_file: str, *, from_labels: bool
) -> tuple[str, ...]:
    program = os.path.abspath(sys.argv[0])
    options = {
        "--project": project,
        "--backend": backend.value if backend else "",
        "--config": config,
        "--jitter": "5m",
        "--ping-url": ping_url,
        "--metrics-file": metrics_file,
    }
    labels = ("--from-labels",) if from_labels else ()
    return program, "rotate", "--due", *labels, *(word for pair in options.items() if pair[1] for word in pair)


def _folders_to_write(config: Path | None, project: str, metrics_file: str) -> tuple[str, ...]:
    """The folders of the file destinations that the configuration declares, and of the metrics; each once, in order."""
    tables = configuration.load(config).document.credentials
    declared = [declarations.credential(name, table, project) for name, table in tables.items()]
    paths = [path_of(copy) for one in declared for copy in one.copies if copy.kind == "file"]
    return tuple(dict.fromkeys(os.path.dirname(os.path.abspath(path)) for path in [*paths, metrics_file] if path))


def _folders() -> list[Path]:
    return [installing.unit_folder(user=True), installing.unit_folder(user=False)]


def _result(found: list[Installation], lines: list[str], code: ExitCode = ExitCode.OK) -> Result:
    return Result(
        "orchestra-creds/schedule/1",
        {"installed": [{"runner": o.runner, "where": o.where, "what": o.what, "todo": o.todo} for o in found]},
        ("runner", "where", "what"),
        tuple((one.runner, one.where, one.what) for one in found),
        tuple(lines),
        code,
    )
