"""A key is deleted only if it stayed disabled and nobody used it since; one that somebody enabled again has its grace anew."""

from dataclasses import replace
from datetime import timedelta
from unittest import mock

import pytest

from orchestra_creds.core.cloud_types import VersionState
from orchestra_creds.core.credential import Credential
from orchestra_creds.core.policy import RotationPolicy
from orchestra_creds.emulator.iam import analyzer
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.errors import ExitCode
from orchestra_creds.rotation.outcome import Ending
from orchestra_creds.rotation.situation import RunRequest
from orchestra_creds.rotation.state import Retirement
from orchestra_creds.rotation.status import Problem
from orchestra_creds.rotation.timing import LISTED_LATE
from tests.rotation.test_key_usage import METHODS, count_use
from tests.rotation.test_status import problems
from tests.rotation.world import POLICY, World, service_account_key

DAY = timedelta(days=1)
DECLARED = replace(POLICY, require_unused=DAY)
RETIRE = RunRequest(retire=True)


@pytest.fixture
def account(world: World) -> str:
    return world.account()


@pytest.fixture(params=[DECLARED, POLICY], ids=["require_unused", "without"])
def policy(request: pytest.FixtureRequest) -> RotationPolicy:
    return request.param  # type: ignore[no-any-return]


def disabled_key(world: World, account: str, policy: RotationPolicy = DECLARED) -> tuple[Credential, str]:
    """A credential whose predecessor was disabled a moment ago, and the id of that key."""
    declared = service_account_key(account, policy=policy)
    world.rotate(declared)
    world.pass_time(POLICY.every)
    world.rotate(declared)
    world.pass_time(POLICY.grace)
    assert world.rotate(declared).ending is Ending.RETIRED
    (entry,) = world.state().retiring
    assert entry.phase is Retirement.DISABLED
    return declared, entry.id


def is_there(world: World, account: str, key: str) -> bool:
    """Whether the key and the version that holds it exist."""
    assert (world.keys.find_key(account, key) is not None) == (world.versions()[1] is not VersionState.DESTROYED)
    return world.keys.find_key(account, key) is not None


def test_a_key_that_stayed_disabled_and_unused_is_deleted(world: World, account: str, policy: RotationPolicy) -> None:
    credential, old = disabled_key(world, account, policy)
    world.pass_time(POLICY.soak)
    assert world.rotate(credential).ending is Ending.RETIRED
    assert not is_there(world, account, old)
    assert world.state().retiring == ()


def test_a_key_that_was_used_since_it_was_disabled_stays_and_is_told(
    world: World, account: str, policy: RotationPolicy
) -> None:
    credential, old = disabled_key(world, account, policy)
    world.pass_time(2 * DAY)
    count_use(world, account, old)
    world.pass_time(POLICY.soak)
    for _ in range(2):
        outcome = world.rotate(credential)
        assert (outcome.ending, outcome.code) == (Ending.ATTENTION, ExitCode.ATTENTION), outcome.message
        assert f"{old} was used after it was disabled" in outcome.message
        assert any(f"key delete {account} {old}" in note for note in outcome.notes), outcome.notes
        assert is_there(world, account, old)
    world.pass_time(2 * DAY)
    assert problems(world, credential) == {Problem.LINGERS}
    world.keys.delete_key(account, old)
    assert world.rotate(credential).code is ExitCode.OK
    assert world.state().retiring == ()


def test_a_use_before_it_was_disabled_keeps_it_from_nothing(world: World, account: str) -> None:
    policy = replace(POLICY, require_unused=timedelta(hours=1))
    declared = service_account_key(account, policy=policy)
    world.rotate(declared)
    world.pass_time(POLICY.every)
    world.rotate(declared)
    old = world.state().retiring[0].id
    world.pass_time(POLICY.grace - timedelta(days=1, hours=12))
    count_use(world, account, old)
    world.pass_time(timedelta(days=1, hours=12))
    assert world.rotate(declared).ending is Ending.RETIRED
    world.pass_time(POLICY.soak)
    assert world.rotate(declared).ending is Ending.RETIRED
    assert not is_there(world, account, old)


@pytest.mark.parametrize("method", METHODS)
def test_a_record_that_cannot_be_read_keeps_the_key_where_require_unused_is_declared(
    world: World, account: str, policy: RotationPolicy, method: str
) -> None:
    credential, old = disabled_key(world, account, policy)
    world.pass_time(POLICY.soak)
    world.arm(method, Code.PERMISSION_DENIED)
    outcome = world.rotate(credential)
    declared = bool(policy.require_unused)
    assert is_there(world, account, old) is declared
    assert outcome.code is (ExitCode.ATTENTION if declared else ExitCode.OK), outcome.message
    assert (old in outcome.message) or not declared


