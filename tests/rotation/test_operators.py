"""People, cron and crashes work on one project in any order: `status` is never wrongly green, no exit code lies, no reader loses a key to us.

`--exhaustive` takes 20,000 steps and shows that each of the broken variants of the engine or of `status` is caught; by default there is a
seeded slice, and three variants.
"""

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from unittest import mock

from orchestra_creds.errors import ExitCode, NotFoundError
from orchestra_creds.rotation import engine, machine, outcomes, retirement, status, transitions
from orchestra_creds.rotation import outcome as reports
from orchestra_creds.rotation.catalog import CredentialCatalog
from orchestra_creds.rotation.engine import Attempt
from orchestra_creds.rotation.issuers.service_account_key import ServiceAccountKeys
from orchestra_creds.rotation.looks import StepObserver
from orchestra_creds.rotation.outcome import Step
from orchestra_creds.rotation.situation import Observations, Situation, StepKind, StepResult
from orchestra_creds.rotation.state import Predecessor, Retirement, State
from tests.rotation.operators import BY_NAME, live
from tests.rotation.promises import BrokenPromiseError

STEPS = 20_000
STEPS_OF_A_PROJECT = 120
SLICE = (range(2), 25)
"""Seeds and steps of each."""
Variant = Callable[[], contextlib.AbstractContextManager[Any]]


