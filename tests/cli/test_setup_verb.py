"""`setup` as an operator meets it, on the embedded cloud."""

import json
import tomllib

import pytest

from orchestra_creds.emulator.server import control
from tests.cli.cloud import PROJECT, arm, ask, at_a_terminal, document, make_account, state_of
from tests.cli.conftest import Operator, appears, one_error


@pytest.fixture
def founder(operator: Operator) -> Operator:
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local"}
    assert operator.call("setup", "init", "--project", PROJECT).code == 0
    return operator


def mutations(operator: Operator) -> int:
    with control.change_state(state_of(operator)) as txn:
        return sum(entry.mutating for entry in txn.audit())


def apply(operator: Operator) -> None:
    assert operator.call("setup", "--yes", "--allow-widening").code == 0


EXACT = """
schema = 1
[project]
id = "demo-project"
[environments.dev]
[service_accounts.reader-one]
[secrets.db-pass]
environments = ["dev"]
consumers = ["reader-one"]
accessors = "exact"
[secrets.api-token]
environments = ["dev"]
consumers = ["reader-one"]
accessors = "exact"
"""


def set_readers(operator: Operator, secret: str, *members: str) -> None:
    """Replace everyone who may read a secret, as someone else would."""
    ask(
        operator,
        "google.cloud.secretmanager.v1.SecretManagerService/SetIamPolicy",
        resource=f"projects/{PROJECT}/secrets/{secret}",
        policy={"bindings": [{"role": "roles/secretmanager.secretAccessor", "members": members}]},
    )


def readers(operator: Operator, secret: str) -> set[str]:
    found = ask(
        operator,
        "google.cloud.secretmanager.v1.SecretManagerService/GetIamPolicy",
        resource=f"projects/{PROJECT}/secrets/{secret}",
    )
    return {member for binding in found.bindings for member in binding.members}


def test_nobody_loses_a_secret_whose_declared_reader_could_not_be_granted(operator: Operator) -> None:
    """The last reader stays while the grant that replaces it fails; the other exact secret is put right in the same run."""
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local"}
    operator.write("orchestra-creds.toml", EXACT)
    apply(operator)
    declared = f"serviceAccount:reader-one@{PROJECT}.iam.gserviceaccount.com"
    set_readers(operator, "api-token-dev", "user:eve@example.com")
    set_readers(operator, "db-pass-dev", "user:eve@example.com")
    arm(operator, "SetIamPolicy", "before", code="PERMISSION_DENIED", times=1)
    ended = operator.call("setup", "--yes", "--allow-widening", "--format", "json")
    endings = {(one["action"], one["what"].split()[2]): one["ending"] for one in document(ended.stdout)["changes"]}
    assert readers(operator, "api-token-dev") == {"user:eve@example.com"}
    assert readers(operator, "db-pass-dev") == {declared}
    assert ended.code == 5
    assert endings == {
        ("grant", "secrets/api-token-dev"): "failed",
        ("revoke", "secrets/api-token-dev"): "skipped",
        ("grant", "secrets/db-pass-dev"): "done",
        ("revoke", "secrets/db-pass-dev"): "done",
    }
    apply(operator)
    assert readers(operator, "api-token-dev") == {declared}


SPELLED = """
schema = 1
[project]
id = "demo-project"
[environments.dev]
[secrets.db-pass]
environments = ["dev"]
consumers = [{ member = "group:OnCall@Example.com" }, { member = "user:ada@example.com" }]
accessors = "exact"
"""


@pytest.mark.lenient  # strict mode spells users in lower case, not as a directory has them
def test_a_reader_whom_the_service_spells_otherwise_is_neither_granted_again_nor_locked_out(operator: Operator) -> None:
    """The service answers groups in lower case, and users as they registered."""
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local"}
    operator.write("orchestra-creds.toml", SPELLED)
    apply(operator)
    canonical = {"group:oncall@example.com", "user:Ada@Example.com"}
    set_readers(operator, "db-pass-dev", *canonical)
    before = mutations(operator)
    checked = operator.call("setup", "--check")
    assert (checked.code, "nothing to change" in checked.text) == (0, True), checked.text
    apply(operator)
    assert (readers(operator, "db-pass-dev"), mutations(operator)) == (canonical, before)
    set_readers(operator, "db-pass-dev", *canonical, "user:eve@example.com")
    apply(operator)
    assert readers(operator, "db-pass-dev") == canonical


