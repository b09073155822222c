"""Whose a credential is: entries know their account, a state knows its secret, and what others made is adopted on request."""

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestra_creds.core.cloud_types import VersionState
from orchestra_creds.core.credential import Credential, CredentialKind
from orchestra_creds.core.material import Material
from orchestra_creds.errors import ExitCode
from orchestra_creds.rotation.issuers.generated import GeneratedValues
from orchestra_creds.rotation.outcome import Ending
from orchestra_creds.rotation.situation import RunRequest, StepKind
from orchestra_creds.rotation.state import ANNOTATION, Retirement, encode
from tests.rotation.test_issuers import Counting
from tests.rotation.test_leaked import first_id
from tests.rotation.world import POLICY, PROJECT, World, service_account_key

ADOPT = RunRequest(adopt=True)


@pytest.fixture
def account(world: World) -> str:
    return world.account()


@pytest.fixture
def credential(account: str) -> Credential:
    return service_account_key(account)


def store_by_hand(world: World, account: str) -> str:
    """A key that a person made and stored as the newest version; its id."""
    new = world.keys.create_key(account)
    world.secrets.add_version("db-key", new.material)
    return new.key.id


def without_targets(world: World) -> None:
    """The state as an earlier program would have written it."""
    secret = world.secrets.get_secret("db-key")
    text = encode(world.state()).split(',"home":')[0].split(',"who":')[0] + "}"
    world.secrets.update_secret(secret, annotations={**secret.annotations, ANNOTATION: text})


@pytest.mark.parametrize("legacy", [False, True], ids=["recorded", "of an earlier program"])
def test_another_account_makes_a_successor_due_and_the_old_key_ends_at_the_old_account(
    world: World, credential: Credential, account: str, legacy: bool
) -> None:
    world.rotate(credential)
    old = first_id(world)
    if legacy:
        without_targets(world)
    other = replace(credential, account=world.account("app-two"))
    issuer_at = lambda target: world.issuer(replace(other, account=target.account))  # noqa: E731
    attempt = world.attempt(other)
    attempt.executor._issuer_at = issuer_at
    outcome = world.finish(attempt)
    assert (outcome.ending, outcome.code) == (Ending.ROTATED, ExitCode.OK)
    assert (old in world.enabled_keys(account), len(world.enabled_keys(other.account))) == (True, 1)
    for step in (POLICY.grace, POLICY.soak):
        world.pass_time(step)
        attempt = world.attempt(other)
        attempt.executor._issuer_at = issuer_at
        outcome = world.finish(attempt)
        assert (outcome.ending, account in outcome.message) == (Ending.RETIRED, True)
        assert world.enabled_keys(account) == set()
    assert world.keys.find_key(account, old) is None
    assert (world.state().retiring, len(world.enabled_keys(other.account))) == ((), 1)


def test_an_account_that_was_made_again_under_its_name_is_told_apart(world: World, credential: Credential) -> None:
    world.rotate(credential)
    old = first_id(world)
    name = f"projects/{PROJECT}/serviceAccounts/{credential.account}"
    world.rpc("DeleteServiceAccount", name=name)
    world.account()
    plan = world.rotate(credential, dry=True)
    assert plan.message.startswith("its account was deleted and made again")
    outcome = world.rotate(credential)
    assert (outcome.ending, outcome.code) == (Ending.ROTATED, ExitCode.OK)
    ids = {target.unique_id for target in world.state().targets if target is not None}
    assert len(ids) == 2
    assert world.authenticates("db-key", "latest")
    assert old not in world.enabled_keys(credential.account)


def test_a_state_that_was_copied_to_another_secret_ends_nobody_elses_key(
    world: World, credential: Credential, account: str
) -> None:
    world.rotate(credential)
    state = world.secrets.get_secret("db-key").annotations
    world.pass_time(timedelta(minutes=1))
    world.secrets.create_secret("copy", annotations=state)
    world.secrets.add_version("copy", world.secrets.access("db-key", 1).material)
    copy = replace(credential, name="copy", secret="copy")
    keys = world.enabled_keys(account)
    for want in (RunRequest(), RunRequest(force=True), RunRequest(leaked=True), RunRequest(retire=True)):
        outcome = world.rotate(copy, want)
        assert (outcome.ending, outcome.code) == (Ending.FAILED, ExitCode.PRECONDITION)
        assert "copied from secret db-key" in outcome.message
    assert world.enabled_keys(account) == keys
    assert world.rotate(copy, RunRequest(abandon=True)).ending is Ending.ABANDONED
    assert ANNOTATION not in world.secrets.get_secret("copy").annotations
    assert world.rotate(credential).ending is Ending.NOTHING


