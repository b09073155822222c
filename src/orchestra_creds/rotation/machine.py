"""The rotation as a pure function: what is durable, what was seen, policy and time -> the next step, or nothing.

No IO, no clock. `next_step` decides and `transitions.situation_after` tells what a step leads to; the engine runs steps between the two, and a
dry run only predicts them: that is why a plan equals what the run does. Steps that only look are real in both. The order of the steps,
and what a crash at each of them leaves behind, is in docs/rotation.md.
"""

from orchestra_creds.core.credential import CredentialKind
from orchestra_creds.core.durations import duration_text
from orchestra_creds.errors import IncompleteError, PreconditionError
from orchestra_creds.rotation import end_of_life, retirement
from orchestra_creds.rotation.outcome import Step
from orchestra_creds.rotation.situation import Situation, StepKind, predecessor_resource, step_of, subject
from orchestra_creds.rotation.state import Phase, Predecessor, Retirement, State, Target


def is_locked(situation: Situation) -> bool:
    """Whether another run may still write."""
    lease = situation.state.lease
    return lease is not None and not situation.has_lease and situation.now < lease.until


def reason(situation: Situation) -> str:
    """Why a rotation is to begin, or empty."""
    state, due = situation.state, situation.due
    if state.current is None or due is None:
        return "it has no version yet"
    if state.current_leaked:
        return "the current one leaked"
    if situation.seen.withdrawn:
        return "readers cannot read the current version"
    if situation.seen.remade:
        return "its account was deleted and made again"
    if situation.seen.dead:
        return "the current one does not authenticate"
    if situation.want.force:
        return "it was asked for"
    if situation.is_moved:
        return f"it is declared for {_target_text(situation.target)}, and is of {_target_text(state.current.target or situation.seen.learned)}"
    if situation.now < due:
        return ""
    expires = situation.expires
    by_age = situation.credential.policy.due_at(state.current.since)
    return f"it expires on {expires:%Y-%m-%d}" if expires is not None and due < by_age else "it is due"


def _target_text(target: Target | None) -> str:
    return (target.account or f"kind {target.kind}") if target else "nobody knows what"


def next_step(situation: Situation) -> Step | None:
    """The next thing to do, or None.

    Raises:
        PreconditionError: only the operator can say how to go on.
        IncompleteError: the first of its kind does not authenticate yet.
    """
    if situation.seen.finished:
        return None
    state, want = situation.state, situation.want
    if want.abandon:
        return end_of_life.abandon(situation)
    if state.ended is not None and (want.back or want.adopt or (want.force and not want.leaked)):
        raise PreconditionError(
            f"credential {situation.credential.name} was retired: no run makes a successor",
            hint=f"to take it up again: orchestra-creds rotate abandon {situation.credential.name}, then rotate it",
        )
    if want.retire or state.ended is not None:
        return end_of_life.end(situation)
    leak = _leak(situation)
    if leak is not None:
        return leak
    urgent = state.current_leaked and not want.back
    if (
        state.phase is Phase.PUBLISHED and want.back and not situation.seen.rotated
    ):  # what fails to arrive may be why the predecessor is to return
        return retirement.tidy(situation) or _roll_back(situation)
    if state.phase is not Phase.IDLE and not (urgent and state.phase is Phase.PUBLISHED):
        early = None if urgent or state.phase is Phase.PUBLISHED else retirement.end_leaked(situation)
        step = early or _go_on(situation)
        return (_begin_behind(situation) or step) if step.kind == StepKind.FINISH else step
    if want.back:
        return _roll_back(situation)
    if urgent:  # nothing that may fail comes before the successor of one that leaked
        return (
            retirement.tidy(situation) or _begin(situation) or retirement.end_leaked(situation) or _release(situation)
        )
    ends = (
        retirement.tidy(situation)
        or retirement.end_leaked(situation)
        or retirement.sweep(situation)
        or retirement.retire(situation)
    )
    return ends or _begin(situation) or _record_end(situation) or _converge(situation) or _release(situation)


# -- what leaked


