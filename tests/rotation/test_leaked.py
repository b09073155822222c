"""`--leaked` ends what leaked in the same run, whatever dies in between; what others took out of service never comes back."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from orchestra_creds.core.cloud_types import VersionState
from orchestra_creds.core.credential import ApiKey, Copy, Credential, CredentialKind, Strategy
from orchestra_creds.core.material import Material
from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.errors import ExitCode, PreconditionError
from orchestra_creds.gcp.api_keys import RestApiKeyStore
from orchestra_creds.rotation.issuer import Issuer
from orchestra_creds.rotation.issuers.api_key import ApiKeys
from orchestra_creds.rotation.issuers.generated import GeneratedValues
from orchestra_creds.rotation.issuers.manual import ManualIssuer
from orchestra_creds.rotation.outcome import Ending
from orchestra_creds.rotation.situation import RunRequest, StepKind
from orchestra_creds.rotation.state import ANNOTATION, Phase, Retirement, decode, encode
from orchestra_creds.rotation.timing import LEASE
from tests.rotation.test_invariants import Shelf
from tests.rotation.test_year import FakeProgram
from tests.rotation.world import POLICY, Died, Loss, World, service_account_key

LEAKED = RunRequest(leaked=True, force=True)
BACK = RunRequest(back=True)
STRATEGIES = (Strategy.UPLOAD, Strategy.CREATE)


@pytest.fixture
def account(world: World) -> str:
    return world.account()


@pytest.fixture(params=STRATEGIES)
def credential(request: pytest.FixtureRequest, account: str) -> Credential:
    return service_account_key(account, strategy=request.param)


def first_id(world: World) -> str:
    current = world.state().current
    assert current is not None
    return current.id


def rotate_to_a_second(world: World, credential: Credential) -> str:
    """Rotate twice, a period apart; the id of the predecessor, which is in its grace."""
    world.rotate(credential)
    old = first_id(world)
    world.pass_time(POLICY.every)
    world.rotate(credential)
    return old


def plain(kind: CredentialKind, **fields: Any) -> Credential:
    return Credential("db-key", kind, "db-key", POLICY, command=("program",), api_key=ApiKey(like="model"), **fields)


class Stubborn(FakeProgram):
    """A program whose revocation does nothing."""

    def _call(self, verb: str, question: dict[str, str]) -> dict[str, Any]:
        return {} if verb == "revoke" else super()._call(verb, question)


@pytest.mark.parametrize(("others", "ending"), [(8, Ending.ROTATED), (9, Ending.FAILED)])
def test_the_successor_of_one_that_leaked_takes_the_last_place(
    world: World, credential: Credential, account: str, others: int, ending: Ending
) -> None:
    world.rotate(credential)
    leaked = first_id(world)
    for _ in range(others):
        world.keys.create_key(account)
    assert "no room" in world.rotate(credential, RunRequest(force=True)).message
    outcome = world.rotate(credential, LEAKED)
    assert outcome.ending is ending
    assert (leaked in world.enabled_keys(account)) == (ending is Ending.FAILED)


def test_a_leaked_key_is_dead_at_the_end_of_the_run(world: World, credential: Credential, account: str) -> None:
    world.rotate(credential)
    leaked = first_id(world)
    outcome = world.rotate(credential, LEAKED)
    assert (outcome.ending, outcome.code) == (Ending.ROTATED, ExitCode.OK)
    assert leaked not in world.enabled_keys(account)
    assert world.versions()[1] is VersionState.ENABLED  # the proof of whose key it is
    state = world.state()
    assert (state.phase, state.lease, state.alive) == (Phase.IDLE, None, ())
    assert [entry.phase for entry in state.retiring] == [Retirement.DISABLED]
    assert "previous" not in world.secrets.get_secret("db-key").aliases
    assert world.rotate(credential).ending is Ending.NOTHING
    world.pass_time(POLICY.soak)
    assert world.rotate(credential).ending is Ending.RETIRED
    assert (world.state().leaked, world.keys.find_key(account, leaked)) == ((), None)


def test_the_end_is_looked_for_until_it_is_known_everywhere(world: World, credential: Credential, account: str) -> None:
    world.rotate(credential)
    world.pass_time(timedelta(hours=1))
    leaked = first_id(world)
    world.lag(faults.Lag.IAM, 90.0)
    outcome = world.rotate(credential, LEAKED)
    assert outcome.code is ExitCode.OK
    assert not world.authenticates("db-key", 1)
    assert leaked not in world.enabled_keys(account)
    assert StepKind.PROVE_END in {step.kind for step in outcome.steps}


def test_a_plan_for_what_leaked_is_what_the_run_does(world: World, credential: Credential) -> None:
    world.rotate(credential)
    before = len(world.emulator.mutations)
    plan = world.rotate(credential, LEAKED, dry=True)
    assert len(world.emulator.mutations) == before
    done = world.rotate(credential, LEAKED)
    assert [(s.kind, s.resource) for s in plan.steps] == [(s.kind, s.resource) for s in done.steps]


@pytest.mark.parametrize("kind", [CredentialKind.GENERATED, CredentialKind.COMMAND, CredentialKind.API_KEY])
def test_every_kind_ends_what_leaked_in_the_same_run(world: World, kind: CredentialKind) -> None:
    keys = RestApiKeyStore(world.session, sleep=lambda _seconds: None)
    keys.create("model", display_name="model", restrictions={})
    credential = plain(kind)
    issuers: dict[CredentialKind, Issuer] = {
        CredentialKind.GENERATED: GeneratedValues(credential, random.Random(1).randbytes),
        CredentialKind.COMMAND: FakeProgram(credential),
        CredentialKind.API_KEY: ApiKeys(credential, keys),
    }
    issuer = issuers[kind]
    world.rotate(credential, issuer=issuer)
    leaked = first_id(world)
    outcome = world.rotate(credential, LEAKED, issuer=issuer)
    assert (outcome.ending, outcome.code) == (Ending.ROTATED, ExitCode.OK)
    assert world.versions() == {1: VersionState.DISABLED, 2: VersionState.ENABLED}
    if isinstance(issuer, FakeProgram):
        assert issuer.revoked == {leaked}
    if kind is CredentialKind.API_KEY:
        facts = keys.find(leaked)
        assert facts is not None
        assert facts.deleted
    refused = world.rotate(credential, BACK, issuer=issuer)
    assert refused.code is ExitCode.PRECONDITION
    assert world.versions()[1] is VersionState.DISABLED


def test_an_adopted_api_key_that_leaked_is_deleted_but_never_the_model(world: World) -> None:
    keys = RestApiKeyStore(world.session, sleep=lambda _seconds: None)
    keys.create("model", display_name="model", restrictions={})
    keys.create("by-hand", display_name="by hand", restrictions={})
    world.secrets.create_secret("db-key")
    world.secrets.add_version("db-key", keys.material("by-hand"))
    credential = plain(CredentialKind.API_KEY)
    issuer = ApiKeys(credential, keys)
    world.rotate(credential, RunRequest(adopt=True), issuer=issuer)
    assert world.rotate(credential, LEAKED, issuer=issuer).code is ExitCode.OK
    facts = keys.find("by-hand")
    assert facts is not None
    assert facts.deleted
    with pytest.raises(PreconditionError, match="the model"):
        issuer.end("v1", keys.material("model"))


def test_a_credential_that_still_works_is_never_called_dead(world: World) -> None:
    credential = plain(CredentialKind.COMMAND)
    issuer = Stubborn(credential)
    world.rotate(credential, issuer=issuer)
    leaked = first_id(world)
    for want in (LEAKED, RunRequest()):
        outcome = world.rotate(credential, want, issuer=issuer)
        assert (outcome.ending, outcome.code) == (Ending.ATTENTION, ExitCode.ATTENTION)
        assert leaked in outcome.message
        assert world.state().alive == (leaked,)
    issuer.revoked.add(leaked)
    assert world.rotate(credential, issuer=issuer).ending is Ending.RETIRED
    assert world.state().alive == ()


def test_the_wish_about_a_manual_one_waits_for_its_successor(world: World) -> None:
    world.secrets.create_secret("db-key")
    world.secrets.add_version("db-key", Material(b"first"))
    credential = plain(CredentialKind.MANUAL)
    issuer = ManualIssuer(credential)
    world.rotate(credential, issuer=issuer)
    outcome = world.rotate(credential, LEAKED, issuer=issuer)
    assert (outcome.ending, outcome.code) == (Ending.ATTENTION, ExitCode.ATTENTION)
    assert world.state().alive == ("v1",)
    world.secrets.add_version("db-key", Material(b"second"))
    outcome = world.rotate(credential, issuer=issuer)
    assert (outcome.code, "its issuer revokes it" in outcome.message) == (ExitCode.ATTENTION, True)
    assert world.versions() == {1: VersionState.DISABLED, 2: VersionState.ENABLED}
    assert world.rotate(credential, issuer=issuer).code is ExitCode.OK


def losses(world: World, credential: Credential) -> Sequence[int]:
    """The numbers of the changing calls of an undisturbed `--leaked`."""
    here = len(world.emulator.calls)
    world.rotate(credential, LEAKED)
    return [number for number, (_, mutates) in enumerate(world.emulator.calls[here:]) if mutates]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("loss", [Loss.DEATH_BEFORE, Loss.DEATH_AFTER, Loss.LOST_REPLY])
def test_the_wish_survives_at_every_changing_call(strategy: Strategy, loss: Loss) -> None:
    world = World()
    credential = service_account_key(world.account(), strategy=strategy)
    world.rotate(credential)
    moment = world.moment()
    numbers = losses(world, credential)
    world.close()
    assert len(numbers) > 8
    for number in numbers:
        world = World(moment=moment)
        leaked = first_id(world)
        world.lose({number: loss})
        recorded = True
        try:
            world.rotate(credential, LEAKED)
        except Died:
            recorded = world.state().alive != () or world.state().generation > 1
        world.pass_time(LEASE + timedelta(minutes=1))
        outcome = world.rotate(credential)  # cron, without the flag
        assert (leaked not in world.enabled_keys(credential.account)) is recorded, number
        assert recorded or (loss, number) == (Loss.DEATH_BEFORE, numbers[0])
        assert outcome.code is ExitCode.OK, outcome.message
        assert world.state().alive == ()
        world.close()


def test_an_asked_for_end_keeps_the_wish(world: World, credential: Credential, account: str) -> None:
    world.rotate(credential)
    leaked = first_id(world)
    attempt = world.attempt(credential, LEAKED)
    attempt.run.tell = lambda event: setattr(world, "stopping", event.step.kind == StepKind.LEAK)
    assert world.finish(attempt).code is ExitCode.TERMINATED
    world.stopping = False
    assert world.rotate(credential, RunRequest(start=False)).ending is Ending.ROTATED
    assert leaked not in world.enabled_keys(account)


def test_neither_a_lease_of_another_run_nor_a_lost_one_is_success(world: World, credential: Credential) -> None:
    world.rotate(credential)
    leaked = first_id(world)
    world.pass_time(POLICY.every)
    other = world.attempt(credential)
    other.advance()
    outcome = world.rotate(credential, LEAKED)
    assert (outcome.ending, outcome.code) == (Ending.LOCKED, ExitCode.UNAVAILABLE)
    world.pass_time(LEASE + timedelta(minutes=1))
    mine = world.attempt(credential, LEAKED)
    mine.advance()
    world.pass_time(LEASE + timedelta(minutes=1))
    assert world.rotate(credential).code is ExitCode.OK
    late = world.finish(mine)
    assert (late.ending, late.code) == (Ending.LOCKED, ExitCode.UNAVAILABLE)
    assert leaked not in world.enabled_keys(credential.account)


def test_a_copy_that_is_behind_holds_up_no_end(world: World, account: str) -> None:
    shelf = Shelf()
    credential = service_account_key(account, copies=(Copy("file", "shelf"),))
    world.rotate(credential, destinations=[shelf])
    shelf.broken = True
    world.pass_time(POLICY.every)
    world.rotate(credential, destinations=[shelf])
    leaked = first_id(world)
    outcome = world.rotate(credential, LEAKED, destinations=[shelf])
    assert (outcome.ending, outcome.code) == (Ending.PENDING, ExitCode.ATTENTION)
    assert leaked not in world.enabled_keys(account)
    assert world.state().generation == 3
    shelf.broken = False
    assert world.rotate(credential, destinations=[shelf]).ending is Ending.ROTATED
    assert shelf.held == world.secrets.access("db-key", "latest").material
    assert world.staged() == []


def test_a_retirement_that_fails_holds_up_no_end(world: World, account: str) -> None:
    credential = service_account_key(account, policy=replace(POLICY, require_unused=timedelta(days=1)))
    world.rotate(credential)
    world.pass_time(POLICY.every)
    world.rotate(credential)
    world.pass_time(POLICY.grace)
    leaked = first_id(world)
    world.arm("QueryActivity", Code.PERMISSION_DENIED)
    outcome = world.rotate(credential, LEAKED)
    world.disarm()
    assert outcome.code is ExitCode.OK, outcome.message
    assert leaked not in world.enabled_keys(account)


def test_an_end_that_is_refused_is_tried_again(world: World, credential: Credential, account: str) -> None:
    world.rotate(credential)
    leaked = first_id(world)
    world.arm("DisableServiceAccountKey", Code.PERMISSION_DENIED)
    outcome = world.rotate(credential, LEAKED)
    assert (outcome.ending, outcome.code) == (Ending.FAILED, ExitCode.DENIED)
    assert world.state().alive == (leaked,)
    world.disarm()
    assert world.rotate(credential).code is ExitCode.OK
    assert leaked not in world.enabled_keys(account)


def test_the_state_is_readable_for_versions_that_know_no_leaks(world: World, credential: Credential) -> None:
    world.rotate(credential)
    world.rotate(credential, LEAKED)
    state = world.state()
    assert state.leaked != ()
    text = encode(state)
    old = text.replace(f'"leak":["{state.leaked[0]}"]', '"none":[]')
    assert old != text
    assert replace(state, leaked=()) == decode({ANNOTATION: old}, "db-key")


# -- what leaked is a predecessor, or has to die first


def test_a_predecessor_that_leaked_is_ended_and_the_current_one_stays(
    world: World, credential: Credential, account: str
) -> None:
    leaked = rotate_to_a_second(world, credential)
    current = first_id(world)
    outcome = world.rotate(credential, RunRequest(leaked=True, leaked_id=leaked))
    assert (outcome.code, world.enabled_keys(account)) == (ExitCode.OK, {current}), outcome.message
    assert not world.authenticates("db-key", 1)
    assert (world.state().generation, world.state().leaked) == (2, (leaked,))
    assert world.rotate(credential, BACK).code is ExitCode.PRECONDITION
    world.pass_time(POLICY.soak)
    assert world.rotate(credential).ending is Ending.RETIRED
    assert world.keys.find_key(account, leaked) is None


def test_a_predecessor_that_somebody_enabled_again_is_ended_too(
    world: World, credential: Credential, account: str
) -> None:
    leaked = rotate_to_a_second(world, credential)
    world.pass_time(POLICY.grace)
    world.rotate(credential)
    world.keys.enable_key(account, leaked)
    outcome = world.rotate(credential, RunRequest(leaked=True, leaked_id=leaked))
    assert (outcome.code, leaked in world.enabled_keys(account)) == (ExitCode.OK, False), outcome.message


def test_the_wish_about_a_predecessor_survives_the_run(world: World, credential: Credential, account: str) -> None:
    leaked = rotate_to_a_second(world, credential)
    attempt = world.attempt(credential, RunRequest(leaked=True, leaked_id=leaked))
    attempt.run.tell = lambda event: setattr(world, "stopping", event.step.kind == StepKind.LEAK)
    assert world.finish(attempt).code is ExitCode.TERMINATED
    world.stopping = False
    assert leaked in world.enabled_keys(account)
    assert world.rotate(credential).code is ExitCode.OK
    assert leaked not in world.enabled_keys(account)


def test_a_rotation_that_is_under_way_does_not_hold_up_the_end_of_a_predecessor(
    world: World, credential: Credential, account: str
) -> None:
    world.rotate(credential)
    leaked = first_id(world)
    world.rotate(credential, RunRequest(force=True))
    world.arm("AddSecretVersion", Code.PERMISSION_DENIED)
    world.rotate(credential, RunRequest(force=True))
    assert world.state().phase is not Phase.IDLE
    outcome = world.rotate(credential, RunRequest(leaked=True, leaked_id=leaked))
    assert (outcome.ending, leaked in world.enabled_keys(account)) == (Ending.FAILED, False)
    world.disarm()
    assert world.rotate(credential).code is ExitCode.OK


def test_an_id_that_nobody_looks_after_is_refused(world: World, credential: Credential, account: str) -> None:
    world.rotate(credential)
    foreign = world.keys.create_key(account).key.id
    before = len(world.emulator.mutations)
    outcome = world.rotate(credential, RunRequest(leaked=True, leaked_id=foreign))
    assert (outcome.code, foreign in outcome.message) == (ExitCode.PRECONDITION, True)
    assert "key disable" in outcome.hint
    assert len(world.emulator.mutations) == before


def test_what_may_have_leaked_too_is_named(world: World, credential: Credential) -> None:
    world.rotate(credential)
    older = first_id(world)
    world.rotate(credential, RunRequest(force=True))
    outcome = world.rotate(credential, LEAKED)
    assert any(f"--key {older}" in note for note in outcome.notes), outcome.notes


def test_the_leaked_one_can_die_before_its_successor_exists(world: World, credential: Credential, account: str) -> None:
    world.rotate(credential)
    leaked = first_id(world)
    dead_at: list[str] = []
    attempt = world.attempt(credential, replace(LEAKED, kill_first=True))
    attempt.run.tell = lambda event: (
        dead_at.append(event.step.kind) if leaked not in world.enabled_keys(account) else None
    )
    outcome = world.finish(attempt)
    assert (outcome.ending, outcome.code) == (Ending.ROTATED, ExitCode.OK), outcome.message
    assert {StepKind.PROVE_END, StepKind.BEGIN, StepKind.PUBLISH} <= set(dead_at)
    assert world.authenticates("db-key", "latest")


def test_killing_first_survives_the_death_of_the_run(world: World, credential: Credential, account: str) -> None:
    world.rotate(credential)
    leaked = first_id(world)
    attempt = world.attempt(credential, replace(LEAKED, kill_first=True))
    attempt.run.tell = lambda event: setattr(world, "stopping", event.step.kind == StepKind.KILL)
    assert world.finish(attempt).code is ExitCode.TERMINATED
    world.stopping = False
    assert leaked not in world.enabled_keys(account)
    assert world.rotate(credential).ending is Ending.ROTATED
    assert world.authenticates("db-key", "latest")
    assert world.state().alive == ()


def test_what_no_issuer_can_end_is_not_killed_first(world: World) -> None:
    credential = plain(CredentialKind.GENERATED)
    issuer = GeneratedValues(credential, random.Random(1).randbytes)
    world.rotate(credential, issuer=issuer)
    outcome = world.rotate(credential, replace(LEAKED, kill_first=True), issuer=issuer)
    assert outcome.code is ExitCode.PRECONDITION
    assert world.state().leaked == ()


# -- who does not come back


def test_a_key_that_google_disabled_as_leaked_does_not_come_back(
    world: World, credential: Credential, account: str
) -> None:
    world.rotate(credential)
    leaked = first_id(world)
    world.expose(account, leaked)
    assert world.rotate(credential).ending is Ending.ROTATED
    for want in (BACK, replace(BACK, force=True)):
        outcome = world.rotate(credential, want)
        assert (outcome.ending, outcome.code) == (Ending.FAILED, ExitCode.PRECONDITION)
        assert leaked in outcome.message
    assert leaked not in world.enabled_keys(account)
    assert world.state().generation == 2


@pytest.mark.parametrize("by", ["google", "person"])
@pytest.mark.parametrize("later", [False, True], ids=["in its grace", "after it was disabled for its age"])
def test_a_predecessor_that_was_taken_out_in_its_grace_does_not_come_back(
    world: World, credential: Credential, account: str, by: str, *, later: bool
) -> None:
    world.rotate(credential)
    old = first_id(world)
    world.pass_time(POLICY.every)
    world.rotate(credential)
    if by == "google":
        world.expose(account, old)
    else:
        world.keys.disable_key(account, old)
    if later:
        world.pass_time(POLICY.grace)
        assert world.rotate(credential).ending is Ending.RETIRED
    plan = world.rotate(credential, BACK, dry=True)
    outcome = world.rotate(credential, BACK)
    assert (plan.code, outcome.code) == (ExitCode.PRECONDITION, ExitCode.PRECONDITION)
    assert old in outcome.message
    assert old not in world.enabled_keys(account)
    assert world.versions() == {1: VersionState.ENABLED, 2: VersionState.ENABLED}


def test_a_rollback_that_is_resumed_gives_up_a_key_that_leaked_meanwhile(
    world: World, credential: Credential, account: str
) -> None:
    world.rotate(credential)
    old = first_id(world)
    world.pass_time(POLICY.every)
    world.rotate(credential)
    world.lose({4: Loss.DEATH_AFTER})
    with pytest.raises(Died):
        world.rotate(credential, BACK)
    assert world.state().phase is Phase.ISSUED
    world.expose(account, old)
    world.pass_time(LEASE + timedelta(minutes=1))
    outcome = world.rotate(credential, RunRequest(start=False))
    assert (outcome.ending, outcome.code) == (Ending.FAILED, ExitCode.PRECONDITION)
    assert old not in world.enabled_keys(account)
    assert (world.state().phase, len(world.versions())) == (Phase.IDLE, 2)
    assert world.rotate(credential, BACK).code is ExitCode.PRECONDITION


def test_a_generated_value_that_a_person_disabled_does_not_come_back(world: World) -> None:
    credential = plain(CredentialKind.GENERATED)
    issuer = GeneratedValues(credential, random.Random(1).randbytes)
    world.rotate(credential, issuer=issuer)
    world.pass_time(POLICY.every)
    world.rotate(credential, issuer=issuer)
    world.secrets.disable_version("db-key", 1)
    outcome = world.rotate(credential, BACK, issuer=issuer)
    assert (outcome.code, "version 1" in outcome.message) == (ExitCode.PRECONDITION, True)
    assert world.versions()[1] is VersionState.DISABLED
    assert world.state().phase is Phase.IDLE


def test_a_person_who_enables_the_key_again_may_roll_back(world: World, credential: Credential, account: str) -> None:
    world.rotate(credential)
    old = first_id(world)
    world.pass_time(POLICY.every)
    world.rotate(credential)
    world.keys.disable_key(account, old)
    assert world.rotate(credential, BACK).code is ExitCode.PRECONDITION
    world.keys.enable_key(account, old)
    assert world.rotate(credential, BACK).ending is Ending.ROTATED


def test_a_current_key_that_a_person_disabled_does_not_come_back_once_its_successor_is_there(
    world: World, credential: Credential, account: str
) -> None:
    world.rotate(credential)
    old = first_id(world)
    world.pass_time(timedelta(days=5))
    world.keys.disable_key(account, old)
    assert world.rotate(credential).ending is Ending.ROTATED
    assert [entry.phase for entry in world.state().retiring] == [Retirement.DISABLED]
    outcome = world.rotate(credential, BACK)
    assert (outcome.ending, outcome.code) == (Ending.FAILED, ExitCode.PRECONDITION), outcome.message
    assert old in outcome.message
    assert old not in world.enabled_keys(account)


def test_one_that_a_person_disabled_while_it_was_current_does_not_come_back(
    world: World, credential: Credential, account: str
) -> None:
    world.rotate(credential)
    taken = first_id(world)
    world.keys.disable_key(account, taken)
    assert world.rotate(credential).ending is Ending.ROTATED
    assert world.state().leaked == (taken,)
    outcome = world.rotate(credential, BACK)
    assert (outcome.ending, outcome.code) == (Ending.FAILED, ExitCode.PRECONDITION)
    assert taken not in world.enabled_keys(account)
