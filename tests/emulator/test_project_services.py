"""Buckets, Cloud Scheduler, Cloud Run jobs, log metrics and alerts: what Google refuses is refused, with its status."""

from collections.abc import Callable
from typing import Any

import pytest

from orchestra_creds.emulator.store.store import Store
from tests.emulator.conftest import Cloud
from tests.emulator.identities import PROJECT, Caller
from tests.strictness import switch_to_strict

BUCKETS = "/storage/v1/b"
PLACE = f"{PROJECT}/locations/us-central1"
SCHEDULES = f"/v1/{PLACE}/jobs"
JOBS = f"/v2/{PLACE}/jobs"
METRICS = f"/v2/{PROJECT}/metrics"
ALERTS = f"/v3/{PROJECT}/alertPolicies"
CHANNELS = f"/v3/{PROJECT}/notificationChannels"
SCHEDULE: dict[str, Any] = {
    "name": f"{PLACE}/jobs/daily",
    "schedule": "17 3 * * *",
    "httpTarget": {"uri": "https://run.example.com/x:run", "oauthToken": {"serviceAccountEmail": "a@b.example.com"}},
}
TASK: dict[str, Any] = {"containers": [{"image": "i@sha256:1"}], "serviceAccount": "a@b.example.com"}
LOG_ALERT: dict[str, Any] = {
    "displayName": "made",
    "combiner": "OR",
    "conditions": [{"displayName": "c", "conditionMatchedLog": {"filter": "severity>=ERROR"}}],
    "alertStrategy": {"notificationRateLimit": {"period": "300s"}},
}
EMAIL: dict[str, Any] = {"type": "email", "displayName": "ops", "labels": {"email_address": "ops@example.com"}}


@pytest.fixture
def boss(cloud: Cloud) -> Caller:
    return Caller(cloud.emulator, "")


def bucket(boss: Caller, name: str = "state-bucket", **fields: Any) -> dict[str, Any]:
    status, made = boss.rest("POST", f"{BUCKETS}?project=demo-project", {"name": name, **fields})
    assert status == 200
    found: dict[str, Any] = made
    return found


def without(document: dict[str, Any], *path: str) -> dict[str, Any]:
    """The document without what stands at the path."""
    if len(path) == 1:
        return {name: value for name, value in document.items() if name != path[0]}
    return {**document, path[0]: without(document[path[0]], *path[1:])}