def _leak(situation: Situation) -> Step | None:
    """Record what leaked before anything else; with `kill_first`, end the current one before it has a successor.

    Raises:
        PreconditionError: the id that leaked is none that this program looks after.
    """
    want, seen, state, name = situation.want, situation.seen, situation.state, situation.credential.name
    if not want.leaked:
        return None
    current = state.current.id if state.current else ""
    leaked = want.leaked_id or current
    if want.leaked_id and leaked not in state.referenced_ids and not seen.leak_recorded:
        raise PreconditionError(
            f"{leaked} is neither the current one of {name} nor one of its predecessors",
            hint=f"see: orchestra-creds status {name}; a key that others made: orchestra-creds key disable ACCOUNT {leaked}",
        )
    if want.kill_first and situation.credential.kind in {CredentialKind.GENERATED, CredentialKind.MANUAL}:
        raise PreconditionError(
            f"kind {situation.credential.kind} has no issuer that could end {name} first",
            hint=f"a successor first: orchestra-creds rotate {name} --leaked",
        )
    if leaked and leaked not in state.leaked and not seen.leak_recorded:
        return step_of(StepKind.LEAK, situation.credential.secret, leaked)
    if not want.kill_first or leaked != current or seen.rotated or current not in state.leaked:
        return None
    if not situation.has_lease:
        return step_of(StepKind.LEASE_RETIRE, situation.credential.secret)
    if not seen.killed:
        return step_of(StepKind.KILL, f"{subject(situation)}/{current}", current)
    return None if current in seen.ended else step_of(StepKind.PROVE_END, f"{subject(situation)}/{current}", current)


# -- a rotation that is under way


def _go_on(situation: Situation) -> Step:
    if not situation.has_lease:
        return step_of(StepKind.TAKE_OVER, situation.credential.secret, situation.state.phase)
    lost = _lost_copy(situation)
    if lost is not None:
        return lost
    match situation.state.phase:
        case Phase.STAGING:
            return _stage(situation)
        case Phase.PREPARED:
            return _activate(situation)
        case Phase.CREATING:
            return _create(situation)
        case Phase.ISSUED:
            return _publish(situation)
    return _deliver(situation)


def _lost_copy(situation: Situation) -> Step | None:
    """Give up a successor whose staged copy somebody deleted; a run that did not stage it itself looks first."""
    seen, state = situation.seen, situation.state
    if seen.lost is not None:
        return step_of(StepKind.GIVE_UP, situation.credential.secret, seen.lost)
    if state.phase not in {Phase.PREPARED, Phase.ISSUED} or not state.successor.staged:
        return None
    if seen.staged or seen.staged_checked:
        return None
    return step_of(StepKind.LOOK_AT_STAGED, situation.staging)


def _begin_behind(situation: Situation) -> Step | None:
    """The beginning of the next generation while a destination or hook still lacks the current one: copies converge to the newest."""
    if situation.seen.rotated or not is_behind(situation) or not situation.want.start or not reason(situation):
        return None
    if situation.credential.kind is CredentialKind.POSTGRES and not situation.want.force:
        return None  # its other user is still in its grace
    return retirement.tidy(situation) or _begin(situation)


def _stage(situation: Situation) -> Step:
    if situation.seen.staged is None:
        return step_of(StepKind.LOOK_FOR_STAGED, situation.staging)
    if not situation.seen.staged:
        return step_of(StepKind.STAGE, situation.staging)
    return step_of(StepKind.PREPARE, situation.credential.secret)


def _activate(situation: Situation) -> Step:
    if situation.seen.forbidden:
        if situation.seen.made is None:
            return step_of(StepKind.LOOK_FOR_MADE, subject(situation))
        return step_of(StepKind.CREATE_INSTEAD, situation.credential.secret)
    if not situation.seen.activated:
        return step_of(StepKind.ACTIVATE, subject(situation))
    return step_of(StepKind.ISSUED, situation.credential.secret, situation.seen.activated)


def _create(situation: Situation) -> Step:
    seen, secret = situation.seen, situation.credential.secret
    if seen.staged is None:
        return step_of(StepKind.LOOK_FOR_STAGED, situation.staging)
    if seen.staged:
        return step_of(StepKind.ISSUED, secret, seen.made or "")
    if seen.made:
        return step_of(StepKind.STAGE, situation.staging)
    if seen.opened:
        return step_of(StepKind.CREATE, subject(situation))
    if seen.made is None:
        return step_of(StepKind.LOOK_FOR_MADE, subject(situation))
    return step_of(StepKind.REOPEN, secret)


def _publish(situation: Situation) -> Step:
    seen, state, secret = situation.seen, situation.state, situation.credential.secret
    if seen.published is None:
        return step_of(StepKind.LOOK_FOR_PUBLISHED, secret)
    returning = next((entry for entry in state.retiring if entry.id == state.successor.id), None)
    asleep = returning is not None and (returning.phase is Retirement.DISABLED or seen.refused)
    taken = returning is not None and bool(seen.taken.get(returning.id))
    if taken and not seen.published:
        return step_of(StepKind.ABANDON, secret, state.successor.id)
    if returning is not None and asleep and not seen.enabled and not taken:
        return step_of(StepKind.ENABLE, predecessor_resource(situation, returning))
    if seen.refused and state.current is None:
        raise IncompleteError(  # giving it up would need proof of another one, and there is none
            f"key {state.successor.id} of {subject(situation)} does not authenticate yet",
            hint="the next run tries it again; is the account disabled?",
        )
    if seen.refused:
        return step_of(StepKind.ABANDON, secret, state.successor.id)
    if seen.published:
        return step_of(StepKind.PROMOTE, f"{secret}/versions/{seen.published}", state.successor.id)
    if not seen.verified:
        return step_of(StepKind.VERIFY, subject(situation), state.successor.id)
    return step_of(StepKind.PUBLISH, secret, state.successor.id)


