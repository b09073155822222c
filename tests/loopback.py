"""A guard: while it stands, no name but this machine's is looked up and no address but this machine's is connected to.

Python's sockets are watched, and gRPC's channels by their targets, for gRPC resolves names on its own. What a background thread tries
counts, too: attempts are refused where they happen and told at the end.
"""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any
from unittest import mock

import grpc._channel

LOCAL = frozenset({"127.0.0.1", "::1", "localhost", b"localhost", "", None})


class LeftTheLoopbackError(OSError):
    """Raised where somebody tried."""


@contextlib.contextmanager
def guarded() -> Iterator[list[str]]:
    """The list holds what was tried."""
    tried: list[str] = []
    look_up, connect, channel = socket.getaddrinfo, socket.socket.connect, grpc._channel.Channel.__init__

    def refuse(what: str) -> None:
        tried.append(what)
        raise LeftTheLoopbackError(what)

    def guarded_look_up(host: Any, *rest: Any, **options: Any) -> Any:
        if host not in LOCAL:
            refuse(f"looked up {host}")
        return look_up(host, *rest, **options)

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6} and address[0] not in LOCAL:
            refuse(f"connected to {address[0]}")
        connect(self, address)

    def guarded_channel(self: Any, target: str, *rest: Any, **options: Any) -> None:
        if target.rpartition(":")[0].strip("[]") not in LOCAL:
            refuse(f"opened a channel to {target}")
        channel(self, target, *rest, **options)

    with (
        mock.patch.object(socket, "getaddrinfo", guarded_look_up),
        mock.patch.object(socket.socket, "connect", guarded_connect),
        mock.patch.object(grpc._channel.Channel, "__init__", guarded_channel),
    ):
        yield tried
    assert tried == []
