"""Daemon, environment, and the state from outside."""

import http.client
import json
import os
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from filelock import FileLock
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports.grpc import (
    SecretManagerServiceGrpcTransport,
)

from orchestra_creds.emulator.server import control
from orchestra_creds.emulator.server.servers import EmulatorEndpoints
from orchestra_creds.errors import ConfigError, PreconditionError, UnavailableError
from tests.emulator.conftest import AUTOMATIC, PROJECT


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state file that nothing serves when the file's tests are over."""
    state = tmp_path_factory.mktemp("daemon") / "private" / "emulator.db"
    yield state
    control.stop_daemon(state)


@pytest.fixture
def daemon(state: Path) -> control.Daemon:
    return control.start_daemon(state)


def test_both_ports_answer_when_start_returns(daemon: control.Daemon) -> None:
    with grpc.insecure_channel(daemon.endpoints.grpc) as channel:
        client = SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=channel))
        assert list(client.list_secrets(parent=PROJECT)) == []
    assert _http_status(daemon.endpoints, "secrets") == 200


def test_a_second_start_finds_the_first(state: Path, daemon: control.Daemon) -> None:
    assert daemon == control.start_daemon(state) == control.find_daemon(state)
    assert daemon == control.start_daemon(state, http_port=daemon.endpoints.http_port)


@pytest.mark.parametrize("settings", [{"auth": True}, {"strict": True}, {"http_port": 1}, {"grpc_port": 1}])
def test_a_start_with_other_settings_is_refused(state: Path, daemon: control.Daemon, settings: dict[str, int]) -> None:
    with pytest.raises(PreconditionError, match="other settings"):
        control.start_daemon(state, **settings)  # type: ignore[arg-type]  # each is one keyword


def test_the_files_of_a_daemon_are_its_owners(state: Path, daemon: control.Daemon) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.parent.iterdir()}
    assert {"emulator.db", "emulator.db.key", "emulator.db.run", "emulator.db.lock", "emulator.db.log"} <= modes.keys()
    assert {0o600} == set(modes.values())


def test_a_daemon_is_in_a_session_of_its_own(daemon: control.Daemon) -> None:
    assert daemon.pid == os.getsid(daemon.pid) != os.getsid(0)


def test_the_state_is_changed_from_outside_of_a_running_daemon(state: Path, daemon: control.Daemon) -> None:
    with grpc.insecure_channel(daemon.endpoints.grpc) as channel:
        client = SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=channel))
        secret = {**AUTOMATIC, "ttl": timedelta(days=7)}
        client.create_secret(request={"parent": PROJECT, "secret_id": "db", "secret": secret})
        control.advance_clock(state, timedelta(days=8))
        assert list(client.list_secrets(parent=PROJECT)) == []
        with control.change_state(state) as txn:
            assert txn.audit()[-1].method.rpartition("/")[2] == "ListSecrets"
        with control.open_state(state) as store:
            store.reset()
            assert timedelta(seconds=5) > store.now() - daemon.started.astimezone()


def test_a_killed_daemon_is_not_taken_for_a_running_one_and_its_state_lives(tmp_path: Path) -> None:
    state = tmp_path / "emulator.db"
    daemon = control.start_daemon(state)
    with grpc.insecure_channel(daemon.endpoints.grpc) as channel:
        client = SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=channel))
        client.create_secret(request={"parent": PROJECT, "secret_id": "db", "secret": AUTOMATIC})
    os.kill(daemon.pid, signal.SIGKILL)
    os.waitpid(daemon.pid, 0)
    assert control.find_daemon(state) is None
    with control.start_in_process(state) as running:
        assert daemon.endpoints.http_port == running.endpoints.http_port
        assert _http_status(running.endpoints, "secrets/db") == 200


def test_stop_ends_it_and_a_second_stop_has_nothing_to_do(state: Path, daemon: control.Daemon) -> None:
    assert control.stop_daemon(state)
    assert control.find_daemon(state) is None
    with pytest.raises(ConnectionRefusedError):
        _http_status(daemon.endpoints, "secrets")
    assert not control.stop_daemon(state)
    assert not state.with_name("emulator.db.run").exists()


def test_stop_ends_a_daemon_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "STOP_SECONDS", 1.0)
    state = tmp_path / "emulator.db"
    daemon = control.start_daemon(state)
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        assert control.stop_daemon(state)
    except UnavailableError as error:
        os.kill(daemon.pid, signal.SIGKILL)
        raise AssertionError("the daemon outlived stop") from error
    assert control.find_daemon(state) is None


