"""The part of GitHub's API that seals secrets, on the loopback."""

import base64
import json
from http.server import BaseHTTPRequestHandler, HTTPServer

from nacl.public import PrivateKey, SealedBox

from orchestra_creds.core.material import Material


class GitHub(HTTPServer):
    """The part of GitHub's API that seals secrets, with a key of its own."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.key = PrivateKey.generate()
        self.sealed: dict[str, str] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.answer = 0
        self.headers: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def opened(self, path: str) -> Material:
        return Material(SealedBox(self.key).decrypt(base64.b64decode(self.sealed[path])))


class Handler(BaseHTTPRequestHandler):
    server: GitHub

    def do_GET(self) -> None:
        key = base64.b64encode(bytes(self.server.key.public_key)).decode()
        self._answer(200, {"key_id": "k1", "key": key})

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert body["key_id"] == "k1"
        if not self.server.answer:
            self.server.sealed[self.path] = body["encrypted_value"]
        self._answer(204, None)

    def _answer(self, status: int, body: object) -> None:
        self.server.asked.append((self.command, self.path, self.headers.get("Authorization", "")))
        status = self.server.answer or status
        data = json.dumps(body).encode() if body and not self.server.answer else b""
        self.send_response(status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_args: object) -> None:
        return None
