"""The adapters without sockets: a gRPC channel and a requests adapter that call the handlers of an embedded cloud in this process."""

from collections.abc import Callable
from email.utils import formatdate
from functools import cached_property
from typing import Any, Self

import grpc
import requests
from requests.adapters import BaseAdapter

from orchestra_creds.emulator.protocol.errors import EmuError
from orchestra_creds.emulator.protocol.routes import rpcs
from orchestra_creds.emulator.server.dispatch import Emulator
from orchestra_creds.emulator.server.transcode import Gateway, HttpRequest
from orchestra_creds.gcp.session import ApiSession, Endpoints

NOWHERE = Endpoints("127.0.0.1:1", "http://127.0.0.1:1")
STATUS = {status.value[0]: status for status in grpc.StatusCode}


class DirectSession(ApiSession):
    """A session whose calls end in the handlers of `emulator`."""

    def __init__(self, project: str, emulator: Emulator, **options: Any) -> None:
        super().__init__(project, endpoints=NOWHERE, **options)
        self._emulator = emulator

    def connect(self) -> grpc.Channel:
        return DirectChannel(self._emulator)

    @cached_property
    def http(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.mount("http://", DirectAdapter(self._emulator))
        return session


class DirectError(grpc.RpcError, grpc.Call):  # type: ignore[misc]  # grpc has no types
    """A refusal as gRPC's clients raise it."""

    def __init__(self, error: EmuError) -> None:
        super().__init__(error.message)
        self.error = error

    def code(self) -> grpc.StatusCode:
        return STATUS[int(self.error.code)]

    def details(self) -> str:
        return self.error.message

    def result(self) -> None:
        raise self

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        return (("grpc-status-details-bin", self.error.status().SerializeToString()),)

    def initial_metadata(self) -> tuple[()]:
        return ()

    def is_active(self) -> bool:
        return False

    def time_remaining(self) -> None:
        return None

    def cancel(self) -> None:
        return None

    def add_callback(self, _callback: Callable[[], None]) -> bool:
        return False


class DirectChannel(grpc.Channel):  # type: ignore[misc]  # grpc has no types
    """Unary calls only: the services here have no others."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def unary_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        *_rest: Any,
        **_options: Any,
    ) -> "DirectCall":
        return DirectCall(self._emulator, method.removeprefix("/"), request_serializer, response_deserializer)

    def unary_stream(self, *_rest: Any, **_options: Any) -> Any:
        raise NotImplementedError

    stream_unary = stream_stream = unary_stream

    def subscribe(self, *_rest: Any, **_options: Any) -> None:
        return None

    def unsubscribe(self, *_rest: Any, **_options: Any) -> None:
        return None

    def close(self) -> None:
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        return None


class DirectCall(grpc.UnaryUnaryMultiCallable):  # type: ignore[misc]  # grpc has no types
    """One RPC: bytes are written and read as on a wire."""

    def __init__(self, emulator: Emulator, name: str, write: Any, read: Any) -> None:
        self._emulator, self._name, self._write, self._read = emulator, name, write, read

    def __call__(self, request: Any, **options: Any) -> Any:
        return self.with_call(request, **options)[0]

    def with_call(self, request: Any, metadata: Any = None, **_options: Any) -> Any:
        message = rpcs()[self._name].request.FromString(self._write(request))
        headers = {key: value for key, value in metadata or () if isinstance(value, str)}
        try:
            reply = self._emulator.rpc(self._name, message, headers)
        except EmuError as error:
            raise DirectError(error) from None
        return self._read(reply.SerializeToString()), None

    def future(self, *_rest: Any, **_options: Any) -> Any:
        raise NotImplementedError


class DirectAdapter(BaseAdapter):
    """HTTP requests, answered by the gateway."""

    def __init__(self, emulator: Emulator) -> None:
        super().__init__()
        self._gateway = Gateway(emulator)

    def send(self, request: requests.PreparedRequest, *_rest: Any, **_options: Any) -> requests.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = request.body or b""
        answer = self._gateway.answer(
            HttpRequest(
                str(request.method), request.path_url, headers, body.encode() if isinstance(body, str) else body
            )
        )
        response = requests.Response()
        response.status_code = answer.status
        response.headers["content-type"] = answer.content_type
        response.headers["date"] = formatdate(usegmt=True)
        response._content = answer.body
        response.request, response.url = request, str(request.url)
        return response

    def close(self) -> None:
        return None