def test_principals_that_differ_in_case_are_two(operator: Operator) -> None:
    principal = "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/subject/Build"
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local"}
    operator.write("orchestra-creds.toml", SPELLED.replace("group:OnCall@Example.com", principal))
    apply(operator)
    set_readers(operator, "db-pass-dev", principal.replace("Build", "build"), "user:ada@example.com")
    assert operator.call("setup", "--check").code == 1
    apply(operator)
    assert readers(operator, "db-pass-dev") == {principal, "user:ada@example.com"}


def test_init_never_overwrites(founder: Operator) -> None:
    assert "exists already" in one_error(founder.call("setup", "init", "--project", PROJECT))


def test_plan_is_zero_and_check_is_one_until_it_is_applied(founder: Operator) -> None:
    assert founder.call("setup", "--plan").code == 0
    assert founder.call("setup", "--check").code == 1
    assert mutations(founder) == 0
    apply(founder)
    before = mutations(founder)
    assert founder.call("setup", "--check").code == 0
    again = founder.call("setup", "--yes")
    assert (again.code, "nothing to change" in again.text) == (0, True)
    assert mutations(founder) == before


def test_yes_alone_does_not_widen(founder: Operator) -> None:
    ended = founder.call("setup", "--yes")
    assert ended.code == 2
    assert "--allow-widening" in ended.stderr
    assert mutations(founder) == 0


def test_off_a_terminal_nothing_is_applied_unasked(founder: Operator) -> None:
    ended = founder.call("setup")
    assert ended.code == 2
    assert mutations(founder) == 0


@pytest.mark.parametrize(("answer", "code"), [("n", 130), ("y", 0)])
def test_a_person_is_shown_the_plan_and_asked(founder: Operator, answer: str, code: int) -> None:
    ended, shown = at_a_terminal(founder, ["setup", "--only", "secrets"], [answer])
    assert ended == code
    assert b"redis-password-dev" in shown
    assert (mutations(founder) > 0) is (answer == "y")


def test_the_answers_are_versioned_json(founder: Operator) -> None:
    plan = document(founder.call("setup", "--plan", "--format", "json").stdout)
    assert {change["risk"] for change in plan["changes"]} == {"low", "widening"}
    done = document(founder.call("setup", "--yes", "--allow-widening", "--format", "json").stdout)
    assert {change["ending"] for change in done["changes"]} == {"done"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["setup", "--only", "everything"], 2, "--only 'everything' is not known"),
        (["setup", "init", "--project", "Acme"], 2, "no project id"),
        (["setup", "export", "--to", "pulumi"], 2, "is not known"),
        (["setup", "destroy", "nothing"], 4, "not found"),
    ],
)
def test_bad_input_is_one_line(founder: Operator, arguments: list[str], code: int, said: str) -> None:
    ended = founder.call(*arguments)
    assert ended.code == code
    assert said in one_error(ended)


def test_without_a_file_it_says_how_to_get_one(operator: Operator) -> None:
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local"}
    ended = operator.call("setup", "--plan")
    assert ended.code == 2
    assert "setup init" in ended.stderr


def test_terraform_gets_every_resource_with_its_import_and_no_value(founder: Operator) -> None:
    apply(founder)
    founder.call("secret", "set", "redis-host", "--env", "dev", stdin=b"a canary" + b"-value")
    ended = founder.call("setup", "export", "--to", "terraform")
    body = json.loads(ended.stdout)
    assert len(body["resource"]["google_secret_manager_secret"]) == 11
    provider = body["resource"]["google_iam_workload_identity_pool_provider"]["github_prod_github_provider"]
    assert "assertion.environment == 'production'" in provider["attribute_condition"]
    targets = {item["to"] for item in body["import"]}
    assert "google_service_account.orchestrator_demo_project_iam_gserviceaccount_com" in targets
    assert len(targets) == len(body["import"])
    members = body["resource"]["google_secret_manager_secret_iam_member"]
    assert any("condition" in member for member in members.values())
    assert "{number}" not in ended.text
    assert appears(["a canary" + "-value"], ended.stdout) == []


