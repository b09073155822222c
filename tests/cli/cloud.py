"""What the tests of the cloud verbs share: an operator of the embedded cloud, its state, and a terminal."""

import contextlib
import json
import os
import pty
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.emulator.protocol.routes import IAM_ADMIN, rpcs
from orchestra_creds.emulator.server import control
from orchestra_creds.emulator.server.dispatch import Emulator
from orchestra_creds.emulator.service_usage.services import enable
from orchestra_creds.emulator.store.store import Store
from tests.cli.conftest import COMMAND, STATE_FILE, Operator
from tests.strictness import EVERY_API

PROJECT = "demo-project"


def state_of(operator: Operator) -> Path:
    """The state file of the operator's embedded cloud."""
    return Path(operator.environment["ORCHESTRA_CREDS_STATE_DIR"]) / STATE_FILE


def enable_apis(operator: Operator, *projects: str) -> None:
    """Switch every API on in these projects, those included that a new project has off."""
    operator.prepare_cloud()
    with control.change_state(state_of(operator)) as txn:
        for project in projects:
            enable(txn, project, *EVERY_API)


def make_account(operator: Operator, name: str = "app-one") -> str:
    """A service account in the operator's embedded cloud."""
    return str(ask(operator, f"{IAM_ADMIN}/CreateServiceAccount", name=f"projects/{PROJECT}", account_id=name).email)


def ask(operator: Operator, method: str, **fields: Any) -> Any:
    """One RPC by its full name on the operator's embedded cloud, as its owner: what our own verbs would refuse to do."""
    operator.prepare_cloud()
    state_of(operator).parent.mkdir(mode=0o700, exist_ok=True)
    store = Store(state_of(operator))
    try:
        return Emulator(store, control.SERVICES).rpc(method, rpcs()[method].request(**fields), {})
    finally:
        store.close()


def arm(operator: Operator, method: str, phase: str, *, code: str = "UNAVAILABLE", times: int = 0) -> None:
    """Let calls of a method fail; for ever unless told."""
    with control.change_state(state_of(operator)) as txn:
        faults.arm(txn, faults.Fault(f"*/{method}", Code[code], faults.FaultPhase(phase), times=times))


def disarm(operator: Operator) -> None:
    """No faults any more, and no lags, not even those of strict mode: its clock is the real one here."""
    with control.change_state(state_of(operator)) as txn:
        faults.clear(txn)
        for lag in faults.Lag:
            faults.set_lag(txn, lag, 0.0)


def document(stdout: bytes) -> Any:
    """The one JSON document of a run; it has a versioned schema."""
    found = json.loads(stdout)
    assert found["schema"].startswith("orchestra-creds/")
    assert found["schema"].rpartition("/")[2].isdigit()
    return found


def at_a_terminal(
    operator: Operator, arguments: Sequence[str], answers: Sequence[str], variables: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Run the command in a terminal of its own, answering each prompt; its exit code, and all that the terminal showed."""
    parent, child = pty.openpty()
    run = subprocess.Popen(
        [COMMAND, *arguments],
        env=operator.environment | dict(variables or {}),
        cwd=operator.folder,
        stdin=child,
        stdout=child,
        stderr=child,
        preexec_fn=lambda: os.login_tty(child),  # noqa: PLW1509  # no threads here; it makes the terminal the controlling one
    )
    os.close(child)
    shown = b""
    left = list(answers)
    with contextlib.suppress(OSError):  # the terminal is gone when the command ends
        while chunk := os.read(parent, 4096):
            shown += chunk
            if left and shown.endswith(b": "):  # the blank comes last, when the terminal is ready to be typed at
                os.write(parent, left.pop(0).encode() + b"\n")
                shown += b"\n"
    os.close(parent)
    return run.wait(), shown


@contextlib.contextmanager
def daemon_of(operator: Operator, *options: str) -> Iterator[control.Daemon]:
    """A daemon on the operator's state, started by the verb."""
    started = operator.call("emulator", "start", "--quiet", *options)
    assert started.code == 0, started.stderr
    try:
        found = control.find_daemon(state_of(operator))
        assert found is not None
        yield found
    finally:
        control.stop_daemon(state_of(operator))


def exported(operator: Operator, *options: str) -> dict[str, str]:
    """What `emulator env` exports, as a shell reads it."""
    ended = operator.call("emulator", "env", *options)
    assert ended.code == 0, ended.stderr
    script = f"{ended.text}\nenv -0"
    shell = subprocess.run(["sh", "-c", script], env={"PATH": os.environ["PATH"]}, capture_output=True, check=True)
    pairs = (line.partition("=") for line in shell.stdout.decode().split("\0") if line)
    return {name: value for name, _, value in pairs if name not in {"PATH", "PWD", "SHLVL", "_", "OLDPWD"}}
