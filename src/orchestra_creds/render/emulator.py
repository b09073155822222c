"""The embedded cloud (the emulator) for people and machines: whether it runs, its calls, the trouble it makes."""

from collections.abc import Sequence
from dataclasses import asdict

from orchestra_creds.core.result import Result
from orchestra_creds.emulator.protocol.faults import FaultSettings
from orchestra_creds.emulator.server.control import Daemon
from orchestra_creds.emulator.store.store import AuditEntry
from orchestra_creds.errors import ExitCode
from orchestra_creds.render.times import time_text

_LOG_FIELDS = ("method", "resource", "caller", "status", "reason")


def status_result(daemon: Daemon | None) -> Result:
    """Return whether the daemon runs and where it listens."""
    schema = "orchestra-creds/emulator/1"
    if daemon is None:
        return Result(
            schema, {"running": False}, lines=("the embedded cloud is not running",), exit_code=ExitCode.PRECONDITION
        )
    body = {
        "running": True,
        "pid": daemon.pid,
        "grpc": daemon.endpoints.grpc,
        "http": daemon.endpoints.http,
        "auth": daemon.auth,
        "strict": daemon.strict,
        "started": time_text(daemon.started),
    }
    mode = ("checks permissions" if daemon.auth else "everybody is owner") + (", strict" if daemon.strict else "")
    lines = (
        f"the embedded cloud runs (process {daemon.pid}, {mode}): gRPC {daemon.endpoints.grpc}, HTTP {daemon.endpoints.http}",
        'use it with: eval "$(orchestra-creds emulator env)"',
    )
    return Result(schema, body, lines=lines)


def log_result(found: Sequence[AuditEntry]) -> Result:
    """Return the calls of the audit log as a table, in the order given."""
    entries = [asdict(entry) | {"time": entry.time.isoformat()} for entry in found]
    rows = tuple(
        (str(entry["time"]), "changes" if entry["mutating"] else "reads", *(str(entry[field]) for field in _LOG_FIELDS))
        for entry in entries
    )
    columns = ("TIME", "", *(field.upper() for field in _LOG_FIELDS))
    return Result(
        "orchestra-creds/emulator-log/1", {"entries": entries}, columns, rows, () if rows else ("no calls yet",)
    )


def faults_result(settings: FaultSettings) -> Result:
    """Return the faults as a table, the lags and quotas as lines below it."""
    body = {
        "faults": [
            {
                "method": fault.method,
                "code": fault.code.name,
                "phase": fault.phase.value,
                "first": fault.first,
                "times": fault.times,
                "seen": fault.seen,
            }
            for fault in settings.faults
        ],
        "lags": {which.value: seconds for which, seconds in settings.lags.items()},
        "quotas": settings.quotas,
    }
    rows = tuple(
        (f.method, f.code.name, f.phase.value, str(f.first), str(f.times or "always"), str(f.seen))
        for f in settings.faults
    )
    lines = [f"{which.value} is seen {seconds:g} s late" for which, seconds in settings.lags.items()]
    lines += [f"{bucket}: {number} calls a minute" for bucket, number in settings.quotas.items()]
    return Result(
        "orchestra-creds/emulator-faults/1",
        body,
        ("METHOD", "CODE", "PHASE", "FIRST", "TIMES", "SEEN"),
        rows,
        tuple(lines) if rows or lines else ("no faults",),
    )
