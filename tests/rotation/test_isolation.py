"""What fails stops nothing else: a destination, a hook or a retirement holds up neither the next generation nor a rollback."""

from datetime import timedelta

import pytest

from orchestra_creds.core.credential import Copy, Credential
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.errors import ExitCode
from orchestra_creds.rotation.outcome import Ending, StepStatus
from orchestra_creds.rotation.situation import RunRequest, StepKind
from orchestra_creds.rotation.state import Retirement
from tests.rotation.test_invariants import Shelf, rotate_when_due
from tests.rotation.world import POLICY, World, service_account_key


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def credential(world: World, shelf: Shelf) -> Credential:
    """A credential in its second generation, whose destination fails from now on."""
    declared = service_account_key(world.account(), copies=(Copy("file", "shelf"),))
    world.rotate(declared, destinations=[shelf])
    shelf.broken = True
    assert rotate_when_due(world, declared, destinations=[shelf]).ending is Ending.PENDING
    return declared


@pytest.mark.parametrize("want", [RunRequest(), RunRequest(force=True)], ids=["due", "forced"])
def test_a_destination_that_is_behind_holds_up_no_new_generation(
    world: World, credential: Credential, shelf: Shelf, want: RunRequest
) -> None:
    world.pass_time(POLICY.every if not want.force else timedelta(minutes=1))
    outcome = world.rotate(credential, want, destinations=[shelf])
    assert (outcome.ending, outcome.generation, outcome.code) == (Ending.PENDING, 3, ExitCode.ATTENTION)
    shelf.broken = False
    assert world.rotate(credential, destinations=[shelf]).ending is Ending.ROTATED
    assert shelf.held == world.secrets.access("db-key", "latest").material
    assert [entry.since for entry in world.state().retiring] == [world.clock, world.clock]


def test_a_destination_that_is_behind_and_nothing_due_begins_nothing(
    world: World, credential: Credential, shelf: Shelf
) -> None:
    outcome = world.rotate(credential, destinations=[shelf])
    assert (outcome.ending, outcome.generation) == (Ending.PENDING, 2)


def test_a_destination_that_is_behind_holds_up_no_rollback(world: World, credential: Credential, shelf: Shelf) -> None:
    old = world.secrets.access("db-key", 1).material
    outcome = world.rotate(credential, RunRequest(back=True), destinations=[shelf])
    assert (outcome.ending, outcome.generation) == (Ending.ROTATED, 3)  # the shelf holds this one still
    assert world.secrets.access("db-key", "latest").material == old


def test_a_delivery_that_failed_is_not_called_done(world: World, credential: Credential, shelf: Shelf) -> None:
    world.events.clear()
    outcome = world.rotate(credential, destinations=[shelf])
    stages = [event.stage for event in world.events if event.step.kind == StepKind.DELIVER]
    assert stages == [StepStatus.FAILED]
    assert StepKind.DELIVER not in {step.kind for step in outcome.steps}


def retiring(world: World, method: str) -> Credential:
    """A credential whose predecessor is to be disabled next, or deleted next, while calls of a method fail."""
    declared = service_account_key(world.account())
    world.rotate(declared)
    rotate_when_due(world, declared)
    world.pass_time(POLICY.grace)
    if method.startswith("Delete"):
        assert world.rotate(declared).ending is Ending.RETIRED
        world.pass_time(POLICY.soak)
    world.arm(method, Code.PERMISSION_DENIED)
    return declared


@pytest.mark.parametrize("method", ["DisableServiceAccountKey", "DeleteServiceAccountKey"])
def test_a_retirement_that_fails_is_told_and_holds_up_no_new_generation(world: World, method: str) -> None:
    credential = retiring(world, method)
    outcome = world.rotate(credential)
    (old,) = world.state().retiring
    assert (outcome.ending, outcome.code) == (Ending.ATTENTION, ExitCode.ATTENTION)
    assert old.id in outcome.message
    assert outcome.notes
    rotated = rotate_when_due(world, credential)
    assert (rotated.ending, rotated.generation, rotated.code) == (Ending.ROTATED, 3, ExitCode.ATTENTION)
    world.disarm()
    outcome = world.rotate(credential)
    assert (outcome.ending, outcome.code) == (Ending.RETIRED, ExitCode.OK)
    assert old.id not in {entry.id for entry in world.state().retiring if entry.phase is old.phase}


def test_one_predecessor_that_cannot_be_retired_holds_up_no_other(world: World) -> None:
    credential = retiring(world, "DeleteServiceAccountKey")
    rotate_when_due(world, credential)
    world.pass_time(POLICY.grace)
    outcome = world.rotate(credential)
    assert (outcome.ending, outcome.code) == (Ending.ATTENTION, ExitCode.ATTENTION)
    assert [entry.phase for entry in world.state().retiring] == [Retirement.DISABLED, Retirement.DISABLED]
