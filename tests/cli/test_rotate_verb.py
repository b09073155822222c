"""`rotate`, `status` and `schedule` as an operator meets them, on the embedded cloud."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families

from orchestra_creds import render
from orchestra_creds.emulator.protocol.routes import SECRET_MANAGER, rpcs
from orchestra_creds.emulator.server import control
from orchestra_creds.emulator.server.dispatch import Emulator
from orchestra_creds.emulator.store.store import Store
from orchestra_creds.rotation.state import ANNOTATION
from tests.cli.cloud import PROJECT, arm, disarm, document, make_account, state_of
from tests.cli.conftest import Ended, Operator, appears, one_error

JOURNAL = f"rotations-{PROJECT}.{datetime.now(UTC).year}.jsonl"
LOCAL = {"ORCHESTRA_CREDS_BACKEND": "local"}
KEY = """
[credentials.app-key]
kind = "service-account-key"
account = "app-one"
every = "90d"
grace = "7d"
soak = "72h"
settle = "0s"
require_unused = "0s"
"""
PASSWORD = """
[credentials.db-password]
kind = "generated"
every = "30d"
"""


@pytest.fixture
def rotator(operator: Operator) -> Operator:
    operator.environment |= LOCAL
    operator.write("orchestra-creds.toml", f'schema = 1\n[project]\nid = "{PROJECT}"\n{KEY}{PASSWORD}')
    make_account(operator)
    return operator


def pass_time(operator: Operator, span: str) -> None:
    assert operator.call("emulator", "clock", "--advance", span).code == 0


def mutations(operator: Operator) -> int:
    with control.change_state(state_of(operator)) as txn:
        return sum(entry.mutating for entry in txn.audit())


def rpc(operator: Operator, method: str, **fields: Any) -> None:
    """A call of Secret Manager on the operator's embedded cloud."""
    store = Store(state_of(operator))
    name = f"{SECRET_MANAGER}/{method}"
    Emulator(store, control.SERVICES).rpc(name, rpcs()[name].request(**fields), {})
    store.close()


def outcomes(ended: Ended) -> dict[str, str]:
    return {each["name"]: each["outcome"] for each in document(ended.stdout)["credentials"]}


def test_all_issues_what_has_no_version_and_due_is_silent_when_nothing_is(rotator: Operator) -> None:
    first = rotator.call("rotate", "--all", "--format", "json")
    assert (first.code, outcomes(first)) == (0, {"app-key": "rotated", "db-password": "rotated"})
    before = mutations(rotator)
    quiet = rotator.call("rotate", "--due")
    assert (quiet.code, quiet.stdout, quiet.stderr) == (0, b"", "")
    assert mutations(rotator) == before


def test_due_writes_log_lines_for_machines_that_hold_no_material(rotator: Operator) -> None:
    rotator.call("rotate", "--all")
    pass_time(rotator, "91d")
    ended = rotator.call("rotate", "--due")
    assert ended.code == 0
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert {line["severity"] for line in lines} == {"INFO", "NOTICE"}
    assert lines[-1]["message"] == "rotate: 2 rotated"
    assert lines[-1]["logging.googleapis.com/operation"]["last"] is True
    assert {line["logging.googleapis.com/labels"].get("credential") for line in lines[:-1]} == {
        "app-key",
        "db-password",
    }
    value = rotator.call("secret", "get", "db-password").text
    journal = (Path(rotator.environment["ORCHESTRA_CREDS_STATE_DIR"]) / JOURNAL).read_text()
    assert appears([value], ended.stderr, ended.stdout, journal) == []


@pytest.mark.parametrize("mode", ["--due", "--all", "app-key"])
def test_a_quiet_success_prints_nothing_at_all(rotator: Operator, mode: str) -> None:
    rotator.call("rotate", "--all")
    pass_time(rotator, "91d")
    ended = rotator.call("rotate", mode, "--quiet")
    assert (ended.code, ended.stdout, ended.stderr) == (0, b"", "")
    versions = document(rotator.call("secret", "versions", "app-key", "--format", "json").stdout)["versions"]
    assert len(versions) == 2