def _deliver(situation: Situation) -> Step:
    seen, state, credential = situation.seen, situation.state, situation.credential
    current = state.current.id if state.current else ""
    for copy in credential.copies:
        held = seen.delivered.get(copy.name, state.delivered.get(copy.name))
        if held != current and copy.name not in seen.undelivered:
            return step_of(StepKind.DELIVER, copy.name, current)
    if _is_hook_pending(situation) and not seen.undelivered and not seen.hook_failed:
        return step_of(StepKind.DEPLOY_HOOK, credential.hooks.deploy[0])
    leaked = retirement.end_leaked(situation)
    if leaked is not None:
        return leaked
    if state.successor.staged > seen.cleaned:
        return step_of(StepKind.CLEAN, situation.staging)
    return step_of(StepKind.FINISH, credential.secret)


def _converge(situation: Situation) -> Step | None:
    """Deliver again what a destination lost, or what one that was declared since the last rotation never got."""
    seen, state, credential = situation.seen, situation.state, situation.credential
    if not credential.copies or state.current is None or not situation.want.start or seen.dead or seen.abandoned:
        return None
    if not seen.copies_compared:
        return step_of(StepKind.LOOK_AT_COPIES, credential.secret)
    return step_of(StepKind.REDELIVER, credential.secret, state.current.id) if lacking_copies(situation) else None


def _record_end(situation: Situation) -> Step | None:
    """Record an expiry that makes the current one due at another time than its label says: others read only that label.

    Of a database role each expiry is recorded: `status` does not ask databases.
    """
    current, credential, expires = situation.state.current, situation.credential, situation.expires
    if current is None or not situation.seen.end_known:
        return None
    moved = expires is not None and situation.due != credential.policy.due_at(current.since, current.expires)
    if not moved and (credential.kind is not CredentialKind.POSTGRES or expires == current.expires):
        return None
    return step_of(StepKind.RECORD_END, credential.secret, f"{expires:%Y-%m-%d}" if expires else "none")


def lacking_copies(situation: Situation) -> list[str]:
    """The destinations that lack the current credential, as far as it was recorded or seen."""
    current = situation.state.current.id if situation.state.current else ""
    held = {**situation.state.delivered, **situation.seen.delivered}
    return [copy.name for copy in situation.credential.copies if held.get(copy.name) != current]


def _is_hook_pending(situation: Situation) -> bool:
    hooked = situation.seen.hooked or situation.state.hooked >= situation.state.generation
    return bool(situation.credential.hooks.deploy) and not hooked


def is_behind(situation: Situation) -> bool:
    """Whether a destination or hook still lacks the current credential."""
    return _is_hook_pending(situation) or bool(lacking_copies(situation))


# -- the beginning


def _begin(situation: Situation) -> Step | None:
    seen, state, credential = situation.seen, situation.state, situation.credential
    urgent = state.current_leaked
    if not (situation.want.start or urgent) or seen.abandoned or seen.rotated:
        return None
    if state.current is not None and seen.healthy is None and not urgent:
        return step_of(StepKind.LOOK_AT_HEALTH, subject(situation), state.current.id)
    if credential.kind is CredentialKind.MANUAL:
        return _watch(situation)
    if not reason(situation) and not seen.newer and not _may_adopt(situation):
        return None
    if not seen.exists:
        return step_of(StepKind.MAKE_SECRET, credential.secret)
    if seen.newest is None:
        return step_of(StepKind.LOOK_AT_VERSIONS, credential.secret)
    adopted = _foreign_version_step(situation) or _claim(situation)
    return adopted or (_prepare_to_begin(situation) if reason(situation) else None)


def _may_adopt(situation: Situation) -> bool:
    return situation.want.adopt and situation.seen.exists and situation.state.current is not None


def _claim(situation: Situation) -> Step | None:
    """Take over what older versions hold, which nobody would retire else."""
    if not situation.seen.adoptable or not _may_adopt(situation):
        return None
    return step_of(StepKind.CLAIM, situation.credential.secret, " ".join(name for _, name in situation.seen.adoptable))