def test_gcloud_commands_are_quoted(founder: Operator) -> None:
    import shlex

    lines = founder.call("setup", "export", "--to", "gcloud").text.splitlines()
    assert all(line.startswith("# ") or shlex.split(line)[0] == "gcloud" for line in lines)
    assert any("add-iam-policy-binding" in line and "request.time" in line for line in lines)


def test_adopt_suggests_what_the_file_does_not_speak_of(founder: Operator) -> None:
    apply(founder)
    make_account(founder, "old-agent")
    for name in ("stripe-key-dev", "stripe-key-prod", "OPENAI_API_KEY"):
        founder.call("secret", "set", name, stdin=b"some value")
    ended = founder.call("setup", "adopt")
    assert ended.code == 0
    assert '[secrets.stripe-key]\nenvironments = ["dev", "prod"]' in ended.text
    assert "[secrets.OPENAI_API_KEY]" in ended.text
    assert "[service_accounts.old-agent]" in ended.text
    file = founder.folder / "orchestra-creds.toml"
    file.write_text(file.read_text() + "\n" + ended.text)
    apply(founder)
    assert founder.call("setup", "adopt").text.strip() == ""
    assert founder.call("setup", "--check").code == 0


def test_destroy_takes_only_what_is_ours_and_nobody_can_read(founder: Operator) -> None:
    apply(founder)
    founder.call("secret", "set", "foreign", stdin=b"some value")
    assert "not made by setup" in one_error(founder.call("setup", "destroy", "foreign", "--confirm", "foreign"))
    founder.call("secret", "set", "redis-host-dev", stdin=b"some value")
    held = founder.call("setup", "destroy", "redis-host-dev", "--confirm", "redis-host-dev")
    assert "can still be read" in one_error(held)
    founder.call("secret", "disable", "redis-host-dev", "1")
    wrong = founder.call("setup", "destroy", "redis-host-dev", "--confirm", "other")
    assert wrong.code == 2
    assert founder.call("setup", "destroy", "redis-host-staging", "--confirm", "redis-host-staging").code == 0
    assert founder.call("secret", "get", "redis-host-staging", "--exists").code == 4


def test_add_declares_an_account_that_setup_makes_and_keeps_every_comment(founder: Operator) -> None:
    before = (founder.folder / "orchestra-creds.toml").read_text().splitlines()
    ended = founder.call(
        "setup", "add", "service-account", "web-agent", "--role", "aiplatform.user", "--act-as", "orchestrator",
        "--description", 'the "web"',
    )  # fmt: skip
    assert ended.code == 0
    after = (founder.folder / "orchestra-creds.toml").read_text()
    assert [line for line in before if line not in after.splitlines()] == []
    assert tomllib.loads(after)["service_accounts"]["web-agent"] == {
        "description": 'the "web"', "project_roles": ["roles/aiplatform.user"], "act_as": ["orchestrator"],
    }  # fmt: skip
    apply(founder)
    assert founder.call("key", "list", f"web-agent@{PROJECT}.iam.gserviceaccount.com").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["orchestrator"], 4, "declares orchestrator already"),
        (["web-agent", "--role", "owner"], 2, "whole project"),
        (["web-agent", "--keys", "rotated"], 2, "go together"),
        (["web-agent", "--keys", "rotated", "--rotation", "never"], 2, "no rotation policy 'never'"),
        (["web-agent", "--act-as", "nobody"], 2, "no service account 'nobody'"),
        (["web-agent", "--custom-role", "nothing"], 2, "no custom role 'nothing'"),
        (["x"], 2, "6 to 30"),
    ],
)
def test_what_cannot_be_added_leaves_the_file_as_it_was(
    founder: Operator, arguments: list[str], code: int, said: str
) -> None:
    before = (founder.folder / "orchestra-creds.toml").read_bytes()
    ended = founder.call("setup", "add", "service-account", *arguments)
    assert (ended.code, said in one_error(ended)) == (code, True)
    assert (founder.folder / "orchestra-creds.toml").read_bytes() == before
