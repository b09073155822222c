"""Death, lost replies and refusals at every call of a credential's life: afterwards every promise holds.

`--exhaustive` runs every call, and pairs of them; by default every changing call, and a seeded sample of the rest.
"""

import functools
import itertools
import random
from collections.abc import Mapping

import pytest

from orchestra_creds.core.credential import Strategy
from tests.rotation.lives import Life, LifeMoment
from tests.rotation.world import Loss

STRATEGIES = (Strategy.UPLOAD, Strategy.CREATE)
READS_BY_DEFAULT = 10
PAIRS_BY_DEFAULT = 12
SAMPLE = 8
PAIRS = 1500


@functools.cache
def undisturbed(strategy: Strategy, *, lags: bool) -> tuple[tuple[bool, ...], tuple[LifeMoment, ...]]:
    """Whether each call of an undisturbed life changes something, and where that life is before each of its runs."""
    with Life(strategy, lags=lags) as life:
        moments = tuple(life.moments())
        return tuple(mutates for _, mutates in life.world.emulator.calls), moments


def calls(strategy: Strategy, *, lags: bool) -> tuple[bool, ...]:
    """Whether each call of an undisturbed life changes something."""
    return undisturbed(strategy, lags=lags)[0]


def lived_through(losses: Mapping[int, Loss], strategy: Strategy, *, lags: bool) -> Life:
    """Return a life in which these calls went wrong; it begins with the run of the first of them, for all before is as undisturbed."""
    start = [moment for moment in undisturbed(strategy, lags=lags)[1] if moment.calls <= min(losses)][-1]
    with Life(moment=start) as life:
        life.live({number - start.calls: loss for number, loss in losses.items()})
        life.rest()
        return life


@pytest.mark.parametrize("lags", [False, True], ids=["prompt", "late"])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("loss", list(Loss), ids=lambda loss: loss.name.lower())
def test_every_changing_call_may_go_wrong(
    strategy: Strategy, loss: Loss, lags: bool, exhaustive: bool, tally: "dict[str, int]"
) -> None:
    numbers = [number for number, mutates in enumerate(calls(strategy, lags=lags)) if mutates]
    if not exhaustive and (
        lags or loss is not Loss.DEATH_AFTER
    ):  # the others are much like a death after this call or the one before
        numbers = random.Random(f"{strategy}{loss}").sample(numbers, SAMPLE)
    for number in numbers:
        check_loss(number, loss, strategy, lags=lags)
        tally["crash points"] += 1


def check_loss(number: int, loss: Loss, strategy: Strategy, *, lags: bool) -> None:
    """One life in which this call goes wrong; it kills the run when it is a death, and only then."""
    life = lived_through({number: loss}, strategy, lags=lags)
    assert life.losses_left == {}
    assert (life.deaths == 1) is (loss in {Loss.DEATH_BEFORE, Loss.DEATH_AFTER})


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_reading_call_may_go_wrong(strategy: Strategy, exhaustive: bool, tally: "dict[str, int]") -> None:
    cases = [
        (number, loss)
        for number, mutates in enumerate(calls(strategy, lags=False))
        for loss in (Loss.DEATH_AFTER, Loss.REFUSED)
        if not mutates
    ]
    if not exhaustive:
        cases = random.Random(7).sample(cases, READS_BY_DEFAULT)
    for number, loss in cases:
        check_loss(number, loss, strategy, lags=False)
        tally["crash points"] += 1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_calls_may_go_wrong(strategy: Strategy, exhaustive: bool, tally: "dict[str, int]") -> None:
    chance = random.Random(11)
    count = len(calls(strategy, lags=True)) + 10
    pairs = list(itertools.combinations(range(count), 2))
    for first, second in chance.sample(pairs, PAIRS if exhaustive else PAIRS_BY_DEFAULT):
        losses = {first: chance.choice(list(Loss)), second: chance.choice(list(Loss))}
        lived_through(losses, strategy, lags=chance.random() < 0.5)
        tally["pairs of crashes"] += 1
