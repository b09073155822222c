"""A plan, and what became of it, for people and for programs."""

from collections.abc import Sequence

from orchestra_creds.core.result import Result
from orchestra_creds.errors import ExitCode
from orchestra_creds.setup.change import Change, ChangeKind, ChangeOutcome, Plan, Risk

SIGN = {
    ChangeKind.CREATE: "+",
    ChangeKind.UNDELETE: "+",
    ChangeKind.GRANT: "+",
    ChangeKind.UPDATE: "~",
    ChangeKind.AUDIT: "~",
    ChangeKind.REVOKE: "-",
    ChangeKind.AWAITING: "?",
    ChangeKind.REFUSED: "!",
}


def plan(found: Plan, *, check: bool = False) -> Result:
    """What differs, widening changes first, and the command that applies it; with `check`, drift is exit code 1."""
    order = {Risk.WIDENING: 0, Risk.NARROWING: 1, Risk.LOW: 2}
    shown = sorted(found.changes, key=lambda change: order[change.risk])
    lines = [
        f"drift {drift.rule}: {drift.what}" + (f" ({drift.detail})" if drift.detail else "") for drift in found.drifts
    ]
    if found.unread:
        lines.append("not looked for placeholders: that needs secretmanager.versions.access in the project")
    if found.off:
        lines.append(f"not looked at, because the API is not enabled yet: {', '.join(found.off)}")
    lines.append(_summary(found))
    return Result(
        "orchestra-creds/setup/1",
        {
            "project": found.project,
            "drifted": found.has_drift,
            "values_looked_at": not found.unread,
            "changes": [change_body(change) for change in shown],
            "drifts": [{"rule": drift.rule, "what": drift.what, "detail": drift.detail} for drift in found.drifts],
        },
        ("", "change", "what", "risk"),
        tuple(_row(change) for change in shown),
        tuple(lines),
        ExitCode.ATTENTION if check and found.has_drift else ExitCode.OK,
    )


def change_body(change: Change) -> dict[str, object]:
    """A change as JSON."""
    return {
        "action": str(change.kind),
        "what": change.what,
        "risk": str(change.risk),
        "fields": list(change.fields),
        "reason": change.reason,
    }


def _row(change: Change) -> tuple[str, ...]:
    detail = change.reason or ", ".join(change.fields)
    risk = "" if change.kind in {ChangeKind.AWAITING, ChangeKind.REFUSED} else str(change.risk)
    return SIGN[change.kind], str(change.kind), change.what + (f": {detail}" if detail else ""), risk


def _summary(found: Plan) -> str:
    if not found.work:
        return "nothing to change" if not found.drifts else "nothing that the file speaks of differs"
    widening = sum(change.risk is Risk.WIDENING for change in found.work)
    command = "orchestra-creds setup --yes" + (" --allow-widening" if widening else "")
    told = f", {widening} of them let somebody do more" if widening else ""
    return f"{len(found.work)} {'change' if len(found.work) == 1 else 'changes'}{told}; apply: {command}"


def apply_result(project: str, endings: Sequence[ChangeOutcome]) -> Result:
    """What became of each change; anything that is not done is exit code 5: run it again."""
    undone = [one for one in endings if one.ending != "done"]
    lines = [
        f"{one.ending}: {one.change.what}: {one.message}" + (f" ({one.hint})" if one.hint else "") for one in undone
    ]
    done = len(endings) - len(undone)
    lines.append(
        f"{done} of {len(endings)} changes are done and read back"
        + ("; run setup again for the rest" if undone else "")
    )
    return Result(
        "orchestra-creds/setup-applied/1",
        {
            "project": project,
            "changes": [{**change_body(one.change), "ending": one.ending, "message": one.message} for one in endings],
        },
        ("", "change", "what", "ending"),
        tuple((SIGN[one.change.kind], str(one.change.kind), one.change.what, one.ending) for one in endings),
        tuple(lines),
        ExitCode.INCOMPLETE if undone else ExitCode.OK,
    )


def destroy_result(name: str) -> Result:
    """A secret is gone."""
    return Result(
        "orchestra-creds/setup-destroyed/1", {"name": name}, lines=(f"secret {name} and all its versions are deleted",)
    )