def test_a_record_without_data_keeps_the_key_where_require_unused_is_declared(
    world: World, account: str, policy: RotationPolicy
) -> None:
    credential, old = disabled_key(world, account, policy)
    world.pass_time(POLICY.soak)
    with mock.patch.object(analyzer, "OBSERVED", timedelta(0)):
        outcome = world.rotate(credential)
    assert outcome.code is ExitCode.OK
    assert is_there(world, account, old) is bool(policy.require_unused)
    if policy.require_unused:
        assert any(old in note and "Policy Analyzer has data from" in note for note in outcome.notes), outcome.notes
        assert world.rotate(credential).ending is Ending.RETIRED


def test_a_key_that_somebody_enabled_again_has_its_grace_anew(
    world: World, account: str, policy: RotationPolicy
) -> None:
    credential, old = disabled_key(world, account, policy)
    world.keys.enable_key(account, old)
    world.pass_time(LISTED_LATE)
    assert problems(world, credential) == {Problem.LINGERS}
    world.pass_time(POLICY.soak)
    outcome = world.rotate(credential)
    assert (outcome.ending, outcome.code) == (Ending.ATTENTION, ExitCode.ATTENTION), outcome.message
    assert f"{old} was enabled again" in outcome.message
    assert any("grace" in note and old in note for note in outcome.notes), outcome.notes
    (entry,) = world.state().retiring
    assert (entry.id, entry.phase, entry.since) == (old, Retirement.GRACE, world.clock)
    assert old in world.enabled_keys(account)
    assert world.rotate(credential).code is ExitCode.OK
    assert problems(world, credential) == set()
    world.pass_time(POLICY.grace)
    assert world.rotate(credential).ending is Ending.RETIRED
    assert old not in world.enabled_keys(account)
    world.pass_time(POLICY.soak)
    assert world.rotate(credential).ending is Ending.RETIRED
    assert not is_there(world, account, old)


def leaked_key(world: World, account: str) -> tuple[Credential, str]:
    """A credential whose predecessor leaked and was disabled, and the id of that key."""
    declared = service_account_key(account, policy=DECLARED)
    leaked = world.rotate(declared).identifier
    assert world.rotate(declared, RunRequest(leaked=True, force=True)).code is ExitCode.OK
    return declared, leaked


def test_a_leaked_key_is_deleted_although_somebody_tries_it(world: World, account: str) -> None:
    credential, leaked = leaked_key(world, account)
    world.pass_time(2 * DAY)
    count_use(world, account, leaked)
    world.pass_time(POLICY.soak)
    assert world.rotate(credential).ending is Ending.RETIRED
    assert not is_there(world, account, leaked)


def test_a_leaked_key_that_somebody_enabled_again_is_ended_again(world: World, account: str) -> None:
    credential, leaked = leaked_key(world, account)
    world.keys.enable_key(account, leaked)
    world.pass_time(LISTED_LATE)
    assert problems(world, credential) == {Problem.LEAKED}
    world.pass_time(POLICY.soak)
    outcome = world.rotate(credential)
    assert leaked not in world.enabled_keys(account)
    assert outcome.code is ExitCode.ATTENTION
    assert any(f"{leaked} was enabled again, although it leaked" in note for note in outcome.notes), outcome.notes
    world.pass_time(POLICY.soak)
    assert world.rotate(credential).ending is Ending.RETIRED
    assert not is_there(world, account, leaked)


def test_a_retired_credential_waits_for_who_uses_its_key(world: World, account: str) -> None:
    credential = service_account_key(account, policy=DECLARED)
    old = world.rotate(credential).identifier
    world.pass_time(5 * DAY)
    assert world.rotate(credential, RETIRE).code is ExitCode.OK
    world.pass_time(2 * DAY)
    count_use(world, account, old)
    world.pass_time(POLICY.soak)
    outcome = world.rotate(credential)
    assert (outcome.ending, outcome.code) == (Ending.ATTENTION, ExitCode.ATTENTION)
    assert f"{old} is not deleted" in outcome.message
    assert is_there(world, account, old)
    world.rotate(credential, replace(RETIRE, in_use=True))
    assert not is_there(world, account, old)


def test_a_key_of_a_retired_credential_that_somebody_enabled_again_is_named_and_stays(
    world: World, account: str
) -> None:
    credential = service_account_key(account)
    old = world.rotate(credential).identifier
    assert world.rotate(credential, RETIRE).code is ExitCode.OK
    world.keys.enable_key(account, old)
    world.pass_time(POLICY.soak)
    for _ in range(2):
        outcome = world.rotate(credential)
        assert outcome.code is ExitCode.ATTENTION
        assert old in outcome.message
        assert old in world.enabled_keys(account)