@pytest.mark.parametrize("mode", ["--due", "--all", "app-key"])
def test_a_quiet_failure_names_the_credential_on_standard_error_only(rotator: Operator, mode: str) -> None:
    rotator.call("rotate", "--all")
    pass_time(rotator, "91d")
    arm(rotator, "UploadServiceAccountKey", "before", code="PERMISSION_DENIED")
    ended = rotator.call("rotate", mode, "--quiet", "--log-format", "text")
    assert (ended.code, ended.stdout) == (3, b"")
    assert [line.split()[1] for line in ended.stderr.splitlines()] == ["ERROR", "ERROR"]
    assert "app-key: failed" in ended.stderr
    assert "hint: " in ended.stderr
    assert "db-password" not in ended.stderr


@pytest.mark.parametrize("verb", ["rotate --all", "resume"])
def test_the_log_is_text_or_json_by_choice(rotator: Operator, verb: str) -> None:
    arm(rotator, "AddSecretVersion", "before", code="PERMISSION_DENIED", times=1)
    rotator.call("rotate", "app-key")
    arguments = ["rotate", *verb.removeprefix("rotate ").split()]
    text = rotator.call(*arguments, "--log-format", "text").stderr.splitlines()
    assert "app-key: " in text[0]
    assert text[-1].split()[1:3] == ["NOTICE", "rotate:"]
    rotator.call("rotate", "app-key", "--force")
    data = [
        json.loads(line)
        for line in rotator.call("rotate", "app-key", "--force", "--log-format", "json").stderr.splitlines()
    ]
    assert data[-1]["message"] == "rotate: 1 rotated"
    assert rotator.call("rotate", "app-key", "--force").stderr == ""


def test_a_dry_run_changes_nothing_and_names_the_steps_of_the_run(rotator: Operator) -> None:
    rotator.call("rotate", "--all")
    pass_time(rotator, "91d")
    before = mutations(rotator)
    plan = document(rotator.call("rotate", "--all", "--dry-run", "--format", "json").stdout)
    assert plan["dry_run"] is True
    assert mutations(rotator) == before
    done = document(rotator.call("rotate", "--all", "--format", "json").stdout)

    def steps(of: object) -> object:
        return [[(step["action"], step["resource"]) for step in each["steps"]] for each in of["credentials"]]  # type: ignore[index]

    assert steps(plan) == steps(done)


def test_labels_declare_credentials_without_a_file(operator: Operator) -> None:
    operator.environment |= LOCAL
    labels = {"orchestra-kind": "generated", "orchestra-every": "30d"}
    secret = {"replication": {"automatic": {}}, "labels": labels}
    rpc(operator, "CreateSecret", parent=f"projects/{PROJECT}", secret_id="labelled", secret=secret)
    ended = operator.call("rotate", "--due", "--from-labels", "--project", PROJECT, "--format", "json")
    assert outcomes(ended) == {"labelled": "rotated"}


def test_a_rollback_brings_the_old_value_back(rotator: Operator) -> None:
    rotator.call("rotate", "db-password")
    old = rotator.call("secret", "get", "db-password").text
    rotator.call("rotate", "db-password", "--force")
    assert rotator.call("secret", "get", "db-password").text != old
    assert rotator.call("rotate", "rollback", "db-password").code == 0
    assert rotator.call("secret", "get", "db-password").text == old


def test_one_failure_stops_no_other_and_the_exit_code_tells(rotator: Operator) -> None:
    arm(rotator, "UploadServiceAccountKey", "before", code="PERMISSION_DENIED")
    ended = rotator.call("rotate", "--all", "--format", "json")
    assert (ended.code, outcomes(ended)) == (3, {"app-key": "failed", "db-password": "rotated"})
    disarm(rotator)
    assert outcomes(rotator.call("rotate", "--all", "--format", "json"))["app-key"] == "rotated"


