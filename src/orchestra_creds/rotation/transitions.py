"""What a step leads to, as pure functions: the facts it adds, and the state that a compare-and-swap is to write."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from orchestra_creds.core.credential import Kind
from orchestra_creds.rotation.machine import behind, end_of, returning
from orchestra_creds.rotation.outcome import Step
from orchestra_creds.rotation.situation import LEASE, PREDICTED, SWEEP_AFTER, Action, Found, Seen, Situation
from orchestra_creds.rotation.state import Current, Lease, Phase, Retirement, Retiring, State, Successor, Window


def after(situation: Situation, step: Step, found: Found) -> Situation:
    """The situation once a step was done; for those in WRITES_STATE its state is what is to be written."""
    action = Action(step.action)
    if found.facts:  # the engine's looks name fields of Seen
        situation = replace(situation, seen=replace(situation.seen, **found.facts))  # type: ignore[arg-type]
    if action in _STATES:
        state, seen = _STATES[action](situation, found)
        return replace(situation, state=state, seen=seen)
    if action in _FACTS:
        return replace(situation, seen=_FACTS[action](situation.seen, step, found))
    return situation


def predicted(situation: Situation, step: Step) -> Found:
    """What a dry run takes a step to answer."""
    match Action(step.action):
        case Action.STAGE:
            return Found(situation.seen.staged_top + 1)
        case Action.ACTIVATE | Action.CREATE:
            return Found(id=PREDICTED)
        case Action.PUBLISH:
            return Found((situation.seen.newest or situation.state.base) + 1)
        case Action.PROVE:
            return Found(facts={"proved": True})
        case Action.PROVE_END:
            return Found(facts={"ended": {**situation.seen.ended, step.detail: True}})
        case Action.CLEAN:
            return Found(max(situation.state.successor.staged, situation.seen.staged or 0, situation.seen.staged_top))
    return Found()


_FACTS: Mapping[Action, Callable[[Seen, Step, Found], Seen]] = {
    Action.MAKE_SECRET: lambda seen, _step, _found: replace(seen, exists=True, newest=0),
    Action.MAKE_STAGING: lambda seen, _step, _found: replace(seen, staging=True, staged_top=0),
    Action.PRE_HOOK: lambda seen, _step, _found: replace(seen, pre_hook=True),
    Action.STAGE: lambda seen, _step, found: replace(seen, staged=found.number),
    Action.ACTIVATE: lambda seen, _step, found: replace(seen, activated=found.id),
    Action.CREATE: lambda seen, _step, found: replace(seen, made=found.id, opened=False),
    Action.ENABLE: lambda seen, _step, _found: replace(seen, enabled=True, refused=False),
    Action.VERIFY: lambda seen, _step, _found: replace(seen, verified=not seen.refused),
    Action.PUBLISH: lambda seen, _step, found: replace(seen, published=found.number),
    Action.DELIVER: lambda seen, step, _found: replace(seen, delivered={**seen.delivered, step.resource: step.detail}),
    Action.DEPLOY_HOOK: lambda seen, _step, _found: replace(seen, hooked=True),
    Action.CLEAN: lambda seen, _step, found: replace(seen, cleaned=found.number),
    Action.DISABLE: lambda seen, step, _found: _did(seen, step),
    Action.WITHDRAW: lambda seen, step, _found: _did(seen, step),
    Action.DELETE: lambda seen, step, _found: _did(seen, step),
    Action.DESTROY: lambda seen, step, _found: _did(seen, step),
}


def _did(seen: Seen, step: Step) -> Seen:
    return replace(seen, done=seen.done | {(Action(step.action), step.resource)})


def _kept(situation: Situation) -> State:
    """The state with the lease renewed."""
    return replace(situation.state, lease=Lease(situation.run, situation.now + LEASE))


def _held(situation: Situation, _found: Found) -> tuple[State, Seen]:
    taken = (entry.id for entry in situation.state.retiring if situation.seen.taken.get(entry.id))
    return _with_leaked(_kept(situation), *taken), situation.seen


def _with_leaked(state: State, *identifiers: str) -> State:
    return replace(state, leaked=tuple(dict.fromkeys((*state.leaked, *identifiers))))


def _leak_recorded(situation: Situation, _found: Found) -> tuple[State, Seen]:
    """The wish outlives this run: whoever goes on replaces the current one, gives it no grace, and ends it."""
    current = situation.state.current
    wish = _with_leaked(_kept(situation), current.id if current else "")
    return wish, replace(situation.seen, leak_recorded=True)


def _begun(situation: Situation, _found: Found) -> tuple[State, Seen]:
    seen, kept, current = situation.seen, _kept(situation), situation.state.current
    newest = seen.newest or 0
    if current is not None and newest > current.version and seen.newest_is_ours:
        current = replace(
            current, versions=(*current.versions, newest)
        )  # a run that came back from the dead published it again
    begun = replace(
        kept,
        phase=Phase.STAGING if seen.local else Phase.CREATING,
        base=newest,
        staged_base=max(seen.staged_top, kept.staged_base),
        successor=Successor(),
        known=() if seen.local else seen.known,
        started=situation.now,
        current=current,
        trouble=None,
    )
    return begun, replace(seen, staged=0, published=0, opened=True, made=None, verified=False)


def _rolled_back(situation: Situation, _found: Found) -> tuple[State, Seen]:
    """From here a rollback is a rotation whose successor exists already: without a staged copy, its material is in an old version."""
    back = returning(situation.state)
    begun = replace(
        _kept(situation),
        phase=Phase.ISSUED,
        base=situation.seen.newest or 0,
        successor=Successor(id=back.id if back else ""),
        started=situation.now,
        trouble=None,
    )
    return begun, replace(situation.seen, published=0)


def _turned_to_creation(situation: Situation, _found: Found) -> tuple[State, Seen]:
    """An organization policy forbids uploads: the staged key never becomes valid, and the issuer makes one from here on."""
    state = situation.state
    begun = replace(
        _kept(situation),
        phase=Phase.CREATING,
        staged_base=max(state.staged_base, state.successor.staged),
        successor=Successor(),
        known=situation.seen.known,
        started=situation.now,
    )
    return begun, replace(situation.seen, staged=0, opened=True, made=None, forbidden=False)


def _reopened(situation: Situation, _found: Found) -> tuple[State, Seen]:
    """A creation was lost on the way: remember what was there before it and when, so that its orphan can be found."""
    state, now = situation.state, situation.now
    lost = Window(state.known, state.started or now, now)
    again = replace(
        _kept(situation), unresolved=(*state.unresolved, lost), known=situation.seen.known, started=situation.now
    )
    return again, replace(situation.seen, opened=True, made=None, staged=0)


def _prepared(situation: Situation, found: Found) -> tuple[State, Seen]:
    made = Successor(situation.seen.staged or 0, "", found.fingerprint)
    return replace(_kept(situation), phase=Phase.PREPARED, successor=made), situation.seen


def _issued(situation: Situation, _found: Found) -> tuple[State, Seen]:
    seen, successor = situation.seen, situation.state.successor
    made = replace(successor, staged=seen.staged or successor.staged, id=seen.activated or seen.made or "")
    return replace(_kept(situation), phase=Phase.ISSUED, successor=made, known=()), seen


def _promoted(situation: Situation, _found: Found) -> tuple[State, Seen]:
    """The successor is what readers get; its predecessor waits for the destinations before its grace begins."""
    state, seen = situation.state, situation.seen
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
        _kept(situation),
        generation=state.generation + 1,
        phase=Phase.PUBLISHED,
        current=Current(new, (*(back.versions if back else ()), situation.seen.published or 0), since),
        retiring=retiring,
        started=None,
    )
    return promoted, _anew(seen)


def _anew(seen: Seen) -> Seen:
    """What was seen of the current one is not true of its successor."""
    return replace(seen, leak_recorded=True, proved=None, dead=False, withdrawn=False, healthy=None)


def _predecessor(state: State) -> tuple[Retiring, ...]:
    phase, current = Retirement.LEAKED if state.current_leaked else Retirement.GRACE, state.current
    return (Retiring(current.id, current.versions, phase, born=current.since),) if current is not None else ()


def _finished(situation: Situation, _found: Found) -> tuple[State, Seen]:
    seen, state, now = situation.seen, situation.state, situation.now
    names = {copy.name for copy in situation.credential.copies}
    held = {name: identifier for name, identifier in {**state.delivered, **seen.delivered}.items() if name in names}
    done = replace(_released(state, seen), delivered=held, hooked=state.generation if seen.hooked else state.hooked)
    if not behind(situation):
        started = tuple(replace(entry, since=entry.since or now) for entry in done.retiring)
        done = replace(done, phase=Phase.IDLE, retiring=started, settled=now, trouble=None)
    return done, replace(seen, finished=True)


def _abandoned(situation: Situation, _found: Found) -> tuple[State, Seen]:
    """The successor never worked: nobody has it, so it is retired at once; one that was to come back keeps its old place."""
    state = situation.state
    kept = _kept(situation)
    if situation.seen.taken.get(state.successor.id):
        kept = _with_leaked(kept, state.successor.id)
    returning = any(entry.id == state.successor.id for entry in state.retiring)
    entry = () if returning else (Retiring(state.successor.id, (), Retirement.ORPHAN),)
    left = Successor(state.successor.staged)
    given_up = replace(kept, phase=Phase.IDLE, retiring=(*state.retiring, *entry), successor=left, started=None)
    return given_up, replace(situation.seen, refused=False, abandoned=True, proved=None)


def _adopted(situation: Situation, _found: Found) -> tuple[State, Seen]:
    seen = situation.seen
    current = Current(seen.newest_id, (seen.newest or 0,), seen.newest_since or situation.now)
    return replace(situation.state, current=current), seen


def _recorded(situation: Situation, _found: Found) -> tuple[State, Seen]:
    """A version that a person added becomes the current one; destinations and grace follow as after a promotion."""
    seen, state = situation.seen, situation.state
    number = seen.newest or 0
    retiring = state.retiring
    if state.current is not None and (situation.credential.kind is not Kind.MANUAL or state.current_leaked):
        retiring = (*retiring, *_predecessor(state))
    recorded = replace(
        _kept(situation),
        generation=state.generation + 1,
        phase=Phase.PUBLISHED,
        current=Current(f"v{number}", (number,), seen.newest_since or situation.now),
        retiring=retiring,
    )
    return recorded, _anew(seen)


def _swept(situation: Situation, _found: Found) -> tuple[State, Seen]:
    kept = _kept(situation)
    windows = tuple(window for window in kept.unresolved if situation.now - window.closed < SWEEP_AFTER)
    new = tuple(Retiring(name, (), Retirement.ORPHAN) for name in situation.seen.orphans or ())
    return replace(kept, unresolved=windows, retiring=(*kept.retiring, *new)), replace(situation.seen, orphans=None)


def _retired(situation: Situation, _found: Found) -> tuple[State, Seen]:
    state, seen, by_hand = situation.state, situation.seen, situation.credential.kind is Kind.MANUAL
    left = []
    for entry in state.retiring:
        alive = entry.phase is Retirement.LEAKED and not seen.ended.get(entry.id)
        if not alive and all((Action(s.action), s.resource) in seen.done for s in end_of(situation, entry)):
            if entry.phase is Retirement.DISABLED or by_hand:
                continue
            entry = replace(entry, phase=Retirement.DISABLED, since=situation.now)  # noqa: PLW2901
        left.append(entry)
    known = {entry.id for entry in left} | ({state.current.id} if state.current else set())
    kept = _released(state, seen) if state.phase is Phase.IDLE else _kept(situation)
    return replace(kept, retiring=tuple(left), leaked=tuple(name for name in state.leaked if name in known)), seen


def _let_go(situation: Situation, _found: Found) -> tuple[State, Seen]:
    return _released(situation.state, situation.seen), situation.seen


def _released(state: State, seen: Seen) -> State:
    """Without the lease, and without the staged copy if that is gone."""
    base = max(state.staged_base, seen.cleaned)
    gone = state.successor.staged <= base
    return replace(state, lease=None, staged_base=base, successor=Successor() if gone else state.successor)


_STATES: Mapping[Action, Callable[[Situation, Found], tuple[State, Seen]]] = {
    Action.ADOPT: _adopted,
    Action.RECORD: _recorded,
    Action.LEAK: _leak_recorded,
    Action.BEGIN: _begun,
    Action.ROLL_BACK: _rolled_back,
    Action.TAKE_OVER: _held,
    Action.PREPARE: _prepared,
    Action.CREATE_INSTEAD: _turned_to_creation,
    Action.REOPEN: _reopened,
    Action.ISSUED: _issued,
    Action.PROMOTE: _promoted,
    Action.FINISH: _finished,
    Action.ABANDON: _abandoned,
    Action.SWEEP: _swept,
    Action.LEASE_RETIRE: _held,
    Action.RETIRED: _retired,
    Action.RELEASE: _let_go,
}
WRITES_STATE = frozenset(_STATES)
"""Actions that are one compare-and-swap of the state; `after` gives the state to write."""
