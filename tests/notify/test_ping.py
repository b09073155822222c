"""The dead man's switch on a loopback server."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from orchestra_creds.errors import ConfigError
from orchestra_creds.notify.ping import LONGEST_BODY, Ping
from tests.serving import serving


class Switch(HTTPServer):
    """Remembers what it was told; answers with the statuses given, then 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.told: list[tuple[str, bytes]] = []
        self.statuses: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/uuid"


class Handler(BaseHTTPRequestHandler):
    server: Switch

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.told.append((self.path, body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        return None


@pytest.fixture
def switch() -> Iterator[Switch]:
    with serving(Switch()) as server:
        yield server


def test_it_is_told_at_the_start_and_at_the_end_with_the_exit_code(switch: Switch) -> None:
    ping = Ping(switch.url, "run-1", pytest.fail)
    ping.start()
    ping.end(5, "db: failed")
    assert switch.told == [("/uuid/start?rid=run-1", b""), ("/uuid/5?rid=run-1", b"db: failed")]


def test_a_long_text_is_cut(switch: Switch) -> None:
    Ping(switch.url, "r", pytest.fail).end(0, "x" * 50_000)
    assert len(switch.told[0][1]) == LONGEST_BODY


def test_it_is_tried_three_times_and_then_only_said(switch: Switch) -> None:
    switch.statuses = [500, 503, 500]
    said: list[str] = []
    Ping(switch.url, "r", said.append).end(0, "")
    assert len(switch.told) == 3
    assert len(said) == 1


def test_a_redirect_is_not_followed(switch: Switch) -> None:
    switch.statuses = [302, 302, 302]
    said: list[str] = []
    Ping(switch.url, "r", said.append).start()
    assert len(said) == 1


def test_nobody_there_is_only_said() -> None:
    said: list[str] = []
    Ping("http://127.0.0.1:9/x", "r", said.append).start()
    assert "not affected" in said[0]


@pytest.mark.parametrize(
    "url", ["http://example.com/x", "ftp://x", "https://a b", "https://u:p@example.com/", "https://x/?a=b", ""]
)
def test_an_address_that_is_not_safe_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="ping-url"):
        Ping(url, "r", pytest.fail)
