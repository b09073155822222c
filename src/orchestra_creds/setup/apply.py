"""Brings a plan about: each change is looked at again before it is made, made under its etag, and proven by reading it back.

Changes that do not need one another are made at once: of several secrets or accounts, and of the policies of different holders.

A lost reply is no failure: what is there decides. When something was changed by others in between, that change stops with "changed
under you"; what depends on it is skipped, everything else goes on, and running `setup` again completes the rest. No access is
revoked from a policy in which a grant of the same run failed, or which lacks a declared reader: it may be the only access left.

Where APIs were off when the plan was made, they are enabled first and the rest is planned again once they answer. Only changes of the
plan that was agreed to are made then. What this run made and Google does not know everywhere yet is waited for (`waiting.py`).
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import partial

from orchestra_creds.core.policies import change_policy, is_applied
from orchestra_creds.core.resources import Resource, ResourceKind
from orchestra_creds.errors import (
    ApiDisabledError,
    ApiNotReadyError,
    CancelledError,
    ConfigError,
    ConstraintError,
    CredsError,
    IncompleteError,
    MissingMemberError,
    MissingMetricError,
    NotFoundError,
    PreconditionError,
    QuotaError,
    UnavailableError,
)
from orchestra_creds.parallel import map_in_order
from orchestra_creds.setup.change import Change, ChangeKind, ChangeOutcome, Plan
from orchestra_creds.setup.plan import differing_fields
from orchestra_creds.setup.registry import ENTRIES
from orchestra_creds.setup.snapshot import ProjectPorts
from orchestra_creds.setup.waiting import BRIEF, LONGEST, Sleep, Waiter

MERGES = 6
"""Tries of a read-merge-write of a policy, each after a change by somebody else (docs/setup.md)."""
_PASSING = (PreconditionError, UnavailableError)
"""Why a policy may not be written at once: it was changed in between, or the reply was lost."""
PROOFS = 12
PROOF_SECONDS = 5.0
"""How often and how long a change is looked for: changes of policies are usually seen within two minutes
(cloud.google.com/iam/docs/access-change-propagation); what is not seen in this time is told."""

PlanAgain = Callable[[], Plan]


def apply(
    plan: Plan,
    project: ProjectPorts,
    sleep: Sleep,
    plan_again: PlanAgain,
    announce: Callable[[str], None] = lambda _line: None,
    stopping: threading.Event | None = None,
) -> Iterator[ChangeOutcome]:
    """Return what became of each change, as it comes about; `announce` takes a line about each long wait.

    Once `stopping` is set, which Ctrl-C does, nothing more is begun; `sleep` should end then.
    """
    stopping = stopping or threading.Event()
    waiter = Waiter(sleep, announce)
    if not plan.off:
        yield from _apply(plan.work, project, waiter, stopping)
        return
    first = [change for change in plan.work if _is_service(change)]
    rest = [change for change in plan.work if not _is_service(change)]
    enabled = set()
    for one in _apply(first, project, waiter, stopping):
        enabled |= {one.change.ref.name} if one.change.ref is not None and one.ending == "done" else set()
        yield one
    if not rest:
        return
    try:
        again = waiter.wait_for(plan_again, limit_of_plan)
    except CredsError as error:
        yield from (
            ChangeOutcome(change, "failed", str(error), "run setup again: it goes on from here") for change in rest
        )
        return
    agreed = [change for change in again.changes if change in plan.changes or _is_less(change, rest)]
    yield from _apply([change for change in again.work if change in agreed], project, waiter, stopping, enabled)
    for change in again.changes:
        if change not in agreed and not _is_service(change) and change.kind is not ChangeKind.AWAITING:
            why = change.reason or "it could not be seen when the plan was made"
            yield ChangeOutcome(change, "skipped", why, "run setup again: it plans anew")


def _is_service(change: Change) -> bool:
    return change.ref is not None and change.ref.kind is ResourceKind.SERVICE


def limit_of_plan(error: CredsError) -> float:
    """Return for how many seconds a plan waits for an error to pass: an API that is enabled will answer."""
    return LONGEST if isinstance(error, ApiNotReadyError) else 0.0


def _is_less(change: Change, agreed: Sequence[Change]) -> bool:
    """Return whether a change logs no more calls than one that was agreed to: some of them are logged already."""
    return change.kind is ChangeKind.AUDIT and any(
        all(kinds <= other.audit.get(service, frozenset()) for service, kinds in change.audit.items())
        for other in agreed
    )


def _limit(error: CredsError, change: Change, made: AbstractSet[str], enabled: AbstractSet[str]) -> float:
    """Return for how many seconds a change waits for an error to pass: what this run made is not known everywhere at once.

    A metric comes in any case: the file holds one for each alert that needs it.
    """
    if isinstance(error, ApiDisabledError):
        return LONGEST if error.service in enabled else 0.0
    if isinstance(error, MissingMetricError):
        return LONGEST
    if isinstance(error, NotFoundError | MissingMemberError):
        brief = BRIEF if change.grants else 0.0
        return brief if change.depends_on.isdisjoint(made) else LONGEST
    return 0.0


@dataclass(slots=True)
class _AppliedChanges:
    """What became of the changes so far: names of resources that were made, brought back or not made, and policies without their grant."""

    enabled: AbstractSet[str]
    made: set[str] = field(default_factory=set)
    revived: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)


def _apply(
    work: Sequence[Change],
    project: ProjectPorts,
    waiter: Waiter,
    stopping: threading.Event,
    enabled: AbstractSet[str] = frozenset(),
) -> Iterator[ChangeOutcome]:
    progress = _AppliedChanges(enabled)
    for stage in _stages(work):
        chains = map_in_order(
            partial(_apply_chain, project=project, waiter=waiter, progress=progress, stopping=stopping),
            stage,
            at_once=project.at_once,
            abandon=stopping.set,
        )
        made = {id(outcome.change): outcome for chain in chains for outcome in chain}
        yield from (made[id(change)] for change in work if id(change) in made)


def _stages(work: Sequence[Change]) -> list[list[list[Change]]]:
    """Return the changes in stages that follow one another; of a stage, chains that do not need one another.

    A chain holds changes of one resource or policy in their order.
    """
    stages: list[tuple[str, dict[str, list[Change]]]] = []
    for number, change in enumerate(work):
        kind, subject = _stage_of(change) or (f"alone {number}", "")
        if not stages or stages[-1][0] != kind:
            stages.append((kind, {}))
        stages[-1][1].setdefault(subject, []).append(change)
    return [list(chains.values()) for _, chains in stages]


def _stage_of(change: Change) -> tuple[str, str] | None:
    """Return what changes that may be made at once have in common, and what only one of them may change at a time; None for the others."""
    if change.kind in {ChangeKind.GRANT, ChangeKind.REVOKE}:
        return "policies", (*change.grants, *change.revoked)[0].holder
    if change.kind in {ChangeKind.CREATE, ChangeKind.UPDATE} and change.ref is not None:
        return (str(change.ref.kind), change.ref.name) if ENTRIES[change.ref.kind].at_once else None
    return None


def _apply_chain(
    chain: Sequence[Change],
    *,
    project: ProjectPorts,
    waiter: Waiter,
    progress: _AppliedChanges,
    stopping: threading.Event,
) -> list[ChangeOutcome]:
    """Make the changes of a chain one after the other, until somebody stops it."""

    def sleep(seconds: float) -> None:
        waiter.sleep(seconds)
        if stopping.is_set():
            raise CancelledError("interrupted: run setup again, it goes on from here")

    outcomes = []
    for change in chain:
        if stopping.is_set():
            break
        outcomes.append(_apply_change(change, project, replace(waiter, sleep=sleep), progress))
    return outcomes


def _apply_change(change: Change, project: ProjectPorts, waiter: Waiter, progress: _AppliedChanges) -> ChangeOutcome:
    missing = sorted(change.depends_on & progress.broken)
    if missing:
        outcome = ChangeOutcome(change, "skipped", f"{missing[0]} is missing")
    elif progress.refused & {grant.holder for grant in change.revoked}:
        return ChangeOutcome(change, "skipped", "a grant in the same policy failed, so no access is revoked from it")
    else:
        outcome = _try_change(change, project, waiter, progress)
    if outcome.ending == "done":
        progress.made |= {change.ref.name} if change.ref is not None else set()
        return outcome
    progress.refused |= {grant.holder for grant in change.grants}
    progress.broken |= {change.ref.name} if change.ref is not None else set()
    return outcome


def _try_change(change: Change, project: ProjectPorts, waiter: Waiter, progress: _AppliedChanges) -> ChangeOutcome:
    try:
        waiter.wait_for(
            partial(_make, change, project, waiter.sleep, progress.revived),
            partial(_limit, change=change, made=progress.made, enabled=progress.enabled),
        )
    except NotFoundError as error:  # what it is about, or needs, was there when it was planned
        told = f"{change.what} was changed under you: {error}"
        return ChangeOutcome(change, "failed", told, "run setup again: it plans anew")
    except CredsError as error:
        return ChangeOutcome(change, "failed", str(error), error.hint)
    return ChangeOutcome(change, "done")


def _make(change: Change, project: ProjectPorts, sleep: Sleep, revived: set[str]) -> None:
    match change.kind:
        case ChangeKind.GRANT | ChangeKind.REVOKE:
            _change_policy(change, project, sleep)
        case ChangeKind.AUDIT:
            _change_audit(change, project, sleep)
        case ChangeKind.UNDELETE:
            _undelete(change, project, sleep)
            revived.add(_wanted_resource(change).ref.name)
        case _:
            _change_resource(change, project, sleep, revived)


def _change_resource(change: Change, project: ProjectPorts, sleep: Sleep, revived: set[str]) -> None:
    wanted = _wanted_resource(change)
    store = project.stores[wanted.ref.kind]
    there = store.find(wanted.ref)
    came_back = there is not None and wanted.ref.name.partition("/")[0] in revived  # with its pool, closed
    if there is not None and there.deleted and came_back:
        _undelete(change, project, sleep)
        return
    if there is not None and not there.deleted and not _remaining_fields(change, there):
        return
    if there is not None and came_back:
        change = replace(change, live=there, fields=differing_fields(wanted, there))
    if not _is_unchanged(there, change):
        raise PreconditionError(f"{wanted.ref} was changed under you", hint="run setup again: it plans anew")
    try:
        if there is None:
            store.create(wanted)
        else:
            store.update(wanted, change.fields, there.etag)
    except QuotaError:
        raise
    except UnavailableError:
        _prove(change, project, sleep, lost=True)
        return
    _prove(change, project, sleep)


def _undelete(change: Change, project: ProjectPorts, sleep: Sleep) -> None:
    """Everything in a pool returns with it, old providers too: it is closed before it is put right, and opened last."""
    wanted = _wanted_resource(change)
    store = project.stores[wanted.ref.kind]
    there = store.find(wanted.ref)
    if there is not None and there.deleted:
        try:
            store.undelete(wanted.ref)
        except UnavailableError:
            there = store.find(wanted.ref)
            if there is None or there.deleted:
                raise
    there = store.find(wanted.ref)
    if there is None:
        raise PreconditionError(
            f"{wanted.ref} cannot be brought back", hint="was it deleted for good? choose another name"
        )
    if wanted.ref.kind is ResourceKind.POOL and not there.fields.get("disabled"):
        store.update(replace(wanted, fields={**wanted.fields, "disabled": True}), ("disabled",), there.etag)
        _close_providers(project, wanted.ref.name)
        there = store.find(wanted.ref) or there
    fields = differing_fields(wanted, there)
    if fields:
        store.update(wanted, fields, there.etag)
    _prove(change, project, sleep)


def _close_providers(project: ProjectPorts, pool: str) -> None:
    """Providers that came back with a pool stay closed until the file speaks of them."""
    store = project.stores[ResourceKind.PROVIDER]
    for provider in store.every():
        if provider.ref.name.startswith(f"{pool}/") and not provider.deleted and not provider.fields.get("disabled"):
            store.update(replace(provider, fields={**provider.fields, "disabled": True}), ("disabled",), provider.etag)


def _change_policy(change: Change, project: ProjectPorts, sleep: Sleep) -> None:
    holder = (*change.grants, *change.revoked)[0].holder
    try:
        changed = change_policy(
            project.policies,
            holder,
            change.grants,
            change.revoked,
            tries=MERGES,
            wait=lambda attempt: sleep(min(2.0**attempt, 30.0)),
            passing=_PASSING,
            kept=change.kept,
        )
    except (PreconditionError, UnavailableError) as error:
        if isinstance(error, ApiDisabledError | ConstraintError):
            raise
        raise IncompleteError(f"the policy of {holder} keeps changing", hint="run setup again") from error
    if not changed:
        return
    for _ in range(PROOFS):
        if is_applied(project.policies.get_policy(holder), change.grants, change.revoked):
            return
        sleep(PROOF_SECONDS)
    raise IncompleteError(
        f"the policy of {holder} does not show the change yet", hint="it may take minutes: run setup again"
    )


def _change_audit(change: Change, project: ProjectPorts, sleep: Sleep) -> None:
    before = project.itself.audit()
    wanted = {service: before.get(service, frozenset()) | kinds for service, kinds in change.audit.items()}
    try:
        project.itself.set_audit({**before, **wanted})
    except UnavailableError:
        sleep(1.0)
    for _ in range(PROOFS):
        now = project.itself.audit()
        if all(kinds <= now.get(service, frozenset()) for service, kinds in wanted.items()):
            return
        sleep(PROOF_SECONDS)
    raise IncompleteError("the audit configuration does not show the change yet", hint="run setup again")


def _prove(change: Change, project: ProjectPorts, sleep: Sleep, *, lost: bool = False) -> None:
    """Read it back until it is as it shall be."""
    wanted = _wanted_resource(change)
    store = project.stores[wanted.ref.kind]
    for _ in range(PROOFS):
        there = store.find(wanted.ref)
        if there is not None and not there.deleted and not _remaining_fields(change, there):
            return
        if lost and (there is None or _is_unchanged(there, change)):
            raise UnavailableError(f"the call that changes {wanted.ref} was lost", hint="run setup again")
        sleep(PROOF_SECONDS)
    raise IncompleteError(f"{wanted.ref} does not show the change yet", hint="it may take minutes: run setup again")


def _remaining_fields(change: Change, there: Resource) -> set[str]:
    """The fields of the change that are not yet as they shall be."""
    left = set(differing_fields(_wanted_resource(change), there))
    return left & set(change.fields) if change.kind is ChangeKind.UPDATE else left


def _is_unchanged(there: Resource | None, change: Change) -> bool:
    if there is None or change.live is None:
        return there is None and change.live is None
    return there.fields == change.live.fields and there.deleted == change.live.deleted


def _wanted_resource(change: Change) -> Resource:
    if change.wanted is None:
        raise ConfigError(f"{change.what} cannot be changed")
    return change.wanted
