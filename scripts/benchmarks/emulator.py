"""What the embedded cloud costs: start beyond imports, each call over gRPC and REST, memory.

Every start is a fresh process on a new state (imports done first, then the clock). Calls are made one after the other
by the official client from a process of its own, over a state file on disk, after a few calls that warm it up.

`--strict` compares strict mode with lenient mode instead: starts and calls of the two alternate, so that both meet the same load.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import google_crc32c
import grpc
from google.auth.credentials import AnonymousCredentials
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports.grpc import (
    SecretManagerServiceGrpcTransport,
)

from benchmarks import page
from benchmarks.clouds import switch_to_strict
from orchestra_creds.emulator.server import control
from orchestra_creds.emulator.server.servers import EmulatorEndpoints

PROJECT = "projects/demo-project"
DATA = b"x" * 2400
"""The size of a service-account key in JSON."""

WARM_UP = 20
MODES = ("lenient", "strict")
START = """
import sys, time
from pathlib import Path
from orchestra_creds.emulator.server import control
import grpc._server  # gRPC imports it when the first server is made
begin = time.perf_counter()
running = control.start_in_process(Path(sys.argv[1]), strict=sys.argv[2] == "strict")
print((time.perf_counter() - begin) * 1000)
running.stop()
"""


def main() -> None:
    """Measure and print (or write into a page) two tables."""
    parser = argparse.ArgumentParser(prog="scripts/bench emulator", description=__doc__)
    parser.add_argument("--calls", type=int, default=300, help="calls of each kind")
    parser.add_argument("--starts", type=int, default=7, help="starts of each kind")
    parser.add_argument("--write", type=Path, help="a page with marks for `emulator`; the tables go there")
    parser.add_argument("--strict", action="store_true", help="compare strict mode with lenient mode")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.strict:
            print(_compare_modes(Path(folder), options.starts, options.calls))
            return
        text = f"{_starts(Path(folder), options.starts)}\n{_calls(Path(folder) / 'calls.db', options.calls)}"
    if options.write:
        page.replace(options.write, "emulator", text)
    else:
        print(text)


def _starts(folder: Path, times: int) -> str:
    new = [_start(folder / f"{number}.db") for number in range(times)]
    again = [_start(folder / "0.db") for _ in range(times)]
    daemons = []
    for number in range(times):
        state = folder / f"{number}.db"
        begin = time.perf_counter()
        control.start_daemon(state)
        daemons.append((time.perf_counter() - begin) * 1000)
        control.stop_daemon(state)
    rows = [
        ("start", "median (ms)", "best (ms)"),
        ("in process, new state, beyond imports", *_middle_and_best(new)),
        ("in process, known state, beyond imports", *_middle_and_best(again)),
        ("daemon, until both ports answer, imports included", *_middle_and_best(daemons)),
    ]
    return page.table(rows)


def _compare_modes(folder: Path, starts: int, times: int) -> str:
    """Two tables: starts and calls, strict beside lenient."""
    taken: dict[str, list[float]] = {mode: [] for mode in MODES}
    for number in range(starts):
        for mode in MODES:
            taken[mode].append(_start(folder / f"{mode}-{number}.db", mode))
    rows: list[tuple[str, ...]] = [("start, new state, beyond imports", "median (ms)", "best (ms)")]
    rows += [(mode, *_middle_and_best(taken[mode])) for mode in MODES]
    calls: list[tuple[str, ...]] = [("call", *(f"{mode} {what} (ms)" for what in ("p50", "p99") for mode in MODES))]
    with contextlib.ExitStack() as stack:
        daemons = [control.start_daemon(folder / f"{mode}.db", strict=mode == "strict") for mode in MODES]
        for mode in MODES:
            stack.callback(control.stop_daemon, folder / f"{mode}.db")
        switch_to_strict(folder / "strict.db")
        channels = [stack.enter_context(grpc.insecure_channel(daemon.endpoints.grpc)) for daemon in daemons]
        over_grpc = [
            SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=one)) for one in channels
        ]
        over_rest = [_rest_client(daemon.endpoints) for daemon in daemons]
        for transport, clients in (("gRPC", over_grpc), ("REST", over_rest)):
            kinds = [_kinds(client, transport.lower()) for client in clients]
            for kind in kinds[0]:
                figures = _percentiles(times, *(calls_of[kind] for calls_of in kinds))
                calls.append((f"{kind}, {transport}", *(one[0] for one in figures), *(one[1] for one in figures)))
    return f"{page.table(rows)}\n{page.table(calls)}"


def _start(state: Path, mode: str = "lenient") -> float:
    command = [sys.executable, "-c", START, str(state), mode]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _middle_and_best(times: Iterable[float]) -> tuple[str, str]:
    sorted_times = sorted(times)
    return f"{statistics.median(sorted_times):.0f}", f"{sorted_times[0]:.0f}"


def _calls(state: Path, times: int) -> str:
    daemon = control.start_daemon(state)
    try:
        idle = _resident(daemon.pid)
        rows: list[tuple[str, ...]] = [("call", "gRPC p50 (ms)", "gRPC p99 (ms)", "REST p50 (ms)", "REST p99 (ms)")]
        with grpc.insecure_channel(daemon.endpoints.grpc) as channel:
            over_grpc = _measured(
                SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=channel)), "grpc", times
            )
        over_rest = _measured(_rest_client(daemon.endpoints), "rest", times)
        rows += [(name, *over_grpc[name], *over_rest[name]) for name in over_grpc]
        busy = _resident(daemon.pid)
    finally:
        control.stop_daemon(state)
    return f"{page.table(rows)}\nThe daemon holds {idle} MiB at first and {busy} MiB after these calls (RSS).\n"


def _rest_client(endpoints: EmulatorEndpoints) -> SecretManagerServiceClient:
    options = {"api_endpoint": endpoints.http}
    return SecretManagerServiceClient(transport="rest", client_options=options, credentials=AnonymousCredentials())


def _measured(client: Any, prefix: str, times: int) -> dict[str, tuple[str, str]]:
    """p50 and p99 of each kind of call."""
    return {kind: _percentiles(times, call)[0] for kind, call in _kinds(client, prefix).items()}


def _kinds(client: Any, prefix: str) -> dict[str, Callable[[int], object]]:
    """The calls that are measured, on a secret of their own; each is given its number."""
    name = f"{PROJECT}/secrets/{prefix}"
    automatic: dict[str, Any] = {"replication": {"automatic": {}}}
    client.create_secret(parent=PROJECT, secret_id=prefix, secret=automatic)
    payload = {"data": DATA, "data_crc32c": google_crc32c.value(DATA)}
    mask = {"paths": ["version_aliases"]}
    return {
        "CreateSecret": lambda n: client.create_secret(parent=PROJECT, secret_id=f"{prefix}-{n}", secret=automatic),
        "GetSecret": lambda _n: client.get_secret(name=name),
        "AddSecretVersion (2.4 kB)": lambda _n: client.add_secret_version(parent=name, payload=payload),
        "AccessSecretVersion latest": lambda _n: client.access_secret_version(name=f"{name}/versions/latest"),
        "GetSecretVersion": lambda _n: client.get_secret_version(name=f"{name}/versions/1"),
        "UpdateSecret (an alias)": lambda n: client.update_secret(
            secret={"name": name, "version_aliases": {"current": n + 1}}, update_mask=mask
        ),
        "DisableSecretVersion": lambda n: client.disable_secret_version(name=f"{name}/versions/{n + 1}"),
        "ListSecretVersions (100)": lambda _n: client.list_secret_versions(request={"parent": name, "page_size": 100}),
        "GetIamPolicy": lambda _n: client.get_iam_policy(request={"resource": name}),
    }


def _percentiles(times: int, *calls: Callable[[int], object]) -> list[tuple[str, str]]:
    """p50 and p99 of calls that alternate."""
    taken: list[list[float]] = [[] for _ in calls]
    for number in range(WARM_UP + times):
        for call, spans in zip(calls, taken, strict=True):
            begin = time.perf_counter()
            call(number)
            spans.append((time.perf_counter() - begin) * 1000)
    cuts = [statistics.quantiles(spans[WARM_UP:], n=100) for spans in taken]
    return [(f"{one[49]:.2f}", f"{one[98]:.2f}") for one in cuts]


def _resident(pid: int) -> str:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return f"{pages * os.sysconf('SC_PAGE_SIZE') / 2**20:.0f}"


if __name__ == "__main__":
    main()