def _watch(situation: Situation) -> Step | None:
    """A kind whose issuer has no API: people add versions, and the newest is recorded as the current one."""
    if situation.seen.exists and situation.seen.newest is None:
        return step_of(StepKind.LOOK_AT_VERSIONS, situation.credential.secret)
    return _foreign_version_step(situation)


def _prepare_to_begin(situation: Situation) -> Step:
    seen, credential = situation.seen, situation.credential
    waiting = any(entry.phase is Retirement.GRACE for entry in situation.state.retiring)
    if credential.kind is CredentialKind.POSTGRES and waiting and not situation.state.current_leaked:
        raise PreconditionError(
            f"the other user of {credential.name} is still in its grace: readers may be using it",
            hint=f"its turn comes when {duration_text(credential.policy.grace)} are over; nothing was changed",
        )
    if seen.staging is None:
        return step_of(StepKind.LOOK_AT_STAGING, situation.staging)
    if not seen.ready:
        return step_of(StepKind.PREFLIGHT, subject(situation))
    if credential.hooks.pre and not seen.pre_hook:
        return step_of(StepKind.PRE_HOOK, credential.hooks.pre[0])
    if not seen.staging:
        return step_of(StepKind.MAKE_STAGING, situation.staging)
    how = (
        (", by upload" if seen.local else ", by creation")
        if credential.kind is CredentialKind.SERVICE_ACCOUNT_KEY
        else ""
    )
    return step_of(StepKind.BEGIN, credential.secret, reason(situation) + how)


def _foreign_version_step(situation: Situation) -> Step | None:
    """What to do about a newest version that this program did not publish.

    Raises:
        PreconditionError: nobody has said whether it may be replaced.
    """
    seen, state, want, credential = situation.seen, situation.state, situation.want, situation.credential
    newest, current = seen.newest or 0, state.current
    if newest == 0 or (current is not None and (newest <= current.version or seen.newest_is_ours)):
        return None
    if seen.newest_unreadable and (current is not None or credential.kind is CredentialKind.MANUAL):
        return None  # nobody reads it, and nobody needs it: a successor comes after it
    where = f"{credential.secret}/versions/{newest}"
    if credential.kind is CredentialKind.MANUAL:
        return step_of(StepKind.RECORD, where)
    if current is not None and credential.kind is CredentialKind.GENERATED:
        return step_of(StepKind.RECORD, where)
    if want.adopt and not state.current_leaked:
        return step_of(StepKind.ADOPT, where, seen.newest_id)
    if want.force or state.current_leaked:
        return None
    raise PreconditionError(
        f"version {newest} of secret {credential.secret} was not made by orchestra-creds",
        hint="--adopt takes it over and retires it later; --force makes a successor and leaves the old key alone",
    )


def _roll_back(situation: Situation) -> Step | None:
    """Let the last predecessor that still exists become current again, by a new version: the newest one is never disabled.

    Raises:
        PreconditionError: there is none.
    """
    if situation.seen.abandoned:  # the predecessor was tried and refused: trying it again would never end
        return retirement.tidy(situation) or _release(situation)
    if situation.seen.newest is None:
        return step_of(StepKind.LOOK_AT_VERSIONS, situation.credential.secret)
    state, name = situation.state, situation.credential.name
    back = rollback_predecessor(state)
    if back is None:
        gone = ", ".join(entry.id for entry in state.retiring if entry.id in state.leaked)
        raise PreconditionError(
            f"credential {name} has no predecessor to return to"
            + (f": {gone} leaked or was taken out of service" if gone else ""),
            hint="one can come back until it is deleted: grace plus soak after its rotation",
        )
    why = situation.seen.taken.get(back.id, "")
    if why:
        raise PreconditionError(
            f"predecessor {back.id} of {name} does not come back: {why}",
            hint=f"a new one: orchestra-creds rotate {name} --force; if it did not leak, enable it again and repeat this",
        )
    return step_of(StepKind.ROLL_BACK, situation.credential.secret, back.id)


def rollback_predecessor(state: State) -> Predecessor | None:
    """The predecessor that a rollback brings back: the last one that readers have had and that did not leak."""
    had = [entry for entry in state.retiring if entry.versions and _may_return(state, entry)]
    return had[-1] if had else None


def _may_return(state: State, entry: Predecessor) -> bool:
    return entry.phase is not Retirement.LEAKED and entry.id not in state.leaked


def _release(situation: Situation) -> Step | None:
    return step_of(StepKind.RELEASE, situation.credential.secret) if situation.has_lease else None
