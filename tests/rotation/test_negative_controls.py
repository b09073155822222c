"""Broken variants of the engine, each caught by the same watch that the real one passes: a proof that cannot fail proves nothing."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest

from orchestra_creds.core.credential import Strategy
from orchestra_creds.errors import CredsError, NotFoundError, UnavailableError
from orchestra_creds.rotation import engine, retirement
from orchestra_creds.rotation.engine import Attempt
from orchestra_creds.rotation.executor import StepExecutor
from orchestra_creds.rotation.issuers.service_account_key import ServiceAccountKeys
from orchestra_creds.rotation.outcome import Step
from orchestra_creds.rotation.situation import Situation, StepKind, StepResult
from tests.rotation.lives import Life
from tests.rotation.promises import BrokenPromiseError
from tests.rotation.world import POLICY, Died, Loss


def keys_of(executor: StepExecutor) -> ServiceAccountKeys:
    """The issuer that every life here has."""
    assert isinstance(executor._issuer, ServiceAccountKeys)
    return executor._issuer


def caught(life: Life, losses: Mapping[int, Loss] | None = None) -> str:
    """Which promise the watch says is broken; empty when none is."""
    with life:
        try:
            life.live(losses)
            life.rest()
        except BrokenPromiseError as broken:
            return str(broken)
    return ""


def number_of(action: str, strategy: Strategy = Strategy.UPLOAD, nth: int = 1, **options: Any) -> int:
    """The number of the nth call of a method in an undisturbed life."""
    with Life(strategy, **options) as life:
        life.live()
        names = [name for name, _ in life.world.emulator.calls]
    return [number for number, name in enumerate(names) if name == action][nth - 1]


@pytest.mark.parametrize("strategy", [Strategy.UPLOAD, Strategy.CREATE])
def test_the_real_engine_is_not_caught(strategy: Strategy) -> None:
    assert caught(Life(strategy, lags=True)) == ""


def test_publishing_without_proof_is_caught() -> None:
    with (
        mock.patch.object(StepExecutor, "_verify", return_value=StepResult()),
        mock.patch.object(engine, "SUCCESSES", 1),
    ):
        life = Life(Strategy.UPLOAD, lags=True, policy=replace(POLICY, settle=timedelta(0)))
        assert caught(life).startswith("I1")


def test_disabling_before_the_successor_is_stored_is_caught() -> None:
    class Eager(Attempt):
        def _perform(self, step: Step, kind: StepKind) -> bool:
            current = self._current_situation().state.current
            if kind is StepKind.PUBLISH and current is not None:
                keys_of(self.executor).disable(current.id)
            return super()._perform(step, kind)

    assert caught(Life(Strategy.UPLOAD, engine=Eager)).startswith("I1")


def test_undoing_on_an_ambiguous_error_is_caught() -> None:
    class Undoing(Attempt):
        def _perform(self, step: Step, kind: StepKind) -> bool:
            try:
                return super()._perform(step, kind)
            except UnavailableError:
                if kind is StepKind.PUBLISH:
                    keys_of(self.executor).disable(self._current_situation().state.successor.id)
                    self.executor._issuer.delete(self._current_situation().state.successor.id)
                raise

    publish = number_of("AddSecretVersion", nth=4)
    assert caught(Life(Strategy.UPLOAD, engine=Undoing), {publish: Loss.LOST_REPLY}).startswith("I1")


def test_a_short_grace_is_caught() -> None:
    life = Life(Strategy.UPLOAD, policy=replace(POLICY, grace=timedelta(0)))
    assert caught(life).startswith("I1")


def test_making_a_key_valid_before_it_is_stored_is_caught() -> None:
    real = StepExecutor._stage

    def valid_first(executor: StepExecutor, situation: Situation, step: Step) -> StepResult:
        made = keys_of(executor).make("", situation.token)
        keys_of(executor).activate(made, situation.token)
        return real(executor, situation, step)

    stage = number_of("AddSecretVersion", nth=3)
    with mock.patch.object(StepExecutor, "_stage", valid_first):
        assert caught(Life(Strategy.UPLOAD), {stage: Loss.DEATH_AFTER}).startswith("I2")


def test_probing_by_latest_is_caught() -> None:
    def by_latest(executor: StepExecutor, name: str, at_least: int) -> int:
        return max(executor._latest(name), at_least)

    publish = number_of("AddSecretVersion", nth=4, lags=True)
    with mock.patch.object(StepExecutor, "_top", by_latest):
        assert caught(Life(Strategy.UPLOAD, lags=True), {publish: Loss.DEATH_AFTER}) != ""


def test_taking_any_error_for_absence_is_caught() -> None:
    def careless(executor: StepExecutor, name: str, number: int | str) -> Any:
        try:
            return executor._secrets.get_version(name, number)
        except (NotFoundError, CredsError):
            return None

    publish = number_of("AddSecretVersion", nth=4)
    with mock.patch.object(StepExecutor, "_find_version", careless):
        broken = [
            caught(Life(Strategy.UPLOAD), {publish: Loss.LOST_REPLY, publish + further: Loss.REFUSED})
            for further in range(1, 8)
        ]
    assert any(broken)


def test_retiring_the_newest_version_is_caught() -> None:
    def newest_too(situation: Situation, entry: Any) -> list[Step]:
        newest = situation.state.current.version if situation.state.current else 0
        return [Step(StepKind.DESTROY, f"{situation.credential.secret}/versions/{newest}", detail=entry.id)]

    with mock.patch.object(retirement, "end_of", newest_too):
        assert caught(Life(Strategy.UPLOAD)) != ""


def test_never_sweeping_is_caught() -> None:
    create = number_of("CreateServiceAccountKey", Strategy.CREATE, nth=2)
    with mock.patch.object(retirement, "sweep", return_value=None):
        assert caught(Life(Strategy.CREATE), {create: Loss.DEATH_AFTER}).startswith("I2")


def test_dying_is_dying() -> None:
    with Life(Strategy.UPLOAD) as life:
        life.world.lose({3: Loss.DEATH_BEFORE})
        with pytest.raises(Died):
            life.world.rotate(life.credential)
