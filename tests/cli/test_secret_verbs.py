"""`secret` on the embedded cloud, through the real command."""

import json
import os
import pty
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra_creds.emulator.protocol.routes import SECRET_MANAGER
from tests import loopback
from tests.cli.cloud import PROJECT, arm, ask, at_a_terminal, document, make_account
from tests.cli.conftest import COMMAND, Operator, appears, one_error

VALUE = "k7Vq9zL" + "-pW2xT4mR"


@pytest.fixture(autouse=True)
def nothing_leaves_the_loopback() -> Iterator[None]:
    with loopback.guarded():
        yield


@pytest.fixture
def local(operator: Operator) -> Operator:
    operator.environment["ORCHESTRA_CREDS_BACKEND"] = "local"
    return operator


def test_a_value_is_stored_read_back_and_listed_by_name_only(local: Operator) -> None:
    stored = local.call("secret", "set", "db-pass", stdin=VALUE.encode() + b"\n")
    assert (stored.code, "one final line break was taken off" in stored.text) == (0, True)
    assert local.call("secret", "get", "db-pass").stdout == VALUE.encode()
    listed = local.call("secret", "list", "--format", "json")
    assert [secret["name"] for secret in json.loads(listed.stdout)["secrets"]] == ["db-pass"]
    assert appears([VALUE], listed.stdout, stored.stdout, stored.stderr) == []


def test_raw_keeps_the_final_line_break(local: Operator) -> None:
    local.call("secret", "set", "n", "--raw", stdin=b"value-9\n")
    assert local.call("secret", "get", "n").stdout == b"value-9\n"


def test_a_second_value_is_a_second_version_and_the_first_can_still_be_read(local: Operator) -> None:
    for value in (b"first-value", b"second-value"):
        assert local.call("secret", "set", "n", stdin=value).code == 0
    assert local.call("secret", "get", "n").stdout == b"second-value"
    assert local.call("secret", "get", "n", "--version", "1").stdout == b"first-value"
    versions = json.loads(local.call("secret", "versions", "n", "--format", "json").stdout)["versions"]
    assert [(version["number"], version["state"]) for version in versions] == [(2, "enabled"), (1, "enabled")]


def test_disable_enable_and_destroy_in_the_safe_order(local: Operator) -> None:
    for value in (b"first-value", b"second-value"):
        local.call("secret", "set", "n", stdin=value)
    refused = local.call("secret", "destroy", "n", "1", "--confirm", "n")
    assert (refused.code, "is enabled" in one_error(refused)) == (4, True)
    assert local.call("secret", "disable", "n", "1").code == 0
    assert local.call("secret", "get", "n", "--version", "1").code == 4
    assert local.call("secret", "enable", "n", "1").code == 0
    assert local.call("secret", "get", "n", "--version", "1").stdout == b"first-value"
    local.call("secret", "disable", "n", "1")
    unasked = local.call("secret", "destroy", "n", "1")
    assert (unasked.code, "no terminal" in one_error(unasked)) == (2, True)
    wrong = local.call("secret", "destroy", "n", "1", "--confirm", "m")
    assert wrong.code == 2
    assert local.call("secret", "destroy", "n", "1", "--confirm", "n").code == 0
    states = [v["state"] for v in json.loads(local.call("secret", "versions", "n", "-f", "json").stdout)["versions"]]
    assert states == ["enabled", "destroyed"]


def test_disabling_what_latest_shows_is_said(local: Operator) -> None:
    local.call("secret", "set", "n", stdin=b"only-value")
    ended = local.call("secret", "disable", "n", "latest")
    assert (ended.code, "what latest shows" in ended.stderr) == (0, True)


def test_the_environment_is_added_to_the_name_once(local: Operator) -> None:
    local.call("secret", "set", "db-pass", "--env", "dev", stdin=b"value-1")
    local.call("secret", "set", "db-pass-dev", "--env", "dev", stdin=b"value-2")
    names = [s["name"] for s in json.loads(local.call("secret", "list", "-f", "json").stdout)["secrets"]]
    assert names == ["db-pass-dev"]
    assert local.call("secret", "get", "db-pass", "-e", "dev").stdout == b"value-2"


