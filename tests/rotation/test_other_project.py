"""An account may live in another project than the secret: what forbids or ends its keys are the organization policies of its own."""

from typing import Any

import pytest

from orchestra_creds.core.credential import Strategy
from orchestra_creds.emulator.resource_manager import org_policy
from orchestra_creds.emulator.service_usage.services import TITLES
from orchestra_creds.errors import ExitCode
from orchestra_creds.rotation.issuers.service_account_key import KEY_EXPIRY, NO_CREATION, NO_UPLOAD
from orchestra_creds.rotation.outcome import Ending
from tests.rotation.world import PROJECT, World, service_account_key
from tests.strictness import switch_to_strict

OTHER = "other-project"


@pytest.fixture
def elsewhere(world: World) -> str:
    """An account of another project."""
    switch_to_strict(world.store, OTHER, apis=TITLES)
    return str(world.rpc("CreateServiceAccount", name=f"projects/{OTHER}", account_id="app-far").email)


def forbid(world: World, project: str, *constraints: str, **rule: Any) -> None:
    with world.store.transaction() as txn:
        for constraint in constraints:
            org_policy.set_rules(txn, project, constraint, rule or {"enforce": True})


@pytest.mark.parametrize("constraint", NO_CREATION)
def test_the_preflight_names_the_policy_and_the_project_of_the_account(
    world: World, elsewhere: str, constraint: str
) -> None:
    forbid(world, OTHER, *NO_UPLOAD, constraint)
    before = len(world.emulator.mutations)
    outcome = world.rotate(service_account_key(elsewhere, strategy=Strategy.AUTO))
    assert (outcome.ending, outcome.code) == (Ending.FAILED, ExitCode.PRECONDITION), outcome.message
    assert f"organization policy {constraint} of project {OTHER} forbids a new key for {elsewhere}" in outcome.message
    assert world.emulator.mutations[before:] in ([], ["CreateSecret"])


def test_a_policy_of_the_project_of_the_secret_forbids_nothing_in_another(world: World, elsewhere: str) -> None:
    forbid(world, PROJECT, *NO_UPLOAD, *NO_CREATION)
    outcome = world.rotate(service_account_key(elsewhere, strategy=Strategy.AUTO))
    assert outcome.ending is Ending.ROTATED, outcome.message
    assert "UploadServiceAccountKey" in world.emulator.mutations


def test_a_key_is_made_by_google_where_its_own_project_forbids_uploads(world: World, elsewhere: str) -> None:
    forbid(world, OTHER, NO_UPLOAD[0])
    assert world.rotate(service_account_key(elsewhere, strategy=Strategy.AUTO)).ending is Ending.ROTATED
    assert "UploadServiceAccountKey" not in world.emulator.mutations


def test_the_lifetime_of_keys_is_that_of_the_project_of_the_account(world: World, elsewhere: str) -> None:
    forbid(world, OTHER, KEY_EXPIRY, values={"allowedValues": ["8h"]})
    credential = service_account_key(elsewhere, strategy=Strategy.CREATE)
    outcome = world.rotate(credential)
    assert (outcome.ending, KEY_EXPIRY in outcome.message) == (Ending.FAILED, True), outcome.message
    forbid(world, OTHER, KEY_EXPIRY, values={"allowedValues": ["2160h"]})
    forbid(world, PROJECT, KEY_EXPIRY, values={"allowedValues": ["8h"]})
    assert world.rotate(credential).ending is Ending.ROTATED
