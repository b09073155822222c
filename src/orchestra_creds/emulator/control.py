"""Starting and stopping the embedded cloud: inside this process, or as a daemon that other processes use."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestra_creds.emulator import access, dispatch, policies, secrets
from orchestra_creds.emulator.dispatch import Emulator
from orchestra_creds.emulator.servers import LOOPBACK, Endpoints, Servers
from orchestra_creds.emulator.service import Service
from orchestra_creds.emulator.store import Store
from orchestra_creds.errors import UnavailableError

SERVICES: tuple[Service, ...] = (secrets.SERVICE, policies.SERVICE)
"""Everything the embedded cloud serves."""


@dataclass(frozen=True, slots=True)
class Running:
    """An embedded cloud that runs in this process until `stop` or the end of the `with` block."""

    endpoints: Endpoints
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


def start_in_process(
    state: Path,
    *,
    auth: bool = False,
    host: str = LOOPBACK,
    grpc_port: int = 0,
    http_port: int = 0,
    sleep: Callable[[float], None] | None = None,
) -> Running:
    """Serve the state file from this process.

    With port 0 the HTTP port is the one that the state remembers, so that keys made earlier keep a `token_uri` that
    answers; when another process has it, any free port. With `auth`, callers are identified and need permissions.
    """
    store = Store(state)
    try:
        guards = {"identify": dispatch.everyone_is_owner, "authorize": access.authorize} if auth else {}
        emulator = Emulator(store, SERVICES, **guards, **({} if sleep is None else {"sleep": sleep}))
        with store.transaction() as txn:
            remembered = txn.setting("http_port", 0)
        try:
            servers = Servers(emulator, host=host, grpc_port=grpc_port, http_port=http_port or remembered)
        except UnavailableError:
            if http_port or not remembered:
                raise
            servers = Servers(emulator, host=host, grpc_port=grpc_port)
        if http_port or not remembered:
            with store.transaction() as txn:
                txn.set_setting("http_port", servers.endpoints.http_port)
    except BaseException:
        store.close()
        raise
    return Running(servers.endpoints, emulator, servers)