def test_a_generated_value_is_stored_and_never_shown(local: Operator) -> None:
    ended = local.call("secret", "set", "n", "--generate", "--bytes", "24", "--format", "json")
    value = local.call("secret", "get", "n").stdout
    assert (ended.code, len(value)) == (0, 32)
    assert appears([value.decode()], ended.stdout, ended.stderr) == []


def test_values_come_from_the_environment_or_a_command(local: Operator) -> None:
    ended = local.call("secret", "set", "a", "--from-env", "MY_VALUE", variables={"MY_VALUE": VALUE})
    assert (ended.code, "unset MY_VALUE" in ended.stderr) == (0, True)
    assert local.call("secret", "set", "b", "--from-cmd", "printf %s from-a-command").code == 0
    assert (local.call("secret", "get", "a").stdout, local.call("secret", "get", "b").stdout) == (
        VALUE.encode(),
        b"from-a-command",
    )


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "says"),
    [
        (["secret", "set", "n"], b"", 2, "is empty"),
        (["secret", "set", "n"], b"changeme\n", 2, "placeholder"),
        (["secret", "set", "n"], b"x" * 65_537, 2, "65537 bytes"),
        (["secret", "set", "n", "--value-format", "json"], b"{no", 2, "format json"),
        (["secret", "set", "n", "--generate", "--stdin"], b"v", 2, "exclude each other"),
        (["secret", "set", "n", "--from-env", "NOT_SET"], b"", 2, "NOT_SET"),
        (["secret", "set", "n", "--from-cmd", "false"], b"", 4, "ended with 1"),
        (["secret", "set", "n", "--from-cmd", "no-such-program-here"], b"", 2, "no such program"),
        (["secret", "set", "bad name"], b"value-1", 2, "cannot be the name of a secret"),
        (["secret", "get", "nowhere"], b"", 4, "nowhere"),
        (["secret", "versions", "nowhere"], b"", 4, "nowhere"),
        (["secret", "disable", "nowhere", "1"], b"", 4, "nowhere"),
        (["secret", "get", "nowhere", "--version", "no-such-alias"], b"", 4, "no-such-alias"),
        (["secret", "import-env", "nowhere.env"], b"", 4, "nowhere.env"),
        (["secret", "grant", "n", "allUsers"], b"", 2, "public"),
        (["secret", "grant", "n", "mail@example.com"], b"", 2, "no type"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_stores_nothing(
    local: Operator, arguments: list[str], stdin: bytes, code: int, says: str
) -> None:
    ended = local.call(*arguments, stdin=stdin)
    assert (ended.code, ended.stdout) == (code, b"")
    assert says in one_error(ended)
    assert json.loads(local.call("secret", "list", "-f", "json").stdout)["secrets"] == []


def test_without_a_project_both_ways_out_are_named(operator: Operator) -> None:
    ended = operator.call("secret", "list")
    assert (ended.code, "--project" in ended.stderr, "--backend local" in ended.stderr) == (2, True, True)


def test_a_terminal_is_refused_the_value_without_reveal(local: Operator) -> None:
    local.call("secret", "set", "n", stdin=VALUE.encode())
    for arguments, code, shown in (([], 2, False), (["--reveal"], 0, True)):
        parent, child = pty.openpty()
        run = subprocess.run(
            [COMMAND, "secret", "get", "n", *arguments],
            env=local.environment,
            cwd=local.folder,
            stdin=child,
            stdout=child,
            stderr=subprocess.PIPE,
            check=False,
        )
        os.close(child)
        os.set_blocking(parent, False)
        try:
            seen = os.read(parent, 4096)
        except (BlockingIOError, OSError):
            seen = b""
        os.close(parent)
        assert (run.returncode, VALUE.encode() in seen) == (code, shown)


def test_a_value_file_is_private(local: Operator) -> None:
    local.call("secret", "set", "n", stdin=VALUE.encode())
    assert local.call("secret", "get", "n", "-o", "value.txt").code == 0
    path = local.folder / "value.txt"
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (VALUE.encode(), 0o600)


def test_a_dotenv_file_is_imported_by_name_once(local: Operator) -> None:
    local.write(".env", f"# settings\nDB_PASSWORD={VALUE}\nAPI_KEY='other-{VALUE}'\nEMPTY_ONE=changeme\n")
    shown = local.call("secret", "import-env", ".env", "--env", "dev", "--dry-run", "-f", "json")
    plan = json.loads(shown.stdout)
    assert plan["applied"] is False
    assert [(s["secret"], s["state"]) for s in plan["steps"]] == [
        ("db-password-dev", "create"),
        ("api-key-dev", "create"),
        ("empty-one-dev", "refused"),
    ]
    unasked = local.call("secret", "import-env", ".env", "--env", "dev")
    assert unasked.code == 2
    applied = local.call("secret", "import-env", ".env", "--env", "dev", "--yes")
    assert applied.code == 1  # one value was refused: somebody must look
    assert local.call("secret", "get", "db-password", "-e", "dev").stdout == VALUE.encode()
    again = json.loads(local.call("secret", "import-env", ".env", "--env", "dev", "--yes", "-f", "json").stdout)
    assert [step["state"] for step in again["steps"]] == ["same", "same", "refused"]
    assert appears([VALUE], shown.stdout, shown.stderr, applied.stdout, applied.stderr, unasked.stderr) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("DB_PASSWORD={}\nDb_Password=other-{}\n", "variables DB_PASSWORD and Db_Password would both become secret db-password-dev"),
        ("DB_PASSWORD={}\nDB_PASSWORD_DEV=other-{}\n", "variables DB_PASSWORD and DB_PASSWORD_DEV would both become secret db-password-dev"),
        ("A=1\n\nDB_PASSWORD={}\n# again\n\nexport DB_PASSWORD='other-{}'\n", ".env:6: DB_PASSWORD is set a second time, after line 3"),
        ("DB_PASSWORD={}\n'DB_PASSWORD'={}\n", ".env:2: DB_PASSWORD is set a second time, after line 1"),
    ],
    ids=["folded", "environment", "twice", "quoted"],
)  # fmt: skip
@pytest.mark.parametrize("asked", ["--yes", "--dry-run"])
def test_two_lines_that_would_become_one_secret_are_refused_before_any_call(
    local: Operator, text: str, said: str, asked: str
) -> None:
    local.write(".env", text.replace("{}", VALUE))
    refused = local.call("secret", "import-env", ".env", "--env", "dev", asked)
    assert (refused.code, one_error(refused)) == (2, said)
    assert appears([VALUE], refused.stdout, refused.stderr) == []
    entries = json.loads(local.call("emulator", "log", "-f", "json").stdout)["entries"]
    assert [entry["method"] for entry in entries if "SecretManager" in entry["method"]] == []


