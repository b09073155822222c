"""The invariants of the rotation, each by name; the crash tests prove the same under every fault."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest

from orchestra_creds.core.cloud_types import VersionState
from orchestra_creds.core.credential import Copy, Credential, Strategy
from orchestra_creds.core.material import Material
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.errors import AuthError, ExitCode, PreconditionError, UnavailableError
from orchestra_creds.rotation.outcome import Ending, Event, Outcome
from orchestra_creds.rotation.situation import PREDICTED, RunRequest, StepKind
from orchestra_creds.rotation.state import ANNOTATION, STAGING_SUFFIX, Phase, Retirement, State
from tests.rotation.promises import Watch
from tests.rotation.world import POLICY, PROJECT, Died, Loss, World, service_account_key

DAY = timedelta(days=1)


@pytest.fixture
def account(world: World) -> str:
    return world.account()


@pytest.fixture(params=[Strategy.UPLOAD, Strategy.CREATE])
def credential(request: pytest.FixtureRequest, account: str) -> Credential:
    return service_account_key(account, strategy=request.param)


class Shelf:
    """A destination that can be broken."""

    def __init__(self, name: str = "shelf") -> None:
        self.name, self.broken, self.held = name, False, Material(b"")

    def check(self) -> None:
        return None

    def put(self, material: Material, *, identifier: str, version: int) -> None:  # noqa: ARG002  the port's
        if self.broken:
            raise UnavailableError("the shelf does not answer")
        self.held = material


def rotate_when_due(world: World, credential: Credential, **options: Any) -> Outcome:
    world.pass_time(POLICY.every)
    return world.rotate(credential, **options)


def test_i1_readers_never_break(world: World, credential: Credential, account: str) -> None:
    watch = Watch(world, account)
    for step in (timedelta(0), POLICY.every, POLICY.grace, POLICY.soak, POLICY.every):
        world.pass_time(step)
        world.rotate(credential)
    watch.settled([credential])
    assert watch.checks > 30


def test_i2_no_enabled_key_of_ours_is_left_unreferenced(world: World, credential: Credential, account: str) -> None:
    world.rotate(credential)
    rotate_when_due(world, credential)
    assert world.enabled_keys(account) == world.state().referenced_ids
    world.pass_time(POLICY.grace)
    world.rotate(credential)
    current = world.state().current
    assert current is not None
    assert world.enabled_keys(account) == {current.id}


def test_i3_nothing_is_disabled_unless_the_current_one_authenticated_in_the_same_run(
    world: World, credential: Credential, account: str
) -> None:
    world.rotate(credential)
    rotate_when_due(world, credential)
    before = world.enabled_keys(account)
    current = world.state().current
    assert current is not None
    world.pass_time(POLICY.grace)
    silent = world.issuer(credential)
    with mock.patch.object(silent, "verify", side_effect=UnavailableError("no answer")):
        outcome = world.rotate(credential, issuer=silent)
    assert outcome.ending is Ending.FAILED
    assert world.enabled_keys(account) == before
    actions = [step.kind for step in world.rotate(credential).steps]
    assert actions.index(StepKind.PROVE) < actions.index(StepKind.DISABLE)


def test_i4_keys_of_others_are_untouched(world: World, credential: Credential, account: str) -> None:
    foreign = {world.keys.create_key(account).key.id for _ in range(3)}
    system = {key.id for key in world.keys.list_keys(account)} - foreign
    for step in (timedelta(0), POLICY.every, POLICY.grace, POLICY.soak, POLICY.every, POLICY.grace, POLICY.soak):
        world.pass_time(step)
        world.rotate(credential)
    keys = {key.id: key for key in world.keys.list_keys(account)}
    assert foreign | system <= set(keys)
    assert not any(keys[name].disabled for name in foreign | system)


def test_i5_two_rotators_make_one_generation(world: World, credential: Credential) -> None:
    world.rotate(credential)
    world.pass_time(POLICY.every)
    first = world.attempt(credential)
    first.advance()  # it waits for the settle time, with the lease
    assert world.rotate(credential).ending is Ending.LOCKED
    assert world.finish(first).ending is Ending.ROTATED
    assert world.state().generation == 2


def test_i6_the_newest_version_is_never_disabled_or_destroyed(world: World, credential: Credential) -> None:
    for step in (timedelta(0), POLICY.every, POLICY.grace, POLICY.soak, POLICY.every, POLICY.grace, POLICY.soak):
        world.pass_time(step)
        world.rotate(credential)
        versions = world.versions()
        assert versions[max(versions)] is VersionState.ENABLED


def test_i7_a_version_is_destroyed_only_after_its_key_is_gone(
    world: World, credential: Credential, account: str
) -> None:
    world.rotate(credential)
    first = world.state().current
    assert first is not None
    rotate_when_due(world, credential)
    world.pass_time(POLICY.grace)
    world.rotate(credential)
    assert world.versions()[1] is VersionState.ENABLED
    world.pass_time(POLICY.soak)
    world.arm("DeleteServiceAccountKey", Code.PERMISSION_DENIED)
    assert world.rotate(credential).ending is Ending.ATTENTION
    assert world.versions()[1] is VersionState.ENABLED
    world.disarm()
    world.rotate(credential)
    assert world.versions()[1] is VersionState.DESTROYED
    assert world.keys.find_key(account, first.id) is None


@pytest.mark.parametrize("there", [9, 10])
def test_i8_it_refuses_to_begin_when_only_one_place_for_a_key_is_left(
    world: World, credential: Credential, account: str, there: int
) -> None:
    for _ in range(there):
        world.keys.create_key(account)
    before = len(world.emulator.mutations)
    outcome = world.rotate(credential)
    assert isinstance(outcome.error, PreconditionError)
    assert "no room" in outcome.message
    made = world.emulator.mutations[before:]
    assert "CreateServiceAccountKey" not in made
    assert "UploadServiceAccountKey" not in made


def test_i9_a_run_at_rest_changes_nothing(world: World, credential: Credential) -> None:
    world.rotate(credential)
    before = len(world.emulator.mutations)
    world.pass_time(DAY)
    assert world.rotate(credential).ending is Ending.NOTHING
    assert len(world.emulator.mutations) == before


def test_i10_no_material_is_told_and_staging_is_empty(world: World, credential: Credential) -> None:
    outcomes = [world.rotate(credential)]
    outcomes.append(rotate_when_due(world, credential))
    secret = world.secrets.get_secret("db-key")
    told = f"{secret} {secret.annotations} {outcomes} {world.events} {world.state()}".encode()
    material = world.secrets.access("db-key", "latest").material.reveal()
    lines = [line for line in material.replace(b"\\n", b"\n").splitlines() if len(line) > 40]
    assert len(lines) > 10
    assert [number for number, line in enumerate(lines) if line[:40] in told] == []
    assert world.staged() == []


def test_i11_a_dry_run_changes_nothing_and_plans_what_the_run_does(world: World, credential: Credential) -> None:
    for step in (timedelta(0), POLICY.every, POLICY.grace, POLICY.soak, POLICY.every):
        world.pass_time(step)
        before = len(world.emulator.mutations)
        plan = world.rotate(credential, dry=True)
        assert len(world.emulator.mutations) == before
        done = world.rotate(credential)
        assert [(s.kind, s.resource) for s in plan.steps] == [(s.kind, s.resource) for s in done.steps]
        assert plan.mutations == done.mutations
        assert PREDICTED not in {step.detail for step in done.steps}


def test_i12_the_grace_begins_only_when_every_destination_holds_the_successor(world: World, account: str) -> None:
    shelf = Shelf()
    credential = service_account_key(account, copies=(Copy("file", "shelf"),))
    world.rotate(credential, destinations=[shelf])
    shelf.broken = True
    outcome = rotate_when_due(world, credential, destinations=[shelf])
    assert outcome.ending is Ending.PENDING
    assert world.state().phase is Phase.PUBLISHED
    world.pass_time(POLICY.grace + POLICY.soak)
    world.rotate(credential, destinations=[shelf])
    (old,) = world.state().retiring
    assert (old.phase, old.since) == (Retirement.GRACE, None)
    assert len(world.enabled_keys(account)) == 2
    shelf.broken = False
    assert world.rotate(credential, destinations=[shelf]).ending is Ending.ROTATED
    assert world.state().retiring[0].since == world.clock
    assert shelf.held == world.secrets.access("db-key", "latest").material


def test_i13_one_failure_stops_no_other(world: World, account: str) -> None:
    from orchestra_creds.rotation import batch

    broken = service_account_key("nobody@demo-project.iam.gserviceaccount.com")
    broken = Credential(**{f: getattr(broken, f) for f in broken.__slots__} | {"name": "broken", "secret": "broken"})
    good = service_account_key(account)
    outcomes = {o.credential: o for o in batch.run([world.attempt(broken), world.attempt(good)], world.time)}
    assert outcomes["broken"].ending is Ending.FAILED
    assert outcomes["db-key"].ending is Ending.ROTATED


def test_i14_a_rollback_restores_service_in_three_changes(world: World, credential: Credential) -> None:
    world.rotate(credential)
    first = world.state().current
    assert first is not None
    rotate_when_due(world, credential)
    before = len(world.emulator.mutations)
    attempt = world.attempt(credential, RunRequest(back=True))
    until_promoted = []
    attempt.run.tell = lambda event: until_promoted.append((event.step.kind, len(world.emulator.mutations) - before))
    outcome = world.finish(attempt)
    assert outcome.ending is Ending.ROTATED
    assert dict(until_promoted)[StepKind.PROMOTE] <= 3
    state = world.state()
    assert state.current is not None
    assert (state.current.id, state.current.versions) == (first.id, (1, 3))
    assert world.authenticates("db-key", "latest")


def test_a_rollback_enables_a_predecessor_that_was_disabled(world: World, credential: Credential, account: str) -> None:
    world.rotate(credential)
    first = world.state().current
    assert first is not None
    rotate_when_due(world, credential)
    world.pass_time(POLICY.grace)
    world.rotate(credential)
    assert first.id not in world.enabled_keys(account)
    assert world.rotate(credential, RunRequest(back=True)).ending is Ending.ROTATED
    assert first.id in world.enabled_keys(account)
    assert world.authenticates("db-key", "latest")


def test_a_rollback_without_a_predecessor_is_refused(world: World, credential: Credential) -> None:
    world.rotate(credential)
    outcome = world.rotate(credential, RunRequest(back=True))
    assert isinstance(outcome.error, PreconditionError)
    assert "no predecessor" in outcome.message


def test_a_disabled_current_key_is_replaced_at_once(world: World, credential: Credential, account: str) -> None:
    world.rotate(credential)
    first = world.state().current
    assert first is not None
    world.keys.disable_key(account, first.id)
    outcome = world.rotate(credential)
    assert outcome.ending is Ending.ROTATED
    assert world.authenticates("db-key", "latest")


def test_a_predecessor_that_is_still_used_stays_and_holds_up_nothing(world: World, account: str) -> None:
    from dataclasses import replace

    credential = service_account_key(account, policy=replace(POLICY, require_unused=timedelta(days=2)))
    world.rotate(credential)
    rotate_when_due(world, credential)
    world.pass_time(POLICY.grace)
    world.tokens.mint(world.secrets.access("db-key", 1).material)
    world.pass_time(timedelta(hours=20))
    outcome = world.rotate(credential)
    assert outcome.ending is Ending.NOTHING
    assert any("may still be in use" in note for note in outcome.notes)
    assert len(world.enabled_keys(account)) == 2
    world.pass_time(timedelta(days=4))
    assert world.rotate(credential).ending is Ending.RETIRED


def test_a_version_that_others_made_needs_a_decision(world: World, account: str) -> None:
    world.secrets.create_secret("db-key")
    made = world.keys.create_key(account)
    world.secrets.add_version("db-key", made.material)
    credential = service_account_key(account)
    outcome = world.rotate(credential)
    assert isinstance(outcome.error, PreconditionError)
    assert "--adopt" in outcome.hint
    assert world.enabled_keys(account) == {made.key.id}


def test_an_adopted_key_is_retired_like_any_other(world: World, account: str) -> None:
    world.secrets.create_secret("db-key")
    made = world.keys.create_key(account)
    world.secrets.add_version("db-key", made.material)
    credential = service_account_key(account)
    assert world.rotate(credential, RunRequest(adopt=True)).ending is Ending.ADOPTED
    rotate_when_due(world, credential)
    assert len(world.enabled_keys(account)) == 2
    world.pass_time(POLICY.grace)
    world.rotate(credential)
    assert made.key.id not in world.enabled_keys(account)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "damaged"),
        ('{"v":3,"gen":0,"ph":"idle"}', "newer"),
        ('{"v":1,"gen":-1,"ph":"idle"}', "damaged"),
        ("[]", "damaged"),
    ],
)
def test_a_state_that_is_not_ours_stops_everything(world: World, account: str, text: str, said: str) -> None:
    world.secrets.create_secret("db-key", annotations={ANNOTATION: text, "theirs": "kept"})
    before = len(world.emulator.mutations)
    outcome = world.rotate(service_account_key(account))
    assert isinstance(outcome.error, PreconditionError)
    assert said in outcome.message
    assert len(world.emulator.mutations) == before


def test_annotations_labels_and_aliases_of_others_are_kept(world: World, account: str) -> None:
    made = world.secrets.create_secret("db-key", annotations={"theirs": "kept"}, labels={"team": "a"})
    credential = service_account_key(account)
    world.rotate(credential)
    secret = world.secrets.get_secret("db-key")
    world.secrets.update_secret(secret, aliases={**secret.aliases, "pinned": 1})
    rotate_when_due(world, credential)
    secret = world.secrets.get_secret("db-key")
    assert secret.annotations["theirs"] == "kept"
    assert secret.labels["team"] == "a"
    assert secret.aliases == {"current": 2, "previous": 1, "pinned": 1}
    assert made.name == "db-key"


def test_a_denied_permission_is_named_and_loses_nothing(world: World, account: str) -> None:
    credential = service_account_key(account)
    world.arm("UploadServiceAccountKey", Code.PERMISSION_DENIED)
    outcome = world.rotate(credential)
    assert isinstance(outcome.error, AuthError)
    assert world.state().lease is None
    assert world.state().last_failure is not None
    world.disarm()
    assert world.rotate(credential).ending is Ending.ROTATED


def test_an_asked_for_end_finishes_the_step_in_hand_and_gives_the_lease_back(
    world: World, credential: Credential
) -> None:
    attempt = world.attempt(credential)
    attempt.run.tell = lambda event: setattr(world, "stopping", event.step.kind == StepKind.STAGE)
    outcome = world.finish(attempt)
    assert (outcome.ending, outcome.code) == (Ending.STOPPED, 143)
    assert world.state().lease is None
    world.stopping = False
    assert world.rotate(credential).ending is Ending.ROTATED


def test_where_uploading_is_forbidden_google_makes_the_key_and_the_plan_says_so(world: World, account: str) -> None:
    credential = service_account_key(account, strategy=Strategy.AUTO)
    assert "by upload" in world.rotate(credential, dry=True).message
    forbid(world, "iam.disableServiceAccountKeyUpload")
    assert "by creation" in world.rotate(credential, dry=True).message
    outcome = world.rotate(credential)
    assert outcome.ending is Ending.ROTATED
    assert not world.keys.get_key(account, outcome.identifier).uploaded


@pytest.mark.parametrize("managed", [False, True])
def test_a_policy_that_may_not_be_read_is_unknown_and_an_upload_that_it_forbids_becomes_a_creation(
    world: World, account: str, *, managed: bool
) -> None:
    """Also after it was read as allowed: what the issuer answers decides."""
    credential = service_account_key(account, strategy=Strategy.AUTO)
    world.arm("GetEffectivePolicy", Code.PERMISSION_DENIED)
    first = world.rotate(credential)
    assert (first.ending, first.message, first.code) == (Ending.ROTATED, f"{first.identifier} is version 1", 0)
    assert world.keys.get_key(account, first.identifier).uploaded
    forbid(world, f"iam.{'managed.' if managed else ''}disableServiceAccountKeyUpload")
    second = rotate_when_due(world, credential)
    assert (second.ending, second.code) == (Ending.ROTATED, 0), second
    assert not world.keys.get_key(account, second.identifier).uploaded
    assert any("disableServiceAccountKeyUpload" in note for note in second.notes)
    assert StepKind.ACTIVATE not in {StepKind(step.kind) for step in second.steps}
    assert world.authenticates("db-key", "latest")
    assert world.staged() == []
    assert world.enabled_keys(account) == world.state().referenced_ids == {first.identifier, second.identifier}
    assert world.state().unresolved == ()


@pytest.mark.parametrize("loss", list(Loss))
def test_an_upload_that_becomes_a_creation_survives_every_crash(loss: Loss, *, exhaustive: bool) -> None:
    """A run that dies or loses a reply anywhere on the way is completed by later ones; no key and no staged copy is left over."""
    world = World()
    account = world.account()
    credential = service_account_key(account, strategy=Strategy.AUTO)
    forbid(world, "iam.disableServiceAccountKeyUpload")
    world.arm("GetEffectivePolicy", Code.PERMISSION_DENIED)
    moment = world.moment()
    world.close()
    for number in range(0, 90, 1 if exhaustive else 3):
        world = World(moment=moment)
        try:
            world.lose({number: loss})
            with contextlib.suppress(Died):
                world.rotate(credential)
            left = bool(world.emulator.losses)
            world.lose({})
            for _ in range(4):
                world.pass_time(timedelta(minutes=20))
                world.rotate(credential)
            current = world.state().current
            assert current is not None
            assert world.authenticates("db-key", "latest")
            assert world.enabled_keys(account) == {current.id}
            assert world.staged() == []
            if left:  # the run made fewer calls than that
                break
        finally:
            world.close()
    assert left


def test_an_upload_that_was_asked_for_and_is_forbidden_is_refused_by_name(world: World, account: str) -> None:
    world.arm("GetEffectivePolicy", Code.PERMISSION_DENIED)
    forbid(world, "iam.disableServiceAccountKeyUpload")
    outcome = world.rotate(service_account_key(account, strategy=Strategy.UPLOAD))
    assert (outcome.ending, outcome.code) == (Ending.FAILED, 4)
    assert "iam.disableServiceAccountKeyUpload" in outcome.message
    assert world.enabled_keys(account) == set()


def test_where_no_key_may_be_made_nothing_is(world: World, account: str) -> None:
    for constraint in ("iam.disableServiceAccountKeyUpload", "iam.disableServiceAccountKeyCreation"):
        forbid(world, constraint)
    outcome = world.rotate(service_account_key(account, strategy=Strategy.AUTO))
    assert isinstance(outcome.error, PreconditionError)
    assert "organization policy" in outcome.message
    assert world.enabled_keys(account) == set()


def test_a_disabled_account_is_named_and_the_next_run_goes_on(
    world: World, credential: Credential, account: str
) -> None:
    name = f"projects/-/serviceAccounts/{account}"
    world.rpc("DisableServiceAccount", name=name)
    outcome = world.rotate(credential)
    assert isinstance(outcome.error, PreconditionError)
    assert "is the account disabled" in outcome.hint
    world.rpc("EnableServiceAccount", name=name)
    assert world.rotate(credential).ending is Ending.ROTATED


def forbid(world: World, constraint: str) -> None:
    from orchestra_creds.emulator.resource_manager import org_policy

    with world.store.transaction() as txn:
        org_policy.set_rules(txn, PROJECT, constraint, {"enforce": True})


@pytest.mark.parametrize("lost", ["key", "account"])
def test_a_rollback_to_a_key_that_does_not_authenticate_ends_and_changes_nothing_for_readers(
    world: World, credential: Credential, account: str, lost: str
) -> None:
    """Also when a person deleted the key: the run gives up after one try, instead of trying it for ever."""
    first = world.rotate(credential)
    second = rotate_when_due(world, credential)
    if lost == "key":
        world.keys.delete_key(account, first.identifier)
    else:
        world.rpc("DisableServiceAccount", name=f"projects/-/serviceAccounts/{account}")
    attempt = world.attempt(credential, RunRequest(back=True))
    taken: list[str] = []

    def count(event: Event) -> None:
        taken.append(event.step.kind)
        assert len(taken) < 30, f"no end: {taken[-6:]}"

    attempt.run.tell = count
    outcome = world.finish(attempt)
    assert (outcome.ending, outcome.code) == (Ending.FAILED, ExitCode.ATTENTION), outcome
    assert taken.count(StepKind.ABANDON) == 1
    state = world.state()
    assert state.current is not None
    assert (state.current.id, state.phase, state.lease) == (second.identifier, Phase.IDLE, None)
    assert len(world.versions()) == 2


@pytest.mark.parametrize("how", ["lost reply", "refused"])
def test_a_key_that_a_person_makes_after_a_lost_creation_is_not_claimed(world: World, account: str, how: str) -> None:
    """A lost creation was over within minutes: what others made later, before the next run, is theirs."""
    credential = service_account_key(account, strategy=Strategy.CREATE)
    world.rotate(credential)
    world.pass_time(POLICY.every)
    if how == "refused":
        world.arm("AddSecretVersion", Code.PERMISSION_DENIED, times=1)
        assert world.rotate(credential).ending is Ending.FAILED
    else:
        numbers = [name for name, _ in calls_of_a_rotation(account)]
        world.lose({numbers.index("CreateServiceAccountKey"): Loss.DEATH_AFTER})
        with pytest.raises(Died):
            world.rotate(credential)
    ours = world.enabled_keys(account) - world.state().referenced_ids
    assert len(ours) == 1
    world.pass_time(timedelta(hours=6))
    persons = world.keys.create_key(account).key.id
    for _ in range(3):
        world.pass_time(timedelta(hours=1))
        world.rotate(credential)
    world.pass_time(POLICY.grace + POLICY.soak)
    for _ in range(2):
        world.rotate(credential)
        world.pass_time(POLICY.soak)
    left = {key.id for key in world.keys.list_keys(account)}
    assert persons in world.enabled_keys(account)
    assert not ours & left


def calls_of_a_rotation(account: str) -> list[tuple[str, bool]]:
    """The calls of a second rotation by creation, in a world of its own."""
    world = World()
    try:
        mine = world.account(account.partition("@")[0])
        credential = service_account_key(mine, strategy=Strategy.CREATE)
        world.rotate(credential)
        world.pass_time(POLICY.every)
        world.emulator.calls.clear()
        world.rotate(credential)
        return list(world.emulator.calls)
    finally:
        world.close()


@pytest.mark.parametrize("call", ["CreateServiceAccountKey", "UploadServiceAccountKey"])
def test_a_key_that_a_suspended_host_makes_valid_too_late_is_ended(world: World, account: str, call: str) -> None:
    """The host sleeps in the middle of the call; another run completes the rotation, and nobody looks for a late key any more."""
    upload = call.startswith("Upload")
    credential = service_account_key(account, strategy=Strategy.UPLOAD if upload else Strategy.CREATE)
    world.rotate(credential)
    world.pass_time(POLICY.every)

    def sleep(name: str) -> None:
        if name.endswith(call):
            world.emulator.before = lambda _name: None
            world.pass_time(timedelta(hours=5))
            if upload:  # somebody tidied up the staging secret, so the other run has to make another key
                with world.aside():
                    world.secrets.delete_secret("db-key" + STAGING_SUFFIX)
            assert world.rotate(credential).ending is Ending.ROTATED
            world.pass_time(timedelta(hours=5))
            assert world.rotate(credential).code is ExitCode.OK

    world.emulator.before = sleep
    late = world.rotate(credential)
    assert (late.ending, late.code) == (Ending.LOCKED, ExitCode.OK)
    assert any("it was ended" in note for note in late.notes)
    assert world.enabled_keys(account) == world.state().referenced_ids
    assert world.authenticates("db-key", "latest")


def test_a_key_that_came_too_late_and_cannot_be_ended_is_named(world: World, account: str) -> None:
    credential = service_account_key(account, strategy=Strategy.CREATE)
    world.rotate(credential)
    world.pass_time(POLICY.every)

    def sleep(name: str) -> None:
        if name.endswith("CreateServiceAccountKey"):
            world.emulator.before = lambda _name: None
            world.pass_time(timedelta(hours=5))
            assert world.rotate(credential).ending is Ending.ROTATED
            world.arm("DisableServiceAccountKey", Code.PERMISSION_DENIED)

    world.emulator.before = sleep
    late = world.rotate(credential)
    assert (late.ending, late.code) == (Ending.LOCKED, ExitCode.ATTENTION)
    (left,) = world.enabled_keys(account) - world.state().referenced_ids
    assert any(left in note and "may be valid" in note for note in late.notes)


def test_a_run_that_finishes_what_another_began_asks_whether_it_is_still_in_force(
    world: World, credential: Credential, account: str
) -> None:
    """Somebody disables the key that a dead run had promoted: the run that completes the rotation makes its successor."""
    world.rotate(credential)
    world.pass_time(POLICY.every)
    finish = [name for name, mutates in rehearsed(world, credential) if mutates]
    world.emulator.after = die_after(world, len(finish) - 2)
    with pytest.raises(Died):
        world.rotate(credential)
    world.emulator.after = lambda _name, _mutates: None
    state = world.state()
    assert (state.phase, state.generation) == (Phase.PUBLISHED, 2)
    assert state.current is not None
    world.keys.disable_key(account, state.current.id)
    world.pass_time(timedelta(minutes=20))
    outcome = world.rotate(credential)
    assert (outcome.ending, outcome.generation) == (Ending.ROTATED, 3)
    assert world.authenticates("db-key", "latest")


def rehearsed(world: World, credential: Credential) -> list[tuple[str, bool]]:
    """The calls of an undisturbed run, made in a copy of the world."""
    copy = World(moment=world.moment())
    copy.rotate(credential)
    calls = list(copy.emulator.calls)
    copy.close()
    return calls


def die_after(world: World, changes: int) -> Callable[[str, bool], None]:
    """Let the run die after so many changing calls."""
    here = len(world.emulator.mutations)

    def die(_name: str, mutates: bool) -> None:
        if mutates and len(world.emulator.mutations) - here == changes:
            raise Died

    return die


def lose_a_creation(world: World, credential: Credential) -> None:
    """Rotate, and die after the key was made."""
    world.emulator.after = lambda name, _mutates: die_of(name, "CreateServiceAccountKey")
    with pytest.raises(Died):
        world.rotate(credential, RunRequest(force=True))
    world.emulator.after = lambda _name, _mutates: None


def die_of(name: str, call: str) -> None:
    if name.endswith(call):
        raise Died


def test_lost_creations_of_two_credentials_of_one_account_are_both_swept(world: World, account: str) -> None:
    first = service_account_key(account, strategy=Strategy.CREATE)
    second = replace(first, name="other", secret="other")
    for credential in (first, second):
        world.rotate(credential)
    for credential in (first, second):
        lose_a_creation(world, credential)
    for _ in range(4):
        world.pass_time(timedelta(minutes=20))
        assert {world.rotate(credential).ending for credential in (first, second)} <= {
            Ending.ROTATED,
            Ending.RETIRED,
            Ending.NOTHING,
        }
    known = world.state("db-key").referenced_ids | world.state("other").referenced_ids
    assert world.enabled_keys(account) <= known
    assert world.state("db-key").unresolved == world.state("other").unresolved == ()


def test_a_lost_creation_is_not_forgotten_while_a_state_that_may_speak_for_it_cannot_be_read(
    world: World, account: str
) -> None:
    credential = service_account_key(account, strategy=Strategy.CREATE)
    world.rotate(credential)
    lose_a_creation(world, credential)
    world.pass_time(timedelta(minutes=20))
    world.rotate(credential)
    damaged = State(phase=Phase.CREATING)  # what a state that cannot be read counts as
    unread = mock.patch.object(World, "siblings", return_value=[damaged])
    with unread:
        world.pass_time(timedelta(minutes=20))
        outcome = world.rotate(credential)
        assert (outcome.ending, outcome.code) == (Ending.ATTENTION, ExitCode.ATTENTION), outcome.message
    assert world.state().unresolved != ()
    assert world.rotate(credential).ending is Ending.RETIRED
    assert world.enabled_keys(account) <= world.state().referenced_ids
    assert world.state().unresolved == ()
