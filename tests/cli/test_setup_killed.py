"""`setup`, killed with SIGKILL in the middle of a changing call: running it again brings about the rest, and nothing of others is lost."""

import random
from collections.abc import Iterator

import pytest

from orchestra_creds.core.cloud_types import Binding, IamPolicy
from orchestra_creds.emulator.server import control
from orchestra_creds.gcp.policies import RestPolicyStore
from orchestra_creds.gcp.resources import RestProjectStore
from orchestra_creds.gcp.session import ApiSession, Endpoints
from tests.cli.conftest import Operator
from tests.cli.killing import gated, point_at, points_of
from tests.setup.stage import FULL

APPLY = ["setup", "--yes", "--allow-widening"]
PROJECT = "projects/demo-project"
THEIRS = Binding("roles/viewer", frozenset({"user:ada@example.com"}))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.InProcessEmulator]:
    with control.start_in_process(tmp_path_factory.mktemp("killed") / "emulator.db") as running:
        yield running


class Scene:
    """An empty project with something of others in it."""

    def __init__(self, operator: Operator, running: control.InProcessEmulator) -> None:
        self.operator, self.store = operator, running.emulator.store
        point_at(operator, running)
        operator.write("orchestra-creds.toml", FULL)
        ends = Endpoints(running.endpoints.grpc, running.endpoints.http)
        self.session = ApiSession("demo-project", endpoints=ends, environment={})
        self.policies, self.itself = RestPolicyStore(self.session), RestProjectStore(self.session)

    def begin(self) -> None:
        self.store.reset()
        etag = self.policies.get_policy(PROJECT).etag
        self.policies.set_policy(PROJECT, IamPolicy((THEIRS,), etag))
        self.itself.set_audit({"storage.googleapis.com": frozenset({"DATA_WRITE"})})

    def mutations(self) -> int:
        with self.store.transaction() as txn:
            return sum(entry.mutating for entry in txn.audit())

    def check(self) -> None:
        """Running it again completes it, a third time changes nothing, and what others had is there."""
        again = self.operator.call(*APPLY)
        assert again.code == 0, again.stderr + again.text
        before = self.mutations()
        third = self.operator.call(*APPLY)
        assert (third.code, "nothing to change" in third.text, self.mutations()) == (0, True, before)
        assert self.operator.call("setup", "--check").code == 0
        assert THEIRS.members <= frozenset().union(
            *(b.members for b in self.policies.get_policy(PROJECT).bindings if b.role == THEIRS.role)
        )
        assert self.itself.audit()["storage.googleapis.com"] == frozenset({"DATA_WRITE"})


def test_kill_nine_at_any_changing_call_is_mended_by_running_it_again(
    operator: Operator, running: control.InProcessEmulator, exhaustive: bool, tally: dict[str, int]
) -> None:
    with gated(running) as gate:
        scene = Scene(operator, running)
        scene.begin()
        gate.arm(-1, late=False)
        assert operator.call(*APPLY).code == 0
        points = points_of(next(gate.count))
        assert len(points) >= 40
        for target, late in points if exhaustive else random.Random(7).sample(points, 3):
            scene.begin()
            gate.kill_at(operator, APPLY, target, late=late)
            scene.check()
            tally["kills of setup"] += 1
        scene.session.close()