def test_resume_goes_on_with_what_was_begun_and_begins_nothing(rotator: Operator) -> None:
    arm(rotator, "UploadServiceAccountKey", "before", code="PERMISSION_DENIED")
    rotator.call("rotate", "app-key")
    disarm(rotator)
    ended = rotator.call("rotate", "resume", "--format", "json")
    assert outcomes(ended) == {"app-key": "rotated", "db-password": "nothing to do"}


def test_history_shows_the_steps_and_finds_a_changed_line(rotator: Operator) -> None:
    rotator.call("rotate", "db-password")
    ended = rotator.call("rotate", "history", "db-password", "--verify", "--format", "json")
    body = document(ended.stdout)
    assert (ended.code, body["intact"]) == (0, True)
    assert [entry["step"] for entry in body["entries"]][-1] == "finish"
    journal = Path(rotator.environment["ORCHESTRA_CREDS_STATE_DIR"]) / JOURNAL
    journal.write_text(journal.read_text().replace("publish", "perish", 1))
    broken = rotator.call("rotate", "history", "--verify")
    assert broken.code == 1
    assert "the journal was changed" in broken.text


def test_history_shows_the_latest_steps_and_those_since_a_day(rotator: Operator) -> None:
    rotator.call("rotate", "db-password")
    whole = document(rotator.call("rotate", "history", "--format", "json").stdout)
    assert whole["more"] is False
    last = rotator.call("rotate", "history", "--limit", "2", "--format", "json")
    assert document(last.stdout) == {**whole, "entries": whole["entries"][-2:], "more": True}
    assert "these are the latest 2 steps: --limit shows more" in rotator.call("rotate", "history", "--limit", "2").text
    today = datetime.now(UTC).date()
    since = document(rotator.call("rotate", "history", "--since", str(today - timedelta(days=1)), "-f", "json").stdout)
    assert since == whole
    later = document(rotator.call("rotate", "history", "--since", str(today + timedelta(days=2)), "-f", "json").stdout)
    assert later["entries"] == []
    assert rotator.call("rotate", "history", "other").text == "no such step is in the journal\n"
    assert document(rotator.call("rotate", "history", "--since", "1h", "-f", "json").stdout) == whole
    assert "'soon' is not a length of time" in one_error(rotator.call("rotate", "history", "--since", "soon"))


@pytest.mark.parametrize("planted", ["folder", "pipe"])
def test_a_journal_that_cannot_be_read_is_no_empty_one(planted: str, rotator: Operator) -> None:
    journal = Path(rotator.environment["ORCHESTRA_CREDS_STATE_DIR"]) / JOURNAL
    journal.parent.mkdir(mode=0o700, exist_ok=True)
    journal.mkdir() if planted == "folder" else os.mkfifo(journal)
    ended = rotator.call("rotate", "history")
    assert ended.code == 4
    assert one_error(ended).startswith(f"the journal of {PROJECT} cannot be read: ")


