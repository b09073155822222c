"""A credential that nobody needs any more: ended by steps that survive any crash, or let go with everything that stays named."""

import functools
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from orchestra_creds.core.cloud_types import VersionState
from orchestra_creds.core.credential import Credential, CredentialKind, Strategy
from orchestra_creds.core.material import Material
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.errors import ExitCode, PreconditionError
from orchestra_creds.gcp.api_keys import RestApiKeyStore
from orchestra_creds.rotation.issuer import Issuer
from orchestra_creds.rotation.issuers.api_key import ApiKeys
from orchestra_creds.rotation.issuers.generated import GeneratedValues
from orchestra_creds.rotation.issuers.manual import ManualIssuer
from orchestra_creds.rotation.outcome import Ending
from orchestra_creds.rotation.situation import RunRequest
from orchestra_creds.rotation.state import (
    ANNOTATION,
    STAGING_SUFFIX,
    OrphanWindow,
    Phase,
    Predecessor,
    Retirement,
    State,
    Target,
    decode,
    encode,
)
from orchestra_creds.rotation.timing import LEASE
from tests.rotation.test_leaked import STRATEGIES, first_id, plain
from tests.rotation.test_year import FakeProgram
from tests.rotation.world import POLICY, Died, Loss, Moment, World, service_account_key

RETIRE, ABANDON = RunRequest(retire=True), RunRequest(abandon=True)
SAMPLE = 4
"""Of so many calls one goes wrong in each test, unless all are asked for."""
AFTER_LEASE = LEASE + timedelta(minutes=1)


@pytest.fixture
def account(world: World) -> str:
    return world.account()


@pytest.fixture
def credential(account: str) -> Credential:
    return service_account_key(account)


