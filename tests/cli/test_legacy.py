"""The old scripts' verbs; each test is named after the bug that it ends."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from orchestra_creds.cli import legacy
from orchestra_creds.core.policies import change_policy
from orchestra_creds.core.resources import Grant
from orchestra_creds.emulator.server import control
from orchestra_creds.gcp.policies import RestPolicyStore
from orchestra_creds.gcp.session import ApiSession, Endpoints
from orchestra_creds.scanner.samples.sample import render
from tests.cli.cloud import PROJECT, arm, disarm, make_account, state_of
from tests.cli.conftest import Ended, Operator, appears

SCRIPTS = Path(__file__).parents[2] / "scripts"
VALUE = "a value" + " with 'quotes'\n"


@pytest.fixture
def caller(operator: Operator) -> Operator:
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local"}
    operator.write("orchestra-creds.toml", f'schema = 1\n\n[project]\nid = "{PROJECT}"   # kept\n')
    operator.write("value.txt", VALUE)
    return operator


def old(operator: Operator, *arguments: str, script: str = "secure_credential_manager.sh") -> Ended:
    """The old script by its old name."""
    done = subprocess.run(
        [str(SCRIPTS / script), *arguments],
        cwd=operator.folder,
        env=operator.environment,
        capture_output=True,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr.decode())


def test_get_secret_never_existed_and_now_prints_exactly_the_bytes(caller: Operator) -> None:
    assert old(caller, "create-secret", "db-dev", "value.txt").code == 0
    ended = old(caller, "get-secret", "db-dev")
    assert (ended.code, ended.stdout) == (0, VALUE.rstrip("\n").encode())


def test_check_secret_always_said_no_and_is_now_true_and_silent(caller: Operator) -> None:
    assert (old(caller, "check-secret", "db-dev").code, old(caller, "check-secret", "db-dev").stderr) == (1, "")
    old(caller, "create-secret", "db-dev", "value.txt")
    ended = old(caller, "check-secret", "db-dev")
    assert (ended.code, ended.stdout, ended.stderr) == (0, b"", "")


def test_create_fell_through_to_add_and_now_refuses_what_is_there(caller: Operator) -> None:
    old(caller, "create-secret", "db-dev", "value.txt")
    caller.write("value.txt", "another one")
    ended = old(caller, "create-secret", "db-dev", "value.txt")
    assert ended.code == 1
    assert "update-secret" in ended.stderr
    assert old(caller, "get-secret", "db-dev").stdout == VALUE.rstrip("\n").encode()
    assert old(caller, "update-secret", "db-dev", "value.txt").code == 0
    assert old(caller, "get-secret", "db-dev").stdout == b"another one"


def test_placeholders_became_latest_and_are_now_refused(caller: Operator) -> None:
    caller.write("value.txt", "your-vertex-api-key\n")
    ended = old(caller, "create-secret", "vertex-api-key", "value.txt")
    assert ended.code == 1
    assert "placeholder" in ended.stderr
    assert old(caller, "check-secret", "vertex-api-key").code == 1


def test_secure_deleted_the_only_copy_and_now_deletes_nothing(caller: Operator) -> None:
    key = caller.write("service-account-key.json", f'{{"token": "{render("gh" + "p_{crc62:30}")}"}}\n')
    before = key.read_bytes()
    ended = old(caller, "secure")
    assert ended.code == 1
    assert key.read_bytes() == before
    assert "rotate" in ended.stderr


def test_template_tripped_every_scanner_and_now_writes_nothing(caller: Operator) -> None:
    before = sorted(caller.folder.iterdir())
    ended = old(caller, "template")
    assert (ended.code, ended.stdout) == (0, b"")
    assert sorted(caller.folder.iterdir()) == before


def test_env_was_spliced_into_sed_and_now_sets_one_line(caller: Operator) -> None:
    caller.environment["ORCHESTRA_CREDS_PROJECT"] = "acme&dev/x"
    caller.write(".env", "OTHER=kept\nORCHESTRA_PROJECT_ID=old\n")
    for _ in range(2):
        assert old(caller, "env").code == 0
    assert (caller.folder / ".env").read_text().splitlines() == ["OTHER=kept", "ORCHESTRA_PROJECT_ID='acme&dev/x'"]


def test_create_sa_granted_admin_and_now_declares_and_refuses_overbroad_roles(caller: Operator) -> None:
    ended = old(caller, "create-sa", "vertex-agent", "aiplatform.user,roles/logging.logWriter")
    assert ended.code == 0
    text = (caller.folder / "orchestra-creds.toml").read_text()
    assert "# kept" in text
    roles = tomllib.loads(text)["service_accounts"]["vertex-agent"]["project_roles"]
    assert roles == ["roles/aiplatform.user", "roles/logging.logWriter"]
    assert old(caller, "create-sa", "vertex-agent", "viewer").code == 1
    for role in ("owner", "secretmanager.admin", "roles/iam.serviceAccountKeyAdmin"):
        refused = old(caller, "create-sa", "other-agent", role)
        assert refused.code == 1
        assert "whole project" in refused.stderr


def test_rotate_key_deleted_by_sorted_names_and_is_now_a_rotation(caller: Operator) -> None:
    make_account(caller, "app-one")
    caller.write(
        "orchestra-creds.toml",
        f'schema = 1\n[project]\nid = "{PROJECT}"\n[credentials.app-one-key]\nkind = "service-account-key"\n'
        'account = "app-one"\nsettle = "0s"\n',
    )
    ended = old(caller, "rotate-key", "app-one")
    assert ended.code == 0
    assert "rotate app-one-key" in ended.stderr
    assert b'"private_key_id"' in old(caller, "get-secret", "app-one-key").stdout


def test_setup_pushed_values_on_every_run_and_now_shows_a_plan(caller: Operator) -> None:
    ended = old(caller, script="setup_secure_credentials.sh")
    assert ended.code == 0
    assert "secretmanager.googleapis.com" in ended.text or "nothing to change" in ended.text
    assert old(caller, "list-secrets").stdout.count(b"\n") <= 1


def test_setup_wif_had_no_condition_and_now_needs_numbers(caller: Operator) -> None:
    caller.write(
        "orchestra-creds.toml",
        f'schema = 1\n[project]\nid = "{PROJECT}"\n[environments.dev]\n[service_accounts.deployer]\n[github]\nowner = "a"\n'
        'owner_id = 0\n[[github.repositories]]\nname = "app"\nid = 0\n[[github.federation]]\nenv = "dev"\npool = "github-dev"\n'
        'repositories = ["app"]\nimpersonates = ["deployer"]\n',
    )
    ended = old(caller, "setup-wif")
    assert ended.code == 1
    assert "needs the numbers" in ended.stderr


def test_a_failure_is_told_on_stderr_and_is_one(caller: Operator) -> None:
    for arguments in (["get-secret", "nothing"], ["frobnicate"], ["get-secret"], ["create-secret", "x", "/nowhere"]):
        ended = old(caller, *arguments)
        assert (ended.code, ended.stdout) == (1, b"")
        assert "error:" in ended.stderr


def test_every_verb_is_in_the_help_and_the_help_is_on_stdout(caller: Operator) -> None:
    ended = old(caller)
    assert ended.code == 0
    named = set(re.findall(r"^  ([a-z-]+)", ended.text, flags=re.MULTILINE))
    assert named == set(legacy.verbs()) - {"--help"}


def test_no_value_is_ever_on_stderr(caller: Operator) -> None:
    ended = old(caller, "create-secret", "db-dev", "value.txt")
    assert appears([VALUE.strip()], ended.stderr, ended.stdout) == []


def test_m6_only_absent_is_absent(caller: Operator) -> None:
    old(caller, "create-secret", "db-dev", "value.txt")
    caller.write("value.txt", "another one")
    for code, own in (("PERMISSION_DENIED", 3), ("UNAVAILABLE", 6)):
        arm(caller, "GetSecretVersion", "before", code=code)
        checked = old(caller, "check-secret", "db-dev")
        assert (checked.code, checked.stdout, "error:" in checked.stderr) == (own, b"", True)
        created = old(caller, "create-secret", "db-dev", "value.txt")
        assert (created.code, "error:" in created.stderr) == (1, True)
        disarm(caller)
    assert old(caller, "get-secret", "db-dev").stdout == VALUE.rstrip("\n").encode()


@pytest.mark.parametrize("name", ["ORCHESTRA_PROJECT_ID", "GCP_PROJECT_ID", "GCP_PROJECT"])
def test_m6_old_variables_name_the_project_and_the_new_one_is_told(caller: Operator, name: str) -> None:
    caller.write("orchestra-creds.toml", "schema = 1\n")
    caller.environment[name] = "acme-old"
    ended = old(caller, "env")
    assert ended.code == 0
    assert f"{name} names the project; the new variable is ORCHESTRA_CREDS_PROJECT" in ended.stderr
    assert (caller.folder / ".env").read_text().strip() == "ORCHESTRA_PROJECT_ID=acme-old"
    caller.environment["ORCHESTRA_CREDS_PROJECT"] = "acme-new"
    assert "new variable" not in old(caller, "env").stderr
    assert (caller.folder / ".env").read_text().strip() == "ORCHESTRA_PROJECT_ID=acme-new"


def test_m6_a_command_that_is_not_on_path_is_told(caller: Operator, tmp_path: Path) -> None:
    moved = tmp_path / "scripts" / "secure_credential_manager.sh"
    moved.parent.mkdir()
    moved.write_bytes((SCRIPTS / moved.name).read_bytes())
    moved.chmod(0o755)
    bare = {**caller.environment, "PATH": "/usr/bin:/bin"}
    done = subprocess.run([moved, "list-secrets"], env=bare, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (127, "")
    assert "is not on PATH" in done.stderr
    assert "hint:" in done.stderr
    link = tmp_path / "link.sh"
    link.symlink_to(SCRIPTS / moved.name)
    linked = subprocess.run([link, "help"], env=bare, capture_output=True, text=True, check=False)
    assert (linked.returncode, "usage:" in linked.stdout) == (0, True), linked.stderr


@pytest.mark.parametrize("role", ["roles/secretmanager.secretAccessor", "iam.serviceAccountTokenCreator"])
def test_m10_a_reader_of_every_secret_is_refused_at_its_declaration(caller: Operator, role: str) -> None:
    refused = old(caller, "create-sa", "vertex-agent", role)
    assert refused.code == 1
    assert "whole project" in refused.stderr
    full = role if role.startswith("roles/") else f"roles/{role}"
    caller.write(
        "orchestra-creds.toml",
        f'schema = 1\n[project]\nid = "{PROJECT}"\n[service_accounts.vertex-agent]\nproject_roles = ["{full}"]\n',
    )
    planned = caller.call("setup", "--plan")
    assert (planned.code, "whole project" in planned.stderr) == (2, True)


def test_m10_a_reader_of_every_secret_is_named_by_the_check(caller: Operator) -> None:
    account = make_account(caller, "app-one")
    grant = Grant(f"projects/{PROJECT}", "roles/secretmanager.secretAccessor", f"serviceAccount:{account}")
    with control.start_in_process(state_of(caller)) as running:
        session = ApiSession(PROJECT, endpoints=Endpoints(running.endpoints.grpc, running.endpoints.http))
        assert change_policy(RestPolicyStore(session), grant.holder, [grant], tries=1)
        session.close()
    ended = caller.call("setup", "--check")
    assert ended.code == 1
    assert "access.project-wide" in ended.text
    assert account in ended.text