def test_a_grant_keeps_the_rest_and_says_when_there_is_nothing_to_do(local: Operator) -> None:
    local.call("secret", "set", "n", stdin=b"value-1")
    member = f"serviceAccount:{make_account(local)}"
    for changed in (True, False):
        ended = local.call("secret", "grant", "n", member, "--format", "json")
        assert (ended.code, json.loads(ended.stdout)["changed"]) == (0, changed)


def test_a_grant_to_the_namesake_of_a_deleted_account_leaves_the_deleted_one(local: Operator) -> None:
    local.call("secret", "set", "n", stdin=b"value-1")
    member = f"serviceAccount:{make_account(local)}"
    assert local.call("secret", "grant", "n", member).code == 0
    name = member.replace("serviceAccount:", "projects/demo-project/serviceAccounts/")
    ask(local, "google.iam.admin.v1.IAM/DeleteServiceAccount", name=name)
    make_account(local)
    assert local.call("secret", "grant", "n", member).code == 0
    asked = "google.cloud.secretmanager.v1.SecretManagerService/GetIamPolicy"
    (binding,) = ask(local, asked, resource="projects/demo-project/secrets/n").bindings
    assert sorted(one.partition("?")[0] for one in binding.members) == [f"deleted:{member}", member]


def test_another_spelling_of_a_member_is_no_second_member(local: Operator) -> None:
    local.call("secret", "set", "n", stdin=b"value-1")
    for name in ("OnCall", "oncall"):
        assert local.call("secret", "grant", "n", f"group:{name}@example.com").code == 0
    asked = "google.cloud.secretmanager.v1.SecretManagerService/GetIamPolicy"
    (binding,) = ask(local, asked, resource="projects/demo-project/secrets/n").bindings
    assert [member.casefold() for member in binding.members] == ["group:oncall@example.com"]


