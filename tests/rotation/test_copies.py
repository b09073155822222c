"""Destinations get back what they lost, and what was declared since the last rotation, whether or not anything is due."""

import contextlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestra_creds.core.cloud_types import VersionState
from orchestra_creds.core.credential import Copy, Credential, CredentialKind
from orchestra_creds.core.material import Material
from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.errors import Code, EmuError
from orchestra_creds.errors import ExitCode
from orchestra_creds.rotation.destinations import FileCopy, SecretCopy
from orchestra_creds.rotation.issuers.generated import GeneratedValues
from orchestra_creds.rotation.issuers.manual import ManualIssuer
from orchestra_creds.rotation.outcome import Ending, Outcome
from orchestra_creds.rotation.situation import RunRequest, StepKind
from orchestra_creds.rotation.state import ANNOTATION, Phase, decode, encode
from orchestra_creds.rotation.status import Problem
from orchestra_creds.rotation.timing import LEASE
from tests.rotation.test_invariants import Shelf
from tests.rotation.test_status import problems
from tests.rotation.world import POLICY, Died, Loss, World, service_account_key


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


# -- copies in other secrets, which have versions of their own


def copied(world: World, kind: CredentialKind, **fields: Any) -> tuple[Credential, dict[str, Any]]:
    """A credential with a copy in the secret `second`, and what a run of it needs."""
    world.secrets.create_secret("second")
    copy = Copy("secret", "partner", {"secret": "second"})
    declared = service_account_key(world.account(), copies=(copy,), **fields)
    options: dict[str, Any] = {"destinations": [SecretCopy(copy, world.secrets)]}
    if kind is CredentialKind.GENERATED:
        declared = replace(declared, kind=kind, account="")
        options["issuer"] = GeneratedValues(declared, random.Random(1).randbytes)
    return declared, options


def kept(world: World, name: str) -> Counter[VersionState]:
    return Counter(world.versions(name).values())


KINDS = (CredentialKind.SERVICE_ACCOUNT_KEY, CredentialKind.GENERATED)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_keeps_as_many_versions_as_its_source(world: World, kind: CredentialKind) -> None:
    declared, options = copied(world, kind)
    for _ in range(4):
        for step in (timedelta(0), POLICY.grace, POLICY.soak, POLICY.every):
            world.pass_time(step)
            assert world.rotate(declared, **options).code is ExitCode.OK
            assert kept(world, "second") == kept(world, "db-key")
            current = world.secrets.access("db-key", "latest").material
            assert world.secrets.access("second", "latest").material == current
    assert kept(world, "second") == {VersionState.ENABLED: 2, VersionState.DESTROYED: 3}
    assert decode({ANNOTATION: encode(world.state())}, "db-key") == world.state()


@pytest.mark.parametrize("kind", KINDS)
def test_versions_that_others_added_to_a_copy_stay(world: World, kind: CredentialKind) -> None:
    declared, options = copied(world, kind)
    world.secrets.add_version("second", Material(b"of the partner, before"))
    world.rotate(declared, **options)
    world.secrets.add_version("second", Material(b"of the partner, later"))
    world.rotate(declared, **options)
    for step in (POLICY.every, POLICY.grace, POLICY.soak):
        world.pass_time(step)
        world.rotate(declared, **options)
    ours = {number: state for number, state in world.versions("second").items() if number not in {1, 3}}
    assert ours == {2: VersionState.DESTROYED, 4: VersionState.DESTROYED, 5: VersionState.ENABLED}
    assert world.secrets.access("second", 1).material == Material(b"of the partner, before")
    assert world.secrets.access("second", 3).material == Material(b"of the partner, later")


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_never_loses_what_its_source_still_has(world: World, kind: CredentialKind, exhaustive: bool) -> None:
    """Rollbacks and generations in quick succession, daily runs: each value that the source can read, the copy can read."""
    declared, options = copied(world, kind)
    chance = random.Random(3)
    for _ in range(120 if exhaustive else 20):
        want = chance.choices([RunRequest(), RunRequest(force=True), RunRequest(back=True)], [6, 1, 1])[0]
        world.rotate(declared, want, **options)
        readable = {
            name: {
                world.secrets.access(name, number).material.reveal()
                for number, state in world.versions(name).items()
                if state is VersionState.ENABLED
            }
            for name in ("db-key", "second")
        }
        assert readable["db-key"] == readable["second"]
        world.pass_time(timedelta(days=1))
    assert kept(world, "second")[VersionState.DESTROYED] > (10 if exhaustive else 0)


