"""`doctor`: what it looks at, what it says to do, and what it leaves alone."""

from collections.abc import Iterator, Mapping

import pytest

from tests import loopback
from tests.cli.cloud import arm, daemon_of, document, exported, make_account, state_of
from tests.cli.conftest import Operator


@pytest.fixture(autouse=True)
def nothing_leaves_the_loopback() -> Iterator[None]:
    with loopback.guarded():
        yield


def checks(
    operator: Operator, *arguments: str, code: int = 0, variables: Mapping[str, str] | None = None
) -> dict[str, dict[str, str]]:
    ended = operator.call("doctor", *arguments, "--format", "json", variables=variables)
    assert ended.code == code, ended.text + ended.stderr
    return {check["name"]: check for check in document(ended.stdout)["checks"]}


def test_without_a_project_this_machine_is_checked_and_nothing_else(operator: Operator) -> None:
    found = checks(operator)
    assert {"git", "state folder", "cache folder", "scan engine", "project"} == set(found)
    assert (found["project"]["health"], "--backend local" in found["project"]["fix"]) == ("warn", True)
    assert not state_of(operator).exists()


def test_a_healthy_project_is_all_ok(operator: Operator) -> None:
    found = checks(operator, "--backend", "local")
    assert {check["health"] for check in found.values()} <= {"ok", "warn"}
    assert {"identity", "clock", "permissions", "API secretmanager.googleapis.com"} <= set(found)
    assert found["permissions"]["health"] == "ok"
    assert "anonymous" in found["identity"]["detail"]


def test_what_is_wrong_comes_with_what_to_do(operator: Operator) -> None:
    with daemon_of(operator, "--auth"):
        account = make_account(operator)
        found = checks(operator, "--backend", "local", "--as", account)
        assert account in found["identity"]["detail"]
        assert (found["permissions"]["health"], "roles/" in found["permissions"]["fix"]) == ("warn", True)
        assert "secretmanager.versions.add" in found["permissions"]["detail"]


def test_a_cloud_that_does_not_answer_is_a_failure_and_ends_with_1(operator: Operator) -> None:
    ends = {
        "ORCHESTRA_CREDS_EMULATOR_GRPC": "127.0.0.1:1",
        "ORCHESTRA_CREDS_EMULATOR_HTTP": "http://127.0.0.1:1",
    }
    found = checks(operator, code=1, variables=ends)
    assert (found["identity"]["health"], "clock" in found) == ("fail", False)


def test_what_cannot_be_found_out_is_a_warning(operator: Operator) -> None:
    operator.call("secret", "list", "--backend", "local")
    arm(operator, "GetEffectivePolicy", "before", code="PERMISSION_DENIED")
    found = checks(operator, "--backend", "local")
    assert found["policy iam.disableServiceAccountKeyCreation"]["health"] == "warn"


def test_nothing_is_changed(operator: Operator) -> None:
    with daemon_of(operator):
        checks(operator, variables=exported(operator))
        entries = document(operator.call("emulator", "log", "-f", "json").stdout)["entries"]
        assert entries
        assert not any(entry["mutating"] for entry in entries)


def test_the_table_says_the_same(operator: Operator) -> None:
    ended = operator.call("doctor", "--backend", "local")
    assert (ended.code, "✓ ok" in ended.text, "permissions: all that" in ended.text) == (0, True, True)
