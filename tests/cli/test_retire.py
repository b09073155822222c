"""The end of credentials as an operator meets it: removed, renamed, moved or foreign ones never leave live keys silently."""

import pytest

from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.emulator.server import control
from tests.cli.cloud import PROJECT, document, make_account, state_of
from tests.cli.conftest import Ended, Operator, one_error
from tests.cli.test_rotate_verb import outcomes, pass_time

HEAD = f'schema = 1\n[project]\nid = "{PROJECT}"\n'
VALUE = '[credentials.pass]\nkind = "generated"\n'
CHECK = ("status", "--check", "--format", "json")


def key(*more: str, name: str = "app-key", account: str = "app-one") -> str:
    lines = [
        f'[credentials.{name}]\nkind = "service-account-key"\naccount = "{account}"\nevery = "90d"\ngrace = "7d"',
        'soak = "3d"\nsettle = "0s"\nrequire_unused = "0s"',
        *more,
    ]
    return "\n".join(lines) + "\n"


def declare(operator: Operator, *tables: str, head: str = HEAD) -> None:
    operator.write("orchestra-creds.toml", head + "".join(tables))


@pytest.fixture
def rotator(operator: Operator) -> Operator:
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local"}
    declare(operator, key(), VALUE)
    make_account(operator)
    assert operator.call("rotate", "--all").code == 0
    return operator


def keys(operator: Operator, account: str = "app-one") -> dict[str, bool]:
    """Key id -> whether it is enabled."""
    mail = f"{account}@{PROJECT}.iam.gserviceaccount.com"
    listed = document(operator.call("key", "list", mail, "--format", "json").stdout)["keys"]
    return {each["id"]: each["state"] == "enabled" for each in listed if each["origin"] == "user"}


def problems(ended: Ended) -> dict[str, dict[str, str]]:
    return {
        one["name"]: {each["problem"]: each["detail"] for each in one["problems"]}
        for one in document(ended.stdout)["credentials"]
    }


def test_a_credential_that_was_removed_from_the_file_is_named_until_it_is_retired(rotator: Operator) -> None:
    (made,) = keys(rotator)
    declare(rotator, VALUE)
    for verb in (["rotate", "--due"], ["status", "--check"]):
        ended = rotator.call(*verb)
        assert ended.code == 1
        assert made in ended.text
        assert "rotate retire app-key --undeclared" in ended.text
    refused = rotator.call("rotate", "retire", "app-key")
    assert (refused.code, "--confirm app-key" in refused.stderr) == (2, True)
    used = rotator.call("rotate", "retire", "app-key", "--yes")
    assert (used.code, "may be in use" in used.text, keys(rotator)) == (4, True, {made: True})
    plan = rotator.call("rotate", "retire", "app-key", "--dry-run", "--in-use")
    assert (plan.code, "would disable" in plan.text, keys(rotator)) == (0, True, {made: True})
    ended = rotator.call("rotate", "retire", "app-key", "--yes", "--in-use")
    assert (ended.code, keys(rotator)) == (0, {made: False}), ended.text
    due = rotator.call("rotate", "--due")
    assert (due.code, due.stdout) == (0, b"")
    status = rotator.call(*CHECK)
    assert (status.code, problems(status)) == (0, {"app-key": {}, "pass": {}})
    pass_time(rotator, "8d")
    assert outcomes(rotator.call("rotate", "--due", "--format", "json"))["app-key"] == "retired"
    assert keys(rotator) == {}
    status = rotator.call(*CHECK)
    assert (status.code, problems(status)) == (0, {"pass": {}})


def test_what_another_file_looks_after_is_no_problem_of_this_one(rotator: Operator) -> None:
    declare(rotator, VALUE, head=f'{HEAD}elsewhere = ["app-*"]\n')
    assert rotator.call("rotate", "--due").code == 0
    assert rotator.call("status", "--check").code == 0
    pass_time(rotator, "93d")
    rotator.call("rotate", "--due")
    assert "app-key" in problems(rotator.call(*CHECK))


def test_a_renamed_secret_leaves_no_key_that_nobody_speaks_for(rotator: Operator) -> None:
    (old,) = keys(rotator)
    declare(rotator, key('secret = "app-key-v2"'), VALUE)
    rotated = rotator.call("rotate", "--all")
    assert (rotated.code, "rotate retire app-key --undeclared" in rotated.text) == (1, True)
    status = rotator.call("status", "--check")
    assert (status.code, f"foreign key ({old}, of secret app-key, which nothing declares" in status.text) == (1, True)
    both = rotator.call("rotate", "retire", "app-key", "--yes")
    assert (both.code, "add --undeclared" in both.stderr, keys(rotator)[old]) == (4, True, True)
    ended = rotator.call("rotate", "retire", "app-key", "--undeclared", "--yes", "--in-use")
    assert (ended.code, keys(rotator)[old], len(keys(rotator))) == (0, False, 2)
    assert (rotator.call("rotate", "--due").code, rotator.call("status", "--check").code) == (0, 0)