def test_a_bucket_has_googles_shape_and_its_generation_counts_changes(boss: Caller) -> None:
    made = bucket(boss, location="us-central1", labels={"team": "ops"})
    assert (made["kind"], made["location"], made["metageneration"]) == ("storage#bucket", "US-CENTRAL1", "1")
    access = {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"}
    status, changed = boss.rest("PATCH", f"{BUCKETS}/state-bucket", {"iamConfiguration": access})
    assert (status, changed["metageneration"], changed["labels"]) == (200, "2", {"team": "ops"})
    assert changed["iamConfiguration"] == access
    changed = boss.rest("PATCH", f"{BUCKETS}/state-bucket", {"labels": {"team": None, "env": "dev"}})[1]
    assert (changed["labels"], changed["iamConfiguration"]) == ({"env": "dev"}, access)


def test_a_condition_that_does_not_hold_is_412_and_changes_nothing(boss: Caller) -> None:
    made = bucket(boss)
    for query in ("ifMetagenerationMatch=2", "ifMetagenerationNotMatch=1"):
        status, refused = boss.rest("PATCH", f"{BUCKETS}/state-bucket?{query}", {"versioning": {"enabled": True}})
        assert (status, refused["error"]["errors"][0]["reason"]) == (412, "conditionNotMet")
        assert boss.rest("DELETE", f"{BUCKETS}/state-bucket?{query}")[0] == 412
    assert boss.rest("GET", f"{BUCKETS}/state-bucket")[1] == made
    assert boss.rest("DELETE", f"{BUCKETS}/state-bucket?ifMetagenerationMatch=1")[0] == 200
    assert boss.rest("GET", f"{BUCKETS}/state-bucket")[0] == 404


def test_a_buckets_name_is_unique_whatever_the_project(boss: Caller, cloud: Cloud) -> None:
    switch_to_strict(cloud.store, "other-project")
    bucket(boss)
    own = boss.rest("POST", f"{BUCKETS}?project=demo-project", {"name": "state-bucket"})
    other = boss.rest("POST", f"{BUCKETS}?project=other-project", {"name": "state-bucket"})
    assert (own[0], other[0]) == (409, 409)
    assert "you already own it" in own[1]["error"]["message"]
    assert "not available" in other[1]["error"]["message"]
    assert boss.rest("GET", f"{BUCKETS}?project=other-project")[1]["items"] == []


def test_a_deleted_bucket_leaves_no_policy_to_its_successor(boss: Caller) -> None:
    bucket(boss)
    bindings = [{"role": "roles/storage.admin", "members": ["user:a@example.com"]}]
    status, stored = boss.rest("PUT", f"{BUCKETS}/state-bucket/iam", {"bindings": bindings})
    assert (status, stored["resourceId"]) == (200, "projects/_/buckets/state-bucket")
    assert boss.rest("PUT", f"{BUCKETS}/state-bucket/iam", {"bindings": [], "etag": "AAAA"})[0] == 412
    assert boss.rest("DELETE", f"{BUCKETS}/state-bucket")[0] == 200
    bucket(boss)
    assert "bindings" not in boss.rest("GET", f"{BUCKETS}/state-bucket/iam")[1]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "UPPER"},
        {"name": "my-google-bucket"},
        {"name": "b-1", "labels": {"Key": "v"}},
        {"name": "b-1", "labels": "x"},
        {"name": "b-1", "iamConfiguration": {"publicAccessPrevention": "off"}},
        {"name": "b-1", "versioning": {"enabled": "yes"}},
        {"name": "b-1", "versioning": []},
    ],
)
def test_a_bucket_that_cannot_be_is_refused_whole(boss: Caller, body: dict[str, Any]) -> None:
    assert boss.rest("POST", f"{BUCKETS}?project=demo-project", body)[0] == 400
    assert boss.rest("POST", BUCKETS, {"name": "b-1"})[0] == 400
    assert boss.rest("GET", f"{BUCKETS}?project=demo-project")[1]["items"] == []
    assert boss.rest("GET", f"{BUCKETS}/b-1")[0] == 404


def test_what_a_bucket_is_made_with_for_good_cannot_be_changed(boss: Caller) -> None:
    bucket(boss)
    assert boss.rest("PATCH", f"{BUCKETS}/state-bucket", {"location": "EU"})[0] == 400


def test_a_schedule_is_paused_resumed_and_run(boss: Caller) -> None:
    status, made = boss.rest("POST", SCHEDULES, SCHEDULE)
    assert (status, made["state"], made["timeZone"], made["attemptDeadline"]) == (200, "ENABLED", "Etc/UTC", "180s")
    assert made["httpTarget"]["oauthToken"]["scope"] == "https://www.googleapis.com/auth/cloud-platform"
    assert boss.rest("POST", f"{SCHEDULES}/daily:resume", {})[0] == 400
    assert boss.rest("POST", f"{SCHEDULES}/daily:pause", {})[1]["state"] == "PAUSED"
    assert boss.rest("POST", f"{SCHEDULES}/daily:pause", {})[0] == 400
    assert "lastAttemptTime" in boss.rest("POST", f"{SCHEDULES}/daily:run", {})[1]
    assert boss.rest("POST", f"{SCHEDULES}/daily:resume", {})[1]["state"] == "ENABLED"
    assert boss.rest("POST", SCHEDULES, SCHEDULE)[0] == 409
    assert boss.rest("DELETE", f"{SCHEDULES}/daily")[0] == 200
    assert boss.rest("GET", f"{SCHEDULES}/daily")[0] == 404


def test_a_schedule_is_changed_where_the_mask_says(boss: Caller) -> None:
    made = boss.rest("POST", SCHEDULES, SCHEDULE)[1]
    wanted = {"schedule": "1 2 * * *", "description": "x", "httpTarget": {"uri": "https://other.example.com/"}}
    changed = boss.rest("PATCH", f"{SCHEDULES}/daily?updateMask=schedule", wanted)[1]
    assert changed == {**made, "schedule": "1 2 * * *", "userUpdateTime": changed["userUpdateTime"]}
    assert boss.rest("PATCH", f"{SCHEDULES}/daily?updateMask=state", {"state": "PAUSED"})[0] == 400


