"""gRPC and HTTP in front of one emulator, each on a loopback port of its own.

Only loopback addresses are bound. The HTTP side refuses what a web page in a browser could send (a foreign Host or
Origin), reads bodies up to a limit, answers every request with one write, and keeps connections alive.
"""

import contextlib
import http
import ipaddress
import json
import logging
import socket
import socketserver
import threading
import urllib.parse
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from orchestra_creds.emulator.protocol.errors import EmuError, invalid_error, unimplemented_error
from orchestra_creds.emulator.protocol.routes import rpcs
from orchestra_creds.emulator.server.dispatch import Emulator
from orchestra_creds.emulator.server.transcode import Gateway, HttpReply, HttpRequest
from orchestra_creds.errors import ConfigError, UnavailableError

LOOPBACK = "127.0.0.1"
LARGEST_BODY = 1 << 20
"""Bytes of a request body; Google's own limit for these APIs is lower than this."""

_VERBS = frozenset({"do_GET", "do_POST", "do_PUT", "do_PATCH", "do_DELETE"})
MOST_CONNECTIONS = 512
"""HTTP connections that are open at a time; each has a thread. Further ones are answered 503 and closed."""
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_THREADS = 64
_IDLE_SECONDS = 120
_STATUS_BY_NUMBER = {status.value[0]: status for status in grpc.StatusCode}
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EmulatorEndpoints:
    """Where an emulator listens."""

    grpc_port: int
    http_port: int
    host: str = LOOPBACK

    @property
    def grpc(self) -> str:
        """`HOST:PORT`, for a gRPC channel."""
        return f"{_url_host(self.host)}:{self.grpc_port}"

    @property
    def http(self) -> str:
        """`http://HOST:PORT`, without a slash at the end."""
        return f"http://{_url_host(self.host)}:{self.http_port}"


class Servers:
    """Both servers, running until `stop`."""

    def __init__(self, emulator: Emulator, *, host: str = LOOPBACK, grpc_port: int = 0, http_port: int = 0) -> None:
        require_loopback(host)
        self._http = _HttpServer(host, http_port, Gateway(emulator))
        try:
            self._grpc, bound = _grpc_server(emulator, host, grpc_port)
        except BaseException:
            self._http.server_close()
            raise
        self._thread = threading.Thread(target=self._http.serve_forever, name="emulator-http", daemon=True)
        self._thread.start()
        self.endpoints = EmulatorEndpoints(bound, self._http.server_address[1], host)

    def stop(self) -> None:
        """Close both ports and every connection; returns when no handler runs any more."""
        self._grpc.stop(None).wait()
        self._http.stop()
        self._thread.join()


def require_loopback(host: str) -> None:
    """Refuse an address that other machines could reach."""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise ConfigError(
            f"the embedded cloud listens on loopback addresses only, not on {host}", hint=f"use {LOOPBACK}"
        )


def _grpc_server(emulator: Emulator, host: str, port: int) -> tuple[grpc.Server, int]:
    # NOTE: with port reuse, which is the default, a second emulator would silently share the port.
    options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 4 * LARGEST_BODY)]
    pool = futures.ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="emulator-grpc")
    server = grpc.server(pool, handlers=(_RpcHandler(emulator),), options=options)
    try:
        bound = server.add_insecure_port(f"{_url_host(host)}:{port}")
    except RuntimeError as error:
        raise _port_in_use_error(host, port) from error
    server.start()
    return server, bound


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _port_in_use_error(host: str, port: int) -> UnavailableError:
    return UnavailableError(f"cannot listen on {host}:{port}", hint="another process has the port; choose another one")