def test_abandoning_destroys_nothing_and_names_what_stays(rotator: Operator) -> None:
    (made,) = keys(rotator)
    ended = rotator.call("rotate", "abandon", "app-key", "--confirm", "app-key")
    assert (ended.code, keys(rotator)) == (0, {made: True})
    assert f"{made} stays valid; version 1 holds it" in ended.text
    assert "remove its declaration" in ended.text
    declare(rotator, VALUE)
    assert (rotator.call("rotate", "--due").code, rotator.call("status", "--check").code) == (0, 0)
    again = rotator.call("rotate", "abandon", "app-key", "--yes")
    assert again.code == 4


def test_a_foreign_key_that_the_file_accepts_is_named_and_no_problem_until_its_day(rotator: Operator) -> None:
    mail = f"app-one@{PROJECT}.iam.gserviceaccount.com"
    assert rotator.call("secret", "set", "by-hand", "--stdin", stdin=b"x").code == 0
    assert rotator.call("key", "create", mail, "--secret", "by-hand").code == 0
    (foreign,) = set(keys(rotator)) - {document(rotator.call(*CHECK).stdout)["credentials"][0]["id"]}
    assert set(problems(rotator.call(*CHECK))["app-key"]) == {"foreign key"}
    declare(rotator, key(f'ignore = ["{foreign} until 2099-01-01: the partner has it"]'), VALUE)
    status = rotator.call("status", "--check")
    assert (status.code, f"key {foreign} of {mail} is ignored until 2099-01-01: the partner has it" in status.text) == (
        0,
        True,
    )
    declare(rotator, key(f'ignore = ["{foreign} until 2020-01-01: the partner has it"]'), VALUE)
    late = rotator.call(*CHECK)
    assert (late.code, "ignored until 2020-01-01" in problems(late)["app-key"]["foreign key"]) == (1, True)
    declare(rotator, key(f'ignore = ["{foreign}"]'), VALUE)
    assert "until when and why" in one_error(rotator.call("status"))


def test_another_account_in_the_file_is_a_reason_to_rotate_and_the_old_key_dies_where_it_belongs(
    rotator: Operator,
) -> None:
    (old,) = keys(rotator)
    make_account(rotator, "app-two")
    declare(rotator, key(account="app-two"), VALUE)
    status = rotator.call(*CHECK)
    assert status.code == 1
    assert "app-one@" in problems(status)["app-key"]["declared otherwise"]
    assert outcomes(rotator.call("rotate", "--due", "--format", "json"))["app-key"] == "rotated"
    assert (len(keys(rotator, "app-two")), keys(rotator)) == (1, {old: True})
    assert rotator.call("status", "--check").code == 0
    pass_time(rotator, "8d")
    ended = rotator.call("rotate", "app-key", "--format", "json")
    assert f"disable app-one@{PROJECT}.iam.gserviceaccount.com/{old}" in ended.text
    assert keys(rotator) == {old: False}
    pass_time(rotator, "4d")
    assert rotator.call("rotate", "app-key").code == 0
    assert keys(rotator) == {}
    assert list(keys(rotator, "app-two").values()) == [True]


def test_predecessors_are_disabled_once_both_records_show_that_nobody_uses_them(operator: Operator) -> None:
    """With the usual `require_unused`, and one query to each record for all keys of the project."""
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local"}
    tables = [key(name=f"key-{name}", account=f"app-{name}") for name in ("one", "two")]
    declare(operator, *(table.replace('require_unused = "0s"', 'require_unused = "1d"') for table in tables))
    for name in ("one", "two"):
        make_account(operator, f"app-{name}")
    assert operator.call("rotate", "--all").code == 0
    assert operator.call("rotate", "--all", "--force").code == 0
    pass_time(operator, "7d")
    with control.change_state(state_of(operator)) as txn:
        faults.arm(txn, faults.Fault("*/ListTimeSeries", Code.PERMISSION_DENIED, times=0))
    denied = operator.call("rotate", "--due", "--format", "json")
    assert (denied.code, set(outcomes(denied).values())) == (1, {"attention"})
    assert "cannot ask Cloud Monitoring" in denied.text
    assert list(keys(operator).values()) == [True, True]
    with control.change_state(state_of(operator)) as txn:
        faults.clear(txn)
        before = [entry.method.rpartition("/")[2] for entry in txn.audit()]
    assert outcomes(operator.call("rotate", "--due", "--format", "json")) == {
        "key-one": "retired",
        "key-two": "retired",
    }
    assert sorted(keys(operator).values()) == [False, True]
    with control.change_state(state_of(operator)) as txn:
        asked = [entry.method.rpartition("/")[2] for entry in txn.audit()][len(before) :]
    assert (asked.count("ListTimeSeries"), asked.count("QueryActivity")) == (1, 2)  # `key list` asked once
