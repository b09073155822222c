"""Runs that do not see the declarations: a green run that rotates nothing is worse than none."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from orchestra_creds.emulator.protocol.routes import SECRET_MANAGER
from orchestra_creds.schedule.workflow import FILE
from tests.cli.cloud import PROJECT, ask, document, make_account
from tests.cli.conftest import Operator, one_error
from tests.cli.test_schedule_remote import IMAGE, JOB, MAIL, PROVIDER, lock

HEAD = f'schema = 1\n[project]\nid = "{PROJECT}"\n'
PASSWORD = '[credentials.db-password]\nkind = "generated"\nevery = "30d"\n'
SAME = {"orchestra-kind": "generated", "orchestra-every": "30d"}
WORKFLOW = ("schedule", "install", "--runner", "github-actions", "--identity", MAIL, "--provider", PROVIDER)


@pytest.fixture
def rotator(operator: Operator) -> Operator:
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local", "ORCHESTRA_CREDS_PROJECT": PROJECT}
    operator.write("orchestra-creds.toml", HEAD + PASSWORD)
    return operator


def make_secret(operator: Operator, secret: str, labels: Mapping[str, str]) -> None:
    fields = {"replication": {"automatic": {}}, "labels": dict(labels)}
    method = f"{SECRET_MANAGER}/CreateSecret"
    ask(operator, method, parent=f"projects/{PROJECT}", secret_id=secret, secret=fields)


def lose_the_file(operator: Operator) -> None:
    (operator.folder / "orchestra-creds.toml").unlink()


@pytest.mark.parametrize("trust", [[], ["--from-labels"]], ids=["without labels", "with labels"])
@pytest.mark.parametrize(
    "verb", [["rotate", "--due"], ["rotate", "--all"], ["rotate", "resume"], ["status", "--check"]]
)
def test_a_run_without_its_file_is_not_green(rotator: Operator, verb: list[str], trust: list[str]) -> None:
    rotator.call("rotate", "--all")
    assert rotator.call(*verb).code == 0
    lose_the_file(rotator)
    ended = rotator.call(*verb, *trust)
    assert ended.code == 1
    assert "db-password" in ended.text
    assert "--config" in ended.text


@pytest.mark.parametrize("labels", [SAME, {"managed-by": "orchestra-creds"}, {"orchestra-due": "20990101"}])
def test_any_mark_of_ours_is_named_where_nothing_is_declared(rotator: Operator, labels: dict[str, str]) -> None:
    lose_the_file(rotator)
    make_secret(rotator, "marked", labels)
    make_secret(rotator, "foreign", {"managed-by": "terraform"})
    ended = rotator.call("rotate", "--due", "-f", "json")
    found = document(ended.stdout)["credentials"]
    assert (ended.code, [(each["name"], each["outcome"]) for each in found]) == (1, [("marked", "attention")])
    assert ("--from-labels" in found[0]["hint"]) == (labels == SAME)
    assert '"credential":"marked"' in ended.stderr  # the log line of a run that nobody watches
    status = rotator.call("status", "--check", "-f", "json")
    problems = [(each["name"], each["problems"][0]["problem"]) for each in document(status.stdout)["credentials"]]
    assert (status.code, problems) == (1, [("marked", "not declared")])


def test_where_nothing_was_ever_declared_only_the_check_complains(rotator: Operator) -> None:
    lose_the_file(rotator)
    make_secret(rotator, "foreign", {})
    due = rotator.call("rotate", "--due")
    assert (due.code, due.stdout, due.stderr) == (0, b"", "")
    assert rotator.call("status").code == 0
    check = rotator.call("status", "--check")
    assert (check.code, check.text.strip()) == (1, "no credential is declared here")


def test_a_secret_that_the_file_names_without_a_rotation_is_accounted_for(rotator: Operator) -> None:
    rotator.write("orchestra-creds.toml", f"{HEAD}[secrets.redis-host]\n")
    make_secret(rotator, "redis-host", {"managed-by": "orchestra-creds"})
    assert rotator.call("rotate", "--due").code == 0


@pytest.mark.parametrize(("days", "code"), [(-3, 1), (-1, 0), (5, 0)])
def test_an_overdue_secret_that_nothing_declares_is_named_beside_others(
    rotator: Operator, days: int, code: int
) -> None:
    rotator.call("rotate", "--all")
    due = datetime.now(UTC) + timedelta(days=days)
    make_secret(rotator, "forgotten", {"orchestra-due": f"{due:%Y%m%d}", **SAME})
    for verb in (["rotate", "--due"], ["status", "--check"]):
        ended = rotator.call(*verb)
        assert (ended.code, "forgotten: hint" in ended.text or "forgotten: not declared" in ended.text) == (
            code,
            bool(code),
        )
    assert "labels that do not count without --from-labels: forgotten" in rotator.call("status").text


@pytest.mark.parametrize(
    ("labels", "more"),
    [
        (None, ""),
        ({"managed-by": "orchestra-creds"}, ""),
        ({**SAME, "orchestra-every": "31d"}, ""),
        ({**SAME, "orchestra-kind": "passwort"}, ""),
        (SAME, 'hooks = { deploy = ["true"] }\n'),
    ],
    ids=["no secret", "no label", "another policy", "a bad label", "what labels cannot say"],
)
@pytest.mark.parametrize("runner", [WORKFLOW, (*JOB, "--image", IMAGE, "--yes")], ids=["github-actions", "cloud-run"])
def test_a_runner_that_will_not_have_the_file_is_refused(
    rotator: Operator, runner: tuple[str, ...], labels: dict[str, str] | None, more: str
) -> None:
    make_account(rotator, "creds-rotator")
    rotator.write("orchestra-creds.toml", HEAD + PASSWORD + more)
    if labels is not None:
        make_secret(rotator, "db-password", labels)
    if runner is WORKFLOW:  # a file outside of the repository is in no checkout
        lock(rotator)
        elsewhere = rotator.folder.parent / "elsewhere.toml"
        (rotator.folder / "orchestra-creds.toml").rename(elsewhere)
        runner = (*runner, "--config", str(elsewhere))
    done = rotator.call(*runner)
    assert (done.code, done.stdout, (rotator.folder / FILE).exists()) == (2, b"", False)
    assert "only that declares db-password" in one_error(done)


@pytest.mark.parametrize("runner", [WORKFLOW, (*JOB, "--image", IMAGE, "--yes")], ids=["github-actions", "cloud-run"])
def test_a_runner_whose_labels_say_the_same_is_installed(rotator: Operator, runner: tuple[str, ...]) -> None:
    make_account(rotator, "creds-rotator")
    make_secret(rotator, "db-password", SAME)
    lock(rotator)
    rotator.environment["ORCHESTRA_CREDS_CONFIG"] = str(rotator.folder.parent / "elsewhere.toml")
    (rotator.folder / "orchestra-creds.toml").rename(rotator.environment["ORCHESTRA_CREDS_CONFIG"])
    assert rotator.call(*runner).code == 0
    shown = rotator.call("schedule", "show", "--runner", runner[3]).text
    workflow = rotator.folder / FILE
    written = workflow.read_text() if workflow.exists() else shown
    assert "rotate --due --from-labels --backend gcp" in written


def test_m4_a_workflow_in_the_repository_of_the_file_uses_it(rotator: Operator) -> None:
    lock(rotator)
    assert rotator.call(*WORKFLOW).code == 0
    written = (rotator.folder / FILE).read_text()
    assert "rotate --due --config orchestra-creds.toml --backend gcp" in written
    assert "--from-labels" not in written


@pytest.mark.parametrize(
    ("labels", "code"),
    [(None, 0), ({"managed-by": "orchestra-creds"}, 2), (SAME, 0)],
    ids=["nothing to label yet", "no label", "the same"],
)
def test_m4_a_daily_run_of_the_file_itself_is_refused_for_credentials_that_it_will_not_see(
    rotator: Operator, labels: dict[str, str] | None, code: int
) -> None:
    schedule = f'[schedule]\nimage = "{IMAGE}"\nidentity = "creds-rotator"\nregion = "us-central1"\n[service_accounts.creds-rotator]\n'
    rotator.write("orchestra-creds.toml", HEAD + schedule + PASSWORD)
    if labels is not None:
        make_secret(rotator, "db-password", labels)
    done = rotator.call("setup", "--plan")
    assert done.code == code
    assert code == 0 or "only that declares db-password" in one_error(done)
