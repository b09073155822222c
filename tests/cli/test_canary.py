"""Nothing is shown: a known value goes through every verb, format and failure, and is looked for wherever it could have got to.

It may appear on stdout of `secret get` and in the file of `-o`, and nowhere else, in no encoding that something on the way could use.
"""

import base64
import json
import os
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from orchestra_creds.gcp.session import ApiSession
from tests import loopback
from tests.cli.cloud import arm, at_a_terminal, daemon_of, disarm, exported, make_account, state_of
from tests.cli.conftest import COMMAND, Ended, Operator, appears
from tests.contract.conftest import Tampered
from tests.contract.test_secret_store import flipped, same

CANARY = 'kJ4"vQ9\\zL' + "/pW2x+T4mR7bN?%&ü"
"""Has what shells, JSON, URLs and terminals escape."""

FORMATS: tuple[list[str], ...] = ([], ["--format", "json"])


def forms(value: str) -> list[str]:
    """The value as it is, and as it would look escaped or encoded."""
    data = value.encode()
    found = [
        value,
        value[:12],
        value[-12:],
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        urllib.parse.quote(value),
        urllib.parse.quote_plus(value),
        data.hex(),
    ]
    for lead in range(3):  # base64 of the value at any place in something longer
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(b"\0" * lead + data).decode().rstrip("=")
            found.append(text[4 if lead else 0 : -2])
    return found


class Watched:
    """An operator all of whose runs are kept."""

    def __init__(self, operator: Operator, variables: dict[str, str]) -> None:
        self.operator = operator
        self.variables = variables
        self.heard: list[bytes] = []

    def __call__(
        self, *arguments: str, stdin: bytes = b"", says: bool = False, variables: Mapping[str, str] | None = None
    ) -> Ended:
        """Run; `says` is for the one verb whose stdout may hold the value."""
        ended = self.operator.call(*arguments, stdin=stdin, variables=self.variables | dict(variables or {}))
        self.heard += [ended.stderr.encode()] + ([] if says else [ended.stdout])
        return ended

    def everything(self) -> list[bytes]:
        """What was said, and every file of the operator: state, run file, daemon's log, working folder."""
        files = [path for path in self.operator.home.rglob("*") if path.is_file() and not path.is_symlink()]
        return [*self.heard, *(path.read_bytes() for path in files)]


@pytest.fixture(autouse=True)
def nothing_leaves_the_loopback() -> Iterator[None]:
    with loopback.guarded():
        yield


@pytest.fixture
def watched(operator: Operator) -> Iterator[Watched]:
    operator.environment |= {
        "GRPC_TRACE": "all",
        "GRPC_VERBOSITY": "debug",
        "GOOGLE_SDK_PYTHON_LOGGING_SCOPE": "google",
    }
    with daemon_of(operator):
        yield Watched(operator, exported(operator))


def look(watched: Watched, values: Sequence[str]) -> None:
    """None of the values is anywhere."""
    needles = [form for value in values for form in forms(value)]
    assert appears(needles, *watched.everything()) == []


def test_the_search_would_find_it_in_every_encoding() -> None:
    around = b"around " + CANARY.encode() + b" it"
    hidden = [
        around,
        json.dumps({"k": CANARY}).encode(),
        json.dumps({"k": CANARY}, ensure_ascii=False).encode(),
        repr([CANARY]).encode(),
        base64.b64encode(around),
        base64.b64encode(b"x" + around),
        base64.urlsafe_b64encode(b"xx" + around),
        around.hex().encode(),
        urllib.parse.quote(CANARY).encode(),
    ]
    assert [place for place in hidden if not appears(forms(CANARY), place)] == []


def test_every_verb_that_succeeds_shows_nothing(watched: Watched) -> None:
    value = CANARY.encode()
    for number, options in enumerate(FORMATS):
        name = f"n{number}"
        assert watched("secret", "set", name, *options, stdin=value).code == 0
        assert (
            watched("secret", "set", name, *options, "--from-env", "MY_VALUE", variables={"MY_VALUE": CANARY}).code == 0
        )
        (watched.operator.home.parent / "canary").write_bytes(value)
        command = f"cat {watched.operator.home.parent / 'canary'}"
        assert watched("secret", "set", name, *options, "--from-cmd", command).code == 0
        assert watched("secret", "get", name, *options, says=True).stdout == value
        assert watched("secret", "get", name, *options, "-o", "out").code == 0
        (watched.operator.folder / "out").unlink()
        for arguments in (
            ["secret", "list"],
            ["secret", "versions", name],
            ["secret", "disable", name, "1"],
            ["secret", "enable", name, "1"],
            ["secret", "disable", name, "1"],
            ["secret", "destroy", name, "1", "--yes"],
            ["secret", "grant", name, "user:ada@example.com"],
            ["doctor"],
            ["emulator", "status"],
            ["emulator", "log"],
            ["emulator", "clock"],
            ["emulator", "fault"],
        ):
            assert watched(*arguments, *options).code == 0, arguments
        env = watched.operator.write(f"{number}.env", f"IMPORTED='{CANARY}'\n")
        for more in (["--dry-run"], ["--yes"], ["--yes"]):
            assert watched("secret", "import-env", env.name, *more, *options).code == 0
        env.unlink()
    look(watched, [CANARY])


