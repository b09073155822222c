"""What stands in the way of an apply: each is told in one line with what to do, stops what depends on it and nothing else, and is made up for."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from orchestra_creds.core.resources import Kind
from orchestra_creds.emulator import org_policy
from orchestra_creds.setup.change import Action, Applied
from tests.rotation.world import PROJECT
from tests.setup.stage import SMALL, Stage, pool_path, role_path


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


def constrained(constraint: str, *rules: dict[str, object]) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        with stage.world.store.transaction() as txn:
            org_policy.set_rules(txn, PROJECT, constraint, *rules)

    return act


def at_most(accounts: int) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        with stage.world.store.transaction() as txn:
            txn.set_setting("most_accounts", accounts)

    return act


IN_THE_WAY = {
    "no accounts": (
        constrained("iam.disableServiceAccountCreation", {"enforce": True}),
        constrained("iam.disableServiceAccountCreation"),
        Kind.ACCOUNT,
        "organization policy iam.disableServiceAccountCreation is in the way",
    ),
    "no such place": (
        constrained("gcp.resourceLocations", {"values": {"allowedValues": ["in:eu-locations"]}}),
        constrained("gcp.resourceLocations"),
        Kind.SECRET,
        "organization policy gcp.resourceLocations is in the way",
    ),
    "quota": (at_most(1), at_most(100), Kind.ACCOUNT, "maximum number of service accounts"),
}


@pytest.mark.parametrize("name", list(IN_THE_WAY))
def test_what_is_in_the_way_is_told_and_the_rest_goes_on(stage: Stage, name: str) -> None:
    act, undo, kind, said = IN_THE_WAY[name]
    act(stage)
    endings = stage.apply()
    failed = [one for one in endings if one.ending == "failed"]
    assert {one.change.ref.kind for one in failed if one.change.ref is not None} == {kind}
    assert all(said in one.message and "\n" not in one.message and one.hint for one in failed)
    assert all(one.message.endswith("is missing") for one in endings if one.ending == "skipped")
    assert {Kind.SERVICE, Kind.ROLE, Kind.POOL} <= {
        one.change.ref.kind for one in endings if one.ending == "done" and one.change.ref is not None
    }
    undo(stage)
    assert {one.ending for one in stage.apply()} == {"done"}
    assert stage.plan().work == ()


def test_a_place_that_the_policy_allows_is_asked_for_in_the_file(stage: Stage) -> None:
    constrained("gcp.resourceLocations", {"values": {"allowedValues": ["in:eu-locations", "us-central1"]}})(stage)
    stage.read(SMALL + '[defaults.secret]\nreplication = ["us-central1", "europe-west1"]\n')
    (failed,) = (one for one in stage.apply() if one.ending == "failed")
    assert "gcp.resourceLocations" in failed.message
    stage.read(SMALL + '[defaults.secret]\nreplication = ["us-central1"]\n')
    assert {one.ending for one in stage.apply()} == {"done"}


def purged(stage: Stage, path: str, days: int) -> list[Applied]:
    assert {one.ending for one in stage.apply()} == {"done"}
    stage.rest("DELETE", path)
    stage.world.pass_time(timedelta(days=days))
    return stage.apply()


def test_a_role_that_was_deleted_for_good_blocks_its_id_and_says_so(stage: Stage) -> None:
    (ended, *_) = purged(stage, role_path(), 8)
    assert (ended.ending, "marked for deletion" in ended.message, "37 days" in ended.hint) == ("failed", True, True)
    assert ended.change.action is Action.CREATE
    stage.world.pass_time(timedelta(days=31))
    assert {one.ending for one in stage.apply()} == {"done"}


def test_a_pool_that_was_deleted_for_good_is_made_anew(stage: Stage) -> None:
    endings = purged(stage, pool_path(), 31)
    assert {one.ending for one in endings} == {"done"}
    assert Action.CREATE in {one.change.action for one in endings}
    assert stage.plan().work == ()
