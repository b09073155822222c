"""Counts of the authentications of keys, as Cloud Monitoring tells them."""

import urllib.parse
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestra_creds.emulator.iam import key_records
from orchestra_creds.emulator.monitoring.time_series import METRIC
from orchestra_creds.emulator.protocol import faults
from tests.emulator.conftest import Cloud
from tests.emulator.identities import PROJECT, Caller

SERIES = f"/v3/{PROJECT}/timeSeries"
FILTER = f'metric.type = "{METRIC}"'
TEN_MINUTES = timedelta(minutes=10)


@pytest.fixture
def boss(cloud: Cloud) -> Caller:
    return Caller(cloud.emulator, "")


def use(cloud: Cloud, account: Any, key: str, *, times: int = 1) -> datetime:
    """Let a key authenticate now; when that was."""
    with cloud.store.transaction() as txn:
        for _ in range(times):
            key_records.note_use(txn, account, key)
        return txn.now


def ask(boss: Caller, cloud: Cloud, *, days: int = 1, **query: str) -> tuple[int, Any]:
    with cloud.store.transaction() as txn:
        now = txn.now
    fields = {
        "filter": FILTER,
        "interval.startTime": (now - timedelta(days=days)).isoformat(),
        "interval.endTime": now.isoformat(),
        **{name.replace("__", "."): text for name, text in query.items()},
    }
    return boss.rest("GET", f"{SERIES}?{urllib.parse.urlencode(fields)}")


def counts(reply: Any) -> dict[str, list[int]]:
    """Key id -> the counts of its points, the last one first."""
    return {
        one["metric"]["labels"]["key_id"]: [int(point["value"]["int64Value"]) for point in one["points"]]
        for one in reply["timeSeries"]
    }


def test_each_key_that_authenticated_has_a_series_with_a_count_for_every_ten_minutes(
    boss: Caller, cloud: Cloud
) -> None:
    account = boss.account()
    first, second, unused = (boss.key()[0].rpartition("/")[2] for _ in range(3))
    use(cloud, account, first, times=3)
    use(cloud, account, second)
    cloud.store.advance(TEN_MINUTES)
    at = use(cloud, account, first)
    cloud.store.advance(TEN_MINUTES)
    status, reply = ask(boss, cloud)
    assert (status, counts(reply)) == (200, {first: [1, 3], second: [1]})
    assert unused not in str(reply)
    (series,) = (one for one in reply["timeSeries"] if one["metric"]["labels"]["key_id"] == first)
    assert series["resource"] == {
        "type": "iam_service_account",
        "labels": {"project_id": "demo-project", "unique_id": account.unique_id},
    }
    assert (series["metricKind"], series["valueType"]) == ("DELTA", "INT64")
    ends = [datetime.fromisoformat(point["interval"]["endTime"]) for point in series["points"]]
    starts = [datetime.fromisoformat(point["interval"]["startTime"]) for point in series["points"]]
    assert [end - start for end, start in zip(ends, starts, strict=True)] == [TEN_MINUTES] * 2
    assert starts[0] <= at < ends[0]


def test_a_sample_is_visible_when_it_is_over_and_the_lag_has_passed(boss: Caller, cloud: Cloud) -> None:
    account, key = boss.account(), boss.key()[0].rpartition("/")[2]
    use(cloud, account, key)
    assert ask(boss, cloud)[1]["timeSeries"] == []
    with cloud.store.transaction() as txn:
        faults.set_lag(txn, faults.Lag.USAGE, 10_800)
    cloud.store.advance(timedelta(hours=2, minutes=59))
    assert ask(boss, cloud)[1]["timeSeries"] == []
    cloud.store.advance(timedelta(minutes=11))
    assert counts(ask(boss, cloud)[1]) == {key: [1]}


def test_counts_outlive_their_key_and_end_after_six_weeks(boss: Caller, cloud: Cloud) -> None:
    account, (name, _) = boss.account(), boss.key()
    key = name.rpartition("/")[2]
    use(cloud, account, key)
    boss.call("DisableServiceAccountKey", name=name)
    boss.call("DeleteServiceAccountKey", name=name)
    cloud.store.advance(timedelta(days=41))
    assert counts(ask(boss, cloud, days=42)[1]) == {key: [1]}
    cloud.store.advance(timedelta(days=2))
    assert ask(boss, cloud, days=99)[1]["timeSeries"] == []


