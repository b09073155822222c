"""`doctor`: what on this machine and in the project would stop our verbs, and what to do about it."""

import typer

from orchestra_creds.bootstrap.checks import machine_checks, project_checks
from orchestra_creds.bootstrap.cloud import open_cloud
from orchestra_creds.cli.cloud import AsOption, BackendOption, ConfigOption, JobsOption, ProjectOption
from orchestra_creds.cli.session import Format, FormatOption, QuietOption, Session, emit
from orchestra_creds.errors import CredsError
from orchestra_creds.manage.doctor import Check, Diagnosis, Health
from orchestra_creds.parallel import CALLS_AT_ONCE
from orchestra_creds.render.doctor import diagnosis


def doctor(
    ctx: typer.Context,
    *,
    backend: BackendOption = None,
    project: ProjectOption = "",
    as_: AsOption = "",
    config: ConfigOption = None,
    jobs: JobsOption = CALLS_AT_ONCE,
    format_: FormatOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """Check git, folders, engine, identity, clock, APIs, permissions and organization policies; changes nothing.

    Ends with 1 when a check failed. Without a project only this machine is checked.
    """
    checks = list(machine_checks())
    chosen = backend.value if backend else ""
    try:
        with open_cloud(
            backend=chosen,
            project=project,
            impersonate=as_,
            config=config,
            calls_at_once=jobs,
            say=Session.of(ctx).say,
        ) as cloud:
            checks += project_checks(cloud)
    except CredsError as error:
        checks.append(Check("project", Health.WARN, str(error), error.hint))
    found = Diagnosis(tuple(checks))
    rows = [(check.name, check.health.value, check.detail, check.fix) for check in found.checks]
    emit(diagnosis(rows, found.exit_code), format_)
