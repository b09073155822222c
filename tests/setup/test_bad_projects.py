"""What stands in the way of an apply: each is told in one line with what to do, stops what depends on it and nothing else, and is made up for."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

import pytest
from google.rpc import error_details_pb2

from orchestra_creds.core.cloud_types import IamPolicy
from orchestra_creds.core.resources import Ref, ResourceKind
from orchestra_creds.emulator.protocol import faults, strict
from orchestra_creds.emulator.protocol.errors import Code, EmuError
from orchestra_creds.emulator.resource_manager import org_policy
from orchestra_creds.errors import MissingMemberError
from orchestra_creds.setup.change import ChangeKind, ChangeOutcome
from tests.rotation.world import PROJECT
from tests.setup.stage import FULL, SMALL, Stage, pool_path, role_path


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
        ResourceKind.ACCOUNT,
        "organization policy iam.disableServiceAccountCreation is in the way",
    ),
    "no such place": (
        constrained("gcp.resourceLocations", {"values": {"allowedValues": ["in:eu-locations"]}}),
        constrained("gcp.resourceLocations"),
        ResourceKind.SECRET,
        "organization policy gcp.resourceLocations is in the way",
    ),
    "quota": (at_most(1), at_most(100), ResourceKind.ACCOUNT, "maximum number of service accounts"),
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
    assert {ResourceKind.SERVICE, ResourceKind.ROLE, ResourceKind.POOL} <= {
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


def answer_late(stage: Stage, refusals: int) -> None:
    """Let IAM and Cloud Run refuse so many calls more after they were enabled, as they do until it is known everywhere."""
    left = {"google.iam.admin.": refusals, "google.cloud.run.": refusals}
    for service in ("iam", "run"):
        stage.rest("POST", f"v1/projects/{PROJECT}/services/{service}.googleapis.com:disable", {})

    def refuse(name: str) -> None:
        api = next((prefix for prefix in left if name.startswith(prefix)), "")
        service = "iam.googleapis.com" if "iam" in api else "run.googleapis.com"
        if (
            api
            and left[api]
            and stage.project.stores[ResourceKind.SERVICE].find(Ref(ResourceKind.SERVICE, service)) is not None
        ):
            left[api] -= 1
            detail = error_details_pb2.ErrorInfo(reason="SERVICE_DISABLED", metadata={"service": service})
            raise EmuError(Code.PERMISSION_DENIED, "It is disabled.", detail)

    stage.world.emulator.before = refuse


def test_an_api_that_answers_minutes_after_it_was_enabled_is_waited_for() -> None:
    stage = Stage(FULL)
    try:
        answer_late(stage, 20)
        began = stage.world.clock
        endings = stage.apply()
        assert {one.ending for one in endings} == {"done"}, [one for one in endings if one.ending != "done"]
        assert timedelta(seconds=100) <= stage.world.clock - began <= timedelta(minutes=10)
        assert stage.plan().work == ()
    finally:
        stage.close()


def test_an_api_that_never_answers_is_told_and_nothing_else_of_the_plan_is_called_done() -> None:
    stage = Stage(FULL)
    try:
        answer_late(stage, 10_000)
        endings = stage.apply()
        assert {
            (one.change.ref is not None and one.change.ref.kind is ResourceKind.SERVICE, one.ending) for one in endings
        } == {
            (True, "done"),
            (False, "failed"),
        }
        assert all("is not enabled" in one.message and one.hint for one in endings if one.ending == "failed")
        stage.world.emulator.before = lambda _name: None
        assert {one.ending for one in stage.apply()} == {"done"}
    finally:
        stage.close()


def refuse_often(stage: Stage, method: str, times: int, refusal: EmuError) -> None:
    """Let so many calls of a method be refused."""
    left = [refusal] * times

    def refuse(name: str) -> None:
        if (name.endswith((f"/{method}", f".{method}"))) and left:
            raise left.pop()

    stage.world.emulator.before = refuse


NO_METRIC = EmuError(
    Code.NOT_FOUND,
    'Cannot find metric(s) that match type = "logging.googleapis.com/user/orchestra-creds-starts". If a metric was created recently, it'
    " could take up to 10 minutes to become available. Please try again soon.",
)


def test_an_alert_waits_for_its_new_metric_and_says_so() -> None:
    stage = Stage(FULL)
    try:
        refuse_often(stage, "CreateAlertPolicy", 60, NO_METRIC)
        began = stage.world.clock
        endings = stage.apply()
        assert {one.ending for one in endings} == {"done"}, [one for one in endings if one.ending != "done"]
        assert timedelta(minutes=4) < stage.world.clock - began < timedelta(minutes=12)
        waits = [line for line in stage.told if "annot find metric" in line]
        assert all(line.startswith("waiting for Google, ") for line in waits)
        assert 3 <= len(waits) <= 12
        assert stage.plan().work == ()
    finally:
        stage.close()


def test_a_metric_that_never_shows_is_told_as_waiting_and_not_as_a_change_of_others() -> None:
    stage = Stage(FULL)
    try:
        refuse_often(stage, "CreateAlertPolicy", 10_000, NO_METRIC)
        failed = [one for one in stage.apply() if one.ending != "done"]
        assert {one.change.ref.kind for one in failed if one.change.ref is not None} == {ResourceKind.ALERT}
        assert all(one.message.startswith("waited 10 minutes for Google") and one.hint for one in failed)
        stage.world.emulator.before = lambda _name: None
        assert {one.ending for one in stage.apply()} == {"done"}
    finally:
        stage.close()


def test_an_alert_whose_metric_could_not_be_made_is_skipped() -> None:
    stage = Stage(FULL)
    try:
        refuse_often(stage, "CreateLogMetric", 1, EmuError(Code.PERMISSION_DENIED, "No."))
        undone = {one.change.what: (one.ending, one.message) for one in stage.apply() if one.ending != "done"}
        assert undone["alert policy orchestra-creds rotation-silent"] == (
            "skipped",
            "orchestra-creds-starts is missing",
        )
    finally:
        stage.close()


@pytest.mark.parametrize(("refusals", "minutes"), [(3, 1), (80, 12)])
def test_an_account_that_this_run_made_is_waited_for_as_long_as_iam_may_take(
    stage: Stage, refusals: int, minutes: int
) -> None:
    said = f"Service account runner-one@{PROJECT}.iam.gserviceaccount.com does not exist."
    refuse_often(stage, "SetIamPolicy", refusals, EmuError(Code.INVALID_ARGUMENT, said))
    began = stage.world.clock
    assert {one.ending for one in stage.apply()} == {"done"}
    assert stage.world.clock - began < timedelta(minutes=minutes)
    assert any("does not exist" in line for line in stage.told)


def test_a_member_that_nobody_made_is_not_waited_for_ten_minutes(stage: Stage) -> None:
    stage.read(SMALL.replace('consumers = ["runner-one"]', 'consumers = [{ member = "group:nobody@example.com" }]'))
    said = "Principal group:nobody@example.com does not exist."
    original = stage.policies.set_policy

    def refuse(resource: str, policy: IamPolicy) -> IamPolicy:
        if any("group:nobody" in member for binding in policy.bindings for member in binding.members):
            raise MissingMemberError(said)
        return original(resource, policy)

    stage.policies.set_policy = refuse  # type: ignore[method-assign]
    assert "done" in {one.ending for one in stage.apply()}
    began = stage.world.clock
    (failed,) = stage.apply()
    assert (failed.ending, failed.message) == ("failed", said)
    assert timedelta(seconds=25) <= stage.world.clock - began <= timedelta(seconds=60)


STRICT_LAG = dict.fromkeys(faults.Lag, 8.0)


def be_strict(stage: Stage, lags: Mapping[faults.Lag, float]) -> None:
    """Make the project one in which only Service Usage is on, and everything is seen late."""
    with stage.world.store.transaction() as txn:
        strict.set_strict(txn, on=True)
        for which, seconds in lags.items():
            faults.set_lag(txn, which, seconds)


@pytest.mark.parametrize("lags", [{}, STRICT_LAG], ids=["as strict mode has it", "8 s for everything"])
def test_one_run_sets_up_a_project_in_which_only_service_usage_is_on(lags: Mapping[faults.Lag, float]) -> None:
    stage = Stage(FULL, strict=False)
    try:
        be_strict(stage, lags)
        planned = stage.plan()
        assert "cloudresourcemanager.googleapis.com" in planned.off
        endings = stage.apply()
        assert {one.ending for one in endings} == {"done"}, [one for one in endings if one.ending != "done"]
        assert {one.change.what for one in endings} == {change.what for change in planned.work}
        assert stage.plan().work == ()
    finally:
        stage.close()


def purged(stage: Stage, path: str, days: int) -> list[ChangeOutcome]:
    assert {one.ending for one in stage.apply()} == {"done"}
    stage.rest("DELETE", path)
    stage.world.pass_time(timedelta(days=days))
    return stage.apply()


def test_a_role_that_was_deleted_for_good_blocks_its_id_and_says_so(stage: Stage) -> None:
    (ended, *_) = purged(stage, role_path(), 8)
    assert (ended.ending, "marked for deletion" in ended.message, "37 days" in ended.hint) == ("failed", True, True)
    assert ended.change.kind is ChangeKind.CREATE
    stage.world.pass_time(timedelta(days=31))
    assert {one.ending for one in stage.apply()} == {"done"}


def test_a_pool_that_was_deleted_for_good_is_made_anew(stage: Stage) -> None:
    endings = purged(stage, pool_path(), 31)
    assert {one.ending for one in endings} == {"done"}
    assert ChangeKind.CREATE in {one.change.kind for one in endings}
    assert stage.plan().work == ()
