"""How credentials stand: each problem is told, and nothing else is one."""

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestra_creds.core.credential import Copy, Credential, CredentialKind
from orchestra_creds.core.material import Material
from orchestra_creds.emulator.iam import keys as emulator_keys
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.errors import ExitCode
from orchestra_creds.rotation.issuer import IssuedCredential
from orchestra_creds.rotation.issuers.generated import GeneratedValues
from orchestra_creds.rotation.outcome import Ending
from orchestra_creds.rotation.situation import RunRequest
from orchestra_creds.rotation.state import ANNOTATION
from orchestra_creds.rotation.status import CredentialFacts, CredentialStatus, Problem, credential_status, survey
from orchestra_creds.rotation.survey import look_at_latest
from orchestra_creds.rotation.timing import LEASE
from tests.rotation.test_invariants import Shelf
from tests.rotation.test_issuers import Counting
from tests.rotation.world import POLICY, PROJECT, Died, Loss, World, service_account_key


@pytest.fixture
def credential(world: World) -> Credential:
    return service_account_key(world.account())


def generated() -> Credential:
    return Credential(name="pass", kind=CredentialKind.GENERATED, secret="pass", policy=POLICY)


def rotate(world: World, credential: Credential) -> ExitCode:
    issuer = GeneratedValues(credential, Counting()) if credential.kind is CredentialKind.GENERATED else None
    return (world.rotate(credential, issuer=issuer) if issuer else world.rotate(credential)).code


def stands(world: World, credential: Credential, tolerance: timedelta = timedelta(0)) -> CredentialStatus:
    held = [
        IssuedCredential(key.id, not key.disabled, key.created, None, key.exposed)
        for key in (world.keys.list_keys(credential.account) if credential.account else ())
        if key.origin == "user"
    ]
    secret = world.secrets.find_secret(credential.secret)
    latest, unread = look_at_latest(world.secrets, secret)
    disabled = bool(credential.account) and world.keys.is_account_disabled(credential.account)
    facts = CredentialFacts(credential, secret, held, latest=latest, unread=unread, account_disabled=disabled)
    return credential_status(facts, world.clock, tolerance)


def problems(world: World, credential: Credential, tolerance: timedelta = timedelta(0)) -> set[Problem]:
    return {complaint.problem for complaint in stands(world, credential, tolerance).problems}


def test_a_healthy_credential_has_no_problem_through_its_whole_life(world: World, credential: Credential) -> None:
    world.rotate(credential)
    for step in (POLICY.every, POLICY.grace, POLICY.soak):
        assert problems(world, credential) == set()
        world.pass_time(step)
        world.rotate(credential)
    one = stands(world, credential)
    assert (one.generation, one.version, one.problems) == (2, 2, ())


def test_without_a_version_it_says_so(world: World, credential: Credential) -> None:
    assert problems(world, credential) == {Problem.NO_VERSION}


def test_overdue_begins_when_it_is_due_and_a_tolerance_is_over(world: World, credential: Credential) -> None:
    world.rotate(credential)
    world.pass_time(POLICY.every + timedelta(hours=1))
    assert problems(world, credential) == {Problem.OVERDUE}
    assert problems(world, credential, timedelta(hours=2)) == set()
    assert stands(world, credential).share > 1.0


def test_an_interrupted_rotation_is_told_once_its_lease_is_over(world: World, credential: Credential) -> None:
    world.rotate(credential)
    world.lose({14: Loss.DEATH_AFTER})
    with pytest.raises(Died):
        world.rotate(credential, RunRequest(force=True))
    assert problems(world, credential) == set()
    world.pass_time(LEASE + timedelta(minutes=1))
    assert Problem.STUCK in problems(world, credential)


def test_a_destination_that_lags_behind_is_named(world: World, credential: Credential) -> None:
    shelf = Shelf()
    shelf.broken = True
    declared = service_account_key(credential.account, copies=(Copy("file", "shelf"),))
    world.rotate(declared, destinations=[shelf])
    (complaint,) = stands(world, declared).problems
    assert (complaint.problem, complaint.detail) == (Problem.BEHIND, "shelf")
    assert stands(world, declared).destinations == {"shelf": False}


