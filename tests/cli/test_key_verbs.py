"""`key` on the embedded cloud, through the real command."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra_creds.emulator.protocol.routes import IAM_ADMIN
from orchestra_creds.emulator.server import control
from tests import loopback
from tests.cli.cloud import arm, ask, at_a_terminal, disarm, document, enable_apis, make_account, state_of
from tests.cli.conftest import Operator, appears, one_error
from tests.contract.test_key_store import certificate


@pytest.fixture(autouse=True)
def nothing_leaves_the_loopback() -> Iterator[None]:
    with loopback.guarded():
        yield


@pytest.fixture
def local(operator: Operator) -> Operator:
    operator.environment["ORCHESTRA_CREDS_BACKEND"] = "local"
    return operator


@pytest.fixture
def account(local: Operator) -> str:
    return make_account(local)


def keys_of(operator: Operator, account: str) -> list[dict[str, object]]:
    ended = operator.call("key", "list", account, "--format", "json")
    assert ended.code == 0, ended.stderr
    return [key for key in document(ended.stdout)["keys"] if key["origin"] == "user"]


def make_key(operator: Operator, account: str, name: str = "key.json") -> str:
    ended = operator.call("key", "create", account, "-o", name, "--format", "json", "--quiet")
    assert ended.code == 0, ended.stderr
    return str(document(ended.stdout)["key"]["id"])


def test_a_new_key_goes_to_a_private_file_and_nowhere_else(local: Operator, account: str) -> None:
    ended = local.call("key", "create", account, "-o", "key.json")
    path = local.folder / "key.json"
    info = json.loads(path.read_bytes())
    assert (ended.code, stat.S_IMODE(path.stat().st_mode), info["client_email"]) == (0, 0o600, account)
    assert [key["id"] for key in keys_of(local, account)] == [info["private_key_id"]]
    lines = [line for line in info["private_key"].splitlines() if "PRIVATE" not in line]
    assert appears(lines, ended.stdout, ended.stderr) == []


def test_a_long_account_mail_does_not_stop_the_keys_of_the_project(local: Operator) -> None:
    project = "orchestra-platform-production"
    enable_apis(local, project)
    for name in ("github-actions-deployer-of-prod", "app-one"):
        local.environment["ORCHESTRA_CREDS_PROJECT"] = project
        ask(local, f"{IAM_ADMIN}/CreateServiceAccount", name=f"projects/{project}", account_id=name[:30])
        mail = f"{name[:30]}@{project}.iam.gserviceaccount.com"
        ended = local.call("key", "create", mail, "-o", f"{name}.json")
        assert ended.code == 0, ended.stderr
        assert len(keys_of(local, mail)) == 1


def test_a_new_key_goes_into_a_secret(local: Operator, account: str) -> None:
    local.call("secret", "set", "app-key", stdin=b"the-value-before")
    ended = local.call("key", "create", account, "--secret", "app-key", "-f", "json")
    stored = json.loads(local.call("secret", "get", "app-key").stdout)
    assert (ended.code, stored["private_key_id"]) == (0, document(ended.stdout)["key"]["id"])


def test_the_place_is_checked_before_a_key_is_made(local: Operator, account: str) -> None:
    for arguments, code in (
        ([], 2),
        (["-o", "key.json", "--secret", "n"], 2),
        (["-o", "no/such/folder/key.json"], 2),
        (["-o", "."], 2),
        (["--secret", "nowhere"], 4),
    ):
        ended = local.call("key", "create", account, *arguments)
        assert (ended.code, ended.stdout) == (code, b"")
        one_error(ended)
    assert keys_of(local, account) == []


def test_a_file_that_exists_is_never_overwritten(local: Operator, account: str) -> None:
    first = make_key(local, account)
    before = (local.folder / "key.json").read_bytes()
    (local.folder / "link.json").symlink_to("nowhere")
    for name in ("key.json", "link.json"):
        refused = local.call("key", "create", account, "-o", name)
        assert (refused.code, f"{name} exists" in one_error(refused)) == (2, True)
    assert (local.folder / "key.json").read_bytes() == before
    assert (local.folder / "link.json").is_symlink()
    assert [key["id"] for key in keys_of(local, account)] == [first]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_key_that_cannot_be_kept_is_deleted_again(local: Operator, account: str) -> None:
    ended = local.call("key", "create", account, "-o", "/dev/full")
    assert ended.code == 5
    assert keys_of(local, account) == []


def test_a_key_whose_storing_has_no_answer_is_named_and_kept(local: Operator, account: str) -> None:
    local.call("secret", "set", "app-key", stdin=b"the-value-before")
    arm(local, "AddSecretVersion", "after", times=1)
    ended = local.call("key", "create", account, "--secret", "app-key")
    (key,) = keys_of(local, account)
    assert (ended.code, str(key["id"]) in one_error(ended)) == (5, True)
    assert json.loads(local.call("secret", "get", "app-key").stdout)["private_key_id"] == key["id"]


def test_a_key_whose_making_has_no_answer_is_named(local: Operator, account: str) -> None:
    arm(local, "CreateServiceAccountKey", "after", times=1)
    ended = local.call("key", "create", account, "-o", "key.json")
    (key,) = keys_of(local, account)
    assert (ended.code, str(key["id"]) in one_error(ended)) == (5, True)
    assert not (local.folder / "key.json").exists()


def test_disable_enable_and_delete_in_the_safe_order(local: Operator, account: str) -> None:
    key = make_key(local, account)
    refused = local.call("key", "delete", account, key, "--confirm", key)
    assert (refused.code, "is enabled" in one_error(refused)) == (4, True)
    for verb, state in (
        ("disable", "disabled"),
        ("disable", "disabled"),
        ("enable", "enabled"),
        ("disable", "disabled"),
    ):
        ended = local.call("key", verb, account, key, "-f", "json")
        assert (ended.code, document(ended.stdout)["key"]["state"]) == (0, state)
    unasked = local.call("key", "delete", account, key)
    assert (unasked.code, "no terminal" in one_error(unasked)) == (2, True)
    assert local.call("key", "delete", account, key, "--confirm", "another").code == 2
    assert [k["id"] for k in keys_of(local, account)] == [key]
    ended = local.call("key", "delete", account, key, "--confirm", key, "-f", "json")
    assert (ended.code, document(ended.stdout)["deleted"]) == (0, {"account": account, "id": key})
    assert keys_of(local, account) == []


def test_yes_is_as_good_as_the_name(local: Operator, account: str) -> None:
    key = make_key(local, account)
    local.call("key", "disable", account, key)
    assert local.call("key", "delete", account, key, "--yes").code == 0


def test_the_name_is_typed_at_a_terminal(local: Operator, account: str) -> None:
    key = make_key(local, account)
    local.call("key", "disable", account, key)
    code, shown = at_a_terminal(local, ["key", "delete", account, key], ["not-this-one"])
    assert (code, b"cannot be undone" in shown, len(keys_of(local, account))) == (130, True, 1)
    code, shown = at_a_terminal(local, ["key", "delete", account, key], [key])
    assert (code, keys_of(local, account)) == (0, [])


def test_a_leaked_key_is_shown_as_such_and_not_enabled_again(local: Operator, account: str) -> None:
    key = make_key(local, account)
    control.expose_key(state_of(local), account, key, "https://example.com/repo")
    (shown,) = keys_of(local, account)
    assert (shown["state"], "EXPOSED" in str(shown["disable_reason"])) == ("disabled", True)
    assert "exposed" in local.call("key", "list", account).text
    refused = local.call("key", "enable", account, key)
    assert (refused.code, "leaked" in one_error(refused)) == (4, True)


def test_googles_own_keys_are_left_alone(local: Operator, account: str) -> None:
    listed = document(local.call("key", "list", account, "-f", "json").stdout)["keys"]
    for key in (key["id"] for key in listed if key["origin"] == "system"):
        for verb in ("disable", "enable", "delete"):
            refused = local.call("key", verb, account, key)
            assert (refused.code, "Google's own" in one_error(refused)) == (4, True)


def test_last_use_is_told_and_its_absence_too(local: Operator, account: str) -> None:
    make_key(local, account)
    ended = local.call("key", "list", account)
    assert (ended.code, "unknown" in ended.text) == (0, True)
    arm(local, "QueryActivity", "before", code="PERMISSION_DENIED")
    ended = local.call("key", "list", account)
    assert (ended.code, "last use is unknown" in ended.stderr) == (0, True)
    disarm(local)


def test_a_certificate_is_uploaded_and_a_private_key_is_not(local: Operator, account: str) -> None:
    (local.folder / "own.pem").write_bytes(certificate())
    ended = local.call("key", "upload", account, "own.pem", "-f", "json")
    assert (ended.code, document(ended.stdout)["key"]["uploaded"]) == (0, True)
    local.write("both.pem", certificate().decode() + "-----BEGIN PRI" + "VATE KEY-----\n")
    local.write("junk.pem", "nonsense")
    for name, code, says in (
        ("both.pem", 2, "private key"),
        ("junk.pem", 2, "not a PEM certificate"),
        ("none.pem", 4, "none.pem"),
    ):
        refused = local.call("key", "upload", account, name)
        assert (refused.code, says in one_error(refused)) == (code, True)
    assert len(keys_of(local, account)) == 1


def test_an_eleventh_key_is_refused_with_what_to_do(local: Operator, account: str) -> None:
    pem = certificate()
    (local.folder / "own.pem").write_bytes(pem)
    for number in range(10):
        (local.folder / "own.pem").write_bytes(certificate())
        assert local.call("key", "upload", account, "own.pem").code == 0, number
    (local.folder / "own.pem").write_bytes(pem)
    for arguments in (["create", account, "-o", "key.json"], ["upload", account, "own.pem"]):
        refused = local.call("key", *arguments)
        assert (refused.code, "10 is the limit" in one_error(refused)) == (4, True)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["key", "list", "nobody@demo-project.iam.gserviceaccount.com"], 4, "nobody@"),
        (["key", "list", "no-mail"], 2, "cannot be a service account"),
        (["key", "disable", "{account}", "0" * 40], 4, "key " + "0" * 40),
        (["key", "enable", "{account}", "../.."], 2, "cannot be the id of a key"),
        (["key", "create", "nobody@demo-project.iam.gserviceaccount.com", "-o", "k"], 4, "nobody@"),
    ],
    ids=range(5),
)
def test_bad_input_is_one_line(local: Operator, account: str, arguments: list[str], code: int, says: str) -> None:
    ended = local.call(*(word.format(account=account) for word in arguments))
    assert (ended.code, ended.stdout, says in one_error(ended)) == (code, b"", True)
