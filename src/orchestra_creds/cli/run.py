"""`run`: gives secrets to one process, and becomes it."""

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.cli.cloud import EnvOption, cloud_verb
from orchestra_creds.cli.session import Session
from orchestra_creds.core.material import Material
from orchestra_creds.errors import ConfigError

CANNOT_RUN, NOT_FOUND = 126, 127
"""What a shell answers for a program that may not be run, and for one that is not there (POSIX, Exit Status for Commands)."""
FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
OnlyOption = Annotated[str, typer.Option("--only", metavar="NAME,NAME", help="Only these secrets.")]
MapOption = Annotated[
    list[str] | None, typer.Option("--map", metavar="SECRET=VARIABLE", help="Another name; may be repeated.")
]
VersionOption = Annotated[str, typer.Option("--version", help="A number, an alias, or latest.")]


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
    clean_env: Annotated[
        bool, typer.Option("--clean-env", help="Pass on nothing else but PATH, HOME and locale.")
    ] = False,
    env: EnvOption = "",
) -> None:
    """Start a program with secrets in its environment, or in files; its exit code is ours, 126 or 127 when it cannot start.

    Every secret is read before the program starts: one that is missing stops everything.
    """
    from orchestra_creds.bootstrap.delivery import delivered

    material = delivered(cloud, env, [name for name in only.split(",") if name], renamed or (), version)
    cloud.close()
    program = shutil.which(command[0])
    if program is None:
        session.say(f"{command[0]}: no such program")
        raise typer.Exit(CANNOT_RUN if os.path.exists(command[0]) else NOT_FOUND)
    passed_on = _environment(clean=clean_env)
    if not as_files:
        _become(program, command, passed_on | {name: _text(name, value) for name, value in material.items()}, session)
    raise typer.Exit(_supervised(program, command, passed_on, material))


def _environment(*, clean: bool) -> dict[str, str]:
    """What the program gets beside the secrets: nothing that steers our own verbs."""
    kept = {"PATH", "HOME", "LANG", "TZ", "TERM", "USER", "LOGNAME", "SHELL", "TMPDIR"}
    return {
        name: value
        for name, value in os.environ.items()
        if (name in kept or name.startswith("LC_") if clean else name != "ORCHESTRA_CREDS_ACCESS_TOKEN")
    }


def _text(name: str, value: Material) -> str:
    data = value.reveal()
    if b"\0" in data:
        raise ConfigError(f"the value for {name} holds a zero byte and cannot be a variable", hint="use --as-files")
    return os.fsdecode(data)


def _become(program: str, command: list[str], environment: Mapping[str, str], session: Session) -> NoReturn:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(program, command, dict(environment))  # noqa: S606  becoming it is the point
    except OSError as error:
        session.say(f"{command[0]}: {(error.strerror or type(error).__name__).lower()}")
        raise typer.Exit(CANNOT_RUN) from None


def _supervised(
    program: str, command: list[str], environment: Mapping[str, str], material: Mapping[str, Material]
) -> int:
    """Run it as a child, so that its files can be removed when it ends."""
    import subprocess

    with _files(material) as places:
        try:
            child = subprocess.Popen([program, *command[1:]], env={**environment, **places})
        except OSError:
            return CANNOT_RUN
        before = {number: signal.signal(number, lambda got, _frame: child.send_signal(got)) for number in FORWARDED}
        try:
            code = child.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    return 128 - code if code < 0 else code


@contextlib.contextmanager
def _files(material: Mapping[str, Material]) -> Iterator[dict[str, str]]:
    """NAME_FILE -> a 0600 file in a 0700 folder that is not on a disk, where the machine has one."""
    import tempfile

    places = (os.environ.get("XDG_RUNTIME_DIR", ""), "/dev/shm")  # noqa: S108  memory, and private below
    memory = next((place for place in places if place and os.access(place, os.W_OK)), None)
    with tempfile.TemporaryDirectory(prefix="orchestra-creds-", dir=memory) as folder:
        for name, value in material.items():
            descriptor = os.open(Path(folder) / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(value.reveal())
        yield {f"{name}_FILE": str(Path(folder) / name) for name in material}
