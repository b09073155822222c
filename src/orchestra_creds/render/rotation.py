"""What a rotation did, or would do, for people and for programs."""

from collections.abc import Mapping, Sequence

from orchestra_creds.core.result import Result
from orchestra_creds.errors import ExitCode
from orchestra_creds.render.times import time_text
from orchestra_creds.rotation.journal import JournalVerdict
from orchestra_creds.rotation.outcome import Ending, Outcome, Report, Step

SCHEMA = "orchestra-creds/rotate/1"


def report(found: Report, *, dry: bool, silent: bool = False) -> Result:
    """One row a credential; below, what needs attention and, of a dry run, the steps.

    With `silent`, rows and lines of credentials that nothing was done to are left out; JSON always has them all.
    """
    shown = [o for o in found.outcomes if not silent or o.code or o.notes or o.mutations]
    lines = [line for outcome in shown for line in _lines(outcome, dry=dry)]
    return Result(
        SCHEMA,
        {
            "run": found.run,
            "started": time_text(found.started),
            "ended": time_text(found.ended),
            "dry_run": dry,
            "exit_code": int(found.code),
            "journal_error": found.journal_error or None,
            "listing_error": found.listing_error or None,
            "credentials": [body(outcome) for outcome in found.outcomes],
        },
        ("credential", "outcome", "version", "detail"),
        tuple(_row(outcome) for outcome in shown),
        (*(lines if found.outcomes or silent else ("no credential is declared here",)), *_missing_lines(found)),
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
    return {"action": str(step.kind), "resource": step.resource, "mutates": step.mutates, "detail": step.detail}


def _missing_lines(found: Report) -> list[str]:
    lines = [listing_line(found.listing_error)] if found.listing_error else []
    if found.journal_error:
        lines += [
            f"the journal cannot be written: {found.journal_error}; steps of this run are missing from it",
            "hint: make room or permit writing in the state folder; what was rotated is valid, see orchestra-creds status",
        ]
    return lines


def listing_line(error: str) -> str:
    """What a list that broke off means; every report says it alike."""
    return f"not every secret was seen: {error}; what only labels declare may be missing here"


def _row(outcome: Outcome) -> tuple[str, ...]:
    return outcome.credential, outcome.ending.value, str(outcome.version or "-"), outcome.message


def _lines(outcome: Outcome, *, dry: bool) -> list[str]:
    name = outcome.credential
    lines = [f"{name}: {note}" for note in outcome.notes]
    if dry and outcome.ending is Ending.PLANNED:
        lines += [f"{name}: would {step.kind} {step.resource}" for step in outcome.steps]
    if outcome.hint:
        lines.append(f"{name}: hint: {outcome.hint}")
    return lines


def history(
    found: Sequence[Mapping[str, object]], verdict: JournalVerdict | None, *, more: bool = False, chosen: bool = False
) -> Result:
    """The end of the journal, oldest first; `more` says that it begins earlier, `chosen` that only some of its steps are meant.

    A broken chain is exit code 1.
    """
    columns = ("time", "credential", "generation", "step", "resource", "outcome")
    nothing = "no such step is in the journal" if chosen else "nothing was rotated from this machine yet"
    lines = [f"these are the latest {len(found):,} steps: --limit shows more"] if more else []
    if verdict is not None:
        broken = verdict.broken
        lines.append(
            f"line {broken.number} of {broken.file} does not follow from the one before it: the journal was changed"
            if broken
            else f"{verdict.lines} lines, each following from the one before it"
        )
        lines += [f"line {one.number} of {one.file} was torn when a process died" for one in verdict.torn]
    return Result(
        "orchestra-creds/history/1",
        {"entries": found, "more": more, "intact": None if verdict is None else not verdict.broken},
        columns,
        tuple(tuple(str(entry.get(column, "")) for column in columns) for entry in found),
        tuple(lines) if found or lines else (nothing,),
        ExitCode.ATTENTION if verdict is not None and verdict.broken else ExitCode.OK,
    )
