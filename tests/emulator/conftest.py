"""One embedded cloud for a whole file, emptied between tests; and a guard that nothing leaves the loopback."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports.grpc import (
    SecretManagerServiceGrpcTransport,
)

from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.errors import Code, EmuError
from orchestra_creds.emulator.protocol.routes import SECRET_MANAGER, rpcs
from orchestra_creds.emulator.server import control
from orchestra_creds.emulator.server.dispatch import Emulator
from tests.strictness import strict_mode

PROJECT = "projects/demo-project"
AUTOMATIC: dict[str, Any] = {"replication": {"automatic": {}}}


class Cloud:
    """An embedded cloud, and calls to its handlers without a protocol in between."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.store = emulator.store

    def call(self, method: str, service: str = SECRET_MANAGER, /, **fields: Any) -> Any:
        """Call an RPC with the fields of its request."""
        name = f"{service}/{method}"
        return self.emulator.rpc(name, rpcs()[name].request(**fields), {})

    def secret(self, secret_id: str = "db", /, *payloads: bytes, **fields: Any) -> str:  # noqa: S107  # an id
        """A secret with these versions; returns its name."""
        made = self.call("CreateSecret", parent=PROJECT, secret_id=secret_id, secret={**AUTOMATIC, **fields})
        for payload in payloads:
            self.call("AddSecretVersion", parent=made.name, payload={"data": payload})
        return str(made.name)

    def update(self, name: str, *mask: str, **fields: Any) -> Any:
        """UpdateSecret with these fields; the mask is their names unless given."""
        return self.call("UpdateSecret", secret={"name": name, **fields}, update_mask={"paths": mask or list(fields)})

    def access(self, name: str) -> bytes:
        """The payload of a version."""
        return bytes(self.call("AccessSecretVersion", name=name).payload.data)

    def arm(self, fault: faults.Fault) -> None:
        """Arm a fault."""
        with self.store.transaction() as txn:
            faults.arm(txn, fault)

    def lag(self, which: faults.Lag, seconds: float) -> None:
        """Let something be seen late."""
        with self.store.transaction() as txn:
            faults.set_lag(txn, which, seconds)


@contextlib.contextmanager
def refused(code: Code, text: str = "") -> Iterator[None]:
    """The block is refused with this code, and with `text` in the message."""
    with pytest.raises(EmuError) as caught:
        yield
    assert (code, True) == (caught.value.code, text in caught.value.message), caught.value


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.InProcessEmulator]:
    with control.start_in_process(tmp_path_factory.mktemp("state") / "emulator.db") as running:
        yield running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.InProcessEmulator]:
    """An embedded cloud that identifies callers and checks their permissions."""
    with control.start_in_process(tmp_path_factory.mktemp("guarded") / "emulator.db", auth=True) as running:
        yield running


@pytest.fixture
def cloud(request: pytest.FixtureRequest, running: control.InProcessEmulator) -> Iterator[Cloud]:
    """An emptied embedded cloud, strict but without lags and with every API on; lenient for a test with that marker."""
    running.emulator.store.reset()
    cloud = Cloud(running.emulator)
    with contextlib.nullcontext() if request.node.get_closest_marker("lenient") else strict_mode(cloud.store):
        yield cloud


@pytest.fixture(scope="module")
def grpc_client(running: control.InProcessEmulator) -> Iterator[SecretManagerServiceClient]:
    with grpc.insecure_channel(running.endpoints.grpc) as channel:
        yield SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=channel))


@pytest.fixture(scope="module")
def rest_client(running: control.InProcessEmulator) -> SecretManagerServiceClient:
    options = {"api_endpoint": running.endpoints.http}
    return SecretManagerServiceClient(transport="rest", client_options=options, credentials=AnonymousCredentials())


@pytest.fixture(autouse=True)
def nothing_leaves_the_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any name that is looked up, and any address that is connected to, is this machine."""
    look_up, connect = socket.getaddrinfo, socket.socket.connect

    def guarded_look_up(host: Any, *rest: Any, **options: Any) -> Any:
        assert host in {"127.0.0.1", "::1", "localhost", b"localhost", None}, f"looked up {host}"
        return look_up(host, *rest, **options)

    def guarded_connect(self: socket.socket, address: Any) -> None:
        assert self.family == getattr(socket, "AF_UNIX", None) or address[0] in {"127.0.0.1", "::1"}, address
        connect(self, address)

    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)
    monkeypatch.setattr(socket.socket, "connect", guarded_connect)


def state_files(state: Path) -> bytes:
    """Everything that lies beside a state file, in one piece."""
    return b"".join(path.read_bytes() for path in sorted(state.parent.iterdir()) if path.is_file())
