"""Destinations get back what they lost, and what was declared since the last rotation, whether or not anything is due."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from orchestra_creds.core.credential import Copy, Credential, CredentialKind
from orchestra_creds.core.material import Material
from orchestra_creds.errors import ExitCode
from orchestra_creds.rotation.destinations import FileCopy, SecretCopy
from orchestra_creds.rotation.issuers.manual import ManualIssuer
from orchestra_creds.rotation.outcome import Ending, Outcome
from orchestra_creds.rotation.situation import StepKind
from orchestra_creds.rotation.state import Phase
from orchestra_creds.rotation.status import Problem
from tests.rotation.test_invariants import Shelf
from tests.rotation.test_status import problems
from tests.rotation.world import POLICY, World, service_account_key


@pytest.fixture
def in_file(world: World, tmp_path: Path) -> tuple[Credential, Path]:
    """A credential that was rotated, and delivered to a file."""
    file = tmp_path / "key.json"
    declared = service_account_key(world.account(), copies=(Copy("file", "file", {"path": str(file)}),))
    world.rotate(declared, destinations=[FileCopy(declared.copies[0])])
    return declared, file


def lose(file: Path) -> None:
    file.unlink()


def change(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"x")


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize("spoil", [lose, change, cut])
def test_a_file_that_lost_the_current_key_gets_it_back(
    world: World, in_file: tuple[Credential, Path], spoil: Callable[[Path], None]
) -> None:
    declared, file = in_file
    before = world.state()
    spoil(file)
    outcome = world.rotate(declared, destinations=[FileCopy(declared.copies[0])])
    assert (outcome.ending, outcome.code, outcome.generation) == (Ending.DELIVERED, ExitCode.OK, 1)
    assert file.read_bytes() == world.secrets.access("db-key", "latest").material.reveal()
    assert (world.state().current, world.state().retiring) == (before.current, before.retiring)
    assert world.rotate(declared, destinations=[FileCopy(declared.copies[0])]).ending is Ending.NOTHING


def test_a_secret_that_was_changed_gets_the_current_value_back(world: World) -> None:
    declared = service_account_key(world.account(), copies=(Copy("secret", "second", {"secret": "second"}),))
    world.secrets.create_secret("second")
    destination = SecretCopy(declared.copies[0], world.secrets)
    world.rotate(declared, destinations=[destination])
    world.secrets.add_version("second", Material(b"somebody's own"))
    assert world.rotate(declared, destinations=[destination]).ending is Ending.DELIVERED
    assert world.secrets.access("second", "latest").material == world.secrets.access("db-key", "latest").material


def test_a_destination_that_is_declared_later_is_told_and_delivered(world: World) -> None:
    declared = service_account_key(world.account())
    world.rotate(declared)
    shelf, declared = Shelf(), replace(declared, copies=(Copy("file", "shelf"),))
    assert problems(world, declared) == {Problem.BEHIND}
    plan = world.rotate(declared, destinations=[shelf], dry=True)
    assert (plan.ending, [step.kind for step in plan.steps if step.kind == StepKind.DELIVER]) == (
        Ending.PLANNED,
        [StepKind.DELIVER],
    )
    assert world.rotate(declared, destinations=[shelf]).ending is Ending.DELIVERED
    assert shelf.held == world.secrets.access("db-key", "latest").material
    assert problems(world, declared) == set()


def test_a_later_destination_that_fails_is_pending_until_it_holds_the_key(world: World) -> None:
    declared = service_account_key(world.account())
    world.rotate(declared)
    shelf, declared = Shelf(), replace(declared, copies=(Copy("file", "shelf"),))
    shelf.broken = True
    outcome = world.rotate(declared, destinations=[shelf])
    assert (outcome.ending, outcome.code) == (Ending.PENDING, ExitCode.ATTENTION)
    shelf.broken = False
    world.rotate(declared, destinations=[shelf])
    assert shelf.held == world.secrets.access("db-key", "latest").material
    assert world.state().phase is Phase.IDLE


def test_copies_that_hold_the_key_cost_no_change(world: World, in_file: tuple[Credential, Path]) -> None:
    declared, _ = in_file
    before = len(world.emulator.mutations)
    assert world.rotate(declared, destinations=[FileCopy(declared.copies[0])]).ending is Ending.NOTHING
    assert len(world.emulator.mutations) == before


def test_a_delivery_does_not_hide_that_a_person_has_to_make_the_successor(world: World, tmp_path: Path) -> None:
    file = tmp_path / "value"
    copy = Copy("file", "file", {"path": str(file)})
    by_hand = Credential("hand", CredentialKind.MANUAL, "hand", POLICY, copies=(copy,))
    world.secrets.create_secret("hand")
    world.secrets.add_version("hand", Material(b"by hand"))

    def rotate() -> Outcome:
        return world.rotate(by_hand, issuer=ManualIssuer(by_hand), destinations=[FileCopy(copy)])

    assert rotate().code is ExitCode.OK
    world.pass_time(POLICY.every + timedelta(days=1))
    lose(file)
    outcome = rotate()
    assert (outcome.ending, outcome.code) == (Ending.ATTENTION, ExitCode.ATTENTION)
    assert "only a person can make its successor" in outcome.message
    assert file.read_bytes() == b"by hand"
    assert rotate().code is ExitCode.ATTENTION
