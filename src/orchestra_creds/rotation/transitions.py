"""What a step leads to, as pure functions: the facts it adds, and the state that a compare-and-swap is to write."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from orchestra_creds.core.credential import CredentialKind
from orchestra_creds.rotation.end_of_life import left_alive
from orchestra_creds.rotation.machine import is_behind, rollback_predecessor
from orchestra_creds.rotation.outcome import Step
from orchestra_creds.rotation.retirement import end_of
from orchestra_creds.rotation.situation import (
    PREDICTED,
    Observations,
    Situation,
    StepKind,
    StepResult,
)
from orchestra_creds.rotation.state import (
    CurrentCredential,
    Lease,
    OrphanWindow,
    Phase,
    Predecessor,
    Retirement,
    State,
    Successor,
)
from orchestra_creds.rotation.timing import CREATED_WITHIN, LEASE, SWEEP_AFTER


def situation_after(situation: Situation, step: Step, result: StepResult) -> Situation:
    """Return the situation after a step; after a step of WRITES_STATE its state is the one to write."""
    kind = StepKind(step.kind)
    if result.seen is not None:
        situation = replace(situation, seen=result.seen)
    if kind in _STATES:
        state, seen = _STATES[kind](situation, result)
        return replace(situation, state=state, seen=seen)
    if kind in _FACTS:
        return replace(situation, seen=_FACTS[kind](situation.seen, step, result))
    return situation


def forget_doubtful(seen: Observations, kind: StepKind) -> Observations:
    """Return the observations without those that a lost reply to such a step makes doubtful.

    Every step that is not named here is repeated after a lost reply.
    """
    match kind:
        case StepKind.STAGE:
            return replace(seen, staged=None)
        case StepKind.CREATE:
            return replace(seen, opened=False, made=None, staged=None)
        case StepKind.PUBLISH:
            return replace(seen, published=None)
    return seen


def predict_result(situation: Situation, step: Step) -> StepResult:
    """Return the answer that a dry run expects of a step."""
    match StepKind(step.kind):
        case StepKind.STAGE:
            return StepResult(situation.seen.staged_top + 1)
        case StepKind.ACTIVATE | StepKind.CREATE:
            return StepResult(id=PREDICTED)
        case StepKind.PUBLISH:
            return StepResult((situation.seen.newest or situation.state.base) + 1)
        case StepKind.PROVE:
            return StepResult(seen=replace(situation.seen, proved=True))
        case StepKind.PROVE_END:
            return StepResult(seen=replace(situation.seen, ended={**situation.seen.ended, step.detail: True}))
        case StepKind.CLEAN:
            return StepResult(
                max(situation.state.successor.staged, situation.seen.staged or 0, situation.seen.staged_top)
            )
    return StepResult()


_FACTS: Mapping[StepKind, Callable[[Observations, Step, StepResult], Observations]] = {
    StepKind.MAKE_SECRET: lambda seen, _step, _result: replace(seen, exists=True, newest=0),
    StepKind.MAKE_STAGING: lambda seen, _step, _result: replace(seen, staging=True, staged_top=0),
    StepKind.PRE_HOOK: lambda seen, _step, _result: replace(seen, pre_hook=True),
    StepKind.STAGE: lambda seen, _step, result: replace(seen, staged=result.number),
    StepKind.ACTIVATE: lambda seen, _step, result: replace(seen, activated=result.id),
    StepKind.CREATE: lambda seen, _step, result: replace(seen, made=result.id, opened=False),
    StepKind.ENABLE: lambda seen, _step, _result: replace(seen, enabled=True, refused=False),
    StepKind.VERIFY: lambda seen, _step, _result: replace(seen, verified=not seen.refused),
    StepKind.PUBLISH: lambda seen, _step, result: replace(seen, published=result.number),
    StepKind.DELIVER: lambda seen, step, result: replace(
        seen,
        delivered={**seen.delivered, step.resource: step.detail},
        copied={**seen.copied, result.id: result.number} if result.number else seen.copied,
    ),
    StepKind.REMOVE_STAGING: lambda seen, _step, _result: replace(seen, staging_removed=True),
    StepKind.DEPLOY_HOOK: lambda seen, _step, _result: replace(seen, hooked=True),
    StepKind.CLEAN: lambda seen, _step, result: replace(seen, cleaned=result.number),
    StepKind.KILL: lambda seen, _step, _result: replace(seen, killed=True),
    StepKind.DISABLE: lambda seen, step, _result: _add_done(seen, step),
    StepKind.WITHDRAW: lambda seen, step, _result: _add_done(seen, step),
    StepKind.DELETE: lambda seen, step, _result: _add_done(seen, step),
    StepKind.DESTROY: lambda seen, step, _result: _add_done(seen, step),
    StepKind.WITHDRAW_COPY: lambda seen, step, _result: _add_done(seen, step),
    StepKind.DESTROY_COPY: lambda seen, step, _result: _add_done(seen, step),
}


def _add_done(seen: Observations, step: Step) -> Observations:
    return replace(seen, done=seen.done | {(StepKind(step.kind), step.resource)})


def _renew_lease(situation: Situation) -> State:
    """The state with the lease renewed."""
    return replace(situation.state, lease=Lease(situation.run, situation.now + LEASE))


def _with_copies(state: State, seen: Observations) -> State:
    """The state with the versions of other secrets that got the current one in this run."""
    current = state.current
    if current is None or not seen.copied:
        return state
    copies = tuple(dict.fromkeys((*current.copies, *seen.copied.items())))
    return replace(state, current=replace(current, copies=copies))


def _after_lease(situation: Situation, _result: StepResult) -> tuple[State, Observations]:
    taken = (entry.id for entry in situation.state.retiring if situation.seen.taken.get(entry.id))
    return _with_leaked(_renew_lease(situation), *taken), situation.seen


def _with_leaked(state: State, *identifiers: str) -> State:
    return replace(state, leaked=tuple(dict.fromkeys((*state.leaked, *identifiers))))


def _after_leak(situation: Situation, _result: StepResult) -> tuple[State, Observations]:
    """The wish outlives this run: whoever goes on replaces the current one, gives it no grace, and ends it."""
    current = situation.state.current
    leaked = situation.want.leaked_id or (current.id if current else "")
    wish = _with_leaked(_renew_lease(situation), leaked)
    retiring = tuple(_as_leaked(entry) if entry.id == leaked else entry for entry in wish.retiring)
    return replace(wish, retiring=retiring), replace(situation.seen, leak_recorded=True)


def _as_leaked(entry: Predecessor) -> Predecessor:
    """A predecessor without a grace; one that was disabled for its age is proven dead once more."""
    return replace(entry, phase=Retirement.LEAKED, since=None)


def _after_begin(situation: Situation, _result: StepResult) -> tuple[State, Observations]:
    seen, renewed = situation.seen, _with_learned(_renew_lease(situation), situation.seen)
    current = renewed.current
    newest = seen.newest or 0
    if current is not None and newest > current.version and seen.newest_is_ours:
        current = replace(
            current, versions=(*current.versions, newest)
        )  # a run that came back from the dead published it again
    begun = replace(
        renewed,
        phase=Phase.STAGING if seen.local else Phase.CREATING,
        base=newest,
        staged_base=seen.staged_top if seen.staging_restarted else max(seen.staged_top, renewed.staged_base),
        successor=Successor(target=situation.target),
        known=() if seen.local else seen.known,
        started=situation.now,
        current=current,
        last_failure=None,
    )
    cleaned = 0 if seen.staging_restarted else seen.cleaned  # numbers of the secret that was there before
    return begun, replace(seen, staged=0, published=0, opened=True, made=None, verified=False, cleaned=cleaned)


def _after_roll_back(situation: Situation, _result: StepResult) -> tuple[State, Observations]:
    """From here a rollback is a rotation whose successor exists already: without a staged copy, its material is in an old version."""
    back = rollback_predecessor(situation.state)
    begun = replace(
        _renew_lease(situation),
        phase=Phase.ISSUED,
        base=situation.seen.newest or 0,
        successor=Successor(id=back.id, target=back.target) if back else Successor(),
        started=situation.now,
        last_failure=None,
    )
    return begun, replace(situation.seen, published=0)


def _after_create_instead(situation: Situation, _result: StepResult) -> tuple[State, Observations]:
    """An organization policy forbids uploads: the staged key never becomes valid, and the issuer makes one from here on."""
    state = situation.state
    begun = replace(
        _renew_lease(situation),
        phase=Phase.CREATING,
        staged_base=max(state.staged_base, state.successor.staged),
        successor=Successor(target=state.successor.target),
        known=situation.seen.known,
        started=situation.now,
    )
    return begun, replace(situation.seen, staged=0, opened=True, made=None, forbidden=False)


def _after_reopen(situation: Situation, _result: StepResult) -> tuple[State, Observations]:
    """A creation was lost on the way: remember what was there before it and when, so that its orphan can be found."""
    state, now = situation.state, situation.now
    lost = _orphan_window(state, now)
    again = replace(
        _renew_lease(situation), unresolved=(*state.unresolved, lost), known=situation.seen.known, started=situation.now
    )
    return again, replace(situation.seen, opened=True, made=None, staged=0)


def _orphan_window(state: State, now: datetime) -> OrphanWindow:
    """The time in which a creation of ours was lost. What others made later, before a run came back to it, is theirs."""
    opened = state.started or now
    return OrphanWindow(state.known, opened, min(now, opened + CREATED_WITHIN), state.successor.target)


def _after_prepare(situation: Situation, result: StepResult) -> tuple[State, Observations]:
    made = Successor(situation.seen.staged or 0, "", result.fingerprint, situation.state.successor.target)
    return replace(_renew_lease(situation), phase=Phase.PREPARED, successor=made), situation.seen


def _after_issue(situation: Situation, _result: StepResult) -> tuple[State, Observations]:
    seen, successor = situation.seen, situation.state.successor
    made = replace(successor, staged=seen.staged or successor.staged, id=seen.activated or seen.made or "")
    return replace(_renew_lease(situation), phase=Phase.ISSUED, successor=made, known=()), seen


def _after_promote(situation: Situation, _result: StepResult) -> tuple[State, Observations]:
    """The successor is what readers get; its predecessor waits for the destinations before its grace begins."""
    state, seen = _with_copies(situation.state, situation.seen), situation.seen
    new = state.successor.id
    back = next((entry for entry in state.retiring if entry.id == new), None)
    retiring = tuple(entry for entry in state.retiring if entry.id != new)
    if state.current is not None and state.current.id != new:
        if (seen.dead and not seen.withdrawn) or seen.taken.get(state.current.id):
            state = _with_leaked(state, state.current.id)
        retiring = (*retiring, *_predecessor(state))
    policy, since = situation.credential.policy, situation.now
    if back is not None:  # it is as old as it is; the operator has the grace to mend what was wrong with its successor
        since = max(back.born or situation.now, situation.now - policy.every + policy.grace)
    promoted = replace(
        _renew_lease(replace(situation, state=state)),
        generation=state.generation + 1,
        phase=Phase.PUBLISHED,
        current=CurrentCredential(
            new,
            (*(back.versions if back else ()), situation.seen.published or 0),
            since,
            target=state.successor.target,
            copies=back.copies if back else (),
        ),
        retiring=retiring,
        leaked=state.leaked,
        started=None,
    )
    seen = _forget_current(seen)
    return promoted, replace(seen, rotated=False, newest=None) if seen.covered and _is_ordinary(situation) else seen


def _is_ordinary(situation: Situation) -> bool:
    """Whether a run may begin what is due, and nobody has asked for more."""
    want = situation.want
    return want.start and not (want.back or want.force or want.adopt or want.leaked)


def _forget_current(seen: Observations) -> Observations:
    """Return the observations without those of the current one, which are not true of its successor."""
    return replace(
        seen,
        rotated=True,
        leak_recorded=True,
        proved=None,
        dead=False,
        withdrawn=False,
        newer=False,
        copied={},
        healthy=None,
        expires=None,
        end_known=False,
        remade=False,
    )


def _predecessor(state: State) -> tuple[Predecessor, ...]:
    if state.current_leaked:
        return state.as_leaked
    return tuple(replace(entry, phase=Retirement.GRACE) for entry in state.as_leaked)


def _after_redeliver(situation: Situation, _result: StepResult) -> tuple[State, Observations]:
    return replace(_renew_lease(situation), phase=Phase.PUBLISHED), situation.seen


def _after_finish(situation: Situation, _result: StepResult) -> tuple[State, Observations]:
    seen, now = situation.seen, situation.now
    state = _with_copies(situation.state, seen)
    names = {copy.name for copy in situation.credential.copies}
    held = {name: identifier for name, identifier in {**state.delivered, **seen.delivered}.items() if name in names}
    done = replace(_drop_lease(state, seen), delivered=held, hooked=state.generation if seen.hooked else state.hooked)
    if not is_behind(situation):
        started = tuple(replace(entry, since=entry.since or now) for entry in done.retiring)
        done = replace(done, phase=Phase.IDLE, retiring=started, settled=now, last_failure=None)
    return done, replace(seen, finished=not _goes_on(situation))


def _goes_on(situation: Situation) -> bool:
    """Whether a run that only finished what an earlier one began, or a person, still has to ask whether that is in force and due."""
    seen = situation.seen
    return _is_ordinary(situation) and not (seen.rotated or seen.copies_compared or is_behind(situation))


def _after_abandon(situation: Situation, _result: StepResult) -> tuple[State, Observations]:
    """The successor never worked: nobody has it, so it is retired at once; one that was to come back keeps its old place."""
    state = situation.state
    renewed = _renew_lease(situation)
    if situation.seen.taken.get(state.successor.id):
        renewed = _with_leaked(renewed, state.successor.id)
    returning = any(entry.id == state.successor.id for entry in state.retiring)
    entry = () if returning else (_orphan(situation, state.successor.id),)
    left = Successor(state.successor.staged)
    given_up = replace(renewed, phase=Phase.IDLE, retiring=(*state.retiring, *entry), successor=left, started=None)
    return given_up, replace(situation.seen, refused=False, abandoned=True, proved=None)


def _after_give_up(situation: Situation, _result: StepResult) -> tuple[State, Observations]:
    """The staged copy is gone, so nobody can ever use the successor: it is retired, and a new one may begin at once."""
    seen = situation.seen
    state = _without_successor(_renew_lease(situation), seen, situation)
    fresh = replace(
        seen,
        lost=None,
        staged=None,
        staging=None,
        staged_checked=False,
        made=None,
        opened=False,
        activated="",
        ready=False,
    )
    return state, fresh


def _without_successor(state: State, seen: Observations, situation: Situation) -> State:
    """The state without the rotation that is under way; what it may have made valid is an orphan."""
    made = state.successor.id or seen.lost or ""
    retiring, unresolved = state.retiring, state.unresolved
    if made and all(entry.id != made for entry in retiring) and (state.current is None or made != state.current.id):
        orphan = _orphan(situation, made)
        retiring = (*retiring, replace(orphan, versions=(seen.published,)) if seen.published else orphan)
    elif state.phase is Phase.CREATING and not made:
        unresolved = (*unresolved, _orphan_window(state, situation.now))
    left = Successor(state.successor.staged)
    return replace(
        state, phase=Phase.IDLE, retiring=retiring, unresolved=unresolved, successor=left, known=(), started=None
    )


def _orphan(situation: Situation, identifier: str) -> Predecessor:
    """What the rotation under way made, and no reader ever got."""
    begun, target = situation.state.started, situation.state.successor.target
    return Predecessor(identifier, (), Retirement.ORPHAN, situation.now, begun, target=target)


def _with_learned(state: State, seen: Observations) -> State:
    if state.current is None or state.current.target is not None:
        return state
    return replace(state, current=replace(state.current, target=seen.learned))


def _after_end(situation: Situation, _result: StepResult) -> tuple[State, Observations]:
    """Nothing is current any more: whatever may be valid is to be disabled, without a grace."""
    seen = situation.seen
    state = _with_learned(_renew_lease(situation), seen)
    if state.phase not in {Phase.IDLE, Phase.PUBLISHED}:
        state = _without_successor(state, seen, situation)
    current = state.current
    if current is not None and seen.newest_is_ours:  # a run that came back from the dead published it again
        state = replace(state, current=replace(current, versions=(*current.versions, seen.newest or 0)))
    retiring = (*state.retiring, *_predecessor(state))
    ended = replace(state, phase=Phase.IDLE, current=None, retiring=retiring, ended=situation.now, last_failure=None)
    return ended, replace(seen, staged=None, staging=None, lost=None)


def _after_forget(situation: Situation, _result: StepResult) -> tuple[State, Observations]:
    left = () if situation.state.ended else left_alive(situation.state, situation.staging)
    state = situation.state
    unsafe = bool(state.alive or state.unresolved or any(entry.phase is Retirement.ORPHAN for entry in state.retiring))
    seen = replace(situation.seen, finished=True, forgotten=True, left=left, left_unsafe=bool(left) and unsafe)
    return State(), seen


def _after_adopt(situation: Situation, _result: StepResult) -> tuple[State, Observations]:
    """A version that others made becomes the current one; the one before it is retired as after a promotion."""
    seen = situation.seen
    state = _with_copies(situation.state, seen)
    back = next((entry for entry in state.retiring if entry.id == seen.newest_id), None)
    versions = (*(back.versions if back else ()), seen.newest or 0)
    since, copies = seen.newest_since or situation.now, back.copies if back else ()
    current = CurrentCredential(seen.newest_id, versions, since, target=situation.target, copies=copies)
    if state.current is None:
        return replace(state, current=current), seen
    adopted = replace(
        _renew_lease(situation),
        generation=state.generation + 1,
        phase=Phase.PUBLISHED,
        current=current,
        retiring=(*(entry for entry in state.retiring if entry is not back), *_predecessor(state)),
    )
    return adopted, _forget_current(seen)


def _after_claim(situation: Situation, _result: StepResult) -> tuple[State, Observations]:
    state, seen = situation.state, situation.seen
    claimed = tuple(
        Predecessor(name, (number,), Retirement.GRACE, situation.now, target=situation.target)
        for number, name in seen.adoptable
    )
    return replace(state, retiring=(*claimed, *state.retiring)), replace(seen, adoptable=())


def _after_record(situation: Situation, _result: StepResult) -> tuple[State, Observations]:
    """A version that a person added becomes the current one; destinations and grace follow as after a promotion."""
    seen = situation.seen
    state = _with_copies(situation.state, seen)
    number = seen.newest or 0
    retiring = state.retiring
    if state.current is not None and (situation.credential.kind is not CredentialKind.MANUAL or state.current_leaked):
        retiring = (*retiring, *_predecessor(state))
    recorded = replace(
        _renew_lease(situation),
        generation=state.generation + 1,
        phase=Phase.PUBLISHED,
        current=CurrentCredential(f"v{number}", (number,), seen.newest_since or situation.now, target=situation.target),
        retiring=retiring,
    )
    by_hand = (
        situation.credential.kind is CredentialKind.MANUAL
    )  # of other kinds this run may make the successor, if it is due
    return recorded, replace(_forget_current(seen), rotated=by_hand)


def _after_record_end(situation: Situation, _result: StepResult) -> tuple[State, Observations]:
    state, seen = situation.state, situation.seen
    current = replace(state.current, expires=seen.expires) if state.current is not None else None
    return replace(state, current=current), seen


def _after_sweep(situation: Situation, _result: StepResult) -> tuple[State, Observations]:
    renewed = _renew_lease(situation)
    windows = tuple(window for window in renewed.unresolved if situation.now - window.closed < SWEEP_AFTER)
    targets = situation.seen.orphan_targets
    opened = min((window.opened for window in renewed.unresolved), default=None)
    new = tuple(
        Predecessor(name, (), Retirement.ORPHAN, situation.now, opened, target=targets.get(name))
        for name in situation.seen.orphans or ()
    )
    return replace(renewed, unresolved=windows, retiring=(*renewed.retiring, *new)), replace(
        situation.seen, orphans=None
    )


def _after_retire(situation: Situation, _result: StepResult) -> tuple[State, Observations]:
    state, seen, by_hand = situation.state, situation.seen, situation.credential.kind is CredentialKind.MANUAL
    left, spared = [], seen.enabled_again if state.ended is None else frozenset()
    for entry in state.retiring:
        if entry.id in spared:
            left.append(_as_enabled_again(situation, entry))
            continue
        alive = (entry.phase is Retirement.LEAKED and not seen.ended.get(entry.id)) or seen.ended.get(entry.id) is False
        if not alive and all((StepKind(s.kind), s.resource) in seen.done for s in end_of(situation, entry)):
            if entry.phase is Retirement.DISABLED or (by_hand and state.ended is None):
                continue
            entry = replace(entry, phase=Retirement.DISABLED, since=situation.now)  # noqa: PLW2901
        left.append(entry)
    known = {entry.id for entry in left} | ({state.current.id} if state.current else set())
    renewed = _drop_lease(state, seen) if state.phase is Phase.IDLE else _renew_lease(situation)
    if spared:
        seen = replace(seen, enabled_again=frozenset(), spared=seen.spared | spared)
    return replace(renewed, retiring=tuple(left), leaked=tuple(name for name in state.leaked if name in known)), seen


def _as_enabled_again(situation: Situation, entry: Predecessor) -> Predecessor:
    """A predecessor that somebody enabled again has its grace anew; one that leaked is ended again."""
    if entry.id in situation.state.leaked:
        return _as_leaked(entry)
    return replace(entry, phase=Retirement.GRACE, since=situation.now)


def _after_release(situation: Situation, _result: StepResult) -> tuple[State, Observations]:
    return _drop_lease(situation.state, situation.seen), situation.seen


def _drop_lease(state: State, seen: Observations) -> State:
    """Without the lease, and without the staged copy if that is gone."""
    base = max(state.staged_base, seen.cleaned)
    gone = state.successor.staged <= base
    return replace(state, lease=None, staged_base=base, successor=Successor() if gone else state.successor)


_STATES: Mapping[StepKind, Callable[[Situation, StepResult], tuple[State, Observations]]] = {
    StepKind.ADOPT: _after_adopt,
    StepKind.CLAIM: _after_claim,
    StepKind.RECORD: _after_record,
    StepKind.RECORD_END: _after_record_end,
    StepKind.LEAK: _after_leak,
    StepKind.GIVE_UP: _after_give_up,
    StepKind.END: _after_end,
    StepKind.FORGET: _after_forget,
    StepKind.BEGIN: _after_begin,
    StepKind.ROLL_BACK: _after_roll_back,
    StepKind.TAKE_OVER: _after_lease,
    StepKind.PREPARE: _after_prepare,
    StepKind.CREATE_INSTEAD: _after_create_instead,
    StepKind.REOPEN: _after_reopen,
    StepKind.ISSUED: _after_issue,
    StepKind.PROMOTE: _after_promote,
    StepKind.REDELIVER: _after_redeliver,
    StepKind.FINISH: _after_finish,
    StepKind.ABANDON: _after_abandon,
    StepKind.SWEEP: _after_sweep,
    StepKind.LEASE_RETIRE: _after_lease,
    StepKind.RETIRED: _after_retire,
    StepKind.RELEASE: _after_release,
}
"""The state that each step of WRITES_STATE writes."""