# -- adoption


def test_a_newer_version_is_adopted_beside_a_current_one_and_the_old_key_retired(
    world: World, credential: Credential, account: str
) -> None:
    world.rotate(credential)
    old = first_id(world)
    made = store_by_hand(world, account)
    refused = world.rotate(credential)
    assert (refused.ending, "--adopt" in refused.hint) == (Ending.FAILED, True)
    outcome = world.rotate(credential, ADOPT)
    assert (outcome.ending, outcome.code, outcome.identifier) == (Ending.ADOPTED, ExitCode.OK, made)
    assert world.versions() == {1: VersionState.ENABLED, 2: VersionState.ENABLED}
    assert world.secrets.get_secret("db-key").aliases["current"] == 2
    assert [(entry.id, entry.phase) for entry in world.state().retiring] == [(old, Retirement.GRACE)]
    for step in (POLICY.grace, POLICY.soak):
        world.pass_time(step)
        assert world.rotate(credential).ending is Ending.RETIRED
    assert world.enabled_keys(account) == {made}
    world.pass_time(POLICY.every)
    assert world.rotate(credential).ending is Ending.ROTATED
    assert made in {entry.id for entry in world.state().retiring}


def test_an_older_version_that_nobody_retires_is_adopted_and_retired(
    world: World, credential: Credential, account: str
) -> None:
    world.rotate(credential)
    made = store_by_hand(world, account)
    world.rotate(credential, RunRequest(force=True))
    assert made in world.enabled_keys(account)
    outcome = world.rotate(credential, ADOPT)
    assert (outcome.ending, outcome.code, made in outcome.message) == (Ending.ADOPTED, ExitCode.OK, True)
    assert len(world.versions()) == 3
    for step in (POLICY.grace, POLICY.soak):
        world.pass_time(step)
        world.rotate(credential)
    assert made not in world.enabled_keys(account)
    assert world.versions()[2] is VersionState.DESTROYED
    assert world.rotate(credential, ADOPT).ending is Ending.NOTHING


def test_nothing_is_adopted_that_does_not_authenticate_or_is_of_another_account(
    world: World, credential: Credential, account: str
) -> None:
    world.rotate(credential)
    state = world.state()
    world.secrets.add_version("db-key", Material(b"hello"))
    outcome = world.rotate(credential, ADOPT)
    assert (outcome.ending, world.state()) == (Ending.FAILED, state)
    other = store_by_hand(world, world.account("app-two"))
    outcome = world.rotate(credential, ADOPT)
    assert (outcome.ending, outcome.code) == (Ending.FAILED, ExitCode.PRECONDITION)
    assert "holds a key of app-two@" in outcome.message
    assert (world.state(), other in world.enabled_keys(f"app-two@{PROJECT}.iam.gserviceaccount.com")) == (state, True)


def test_a_key_that_another_credential_speaks_for_is_not_adopted(world: World, credential: Credential) -> None:
    world.rotate(credential)
    world.rotate(replace(credential, name="twin", secret="twin"))
    world.secrets.add_version("db-key", world.secrets.access("twin", 1).material)
    world.rotate(credential, RunRequest(force=True))
    outcome = world.rotate(credential, ADOPT)
    assert StepKind.CLAIM not in {step.kind for step in outcome.steps}


def test_a_generated_value_is_recorded_with_or_without_the_flag(world: World) -> None:
    credential = Credential("db-key", CredentialKind.GENERATED, "db-key", POLICY)
    issuer = GeneratedValues(credential, Counting())
    world.rotate(credential, issuer=issuer)
    world.secrets.add_version("db-key", Material(b"by hand"))
    assert world.rotate(credential, ADOPT, issuer=issuer).ending is Ending.ROTATED
    current = world.state().current
    assert current is not None
    assert current.version == 2


def test_an_account_that_was_disabled_is_left_for_another(world: World, credential: Credential, account: str) -> None:
    """Whoever declares another account because the old one is disabled gets a successor there, and no word about the old one."""
    world.rotate(credential)
    world.rpc("DisableServiceAccount", name=f"projects/-/serviceAccounts/{account}")
    assert world.rotate(credential).code is ExitCode.PRECONDITION
    other = replace(credential, account=world.account("app-two"))
    attempt = world.attempt(other)
    attempt.executor._issuer_at = lambda target: world.issuer(replace(other, account=target.account))
    outcome = world.finish(attempt)
    assert (outcome.ending, outcome.code) == (Ending.ROTATED, ExitCode.OK), outcome.message
    assert world.authenticates("db-key", "latest")
