"""`schedule install` for a Cloud Run job and for GitHub Actions, as an operator meets it."""

from pathlib import Path

import pytest

from orchestra_creds.emulator.server import control
from orchestra_creds.schedule.workflow import FILE, LOCK
from tests.cli.cloud import PROJECT, arm, enable_apis, make_account, state_of
from tests.cli.conftest import Operator, one_error

IMAGE = "us-central1-docker.pkg.dev/demo-project/ops/orchestra-creds@sha256:" + "0" * 64
PROVIDER = "projects/123456789012/locations/global/workloadIdentityPools/github-prod/providers/github-provider"
MAIL = "creds-rotator@demo-project.iam.gserviceaccount.com"
JOB = ("schedule", "install", "--runner", "cloud-run-job", "--backend", "local", "--identity", MAIL)
HASH = "--hash=sha256:" + "0" * 64
REQUIREMENTS = f"certifi==2026.1.1 {HASH}\n./wheels/orchestra_creds-0.1.0-cp311-abi3-linux_x86_64.whl {HASH}\n"


def lock(operator: Operator) -> None:
    """Write the requirements that a workflow installs."""
    (operator.folder / LOCK).parent.mkdir(exist_ok=True)
    operator.write(LOCK, REQUIREMENTS)


def mutations(operator: Operator) -> list[str]:
    with control.change_state(state_of(operator)) as txn:
        return [entry.method.rpartition("/")[2] for entry in txn.audit() if entry.mutating]


def test_a_cloud_run_job_is_installed_once(operator: Operator) -> None:
    make_account(operator, "creds-rotator")
    first = operator.call(*JOB, "--image", IMAGE, "--at", "03:17", "--yes")
    assert (first.code, b"5 of 5 changes are done" in first.stdout) == (0, True)
    before = mutations(operator)
    again = operator.call(*JOB, "--image", IMAGE, "--at", "03:17", "--yes")
    assert (again.code, b"nothing to change" in again.stdout) == (0, True)
    assert mutations(operator) == before


def test_without_agreement_nothing_is_made(operator: Operator) -> None:
    make_account(operator, "creds-rotator")
    before = mutations(operator)
    done = operator.call(*JOB, "--image", IMAGE)
    assert done.code == 2
    assert "--yes" in done.stderr
    assert mutations(operator) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--image", "repository/image:latest"), "not named by its digest"),
        (("--image", IMAGE), "there is no service account creds-rotator@"),
        (("--image", IMAGE, "--region", "here"), "is no region"),
        (("--image", IMAGE, "--at", "25:00"), "no time of the day"),
    ],
)
def test_what_cannot_be_is_one_line(operator: Operator, arguments: tuple[str, ...], said: str) -> None:
    make_account(operator, "another-one")
    done = operator.call(*JOB, *arguments, "--yes")
    assert (done.code, done.stdout, len(done.stderr.splitlines())) == (2, b"", 2 if "hint" in done.stderr else 1)
    assert said in done.stderr


def test_a_workflow_is_written_once_and_a_changed_one_is_kept(operator: Operator) -> None:
    line = ("schedule", "install", "--runner", "github-actions", "--project", "demo-project")
    options = ("--identity", MAIL, "--provider", PROVIDER)
    missing = operator.call(*line, *options)
    assert (missing.code, f"there is no {LOCK}" in missing.stderr) == (2, True)
    lock(operator)
    first = operator.call(*line, *options)
    path = Path(operator.folder) / FILE
    assert (first.code, b"installed" in first.stdout, PROVIDER in path.read_text()) == (0, True, True)
    assert b"nothing to change" in operator.call(*line, *options).stdout
    path.write_text("mine\n")
    refused = operator.call(*line, *options)
    assert (refused.code, "holds something else" in refused.stderr, path.read_text()) == (2, True, "mine\n")
    assert operator.call(*line, *options, "--yes").code == 0
    assert PROVIDER in path.read_text()


def test_the_job_is_shown_and_removed_with_its_schedule(operator: Operator) -> None:
    make_account(operator, "creds-rotator")
    cloud = ("--runner", "cloud-run-job", "--backend", "local")
    unknown = operator.call("schedule", "show", *cloud)
    assert (unknown.code, "is not enabled in the project" in one_error(unknown)) == (4, True)
    enable_apis(operator, PROJECT)
    assert operator.call("schedule", "show", *cloud).text.strip() == "nothing is installed"
    assert operator.call(*JOB, "--image", IMAGE, "--at", "03:17", "--yes").code == 0
    shown = operator.call("schedule", "show", *cloud).text
    assert ("17 3 * * * Etc/UTC" in shown, MAIL in shown, IMAGE in shown) == (True, True, True)
    before = mutations(operator)
    assert operator.call("schedule", "remove", *cloud).code == 2  # off a terminal nothing is deleted unasked
    assert (
        operator.call("schedule", "remove", *cloud, "--region", "europe-west1", "--yes").text.strip()
        == "nothing is installed"
    )
    assert mutations(operator) == before
    arm(operator, "Delete*", "after", times=1)  # the reply is lost, the schedule is gone
    assert operator.call("schedule", "remove", *cloud, "--yes").code == 0
    assert mutations(operator)[len(before) :] == ["DeleteJob", "DeleteJob"]
    assert operator.call("schedule", "remove", *cloud, "--yes").text.strip() == "nothing is installed"


def test_the_workflow_is_shown_and_removed(operator: Operator) -> None:
    line = ("--project", "demo-project", "--runner", "github-actions")
    lock(operator)
    done = operator.call("schedule", "install", *line, "--identity", MAIL, "--provider", PROVIDER, "--at", "03:17")
    assert done.code == 0
    shown = operator.call("schedule", "show", *line).text
    assert ("17 3 * * * UTC" in shown, MAIL in shown) == (True, True)
    assert (
        operator.call("schedule", "show", "--project", "other-one", "--runner", "github-actions").text.strip()
        == "nothing is installed"
    )
    assert operator.call("schedule", "remove", *line).code == 2
    assert (Path(operator.folder) / FILE).exists()
    assert operator.call("schedule", "remove", *line, "--yes").code == 0
    assert not (Path(operator.folder) / FILE).exists()
    assert operator.call("schedule", "remove", *line, "--yes").text.strip() == "nothing is installed"
