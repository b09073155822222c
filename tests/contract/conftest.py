"""Every port's suite runs on three worlds: the embedded cloud over gRPC and HTTP, its handlers called directly, and a real project.

The real one is opt-in (`-m live`) and named by the environment: docs/CONTRIBUTING.md. What needs faults, a clock or a damaged wire runs
on the embedded cloud only.
"""

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.emulator.protocol.routes import IAM_ADMIN, rpcs
from orchestra_creds.emulator.server import control
from orchestra_creds.emulator.server.dispatch import Emulator
from orchestra_creds.gcp.keys import IamKeyStore
from orchestra_creds.gcp.policies import RestPolicyStore
from orchestra_creds.gcp.project import RestProjectInspector
from orchestra_creds.gcp.secrets import SecretManagerStore
from orchestra_creds.gcp.session import ApiSession, Endpoints
from orchestra_creds.gcp.tokens import KeyTokenIssuer
from tests import loopback
from tests.contract.direct import DirectSession
from tests.strictness import switch_to_strict

PROJECT = "demo-project"
LIVE_PROJECT = "ORCHESTRA_CREDS_LIVE_PROJECT"
LIVE_ACCOUNT = "ORCHESTRA_CREDS_LIVE_ACCOUNT"

Tamper = Callable[[str, Any], Any]
"""(method, message) -> message, on the way there or back."""


class CloudUnderTest:
    """One cloud under test, and the adapters on it."""

    def __init__(
        self, kind: str, project: str, open_session: Callable[..., ApiSession], running: "Emulator | None"
    ) -> None:
        self.kind = kind
        self.project = project
        self._open = open_session
        self._emulator = running
        self._sessions = contextlib.ExitStack()
        self._made: list[Callable[[], None]] = []
        self.session = self.open()

    def open(self, **options: Any) -> ApiSession:
        """Another session, for example with another identity."""
        session = self._open(self.project, **options)
        self._sessions.callback(session.close)
        return session

    @property
    def emulator(self) -> Emulator:
        """The embedded cloud; tests that need it are not for a real project."""
        if self._emulator is None:
            pytest.skip("needs faults or the clock of the embedded cloud")
        return self._emulator

    @property
    def secrets(self) -> SecretManagerStore:
        return SecretManagerStore(self.session)

    @property
    def keys(self) -> IamKeyStore:
        return IamKeyStore(self.session)

    @property
    def policies(self) -> RestPolicyStore:
        return RestPolicyStore(self.session)

    @property
    def tokens(self) -> KeyTokenIssuer:
        return KeyTokenIssuer(self.session)

    @property
    def inspector(self) -> RestProjectInspector:
        return RestProjectInspector(self.session)

    def new_name(self) -> str:
        """The name of a secret that nobody has; removed at the end."""
        name = f"contract-{uuid.uuid4().hex[:12]}"
        self._made.append(lambda: self.secrets.delete_secret(name))
        return name

    def account(self, name: str = "contract") -> str:
        """A service account to make keys for."""
        if self._emulator is None:
            account = os.environ.get(LIVE_ACCOUNT, "")
            return account or pytest.skip(f"{LIVE_ACCOUNT} names no service account to make keys for")
        made = self.rpc("CreateServiceAccount", name=f"projects/{self.project}", account_id=name)
        return str(made.email)

    def rpc(self, method: str, service: str = IAM_ADMIN, /, **fields: Any) -> Any:
        """An RPC on the handlers of the embedded cloud, as its owner."""
        name = f"{service}/{method}"
        headers = {"authorization": f"Bearer {self.emulator.store.owner_token}"}
        return self.emulator.rpc(name, rpcs()[name].request(**fields), headers)

    def arm(
        self, method: str, phase: faults.FaultPhase, *, code: Code = Code.UNAVAILABLE, first: int = 1, times: int = 1
    ) -> None:
        """The next calls of a method meet an error."""
        with self.emulator.store.transaction() as txn:
            faults.arm(txn, faults.Fault(f"*/{method}", code, phase, first, times))

    def calls(self, method: str) -> int:
        """How often a method was called, refusals included."""
        with self.emulator.store.transaction() as txn:
            return sum(entry.method.endswith(f"/{method}") for entry in txn.audit())

    def close(self) -> None:
        if self._emulator is None:
            for remove in self._made:
                with contextlib.suppress(Exception):
                    remove()
        self._sessions.close()


