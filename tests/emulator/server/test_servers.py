"""The two servers: loopback only, keep-alive, one write a reply, limits, and a clean end."""

import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from orchestra_creds.emulator.protocol.routes import SECRET_MANAGER
from orchestra_creds.emulator.protocol.service import Caller, Method, Service
from orchestra_creds.emulator.server import control
from orchestra_creds.emulator.server.dispatch import Emulator
from orchestra_creds.emulator.server.servers import LARGEST_BODY, Servers
from orchestra_creds.emulator.store.store import Txn
from orchestra_creds.errors import ConfigError, UnavailableError
from tests.emulator.conftest import PROJECT, Cloud

PATH = f"/v1/{PROJECT}/secrets"


@pytest.fixture
def connection(cloud: Cloud, running: control.InProcessEmulator) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", running.endpoints.http_port, timeout=10)
    yield connection
    connection.close()


def ask(connection: http.client.HTTPConnection, verb: str, path: str, **options: Any) -> tuple[int, Any]:
    connection.request(verb, path, **options)
    reply = connection.getresponse()
    return reply.status, json.loads(reply.read())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.com", "localhost", ""])  # noqa: S104  # they are refused
def test_only_a_loopback_address_is_bound(cloud: Cloud, host: str) -> None:
    with pytest.raises(ConfigError, match="loopback"):
        Servers(cloud.emulator, host=host)


def test_the_loopback_of_ipv6_serves_too(cloud: Cloud) -> None:
    try:
        servers = Servers(cloud.emulator, host="::1")
    except UnavailableError:
        pytest.skip("this machine has no IPv6")
    ends = servers.endpoints
    assert (f"[::1]:{ends.grpc_port}", f"http://[::1]:{ends.http_port}") == (ends.grpc, ends.http)
    connection = http.client.HTTPConnection("::1", ends.http_port, timeout=10)
    assert ask(connection, "GET", PATH)[0] == 200
    connection.close()
    servers.stop()


def test_both_ports_can_be_fixed_and_a_taken_one_is_told(cloud: Cloud, running: control.InProcessEmulator) -> None:
    taken = running.endpoints
    with pytest.raises(UnavailableError, match=f"127.0.0.1:{taken.http_port}"):
        Servers(cloud.emulator, http_port=taken.http_port)
    with pytest.raises(UnavailableError, match=f"127.0.0.1:{taken.grpc_port}"):
        Servers(cloud.emulator, grpc_port=taken.grpc_port)


def test_a_connection_serves_many_requests(connection: http.client.HTTPConnection) -> None:
    connection.connect()
    first = connection.sock
    for _ in range(3):
        assert ask(connection, "GET", PATH)[0] == 200
    assert first is connection.sock


def test_a_body_in_chunks_is_read(connection: http.client.HTTPConnection) -> None:
    body = iter([b'{"replication": ', b'{"automatic": {}}}'])
    status, made = ask(connection, "POST", f"{PATH}?secretId=db", body=body, encode_chunked=True)
    assert status == 200
    assert re.fullmatch(r"projects/[0-9]{12}/secrets/db", made["name"])
    assert ask(connection, "GET", PATH)[0] == 200


def test_a_body_over_the_limit_is_refused(connection: http.client.HTTPConnection) -> None:
    headers = {"Content-Length": str(LARGEST_BODY + 1)}
    assert ask(connection, "POST", PATH, headers=headers)[0] == 413
    assert ask(connection, "POST", PATH, body=iter([b"x" * LARGEST_BODY, b"x"]), encode_chunked=True)[0] == 413


@pytest.mark.parametrize("length", ["many", "-1"])
def test_a_length_that_is_none_is_refused(connection: http.client.HTTPConnection, length: str) -> None:
    assert ask(connection, "POST", PATH, headers={"Content-Length": length})[0] == 400


def test_a_chunk_without_a_size_is_refused(connection: http.client.HTTPConnection) -> None:
    headers = {"Transfer-Encoding": "chunked"}
    assert ask(connection, "POST", PATH, headers=headers, body=b"nonsense\r\n")[0] == 400


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": ""}]
)
def test_a_web_page_is_refused(connection: http.client.HTTPConnection, headers: dict[str, str]) -> None:
    status, document = ask(connection, "GET", PATH, headers=headers)
    assert (status, document["error"]["status"]) == (403, "FORBIDDEN")