def test_points_are_aligned_to_the_end_of_the_interval(boss: Caller, cloud: Cloud) -> None:
    account, key = boss.account(), boss.key()[0].rpartition("/")[2]
    for _ in range(3):
        at = use(cloud, account, key, times=2)
        cloud.store.advance(timedelta(minutes=30))
    cloud.store.advance(TEN_MINUTES)
    _, reply = ask(boss, cloud, aggregation__perSeriesAligner="ALIGN_SUM", aggregation__alignmentPeriod="3600s")
    assert counts(reply) in ({key: [2, 4]}, {key: [4, 2]})
    intervals = [point["interval"] for point in reply["timeSeries"][0]["points"]]
    first = datetime.fromisoformat(intervals[0]["endTime"])
    assert datetime.fromisoformat(intervals[0]["startTime"]) == first - timedelta(hours=1)
    assert first == cloud.store.now().replace(microsecond=first.microsecond) or first <= cloud.store.now()
    assert first >= at
    _, reply = ask(boss, cloud, aggregation__perSeriesAligner="ALIGN_COUNT", aggregation__alignmentPeriod="86400s")
    assert counts(reply) == {key: [3]}


def test_a_page_holds_so_many_points_and_the_next_goes_on_in_the_same_series(boss: Caller, cloud: Cloud) -> None:
    account, key = boss.account(), boss.key()[0].rpartition("/")[2]
    other = boss.key()[0].rpartition("/")[2]
    for number in range(3):
        use(cloud, account, key, times=number + 1)
        cloud.store.advance(TEN_MINUTES)
    use(cloud, account, other)
    cloud.store.advance(TEN_MINUTES)
    whole = counts(ask(boss, cloud)[1])
    found: dict[str, list[int]] = {}
    token = ""
    for _ in range(2):
        _, reply = ask(boss, cloud, pageSize="2", pageToken=token)
        for name, points in counts(reply).items():
            found.setdefault(name, []).extend(points)
        token = reply.get("nextPageToken", "")
    assert (found, token, sorted(map(len, found.values()))) == (whole, "", [1, 3])
    _, reply = ask(boss, cloud, view="HEADERS")
    assert [sorted(one) for one in reply["timeSeries"]] == [["metric", "metricKind", "resource", "valueType"]] * 2


def test_a_filter_chooses_keys_and_accounts(boss: Caller, cloud: Cloud) -> None:
    account, key = boss.account(), boss.key()[0].rpartition("/")[2]
    other = boss.key()[0].rpartition("/")[2]
    for one in (key, other):
        use(cloud, account, one)
    cloud.store.advance(TEN_MINUTES)
    for restriction, expected in (
        (f'metric.labels.key_id = "{key}"', {key}),
        (f'metric.label.key_id="{other}"', {other}),
        (f'resource.labels.unique_id = "{account.unique_id}"', {key, other}),
        ('resource.labels.unique_id = "1"', set()),
        ('resource.type = "iam_service_account"', {key, other}),
        ('resource.type = "global"', set()),
    ):
        assert set(counts(ask(boss, cloud, filter=f"{FILTER} AND {restriction}")[1])) == expected, restriction


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"filter": ""}, 400),
        ({"filter": 'resource.type = "iam_service_account"'}, 400),
        ({"filter": f'{FILTER} OR resource.type = "x"'}, 400),
        ({"filter": 'metric.type = "compute.googleapis.com/instance/cpu/usage_time"'}, 404),
        ({"interval__endTime": ""}, 400),
        ({"interval__endTime": "yesterday"}, 400),
        ({"interval__endTime": datetime(2020, 1, 1, tzinfo=UTC).isoformat()}, 400),
        ({"view": "SOME"}, 400),
        ({"aggregation__perSeriesAligner": "ALIGN_SUM"}, 400),
        ({"aggregation__perSeriesAligner": "ALIGN_SUM", "aggregation__alignmentPeriod": "59s"}, 400),
        ({"aggregation__perSeriesAligner": "ALIGN_RATE", "aggregation__alignmentPeriod": "60s"}, 400),
        ({"aggregation__crossSeriesReducer": "REDUCE_SUM"}, 400),
    ],
    ids=range(12),
)
def test_what_is_not_served_is_refused(boss: Caller, cloud: Cloud, query: dict[str, str], status: int) -> None:
    account, key = boss.account(), boss.key()[0].rpartition("/")[2]
    use(cloud, account, key)
    cloud.store.advance(TEN_MINUTES)
    assert ask(boss, cloud, days=1, **query)[0] == status