class Tampered(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]  # grpc has no types
    """A wire that changes messages."""

    def __init__(self, there: Tamper, back: Tamper) -> None:
        self._there, self._back = there, back

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        reply = continuation(details, self._there(details.method, request))
        return Changed(self._back(details.method, reply.result()), reply)


class Changed(grpc.Call, grpc.Future):  # type: ignore[misc]  # grpc has no types
    """An outcome with another result."""

    def __init__(self, result: Any, outcome: Any) -> None:
        self._result, self._outcome = result, outcome

    def result(self, _timeout: float | None = None) -> Any:
        return self._result

    def __getattribute__(self, name: str) -> Any:
        if name in {"result", "_result", "_outcome"}:
            return object.__getattribute__(self, name)
        return getattr(object.__getattribute__(self, "_outcome"), name)


Changed.__abstractmethods__ = frozenset()


@pytest.fixture(autouse=True)
def nothing_leaves_the_loopback(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.node.get_closest_marker("live"):
        yield
        return
    with loopback.guarded():
        yield


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.InProcessEmulator]:
    with control.start_in_process(tmp_path_factory.mktemp("cloud") / "emulator.db") as running:
        yield running


@pytest.fixture(scope="session")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.InProcessEmulator]:
    """An embedded cloud that identifies callers and checks their permissions."""
    with control.start_in_process(tmp_path_factory.mktemp("cloud") / "emulator.db", auth=True) as running:
        yield running


def on(kind: str, running: control.InProcessEmulator, **defaults: Any) -> CloudUnderTest:
    """A world on an emptied embedded cloud, strict but without lags and with every API on."""
    running.emulator.store.reset()
    switch_to_strict(running.emulator.store)
    ends = Endpoints(running.endpoints.grpc, running.endpoints.http)

    def open_session(project: str, **options: Any) -> ApiSession:
        options = {"environment": {}, **defaults, **options}
        if kind == "wire":
            return ApiSession(project, endpoints=ends, **options)
        return DirectSession(project, running.emulator, **options)

    return CloudUnderTest(kind, PROJECT, open_session, running.emulator)


LIVE = pytest.param("live", marks=pytest.mark.live)


@pytest.fixture(params=["wire", "direct", LIVE])
def world(request: pytest.FixtureRequest) -> Iterator[CloudUnderTest]:
    yield from opened(request)


def opened(request: pytest.FixtureRequest) -> Iterator[CloudUnderTest]:
    """The world that the parameter names."""
    if request.param == "live":
        project = os.environ.get(LIVE_PROJECT, "")
        if not project:
            pytest.skip(f"{LIVE_PROJECT} names no project to test against")
        world = CloudUnderTest("live", project, ApiSession, None)
    else:
        world = on(request.param, request.getfixturevalue("running"))
    yield world
    world.close()


@pytest.fixture(params=["wire", "direct"])
def embedded(request: pytest.FixtureRequest) -> Iterator[CloudUnderTest]:
    """A world whose whole project may be changed: never a real one."""
    yield from opened(request)


@pytest.fixture(params=["wire", "direct"])
def guarded(request: pytest.FixtureRequest) -> Iterator[CloudUnderTest]:
    """A world that asks who calls; its session is the owner's."""
    running = request.getfixturevalue("asking")
    world = on(request.param, running, owner_token=running.emulator.store.owner_token)
    yield world
    world.close()
