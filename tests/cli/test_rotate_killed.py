"""The real command, killed with SIGKILL in the middle of a changing call: the next run completes what it began."""

import json
import random
import signal
import subprocess
from collections.abc import Iterator
from datetime import timedelta

import pytest

from orchestra_creds.core.cloud_types import KeyOrigin, VersionState
from orchestra_creds.emulator.protocol.routes import IAM_ADMIN, rpcs
from orchestra_creds.emulator.server import control
from orchestra_creds.gcp.keys import IamKeyStore
from orchestra_creds.gcp.secrets import SecretManagerStore
from orchestra_creds.gcp.session import ApiSession, Endpoints
from orchestra_creds.gcp.tokens import KeyTokenIssuer
from orchestra_creds.rotation.state import STAGING_SUFFIX, Phase, decode
from orchestra_creds.rotation.timing import LEASE, SWEEP_AFTER
from tests.cli.conftest import COMMAND, Operator
from tests.cli.killing import PATIENCE, gated, point_at, points_of

CONFIG = """
schema = 1
[project]
id = "demo-project"
[credentials.app-key]
kind = "service-account-key"
account = "app-one"
every = "90d"
grace = "7d"
settle = "0s"
require_unused = "0s"
strategy = "{strategy}"
"""
DEAD_RUN = LEASE + SWEEP_AFTER + timedelta(minutes=10)
"""After this time a killed run has no lease any more, and what it may have left is looked for."""


class Scene:
    """An operator, a cloud whose calls can be stopped, and what is true of it."""

    def __init__(self, operator: Operator, running: control.InProcessEmulator, strategy: str) -> None:
        running.emulator.store.reset()
        self.operator, self.running = operator, running
        ends = running.endpoints
        point_at(operator, running)
        operator.write("orchestra-creds.toml", CONFIG.format(strategy=strategy))
        method = f"{IAM_ADMIN}/CreateServiceAccount"
        request = rpcs()[method].request(name="projects/demo-project", account_id="app-one")
        self.account = str(running.emulator.rpc(method, request, {}).email)
        session = ApiSession("demo-project", endpoints=Endpoints(ends.grpc, ends.http), environment={})
        self.session = session
        self.secrets, self.keys, self.tokens = (
            SecretManagerStore(session),
            IamKeyStore(session),
            KeyTokenIssuer(session),
        )

    def rotate(self, *options: str) -> None:
        ended = self.operator.run("rotate", "--all", *options)
        assert ended.code == 0, ended.stderr + ended.text

    def check(self) -> None:
        """Readers are fine, and nothing is left behind."""
        secret = self.secrets.get_secret("app-key")
        state = decode(secret.annotations, "app-key")
        assert (state.phase, state.lease) == (Phase.IDLE, None)
        assert state.current is not None
        self.tokens.mint(self.secrets.access("app-key", "latest").material)
        self.tokens.mint(self.secrets.access("app-key", "current").material)
        enabled = {k.id for k in self.keys.list_keys(self.account) if k.origin is KeyOrigin.USER and not k.disabled}
        assert enabled <= state.referenced_ids
        staged = self.secrets.list_versions("app-key" + STAGING_SUFFIX)
        assert {version.state for version in staged} == {VersionState.DESTROYED}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.InProcessEmulator]:
    with control.start_in_process(tmp_path_factory.mktemp("killed") / "emulator.db") as running:
        yield running


@pytest.mark.parametrize("strategy", ["upload", "create"])
def test_kill_nine_at_any_changing_call_is_mended_by_the_next_run(
    operator: Operator, running: control.InProcessEmulator, strategy: str, exhaustive: bool, tally: dict[str, int]
) -> None:
    with gated(running) as gate:
        scene = Scene(operator, running, strategy)
        scene.rotate()
        gate.arm(-1, late=False)
        scene.rotate("--force")
        points = points_of(next(gate.count))
        assert len(points) >= 16
        for target, late in points if exhaustive else random.Random(5).sample(points, 2):
            store = running.emulator.store
            store.advance(timedelta(days=91))
            gate.kill_at(operator, ["rotate", "--all"], target, late=late)
            store.advance(DEAD_RUN)
            scene.rotate()
            store.advance(DEAD_RUN)
            scene.rotate()
            scene.check()
            for _ in range(2):
                store.advance(timedelta(days=8))
                scene.rotate()
            tally["kills"] += 1
        scene.session.close()


def test_sigterm_finishes_the_step_in_hand_and_ends_with_143(
    operator: Operator, running: control.InProcessEmulator
) -> None:
    with gated(running) as gate:
        scene = Scene(operator, running, "upload")
        gate.arm(4, late=True)
        child = subprocess.Popen(
            [COMMAND, "rotate", "--all", "--format", "json"],
            cwd=operator.folder,
            env=operator.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert gate.reached.wait(PATIENCE)
        child.send_signal(signal.SIGTERM)
        gate.killed.set()
        stdout, _ = child.communicate(timeout=PATIENCE)
        assert child.returncode == 143
        (told,) = json.loads(stdout)["credentials"]
        assert told["outcome"] == "stopped"
        state = decode(scene.secrets.get_secret("app-key").annotations, "app-key")
        assert state.lease is None
        assert state.phase is not Phase.IDLE
        scene.rotate()
        scene.check()
        scene.session.close()


def test_a_run_by_cron_ends_what_a_killed_run_was_told_had_leaked(
    operator: Operator, running: control.InProcessEmulator, exhaustive: bool, tally: dict[str, int]
) -> None:
    with gated(running) as gate:
        scene = Scene(operator, running, "upload")
        scene.rotate()
        gate.arm(-1, late=False)
        scene.rotate("--leaked")
        points = points_of(next(gate.count))[1:]  # before its first change nothing can be known of the wish
        for target, late in points if exhaustive else random.Random(6).sample(points, 3):
            state = decode(scene.secrets.get_secret("app-key").annotations, "app-key")
            assert state.current is not None
            leaked = state.current.id
            gate.kill_at(operator, ["rotate", "app-key", "--leaked"], target, late=late)
            running.emulator.store.advance(DEAD_RUN)
            scene.rotate()
            key = scene.keys.find_key(scene.account, leaked)
            assert key is not None
            assert key.disabled
            scene.check()
            running.emulator.store.advance(timedelta(days=8))
            scene.rotate()
            tally["kills"] += 1
        scene.session.close()
