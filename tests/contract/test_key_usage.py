"""The rules of UsageSource: what each record of the use of keys says, and that an answer which is not complete is none."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestra_creds.emulator.iam import key_records
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.emulator.protocol.faults import FaultPhase
from orchestra_creds.errors import ApiDisabledError, AuthError, UnavailableError
from orchestra_creds.gcp import key_usage
from orchestra_creds.gcp.key_usage import AnalyzerUsage, MonitoringUsage
from tests.contract.conftest import CloudUnderTest

DAY = timedelta(days=1)
Source = type[MonitoringUsage] | type[AnalyzerUsage]
SOURCES = [MonitoringUsage, AnalyzerUsage]
METHODS: dict[object, str] = {MonitoringUsage: "ListTimeSeries", AnalyzerUsage: "QueryActivity"}


@pytest.fixture
def account(world: CloudUnderTest) -> str:
    if world.kind == "live":
        pytest.skip("Google takes hours to know of a use")
    return world.account()


def use(world: CloudUnderTest, account: str, key_id: str) -> datetime:
    """Let a key authenticate now; when that was."""
    resource = world.rpc("GetServiceAccount", name=f"projects/-/serviceAccounts/{account}")
    with world.emulator.store.transaction() as txn:
        key_records.note_use(txn, resource, key_id)
        return txn.now


def now(world: CloudUnderTest) -> datetime:
    return world.emulator.store.now()


@pytest.mark.parametrize("source", SOURCES)
def test_a_use_lies_between_the_two_moments_that_a_record_gives(
    world: CloudUnderTest, account: str, source: Source
) -> None:
    used, idle = (world.keys.create_key(account).key.id for _ in range(2))
    at = use(world, account, used)
    world.emulator.store.advance(timedelta(hours=5))
    usage = source(world.session).read_usage(world.project, now(world) - DAY, now(world))
    mine, other = usage.usage_of(used), usage.usage_of(idle)
    assert mine.earliest is not None
    assert mine.latest is not None
    assert mine.earliest <= at <= mine.latest
    assert mine.latest - mine.earliest <= DAY
    assert (other.earliest, other.latest) == (None, None)
    for one in (mine, other):
        assert one.start is not None
        assert one.end is not None
        assert one.start < one.end <= now(world)
        assert one.reason_to_keep(timedelta(hours=1), now(world)) == "" or one is mine


def test_a_key_that_policy_analyzer_does_not_list_is_not_known(world: CloudUnderTest, account: str) -> None:
    usage = AnalyzerUsage(world.session).read_usage(world.project, now(world) - DAY, now(world))
    assert usage.usage_of("0" * 40).reason_to_keep(DAY, now(world)) == "Policy Analyzer has no data about it"


def test_what_monitoring_cannot_show_yet_is_not_observed(world: CloudUnderTest, account: str) -> None:
    usage = MonitoringUsage(world.session).read_usage(world.project, now(world) - DAY, now(world))
    assert usage.otherwise.end is not None
    assert now(world) - usage.otherwise.end >= timedelta(seconds=10_800 + 600)


@pytest.mark.parametrize("source", SOURCES)
def test_every_page_is_read(
    world: CloudUnderTest, account: str, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_usage, "PAGE", 1)
    monkeypatch.setattr(key_usage, "POINTS", 1)
    made = [world.keys.create_key(account).key.id for _ in range(3)]
    for one in made:
        use(world, account, one)
    world.emulator.store.advance(timedelta(hours=5))
    usage = source(world.session).read_usage(world.project, now(world) - DAY, now(world))
    assert [usage.usage_of(one).latest is not None for one in made] == [True] * 3
    assert world.calls(METHODS[source]) == 3


@pytest.mark.parametrize("source", SOURCES)
def test_a_lost_reply_is_mended_and_a_refusal_is_told(world: CloudUnderTest, account: str, source: Source) -> None:
    reader = source(world.session)
    world.arm(METHODS[source], FaultPhase.AFTER)
    reader.read_usage(world.project, now(world) - DAY, now(world))
    assert world.calls(METHODS[source]) == 2
    world.arm(METHODS[source], FaultPhase.BEFORE, code=Code.PERMISSION_DENIED)
    with pytest.raises(AuthError):
        reader.read_usage(world.project, now(world) - DAY, now(world))


@pytest.mark.parametrize("source", SOURCES)
def test_a_record_whose_api_is_off_says_so(world: CloudUnderTest, account: str, source: Source) -> None:
    service = "monitoring" if source is MonitoringUsage else "policyanalyzer"
    path = f"v1/projects/{world.project}/services/{service}.googleapis.com:disable"
    world.session.rest("disable an API", "POST", "serviceusage", path, body={})
    with pytest.raises(ApiDisabledError):
        source(world.session).read_usage(world.project, now(world) - DAY, now(world))


@pytest.mark.parametrize(
    "lack", [{"unreachable": ["us-central1"]}, {"executionErrors": [{"code": 14}]}], ids=["a", "b"]
)
def test_an_answer_that_lacks_data_is_no_answer(
    world: CloudUnderTest, account: str, lack: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.session, "rest", lambda *_arguments, **_options: {"timeSeries": [], **lack})
    with pytest.raises(UnavailableError, match="not complete"):
        MonitoringUsage(world.session).read_usage(world.project, datetime(2026, 1, 1, tzinfo=UTC), now(world))
