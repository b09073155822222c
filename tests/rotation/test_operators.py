"""People, cron and crashes work on one project in any order: `status` is never wrongly green, no exit code lies, no reader loses a key to us.

`--exhaustive` takes 20,000 steps and shows that each of the broken variants of the engine or of `status` is caught; by default there is a
seeded slice, and two variants.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from unittest import mock

from orchestra_creds.errors import ExitCode
from orchestra_creds.rotation import engine, machine, outcomes, retirement, status, transitions
from orchestra_creds.rotation import outcome as reports
from orchestra_creds.rotation.catalog import CredentialCatalog
from orchestra_creds.rotation.looks import StepObserver
from orchestra_creds.rotation.outcome import Step
from orchestra_creds.rotation.situation import Observations, Situation, StepKind, StepResult
from orchestra_creds.rotation.state import State
from tests.rotation.operators import live
from tests.rotation.promises import BrokenPromiseError

STEPS = 20_000
STEPS_OF_A_PROJECT = 120
SLICE = (range(2), 25)
"""Seeds and steps of each."""
Variant = Callable[[], contextlib.AbstractContextManager[Any]]


def test_whatever_people_do_no_claim_is_false(exhaustive: bool, tally: Counter[str]) -> None:
    seeds, steps = (range(STEPS // STEPS_OF_A_PROJECT + 1), STEPS_OF_A_PROJECT) if exhaustive else SLICE
    counted: Counter[str] = Counter()
    for seed in seeds:
        live(seed, steps, counted)
    for what, count in counted.items():
        tally[f"operators: {what}"] += count
    assert counted["steps"] == len(seeds) * steps


def patched(target: Any, name: str, new: Any) -> Variant:
    return lambda: mock.patch.object(target, name, new)


_real_after_leak = transitions._after_leak
_real_key_problems = status._key_problems
_real_end_of = retirement.end_of
_real_issuer_for = StepObserver._issuer_for


def _forget_leak(situation: Situation, result: StepResult) -> tuple[State, Observations]:
    state, seen = _real_after_leak(situation, result)
    return replace(state, leaked=()), seen


def _only_foreign(*arguments: Any) -> list[Any]:
    return [one for one in _real_key_problems(*arguments) if one.problem is not status.Problem.DEAD]


def _newest_too(situation: Situation, entry: Any) -> list[Step]:
    """The end of a predecessor takes the version that readers get."""
    newest = situation.state.current.version if situation.state.current else 0
    return _real_end_of(situation, replace(entry, versions=(*entry.versions[:-1], newest)) if entry.versions else entry)


def _at_declared(executor: StepObserver, _situation: Situation, _target: Any) -> Any:
    return executor._issuer


@contextlib.contextmanager
def _leak_forgotten() -> Iterator[None]:
    table = dict(transitions._STATES)
    table[StepKind.LEAK] = _forget_leak
    with mock.patch.object(transitions, "_STATES", table):
        yield


VARIANTS: Mapping[str, tuple[Variant, str]] = {
    "status does not look at what readers get": (patched(status, "_reader_problems", lambda *_: []), "S"),
    "status does not say what leaked and lives": (patched(State, "alive", ()), "S"),
    "status does not know foreign keys": (patched(status, "_foreign_problems", lambda *_: []), "S"),
    "status knows no due date": (patched(status, "_age_problems", lambda *_: []), "S"),
    "status does not see a disabled key": (patched(status, "_key_problems", _only_foreign), "S"),
    "status does not see a key that is gone": (patched(status, "_target_problems", lambda *_: []), "S"),
    "nobody hears of what nothing declares": (
        patched(CredentialCatalog, "undeclared_secrets", lambda *_, **__: []),
        "S",
    ),
    "a rollback brings back what leaked": (patched(machine, "_may_return", lambda *_: True), ""),
    "the wish to end what leaked is not stored": (_leak_forgotten, ""),
    "what leaked is not ended": (patched(retirement, "end_leaked", lambda *_: None), ""),
    "the end of a predecessor takes the newest version": (patched(retirement, "end_of", _newest_too), ""),
    "an id is looked for at the declared account only": (patched(StepObserver, "_issuer_for", _at_declared), ""),
    "copies do not converge": (patched(machine, "_converge", lambda *_: None), "R3"),
    "a dead current one is nothing to say": (patched(outcomes, "_attention", lambda *_: ""), ""),
    "a version stored by hand is not looked at": (patched(machine, "_foreign_version_step", lambda *_: None), ""),
    "a run with failures ends with 0": (patched(reports, "combined_code", lambda _codes: ExitCode.OK), "R0"),
    "lost creations are forgotten": (
        patched(
            StepObserver,
            "_look_for_orphans",
            lambda _self, situation, _step: StepResult(seen=replace(situation.seen, orphans=())),
        ),
        "K1",
    ),
    "a damaged state is a crash": (patched(engine, "state_on", lambda secret: secret.annotations["nothing"]), "a bug"),
}
"""Broken variants, and the promise whose breach shows each; those found in the product once are among them."""
QUICK = {
    "status does not know foreign keys": 0,
    "status does not see a key that is gone": 0,
    "a damaged state is a crash": 0,
}
"""Variants of the normal run, each with a seed that shows it soon."""


def caught(variant: str, seeds: range, steps: int) -> str:
    """How the variant was caught; empty if it was not."""
    patch, _ = VARIANTS[variant]
    for seed in seeds:
        try:
            with patch():
                live(seed, steps)
        except BrokenPromiseError as broken:
            return str(broken)
    return ""


def test_every_broken_variant_is_caught(exhaustive: bool, tally: Counter[str]) -> None:
    for variant in VARIANTS if exhaustive else QUICK:
        seeds = range(40) if exhaustive else range(QUICK[variant], QUICK[variant] + 1)
        told = caught(variant, seeds, STEPS_OF_A_PROJECT)
        assert told, f"not caught: {variant}"
        assert told.startswith(VARIANTS[variant][1]), told
        tally["operators: broken variants caught"] += 1