@pytest.mark.parametrize(
    "change",
    [
        {"schedule": "every day"},
        {"schedule": "1 2 3 4"},
        {"timeZone": "Moon/Base"},
        {"name": "projects/other-project/locations/us-central1/jobs/daily"},
        {"name": f"{PLACE}/jobs/a b"},
        {"attemptDeadline": "5s"},
        {"retryConfig": {"retryCount": 6}},
        {"httpTarget": {"uri": "ftp://example.com"}},
        {"httpTarget": {**SCHEDULE["httpTarget"], "oidcToken": {"serviceAccountEmail": "a@b.example.com"}}},
        {"httpTarget": {**SCHEDULE["httpTarget"], "oauthToken": {"scope": "x"}}},
        {"pubsubTarget": {"topicName": "t"}},
    ],
)
def test_a_schedule_that_cannot_be_is_refused(boss: Caller, change: dict[str, Any]) -> None:
    assert boss.rest("POST", SCHEDULES, {**SCHEDULE, **change})[0] == 400
    assert boss.rest("GET", SCHEDULES)[1]["jobs"] == []


def job(boss: Caller, **change: Any) -> tuple[int, Any]:
    return boss.rest("POST", f"{JOBS}?jobId=rotate", {"template": {"template": {**TASK, **change}}})


def test_a_job_is_changed_under_its_etag_as_a_whole_and_its_operation_can_be_asked_for(boss: Caller) -> None:
    status, operation = job(boss)
    assert (status, operation["done"]) == (200, True)
    assert boss.rest("GET", f"/v2/{operation['name']}")[1] == operation
    made = boss.rest("GET", f"{JOBS}/rotate")[1]
    assert made == {key: value for key, value in operation["response"].items() if key != "@type"}
    assert (made["generation"], made["template"]["template"]["maxRetries"]) == ("1", 3)
    body = {"template": {"template": TASK}, "labels": {"a": "b"}}
    assert boss.rest("PATCH", f"{JOBS}/rotate", {**body, "etag": '"old"'})[0] == 409
    assert boss.rest("GET", f"{JOBS}/rotate")[1] == made
    assert boss.rest("PATCH", f"{JOBS}/rotate", {**body, "etag": made["etag"]})[0] == 200
    now = boss.rest("GET", f"{JOBS}/rotate")[1]
    assert (now["generation"], now["labels"], now["uid"]) == ("2", {"a": "b"}, made["uid"])
    boss.rest("PATCH", f"{JOBS}/rotate", {"template": {"template": TASK}})
    assert "labels" not in boss.rest("GET", f"{JOBS}/rotate")[1]


def test_a_run_of_a_job_is_recorded(boss: Caller) -> None:
    job(boss)
    execution = boss.rest("POST", f"{JOBS}/rotate:run", {})[1]["response"]
    now = boss.rest("GET", f"{JOBS}/rotate")[1]
    assert (now["executionCount"], execution["job"]) == (1, now["name"])
    assert execution["name"].endswith(now["latestCreatedExecution"]["name"])
    assert job(boss)[0] == 409
    assert boss.rest("DELETE", f"{JOBS}/rotate?etag=x")[0] == 409
    assert boss.rest("DELETE", f"{JOBS}/rotate")[0] == 200
    assert boss.rest("POST", f"{JOBS}/rotate:run", {})[0] == 404


@pytest.mark.parametrize(
    "change",
    [
        {"containers": []},
        {"containers": [{}]},
        {"containers": [{"image": "i", "args": "x"}]},
        {"containers": [{"image": "i", "env": [{"name": "A"}, {"name": "A"}]}]},
        {"timeout": "long"},
        {"maxRetries": -1},
    ],
)
def test_a_job_that_cannot_be_is_refused(boss: Caller, change: dict[str, Any]) -> None:
    assert job(boss, **change)[0] == 400
    assert boss.rest("GET", JOBS)[1]["jobs"] == []
    assert boss.rest("POST", f"{JOBS}?jobId=Upper", {"template": {"template": TASK}})[0] == 400


