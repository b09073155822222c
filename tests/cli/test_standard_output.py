"""`-` where a file to write is asked for: standard output, with one document on it, and never a file of that name."""

import json
import subprocess
from collections.abc import Sequence

import pytest
from prometheus_client.parser import text_string_to_metric_families

from orchestra_creds.scanner.samples.sample import render
from tests.cli.cloud import PROJECT, at_a_terminal, document, make_account
from tests.cli.conftest import COMMAND, Ended, Operator, appears, one_error
from tests.cli.test_schedule_remote import lock

VALUE = "long-enough" + "-value-1"
ACCOUNT = f"app-one@{PROJECT}.iam.gserviceaccount.com"
CONFIG = f"""
schema = 1
[project]
id = "{PROJECT}"
[secrets.db-pass]
[credentials.db-pass]
kind = "generated"
every = "30d"
"""
WORKFLOW = (
    "schedule", "install", "--runner", "github-actions", "--identity", ACCOUNT,
    "--provider", "projects/123456789012/locations/global/workloadIdentityPools/github-prod/providers/github-provider",
)  # fmt: skip


@pytest.fixture
def local(operator: Operator) -> Operator:
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local"}
    operator.write("orchestra-creds.toml", CONFIG)
    make_account(operator)
    assert operator.call("secret", "set", "db-pass", stdin=VALUE.encode()).code == 0
    return operator


def printed(operator: Operator, *arguments: str, code: int = 0) -> Ended:
    """The run of a verb that prints its document and leaves no file."""
    before = sorted(path.name for path in operator.folder.iterdir())
    ended = operator.call(*arguments)
    assert (ended.code, sorted(path.name for path in operator.folder.iterdir())) == (code, before)
    return ended


def user_keys(operator: Operator) -> list[object]:
    keys = document(operator.call("key", "list", ACCOUNT, "-f", "json").stdout)["keys"]
    return [key["id"] for key in keys if key["origin"] == "user"]


def test_a_value_is_printed(local: Operator) -> None:
    assert printed(local, "secret", "get", "db-pass", "-o", "-").stdout == VALUE.encode()
    exported = printed(local, "secret", "export", "--to", "json", "--output", "-")
    assert json.loads(exported.stdout) == {"DB_PASS": VALUE}
    assert b"db-pass" in printed(local, "secret", "export", "--to", "cloudrun", "-o", "-").stdout


def test_in_a_job_of_github_the_variables_are_printed_behind_their_masks(local: Operator) -> None:
    target = local.write("variables", "")
    local.environment["GITHUB_ENV"] = str(target)
    lines = printed(local, "secret", "export", "--to", "github", "-o", "-").text.splitlines()
    assert (lines[0], lines[2], target.read_text()) == (f"::add-mask::{VALUE}", VALUE, "")


def test_a_new_key_is_printed_alone_and_one_that_nobody_reads_is_deleted(local: Operator) -> None:
    ended = printed(local, "key", "create", ACCOUNT, "-o", "-")
    info = json.loads(ended.stdout)
    assert (info["client_email"], user_keys(local)) == (ACCOUNT, [info["private_key_id"]])
    assert f"key {info['private_key_id']} is in standard output" in ended.stderr
    with subprocess.Popen(["true"], stdin=subprocess.PIPE) as reader:
        reader.wait()
        lost = subprocess.run(
            [COMMAND, "key", "create", ACCOUNT, "-o", "-"],
            cwd=local.folder, env=local.environment, stdout=reader.stdin, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    assert (lost.returncode, user_keys(local)) == (5, [info["private_key_id"]])


def test_a_report_is_printed(local: Operator) -> None:
    local.write("a.env", "TOKEN=" + render("gh" + "p_{crc62:30}") + "\n")
    report = json.loads(printed(local, "scan", "-f", "json", "-o", "-", code=1).stdout)
    assert [finding["path"] for finding in report["findings"]] == ["a.env"]


def test_a_page_is_printed_alone_and_keeps_the_exit_code(local: Operator) -> None:
    page = printed(local, "status", "--html", "-")
    assert (page.text.startswith("<!doctype html>"), page.text.rstrip().endswith("</html>")) == (True, True)
    checked = local.call("status", "--check")
    assert checked.code == 1
    assert printed(local, "status", "--check", "--html", "-", code=checked.code).text.startswith("<!doctype html>")


def test_metrics_are_printed_alone(local: Operator) -> None:
    families = text_string_to_metric_families(printed(local, "rotate", "--all", "--adopt", "--metrics-file", "-").text)
    assert "orchestra_creds_credential_age_seconds" in {family.name for family in families}
    refused = printed(local, "schedule", "install", "--metrics-file", "-", code=2)
    assert "needs a file for its metrics" in one_error(refused)


def test_a_configuration_a_workflow_and_a_fingerprint_key_are_printed(local: Operator) -> None:
    assert printed(local, "setup", "init", "--project", "acme-dev", "-o", "-").text.count('id = "acme-dev"') == 1
    local.write("orchestra-creds.toml", CONFIG.partition("[credentials")[0])  # the runner has no file
    lock(local)
    written = local.call(*WORKFLOW, "-o", "written.yml")
    assert written.code == 0
    assert printed(local, *WORKFLOW, "-o", "-").text == (local.folder / "written.yml").read_text()
    key = printed(local, "scan", "baseline", "key", "-o", "-")
    local.write("key.txt", key.text)
    installed = local.call("scan", "baseline", "key", "--install", "key.txt")
    assert (installed.code, len(key.stdout.splitlines())) == (0, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["secret", "get", "db-pass", "-o", "-"],
        ["secret", "export", "--to", "shell", "-o", "-"],
        ["key", "create", ACCOUNT, "-o", "-"],
        ["scan", "baseline", "key", "-o", "-"],
    ],
    ids=lambda words: "-".join(words[:2]),
)
def test_a_terminal_is_refused_what_is_secret(local: Operator, arguments: Sequence[str]) -> None:
    code, shown = at_a_terminal(local, arguments, [])
    assert (code, b"on your terminal" in shown) == (2, True)
    assert appears([VALUE, "PRIVATE KEY"], shown) == []
    assert user_keys(local) == []


def test_a_terminal_gets_the_value_with_reveal(local: Operator) -> None:
    code, shown = at_a_terminal(local, ["secret", "get", "db-pass", "--reveal", "-o", "-"], [])
    assert (code, appears([VALUE], shown)) == (0, [0])