def test_a_secret_that_was_made_again_under_the_name_of_a_copy_loses_nothing(world: World) -> None:
    declared, options = copied(world, CredentialKind.SERVICE_ACCOUNT_KEY)
    world.rotate(declared, **options)
    world.pass_time(POLICY.every)
    world.rotate(declared, **options)
    world.secrets.delete_secret("second")
    world.pass_time(timedelta(minutes=1))
    world.secrets.create_secret("second")
    first = world.secrets.add_version("second", Material(b"of somebody else")).number
    for step in (timedelta(0), POLICY.grace, POLICY.soak):
        world.pass_time(step)
        assert world.rotate(declared, **options).code is ExitCode.OK
    assert world.versions("second") == {first: VersionState.ENABLED, 2: VersionState.ENABLED}


def test_versions_of_a_secret_that_is_no_destination_any_more_stay(world: World) -> None:
    declared, options = copied(world, CredentialKind.SERVICE_ACCOUNT_KEY)
    world.rotate(declared, **options)
    world.pass_time(POLICY.every)
    world.rotate(declared, **options)
    for step in (POLICY.grace, POLICY.soak):
        world.pass_time(step)
        assert world.rotate(replace(declared, copies=())).code is ExitCode.OK
    assert kept(world, "second") == {VersionState.ENABLED: 2}
    assert world.versions()[1] is VersionState.DESTROYED


def test_a_copy_that_cannot_be_destroyed_is_told_and_tried_again(world: World) -> None:
    declared, options = copied(world, CredentialKind.SERVICE_ACCOUNT_KEY)
    world.rotate(declared, **options)
    world.pass_time(POLICY.every)
    world.rotate(declared, **options)
    world.pass_time(POLICY.grace)
    world.rotate(declared, **options)
    world.pass_time(POLICY.soak)
    world.arm("DestroySecretVersion", Code.PERMISSION_DENIED, times=1)
    outcome = world.rotate(declared, **options)
    assert (outcome.ending, outcome.code) == (Ending.ATTENTION, ExitCode.ATTENTION), outcome.message
    assert any("destroy version 1 of second" in note for note in outcome.notes), outcome.notes
    assert (kept(world, "second"), len(world.state().retiring)) == ({VersionState.ENABLED: 2}, 1)
    assert world.rotate(declared, **options).code is ExitCode.OK
    assert (kept(world, "second"), world.state().retiring) == (kept(world, "db-key"), ())


def test_a_copy_that_cannot_be_disabled_is_told_and_destroyed_after_the_soak(world: World) -> None:
    declared, options = copied(world, CredentialKind.GENERATED)
    world.rotate(declared, **options)

    def refuse(name: str) -> None:
        if name.endswith("/DisableSecretVersion"):
            with world.aside():
                of_copy = world.versions()[1] is VersionState.DISABLED
            if of_copy:
                raise EmuError(Code.PERMISSION_DENIED, "You may not.")

    world.emulator.before = refuse
    outcome = world.rotate(declared, RunRequest(leaked=True, force=True), **options)
    world.emulator.before = lambda _name: None
    assert (outcome.code, world.versions()) == (
        ExitCode.ATTENTION,
        {1: VersionState.DISABLED, 2: VersionState.ENABLED},
    ), outcome.message
    assert kept(world, "second") == {VersionState.ENABLED: 2}
    world.pass_time(POLICY.soak)
    assert world.rotate(declared, **options).code is ExitCode.OK
    assert kept(world, "second") == kept(world, "db-key") == {VersionState.ENABLED: 1, VersionState.DESTROYED: 1}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", [Loss.DEATH_AFTER, Loss.LOST_REPLY])
def test_a_run_that_dies_adds_no_second_version_to_a_copy(
    world: World, kind: CredentialKind, loss: Loss, exhaustive: bool
) -> None:
    declared, options = copied(world, kind)
    world.lag(faults.Lag.LATEST, 3600.0)
    for number in range(30) if exhaustive else (17, 20, 23):
        world.lose({number: loss})
        with contextlib.suppress(Died):
            world.rotate(declared, RunRequest(force=True), **options)
        world.emulator.losses.clear()
        world.pass_time(LEASE + timedelta(minutes=1))
        world.rotate(declared, **options)
        world.pass_time(POLICY.grace)
        world.rotate(declared, **options)
        world.pass_time(POLICY.soak)
        world.rotate(declared, **options)
    world.lag(faults.Lag.LATEST, 0.0)
    for _ in range(2):
        world.rotate(declared, **options)
        world.pass_time(POLICY.grace + POLICY.soak)
    left = [number for number, state in world.versions("second").items() if state is VersionState.ENABLED]
    assert [world.secrets.access("second", number).material for number in left] == [
        world.secrets.access("db-key", "latest").material
    ]