def test_a_daemon_is_found_while_it_lives_and_is_alone(tmp_path: Path) -> None:
    state = tmp_path / "emulator.db"
    seen: list[control.Daemon | None] = []

    def live(wait: Callable[[], None]) -> None:
        control.run_daemon(state, auth=False, host="127.0.0.1", grpc_port=0, http_port=0, wait=wait)

    def look() -> None:
        seen.append(control.find_daemon(state))
        with pytest.raises(PreconditionError, match="another embedded cloud"):
            control.run_daemon(state, auth=False, host="127.0.0.1", grpc_port=0, http_port=0, wait=look, patience=0)

    live(look)
    assert [os.getpid()] == [found.pid for found in seen if found is not None]
    assert control.find_daemon(state) is None


@pytest.mark.parametrize("content", [b"", b"nonsense", b"{"])
def test_a_run_file_that_cannot_be_read_is_no_daemon(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "emulator.db.run").write_bytes(content)
    assert control.find_daemon(tmp_path / "emulator.db") is None


def test_a_run_file_of_a_dead_process_is_no_daemon_even_while_the_lock_is_held(tmp_path: Path) -> None:
    state = tmp_path / "emulator.db"
    child = os.spawnlp(os.P_NOWAIT, "true", "true")  # noqa: S606  # a process that ends
    os.waitpid(child, 0)
    facts = {
        "pid": child,
        "host": "127.0.0.1",
        "grpc_port": 1,
        "http_port": 2,
        "started": "2026-01-01",
        "auth": False,
        "strict": False,
    }
    (tmp_path / "emulator.db.run").write_text(json.dumps(facts))
    with FileLock(tmp_path / "emulator.db.lock"):
        assert control.find_daemon(state) is None


def test_a_daemon_that_cannot_listen_says_why(tmp_path: Path, running: control.InProcessEmulator) -> None:
    port = running.endpoints.http_port
    with pytest.raises(UnavailableError, match=f"cannot listen on 127.0.0.1:{port}"):
        control.start_daemon(tmp_path / "emulator.db", http_port=port)


def test_a_daemon_listens_on_loopback_only(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="loopback"):
        control.start_daemon(tmp_path / "emulator.db", host="0.0.0.0")  # noqa: S104  # it is refused
    assert list(tmp_path.iterdir()) == []


def test_the_working_folder_cannot_shadow_the_package_and_an_interrupt_ends_the_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "orchestra_creds").mkdir()
    (tmp_path / "orchestra_creds" / "__init__.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    daemon = control.start_daemon(tmp_path / "state" / "emulator.db")
    os.kill(daemon.pid, signal.SIGINT)
    assert (daemon.pid, 0) == os.waitpid(daemon.pid, 0)
    assert control.find_daemon(tmp_path / "state" / "emulator.db") is None


def test_the_environment_sets_the_fixed_names(running: control.InProcessEmulator, tmp_path: Path) -> None:
    ends = running.endpoints
    variables = control.environment(tmp_path / "emulator.db", ends)
    assert (ends.grpc, ends.http, "demo-project", "true") == (
        variables["ORCHESTRA_CREDS_EMULATOR_GRPC"],
        variables["ORCHESTRA_CREDS_EMULATOR_HTTP"],
        variables["CLOUDSDK_CORE_PROJECT"],
        variables["CLOUDSDK_AUTH_DISABLE_CREDENTIALS"],
    )
    for service in ("SECRETMANAGER", "IAM", "IAMCREDENTIALS", "CLOUDRESOURCEMANAGER", "APIKEYS", "STS"):
        assert f"{ends.http}/" == variables[f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service}"]
    assert str(tmp_path / "emulator.db.gcloud") == variables["CLOUDSDK_CONFIG"]
    token = "token with 'quotes'"
    signed_in = control.environment(tmp_path / "emulator.db", ends, project="other", access_token=token)
    assert (token, "other") == (signed_in["CLOUDSDK_AUTH_ACCESS_TOKEN"], signed_in["CLOUDSDK_CORE_PROJECT"])
    assert "CLOUDSDK_AUTH_DISABLE_CREDENTIALS" not in signed_in


def test_the_exports_are_what_a_shell_reads_back() -> None:
    value = 'it\'s "$HOME" `x`; echo'
    script = control.exports({"NAME": value}) + 'printf %s "$NAME"'
    assert value == subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout


def test_a_state_that_was_never_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no embedded cloud"), control.open_state(tmp_path / "none.db"):
        pass
    assert not (tmp_path / "none.db").exists()


def _http_status(endpoints: EmulatorEndpoints, path: str) -> int:
    connection = http.client.HTTPConnection(endpoints.host, endpoints.http_port, timeout=10)
    try:
        connection.request("GET", f"/v1/{PROJECT}/{path}")
        return connection.getresponse().status
    finally:
        connection.close()