def test_metrics_are_read_by_prometheus(rotator: Operator) -> None:
    target = rotator.folder / "creds.prom"
    rotator.call("rotate", "--due", "--metrics-file", str(target))
    assert target.stat().st_mode & 0o777 == 0o644
    families = {family.name: family for family in text_string_to_metric_families(target.read_text())}
    ages = families["orchestra_creds_credential_age_seconds"].samples
    assert {sample.labels["credential"] for sample in ages} == {"app-key", "db-password"}
    assert families["orchestra_creds_last_success_timestamp_seconds"].samples[0].value > 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["rotate"], 2, "say what to rotate"),
        (["rotate", "--all", "--due"], 2, "say what to rotate"),
        (["rotate", "nobody"], 4, "there is no credential 'nobody'"),
        (["rotate", "--due", "--jitter", "soon"], 2, "not a length of time"),
        (["rotate", "--due", "--ping-url", "http://example.com"], 2, "ping-url"),
        (["rotate", "--due", "--metrics-file", "/nowhere/x.prom"], 2, "cannot write"),
        (["status", "nobody"], 4, "there is no credential 'nobody'"),
        (["status", "--tolerance", "x"], 2, "not a length of time"),
        (["status", "--html", "/nowhere/x.html"], 2, "cannot write"),
    ],
)
def test_bad_input_is_one_line(rotator: Operator, arguments: list[str], code: int, said: str) -> None:
    ended = rotator.call(*arguments)
    assert ended.code == code
    assert said in one_error(ended)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('kind = "servce-account-key"', 4, "unknown kind 'servce-account-key'"),
        ('kind = "generated"\ngrace = "10m"', 3, "shorter than stale reads allow"),
        ('kind = "generated"\nevery = "1d"\ngrace = "7d"', 3, "shorter than its grace"),
        ('kind = "generated"\nevery = "soon"', 3, "not a length of time"),
        ('kind = "generated"\nevry = "30d"', 5, "unknown key 'evry'"),
        ('kind = "generated"\npassword = "x"', 5, "would hold a value"),
        ('kind = "service-account-key"', 3, "needs account"),
        ('kind = "service-account-key"\naccount = "x"\nevery = "12h"\ngrace = "6h"', 3, "would need 17 keys at once"),
        ('kind = "generated"\n[[credentials.a.destinations]]\nkind = "floppy"', 6, "unknown kind 'floppy'"),
        ('kind = "generated"\n[[credentials.a.destinations]]\nkind = "file"', 3, "needs path"),
        ('kind = "generated"\n[credentials.b]\nkind = "generated"\nsecret = "a"', 3, "share secret"),
    ],
)
def test_a_wrong_declaration_is_one_line(operator: Operator, text: str, line: int, said: str) -> None:
    operator.environment |= LOCAL
    operator.write("orchestra-creds.toml", f"schema = 1\n\n[credentials.a]\n{text}\n")
    ended = operator.call("rotate", "--all")
    assert ended.code == 2
    assert said in one_error(ended)
    if "unknown" in said or "value" in said:
        assert f"orchestra-creds.toml:{line}:" in one_error(ended)


def test_states_that_are_not_ours_are_left_alone(rotator: Operator) -> None:
    rotator.call("rotate", "db-password")
    for text, said in (('{"v":99}', "newer"), ("garbage", "damaged")):
        rotator.call("rotate", "--all")
        secret = {"name": f"projects/{PROJECT}/secrets/db-password", "annotations": {ANNOTATION: text}}
        rpc(rotator, "UpdateSecret", secret=secret, update_mask={"paths": ["annotations"]})
        ended = rotator.call("rotate", "db-password", "--force")
        assert ended.code == 4
        assert said in ended.text
        checked = rotator.call("status", "--check", "--format", "json")
        assert checked.code == 1
        problems = [p["problem"] for each in document(checked.stdout)["credentials"] for p in each["problems"]]
        assert "state unreadable" in problems


def test_status_tells_everything_and_check_gives_an_exit_code(rotator: Operator) -> None:
    before = rotator.call("status", "--check")
    assert before.code == 1
    assert "no version yet" in before.text
    rotator.call("rotate", "--all")
    ended = rotator.call("status", "--check", "--format", "json")
    assert ended.code == 0
    body = document(ended.stdout)
    assert {each["name"]: each["kind"] for each in body["credentials"]} == {
        "app-key": "service-account-key",
        "db-password": "generated",
    }
    pass_time(rotator, "31d")
    late = rotator.call("status", "--check")
    assert late.code == 1
    assert "db-password: overdue" in late.text
    assert rotator.call("status", "--check", "--tolerance", "2d").code == 0


