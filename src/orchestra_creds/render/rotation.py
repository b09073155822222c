"""What a rotation did, or would do, for people and for programs."""

from orchestra_creds.core.result import Result
from orchestra_creds.render.times import time_text
from orchestra_creds.rotation.outcome import Ending, Outcome, Report, Step

SCHEMA = "orchestra-creds/rotate/1"


def report(found: Report, *, dry: bool) -> Result:
    """One row a credential; below, what needs attention and, of a dry run, the steps."""
    lines = [line for outcome in found.outcomes for line in _lines(outcome, dry=dry)]
    return Result(
        SCHEMA,
        {
            "run": found.run,
            "started": time_text(found.started),
            "ended": time_text(found.ended),
            "dry_run": dry,
            "exit_code": int(found.code),
            "credentials": [body(outcome) for outcome in found.outcomes],
        },
        ("credential", "outcome", "version", "detail"),
        tuple(_row(outcome) for outcome in found.outcomes),
        tuple(lines) if found.outcomes else ("no credential is declared here",),
        found.code,
    )


def body(outcome: Outcome) -> dict[str, object]:
    """An outcome as JSON."""
    return {
        "name": outcome.credential,
        "outcome": outcome.ending.value,
        "message": outcome.message,
        "hint": outcome.hint,
        "generation": outcome.generation,
        "id": outcome.identifier,
        "version": outcome.version or None,
        "notes": list(outcome.notes),
        "error": type(outcome.error).__name__ if outcome.error else None,
        "exit_code": int(outcome.code),
        "steps": [step_body(step) for step in outcome.steps],
    }


def step_body(step: Step) -> dict[str, object]:
    """A step as JSON."""
    return {"action": str(step.action), "resource": step.resource, "mutates": step.mutates, "detail": step.detail}


def _row(outcome: Outcome) -> tuple[str, ...]:
    return outcome.credential, outcome.ending.value, str(outcome.version or "-"), outcome.message


def _lines(outcome: Outcome, *, dry: bool) -> list[str]:
    name = outcome.credential
    lines = [f"{name}: {note}" for note in outcome.notes]
    if dry and outcome.ending is Ending.PLANNED:
        lines += [f"{name}: would {step.action} {step.resource}" for step in outcome.steps]
    if outcome.hint:
        lines.append(f"{name}: hint: {outcome.hint}")
    return lines