def tell(text: str) -> None:
    """Show how far a test has come that takes long."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def test_whatever_people_do_no_claim_is_false(exhaustive: bool, tally: Counter[str]) -> None:
    seeds, steps = (range(STEPS // STEPS_OF_A_PROJECT + 1), STEPS_OF_A_PROJECT) if exhaustive else SLICE
    counted: Counter[str] = Counter()
    broken = []
    for seed in seeds:
        try:
            live(seed, steps, counted)
        except BrokenPromiseError as error:
            broken.append(str(error))
        if exhaustive:
            tell(f"seed {seed}: {counted['steps']} steps, {len(broken)} broken promises: {broken[-1:]}")
    for what, count in counted.items():
        tally[f"operators: {what}"] += count
    assert not broken, "\n\n".join(broken)
    assert counted["steps"] == len(seeds) * steps


def patched(target: Any, name: str, new: Any) -> Variant:
    return lambda: mock.patch.object(target, name, new)


_real_after_leak = transitions._after_leak
_real_key_problems = status._key_problems
_real_end_of = retirement.end_of
_real_perform = Attempt._perform


def _forget_leak(situation: Situation, result: StepResult) -> tuple[State, Observations]:
    state, seen = _real_after_leak(situation, result)
    return replace(state, leaked=()), seen


def _only_foreign(*arguments: Any) -> list[Any]:
    return [one for one in _real_key_problems(*arguments) if one.problem is not status.Problem.DEAD]


def _newest_too(situation: Situation, entry: Predecessor) -> list[Step]:
    """The deletion of a predecessor destroys the version that readers get."""
    steps, current = _real_end_of(situation, entry), situation.state.current
    if current is None or entry.phase is not Retirement.DISABLED:
        return steps
    return [
        *steps,
        Step(StepKind.DESTROY, f"{situation.credential.secret}/versions/{current.version}", detail=entry.id),
    ]


def _delete_unseen(keys: ServiceAccountKeys, identifier: str) -> None:
    """The key is deleted without a look at whether somebody enabled it again."""
    with contextlib.suppress(NotFoundError):
        keys._keys.delete_key(keys._account, identifier)


def _always_done(attempt: Attempt, step: Step, kind: StepKind) -> bool:
    _real_perform(attempt, step, kind)
    return True


def _no_orphans(_observer: StepObserver, situation: Situation, _step: Step) -> StepResult:
    return StepResult(seen=replace(situation.seen, orphans=()))


def _at_declared(executor: StepObserver, _situation: Situation, _target: Any) -> Any:
    return executor._issuer


@contextlib.contextmanager
def _leak_forgotten() -> Iterator[None]:
    table = dict(transitions._STATES)
    table[StepKind.LEAK] = _forget_leak
    with mock.patch.object(transitions, "_STATES", table):
        yield


VARIANTS: Mapping[str, tuple[Variant, str, str]] = {
    "status does not look at what readers get": (
        patched(status, "_reader_problems", lambda *_: []),
        "S",
        "disable_version",
    ),
    "status does not say what leaked and lives": (patched(State, "alive", ()), "S", "leaked_but_refused"),
    "status does not know foreign keys": (
        patched(status, "_foreign_problems", lambda *_: []),
        "S",
        "create_foreign_key",
    ),
    "status knows no due date": (patched(status, "_age_problems", lambda *_: []), "S", "no_cron"),
    "status does not see a disabled key": (patched(status, "_key_problems", _only_foreign), "S", "disable_key"),
    "status does not see a key that is gone": (patched(status, "_target_problems", lambda *_: []), "S", "delete_key"),
    "nobody hears of what nothing declares": (
        patched(CredentialCatalog, "undeclared_secrets", lambda *_, **__: []),
        "S",
        "remove_credential",
    ),
    "a rollback brings back what leaked": (patched(machine, "_may_return", lambda *_: True), "L3", "back_after_leak"),
    "nobody asks who took a key out of service": (
        patched(StepObserver, "_taken_out", lambda *_: ""),
        "",
        "back_after_exposure force",
    ),
    "the wish to end what leaked is not stored": (_leak_forgotten, "L", "leaked"),
    "what leaked is not ended": (patched(retirement, "end_leaked", lambda *_: None), "L", "leaked"),
    "the end of a predecessor takes the newest version": (
        patched(retirement, "end_of", _newest_too),
        "E1",
        "quiet_week",
    ),
    "a key that somebody enabled again is deleted": (
        patched(ServiceAccountKeys, "delete", _delete_unseen),
        "E2",
        "quiet_week wake_predecessor",
    ),
    "an id is looked for at the declared account only": (
        patched(StepObserver, "_issuer_for", _at_declared),
        "K1",
        "move",
    ),
    "copies do not converge": (patched(machine, "_converge", lambda *_: None), "R3", "empty_rack"),
    "a dead current one is nothing to say": (patched(outcomes, "_attention", lambda *_: ""), "R1", "no_cron"),
    "a version stored by hand is not looked at": (
        patched(machine, "_foreign_version_step", lambda *_: None),
        "R2",
        "add_version",
    ),
    "a run with failures ends with 0": (
        patched(reports, "combined_code", lambda _codes: ExitCode.OK),
        "R0",
        "switch_account",
    ),
    "an end that fails holds up a rotation that is due": (
        patched(retirement, "RETIREMENT", frozenset()),
        "D1",
        "lose_the_right_to_end",
    ),
    "a delivery that failed is in the journal as done": (patched(Attempt, "_perform", _always_done), "J1", "fill_disk"),
    "lost creations are forgotten": (patched(StepObserver, "_look_for_orphans", _no_orphans), "K1", "lose_a_creation"),
    "a damaged state is a crash": (
        patched(engine, "state_on", lambda secret: secret.annotations["nothing"]),
        "a bug",
        "edit_annotation",
    ),
}
"""Broken variants, the promise whose breach shows each, and what people do more often than else; those found in the product once are among them."""
QUICK = ("status does not know foreign keys", "a version stored by hand is not looked at", "a damaged state is a crash")
"""Variants of the normal run: they are caught soon."""


def caught(variant: str, seeds: range, steps: int) -> str:
    """How the variant was caught; empty if it was not."""
    patch, _, often = VARIANTS[variant]
    favored = [BY_NAME[name] for name in often.split()]
    for seed in seeds:
        try:
            with patch():
                live(seed, steps, favored=favored)
        except BrokenPromiseError as broken:
            return str(broken)
    return ""


def test_every_broken_variant_is_caught(exhaustive: bool, tally: Counter[str]) -> None:
    missed = []
    for variant in VARIANTS if exhaustive else QUICK:
        told = caught(variant, range(8 if exhaustive else 1), STEPS_OF_A_PROJECT)
        if exhaustive:
            tell(f"{variant}: {told[:120] or 'NOT CAUGHT'}")
        if not told.startswith(VARIANTS[variant][1]) or not told:
            missed.append((variant, told))
        tally["operators: broken variants caught"] += bool(told)
    assert not missed
