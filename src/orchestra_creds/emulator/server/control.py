"""Starting and stopping the embedded cloud: inside this process, or as a daemon that other processes use.

A daemon holds a lock file for as long as it lives, and says in a run file beside the state where it listens; so a
killed daemon is never taken for a running one. State, key, run file, lock and log are readable by their owner only.
"""

import contextlib
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from orchestra_creds.emulator import services
from orchestra_creds.emulator.access import access
from orchestra_creds.emulator.default_project import DEFAULT_PROJECT
from orchestra_creds.emulator.iam import keys
from orchestra_creds.emulator.identity import oauth
from orchestra_creds.emulator.protocol import strict as strict_mode
from orchestra_creds.emulator.protocol.routes import rpc_coverage
from orchestra_creds.emulator.server import dispatch
from orchestra_creds.emulator.server.dispatch import Emulator
from orchestra_creds.emulator.server.servers import LOOPBACK, EmulatorEndpoints, Servers, require_loopback
from orchestra_creds.emulator.store.private_file import read_private_file, require_regular_file
from orchestra_creds.emulator.store.store import Store, Txn
from orchestra_creds.errors import ConfigError, PreconditionError, UnavailableError

SERVICES = services.SERVICES
"""Everything the embedded cloud serves."""
START_SECONDS = 30.0
"""How long `start_daemon` waits for both ports."""
STOP_SECONDS = 10.0
"""How long `stop_daemon` lets the daemon end by itself, and then how long it waits after it has killed the process."""

_OVERRIDES = (
    "SECRETMANAGER",
    "IAM",
    "IAMCREDENTIALS",
    "CLOUDRESOURCEMANAGER",
    "APIKEYS",
    "POLICYANALYZER",
    "SERVICEUSAGE",
    "STS",
    "ORGPOLICY",
)


def rpc_table() -> list[tuple[str, bool]]:
    """Every RPC of the official clients by its full name, and whether it is served (else it is UNIMPLEMENTED)."""
    return rpc_coverage(name for service in SERVICES for name in service.methods)


