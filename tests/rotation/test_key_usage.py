"""A predecessor is disabled only when both records of Google show that nobody uses it; what they do not know counts as a use."""

from dataclasses import replace
from datetime import timedelta
from unittest import mock

import pytest

from orchestra_creds.core.credential import Credential
from orchestra_creds.emulator.iam import analyzer, key_events
from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.errors import ExitCode
from orchestra_creds.rotation.key_usage import FRESH, UsageReader
from orchestra_creds.rotation.outcome import Ending
from orchestra_creds.rotation.situation import RunRequest, StepKind
from orchestra_creds.rotation.state import Retirement
from tests.rotation.world import POLICY, PROJECT, World, service_account_key

DAY = timedelta(days=1)
RETIRE = RunRequest(retire=True)
METHODS = {"ListTimeSeries": "monitoring", "QueryActivity": "policyanalyzer"}


@pytest.fixture
def account(world: World) -> str:
    return world.account()


@pytest.fixture
def credential(world: World, account: str) -> Credential:
    """In its second generation; the grace of the predecessor is over, and nobody used it since."""
    declared = service_account_key(account, policy=replace(POLICY, require_unused=DAY))
    world.rotate(declared)
    world.pass_time(POLICY.every)
    world.rotate(declared)
    world.pass_time(POLICY.grace)
    return declared


def old(world: World) -> str:
    (entry,) = world.state().retiring
    return entry.id


def count_use(world: World, account: str, key: str) -> None:
    """Let Cloud Monitoring alone see a use, as one of an API outside of Google Cloud."""
    resource = world.rpc("GetServiceAccount", name=f"projects/-/serviceAccounts/{account}")
    with world.store.transaction() as txn:
        key_events.note(txn, resource, key)


def test_a_key_that_nobody_used_is_disabled(world: World, credential: Credential, account: str) -> None:
    unused = old(world)
    assert world.rotate(credential).ending is Ending.RETIRED
    assert unused not in world.enabled_keys(account)


def test_a_key_whose_use_only_cloud_monitoring_sees_stays_until_it_is_quiet(
    world: World, credential: Credential, account: str
) -> None:
    used = old(world)
    count_use(world, account, used)
    for step in (timedelta(hours=4), timedelta(hours=20)):
        world.pass_time(step)
        outcome = world.rotate(credential)
        assert (outcome.ending, outcome.code) == (Ending.NOTHING, ExitCode.OK)
        assert any(used in note and "Cloud Monitoring shows" in note for note in outcome.notes), outcome.notes
        assert used in world.enabled_keys(account)
    world.pass_time(timedelta(hours=6))
    assert world.rotate(credential).ending is Ending.RETIRED
    assert used not in world.enabled_keys(account)


def test_a_key_whose_use_cloud_monitoring_cannot_show_yet_stays(
    world: World, credential: Credential, account: str
) -> None:
    """Policy Analyzer shows a use on the day itself, where Cloud Monitoring may be three hours late."""
    used = old(world)
    world.lag(faults.Lag.USAGE, timedelta(days=30).total_seconds())
    world.tokens.mint(world.secrets.access("db-key", 1).material)
    world.pass_time(timedelta(hours=25))
    outcome = world.rotate(credential)
    assert any(used in note and "Policy Analyzer shows" in note for note in outcome.notes), outcome.notes
    assert used in world.enabled_keys(account)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("off", [False, True], ids=["refused", "API off"])
def test_a_record_that_cannot_be_read_keeps_the_key_and_ends_the_run_with_1(
    world: World, credential: Credential, account: str, method: str, off: bool
) -> None:
    unknown = old(world)
    if off:
        path = f"v1/projects/{PROJECT}/services/{METHODS[method]}.googleapis.com:disable"
        world.session.rest("disable an API", "POST", "serviceusage", path, body={})
    else:
        world.arm(method, Code.PERMISSION_DENIED)
    outcome = world.rotate(credential)
    assert (outcome.ending, outcome.code) == (Ending.ATTENTION, ExitCode.ATTENTION)
    assert unknown in outcome.message
    assert unknown in world.enabled_keys(account)
    (entry,) = world.state().retiring
    assert entry.phase is Retirement.GRACE