def test_a_verb_that_no_api_uses_is_refused(running: control.InProcessEmulator) -> None:
    with socket.create_connection(("127.0.0.1", running.endpoints.http_port), timeout=10) as raw:
        raw.sendall(b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"501" in raw.recv(100)


def test_a_reply_comes_in_one_piece(running: control.InProcessEmulator) -> None:
    with socket.create_connection(("127.0.0.1", running.endpoints.http_port), timeout=10) as raw:
        raw.sendall(f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        piece = raw.recv(65_536)
    head, _, body = piece.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head


def test_an_unknown_grpc_method_answers_unimplemented_by_name(running: control.InProcessEmulator) -> None:
    with grpc.insecure_channel(running.endpoints.grpc) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/google.pubsub.v1.Publisher/Publish")(b"")
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
        assert "google.pubsub.v1.Publisher/Publish" in caught.value.details()


def test_bytes_that_are_no_message_are_an_invalid_argument(running: control.InProcessEmulator) -> None:
    with grpc.insecure_channel(running.endpoints.grpc) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(f"/{SECRET_MANAGER}/GetSecret")(b"\xff\xff")
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_bug_in_a_handler_is_internal_and_its_text_stays_inside(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_request: Any, _caller: Caller, _txn: Txn) -> Any:
        raise ValueError("the payload is canary")

    method = f"{SECRET_MANAGER}/GetSecret"
    emulator = Emulator(cloud.store, [Service(methods={method: Method(broken, "", lambda _request: "")})])
    servers = Servers(emulator)
    with grpc.insecure_channel(servers.endpoints.grpc) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(f"/{method}")(b"")
        assert (
            caught.value.code(),
            caught.value.details(),
        ) == (grpc.StatusCode.INTERNAL, "Internal error (ValueError).")
    connection = http.client.HTTPConnection("127.0.0.1", servers.endpoints.http_port, timeout=10)
    assert (
        (reply := ask(connection, "GET", f"{PATH}/x"))[0],
        reply[1]["error"]["message"],
    ) == (500, "Internal error (ValueError).")
    connection.close()
    servers.stop()
    assert "canary" not in caplog.text


def test_stopping_ends_open_connections_and_frees_the_ports(cloud: Cloud) -> None:
    servers = Servers(cloud.emulator)
    ends = servers.endpoints
    connection = http.client.HTTPConnection("127.0.0.1", ends.http_port, timeout=10)
    assert ask(connection, "GET", PATH)[0] == 200
    servers.stop()
    with pytest.raises((http.client.HTTPException, OSError)):
        ask(connection, "GET", PATH)
    connection.close()
    again = Servers(cloud.emulator, grpc_port=ends.grpc_port, http_port=ends.http_port)
    assert ends == again.endpoints
    again.stop()
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("emulator-http-")] == []


def test_the_same_state_comes_back_on_the_same_http_port(tmp_path: Any) -> None:
    state = tmp_path / "emulator.db"
    with control.start_in_process(state) as first:
        port = first.endpoints.http_port
        with control.start_in_process(state) as second:
            assert port != second.endpoints.http_port
    with control.start_in_process(state) as third:
        assert port == third.endpoints.http_port


def test_one_connection_too_many_is_refused_and_the_others_go_on(
    cloud: Cloud, running: control.InProcessEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestra_creds.emulator.server.servers.MOST_CONNECTIONS", 2)
    open_ones = [http.client.HTTPConnection("127.0.0.1", running.endpoints.http_port, timeout=10) for _ in range(3)]
    try:
        assert [ask(one, "GET", PATH)[0] for one in open_ones[:2]] == [200, 200]
        open_ones[2].request("GET", PATH)
        assert open_ones[2].getresponse().status == 503
        assert ask(open_ones[0], "GET", PATH)[0] == 200
    finally:
        for one in open_ones:
            one.close()
