"""`setup` under random faults, lags and deaths: it converges or says what is missing, and no reader who shall stay is shut out.

`--exhaustive` plays 300 seeds; by default twenty.
"""

import random

import pytest

from orchestra_creds.core.cloud_types import Binding, IamPolicy
from orchestra_creds.emulator.protocol import faults, strict
from orchestra_creds.emulator.protocol.errors import Code, EmuError
from orchestra_creds.errors import CredsError
from orchestra_creds.setup.change import ChangeOutcome
from tests.rotation.world import PROJECT, Died, Loss
from tests.setup.stage import FULL, SMALL, Stage

SEEDS = 300
SAMPLE = 20
RUNS = 12
"""Runs within which a project must be as the file says; faults happen in the first half."""
LAGS = (0.0, 3.0, 8.0, 45.0)
SECRET = f"projects/{PROJECT}/secrets/api-key-dev"
ACCESSOR = "roles/secretmanager.secretAccessor"
RUNNER = f"serviceAccount:runner-one@{PROJECT}.iam.gserviceaccount.com"
EVE = "user:eve@example.com"


REFUSED = {
    "SecretManagerService/SetIamPolicy": 4,
    "CreateServiceAccount": 2,
    "SetIamPolicy": 1,
    "EnableService": 1,
    "CreateRole": 1,
    "": 1,
}
"""Methods that a run may be refused, by the end of their names, and how often each is drawn; "" is any."""
REFUSALS = (Code.PERMISSION_DENIED, Code.PERMISSION_DENIED, Code.FAILED_PRECONDITION, Code.NOT_FOUND, Code.ABORTED)


def refuse_some(stage: Stage, rng: random.Random) -> None:
    """Let a few calls of one method be refused, whatever they ask."""
    (method,) = rng.choices(list(REFUSED), list(REFUSED.values()))
    code, left = rng.choice(REFUSALS), [None] * rng.randrange(1, 6)

    def refuse(name: str) -> None:
        if left and name.endswith(method) and rng.random() < 0.8:
            left.pop()
            raise EmuError(code, "Injected.")

    stage.world.emulator.before = refuse


class Watch:
    """Looks at the readers of the exact secret after every changing call."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._before = self.readers()
        self.violations: list[str] = []

    def readers(self) -> set[str]:
        """Return them as they are, also while the API is off for everyone else."""
        world = self._stage.world
        with world.aside():
            with world.store.transaction() as txn:
                mode = strict.is_strict(txn)
                strict.set_strict(txn, on=False)
            there = world.secrets.find_secret("api-key-dev") is not None
            found = self._stage.members(SECRET, ACCESSOR) if there else set()
            with world.store.transaction() as txn:
                strict.set_strict(txn, on=mode)
            return found

    def look(self, name: str, mutates: bool) -> None:
        if not mutates or not name.endswith("SetIamPolicy"):
            return
        now = self.readers()
        if (RUNNER in self._before and RUNNER not in now) or (self._before and not now):
            self.violations.append(f"{sorted(self._before)} became {sorted(now)}")
        self._before = now


def prepare(stage: Stage, rng: random.Random) -> None:
    """Draw what is there before, which mode, and how late everything is seen."""
    world = stage.world
    if rng.random() < 0.8:
        with world.aside():
            world.secrets.create_secret("api-key-dev")
            members = {EVE}
            if rng.random() < 0.3:
                world.account("runner-one")
                members |= {RUNNER}
            policy = stage.policies.get_policy(SECRET)
            stage.policies.set_policy(SECRET, IamPolicy((Binding(ACCESSOR, frozenset(members)),), policy.etag))
    with world.store.transaction() as txn:
        strict.set_strict(txn, on=rng.random() < 0.7)
        for which in faults.Lag:
            faults.set_lag(txn, which, rng.choice(LAGS))


def play(stage: Stage, rng: random.Random | None) -> list[ChangeOutcome] | CredsError | None:
    """One run, with random losses unless `rng` is None; what it said, or None if it died."""
    losses = {rng.randrange(250): rng.choice(list(Loss)) for _ in range(rng.randrange(5))} if rng is not None else {}
    stage.world.emulator.before = lambda _name: None
    if rng is not None and rng.random() < 0.6:
        refuse_some(stage, rng)
    try:
        return stage.apply(losses=losses)
    except Died:
        return None
    except CredsError as error:
        return error


def says_what_is_missing(ended: list[ChangeOutcome] | CredsError) -> bool:
    if isinstance(ended, CredsError):
        return bool(str(ended) and ended.hint)
    return all(one.message for one in ended if one.ending != "done")


@pytest.mark.parametrize("text", [SMALL, FULL], ids=["small", "full"])
def test_it_converges_or_says_what_is_missing_and_shuts_nobody_out(
    text: str, exhaustive: bool, tally: dict[str, int]
) -> None:
    for seed in range(SEEDS // 2) if exhaustive else random.Random(text).sample(range(SEEDS // 2), SAMPLE // 2):
        rng = random.Random(f"{seed} {len(text)}")
        stage = Stage(text, strict=False)
        try:
            prepare(stage, rng)
            watch = Watch(stage)
            stage.world.emulator.after = watch.look
            for run in range(RUNS):
                ended = play(stage, rng if run < RUNS // 2 else None)
                assert ended is None or says_what_is_missing(ended), (seed, run, ended)
                assert watch.violations == [], (seed, run)
                stage.world.emulator.losses.clear()
                stage.sleep(60.0)
            tally["runs of setup under random faults"] += RUNS
            assert stage.plan().work == (), (seed, ended)
            assert watch.readers() == {RUNNER}, seed
        finally:
            stage.close()
