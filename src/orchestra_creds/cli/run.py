"""`run`: gives secrets to one process, and becomes it."""

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from typing import Annotated, NoReturn

import typer

from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.bootstrap.delivery import read_deliveries
from orchestra_creds.cli.cloud import EnvOption, JobsOption, cloud_verb
from orchestra_creds.cli.memory_files import memory_files
from orchestra_creds.cli.names import check_each_mapping, check_secret_names, check_version
from orchestra_creds.cli.session import Session
from orchestra_creds.cli.supervise import supervise_child
from orchestra_creds.core.material import Material
from orchestra_creds.core.text import os_error_text
from orchestra_creds.errors import ConfigError
from orchestra_creds.parallel import CALLS_AT_ONCE

CANNOT_RUN, NOT_FOUND = 126, 127
"""What a shell answers for a program that may not be run, and for one that is not there (POSIX, Exit Status for Commands)."""
OnlyOption = Annotated[
    str, typer.Option("--only", metavar="NAME,NAME", help="Only these secrets.", callback=check_secret_names)
]
MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map", metavar="SECRET=VARIABLE", help="Another name; may be repeated.", callback=check_each_mapping
    ),
]
VersionOption = Annotated[str, typer.Option("--version", help="A number, an alias, or latest.", callback=check_version)]


@cloud_verb
def run(
    session: Session,
    cloud: Cloud,
    *,
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND [ARGUMENT]...", help="The program to become.")],
    only: OnlyOption = "",
    renamed: MapOption = None,
    version: VersionOption = "latest",
    as_files: Annotated[
        bool, typer.Option("--as-files", help="As files in memory; NAME_FILE tells where. Removed at the end.")
    ] = False,
    mask: Annotated[
        bool, typer.Option("--mask", help="Take the values out of what it prints to a pipe or a file.")
    ] = False,
    clean_env: Annotated[
        bool, typer.Option("--clean-env", help="Pass on nothing else but PATH, HOME and locale.")
    ] = False,
    jobs: JobsOption = CALLS_AT_ONCE,
    env: EnvOption = "",
) -> None:
    """Start a program with secrets in its environment, or in files; its exit code is ours, 126 or 127 when it cannot start.

    Every secret is read before the program starts: one that is missing stops everything. At a terminal, production wants a --reason.
    """
    if cloud.is_guarded(env) and not cloud.session.reason and sys.stdin is not None and sys.stdin.isatty():
        raise ConfigError(
            f"{env} is guarded: a person says why",
            hint='add --reason "..."; it will stand in the audit log with every read',
        )
    material = read_deliveries(cloud, env, [name for name in only.split(",") if name], renamed or (), version)
    cloud.close()
    program = shutil.which(command[0])
    if program is None:
        session.say(f"{command[0]}: no such program")
        raise typer.Exit(CANNOT_RUN if os.path.exists(command[0]) else NOT_FOUND)
    passed_on = _environment(clean=clean_env)
    try:
        if as_files or mask:
            raise typer.Exit(_run_as_child(program, command, passed_on, material, as_files=as_files, mask=mask))
        _become(program, command, passed_on | _variables(material))
    except OSError as error:
        session.say(f"{command[0]}: {os_error_text(error)}")
        raise typer.Exit(CANNOT_RUN) from None


def _environment(*, clean: bool) -> dict[str, str]:
    """What the program gets beside the secrets: nothing that steers our own verbs."""
    kept = {"PATH", "HOME", "LANG", "TZ", "TERM", "USER", "LOGNAME", "SHELL", "TMPDIR"}
    return {
        name: value
        for name, value in os.environ.items()
        if (name in kept or name.startswith("LC_") if clean else name != "ORCHESTRA_CREDS_ACCESS_TOKEN")
    }


def _variables(material: Mapping[str, Material]) -> dict[str, str]:
    for name, value in material.items():
        if b"\0" in value.reveal():
            raise ConfigError(f"the value for {name} holds a zero byte and cannot be a variable", hint="use --as-files")
    return {name: os.fsdecode(value.reveal()) for name, value in material.items()}


def _become(program: str, command: list[str], environment: Mapping[str, str]) -> NoReturn:
    # Python ignores SIGPIPE and SIGXFSZ, and a program inherits that
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.execve(program, command, dict(environment))  # noqa: S606  becoming it is the point


def _run_as_child(
    program: str,
    command: list[str],
    environment: Mapping[str, str],
    material: Mapping[str, Material],
    *,
    as_files: bool,
    mask: bool,
) -> int:
    """Run it as a child: its files are removed when it ends, and what it prints can be masked."""
    masked = [value.reveal() for value in material.values()] if mask else None
    secrets = memory_files(material) if as_files else contextlib.nullcontext(_variables(material))
    return supervise_child(program, command, environment, secrets, masked)