def test_a_metric_is_made_replaced_and_made_by_an_update(boss: Caller) -> None:
    status, made = boss.rest("POST", METRICS, {"name": "finished", "filter": "a"})
    assert (status, made["metricDescriptor"]["type"]) == (200, "logging.googleapis.com/user/finished")
    assert boss.rest("POST", METRICS, {"name": "finished", "filter": "a"})[0] == 409
    replaced = boss.rest("PUT", f"{METRICS}/finished", {"name": "finished", "filter": "b"})[1]
    assert (replaced["filter"], replaced["createTime"]) == ("b", made["createTime"])
    assert boss.rest("PUT", f"{METRICS}/failed", {"filter": "c"})[1]["name"] == "failed"
    assert [one["name"] for one in boss.rest("GET", METRICS)[1]["metrics"]] == ["failed", "finished"]
    for body in ({"name": "x"}, {"filter": "a"}, {"name": "a b", "filter": "a"}, {"name": "x", "filter": "a" * 20_001}):
        assert boss.rest("POST", METRICS, body)[0] == 400
    assert boss.rest("PUT", f"{METRICS}/failed", {"name": "other", "filter": "c"})[0] == 400
    assert boss.rest("DELETE", f"{METRICS}/failed")[0] == 200
    assert boss.rest("GET", f"{METRICS}/failed")[0] == 404


def test_a_channel_in_use_is_not_deleted_unless_forced(boss: Caller) -> None:
    channel = boss.rest("POST", CHANNELS, EMAIL)[1]
    alert = boss.rest("POST", ALERTS, {**LOG_ALERT, "notificationChannels": [channel["name"]]})[1]
    assert boss.rest("DELETE", f"/v3/{channel['name']}")[0] == 400
    assert boss.rest("DELETE", f"/v3/{channel['name']}?force=true")[0] == 200
    assert boss.rest("GET", f"/v3/{alert['name']}")[1]["notificationChannels"] == []


def test_an_alert_is_changed_where_the_mask_says(boss: Caller) -> None:
    made = boss.rest("POST", ALERTS, LOG_ALERT)[1]
    changed = boss.rest("PATCH", f"/v3/{made['name']}?updateMask=enabled", {"enabled": False, "displayName": "x"})[1]
    assert (changed["enabled"], changed["displayName"], changed["conditions"]) == (False, "made", made["conditions"])
    assert boss.rest("PATCH", f"/v3/{made['name']}?updateMask=name", {"name": "x"})[0] == 400


def absence(duration: str) -> dict[str, Any]:
    return {"conditions": [{"conditionAbsent": {"filter": 'metric.type="m"', "duration": duration}}]}