class _RpcHandler:
    """A grpc.GenericRpcHandler: every RPC by its path; unknown ones answer UNIMPLEMENTED by name."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """The handler of one call; gRPC asks for it by path."""
        name = call.method.removeprefix("/")
        return grpc.unary_unary_rpc_method_handler(lambda data, context: self._answer(name, data, context))

    def _answer(self, name: str, data: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            return self._reply(name, data, context)
        except EmuError as error:
            if error.details:
                context.set_trailing_metadata((("grpc-status-details-bin", error.status().SerializeToString()),))
            context.abort(_STATUS_BY_NUMBER[int(error.code)], error.message)
        except Exception as error:  # noqa: BLE001  # a server outlives a bug; the text may hold material
            _LOG.error("%s failed with %s", name, type(error).__name__)
            context.abort(grpc.StatusCode.INTERNAL, f"Internal error ({type(error).__name__}).")
        raise AssertionError("abort always raises")

    def _reply(self, name: str, data: bytes, context: grpc.ServicerContext) -> bytes:
        rpc = rpcs().get(name)
        if rpc is None:
            raise unimplemented_error(name)
        try:
            request = rpc.request.FromString(data)
        except DecodeError:
            raise invalid_error("The request is not a valid protocol buffer.") from None
        headers = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        return bytes(self._emulator.rpc(name, request, headers).SerializeToString())


class _HttpServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A thread per connection; knows its connections so that `stop` can end them."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, gateway: Gateway) -> None:
        self.gateway = gateway
        self._host = host
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._quiet = threading.Condition(self._guard)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # A listener in TIME_WAIT must not keep the remembered port from its next owner.
        self.allow_reuse_address = True
        try:
            super().__init__((host, port), _HttpHandler)
        except OSError as error:
            raise _port_in_use_error(host, port) from error

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, then let a thread serve it; refuse one too many."""
        with self._guard:
            full = len(self._open) >= MOST_CONNECTIONS
            if not full:
                self._open.add(request)
        if full:
            with contextlib.suppress(OSError):
                request.sendall(_FULL)
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that ends."""
        super().shutdown_request(request)
        with self._quiet:
            self._open.discard(request)
            self._quiet.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no event; anything else is logged by type."""
        del request, client_address
        _LOG.debug("a connection ended early")

    def stop(self) -> None:
        """Stop accepting, end every connection, close."""
        ender = threading.Thread(target=self.shutdown, daemon=True)
        ender.start()
        # The accept loop looks at its flag only twice a second; a connection wakes it at once.
        with contextlib.suppress(OSError):
            socket.create_connection((self._host, self.server_address[1]), timeout=1).close()
        ender.join()
        with self._quiet:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._quiet.wait_for(lambda: not self._open, timeout=5)
        self.server_close()


class _RefusedError(Exception):
    """The request is not answered by the gateway, but with this status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _HttpHandler(BaseHTTPRequestHandler):
    server: _HttpServer
    protocol_version = "HTTP/1.1"
    server_version = "orchestra-creds-emulator"
    sys_version = ""
    timeout = _IDLE_SECONDS
    wbufsize = -1
    disable_nagle_algorithm = True

    def __getattr__(self, name: str) -> Callable[[], None]:
        # The base class looks a request up as do_VERB; every verb that APIs use takes the same course.
        if name in _VERBS:
            return self._serve
        raise AttributeError(name)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date header; who asks for nothing else is told the time of the embedded cloud, which may have been moved."""
        if timestamp is None and self.command == "HEAD":
            timestamp = self.server.gateway.now().timestamp()
        return super().date_time_string(timestamp)

    def _serve(self) -> None:
        try:
            self._check_sender()
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self._body()
        except _RefusedError as refusal:
            # The body may be unread, so this connection cannot go on.
            self.close_connection = True
            self._send(_error_reply(refusal.status, str(refusal)))
            return
        try:
            reply = self.server.gateway.answer(HttpRequest(self.command, self.path, headers, body))
        except Exception as error:  # noqa: BLE001  # a server outlives a bug; the text may hold material
            _LOG.error("%s failed with %s", self.command, type(error).__name__)
            reply = _error_reply(500, f"Internal error ({type(error).__name__}).")
        self._send(reply)

    def _check_sender(self) -> None:
        host = self.headers.get("Host", "")
        origin = self.headers.get("Origin")
        if not _is_local(f"//{host}") or (origin is not None and not _is_local(origin)):
            raise _RefusedError(403, "The embedded cloud answers programs on this machine only, not web pages.")

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._read_chunked_body()
        try:
            length = int(self.headers.get("Content-Length", "0"))
        except ValueError:
            raise _RefusedError(400, "Content-Length is not a number.") from None
        if length < 0:
            raise _RefusedError(400, "Content-Length is negative.")
        if length > LARGEST_BODY:
            raise _RefusedError(413, f"Request payload size exceeds the limit: {LARGEST_BODY} bytes.")
        body = self.rfile.read(length)
        if len(body) < length:
            raise _RefusedError(400, "The request body ended early.")
        return body

    def _read_chunked_body(self) -> bytes:
        body = b""
        while True:
            try:
                size = int(self.rfile.readline(64).split(b";")[0], 16)
            except ValueError:
                raise _RefusedError(400, "A chunk of the request body has no size.") from None
            if size < 0 or len(body) + size > LARGEST_BODY:
                raise _RefusedError(413, f"Request payload size exceeds the limit: {LARGEST_BODY} bytes.")
            body += self.rfile.read(size)
            self.rfile.readline(3)
            if size == 0:
                return body

    def _send(self, reply: HttpReply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("Cache-Control", "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(reply.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        """The audit log in the store is the log; request lines may hold query parameters that nobody should keep."""


def _is_local(url: str) -> bool:
    name = urllib.parse.urlsplit(url).hostname or ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _error_reply(status: int, message: str) -> HttpReply:
    error = {"code": status, "message": message, "status": http.HTTPStatus(status).name}
    return HttpReply(status, json.dumps({"error": error}).encode())