def test_a_foreign_key_and_a_disabled_current_key_are_told(world: World, credential: Credential) -> None:
    world.rotate(credential)
    world.keys.create_key(credential.account)
    assert problems(world, credential) == {Problem.FOREIGN}
    current = world.state().current
    assert current is not None
    world.keys.disable_key(credential.account, current.id)
    assert problems(world, credential) == {Problem.FOREIGN, Problem.DEAD}


def test_a_disabled_account_is_told_and_no_run_is_green(world: World, credential: Credential) -> None:
    """No key of it authenticates, although the issuer lists them as enabled, and no successor would."""
    world.rotate(credential)
    name = f"projects/-/serviceAccounts/{credential.account}"
    world.rpc("DisableServiceAccount", name=name)
    told = [(one.problem, "is disabled" in one.detail) for one in stands(world, credential).problems]
    assert told == [(Problem.DEAD, True)]
    outcome = world.rotate(credential)
    assert (outcome.ending, outcome.code) == (Ending.FAILED, ExitCode.PRECONDITION)
    assert "the account of db-key is disabled" in outcome.message
    assert len(world.enabled_keys(credential.account)) == 1
    world.rpc("EnableServiceAccount", name=name)
    assert problems(world, credential) == set()
    assert world.rotate(credential).code is ExitCode.OK


def test_an_account_that_nobody_may_look_at_is_proven_by_its_key(world: World, credential: Credential) -> None:
    world.rotate(credential)
    world.arm("GetServiceAccount", Code.PERMISSION_DENIED)
    assert world.rotate(credential).ending is Ending.NOTHING
    world.rpc("DisableServiceAccount", name=f"projects/-/serviceAccounts/{credential.account}")
    assert world.rotate(credential).code is not ExitCode.OK


def test_a_key_that_google_found_in_public_is_told(world: World, credential: Credential) -> None:
    world.rotate(credential)
    current = world.state().current
    assert current is not None
    with world.store.transaction() as txn:
        emulator_keys.expose(
            txn, f"projects/{PROJECT}/serviceAccounts/{credential.account}/keys/{current.id}", "https://example.com"
        )
    assert {Problem.EXPOSED, Problem.DEAD} <= problems(world, credential)


def test_a_lost_creation_is_told_until_it_is_swept(world: World, credential: Credential) -> None:
    from orchestra_creds.core.credential import Strategy

    declared = service_account_key(credential.account, strategy=Strategy.CREATE)
    create = next(n for n, name in enumerate(calls_of(world, declared)) if name == "CreateServiceAccountKey")
    world.pass_time(POLICY.every + timedelta(hours=1))
    world.lose({create: Loss.DEATH_AFTER})
    with pytest.raises(Died):
        world.rotate(declared)
    world.pass_time(LEASE + timedelta(minutes=1))
    world.rotate(declared)
    assert Problem.ORPHANS in problems(world, declared)
    world.pass_time(timedelta(minutes=20))
    world.rotate(declared)
    assert problems(world, declared) == set()


def calls_of(world: World, credential: Credential) -> list[str]:
    """The calls of a rotation like the one that comes next."""
    world.rotate(credential)
    world.pass_time(POLICY.every + POLICY.grace + POLICY.soak)
    for _ in range(3):
        world.rotate(credential)
        world.pass_time(POLICY.grace + POLICY.soak)
    world.pass_time(POLICY.every)
    world.emulator.calls.clear()
    world.rotate(credential)
    names = [name for name, _ in world.emulator.calls]
    for _ in range(2):
        world.pass_time(POLICY.grace + POLICY.soak)
        world.rotate(credential)
    return names