@pytest.mark.parametrize(
    "change",
    [
        lambda a: without(a, "displayName"),
        lambda a: without(a, "combiner"),
        lambda a: {**a, "conditions": []},
        lambda a: {**a, "conditions": a["conditions"] * 2},
        lambda a: {**a, "conditions": [{"displayName": "no kind"}]},
        lambda a: {**a, "conditions": [{"conditionMatchedLog": {}}]},
        lambda a: {**a, "notificationChannels": [f"{PROJECT}/notificationChannels/1"]},
        lambda a: without(a, "alertStrategy", "notificationRateLimit"),
        lambda a: {**a, **absence("60s")},
        lambda a: {**a, **absence("84660s")},
        lambda a: {**a, **absence("130s")},
    ],
)
def test_an_alert_that_cannot_be_is_refused(boss: Caller, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    assert boss.rest("POST", ALERTS, change(LOG_ALERT))[0] == 400
    assert boss.rest("GET", ALERTS)[1]["totalSize"] == 0


@pytest.mark.lenient  # the metric of these alerts is none, which strict mode refuses first
def test_an_absence_of_two_minutes_to_nearly_a_day_is_accepted(boss: Caller) -> None:
    for duration in ("120s", "84600s"):
        assert boss.rest("POST", ALERTS, {**without(LOG_ALERT, "alertStrategy"), **absence(duration)})[0] == 200


@pytest.mark.parametrize("body", [{**EMAIL, "type": "pigeon"}, without(EMAIL, "labels"), {**EMAIL, "enabled": "yes"}])
def test_a_channel_that_cannot_be_is_refused(boss: Caller, body: dict[str, Any]) -> None:
    assert boss.rest("POST", CHANNELS, body)[0] == 400


def test_everything_is_there_after_a_restart_and_in_the_log(cloud: Cloud, boss: Caller) -> None:
    bucket(boss)
    job(boss)
    boss.rest("POST", SCHEDULES, SCHEDULE)
    boss.rest("POST", METRICS, {"name": "finished", "filter": "a"})
    boss.rest("POST", CHANNELS, EMAIL)
    boss.rest("POST", ALERTS, LOG_ALERT)
    again = Store(cloud.emulator.store.path)
    try:
        with again.transaction() as txn:
            mutating = [entry.method.rpartition("/")[2] for entry in txn.audit() if entry.mutating]
    finally:
        again.close()
    assert mutating == [
        "InsertBucket",
        "CreateJob",
        "CreateJob",
        "CreateLogMetric",
        "CreateNotificationChannel",
        "CreateAlertPolicy",
    ]
    for path in (f"{BUCKETS}/state-bucket", f"{JOBS}/rotate", f"{SCHEDULES}/daily", f"{METRICS}/finished"):
        assert boss.rest("GET", path)[0] == 200


def test_enums_may_come_as_numbers_as_the_python_clients_send_them(boss: Caller) -> None:
    job = boss.rest("POST", f"{JOBS}?jobId=daily", {"template": {"template": TASK}})[1]["response"]
    changed = {**job, "launchStage": 4}
    changed["template"]["template"]["executionEnvironment"] = 1
    status, reply = boss.rest("PATCH", f"{JOBS}/daily", changed)
    assert status == 200, reply
    assert reply["response"]["launchStage"] == "GA"
    assert reply["response"]["template"]["template"]["executionEnvironment"] == "EXECUTION_ENVIRONMENT_GEN1"
    target = {**SCHEDULE["httpTarget"], "httpMethod": 2, "headers": {"severity": "x"}}
    status, made = boss.rest("POST", SCHEDULES, {**SCHEDULE, "state": 1, "httpTarget": target})
    assert (status, made.get("httpTarget", {}).get("httpMethod")) == (200, "GET"), made
    assert boss.rest("POST", ALERTS, {**LOG_ALERT, "combiner": 2})[1]["combiner"] == "OR"
    assert boss.rest("POST", ALERTS, {**LOG_ALERT, "combiner": 99})[0] == 400
    metric = {
        "name": "m",
        "filter": "x",
        "metricDescriptor": {"labels": [{"key": "k", "valueType": 0}], "valueType": 2},
    }
    descriptor = boss.rest("POST", METRICS, metric)[1]["metricDescriptor"]
    assert (descriptor["valueType"], descriptor["labels"]) == ("INT64", [{"key": "k", "valueType": "STRING"}])


def test_a_changed_channel_lists_its_records_and_a_changed_alert_has_one(boss: Caller) -> None:
    channel = boss.rest("POST", CHANNELS, EMAIL)[1]["name"]
    changed = boss.rest("PATCH", f"/v3/{channel}?updateMask=displayName", {"displayName": "new"})[1]
    assert [sorted(record) for record in changed["mutationRecords"]] == [["mutateTime", "mutatedBy"]]
    assert "mutationRecord" not in changed
    alert = boss.rest("POST", ALERTS, LOG_ALERT)[1]["name"]
    assert (
        "mutateTime" in boss.rest("PATCH", f"/v3/{alert}?updateMask=enabled", {"enabled": False})[1]["mutationRecord"]
    )


def test_errors_of_cloud_storage_list_their_reasons(boss: Caller) -> None:
    bucket(boss)
    query = f"{BUCKETS}?project=demo-project"
    for call, reason in (
        (("GET", f"{BUCKETS}/nothing"), ("global", "notFound")),
        (("POST", query, {"name": "state-bucket"}), ("global", "conflict")),
        (("POST", query, {"name": "X"}), ("global", "invalid")),
    ):
        error = boss.rest(*call)[1]["error"]
        assert [(one["domain"], one["reason"], one["message"]) for one in error["errors"]] == [
            (*reason, error["message"])
        ]
    boss.rest("POST", f"/v1/{PROJECT}/services/storage.googleapis.com:disable", {})
    (one,) = boss.rest("GET", query)[1]["error"]["errors"]
    assert (one["domain"], one["reason"]) == ("usageLimits", "accessNotConfigured")
    assert "errors" not in boss.rest("GET", f"{METRICS}/nothing")[1]["error"]
