"""`emulator`: the embedded Google Cloud as a daemon, for gcloud, other languages and long tests."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import typer

from orchestra_creds.bootstrap import cloud
from orchestra_creds.cli.session import (
    Format,
    FormatOption,
    QuietOption,
    YesOption,
    confirm,
    emit,
    write_stdout,
)
from orchestra_creds.core import durations
from orchestra_creds.core.result import Result
from orchestra_creds.errors import ConfigError, PreconditionError
from orchestra_creds.render.times import time_text

app = typer.Typer(
    name="emulator", rich_markup_mode=None, no_args_is_help=True, help="The embedded Google Cloud on this machine."
)

PortOption = Annotated[int, typer.Option("--port", min=0, max=65535, help="gRPC port; 0 takes the remembered one.")]
HttpPortOption = Annotated[
    int, typer.Option("--http-port", min=0, max=65535, help="HTTP port; 0 takes the remembered one.")
]


class ShellKind(StrEnum):
    """How `emulator env` writes its lines."""

    POSIX = "posix"
    FISH = "fish"
    POWERSHELL = "powershell"


class FaultPhaseName(StrEnum):
    """When a fault comes."""

    BEFORE = "before"
    AFTER = "after"


@app.command()
def start(
    *,
    port: PortOption = 0,
    http_port: HttpPortOption = 0,
    auth: Annotated[bool, typer.Option("--auth", help="Identify callers and check their permissions.")] = False,
    strict: Annotated[
        bool | None,
        typer.Option(
            "--strict/--no-strict",
            envvar=cloud.STRICT_VARIABLE,
            help="Refuse and delay what Google refuses and delays; kept in the state.",
            show_default="as the state is, else off",
        ),
    ] = None,
    format_: FormatOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """Start the daemon, or find the one that runs; returns when both ports answer. It listens on loopback only."""
    from orchestra_creds.emulator.server import control
    from orchestra_creds.render.emulator import status_result

    cloud.silence_libraries()  # the daemon's log is a file
    state = cloud.emulator_state()
    daemon = control.start_daemon(state, auth=auth, strict=strict, grpc_port=port, http_port=http_port)
    emit(status_result(daemon), format_)


@app.command()
def stop(*, format_: FormatOption = Format.TABLE, quiet: QuietOption = False) -> None:
    """End the daemon; what it stored stays."""
    from orchestra_creds.emulator.server import control

    stopped = control.stop_daemon(cloud.emulator_state())
    line = "the embedded cloud has stopped" if stopped else "the embedded cloud was not running"
    emit(Result("orchestra-creds/emulator/1", {"running": False, "stopped": stopped}, lines=(line,)), format_)


@app.command()
def status(*, format_: FormatOption = Format.TABLE) -> None:
    """Tell whether the daemon runs and where it listens; ends with 4 when it does not run."""
    from orchestra_creds.emulator.server import control
    from orchestra_creds.render.emulator import status_result

    emit(status_result(control.find_daemon(cloud.emulator_state())), format_)


@app.command()
def env(
    *,
    project: Annotated[str, typer.Option("--project", help="The project that gcloud and we use.")] = "demo-project",
    shell: Annotated[ShellKind, typer.Option("--shell", help="The syntax of the lines.")] = ShellKind.POSIX,
    unset: Annotated[bool, typer.Option("--unset", help="Print lines that take the variables away again.")] = False,
) -> None:
    """Print the variables that point gcloud and orchestra-creds to the daemon: eval "$(orchestra-creds emulator env)".

    With a daemon that checks permissions, a token of its owner is among them.
    """
    from orchestra_creds.emulator.server import control
    from orchestra_creds.emulator.server.servers import EmulatorEndpoints

    state = cloud.emulator_state()
    if unset:
        nowhere = EmulatorEndpoints(0, 0)  # only the names count, those of both modes
        both = control.environment(state, nowhere) | control.environment(state, nowhere, access_token="-")  # noqa: S106
        write_stdout(control.exports(both, shell=shell.value, unset=True))
        return
    daemon = control.find_daemon(state)
    if daemon is None:
        raise PreconditionError("the embedded cloud is not running", hint="start it: orchestra-creds emulator start")
    token = control.owner_token(state) if daemon.auth else ""
    variables = control.environment(state, daemon.endpoints, project=project, access_token=token)
    write_stdout(control.exports(variables, shell=shell.value))


@app.command()
def reset(*, yes: YesOption = False, format_: FormatOption = Format.TABLE, quiet: QuietOption = False) -> None:
    """Forget everything that the embedded cloud holds: secrets, accounts, faults, clock, log."""
    from orchestra_creds.emulator.server import control

    confirm("forget everything in the embedded cloud?", yes=yes)
    with control.open_state(cloud.emulator_state()) as store:
        store.reset()
    emit(Result("orchestra-creds/emulator-reset/1", {"empty": True}, lines=("the embedded cloud is empty",)), format_)


@app.command()
def log(
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The latest so many entries.")] = 1000,
    mutating: Annotated[bool, typer.Option("--mutating", help="Only calls that change something.")] = False,
    format_: FormatOption = Format.TABLE,
) -> None:
    """Show every call with method, resource, caller and status, oldest first; never a payload."""
    from orchestra_creds.emulator.server import control
    from orchestra_creds.render.emulator import log_result

    with control.open_state(cloud.emulator_state()) as store:
        found = store.audit(limit=limit, mutating=mutating)
    emit(log_result(found), format_)


@app.command()
def clock(
    *,
    advance: Annotated[
        str, typer.Option("--advance", metavar="SPAN", help="Move it forward: 90s, 30m, 80h, 8d, 2w.")
    ] = "",
    format_: FormatOption = Format.TABLE,
) -> None:
    """Tell the embedded cloud's time, or move it forward for every process that uses it."""
    from orchestra_creds.emulator.server import control

    step = durations.parse(advance, what="--advance") if advance else timedelta(0)
    now = control.advance_clock(cloud.emulator_state(), step)
    body = {"now": time_text(now), "advanced_seconds": int(step.total_seconds())}
    emit(
        Result("orchestra-creds/emulator-clock/1", body, lines=(f"the embedded cloud's time is {time_text(now)}",)),
        format_,
    )