def test_a_key_that_was_not_observed_for_long_enough_stays(world: World, credential: Credential, account: str) -> None:
    unknown = old(world)
    with mock.patch.object(analyzer, "OBSERVED", timedelta(0)):
        outcome = world.rotate(credential)
    assert any(unknown in note and "Policy Analyzer has data from" in note for note in outcome.notes), outcome.notes
    assert unknown in world.enabled_keys(account)
    assert world.rotate(credential).ending is Ending.RETIRED


def test_a_dry_run_says_the_same(world: World, credential: Credential, account: str) -> None:
    count_use(world, account, old(world))
    world.pass_time(timedelta(hours=4))
    plan = world.rotate(credential, dry=True)
    assert plan.steps == ()
    assert any("Cloud Monitoring shows" in note for note in plan.notes)


def test_a_policy_that_asks_nothing_reads_no_record(world: World, account: str) -> None:
    credential = service_account_key(account)
    world.rotate(credential)
    world.pass_time(POLICY.every)
    world.rotate(credential)
    world.pass_time(POLICY.grace)
    assert world.rotate(credential).ending is Ending.RETIRED
    assert not METHODS.keys() & {name for name, _ in world.emulator.calls}


@pytest.mark.parametrize("method", METHODS)
def test_a_credential_whose_use_is_not_known_is_not_ended(
    world: World, credential: Credential, account: str, method: str
) -> None:
    world.pass_time(timedelta(days=5))
    before = (world.state().ended, world.enabled_keys(account))
    world.arm(method, Code.PERMISSION_DENIED)
    outcome = world.rotate(credential, RETIRE)
    assert (outcome.ending, outcome.code) == (Ending.FAILED, ExitCode.DENIED)
    world.disarm()
    with mock.patch.object(analyzer, "OBSERVED", timedelta(0)):
        outcome = world.rotate(credential, RETIRE)
    assert (outcome.ending, outcome.code) == (Ending.FAILED, ExitCode.PRECONDITION)
    assert "may be in use" in outcome.message
    assert (world.state().ended, world.enabled_keys(account)) == before
    assert world.rotate(credential, RETIRE).code is ExitCode.OK
    assert world.enabled_keys(account) == set()


def test_a_lost_reply_of_a_record_is_mended_in_the_same_run(world: World, credential: Credential) -> None:
    world.arm("ListTimeSeries", Code.INTERNAL, times=1)
    outcome = world.rotate(credential)
    assert outcome.ending is Ending.RETIRED
    assert StepKind.DISABLE in {step.kind for step in outcome.steps}


def test_all_keys_of_a_project_are_asked_for_once_until_the_answer_is_old_or_too_short(
    world: World, account: str
) -> None:
    reader = UsageReader(world.usage_sources, PROJECT, lambda: world.clock)

    def asked() -> int:
        names = [name for name, _ in world.emulator.calls]
        assert names.count("ListTimeSeries") == names.count("QueryActivity")
        return names.count("ListTimeSeries")

    other = world.account("app-two")
    for mail in (account, other, "123-compute@developer.gserviceaccount.com"):
        reader.usage_of(mail, "0" * 40, DAY)
    assert asked() == 1
    reader.usage_of(account, "0" * 40, timedelta(hours=1))
    assert asked() == 1
    reader.usage_of(account, "0" * 40, 2 * DAY)
    assert asked() == 2
    reader.usage_of(account, "0" * 40, DAY)
    world.pass_time(FRESH)
    reader.usage_of(account, "0" * 40, DAY)
    assert asked() == 2
    world.pass_time(timedelta(seconds=1))
    reader.usage_of(account, "0" * 40, 2 * DAY)
    assert asked() == 3