def test_a_predecessor_that_lingers_is_told(world: World, credential: Credential) -> None:
    world.rotate(credential)
    world.rotate(credential, RunRequest(force=True))
    world.pass_time(POLICY.grace + timedelta(days=3))
    assert problems(world, credential) == {Problem.LINGERS}


@pytest.mark.parametrize("take", ["disable_version", "destroy_version"])
@pytest.mark.parametrize("kind", ["service-account-key", "generated"])
def test_a_current_version_that_nobody_can_read_is_told_and_replaced(world: World, kind: str, take: str) -> None:
    credential = service_account_key(world.account()) if kind != "generated" else generated()
    rotate(world, credential)
    getattr(world.secrets, take)(credential.secret, 1)
    assert problems(world, credential) == {Problem.UNREADABLE}
    assert rotate(world, credential) == ExitCode.OK
    assert problems(world, credential) == set()
    assert world.secrets.get_version(credential.secret, "latest").number == 2


def test_a_version_that_others_put_on_top_is_told_and_no_run_is_green(world: World, credential: Credential) -> None:
    rotate(world, credential)
    world.secrets.add_version(credential.secret, Material(b"hello"))
    assert problems(world, credential) == {Problem.FOREIGN_VERSION}
    assert rotate(world, credential) == ExitCode.PRECONDITION
    world.rotate(credential, RunRequest(force=True))
    assert problems(world, credential) == set()


def test_an_unreadable_version_that_others_put_on_top_is_replaced(world: World, credential: Credential) -> None:
    rotate(world, credential)
    world.secrets.add_version(credential.secret, Material(b"hello"))
    world.secrets.disable_version(credential.secret, 2)
    assert problems(world, credential) == {Problem.UNREADABLE}
    assert rotate(world, credential) == ExitCode.OK
    assert problems(world, credential) == set()


def test_a_generated_value_that_a_person_stores_is_the_current_one_after_the_next_run(world: World) -> None:
    credential = generated()
    rotate(world, credential)
    world.secrets.add_version(credential.secret, Material(b"a value of the operator's own"))
    assert problems(world, credential) == {Problem.FOREIGN_VERSION}
    assert rotate(world, credential) == ExitCode.OK
    one = stands(world, credential)
    assert (one.version, one.problems) == (2, ())


def test_a_secret_that_will_delete_itself_is_told_in_time(world: World, credential: Credential) -> None:
    rotate(world, credential)
    secret = world.secrets.find_secret(credential.secret)
    assert secret is not None
    for days, expected in ((29, {Problem.ENDING}), (31, set())):
        facts = CredentialFacts(
            credential,
            replace(secret, expires=world.clock + timedelta(days=days)),
            None,
            latest=world.secrets.get_version(credential.secret, "latest"),
        )
        assert {one.problem for one in credential_status(facts, world.clock).problems} == expected


def test_a_denied_look_is_a_problem_of_that_credential(world: World, credential: Credential) -> None:
    rotate(world, credential)
    world.arm("GetSecretVersion", Code.PERMISSION_DENIED)
    assert problems(world, credential) == {Problem.NOT_READ}


def test_a_state_that_cannot_be_read_is_a_problem_and_no_crash(world: World, credential: Credential) -> None:
    world.secrets.create_secret("db-key", annotations={ANNOTATION: "{"})
    assert problems(world, credential) == {Problem.STATE}


def test_what_has_a_problem_comes_first_then_what_is_due_next(world: World, credential: Credential) -> None:
    world.rotate(credential)
    good = stands(world, credential)
    bad = credential_status(CredentialFacts(service_account_key("x@y"), None, None), world.clock)
    found = survey("p", [good, bad], world.clock)
    assert [one.problems != () for one in found.statuses] == [True, False]
    assert found.needs_operator


def test_asking_changes_nothing(world: World, credential: Credential) -> None:
    world.rotate(credential)
    before = len(world.emulator.mutations)
    world.arm("UpdateSecret", Code.INTERNAL)
    stands(world, credential)
    assert len(world.emulator.mutations) == before
