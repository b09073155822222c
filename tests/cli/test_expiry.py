"""Keys and secrets that end by themselves: their date is shown from the first day, and the successor comes before it."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestra_creds.emulator.protocol.routes import SECRET_MANAGER
from orchestra_creds.emulator.resource_manager import org_policy
from orchestra_creds.emulator.server import control
from tests.cli.cloud import PROJECT, ask, document, make_account, state_of
from tests.cli.conftest import Ended, Operator
from tests.cli.test_rotate_verb import outcomes, pass_time

CHECK = ("status", "--check", "--format", "json")


def declare(operator: Operator, *, strategy: str = "create", every: str = "90d", grace: str = "7d") -> None:
    operator.write(
        "orchestra-creds.toml",
        f'schema = 1\n[project]\nid = "{PROJECT}"\n[credentials.app-key]\nkind = "service-account-key"\n'
        f'account = "app-one"\nevery = "{every}"\ngrace = "{grace}"\nsoak = "3d"\nsettle = "0s"\n'
        f'require_unused = "0s"\nstrategy = "{strategy}"\n',
    )


def limit(operator: Operator, hours: int) -> None:
    """Give new keys a lifetime by organization policy."""
    with control.change_state(state_of(operator)) as txn:
        org_policy.set_rules(txn, PROJECT, org_policy.KEY_EXPIRY, {"values": {"allowedValues": [f"{hours}h"]}})


@pytest.fixture
def rotator(operator: Operator) -> Operator:
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local"}
    declare(operator)
    make_account(operator)
    return operator


def problems(ended: Ended) -> dict[str, str]:
    (one,) = document(ended.stdout)["credentials"]
    return {each["problem"]: each["detail"] for each in one["problems"]}


def day(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_key_with_an_end_gets_its_successor_before_it(rotator: Operator) -> None:
    limit(rotator, 720)
    assert rotator.call("rotate", "--all").code == 0
    first = rotator.call(*CHECK)
    (one,) = document(first.stdout)["credentials"]
    assert one["expires"] is not None
    ends = day(one["expires"])
    assert (first.code, one["problems"]) == (0, [])
    assert timedelta(days=29) < ends - day(one["since"]) <= timedelta(days=30)
    assert ends - day(one["due"]) == timedelta(days=9)  # the grace, and two daily runs
    assert f"{ends:%Y-%m-%d}" in rotator.call("status").text
    pass_time(rotator, "1d")
    assert rotator.call("rotate", "--due").code == 0
    secret = ask(rotator, f"{SECRET_MANAGER}/GetSecret", name=f"projects/{PROJECT}/secrets/app-key")
    assert secret.labels["orchestra-due"] == f"{ends - timedelta(days=9):%Y%m%d}"
    pass_time(rotator, "21d")
    late = rotator.call(*CHECK)
    assert (late.code, set(problems(late))) == (1, {"overdue", "key expires"})
    assert f"{ends:%Y-%m-%d}" in problems(late)["key expires"]
    due = rotator.call("rotate", "--due", "--format", "json")
    assert (due.code, outcomes(due)) == (0, {"app-key": "rotated"})
    assert (rotator.call(*CHECK).code, problems(rotator.call(*CHECK))) == (0, {})


def test_an_end_that_leaves_no_room_for_the_grace_is_refused_before_anything_is_made(rotator: Operator) -> None:
    limit(rotator, 7 * 24)
    ended = rotator.call("rotate", "--all")
    assert ended.code == 4
    assert "iam.serviceAccountKeyExpiryHours ends keys" in ended.text
    assert "shorter grace" in ended.text
    limit(rotator, 24)
    declare(rotator, grace="6h")
    assert rotator.call("rotate", "--all").code == 0


def test_the_end_of_an_uploaded_key_is_known_from_the_first_day(rotator: Operator) -> None:
    declare(rotator, strategy="upload", every="30d")
    assert rotator.call("rotate", "--all").code == 0
    first = rotator.call("status", "--format", "json")
    (one,) = document(first.stdout)["credentials"]
    assert one["expires"] is not None
    ends = day(one["expires"])
    assert abs(ends - day(one["since"]) - timedelta(days=2 * 30 + 7 + 3 + 30)) < timedelta(minutes=10)
    metrics = rotator.call("rotate", "--due", "--metrics-file", "-").text
    assert f'credential_expires_timestamp_seconds{{credential="app-key"}} {int(ends.timestamp())}' in metrics
    assert "ends by itself" in rotator.call("status", "--html", "-").text
    pass_time(rotator, "31d")
    overdue = problems(rotator.call(*CHECK))
    assert f"{ends:%Y-%m-%d}" in overdue["overdue"]
    pass_time(rotator, "61d")
    assert set(problems(rotator.call(*CHECK))) == {"overdue", "key expires"}


def test_a_key_that_has_expired_gets_a_successor(rotator: Operator) -> None:
    limit(rotator, 720)
    rotator.call("rotate", "--all")
    pass_time(rotator, "31d")
    assert problems(rotator.call(*CHECK))["key expires"].startswith("since ")
    assert outcomes(rotator.call("rotate", "--due", "--format", "json")) == {"app-key": "rotated"}
    assert rotator.call(*CHECK).code == 0


@pytest.mark.parametrize(("days", "code"), [(20, 1), (40, 0)])
def test_a_run_is_not_green_when_the_whole_secret_is_about_to_delete_itself(
    rotator: Operator, days: int, code: int
) -> None:
    rotator.call("rotate", "--all")
    ends = datetime.now(UTC) + timedelta(days=days)
    ask(
        rotator,
        f"{SECRET_MANAGER}/UpdateSecret",
        secret={"name": f"projects/{PROJECT}/secrets/app-key", "expire_time": ends},
        update_mask={"paths": ["expire_time"]},
    )
    due = rotator.call("rotate", "--due")
    assert (due.code, f"on {ends:%Y-%m-%d}" in due.text, "--remove-expiration" in due.text) == (code, code, code)
    forced = rotator.call("rotate", "app-key", "--force")
    assert (forced.code, f"on {ends:%Y-%m-%d}" in forced.text) == (code, code)
    status = rotator.call(*CHECK)
    (one,) = document(status.stdout)["credentials"]
    assert (status.code, day(one["secret_expires"]).date()) == (code, ends.date())