@app.command()
def fault(
    *,
    method: Annotated[
        str,
        typer.Argument(
            metavar="[METHOD]", help="Methods by pattern, e.g. '*/AddSecretVersion'; none lists the faults."
        ),
    ] = "",
    code: Annotated[
        str, typer.Option("--code", help="The status, e.g. UNAVAILABLE, ABORTED; OK only delays.")
    ] = "UNAVAILABLE",
    phase: Annotated[
        FaultPhaseName, typer.Option("--phase", help="Before the work, or after it (the reply is lost).")
    ] = FaultPhaseName.BEFORE,
    first: Annotated[int, typer.Option("--first", min=1, help="The matching call that meets it first.")] = 1,
    times: Annotated[int, typer.Option("--times", min=0, help="How many calls meet it; 0 until cleared.")] = 1,
    delay: Annotated[str, typer.Option("--delay", metavar="SPAN", help="Wait before the answer, at most 30s.")] = "",
    lag: Annotated[
        list[str] | None,
        typer.Option(
            "--lag",
            metavar="WHAT=SPAN",
            help="See changes late: latest, alias, state, list, iam, api, operation, metric; all.",
        ),
    ] = None,
    quota: Annotated[
        list[str] | None,
        typer.Option(
            "--quota",
            metavar="BUCKET=N",
            help="Calls a minute, e.g. write=600 (access, read, write, or a method); none for no limit.",
        ),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove all faults, lags and quotas first.")] = False,
    format_: FormatOption = Format.TABLE,
) -> None:
    """Make calls fail, wait or be seen late; prints what is in force."""
    from orchestra_creds.emulator.protocol import faults
    from orchestra_creds.emulator.server import control
    from orchestra_creds.render.emulator import faults_result

    new = None
    with control.change_state(cloud.emulator_state()) as txn:
        if method:
            wait = durations.parse(delay, what="--delay") if delay else timedelta(0)
            status = faults.code_by_name(code)
            new = faults.Fault(method, status, faults.FaultPhase(phase.value), first=first, times=times, delay=wait)
        settings = faults.change(
            txn,
            clear_first=clear,
            fault=new,
            late=[
                (which, durations.parse(span, what="--lag"))
                for what, span in _pairs(lag, "--lag WHAT=SPAN")
                for which in faults.lags_by_name(what)
            ],
            limits=[(bucket, _per_minute(number)) for bucket, number in _pairs(quota, "--quota BUCKET=N")],
        )
    emit(faults_result(settings), format_)


def _per_minute(number: str) -> int | None:
    if number != "none" and not (number.isascii() and number.isdecimal()):
        raise ConfigError(f"{number!r} is not a number of calls", hint="--quota write=600, or =none")
    return None if number == "none" else int(number)


def _pairs(items: list[str] | None, form: str) -> list[tuple[str, str]]:
    pairs = [item.partition("=") for item in items or ()]
    if not all(equals for _, equals, _ in pairs):
        raise ConfigError("a name and a value are needed", hint=f"write {form}")
    return [(name, value) for name, _, value in pairs]