@pytest.mark.parametrize(
    "variables",
    [{"ORCHESTRA_CREDS_EMULATOR_GRPC": "127.0.0.1:1", "ORCHESTRA_CREDS_EMULATOR_HTTP": "http://127.0.0.1:1"}],
)
def test_a_refused_connection_is_one_line_and_6(operator: Operator, variables: dict[str, str]) -> None:
    ended = operator.call("secret", "list", "--quiet", variables=variables)
    assert ended.code == 6
    assert "cannot list secrets" in one_error(ended)


def test_a_stranger_is_not_taken_for_the_embedded_cloud(operator: Operator) -> None:
    variables = {
        "ORCHESTRA_CREDS_EMULATOR_GRPC": "example.com:443",
        "ORCHESTRA_CREDS_EMULATOR_HTTP": "http://example.com",
    }
    assert operator.call("secret", "list", variables=variables).code == 2


def test_the_state_holds_no_value_in_clear(local: Operator) -> None:
    local.call("secret", "set", "n", stdin=VALUE.encode())
    files = [
        path.read_bytes() for path in Path(local.environment["ORCHESTRA_CREDS_STATE_DIR"]).rglob("*") if path.is_file()
    ]
    assert files
    assert appears([VALUE], *files) == []


def test_at_a_terminal_the_value_is_asked_for_twice_and_never_shown(local: Operator) -> None:
    code, shown = at_a_terminal(local, ["secret", "set", "n"], [VALUE, VALUE])
    assert (code, b"(hidden)" in shown, appears([VALUE], shown)) == (0, True, [])
    assert local.call("secret", "get", "n").stdout == VALUE.encode()


def test_two_entries_that_differ_store_nothing(local: Operator) -> None:
    code, shown = at_a_terminal(local, ["secret", "set", "n"], [VALUE, VALUE + "x"])
    assert (code, b"nothing was stored" in shown, appears([VALUE], shown)) == (130, True, [])
    assert local.call("secret", "get", "n").code == 4


def test_destroying_is_confirmed_by_typing_the_name(local: Operator) -> None:
    local.call("secret", "set", "n", stdin=b"value-1")
    local.call("secret", "disable", "n", "1")
    for answer, expected, state in (("m", 130, "disabled"), ("n", 0, "destroyed")):
        code, _shown = at_a_terminal(local, ["secret", "destroy", "n", "1"], [answer])
        versions = document(local.call("secret", "versions", "n", "-f", "json").stdout)["versions"]
        assert (code, versions[0]["state"]) == (expected, state)


def test_yes_is_as_good_as_the_name(local: Operator) -> None:
    local.call("secret", "set", "n", stdin=b"value-1")
    local.call("secret", "disable", "n", "1")
    ended = local.call("secret", "destroy", "n", "1", "--yes", "-f", "json")
    assert (ended.code, document(ended.stdout)["version"]["state"]) == (0, "destroyed")


def test_a_value_cannot_be_an_argument(local: Operator) -> None:
    ended = local.call("secret", "set", "n", VALUE)
    assert ended.code == 2
    assert local.call("secret", "get", "n").code == 4


@pytest.mark.parametrize(
    ("arguments", "schema"),
    [
        (["secret", "list"], "secrets"),
        (["secret", "versions", "n"], "versions"),
        (["secret", "set", "n", "--generate"], "version"),
        (["secret", "disable", "n", "1"], "version"),
        (["secret", "enable", "n", "1"], "version"),
        (["secret", "grant", "n", "user:ada@example.com"], "grant"),
        (["secret", "import-env", ".env", "--yes"], "import"),
        (["doctor"], "doctor"),
    ],
    ids=lambda case: " ".join(case[:2]) if isinstance(case, list) else case,
)
def test_every_answer_is_one_document_with_a_versioned_schema(
    local: Operator, arguments: list[str], schema: str
) -> None:
    local.write(".env", f"ONE={VALUE}\n")
    local.call("secret", "set", "n", stdin=b"value-1")
    ended = local.call(*arguments, "--format", "json")
    assert document(ended.stdout)["schema"] == f"orchestra-creds/{schema}/1"


