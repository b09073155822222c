"""Strict mode: an empty project has Service Usage only, switches take effect late, operations are not done at first."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from orchestra_creds.emulator.protocol import faults, strict
from orchestra_creds.emulator.service_usage.services import SERVICE_USAGE, TITLES, enable
from tests.emulator.conftest import Cloud
from tests.emulator.identities import PROJECT, Caller
from tests.emulator.service_usage.test_disabled_apis import CALLS

pytestmark = pytest.mark.lenient  # each test switches strict mode on in an empty project

SERVICES = f"/v1/{PROJECT}/services"


@pytest.fixture
def boss(cloud: Cloud) -> Iterator[Caller]:
    """The owner of an empty project in strict mode; the mode ends with the test's state."""
    with cloud.store.transaction() as txn:
        strict.set_strict(txn, on=True)
    yield Caller(cloud.emulator, "")
    with cloud.store.transaction() as txn:
        strict.set_strict(txn, on=False)


def reason(reply: tuple[int, dict[str, Any]]) -> str:
    status, document = reply
    details = document.get("error", {}).get("details", [])
    return next((detail["reason"] for detail in details if "reason" in detail), "") if status == 403 else ""


@pytest.mark.parametrize("api", sorted(CALLS))
def test_only_service_usage_is_on_in_an_empty_project(boss: Caller, api: str) -> None:
    expected = "" if f"{api}.googleapis.com" == SERVICE_USAGE else "SERVICE_DISABLED"
    assert reason(boss.rest(*CALLS[api])) == expected
    listed = boss.rest("GET", f"{SERVICES}?filter=state:ENABLED")[1]["services"]
    assert [service["config"]["name"] for service in listed] == [SERVICE_USAGE]


def test_an_enabled_api_is_shown_at_once_and_answers_after_the_lag(boss: Caller, cloud: Cloud) -> None:
    boss.rest("POST", f"{SERVICES}/secretmanager.googleapis.com:enable", {})
    assert boss.rest("GET", f"{SERVICES}/secretmanager.googleapis.com")[1]["state"] == "ENABLED"
    lag = faults.STRICT_LAGS[faults.Lag.API]
    cloud.store.advance(timedelta(seconds=lag - 1))
    assert reason(boss.rest(*CALLS["secretmanager"])) == "SERVICE_DISABLED"
    boss.rest(
        "POST", f"{SERVICES}/secretmanager.googleapis.com:enable", {}
    )  # again: the lag goes on, it does not restart
    assert reason(boss.rest(*CALLS["secretmanager"])) == "SERVICE_DISABLED"
    cloud.store.advance(timedelta(seconds=1))
    assert boss.rest(*CALLS["secretmanager"])[0] == 200


def test_an_operation_is_done_after_the_lag(boss: Caller, cloud: Cloud) -> None:
    begun = boss.rest("POST", f"{SERVICES}/iam.googleapis.com:enable", {})[1]
    assert ("done" in begun, "response" in begun) == (False, False)
    assert boss.rest("GET", f"/v1/{begun['name']}")[1] == begun
    cloud.store.advance(timedelta(seconds=faults.STRICT_LAGS[faults.Lag.OPERATION]))
    ended = boss.rest("GET", f"/v1/{begun['name']}")[1]
    assert (ended["done"], ended["response"]["service"]["state"]) == (True, "ENABLED")


def test_without_lags_strict_mode_does_not_wait(boss: Caller, cloud: Cloud) -> None:
    with cloud.store.transaction() as txn:
        faults.change(txn, late=[(lag, timedelta(0)) for lag in faults.lags_by_name("all")])
        assert faults.lags(txn) == {}
    done = boss.rest("POST", f"{SERVICES}/iam.googleapis.com:enable", {})[1]
    assert done["done"]
    assert boss.rest(*CALLS["iam"])[0] == 200


def test_the_mode_survives_a_reset_and_ends_when_it_is_switched_off(boss: Caller, cloud: Cloud) -> None:
    cloud.store.reset()
    assert reason(boss.rest(*CALLS["iam"])) == "SERVICE_DISABLED"
    with cloud.store.transaction() as txn:
        strict.set_strict(txn, on=False)
    assert boss.rest(*CALLS["iam"])[0] == 200


def test_a_test_enables_everything_that_is_served_in_one_line(boss: Caller, cloud: Cloud) -> None:
    with cloud.store.transaction() as txn:
        faults.set_lag(txn, faults.Lag.API, 0)
        enable(txn, "demo-project", *TITLES)
    assert {boss.rest(*CALLS[api])[0] for api in CALLS if f"{api}.googleapis.com" in TITLES} == {200}
