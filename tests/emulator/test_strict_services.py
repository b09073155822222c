"""Strict mode in federation, alerts, Cloud Run and buckets; and limits that hold in every mode."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from orchestra_creds.emulator.protocol import faults
from tests.emulator.conftest import Cloud
from tests.emulator.identities import PROJECT, Caller, email
from tests.emulator.test_project_services import ALERTS, BUCKETS, CHANNELS, EMAIL, JOBS, METRICS, SCHEDULE, SCHEDULES
from tests.strictness import strict_mode

POOLS = f"/v1/{PROJECT}/locations/global/workloadIdentityPools"
PROVIDERS = f"{POOLS}/builds/providers"
GITHUB = "https://token.actions.githubusercontent.com"


@pytest.fixture
def boss(cloud: Cloud) -> Iterator[Caller]:
    with strict_mode(cloud.store):
        yield Caller(cloud.emulator, "")


def provider(boss: Caller, issuer: str = GITHUB, **fields: Any) -> tuple[int, Any]:
    """What the second of two requests is answered: a pool, and a provider in it."""
    boss.rest("POST", f"{POOLS}?workloadIdentityPoolId=builds", {})
    body = {"attributeMapping": {"google.subject": "assertion.sub"}, "oidc": {"issuerUri": issuer}, **fields}
    return boss.rest("POST", f"{PROVIDERS}?workloadIdentityPoolProviderId=forge", body)


@pytest.mark.parametrize("condition", ["", "true", "1 == 1", "[1].exists(assertion, assertion == 1)"])
def test_a_provider_of_github_needs_a_condition_on_the_token(boss: Caller, condition: str) -> None:
    status, refused = provider(boss, attributeCondition=condition)
    assert (status, "must reference one of the provider's claims" in str(refused)) == (400, True)
    assert provider(boss, "https://forge.example.com", attributeCondition=condition)[0] == 200


@pytest.mark.parametrize("condition", ["assertion.repository_owner_id == '4242'", "attribute.owner == 'acme'"])
def test_a_condition_on_a_claim_is_enough(boss: Caller, condition: str) -> None:
    assert provider(boss, attributeCondition=condition)[0] == 200
    assert boss.rest("PATCH", f"{PROVIDERS}/forge?updateMask=attributeCondition", {"attributeCondition": ""})[0] == 400


@pytest.mark.parametrize(
    "fields",
    [
        {
            "attributeMapping": {
                "google.subject": "assertion.sub",
                **{f"attribute.a{n}": "assertion.a" for n in range(51)},
            }
        },
        {"attributeMapping": {"google.subject": "assertion.sub + '" + "x" * 2050 + "'"}},
        {"oidc": {"issuerUri": "https://forge.example.com", "allowedAudiences": ["x" * 257]}},
    ],
    ids=["attributes", "mapping", "audience"],
)
def test_a_provider_beyond_a_documented_limit_is_refused(boss: Caller, fields: dict[str, Any]) -> None:
    assert provider(boss, "https://forge.example.com", **fields)[0] == 400


def alert(boss: Caller, text: str) -> tuple[int, Any]:
    threshold = {"filter": text, "comparison": "COMPARISON_GT", "duration": "0s"}
    conditions = [{"displayName": "c", "conditionThreshold": threshold}]
    return boss.rest("POST", ALERTS, {"displayName": "a", "combiner": "OR", "conditions": conditions})


def test_an_alert_sees_a_log_metric_late_and_says_so_as_google_does(boss: Caller, cloud: Cloud) -> None:
    with cloud.store.transaction() as txn:
        faults.set_lag(txn, faults.Lag.METRIC, 600)
    text = 'metric.type="logging.googleapis.com/user/runs" resource.type="global"'
    for _ in range(2):  # before the metric is made, and just after it
        status, refused = alert(boss, text)
        told = refused.get("error", {}).get("message", "")
        assert (status, told.startswith("Cannot find metric(s) that match type = ")) == (404, True)
        assert "If a metric was created recently, it could take up to 10 minutes" in told
        assert boss.rest("PUT", f"{METRICS}/runs", {"name": "runs", "filter": "severity>=ERROR"})[0] == 200
    cloud.store.advance(timedelta(seconds=601))
    assert alert(boss, text)[0] == 200
    assert alert(boss, 'metric.type="logging.googleapis.com/user/runs"')[0] == 400
    assert (
        alert(boss, 'metric.type="run.googleapis.com/job/completed_execution_count" resource.type="cloud_run_job"')[0]
        == 200
    )


@pytest.mark.parametrize("text", ["severity=(( AND", "x AND", 'a="b', "a) AND (b", "NOT"])
def test_a_filter_that_cannot_be_read_is_refused_in_metrics_and_alerts(boss: Caller, text: str) -> None:
    assert boss.rest("POST", METRICS, {"name": "m", "filter": text})[0] == 400
    assert alert(boss, f'resource.type="global" {text}')[0] == 400
    assert (
        boss.rest("POST", METRICS, {"name": "m", "filter": 'jsonPayload.x="a\\"(" AND (severity>=ERROR OR x)'})[0]
        == 200
    )


@pytest.mark.parametrize("address", ["not an address", "nobody", "a@b", "a@b@c.example"])
def test_a_channel_needs_a_mail_address(boss: Caller, address: str) -> None:
    assert boss.rest("POST", CHANNELS, {**EMAIL, "labels": {"email_address": address}})[0] == 400


@pytest.mark.parametrize(
    "fields",
    [{"schedule": "99 * * * *"}, {"schedule": "0 24 * * *"}, {"schedule": "0 0 0 * *"}, {"schedule": "0 0 * 13 *"},
     {"schedule": "0 0 * * 1-8"}, {"description": "x" * 501}],
    ids=str,
)  # fmt: skip
def test_a_schedule_beyond_its_ranges_is_refused(boss: Caller, fields: dict[str, str]) -> None:
    assert boss.rest("POST", SCHEDULES, {**SCHEDULE, **fields})[0] == 400
    assert boss.rest("POST", SCHEDULES, {**SCHEDULE, "schedule": "*/90 0,23 1-31 1,12 0-7"})[0] == 200


def job(boss: Caller, where: str = JOBS, account: str = "", **task: Any) -> int:
    inner = {"containers": [{"image": "i@sha256:1"}], "serviceAccount": account or email("rotator"), **task}
    return boss.rest("POST", f"{where}?jobId=daily", {"template": {"template": inner}})[0]


def test_a_run_job_stays_within_its_limits_in_a_region_as_an_account_that_exists(boss: Caller) -> None:
    assert job(boss) == 404
    boss.account()
    assert [job(boss, timeout="700000s"), job(boss, maxRetries=11)] == [400, 400]
    assert job(boss, JOBS.replace("us-central1", "us-foo9")) == 404
    assert boss.rest("POST", SCHEDULES.replace("us-central1", "us-foo9"), SCHEDULE)[0] == 404
    assert job(boss, timeout="604800s", maxRetries=10) == 200
    made = boss.rest("GET", f"{JOBS}/daily")[1]
    assert (made["creator"], made["observedGeneration"], made["conditions"]) == ("owner@local.invalid", "1", [])


def test_a_bucket_is_in_a_location_of_googles_and_tells_of_what_kind(boss: Caller) -> None:
    query = f"{BUCKETS}?project=demo-project"
    assert boss.rest("POST", query, {"name": "lost-bucket", "location": "us-foo9"})[0] == 400
    status, refused = boss.rest("POST", query, {"name": "files.example.com"})
    assert (status, refused["error"]["errors"][0]["reason"]) == (403, "forbidden")
    made = {
        place: boss.rest("POST", query, {"name": f"in-{place.lower()}", "location": place})[1]
        for place in ("EU", "us-east1")
    }
    assert [bucket["locationType"] for bucket in made.values()] == ["multi-region", "region"]
    assert made["EU"]["softDeletePolicy"]["retentionDurationSeconds"] == "604800"


def test_a_page_of_accounts_has_at_most_a_hundred(boss: Caller, cloud: Cloud) -> None:
    with cloud.store.transaction() as txn:
        txn.set_setting("most_accounts", 200)
    for number in range(101):
        boss.account(f"account-{number}")
    status, first = boss.rest("GET", f"/v1/{PROJECT}/serviceAccounts?pageSize=200")
    assert (status, len(first["accounts"])) == (200, 100)
    assert len(boss.rest("GET", f"/v1/{PROJECT}/serviceAccounts")[1]["accounts"]) == 20