def test_the_status_page_asks_nothing_of_anybody(rotator: Operator) -> None:
    rotator.call("rotate", "--all")
    ended = rotator.call("status", "--html", "page.html")
    assert ended.code == 0
    page = (rotator.folder / "page.html").read_text()
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count('role="img"') == 2
    assert (rotator.folder / "page.html").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("verb", ["rotate", "status"])
def test_json_follows_its_schema(rotator: Operator, verb: str) -> None:
    arguments = {"rotate": ["rotate", "--all"], "status": ["status"]}[verb]
    body = document(rotator.call(*arguments, "--format", "json").stdout)
    schema = json.loads((Path(render.__path__[0]) / "schemas" / f"{verb}-1.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(body)
    assert schema["additionalProperties"] is False


def test_no_material_is_printed_by_any_of_them(rotator: Operator) -> None:
    said = [rotator.call("rotate", "--all"), rotator.call("rotate", "--all", "--force", "--format", "json")]
    said += [rotator.call("status"), rotator.call("status", "--format", "json"), rotator.call("rotate", "history")]
    password = rotator.call("secret", "get", "db-password").text
    key = json.loads(rotator.call("secret", "get", "app-key").text)["private_key"].splitlines()[1]
    assert appears([password, key], *[each.stdout + each.stderr.encode() for each in said]) == []


def test_a_denied_look_starts_no_rotation(rotator: Operator) -> None:
    rotator.call("rotate", "app-key")
    pass_time(rotator, "91d")
    rotator.call("rotate", "app-key")
    pass_time(rotator, "8d")
    arm(rotator, "AccessSecretVersion", "before", code="PERMISSION_DENIED")
    before = mutations(rotator)
    ended = rotator.call("rotate", "app-key", "--format", "json")
    disarm(rotator)
    (told,) = document(ended.stdout)["credentials"]
    assert (ended.code, told["outcome"], told["error"]) == (3, "failed", "PermissionDeniedError")
    assert told["steps"] == []
    assert mutations(rotator) == before


def key_states(operator: Operator, account: str) -> dict[str, str]:
    found = document(operator.call("key", "list", account, "--format", "json").stdout)
    return {key["id"]: key["state"] for key in found["keys"]}


def current_key(operator: Operator) -> str:
    return str(json.loads(operator.call("secret", "get", "app-key").stdout)["private_key_id"])


def test_what_leaked_is_dead_when_the_command_ends_with_0(rotator: Operator) -> None:
    rotator.call("rotate", "--all")
    leaked, password = current_key(rotator), rotator.call("secret", "get", "db-password").stdout
    ended = rotator.call("rotate", "app-key", "db-password", "--leaked", "--format", "json")
    assert (ended.code, outcomes(ended)) == (0, {"app-key": "rotated", "db-password": "rotated"})
    states = key_states(rotator, f"app-one@{PROJECT}.iam.gserviceaccount.com")
    assert states.pop(leaked) == "disabled"
    assert set(states.values()) == {"enabled"}
    assert rotator.call("secret", "get", "db-password").stdout != password
    assert rotator.call("secret", "get", "db-password", "--version", "1").code == 4
    assert rotator.call("status", "--check").code == 0
    for name in ("app-key", "db-password"):
        assert rotator.call("rotate", "rollback", name).code == 4


def test_a_predecessor_that_leaked_is_named_by_its_id(rotator: Operator) -> None:
    rotator.call("rotate", "--all")
    leaked = current_key(rotator)
    rotator.call("rotate", "app-key", "--force")
    told = rotator.call("rotate", "app-key", "--leaked", "--dry-run")
    assert f"--leaked --key {leaked}" in told.text
    ended = rotator.call("rotate", "app-key", "--leaked", "--key", leaked)
    assert (ended.code, f"disable app-one@{PROJECT}.iam.gserviceaccount.com/{leaked}" in ended.text) == (0, True)
    assert rotator.call("status", "--check").code == 0


def test_killing_first_asks(rotator: Operator) -> None:
    rotator.call("rotate", "--all")
    leaked, before = current_key(rotator), mutations(rotator)
    refused = rotator.call("rotate", "app-key", "--leaked", "--kill-first")
    assert (refused.code, "--confirm app-key" in refused.stderr, mutations(rotator)) == (2, True, before)
    ended = rotator.call("rotate", "app-key", "--leaked", "--kill-first", "--confirm", "app-key")
    assert (ended.code, current_key(rotator) == leaked) == (0, False), ended.text


@pytest.mark.parametrize(
    "arguments",
    [
        ("app-key", "--key", "0" * 40),
        ("app-key", "db-password", "--leaked", "--key", "0" * 40),
        ("--all", "--leaked", "--kill-first", "--yes"),
        ("app-key", "--kill-first", "--yes"),
    ],
)
def test_what_leaked_is_told_of_one_credential(rotator: Operator, arguments: tuple[str, ...]) -> None:
    before = mutations(rotator)
    refused = rotator.call("rotate", *arguments)
    assert (refused.code, "need --leaked and the name of one" in refused.stderr) == (2, True)
    assert mutations(rotator) == before


def test_what_leaked_and_still_works_is_told_by_every_run_and_by_status(rotator: Operator) -> None:
    rotator.call("rotate", "--all")
    leaked = current_key(rotator)
    arm(rotator, "DisableServiceAccountKey", "before", code="PERMISSION_DENIED")
    assert rotator.call("rotate", "app-key", "--leaked").code == 3
    assert rotator.call("rotate", "--due").code == 3
    status = rotator.call("status", "--check")
    assert (status.code, "leaked and alive" in status.text, leaked in status.text) == (1, True, True)
    disarm(rotator)
    assert rotator.call("rotate", "--due").code == 0
    assert rotator.call("status", "--check").code == 0


def test_a_key_that_google_found_in_public_does_not_come_back(rotator: Operator) -> None:
    rotator.call("rotate", "app-key")
    leaked, account = current_key(rotator), f"app-one@{PROJECT}.iam.gserviceaccount.com"
    control.expose_key(state_of(rotator), account, leaked, "https://example.com/leak")
    assert rotator.call("rotate", "--due").code == 0
    ended = rotator.call("rotate", "rollback", "app-key", "--format", "json")
    (told,) = document(ended.stdout)["credentials"]
    assert (ended.code, told["outcome"], leaked in told["message"]) == (4, "failed", True)
    assert key_states(rotator, account)[leaked] == "disabled"
    assert current_key(rotator) != leaked


def test_a_key_that_a_person_stored_is_adopted_and_the_one_before_it_retired(rotator: Operator) -> None:
    rotator.call("rotate", "--all")
    mail = f"app-one@{PROJECT}.iam.gserviceaccount.com"
    assert rotator.call("key", "create", mail, "--secret", "app-key").code == 0
    for verb in (["rotate", "--due"], ["status", "--check"]):
        assert rotator.call(*verb).code != 0
    adopted = rotator.call("rotate", "app-key", "--adopt", "--format", "json")
    (one,) = document(adopted.stdout)["credentials"]
    assert (adopted.code, one["outcome"], one["version"]) == (0, "adopted", 2)
    schema = json.loads((Path(render.__file__).parent / "schemas" / "rotate-1.json").read_text(encoding="utf-8"))
    jsonschema.validate(document(adopted.stdout), schema)
    status = rotator.call("status", "app-key", "--check", "--format", "json")
    (found,) = document(status.stdout)["credentials"]
    assert (status.code, found["id"], [entry["phase"] for entry in found["retiring"]]) == (0, one["id"], ["grace"])
    pass_time(rotator, "8d")
    assert outcomes(rotator.call("rotate", "app-key", "--format", "json")) == {"app-key": "retired"}