def test_a_private_key_goes_to_its_place_and_nowhere_else(watched: Watched) -> None:
    account = make_account(watched.operator)
    assert watched("key", "create", account, "-o", "key.json").code == 0
    text = (watched.operator.folder / "key.json").read_text()
    lines = json.loads(text)["private_key"].splitlines()[1:-1]
    by_key = {"GOOGLE_APPLICATION_CREDENTIALS": str(watched.operator.home.parent / "key.json")}
    (watched.operator.folder / "key.json").rename(by_key["GOOGLE_APPLICATION_CREDENTIALS"])
    watched("secret", "set", "holder", stdin=text.encode())
    assert watched("key", "create", account, "--secret", "holder", "-f", "json").code == 0
    stored = json.loads(watched("secret", "get", "holder", says=True).stdout)["private_key"].splitlines()[1:-1]
    for arguments in (
        ["doctor"],
        ["key", "list", account],
        ["secret", "list"],
        ["secret", "get", "holder", "--version", "9"],
    ):
        for options in FORMATS:
            watched(*arguments, *options, variables=by_key)
    key_id = json.loads(text)["private_key_id"]
    for verb in ("disable", "enable", "disable"):
        assert watched("key", verb, account, key_id).code == 0
    watched("secret", "list", variables=by_key)  # the dead key is refused
    assert watched("key", "delete", account, key_id, "--yes").code == 0
    arm(watched.operator, "CreateServiceAccountKey", "after", times=1)
    watched("key", "create", account, "-o", "lost.json")
    arm(watched.operator, "AddSecretVersion", "after", times=1)
    watched("key", "create", account, "--secret", "holder")
    assert appears([*lines, *stored], *watched.everything()) == []


@pytest.mark.parametrize("phase", ["before", "after"])
def test_every_failure_of_the_cloud_shows_nothing(watched: Watched, phase: str) -> None:
    value = CANARY.encode()
    watched("secret", "set", "n", stdin=value)
    for code in ("PERMISSION_DENIED", "INVALID_ARGUMENT", "INTERNAL", "FAILED_PRECONDITION"):
        arm(watched.operator, "*", phase, code=code)
        for options in FORMATS:
            for arguments, stdin in (
                (["secret", "set", "n"], value),
                (["secret", "get", "n"], b""),
                (["secret", "get", "n", "-o", "out"], b""),
                (["secret", "versions", "n"], b""),
                (["secret", "disable", "n", "1"], b""),
            ):
                ended = watched(*arguments, *options, stdin=stdin)
                assert (ended.code in {2, 3, 4, 6}, ended.stdout) == (True, b""), arguments
        disarm(watched.operator)
    look(watched, [CANARY])