def sample(numbers: list[int], exhaustive: bool) -> list[int]:
    """Some of the calls, or all."""
    return numbers if exhaustive else sorted(random.Random(len(numbers)).sample(numbers, len(numbers) // SAMPLE))


def undeclared(credential: Credential) -> Credential:
    """The same after its declaration was removed: what its state tells of it."""
    return replace(credential, source="none")


def test_a_retired_key_is_disabled_and_proven_at_once_and_gone_after_the_soak(
    world: World, credential: Credential, account: str
) -> None:
    world.rotate(credential)
    world.pass_time(POLICY.every)
    world.rotate(credential)
    outcome = world.rotate(credential, RETIRE)
    assert (outcome.ending, outcome.code) == (Ending.RETIRED, ExitCode.OK), outcome.message
    assert "delete it" in outcome.message
    assert world.enabled_keys(account) == set()
    assert not world.authenticates("db-key", 2)
    assert [entry.phase for entry in world.state().retiring] == [Retirement.DISABLED] * 2
    for want in (RunRequest(force=True), RunRequest(adopt=True), RunRequest(back=True)):
        refused = world.rotate(credential, want)
        assert (refused.ending, refused.code) == (Ending.FAILED, ExitCode.PRECONDITION)
    assert world.rotate(credential).ending is Ending.NOTHING
    assert len(world.versions()) == 2
    world.pass_time(POLICY.soak)
    over = world.rotate(undeclared(credential))
    assert (over.ending, over.code) == (Ending.RETIRED, ExitCode.OK), over.message
    assert set(world.versions().values()) == {VersionState.DESTROYED}
    assert [key for key in world.keys.list_keys(account) if key.origin == "user"] == []
    secret = world.secrets.get_secret("db-key")
    assert ANNOTATION not in secret.annotations
    assert not {"managed-by", "orchestra-due"} & set(secret.labels)
    assert world.secrets.find_secret("db-key" + STAGING_SUFFIX) is None


def test_a_retired_credential_that_is_declared_still_is_told_and_never_made_again(
    world: World, credential: Credential
) -> None:
    world.rotate(credential)
    world.rotate(credential, RETIRE)
    world.pass_time(POLICY.soak)
    world.rotate(credential)
    for _ in range(2):
        outcome = world.rotate(credential)
        assert (outcome.ending, outcome.code) == (Ending.ATTENTION, ExitCode.ATTENTION)
        assert "still declares it" in outcome.message
    assert world.state().ended is not None
    assert len(world.versions()) == 1


def test_a_key_in_use_is_not_retired_unless_that_is_accepted(world: World, account: str) -> None:
    credential = service_account_key(account, policy=replace(POLICY, require_unused=timedelta(days=1)))
    world.rotate(credential)
    before = (world.state(), world.enabled_keys(account))
    world.authenticates("db-key", 1)
    world.pass_time(timedelta(hours=1))
    outcome = world.rotate(credential, RETIRE)
    assert (outcome.ending, outcome.code) == (Ending.FAILED, ExitCode.PRECONDITION)
    assert "in use" in outcome.message
    assert (world.state(), world.enabled_keys(account)) == before
    assert world.rotate(credential, replace(RETIRE, in_use=True)).code is ExitCode.OK
    assert world.enabled_keys(account) == set()


def issuers(world: World) -> dict[CredentialKind, Callable[[Credential], Issuer]]:
    keys = RestApiKeyStore(world.session, sleep=lambda _seconds: None)
    keys.create("model", display_name="model", restrictions={})
    return {
        CredentialKind.GENERATED: lambda credential: GeneratedValues(credential, random.Random(1).randbytes),
        CredentialKind.COMMAND: FakeProgram,
        CredentialKind.API_KEY: lambda credential: ApiKeys(credential, keys),
    }


@pytest.mark.parametrize("kind", [CredentialKind.GENERATED, CredentialKind.COMMAND, CredentialKind.API_KEY])
def test_every_kind_can_be_retired(world: World, kind: CredentialKind) -> None:
    credential = plain(kind)
    issuer = issuers(world)[kind](credential)
    world.rotate(credential, issuer=issuer)
    made = first_id(world)
    outcome = world.rotate(credential, RETIRE, issuer=issuer)
    assert (outcome.ending, outcome.code) == (Ending.RETIRED, ExitCode.OK)
    assert world.versions() == {1: VersionState.DISABLED}
    world.pass_time(POLICY.soak)
    if kind is not CredentialKind.GENERATED:  # their end needs their declaration
        outcome = world.rotate(undeclared(credential), issuer=issuer)
        assert (outcome.code, made in outcome.message) == (ExitCode.ATTENTION, True)
        assert world.rotate(credential, issuer=issuer).code is ExitCode.OK
    assert world.rotate(undeclared(credential), issuer=issuer).code is ExitCode.OK
    assert world.versions() == {1: VersionState.DESTROYED}
    assert issuer.is_ended(made, None)
    assert world.state() == State()


@pytest.mark.parametrize("held", ["nothing", "a forged key file"])
def test_a_forged_state_ends_no_key_of_another_account(world: World, account: str, held: str) -> None:
    """Whoever may write annotations and versions of one secret has no more keys to end than those that it holds."""
    victim = world.account("app-two")
    new = world.keys.create_key(victim)
    forged = json.loads(world.keys.create_key(account).material.reveal()) | {
        "client_email": victim,
        "private_key_id": new.key.id,
    }
    world.secrets.create_secret("planted")
    world.secrets.add_version("planted", Material(json.dumps(forged).encode() if held != "nothing" else b"x"))
    target = Target("service-account-key", victim)
    entry = Predecessor(new.key.id, (1,), Retirement.ORPHAN, target=target)
    planted = replace(service_account_key(victim), name="planted", secret="planted", source="none")
    for state, credential in (
        (State(ended=world.clock, retiring=(entry,)), planted),
        (
            State(
                ended=world.clock,
                retiring=(replace(entry, phase=Retirement.DISABLED, since=world.began - POLICY.soak),),
            ),
            planted,
        ),
        (State(ended=world.clock, retiring=(entry,)), replace(planted, account=account, source="file")),
    ):
        secret = world.secrets.get_secret("planted")
        world.secrets.update_secret(secret, annotations={ANNOTATION: encode(state)})
        attempt = world.attempt(credential)
        attempt.executor._issuer_at = lambda at: world.issuer(replace(planted, account=at.account))
        outcome = world.finish(attempt)
        assert (outcome.ending, outcome.code) == (Ending.ATTENTION, ExitCode.ATTENTION), outcome.message
        assert any("only the state calls" in note for note in outcome.notes)
        assert world.enabled_keys(victim) == {new.key.id}


def test_a_manual_one_is_disabled_and_its_issuer_is_named_as_what_is_left(world: World) -> None:
    world.secrets.create_secret("db-key")
    world.secrets.add_version("db-key", Material(b"first"))
    credential = plain(CredentialKind.MANUAL)
    issuer = ManualIssuer(credential)
    world.rotate(credential, issuer=issuer)
    outcome = world.rotate(credential, RETIRE, issuer=issuer)
    assert (outcome.code, "its issuer revokes it" in outcome.message) == (ExitCode.ATTENTION, True)
    assert world.versions() == {1: VersionState.DISABLED}


def test_a_version_that_others_added_is_left_alone_and_named(world: World, credential: Credential) -> None:
    world.rotate(credential)
    world.secrets.add_version("db-key", Material(b"of somebody else"))
    outcome = world.rotate(credential, RETIRE)
    assert (outcome.code, "version 2" in outcome.message) == (ExitCode.ATTENTION, True)
    assert world.versions()[2] is VersionState.ENABLED
    assert not world.authenticates("db-key", 1)


def test_an_end_that_is_refused_is_told_and_tried_again(world: World, credential: Credential, account: str) -> None:
    world.rotate(credential)
    world.arm("DisableServiceAccountKey", Code.PERMISSION_DENIED)
    outcome = world.rotate(credential, RETIRE)
    assert (outcome.ending, outcome.code) == (Ending.ATTENTION, ExitCode.ATTENTION)
    assert len(world.enabled_keys(account)) == 1
    world.disarm()
    assert world.rotate(credential).code is ExitCode.OK
    assert world.enabled_keys(account) == set()


def test_an_older_program_does_not_rotate_what_is_to_end(world: World, credential: Credential) -> None:
    world.rotate(credential)
    assert encode(world.state()).startswith('{"v":1,')
    world.rotate(credential, RETIRE)
    assert encode(world.state()).startswith('{"v":2,')


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("loss", [Loss.DEATH_BEFORE, Loss.DEATH_AFTER, Loss.LOST_REPLY])
def test_a_retirement_survives_at_every_changing_call(strategy: Strategy, loss: Loss, exhaustive: bool) -> None:
    def whole_end(world: World, credential: Credential) -> None:
        world.rotate(credential, RETIRE)
        world.pass_time(POLICY.soak)
        world.rotate(undeclared(credential))

    world = World()
    credential = service_account_key(world.account(), strategy=strategy)
    world.rotate(credential)
    moment, here = world.moment(), len(world.emulator.calls)
    whole_end(world, credential)
    numbers = [n for n, (_, mutates) in enumerate(world.emulator.calls[here:]) if mutates]
    world.close()
    assert len(numbers) > 7
    for number in sample(numbers, exhaustive):
        world = World(moment=moment)
        world.lose({number: loss})
        try:
            whole_end(world, credential)
        except Died:
            world.pass_time(AFTER_LEASE)
        if world.state().ended is None and world.state() != State():  # the wish itself was lost
            assert (loss, number) == (Loss.DEATH_BEFORE, numbers[0])
            world.rotate(credential, RETIRE)
        for _ in range(3):
            world.rotate(undeclared(credential)) if world.state() != State() else None
            world.pass_time(POLICY.soak)
        assert world.state() == State(), number
        assert [key for key in world.keys.list_keys(credential.account) if key.origin == "user"] == []
        assert set(world.versions().values()) == {VersionState.DESTROYED}
        assert world.secrets.find_secret("db-key" + STAGING_SUFFIX) is None
        world.close()


@functools.cache
def dead_moments(strategy: Strategy, *, exhaustive: bool) -> tuple[Credential, Mapping[int, Moment]]:
    """A credential, and where its world is after the rotation died after each changing call, by the number of the call."""
    world = World()
    credential = service_account_key(world.account(), strategy=strategy)
    world.rotate(credential)
    world.pass_time(POLICY.every)
    due, here = world.moment(), len(world.emulator.calls)
    world.rotate(credential)
    numbers = [n for n, (_, mutates) in enumerate(world.emulator.calls[here:]) if mutates]
    world.close()
    dead = {}
    for number in sample(numbers, exhaustive):
        world = World(moment=due)
        world.lose({number: Loss.DEATH_AFTER})
        with pytest.raises(Died):
            world.rotate(credential)
        dead[number] = world.moment()
        world.close()
    return credential, dead


def dead_rotations(strategy: Strategy, *, exhaustive: bool) -> Iterator[tuple[int, World, Credential]]:
    """A world for each changing call after which a rotation may die, with the number of the call and the credential that was rotating."""
    credential, dead = dead_moments(strategy, exhaustive=exhaustive)
    for number, moment in dead.items():
        yield number, World(moment=moment), credential


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_rotation_that_died_anywhere_can_be_retired(strategy: Strategy, exhaustive: bool) -> None:
    for number, world, credential in dead_rotations(strategy, exhaustive=exhaustive):
        world.pass_time(AFTER_LEASE)
        world.rotate(credential, RETIRE)
        for _ in range(4):
            world.pass_time(POLICY.soak)
            world.rotate(credential)
        world.rotate(undeclared(credential))
        assert world.state() == State(), number
        assert [key for key in world.keys.list_keys(credential.account) if key.origin == "user"] == [], number
        assert set(world.versions().values()) == {VersionState.DESTROYED}, number
        world.close()


# -- to let go


def test_what_is_abandoned_is_untouched_and_named(world: World, credential: Credential, account: str) -> None:
    world.rotate(credential)
    old = first_id(world)
    world.pass_time(POLICY.every)
    world.rotate(credential)
    keys, versions, aliases = world.enabled_keys(account), world.versions(), world.secrets.get_secret("db-key").aliases
    outcome = world.rotate(credential, ABANDON)
    assert (outcome.ending, outcome.code) == (Ending.ABANDONED, ExitCode.OK)
    assert any(f"predecessor {old} stays valid" in note for note in outcome.notes)
    assert all(any(key in note for note in outcome.notes) for key in keys)
    assert (world.enabled_keys(account), world.versions()) == (keys, versions)
    secret = world.secrets.get_secret("db-key")
    assert (ANNOTATION in secret.annotations, secret.aliases) == (False, aliases)
    assert "orchestra-due" not in secret.labels
    again = world.rotate(credential, ABANDON)
    assert (again.ending, again.code) == (Ending.FAILED, ExitCode.PRECONDITION)
    assert world.rotate(credential, RunRequest(adopt=True)).code is ExitCode.OK
    assert world.enabled_keys(account) == keys


def test_what_nobody_would_know_of_any_more_is_not_green(world: World, credential: Credential) -> None:
    world.rotate(credential)
    secret = world.secrets.get_secret("db-key")
    lost = replace(world.state(), unresolved=(OrphanWindow((), world.clock, world.clock),))
    world.secrets.update_secret(secret, annotations={ANNOTATION: encode(lost)})
    outcome = world.rotate(credential, ABANDON)
    assert (outcome.ending, outcome.code) == (Ending.ABANDONED, ExitCode.ATTENTION)
    assert any("nobody knows" in note for note in outcome.notes)


def test_a_lease_of_another_run_is_no_success(world: World, credential: Credential) -> None:
    world.rotate(credential)
    world.pass_time(POLICY.every)
    world.attempt(credential).advance()
    for want in (RETIRE, ABANDON):
        outcome = world.rotate(credential, want)
        assert (outcome.ending, outcome.code) == (Ending.LOCKED, ExitCode.UNAVAILABLE)


# -- a staged copy that somebody deleted


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("want", [RunRequest(), RunRequest(leaked=True), RunRequest(start=False)])
def test_a_rotation_whose_staging_secret_was_deleted_goes_on(
    strategy: Strategy, want: RunRequest, exhaustive: bool
) -> None:
    for number, world, credential in dead_rotations(strategy, exhaustive=exhaustive):
        published = {n for n in world.versions() if n > 1 and world.authenticates("db-key", n)}
        if world.secrets.find_secret("db-key" + STAGING_SUFFIX) is not None:
            world.secrets.delete_secret("db-key" + STAGING_SUFFIX)
        world.pass_time(timedelta(minutes=20))
        outcome = world.rotate(credential, want)
        assert outcome.code is ExitCode.OK, (number, outcome.message)
        assert outcome.ending is not Ending.FAILED
        world.pass_time(timedelta(minutes=20))
        assert world.rotate(credential).code is ExitCode.OK
        assert world.state().phase is Phase.IDLE
        assert world.authenticates("db-key", "latest")
        assert all(world.authenticates("db-key", n) for n in published) or want.leaked
        for _ in range(3):
            world.pass_time(POLICY.grace + POLICY.soak)
            world.rotate(credential)
        current = world.state().current
        assert current is not None
        assert world.enabled_keys(credential.account) == {current.id}, number
        assert world.staged() == []
        world.close()


def test_a_key_that_was_uploaded_and_lost_is_found_by_its_public_half(
    world: World, credential: Credential, account: str
) -> None:
    world.rotate(credential)
    world.pass_time(POLICY.every)

    def die(method: str, _mutates: bool) -> None:
        if method.endswith("/UploadServiceAccountKey"):
            raise Died

    alive, world.emulator.after = world.emulator.after, die
    with pytest.raises(Died):
        world.rotate(credential)
    world.emulator.after = alive
    assert (world.state().phase, world.state().successor.id) == (Phase.PREPARED, "")
    world.secrets.delete_secret("db-key" + STAGING_SUFFIX)
    world.pass_time(AFTER_LEASE)
    assert world.rotate(credential).code is ExitCode.OK
    world.pass_time(POLICY.grace)
    world.rotate(credential)
    current = world.state().current
    assert current is not None
    assert world.enabled_keys(account) == {current.id}


def test_a_state_of_an_earlier_program_is_read(world: World, credential: Credential) -> None:
    world.rotate(credential)
    text = encode(world.state())
    old = text.split(',"who":')[0] + "}"
    assert old != text
    assert decode({ANNOTATION: old}, "db-key").current is not None
    with pytest.raises(PreconditionError, match="damaged"):
        decode({ANNOTATION: text.replace('"at":[', '"at":[7,')}, "db-key")
