"""`setup` with a bucket, a schedule and alerts in the file: made once, drift told, put right."""

import json

import pytest

from orchestra_creds.emulator.server import control
from orchestra_creds.emulator.server.dispatch import Emulator
from orchestra_creds.emulator.store.store import Store
from tests.cli.cloud import PROJECT, enable_apis, state_of
from tests.cli.conftest import Operator
from tests.emulator.identities import Caller

FILE = """
schema = 1
[project]
id = "demo-project"
[service_accounts.creds-rotator]
description = "Rotates"
[state]
bucket = "demo-project-orchestra-creds"
location = "us-central1"
[schedule]
image = "us-central1-docker.pkg.dev/demo-project/ops/orchestra-creds@sha256:DIGEST"
identity = "creds-rotator"
region = "us-central1"
[alerts]
channels = ["email:ops@example.com"]
""".replace("DIGEST", "0" * 64)
SETUP = ("setup", "--backend", "local")


def mutations(operator: Operator) -> int:
    with control.change_state(state_of(operator)) as txn:
        return sum(entry.mutating for entry in txn.audit())


def foreign(operator: Operator, verb: str, path: str, body: object) -> None:
    """Somebody else's change."""
    store = Store(state_of(operator))
    try:
        assert Caller(Emulator(store, control.SERVICES), "").rest(verb, path, body)[0] == 200
    finally:
        store.close()


def test_it_is_made_once_and_drift_is_told_and_put_right(operator: Operator) -> None:
    operator.write("orchestra-creds.toml", FILE)
    first = operator.call(*SETUP, "--yes", "--allow-widening", "--format", "json")
    assert first.code == 0
    assert {change["ending"] for change in json.loads(first.stdout)["changes"]} == {"done"}
    before = mutations(operator)
    assert (operator.call(*SETUP, "--check").code, operator.call(*SETUP, "--yes").code) == (0, 0)
    assert mutations(operator) == before
    access = {"iamConfiguration": {"publicAccessPrevention": "inherited"}}
    foreign(operator, "PATCH", "/storage/v1/b/demo-project-orchestra-creds", access)
    foreign(operator, "POST", "/v1/projects/demo-project/locations/us-central1/jobs/orchestra-creds-rotate:pause", {})
    drifted = operator.call(*SETUP, "--check")
    assert drifted.code == 1
    assert b"bucket demo-project-orchestra-creds" in drifted.stdout
    assert b"schedule us-central1/orchestra-creds-rotate" in drifted.stdout
    assert operator.call(*SETUP, "--yes").code == 0
    assert operator.call(*SETUP, "--check").code == 0


@pytest.mark.parametrize(("part", "count"), [("state", 1), ("alerts", 9), ("schedule", 3)])
def test_one_part_can_be_looked_at_alone(operator: Operator, part: str, count: int) -> None:
    enable_apis(operator, PROJECT)
    operator.write("orchestra-creds.toml", FILE)
    shown = operator.call(*SETUP, "--plan", "--only", part, "--format", "json")
    assert (shown.code, len(json.loads(shown.stdout)["changes"])) == (0, count)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("0" * 64, "latest", "not named by its digest"),
        ('identity = "creds-rotator"', 'identity = "nobody"', "there is no service account 'nobody'"),
        ("email:ops@example.com", "ops", "is no channel"),
        ('bucket = "demo', 'bucket = "Demo', "is no name of a bucket"),
        ('region = "us-central1"', 'region = "here"', "is no region"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_called(
    operator: Operator, before: str, after: str, said: str
) -> None:
    operator.write("orchestra-creds.toml", FILE.replace(before, after))
    refused = operator.call(*SETUP, "--plan")
    assert (refused.code, refused.stdout) == (2, b"")
    assert said in refused.stderr


def test_m5_an_export_imports_nothing_before_setup_and_everything_after_it(operator: Operator) -> None:
    operator.write("orchestra-creds.toml", FILE)
    enable_apis(operator, PROJECT)
    export = (SETUP[0], "export", *SETUP[1:], "--to", "terraform")
    before = json.loads(operator.call(*export).stdout)
    imported = {block["to"].partition(".")[0] for block in before.get("import", [])}
    assert imported <= {"google_project_service"}  # these were enabled
    assert operator.call(*SETUP, "--yes", "--allow-widening").code == 0
    done = operator.call(*export)
    after = json.loads(done.stdout)
    imported = {block["to"].partition(".")[0] for block in after["import"]}
    assert {"google_service_account", "google_storage_bucket", "google_cloud_run_v2_job"} <= imported
    assert "notification channel email:ops@example.com exists" in done.stderr