def test_a_damaged_payload_shows_nothing(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    value = CANARY.encode()
    watched("secret", "set", "n", stdin=value)
    connect = ApiSession.connect

    def there(method: str, message: Any) -> Any:
        return flipped(message) if method.endswith("AddSecretVersion") else message

    def back(method: str, message: Any) -> Any:
        return flipped(message) if method.endswith("AccessSecretVersion") else message

    for way in (Tampered(there, same), Tampered(same, back)):
        monkeypatch.setattr(ApiSession, "connect", lambda self, way=way: grpc.intercept_channel(connect(self), way))
        verb = ["set", "n"] if way._there is there else ["get", "n"]
        ended = watched("secret", *verb, stdin=value)
        assert (ended.code, ended.stdout, "damaged on the way" in ended.stderr) == (6, b"", True)
    look(watched, [CANARY])


def test_what_is_refused_on_the_way_in_or_out_shows_nothing(watched: Watched) -> None:
    value = CANARY.encode()
    watched("secret", "set", "n", stdin=value)
    outside = watched.operator.home.parent
    (outside / "canary").write_bytes(value)
    (outside / "bad.env").write_bytes(b"GOOD=1234567\n'" + value + b" no assignment\n")
    (outside / "key.json").write_text(
        json.dumps(
            {
                "type": "service_account",
                "client_email": "a@b.iam.gserviceaccount.com",
                "private_key_id": "k",
                "private_key": CANARY,
                "token_uri": "http://127.0.0.1:1/token",
            }
        )
    )
    (outside / "pem").write_bytes(b"-----BEGIN CERTIFICATE-----\n" + value + b"\n-----END CERTIFICATE-----\n")
    cat = f"cat {outside / 'canary'}"
    for options in FORMATS:
        for arguments, stdin in (
            (["secret", "set", "n", "--value-format", "json"], value),
            (["secret", "set", "n", "--value-format", "pem"], value),
            (["secret", "set", "n", "--value-format", "url"], value),
            (["secret", "set", "n", "--value-format", "regex:no"], value),
            (["secret", "set", "n", "--value-format", "nonsense"], value),
            (["secret", "set", "n"], value * 4000),
            (["secret", "set", "bad name"], value),
            (["secret", "set", "n", "--stdin", "--generate"], value),
            (["secret", "set", "n", "--from-cmd", f"sh -c '{cat}; exit 3'"], b""),
            (["secret", "import-env", str(outside / "bad.env"), "--yes"], b""),
            (["key", "upload", "a@demo-project.iam.gserviceaccount.com", str(outside / "pem")], b""),
            (["secret", "get", "n", "-o", "/dev/full"], b""),
            (["secret", "get", "n", "-o", "no/such/folder"], b""),
            (["secret", "get", "n", "--version", "2"], b""),
        ):
            ended = watched(*arguments, *options, stdin=stdin)
            assert (ended.code in {2, 4, 5}, ended.stdout) == (True, b""), (arguments, ended.code)
        by_key = {"GOOGLE_APPLICATION_CREDENTIALS": str(outside / "key.json")}
        assert watched("secret", "list", *options, variables=by_key).code == 2
        closed = {
            "ORCHESTRA_CREDS_EMULATOR_GRPC": "127.0.0.1:1",
            "ORCHESTRA_CREDS_EMULATOR_HTTP": "http://127.0.0.1:1",
            "ORCHESTRA_CREDS_ACCESS_TOKEN": CANARY.encode("ascii", "ignore").decode(),
        }
        assert watched("secret", "set", "n", *options, stdin=value, variables=closed).code == 6
    look(watched, [CANARY])


def test_the_hidden_prompt_shows_nothing_on_the_terminal(watched: Watched) -> None:
    for answers, code in (([CANARY, CANARY], 0), ([CANARY, "something-else"], 130)):
        ended, shown = at_a_terminal(watched.operator, ["secret", "set", "n"], answers, watched.variables)
        watched.heard.append(shown)
        assert ended == code
    look(watched, [CANARY])


def test_no_argument_list_holds_it(watched: Watched) -> None:
    """The command that gives the value looks at the argument list and the environment's names of whoever started it."""
    outside = watched.operator.home.parent
    (outside / "canary").write_bytes(CANARY.encode())
    spy = outside / "spy"
    spy.write_text(
        f"#!/bin/sh\ncat /proc/$PPID/cmdline /proc/self/cmdline > '{outside}/seen'\ncat '{outside}/canary'\n"
    )
    spy.chmod(0o700)
    run = subprocess.run(
        [COMMAND, "secret", "set", "n", "--from-cmd", str(spy)],
        env=watched.operator.environment | watched.variables,
        cwd=watched.operator.folder,
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    seen = (outside / "seen").read_bytes()
    assert b"--from-cmd" in seen
    watched.heard += [run.stdout, run.stderr, seen]
    look(watched, [CANARY])


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_a_bug_prints_its_type_and_not_its_text(watched: Watched) -> None:
    bug = (
        "import sys\n"
        "from orchestra_creds import __main__\n"
        "from orchestra_creds.gcp.secrets import SecretManagerStore\n"
        "def broken(self, name, material):\n"
        "    value = material.reveal()\n"
        "    raise RuntimeError(value)\n"
        "SecretManagerStore.add_version = broken\n"
        "sys.argv = ['orchestra-creds', 'secret', 'set', 'n']\n"
        "__main__.main()\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", bug],
        env=watched.operator.environment | watched.variables,
        cwd=watched.operator.folder,
        input=CANARY.encode(),
        capture_output=True,
        check=False,
    )
    assert (run.returncode, b"internal error: RuntimeError" in run.stderr) == (70, True)
    watched.heard += [run.stdout, run.stderr]
    look(watched, [CANARY])


def test_the_state_file_was_looked_into(watched: Watched) -> None:
    watched("secret", "set", "findable-name", stdin=CANARY.encode())
    assert appears(["findable-name"], state_of(watched.operator).read_bytes(), *watched.everything()) == [0]
    assert Path(f"{state_of(watched.operator)}.log").is_file()
