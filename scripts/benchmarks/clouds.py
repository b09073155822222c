"""An embedded cloud (the emulator) for one measurement: a daemon on a state of its own, and the command that talks to it."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from orchestra_creds.emulator.protocol import faults, strict
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.emulator.protocol.routes import IAM_ADMIN, SECRET_MANAGER, rpcs
from orchestra_creds.emulator.server import control
from orchestra_creds.emulator.server.dispatch import Emulator
from orchestra_creds.emulator.service_usage.services import TITLES, enable
from orchestra_creds.emulator.store.store import Store

PROJECT = "demo-project"
COMMAND = str(Path(sys.executable).with_name("orchestra-creds"))


class Cloud:
    """A daemon on a state of its own, and the command that talks to it."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state" / "emulator.db"
        self.state.parent.mkdir(mode=0o700)
        self.work = folder
        self.endpoints = control.start_daemon(self.state).endpoints
        self.environment = os.environ | {
            "ORCHESTRA_CREDS_STATE_DIR": str(self.state.parent),
            "ORCHESTRA_CREDS_BACKEND": "local",
        }

    def rpc(self, method: str, service: str = SECRET_MANAGER, /, **fields: Any) -> Any:
        """A call on the state, past the daemon."""
        store = Store(self.state)
        try:
            name = f"{service}/{method}"
            return Emulator(store, control.SERVICES).rpc(name, rpcs()[name].request(**fields), {})
        finally:
            store.close()

    def account(self, name: str = "app-one") -> str:
        """A new service account."""
        return str(self.rpc("CreateServiceAccount", IAM_ADMIN, name=f"projects/{PROJECT}", account_id=name).email)

    def secrets(self, count: int) -> None:
        """Labelled secrets of kind `generated`, in one transaction each."""
        store = Store(self.state)
        emulator, create = Emulator(store, control.SERVICES), f"{SECRET_MANAGER}/CreateSecret"
        labels = {"orchestra-kind": "generated", "orchestra-every": "30d"}
        for number in range(count):
            secret = {"replication": {"automatic": {}}, "labels": labels}
            request = rpcs()[create].request(parent=f"projects/{PROJECT}", secret_id=f"c{number:05}", secret=secret)
            emulator.rpc(create, request, {})
        store.close()

    def change(self, latency: float) -> None:
        """Let every call take so long."""
        with control.change_state(self.state) as txn:
            faults.clear(txn)
            if latency:
                faults.arm(txn, faults.Fault("*", Code.OK, times=0, delay=timedelta(seconds=latency)))

    def advance(self, days: int) -> None:
        """Let days pass."""
        control.advance_clock(self.state, timedelta(days=days))

    def audit(self) -> list[Any]:
        """Every call so far."""
        with control.change_state(self.state) as txn:
            return list(txn.audit(limit=1_000_000))

    def run(self, *arguments: str, program: Sequence[str] = (COMMAND,)) -> tuple[float, dict[str, Any], int]:
        """Seconds, the JSON answer, and the peak memory in bytes of one run of the command, or of another program in its place."""
        began = time.perf_counter()
        process = subprocess.Popen(
            [*program, *arguments, "--format", "json"],
            cwd=self.work,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return time.perf_counter() - began, json.loads(text), usage.ru_maxrss * 1024


def switch_to_strict(state: Path) -> None:
    """Switch strict mode on, and every API that is served, which takes effect at once; the lags are those of strict mode."""
    with control.change_state(state) as txn:
        strict.set_strict(txn, on=True)
        enable(txn, PROJECT, *TITLES, "run.googleapis.com", "cloudscheduler.googleapis.com")
    control.advance_clock(state, timedelta(seconds=faults.STRICT_LAGS[faults.Lag.API]))


@contextlib.contextmanager
def cloud(config: str = "") -> Iterator[Cloud]:
    """A cloud for one measurement."""
    with tempfile.TemporaryDirectory(prefix="bench-rotate-") as folder:
        (Path(folder) / "orchestra-creds.toml").write_text(f'schema = 1\n[project]\nid = "{PROJECT}"\n{config}')
        made = Cloud(Path(folder))
        try:
            yield made
        finally:
            control.stop_daemon(made.state)


def key_config(strategy: str, settle: str = "0s") -> str:
    """One service-account key."""
    return (
        f'[credentials.app-key]\nkind = "service-account-key"\naccount = "app-one"\nsettle = "{settle}"\n'
        f'strategy = "{strategy}"\nrequire_unused = "0s"\n'
    )
