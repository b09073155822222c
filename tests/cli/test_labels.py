"""Labels on secrets: which of them count as declarations, and that a bad one concerns its own secret only."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from orchestra_creds.emulator.protocol.routes import SECRET_MANAGER
from orchestra_creds.rotation.state import ANNOTATION
from tests.cli.cloud import PROJECT, arm, ask, document, make_account
from tests.cli.conftest import Ended, Operator

HEAD = f'schema = 1\n[project]\nid = "{PROJECT}"\n'
PASSWORD = '[credentials.db-password]\nkind = "generated"\nevery = "30d"\n'
KEY = """[credentials.app-key]
kind = "service-account-key"
account = "app-one"
every = "30d"
grace = "6h"
soak = "1d"
settle = "0s"
require_unused = "0s"
"""
OF_OWNER = {
    "orchestra-kind": "service-account-key",
    "orchestra-account": "owner-of-all",
    "orchestra-settle": "0s",
}


@pytest.fixture
def rotator(operator: Operator) -> Operator:
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local", "ORCHESTRA_CREDS_PROJECT": PROJECT}
    return operator


def label(operator: Operator, secret: str, labels: Mapping[str, str]) -> None:
    fields = {"replication": {"automatic": {}}, "labels": dict(labels)}
    method = f"{SECRET_MANAGER}/CreateSecret"
    ask(operator, method, parent=f"projects/{PROJECT}", secret_id=secret, secret=fields)


def annotate(operator: Operator, secret: str, state: str) -> None:
    fields = {"name": f"projects/{PROJECT}/secrets/{secret}", "annotations": {ANNOTATION: state}}
    method = f"{SECRET_MANAGER}/UpdateSecret"
    ask(operator, method, secret=fields, update_mask={"paths": ["annotations"]})


def rows(ended: Ended) -> dict[str, Any]:
    assert ended.stdout, ended.stderr
    return {each["name"]: each for each in document(ended.stdout)["credentials"]}


def keys_of(operator: Operator, account: str) -> list[str]:
    found = document(operator.call("key", "list", account, "--format", "json").stdout)
    return [key["state"] for key in found["keys"] if key["origin"] == "user"]


@pytest.mark.parametrize("toml", ["", HEAD + PASSWORD], ids=["no file", "a file"])
def test_a_label_alone_mints_no_key(rotator: Operator, toml: str) -> None:
    owner = make_account(rotator, "owner-of-all")
    if toml:
        rotator.write("orchestra-creds.toml", toml)
    label(rotator, "mallory", OF_OWNER)
    for verb in (["--due"], ["--all"], ["mallory"]):
        rotator.call("rotate", *verb)
    assert keys_of(rotator, owner) == []
    refused = rotator.call("rotate", "mallory")
    assert (refused.code, "--from-labels" in refused.stderr) == (4, True)
    assert rows(rotator.call("rotate", "--due", "--from-labels", "-f", "json"))["mallory"]["outcome"] == "rotated"
    assert keys_of(rotator, owner) == ["enabled"]


@pytest.mark.parametrize("keys", ["none", "rotated", "forbidden"])
def test_labels_count_for_accounts_whose_keys_the_file_has_rotated(rotator: Operator, keys: str) -> None:
    owner = make_account(rotator, "owner-of-all")
    policy = 'rotation = "monthly"\n[rotation.monthly]\nkind = "service-account-key"\n' if keys == "rotated" else ""
    rotator.write("orchestra-creds.toml", f'{HEAD}[service_accounts.owner-of-all]\nkeys = "{keys}"\n{policy}')
    label(rotator, "mallory", OF_OWNER)
    rotator.call("rotate", "--due")
    assert len(keys_of(rotator, owner)) == (1 if keys == "rotated" else 0)


def test_a_forbidden_account_gets_no_key_whoever_declares_one(rotator: Operator) -> None:
    owner = make_account(rotator, "owner-of-all")
    mine = KEY.replace("app-one", "owner-of-all")
    rotator.write(
        "orchestra-creds.toml", f'{HEAD}{PASSWORD}{mine}[service_accounts.owner-of-all]\nkeys = "forbidden"\n'
    )
    label(rotator, "mallory", OF_OWNER)
    ended = rotator.call("rotate", "--all", "--from-labels", "-f", "json")
    found = rows(ended)
    assert ended.code == 2
    assert {name: row["outcome"] for name, row in found.items()} == {
        "app-key": "failed",
        "db-password": "rotated",
        "mallory": "failed",
    }
    assert 'keys = "forbidden"' in found["mallory"]["message"]
    assert keys_of(rotator, owner) == []


def test_a_secret_that_the_file_gives_a_policy_is_rotated_by_its_labels(rotator: Operator) -> None:
    rotator.write(
        "orchestra-creds.toml",
        f'{HEAD}[secrets.pass]\nrotation = "monthly"\n[rotation.monthly]\nkind = "generated"\nevery = "30d"\n',
    )
    for name in ("pass", "other"):
        label(rotator, name, {"orchestra-kind": "generated", "orchestra-every": "30d"})
    assert list(rows(rotator.call("rotate", "--due", "-f", "json"))) == ["pass"]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"orchestra-kind": "passwort"}, "'passwort' is not known"),
        ({"orchestra-kind": "generated", "orchestra-every": "soon"}, "not a length of time"),
        ({"orchestra-kind": "generated", "orchestra-every": "999999w"}, "longer than a hundred years"),
        ({"orchestra-kind": "service-account-key"}, "needs account"),
        ({"orchestra-kind": "postgres"}, "cannot be declared by labels"),
    ],
)
def test_a_bad_label_concerns_its_own_secret_only(rotator: Operator, labels: dict[str, str], said: str) -> None:
    rotator.write("orchestra-creds.toml", HEAD + PASSWORD)
    label(rotator, "aa-somebody", labels)
    ended = rotator.call("rotate", "--due", "--from-labels", "-f", "json")
    found = rows(ended)
    assert (ended.code, found["db-password"]["outcome"], found["aa-somebody"]["outcome"]) == (2, "rotated", "failed")
    assert said in found["aa-somebody"]["message"]
    assert "aa-somebody" in rotator.call("rotate", "--due", "--from-labels").text
    status = rotator.call("status", "--check", "--from-labels", "-f", "json")
    table = rows(status)
    assert (status.code, table["db-password"]["problems"]) == (1, [])
    assert said in table["aa-somebody"]["problems"][0]["detail"]
    named = rotator.call("rotate", "aa-somebody", "db-password", "--from-labels", "-f", "json")
    assert (named.code, rows(named)["db-password"]["outcome"]) == (2, "nothing to do")


@pytest.mark.parametrize(
    "state",
    [
        {"v": 1, "gen": 1, "ph": "idle", "dest": []},
        {"v": 1, "gen": 1, "ph": "idle", "cur": ["x", [1], 253402300799]},
        {"v": 1, "gen": 1, "ph": "idle", "old": [["x", [1], "grace", 253402300799, 1]], "cur": ["y", [2], 1]},
    ],
    ids=["destinations", "far future", "predecessor in the far future"],
)
def test_a_malformed_state_concerns_its_own_secret_only(rotator: Operator, state: dict[str, Any]) -> None:
    rotator.write("orchestra-creds.toml", HEAD + PASSWORD + PASSWORD.replace("db-", "aa-"))
    rotator.call("rotate", "--all")
    annotate(rotator, "aa-password", json.dumps(state))
    ended = rotator.call("rotate", "--all", "--force", "-f", "json")
    found = rows(ended)
    assert (ended.code, found["aa-password"]["outcome"], found["db-password"]["outcome"]) == (4, "failed", "rotated")
    assert "is damaged" in found["aa-password"]["message"]
    for name in ([], ["aa-password", "db-password"]):
        status = rotator.call("status", *name, "--check", "-f", "json")
        table = rows(status)
        assert (status.code, table["db-password"]["problems"]) == (1, [])
        assert [one["problem"] for one in table["aa-password"]["problems"]] == ["state unreadable"]


@pytest.mark.parametrize("code", ["PERMISSION_DENIED", "UNAVAILABLE", "RESOURCE_EXHAUSTED"])
def test_status_shows_everything_without_policy_analyzer(rotator: Operator, code: str) -> None:
    make_account(rotator)
    rotator.write("orchestra-creds.toml", HEAD + KEY + PASSWORD)
    assert rotator.call("rotate", "--all").code == 0
    arm(rotator, "QueryActivity", "before", code=code)
    status = rotator.call("status", "--check", "-f", "json")
    assert (status.code, set(rows(status))) == (0, {"app-key", "db-password"})
    assert rows(status)["app-key"]["last_used"] is None
    assert [note[:20] for note in document(status.stdout)["notes"]] == ["last use is unknown:"]
    assert "last use is unknown:" in rotator.call("status").text


def test_a_key_that_is_enabled_is_never_deleted(rotator: Operator) -> None:
    account = make_account(rotator)
    rotator.write("orchestra-creds.toml", HEAD + KEY)
    rotator.call("rotate", "--all")
    old = rows(rotator.call("status", "-f", "json"))["app-key"]["id"]
    rotator.call("rotate", "app-key", "--force")
    rotator.call("emulator", "clock", "--advance", "7h")
    assert rows(rotator.call("rotate", "--due", "-f", "json"))["app-key"]["outcome"] == "retired"
    assert rotator.call("key", "enable", account, old).code == 0
    rotator.call("emulator", "clock", "--advance", "2d")
    ended = rotator.call("rotate", "--due", "-f", "json")
    assert (ended.code, rows(ended)["app-key"]["outcome"]) == (1, "attention")
    assert f"predecessor {old} was enabled again" in " ".join(rows(ended)["app-key"]["notes"])
    assert keys_of(rotator, account) == ["enabled", "enabled"]
    rotator.call("key", "disable", account, old)
    for _ in range(2):  # its grace, and its soak
        assert sorted(keys_of(rotator, account)) == ["disabled", "enabled"]
        rotator.call("emulator", "clock", "--advance", "2d")
        assert rotator.call("rotate", "--due").code == 0
    assert keys_of(rotator, account) == ["enabled"]
