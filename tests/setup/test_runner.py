"""The daily run in the cloud: made once, proven, completed after a crash, and nothing of others is touched."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from orchestra_creds.core.google import RUN_INVOKER
from orchestra_creds.core.resources import DesiredState, Ref, RemovableStore, ResourceKind
from orchestra_creds.errors import ConfigError, PreconditionError, UnavailableError
from orchestra_creds.gcp.run_jobs import RunJobs
from orchestra_creds.gcp.schedules import Schedules
from orchestra_creds.setup.apply import apply
from orchestra_creds.setup.change import ChangeKind, ChangeOutcome, Plan
from orchestra_creds.setup.plan import plan
from orchestra_creds.setup.runner import cloud_run_job, existing_resources, remove
from orchestra_creds.setup.snapshot import take_partial_snapshot
from tests.rotation.world import PROJECT, Died, Loss
from tests.setup.stage import Stage, account

MAIL = f"creds-rotator@{PROJECT}.iam.gserviceaccount.com"
IMAGE = "us-central1-docker.pkg.dev/demo-project/ops/orchestra-creds@sha256:"
REF = Ref(ResourceKind.JOB, "us-central1/orchestra-creds-rotate")
HOLDER = f"projects/{PROJECT}/locations/us-central1/jobs/orchestra-creds-rotate"


def wanted(
    *, image: str = IMAGE + "0" * 64, identity: str = MAIL, region: str = "us-central1", name: str = REF.name[12:]
) -> DesiredState:
    return cloud_run_job(
        PROJECT,
        image=image,
        identity=identity,
        region=region,
        cron="17 3 * * *",
        arguments=("rotate", "--due", "--project", PROJECT),
        name=name,
    )


class Runner(Stage):
    """A project with an account to run as."""

    def __init__(self) -> None:
        super().__init__()
        account(self, "creds-rotator")

    def plan_run(self, desired: DesiredState) -> Plan:
        return plan(desired, take_partial_snapshot(self.project, desired))

    def run(self, desired: DesiredState) -> list[ChangeOutcome]:
        return list(apply(self.plan_run(desired), self.project, self.sleep, lambda: self.plan_run(desired)))


@pytest.fixture
def stage() -> Iterator[Runner]:
    stage = Runner()
    yield stage
    stage.close()


def test_it_is_made_once_and_a_second_run_changes_nothing(stage: Runner) -> None:
    assert [one.ending for one in stage.run(wanted())] == ["done"] * 5
    job = stage.project.stores[ResourceKind.JOB].find(REF)
    assert job is not None
    assert (job.fields["image"], job.fields["identity"]) == (IMAGE + "0" * 64, MAIL)
    assert stage.members(HOLDER, RUN_INVOKER) == {f"serviceAccount:{MAIL}"}
    before = stage.mutations()
    assert stage.plan_run(wanted()).changes == ()
    assert stage.run(wanted()) == []
    assert stage.mutations() == before


def test_a_new_image_changes_the_job_alone(stage: Runner) -> None:
    stage.run(wanted())
    (change,) = stage.plan_run(wanted(image=IMAGE + "1" * 64)).changes
    assert (change.kind, change.ref, change.fields) == (ChangeKind.UPDATE, REF, ("image",))
    assert [one.ending for one in stage.run(wanted(image=IMAGE + "1" * 64))] == ["done"]


def test_a_paused_schedule_is_told_and_resumed(stage: Runner) -> None:
    stage.run(wanted())
    path = f"v1/{HOLDER}:pause"
    stage.world.session.rest("pause it", "POST", "cloudscheduler", path, body={})
    (change,) = stage.plan_run(wanted()).changes
    assert change.fields == ("paused",)
    stage.run(wanted())
    assert stage.plan_run(wanted()).changes == ()


@pytest.mark.parametrize("loss", list(Loss))
@pytest.mark.parametrize("number", range(30))
def test_an_interrupted_run_is_completed_by_running_it_again(loss: Loss, number: int) -> None:
    stage = Runner()
    try:
        planned = stage.plan_run(wanted())
        start = len(stage.world.emulator.calls)
        stage.world.lose({number: loss})
        try:
            list(apply(planned, stage.project, stage.sleep, lambda: planned))
        except Died:
            assert len(stage.world.emulator.calls) > start
        stage.world.lose({})
        stage.run(wanted())
        assert stage.plan_run(wanted()).changes == ()
    finally:
        stage.close()


def test_without_its_job_nothing_is_scheduled_or_granted(stage: Runner) -> None:
    planned = stage.plan_run(wanted())
    stage.world.session.rest("delete it", "DELETE", "iam", f"v1/projects/{PROJECT}/serviceAccounts/{MAIL}")
    job = next(change for change in planned.changes if change.ref == REF)
    assert job.wanted is not None
    broken = replace(job, wanted=replace(job.wanted, fields={**job.wanted.fields, "retries": -1}))
    changes = tuple(broken if change is job else change for change in planned.changes)
    planned = replace(planned, changes=changes)
    endings = {one.change.what: one.ending for one in apply(planned, stage.project, stage.sleep, lambda: planned)}
    assert sorted(endings.values()) == ["done", "done", "failed", "skipped", "skipped"]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("image", "repository/image:latest", "not named by its digest"),
        ("image", "repository/image@sha256:12", "not named by its digest"),
        ("identity", "somebody@example.com", "is no service account"),
        ("region", "", "is no region"),
        ("name", "Upper", "is no name of a job"),
    ],
)
def test_what_cannot_be_is_one_line_before_any_call(field: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        wanted(**{field: value})


# -- taking it away again


def stores(stage: Runner) -> dict[ResourceKind, RemovableStore]:
    return {
        ResourceKind.JOB: RunJobs(stage.world.session, sleep=stage.sleep),
        ResourceKind.SCHEDULE: Schedules(stage.world.session),
    }


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("loss", list(Loss))
def test_a_removal_that_was_interrupted_is_completed_by_another(stage: Runner, number: int, loss: Loss) -> None:
    stage.run(wanted())
    stage.world.lose({number: loss})
    with contextlib.suppress(Died, UnavailableError):
        remove(stores(stage), existing_resources(stores(stage), "us-central1"))
    stage.world.lose({})
    left = {resource.ref.kind for resource in existing_resources(stores(stage), "us-central1")}
    assert left != {ResourceKind.SCHEDULE}  # nothing starts what is not there
    remove(stores(stage), existing_resources(stores(stage), "us-central1"))
    assert existing_resources(stores(stage), "us-central1") == []


def test_a_job_that_we_did_not_make_stays_and_so_does_its_schedule(stage: Runner) -> None:
    stage.run(wanted())
    job = stores(stage)[ResourceKind.JOB].find(REF)
    assert job is not None
    template = stage.world.session.rest("read it", "GET", "run", f"v2/{HOLDER}")["template"]
    theirs = {"labels": {"managed-by": "others"}, "template": template}
    stage.world.session.rest("change it", "PATCH", "run", f"v2/{HOLDER}", body=theirs)
    before = stage.mutations()
    with pytest.raises(PreconditionError, match="was not made by orchestra-creds"):
        remove(stores(stage), existing_resources(stores(stage), "us-central1"))
    assert stage.mutations() == before
