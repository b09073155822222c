"""A read that is refused: the run does what it can, says what it could not look at, and does not end with 0."""

import pytest

from tests.cli.cloud import PROJECT, arm, disarm, document, make_account
from tests.cli.conftest import Operator

FILE = f"""schema = 1
[project]
id = "{PROJECT}"
[credentials.app-key]
kind = "service-account-key"
account = "app-one@{PROJECT}.iam.gserviceaccount.com"
every = "30d"
settle = "0s"
[credentials.db-password]
kind = "generated"
every = "30d"
"""


@pytest.fixture
def rotator(operator: Operator) -> Operator:
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local", "ORCHESTRA_CREDS_PROJECT": PROJECT}
    operator.write("orchestra-creds.toml", FILE)
    make_account(operator)
    return operator


@pytest.mark.parametrize("flags", [("--all",), ("--due",)])
def test_what_the_file_declares_is_rotated_though_secrets_cannot_be_listed(
    rotator: Operator, flags: tuple[str, ...]
) -> None:
    arm(rotator, "ListSecrets", "before", code="PERMISSION_DENIED")
    ended = rotator.call("rotate", *flags, "-f", "json")
    found = document(ended.stdout)
    outcomes = {one["name"]: one["outcome"] for one in found["credentials"]}
    assert outcomes == {"app-key": "rotated", "db-password": "rotated"}
    assert (ended.code, found["exit_code"]) == (5, 5)
    assert "list secrets" in found["listing_error"]
    ended = rotator.call("status", "--check")
    assert ended.code == 5
    assert "not every secret was seen" in ended.text
    disarm(rotator)
    assert rotator.call("status", "--check").code == 0


@pytest.mark.parametrize("method", ["GetSecret", "ListServiceAccountKeys", "GetSecretVersion"])
def test_status_shows_what_it_may_and_names_what_it_may_not(rotator: Operator, method: str) -> None:
    rotator.call("rotate", "--all")
    if method == "GetSecret":
        arm(rotator, "ListSecrets", "before", code="PERMISSION_DENIED")
    arm(rotator, method, "before", code="PERMISSION_DENIED")
    ended = rotator.call("status", "--check", "-f", "json")
    rows = {one["name"]: [each["problem"] for each in one["problems"]] for one in document(ended.stdout)["credentials"]}
    assert ended.code == (5 if method == "GetSecret" else 1)
    assert rows["app-key"] == ["not looked at"]
    assert rows["db-password"] == ([] if method == "ListServiceAccountKeys" else ["not looked at"])
    assert rotator.call("status").code in (0, 5)
