"""Failures that hold up nothing but themselves, as a pure function: a copy, a deploy hook, a retirement."""

from dataclasses import replace

from orchestra_creds.errors import ConstraintError, CredsError, UnavailableError
from orchestra_creds.rotation import retirement
from orchestra_creds.rotation.outcome import Step
from orchestra_creds.rotation.situation import Observations, Situation, StepKind


def seen_after_failure(situation: Situation, step: Step, error: CredsError, *, tries_left: int) -> Observations | None:
    """Return what is known after a step that failed and holds up nothing but itself; where a policy forbids an upload, a key is created.

    None if the failure is one of the whole attempt, or the step is to be tried again: a lost reply is, `tries_left` times.
    """
    kind, seen = StepKind(step.kind), situation.seen
    if kind is StepKind.ACTIVATE and isinstance(error, ConstraintError):
        return replace(seen, forbidden=True)
    if kind is StepKind.DELIVER:
        return replace(seen, undelivered=seen.undelivered | {step.resource})
    if kind is StepKind.DEPLOY_HOOK:
        return replace(seen, hook_failed=True)
    if isinstance(error, UnavailableError) and tries_left > 0:
        return None
    if kind is StepKind.REMOVE_STAGING:
        return replace(seen, staging_removed=True)  # it is empty
    if kind is StepKind.WITHDRAW_COPY:  # it is destroyed after the soak
        done = seen.done | {(kind, step.resource)}
        return replace(seen, done=done, copies_left=seen.copies_left | {step.resource})
    if kind is StepKind.LOOK_FOR_ORPHANS:
        return replace(seen, unswept=True)
    if kind in retirement.RETIREMENT and not retirement.is_leaked(situation, step):
        return replace(seen, unretired=seen.unretired | {retirement.retired_by(step)})
    return None
