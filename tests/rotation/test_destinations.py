"""Every destination: refuses before it is written to, holds what it was given, and takes the same again."""

import base64
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from nacl.public import PrivateKey, SealedBox

from orchestra_creds.core.credential import Copy
from orchestra_creds.core.material import Material
from orchestra_creds.core.ports import Destination
from orchestra_creds.errors import (
    AuthError,
    ConfigError,
    CredsError,
    NotFoundError,
    PreconditionError,
    UnavailableError,
)
from orchestra_creds.github.actions import ActionsSecret
from orchestra_creds.rotation.destinations import FileCopy, ProgramCopy, SecretCopy
from tests.rotation.world import World
from tests.serving import serving

FIRST, SECOND = Material(b"first material\n\x00\xff"), Material(b"second material")


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


@pytest.fixture
def github() -> Iterator[GitHub]:
    with serving(GitHub()) as server:
        yield server


@dataclass
class Case:
    """A destination, what it holds, and how to break it."""

    destination: Destination
    holds: Callable[[], Material]
    break_it: Callable[[], None]


@pytest.fixture(params=["file", "program", "secret", "github"])
def case(request: pytest.FixtureRequest, tmp_path: Path, world: World, github: GitHub) -> Case:
    folder = tmp_path / "place"
    folder.mkdir()
    if request.param == "file":
        file = folder / "key.json"
        made: Destination = FileCopy(Copy("file", "a file", {"path": str(file)}))
        return Case(made, lambda: Material(file.read_bytes()), folder.rmdir)
    if request.param == "program":
        program, held = folder / "take", tmp_path / "held"
        program.write_text(f"#!/bin/sh\ncat > {held}\n")
        program.chmod(0o755)
        made = ProgramCopy(Copy("command", "a program", {"argv": (str(program),)}), timedelta(seconds=10))
        return Case(made, lambda: Material(held.read_bytes()), program.unlink)
    if request.param == "secret":
        world.secrets.create_secret("copy")
        made = SecretCopy(Copy("secret", "a secret", {"secret": "copy"}), world.secrets)
        return Case(
            made, lambda: world.secrets.access("copy", "latest").material, lambda: world.secrets.delete_secret("copy")
        )
    made = ActionsSecret("gh", "acme/app", "SA_KEY", lambda: Material(b"token-1\n"), api=github.url)

    def refuse() -> None:
        github.answer = 404

    return Case(made, lambda: github.opened("/repos/acme/app/actions/secrets/SA_KEY"), refuse)


def test_it_holds_what_it_was_given_and_takes_the_same_again(case: Case) -> None:
    case.destination.check()
    for material in (FIRST, FIRST, SECOND, SECOND):
        case.destination.put(material, identifier="kid", version=3)
        assert case.holds() == material


def test_it_refuses_before_anything_is_written_and_shows_nothing(case: Case) -> None:
    case.break_it()
    for attempt in (case.destination.check, lambda: case.destination.put(FIRST, identifier="kid", version=3)):
        with pytest.raises(CredsError) as caught:
            attempt()
        assert "first material" not in f"{caught.value} {caught.value.hint} {case.destination!r}"
        assert "token-1" not in f"{caught.value} {caught.value.hint}"


def test_a_secret_gets_no_second_version_of_the_same_bytes(world: World) -> None:
    world.secrets.create_secret("copy")
    copy = SecretCopy(Copy("secret", "s", {"secret": "copy"}), world.secrets)
    for _ in range(3):
        copy.put(FIRST, identifier="k", version=1)
    assert len(world.versions("copy")) == 1


def test_a_file_is_for_its_owner_alone_unless_told(tmp_path: Path) -> None:
    plain, open_one = tmp_path / "a", tmp_path / "b"
    FileCopy(Copy("file", "a", {"path": str(plain)})).put(FIRST, identifier="k", version=1)
    FileCopy(Copy("file", "b", {"path": str(open_one), "mode": "640"})).put(FIRST, identifier="k", version=1)
    assert (plain.stat().st_mode & 0o777, open_one.stat().st_mode & 0o777) == (0o600, 0o640)
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    with pytest.raises(ConfigError, match="no file mode"):
        FileCopy(Copy("file", "c", {"path": "x", "mode": "rw"}))


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "precious", tmp_path / "link"
    target.write_text("untouched")
    link.symlink_to(target)
    FileCopy(Copy("file", "a", {"path": str(link)})).put(FIRST, identifier="k", version=1)
    assert target.read_text() == "untouched"
    assert not link.is_symlink()


def test_github_gets_the_token_in_one_header_and_the_value_sealed(github: GitHub) -> None:
    secret = ActionsSecret(
        "gh", "acme/app", "SA_KEY", lambda: Material(b"token-1\n"), environment="prod", api=github.url
    )
    secret.put(FIRST, identifier="k", version=1)
    assert github.opened("/repos/acme/app/environments/prod/secrets/SA_KEY") == FIRST
    assert {authorization for _, _, authorization in github.asked} == {"Bearer token-1"}


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (401, {}, AuthError),
        (403, {}, AuthError),
        (403, {"x-ratelimit-remaining": "0"}, UnavailableError),
        (403, {"retry-after": "60"}, UnavailableError),
        (429, {}, UnavailableError),
        (404, {}, NotFoundError),
        (422, {}, PreconditionError),
        (502, {}, UnavailableError),
        (302, {"location": "http://127.0.0.1:1/"}, PreconditionError),
    ],
)
def test_githubs_refusals_are_told_apart(
    github: GitHub, status: int, headers: dict[str, str], kind: type[CredsError]
) -> None:
    github.answer, github.headers = status, headers
    with pytest.raises(kind) as caught:
        ActionsSecret("gh", "acme/app", "KEY", lambda: Material(b"t"), api=github.url).check()
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("repository", "secret", "api"),
    [
        ("acme", "KEY", "https://api.github.com"),
        ("acme/app", "GITHUB_X", "https://api.github.com"),
        ("acme/app", "a-b", "https://api.github.com"),
        ("acme/app", "KEY", "http://example.com"),
        ("acme/../x", "KEY", "https://api.github.com@evil.example/"),
    ],
)
def test_names_and_addresses_that_are_none_are_refused(repository: str, secret: str, api: str) -> None:
    with pytest.raises(ConfigError):
        ActionsSecret("gh", repository, secret, lambda: Material(b"t"), api=api)


def test_too_much_for_github_is_refused(github: GitHub) -> None:
    with pytest.raises(ConfigError, match="GitHub takes"):
        ActionsSecret("gh", "a/b", "K", lambda: Material(b"t"), api=github.url).put(
            Material(b"x" * 50_000), identifier="k", version=1
        )
    assert github.asked == []