@dataclass(frozen=True, slots=True)
class InProcessEmulator:
    """An embedded cloud that runs in this process until `stop` or the end of the `with` block."""

    endpoints: EmulatorEndpoints
    emulator: Emulator
    servers: Servers

    def stop(self) -> None:
        """Close both ports, then the state file."""
        self.servers.stop()
        self.emulator.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running daemon: its process, where it listens, since when, whether it checks permissions, whether it is strict."""

    pid: int
    endpoints: EmulatorEndpoints
    started: datetime
    auth: bool
    strict: bool = False


def start_in_process(
    state: Path,
    *,
    auth: bool = False,
    strict: bool | None = None,
    host: str = LOOPBACK,
    grpc_port: int = 0,
    http_port: int = 0,
    keep_grpc_port: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> InProcessEmulator:
    """Serve the state file from this process.

    With port 0 the HTTP port is the one that the state remembers, so that keys made earlier keep a `token_uri` that
    answers; when another process has it, any free port. With `keep_grpc_port`, which is for a daemon, the same goes for the gRPC port,
    so that a client outlives a restart. With `auth`, callers are identified and need permissions.
    `strict` switches strict mode on or off; None leaves the state as it is.
    """
    require_loopback(host)
    store = Store(state)
    try:
        if strict is not None:
            with store.transaction() as txn:
                strict_mode.set_strict(txn, on=strict)
        emulator = Emulator(
            store,
            SERVICES,
            identify=oauth.identify if auth else dispatch.identify_owner,
            authorize=access.authorize if auth else dispatch.allow_all,
            sleep=sleep,
        )
        servers = _start_servers(emulator, host, grpc_port, http_port, keep_grpc_port=keep_grpc_port)
    except BaseException:
        store.close()
        raise
    return InProcessEmulator(servers.endpoints, emulator, servers)


def start_daemon(
    state: Path, *, auth: bool = False, strict: bool | None = None, host: str = LOOPBACK, grpc_port: int = 0, http_port: int = 0
) -> Daemon:  # fmt: skip
    """Start the daemon, or find the one that runs already; returns when both ports answer. `strict` as for `start_in_process`."""
    require_loopback(host)
    running = find_daemon(state)
    if running is not None:
        found = running.endpoints
        same_ports = grpc_port in {0, found.grpc_port} and http_port in {0, found.http_port}
        if not same_ports or auth != running.auth or strict not in {None, running.strict}:
            raise PreconditionError(
                f"an embedded cloud with other settings serves {state} already (process {running.pid})",
                hint="`orchestra-creds emulator stop` ends it",
            )
        return running
    state.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    require_regular_file(_sibling_path(state, "log"))
    pid = _spawn(
        [
            "--state", str(state.absolute()), "--host", host, "--grpc-port", str(grpc_port),
            "--http-port", str(http_port), *(["--auth"] if auth else []),
            *([] if strict is None else ["--strict" if strict else "--no-strict"]),
        ],
        log=_sibling_path(state, "log"),
    )  # fmt: skip
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        running = find_daemon(state)
        if running is not None:
            return running
        if _reap_child(pid):
            raise UnavailableError(_log_tail(state), hint=f"see {_sibling_path(state, 'log')}")
        time.sleep(0.01)
    raise UnavailableError(f"the embedded cloud did not start within {START_SECONDS:.0f} s")


def stop_daemon(state: Path) -> bool:
    """End the daemon and wait until it is gone, killing it if it hangs; False when none was running."""
    running = find_daemon(state)
    if running is None:
        return False
    for number in (
        signal.SIGTERM,
        getattr(signal, "SIGKILL", signal.SIGTERM),
    ):  # nothing acknowledged is lost by a kill
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, number)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            _reap_child(running.pid)
            if find_daemon(state) is None:
                return True
            time.sleep(0.01)
    raise UnavailableError(f"process {running.pid} did not end within {2 * STOP_SECONDS:.0f} s")


def find_daemon(state: Path) -> Daemon | None:
    """The daemon that serves the state file, or None."""
    try:
        found = json.loads(read_private_file(_sibling_path(state, "run")))
    except (FileNotFoundError, ValueError):
        return None
    try:
        with _lock(state, seconds=0):
            return None
    except Timeout:
        pass
    # Somebody else who just looks holds the lock for a moment too, so a dead process is asked for as well.
    if not _is_alive(found["pid"]):
        return None
    endpoints = EmulatorEndpoints(found["grpc_port"], found["http_port"], found["host"])
    return Daemon(found["pid"], endpoints, datetime.fromisoformat(found["started"]), found["auth"], found["strict"])


def run_daemon(
    state: Path,
    *,
    auth: bool,
    strict: bool | None = None,
    host: str,
    grpc_port: int,
    http_port: int,
    wait: Callable[[], object],
    patience: float = 5.0,
) -> None:
    """The daemon's own life: take the lock (waiting `patience` seconds), serve, tell where, until `wait` returns."""
    lock = _lock(state, seconds=patience)
    try:
        lock.acquire()
    except Timeout as error:
        raise PreconditionError(f"another embedded cloud serves {state} already") from error
    run_file = _sibling_path(state, "run")
    with lock:
        try:
            with start_in_process(
                state,
                auth=auth,
                strict=strict,
                host=host,
                grpc_port=grpc_port,
                http_port=http_port,
                keep_grpc_port=True,
            ) as running:
                with running.emulator.store.transaction() as txn:
                    is_strict = strict_mode.is_strict(txn)
                facts = {
                    "pid": os.getpid(),
                    "host": host,
                    "grpc_port": running.endpoints.grpc_port,
                    "http_port": running.endpoints.http_port,
                    "started": datetime.now(UTC).isoformat(),
                    "auth": auth,
                    "strict": is_strict,
                }
                _write_private(run_file, json.dumps(facts).encode())
                wait()
        finally:
            # Only now, with both ports closed: who waits for the end looks at this file.
            run_file.unlink(missing_ok=True)


def environment(
    state: Path, endpoints: EmulatorEndpoints, *, project: str = DEFAULT_PROJECT, access_token: str = ""
) -> dict[str, str]:
    """What gcloud, other tools and our own verbs need in their environment to use this embedded cloud.

    gcloud gets a configuration folder of its own beside the state, so that the operator's real one stays untouched.
    """
    base = f"{endpoints.http}/"
    variables = {
        "ORCHESTRA_CREDS_EMULATOR_GRPC": endpoints.grpc,
        "ORCHESTRA_CREDS_EMULATOR_HTTP": endpoints.http,
        "CLOUDSDK_CONFIG": str(_sibling_path(state, "gcloud").absolute()),
        "CLOUDSDK_CORE_PROJECT": project,
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
        "CLOUDSDK_SURVEY_DISABLE_PROMPTS": "true",
        "CLOUDSDK_AUTH_TOKEN_HOST": f"{base}token",
        "CLOUDSDK_AUTH_TOKEN_INTROSPECTION_ENDPOINT": f"{base}v1/introspect",
    }
    variables |= {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service}": base for service in _OVERRIDES}
    if access_token:
        variables["CLOUDSDK_AUTH_ACCESS_TOKEN"] = access_token
    else:
        variables["CLOUDSDK_AUTH_DISABLE_CREDENTIALS"] = "true"
    return variables