def test_an_error_is_one_document_on_stderr_with_format_json(local: Operator) -> None:
    ended = local.call("secret", "versions", "nowhere", "--format", "json")
    error = json.loads(ended.stderr)["error"]
    assert (ended.code, ended.stdout, error["code"], error["exit_code"]) == (4, b"", "NotFoundError", 4)


def test_a_lost_reply_is_told_and_the_value_is_stored_once(local: Operator) -> None:
    local.call("secret", "set", "n", stdin=b"value-1")
    arm(local, "AddSecretVersion", "after", times=1)
    ended = local.call("secret", "set", "n", stdin=b"value-2")
    assert (ended.code, "look, then try again" in ended.stderr) == (6, True)
    assert len(document(local.call("secret", "versions", "n", "-f", "json").stdout)["versions"]) == 2


def test_a_permission_that_is_missing_is_named_and_3(local: Operator) -> None:
    local.call("secret", "set", "n", stdin=b"value-1")
    arm(local, "AccessSecretVersion", "before", code="PERMISSION_DENIED")
    ended = local.call("secret", "get", "n")
    assert (ended.code, ended.stdout) == (3, b"")
    one_error(ended)


def test_a_quota_that_is_used_up_is_waited_for_and_then_told(local: Operator) -> None:
    local.call("secret", "set", "n", stdin=b"value-1")
    local.call("emulator", "fault", "--quota", "read=0")
    ended = local.call("secret", "list")
    assert (ended.code, "quota" in ended.stderr) == (6, True)


def test_a_standard_input_that_was_closed_is_an_empty_value(local: Operator) -> None:
    run = subprocess.run(
        ["sh", "-c", f"{COMMAND} secret set n <&-"],
        env=local.environment,
        cwd=local.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, "is empty" in run.stderr) == (2, True)


def test_the_verbs_say_one_line_when_google_cannot_be_reached(operator: Operator) -> None:
    """In a process of its own, behind a proxy that is not there."""
    adc = {"type": "authorized_user", "client_id": "c", "client_" + "secret": "s", "refresh_" + "token": "r"}
    path = operator.write("adc.json", json.dumps(adc))
    nowhere = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "http_proxy"), "http://127.0.0.1:1")
    variables = {"GOOGLE_APPLICATION_CREDENTIALS": str(path), **nowhere}
    ended = operator.run("secret", "list", "--project", "acme-dev", variables=variables)
    assert (ended.code, ended.stdout, "no answer" in one_error(ended)) == (6, b"", True)


def test_a_value_is_copied_from_another_secret_byte_by_byte(local: Operator) -> None:
    for value in (b"the first\n", b"the second\n"):
        local.call("secret", "set", "old-name", "--raw", stdin=value)
    assert local.call("secret", "set", "new", "--env", "dev", "--from-secret", "old-name").code == 0
    assert local.call("secret", "get", "new-dev").stdout == b"the second\n"
    ended = local.call("secret", "set", "new-dev", "--from-secret", "old-name@1")
    assert (ended.code, "first" in ended.text + ended.stderr) == (0, False)
    assert local.call("secret", "get", "new-dev").stdout == b"the first\n"


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--from-secret", "nothing"], 4, "not found"),
        (["--from-secret", "old-name@7"], 4, "not found"),
        (["--from-secret", "old-name@1"], 4, "DISABLED"),
        (["--from-secret", "old-name", "--generate"], 2, "exclude each other"),
        (["--from-secret", "filler"], 2, "is a placeholder"),
    ],
)
def test_what_cannot_be_copied_makes_no_secret(local: Operator, options: list[str], code: int, said: str) -> None:
    local.call("secret", "set", "old-name", stdin=b"a value")
    local.call("secret", "disable", "old-name", "1")
    local.call("secret", "set", "filler", stdin=b"a value")
    payload = {"data": b"change" + b"me"}
    ask(local, f"{SECRET_MANAGER}/AddSecretVersion", parent=f"projects/{PROJECT}/secrets/filler", payload=payload)
    ended = local.call("secret", "set", "new", *options)
    assert (ended.code, said in one_error(ended)) == (code, True)
    assert local.call("secret", "get", "new", "--exists").code == 4
