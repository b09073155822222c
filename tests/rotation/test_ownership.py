"""Whoever may write the annotations of a secret must not be able to end, or bring back, keys that are not of that secret."""

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestra_creds.core.cloud_types import VersionState
from orchestra_creds.core.credential import Credential, Strategy
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.errors import ExitCode
from orchestra_creds.rotation.outcome import Ending
from orchestra_creds.rotation.situation import RunRequest
from orchestra_creds.rotation.state import ANNOTATION, OrphanWindow, Predecessor, Retirement, State, Target, encode
from orchestra_creds.rotation.timing import SWEEP_AFTER
from tests.rotation.world import POLICY, World, service_account_key

FORCE = RunRequest(force=True)


@pytest.fixture
def account(world: World) -> str:
    return world.account()


@pytest.fixture(params=(Strategy.UPLOAD, Strategy.CREATE))
def credential(request: pytest.FixtureRequest, account: str) -> Credential:
    return service_account_key(account, strategy=request.param)


def write(world: World, state: State) -> None:
    """What somebody does who may write annotations, and nothing else."""
    secret = world.secrets.get_secret("db-key")
    world.secrets.update_secret(secret, annotations={**secret.annotations, ANNOTATION: encode(state)})


def current_id(world: World) -> str:
    current = world.state().current
    assert current is not None
    return current.id


@pytest.mark.parametrize("phase", list(Retirement))
@pytest.mark.parametrize("versions", [(), (1,)], ids=["no version", "a version of another key"])
@pytest.mark.parametrize("targeted", [False, True], ids=["as an earlier program wrote it", "with its target"])
def test_a_forged_entry_ends_no_key_of_the_declared_account(
    world: World, credential: Credential, account: str, phase: Retirement, versions: tuple[int, ...], *, targeted: bool
) -> None:
    world.rotate(credential)
    victim = world.keys.create_key(account)
    assert world.tokens.mint(victim.material)
    world.pass_time(timedelta(days=3))
    before = world.enabled_keys(account)
    target = Target("service-account-key", account) if targeted else None
    entry = Predecessor(victim.key.id, versions, phase, world.began, world.began - timedelta(days=1), target)
    write(world, replace(world.state(), retiring=(entry,)))
    outcome = world.rotate(credential)
    assert outcome.code in {ExitCode.ATTENTION, ExitCode.PRECONDITION}, outcome.message
    assert victim.key.id in " ".join([outcome.message, *outcome.notes])
    assert world.enabled_keys(account) == before


def test_a_forged_entry_deletes_no_disabled_key(world: World, credential: Credential, account: str) -> None:
    world.rotate(credential)
    victim = world.keys.create_key(account).key.id
    world.keys.disable_key(account, victim)
    entry = Predecessor(victim, (1,), Retirement.DISABLED, world.began)
    write(world, replace(world.state(), retiring=(entry,)))
    world.pass_time(POLICY.soak)
    assert world.rotate(credential).code is ExitCode.ATTENTION
    assert world.keys.find_key(account, victim) is not None


def test_a_forged_window_claims_no_key_that_somebody_uses(world: World, credential: Credential, account: str) -> None:
    world.rotate(credential)
    victim = world.keys.create_key(account)
    assert world.tokens.mint(victim.material)
    window = OrphanWindow((), world.clock - timedelta(hours=1), world.clock + timedelta(minutes=1))
    write(world, replace(world.state(), unresolved=(window,)))
    world.pass_time(SWEEP_AFTER + timedelta(minutes=2))
    world.rotate(credential)
    assert victim.key.id in world.enabled_keys(account)


def test_a_forged_predecessor_brings_no_key_back(world: World, credential: Credential, account: str) -> None:
    world.rotate(credential)
    victim = world.keys.create_key(account).key.id
    world.keys.disable_key(account, victim)
    entry = Predecessor(victim, (1,), Retirement.DISABLED, world.clock)
    write(world, replace(world.state(), retiring=(entry,)))
    outcome = world.rotate(credential, RunRequest(back=True))
    assert outcome.code is not ExitCode.OK
    assert victim not in world.enabled_keys(account)


def test_an_orphan_of_a_lost_creation_is_ended(world: World, account: str) -> None:
    credential = service_account_key(account, strategy=Strategy.CREATE)
    world.rotate(credential)
    world.arm("AddSecretVersion", Code.PERMISSION_DENIED)
    world.rotate(credential, FORCE)
    world.disarm()
    world.rotate(credential)
    world.pass_time(SWEEP_AFTER)
    world.rotate(credential)
    world.pass_time(POLICY.grace)
    world.rotate(credential)
    assert world.enabled_keys(account) == {current_id(world)}


@pytest.mark.parametrize("state", [VersionState.DISABLED, VersionState.DESTROYED])
def test_a_predecessor_whose_version_is_gone_stays_and_is_named(
    world: World, credential: Credential, account: str, state: VersionState
) -> None:
    world.rotate(credential)
    old = current_id(world)
    world.rotate(credential, FORCE)
    (world.secrets.disable_version if state is VersionState.DISABLED else world.secrets.destroy_version)("db-key", 1)
    world.pass_time(POLICY.grace)
    outcome = world.rotate(credential)
    assert (outcome.ending, outcome.code) == (Ending.ATTENTION, ExitCode.ATTENTION), outcome.message
    assert any("key disable" in note or old in note for note in outcome.notes)
    assert old in world.enabled_keys(account)
    if state is VersionState.DISABLED:
        world.secrets.enable_version("db-key", 1)
    else:
        world.keys.disable_key(account, old)
        world.keys.delete_key(account, old)
    assert world.rotate(credential).code is ExitCode.OK


def test_a_leaked_key_whose_version_is_gone_is_ended_because_the_operator_says_so(
    world: World, credential: Credential, account: str
) -> None:
    world.rotate(credential)
    leaked = current_id(world)
    world.rotate(credential, FORCE)
    world.secrets.destroy_version("db-key", 1)
    outcome = world.rotate(credential, RunRequest(leaked=True, leaked_id=leaked))
    assert (outcome.code, leaked in world.enabled_keys(account)) == (ExitCode.OK, False), outcome.message
