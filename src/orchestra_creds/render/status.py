"""How credentials stand, for a terminal and for a program."""

from datetime import datetime

from orchestra_creds.core.durations import rough_text
from orchestra_creds.core.result import Result
from orchestra_creds.errors import ExitCode
from orchestra_creds.render.rotation import listing_line
from orchestra_creds.render.times import time_text
from orchestra_creds.rotation.status import CredentialStatus, Survey

SCHEMA = "orchestra-creds/status/1"
BAR = 10


def result(found: Survey, *, check: bool) -> Result:
    """One row a credential, the most urgent first; with `check`, a problem or no declaration at all is exit code 1.

    The exit code is 5 if not every secret was seen.
    """
    lines = [
        f"{one.name}: {one_problem.problem}{f' ({one_problem.detail})' if one_problem.detail else ''}"
        for one in found.statuses
        for one_problem in one.problems
    ]
    if found.listing_error:
        lines.append(listing_line(found.listing_error))
    return Result(
        SCHEMA,
        {
            "project": found.project,
            "at": time_text(found.at),
            "needs_operator": found.needs_operator,
            "notes": list(found.notes),
            "listing_error": found.listing_error or None,
            "credentials": [body(one) for one in found.statuses],
        },
        ("credential", "kind", "version", "age", "of policy", "next rotation", "ends", "state"),
        tuple(_row(one, found.at) for one in found.statuses),
        (*(lines if found.statuses else ("no credential is declared here",)), *found.notes),
        _exit_code(found, check=check),
    )


def _exit_code(found: Survey, *, check: bool) -> ExitCode:
    if found.listing_error:
        return ExitCode.INCOMPLETE
    return ExitCode.ATTENTION if check and found.needs_operator else ExitCode.OK


def body(one: CredentialStatus) -> dict[str, object]:
    """A standing as JSON; lengths in seconds."""
    return {
        "name": one.name,
        "kind": str(one.kind) if one.kind else None,
        "secret": one.secret,
        "source": one.source,
        "phase": one.phase,
        "generation": one.generation,
        "id": one.identifier or None,
        "version": one.version or None,
        "since": time_text(one.since) or None,
        "due": time_text(one.due) or None,
        "age_seconds": int(one.age.total_seconds()) if one.age is not None else None,
        "share": round(one.share, 4),
        "last_used": time_text(one.last_used) or None,
        "expires": time_text(one.expires) or None,
        "secret_expires": time_text(one.secret_expires) or None,
        "retiring": [
            {
                "id": entry.id,
                "versions": list(entry.versions),
                "phase": str(entry.phase),
                "since": time_text(entry.since) or None,
            }
            for entry in one.retiring
        ],
        "destinations": [{"name": name, "holds_current": holds} for name, holds in (one.destinations or {}).items()],
        "problems": [{"problem": str(c.problem), "detail": c.detail} for c in one.problems],
    }


def word(one: CredentialStatus) -> str:
    """Its state in one word."""
    if one.problems:
        return str(one.problems[0].problem)
    if one.phase not in {"idle", "?"}:
        return "rotating"
    return "retiring" if one.retiring else "ok"


def next_rotation(one: CredentialStatus, at: datetime) -> str:
    """When, in words."""
    if one.due is None:
        return "-"
    return f"in {rough_text(one.due - at)}" if one.due > at else f"due for {rough_text(at - one.due)}"


def _row(one: CredentialStatus, at: datetime) -> tuple[str, ...]:
    age = rough_text(one.age) if one.age is not None else "-"
    return (
        one.name,
        str(one.kind or "-"),
        str(one.version or "-"),
        age,
        bar(one.share),
        next_rotation(one, at),
        f"{one.ends:%Y-%m-%d}" if one.ends else "-",
        word(one),
    )


def bar(share: float) -> str:
    """`#######---  68%`: age against policy."""
    full = min(int(share * BAR + 0.5), BAR)
    return "#" * full + "-" * (BAR - full) + f" {share:4.0%}"