def exports(variables: Mapping[str, str], *, shell: str = "posix", unset: bool = False) -> str:
    """The variables as lines that a shell evaluates: `posix`, `fish` or `powershell`; or lines that take them away."""
    forms = {
        "posix": ("export {name}={value}", "unset {name}"),
        "fish": ("set -gx {name} {value}", "set -e {name}"),
        "powershell": ("$env:{name} = {value}", "Remove-Item Env:{name}"),
    }
    form = forms[shell][unset]
    quote = _powershell_quote if shell == "powershell" else shlex.quote
    return "".join(form.format(name=name, value=quote(value)) + "\n" for name, value in variables.items())


def _powershell_quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@contextlib.contextmanager
def open_state(state: Path) -> Iterator[Store]:
    """The state file, whether or not anything serves it: for the log, the clock, faults and reset."""
    if not state.exists():
        raise ConfigError(f"there is no embedded cloud at {state}", hint="`orchestra-creds emulator start` makes one")
    store = Store(state)
    try:
        yield store
    finally:
        store.close()


@contextlib.contextmanager
def change_state(state: Path) -> Iterator[Txn]:
    """One transaction on the state file, from outside of any server."""
    with open_state(state) as store, store.transaction() as txn:
        yield txn


def owner_token(state: Path) -> str:
    """A bearer token that may do everything; the same one for as long as the state's key file is there."""
    with open_state(state) as store:
        return store.owner_token


def expose_key(state: Path, account: str, key_id: str, where: str) -> None:
    """Let the cloud find a key in public at the address `where`, with all that Google does then."""
    with change_state(state) as txn:
        keys.expose(txn, f"projects/-/serviceAccounts/{account}/keys/{key_id}", where)


def advance_clock(state: Path, step: timedelta) -> datetime:
    """Move the clock that every process on this state shares; returns the new time."""
    with open_state(state) as store:
        return store.advance(step)


def _start_servers(emulator: Emulator, host: str, grpc_port: int, http_port: int, *, keep_grpc_port: bool) -> Servers:
    with emulator.store.transaction() as txn:
        grpc_before = int(txn.setting("grpc_port", 0)) if keep_grpc_port and not grpc_port else 0
        http_before = int(txn.setting("http_port", 0)) if not http_port else 0
    wanted = [(grpc_port or grpc, http_port or http) for grpc in (grpc_before, 0) for http in (http_before, 0)]
    choices = list(dict.fromkeys(wanted))
    for grpc, http in choices:
        try:
            servers = Servers(emulator, host=host, grpc_port=grpc, http_port=http)
            break
        except UnavailableError:
            if (grpc, http) == choices[-1]:
                raise
    kept = {}  # a remembered port that another process has now is still ours the next time
    if not http_before:
        kept["http_port"] = servers.endpoints.http_port
    if keep_grpc_port and not grpc_before:
        kept["grpc_port"] = servers.endpoints.grpc_port
    with emulator.store.transaction() as txn:
        changed = {name: port for name, port in kept.items() if txn.setting(name, 0) != port}
    if changed:
        with emulator.store.transaction() as txn:
            for name, port in changed.items():
                txn.set_setting(name, port)
    return servers


def _sibling_path(state: Path, what: str) -> Path:
    return state.with_name(f"{state.name}.{what}")


def _lock(state: Path, *, seconds: float) -> FileLock:
    return FileLock(_sibling_path(state, "lock"), timeout=seconds, mode=0o600)


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32":
        return True  # there, signal 0 is Ctrl-C
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _spawn(arguments: list[str], *, log: Path) -> int:
    """A process of its own session, its output in a log that only the owner reads."""
    # -P: the working folder must not be able to shadow our package.
    command = [sys.executable, "-P", "-m", "orchestra_creds.emulator.server.daemon", *arguments]
    if sys.platform == "win32":
        return os.spawnve(os.P_DETACH, sys.executable, command, os.environ)  # noqa: S606  # arguments are a list
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawn(sys.executable, command, os.environ, file_actions=files, setsid=True)


def _reap_child(pid: int) -> bool:
    """Whether our child is gone (and reaped); False when it is not our child."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


def _log_tail(state: Path) -> str:
    lines = _sibling_path(state, "log").read_text(errors="replace").splitlines()
    words = lines[-1].removeprefix("error: ") if lines else ""
    return words[:300] or "the embedded cloud ended before it listened"


def _write_private(path: Path, content: bytes) -> None:
    """Replace the file in one step, so that a reader never sees half of it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)
