"""The end of a credential that nobody needs any more, and of our care for one, as pure functions.

`rotate retire` records the wish first. From then on nothing is made for the credential; all that may be valid is disabled in the same
run, and deleted after the soak by the next runs. `rotate abandon` takes our marks off the secret and destroys nothing.
"""

from orchestra_creds.errors import PreconditionError
from orchestra_creds.rotation import retirement
from orchestra_creds.rotation.outcome import Step
from orchestra_creds.rotation.situation import Situation, StepKind, predecessor_resource, step_of, subject
from orchestra_creds.rotation.state import Phase, Predecessor, Retirement, State


def abandon(situation: Situation) -> Step:
    """Stop looking after a credential.

    Raises:
        PreconditionError: the secret carries no state.
    """
    if situation.state == State():
        raise PreconditionError(
            f"secret {situation.credential.secret} carries no state of orchestra-creds: there is nothing to abandon",
            hint="see: orchestra-creds status",
        )
    return step_of(StepKind.FORGET, situation.credential.secret)


def end(situation: Situation) -> Step | None:
    """Go on with the end of a credential, or begin it.

    Raises:
        PreconditionError: there is nothing to end, or somebody used it lately.
    """
    if situation.state.ended is None:
        return _begin_end(situation)
    return _retire_all(situation) or _remove_marks(situation)


def _begin_end(situation: Situation) -> Step:
    seen, state, name = situation.seen, situation.state, situation.credential.name
    if state == State():
        raise PreconditionError(
            f"{name} has no version that orchestra-creds made or adopted: there is nothing to retire",
            hint="see: orchestra-creds status; keys that others made: orchestra-creds key list ACCOUNT",
        )
    if not seen.lives_checked:
        return step_of(StepKind.LOOK_AT_LIVES, subject(situation), state.current.id if state.current else "")
    policy = situation.credential.policy
    why = "" if situation.want.in_use else policy.reason_to_keep(seen.usage, situation.now)
    if why:
        raise PreconditionError(
            f"{name} may be in use: {state.current.id if state.current else ''}: {why}",
            hint="stop its readers first and wait for require_unused (a run's own proof counts as use); "
            "--in-use ends it all the same; nothing was changed",
        )
    return step_of(StepKind.END, situation.credential.secret)


def _retire_all(situation: Situation) -> Step | None:
    seen, state, secret = situation.seen, situation.state, situation.credential.secret
    if seen.staging is None:
        return step_of(StepKind.LOOK_AT_STAGING, situation.staging)
    ripe = [entry for entry in state.retiring if _is_ripe(situation, entry)]
    lost = retirement.sweep(situation)
    if not ripe and lost is None and not _has_copies(situation):
        return None
    if not situation.has_lease:
        return step_of(StepKind.LEASE_RETIRE, secret)
    for entry in ripe:
        step = _next_of(situation, entry)
        if step is not None:
            return step
    if ripe:
        return step_of(StepKind.RETIRED, secret)
    if lost is not None:
        return lost
    return step_of(StepKind.CLEAN, situation.staging)


def _has_copies(situation: Situation) -> bool:
    """Whether the staging secret may hold a copy that no run has destroyed."""
    seen, state = situation.seen, situation.state
    gone = 0 if seen.staging_restarted else state.staged_base
    return bool(seen.staging) and max(seen.staged_top, state.successor.staged) > max(seen.cleaned, gone)


def _is_ripe(situation: Situation, entry: Predecessor) -> bool:
    if entry.id in situation.seen.unretired or situation.seen.ended.get(entry.id) is False:
        return False
    if entry.phase is not Retirement.DISABLED:
        return True
    if entry.since is None or situation.now < situation.credential.policy.soak_ends(entry.since):
        return False
    return not retirement.reason_to_wait(situation, entry)


def _next_of(situation: Situation, entry: Predecessor) -> Step | None:
    """The next step of one end: what the issuer knows first, then a proof, then the versions."""
    seen = situation.seen
    if entry.phase is Retirement.DISABLED and retirement.must_be_asked(situation, entry):
        return step_of(StepKind.LOOK_AT_USE, predecessor_resource(situation, entry))
    first, *versions = retirement.end_of(situation, entry)
    if (StepKind(first.kind), first.resource) not in seen.done:
        return first
    if entry.phase is not Retirement.DISABLED and _is_provable(situation, entry) and entry.id not in seen.ended:
        return step_of(StepKind.PROVE_END, predecessor_resource(situation, entry), entry.id)
    return next((step for step in versions if (StepKind(step.kind), step.resource) not in seen.done), None)


def _is_provable(situation: Situation, entry: Predecessor) -> bool:
    return entry.phase is Retirement.LEAKED or retirement.kind_of(situation, entry) in retirement.PROVABLE


def _remove_marks(situation: Situation) -> Step | None:
    """Once nothing is left: the staging secret, and the marks on a secret that nothing declares."""
    seen, state, credential = situation.seen, situation.state, situation.credential
    over = not state.retiring and not state.unresolved and not seen.unretired
    if over and seen.staging and not seen.staging_removed:
        return step_of(StepKind.REMOVE_STAGING, situation.staging)
    if over and credential.source == "none":
        return step_of(StepKind.FORGET, credential.secret)
    return step_of(StepKind.RELEASE, credential.secret) if situation.has_lease else None


def left_alive(state: State, staging: str) -> tuple[str, ...]:
    """Return what stays valid or readable when nobody looks after a credential any more, as sentences."""
    found = []
    if state.current is not None:
        found.append(f"{state.current.id} stays valid; version {state.current.version} holds it")
    if state.phase is not Phase.IDLE and state.successor.id:
        found.append(f"{state.successor.id}, the successor of an interrupted rotation, may be valid")
    elif state.phase in {Phase.PREPARED, Phase.CREATING}:
        found.append("an interrupted rotation may have made a key that is valid and that nobody knows")
    for entry in state.retiring:
        versions = ", ".join(str(number) for number in entry.versions)
        held = f"; version {versions} holds it" if versions else ""
        word = "stays disabled" if entry.phase is Retirement.DISABLED else "stays valid"
        found.append(f"predecessor {entry.id} {word}{held}")
    if state.unresolved:
        found.append("a lost creation may have made a key that is valid and that nobody knows")
    if state.phase is not Phase.IDLE or state.successor.staged > state.staged_base:
        found.append(f"secret {staging} may hold a staged copy")
    return tuple(found)
