"""Several rotators on one credential: every interleaving of their calls ends in exactly one rotation.

Each engine runs in a thread of its own that stops before every call until the schedule lets it go; a zombie sleeps past its lease in
the middle of a call and wakes up when another run has finished its work.
"""

import functools
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from orchestra_creds.core.credential import Strategy
from orchestra_creds.rotation.outcome import Ending, Outcome
from orchestra_creds.rotation.timing import LEASE
from tests.rotation.lives import Life, LifeMoment
from tests.rotation.world import POLICY

RACES_BY_DEFAULT, RACES = 36, 2000
READ_BEFORE_PUBLISHED_AFTER = {Strategy.UPLOAD: 841, Strategy.CREATE: 356}
"""Seeds in which one rotator reads the state before another publishes, and the versions after it."""
ZOMBIES_BY_DEFAULT = 10
PROMPT = replace(POLICY, settle=timedelta(0))


class Schedule:
    """Lets one thread at a time make one call."""

    def __init__(self, life: Life, rotators: int) -> None:
        self._gate = threading.Condition()
        self._at_gate: set[int] = set()
        self._running: set[int] = set(range(rotators))
        self._go: int | None = None
        self._numbers: dict[int, int] = {}
        self.outcomes: list[Outcome | None] = [None] * rotators
        self._life = life
        life.world.emulator.before = self._before
        self._threads = [threading.Thread(target=self._rotate, args=(n,), daemon=True) for n in range(rotators)]
        for thread in self._threads:
            thread.start()

    def _rotate(self, number: int) -> None:
        self._numbers[threading.get_ident()] = number
        try:
            self.outcomes[number] = self._life.world.rotate(self._life.credential)
        finally:
            with self._gate:
                self._running.discard(number)
                self._gate.notify_all()

    def _before(self, _name: str) -> None:
        number = self._numbers.get(threading.get_ident())
        if number is None:
            return
        with self._gate:
            self._at_gate.add(number)
            self._gate.notify_all()
            self._gate.wait_for(lambda: self._go == number)
            self._go = None
            self._at_gate.discard(number)

    def waiting(self) -> list[int]:
        """Who stands before a call, once nobody is on the way."""
        with self._gate:
            self._gate.wait_for(lambda: self._go is None and self._at_gate == self._running)
            return sorted(self._running)

    def step(self, number: int) -> None:
        """Let it make its next call."""
        with self._gate:
            self._go = number
            self._gate.notify_all()

    def run(self, choose: Callable[[list[int]], int]) -> int:
        """Until all have ended; how many calls that took."""
        calls = 0
        while waiting := self.waiting():
            self.step(choose(waiting))
            calls += 1
        for thread in self._threads:
            thread.join()
        self._life.world.emulator.before = lambda _name: None
        return calls


@functools.cache
def due_moment(strategy: Strategy) -> LifeMoment:
    """The moment of a life at which its credential is due."""
    with Life(strategy, policy=PROMPT) as life:
        life.run()
        life.world.pass_time(POLICY.every + timedelta(hours=1))
        return life.moment()


def due(strategy: Strategy) -> Life:
    """A life whose credential is due."""
    return Life(moment=due_moment(strategy))


def check_one_rotation(life: Life, outcomes: list[Outcome | None]) -> None:
    endings = [outcome.ending for outcome in outcomes if outcome is not None]
    assert len(endings) == len(outcomes)
    assert set(endings) <= {Ending.ROTATED, Ending.LOCKED, Ending.NOTHING}, [o.message for o in outcomes if o]
    assert endings.count(Ending.ROTATED) == 1
    assert life.world.state().generation == 2
    life.rest()


@pytest.mark.parametrize("strategy", [Strategy.UPLOAD, Strategy.CREATE])
def test_any_interleaving_of_two_or_three_rotators_is_one_rotation(
    strategy: Strategy, exhaustive: bool, tally: dict[str, int]
) -> None:
    for seed in (READ_BEFORE_PUBLISHED_AFTER[strategy], *range(RACES if exhaustive else RACES_BY_DEFAULT)):
        chance = random.Random(seed)
        with due(strategy) as life:
            schedule = Schedule(life, chance.choice([2, 2, 3]))
            schedule.run(chance.choice)
            check_one_rotation(life, schedule.outcomes)
        tally["interleavings"] += 1


@pytest.mark.parametrize("strategy", [Strategy.UPLOAD, Strategy.CREATE])
def test_a_rotator_that_wakes_up_after_its_lease_changes_nothing_that_counts(
    strategy: Strategy, exhaustive: bool, tally: dict[str, int]
) -> None:
    with due(strategy) as life:
        alone = Schedule(life, 1).run(lambda waiting: waiting[0])
    points = range(alone)
    for point in points if exhaustive else random.Random(3).sample(points, ZOMBIES_BY_DEFAULT):
        with due(strategy) as life:
            schedule = Schedule(life, 2)
            for _ in range(point):
                schedule.waiting()
                schedule.step(0)
            schedule.waiting()
            life.world.pass_time(LEASE + timedelta(minutes=1))
            schedule.run(lambda waiting: waiting[-1])
            assert life.world.state().generation == 2
            life.rest()
        tally["zombies"] += 1
