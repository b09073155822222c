"""What a state looks like from outside: the aliases and labels of its secret, and the sentence that ends a run. Pure functions."""

from collections.abc import Mapping

from orchestra_creds.core.credential import CredentialKind
from orchestra_creds.core.durations import duration_text, rough_text
from orchestra_creds.core.google import LABEL_DUE, MANAGED_BY, OWNER
from orchestra_creds.core.policy import RotationPolicy
from orchestra_creds.errors import ExitCode
from orchestra_creds.rotation import machine, retirement
from orchestra_creds.rotation.outcome import Ending, Outcome, Step
from orchestra_creds.rotation.situation import Situation, StepKind
from orchestra_creds.rotation.state import ANNOTATION, CURRENT, PREVIOUS, Retirement, State, encode
from orchestra_creds.rotation.timing import SECRET_ENDS_SOON

LABEL_PREFIX = "orchestra-"
"""What all our labels begin with, beside `managed-by`."""
_TURNED = frozenset(
    {
        StepKind.DISABLE,
        StepKind.WITHDRAW,
        StepKind.WITHDRAW_COPY,
        StepKind.DELETE,
        StepKind.DESTROY,
        StepKind.DESTROY_COPY,
        StepKind.SWEEP,
    }
)


def aliases_of(there: Mapping[str, int], state: State) -> dict[str, int]:
    """The secret's aliases with ours brought up to date; those of others stay."""
    aliases = {name: number for name, number in there.items() if name not in {CURRENT, PREVIOUS}}
    if state.current is None:
        return dict(there)
    aliases[CURRENT] = state.current.version
    previous = machine.rollback_predecessor(state)
    if previous is not None:
        aliases[PREVIOUS] = previous.versions[-1]
    return aliases


def annotation_of(state: State) -> str | None:
    """The text of a state on its secret; None for the state of a secret that nobody looks after."""
    return encode(state) if state != State() else None


def annotations_of(there: Mapping[str, str], state: State) -> dict[str, str]:
    """The secret's annotations with the state brought up to date; those of others stay."""
    text, others = annotation_of(state), {name: value for name, value in there.items() if name != ANNOTATION}
    return others if text is None else {**others, ANNOTATION: text}


def labels_of(there: Mapping[str, str], state: State, policy: RotationPolicy) -> dict[str, str]:
    """The secret's labels with the due date brought up to date; without ours once nobody looks after it."""
    if state == State():
        ours = {name for name in there if name.startswith(LABEL_PREFIX)}
        ours |= {MANAGED_BY} if there.get(MANAGED_BY) == OWNER else set()
        return {name: text for name, text in there.items() if name not in ours}
    if state.current is None:
        return dict(there)
    return {**there, LABEL_DUE: f"{policy.due_at(state.current.since, state.current.expires):%Y%m%d}"}


def outcome_of(situation: Situation, steps: tuple[Step, ...], notes: tuple[str, ...], *, dry: bool) -> Outcome:
    """What became of the credential once nothing more is to be done."""
    ending, message, code = _ending(situation, steps, dry=dry)
    held = _predecessors_that_wait(situation)
    if ending in {Ending.ROTATED, Ending.DELIVERED} and (ends := _secret_end(situation)):
        held = (*held, ends)
    current = situation.state.current
    held = (*held, *_perhaps_leaked(situation))
    if situation.want.is_last or situation.state.ended is not None:
        held = (*held, *situation.seen.left, *_left_elsewhere(situation, steps))
    return Outcome(
        situation.credential.name,
        ending,
        message=message,
        hint=_hint(situation, ending),
        generation=situation.state.generation,
        identifier=current.id if current else "",
        version=current.version if current else 0,
        steps=steps,
        notes=(*notes, *held),
        code=code,
    )


def _predecessors_that_wait(situation: Situation) -> tuple[str, ...]:
    """Name the predecessors whose time is over and that stay as they are, and those that somebody enabled again."""
    credential, leaked = situation.credential, situation.state.leaked
    grace = retirement.waiting(situation, Retirement.GRACE)
    disabled = retirement.waiting(situation, Retirement.DISABLED)
    found = [f"predecessor {name} may still be in use and stays enabled: {why}" for name, why in grace.items()]
    found += [
        f"predecessor {name} stays disabled and is not deleted: {why}; if nobody needs it: "
        f"orchestra-creds key delete {credential.account or 'ACCOUNT'} {name}"
        for name, why in disabled.items()
    ]
    found += [
        f"predecessor {name} was enabled again"
        + (
            ", although it leaked"
            if name in leaked
            else f"; {duration_text(credential.policy.grace)} of grace begin anew"
        )
        for name in sorted(situation.seen.spared)
    ]
    return tuple(found)


def _perhaps_leaked(situation: Situation) -> tuple[str, ...]:
    """Name the predecessors that are valid in their grace while the operator deals with a leak."""
    want, name = situation.want, situation.credential.name
    if not want.leaked or want.leaked_id:
        return ()
    valid = (entry.id for entry in situation.state.retiring if entry.phase is Retirement.GRACE)
    return tuple(
        f"predecessor {each} stays valid in its grace; if it leaked too: orchestra-creds rotate {name} --leaked --key {each}"
        for each in valid
    )


def _left_elsewhere(situation: Situation, steps: tuple[Step, ...]) -> tuple[str, ...]:
    """Return the copies that nobody brings up to date any more."""
    if StepKind.END not in {step.kind for step in steps}:
        return ()
    return tuple(f"the copy in {name} stays; remove it" for name in sorted(situation.state.delivered))


def _ending(situation: Situation, steps: tuple[Step, ...], *, dry: bool) -> tuple[Ending, str, ExitCode]:
    kinds = {StepKind(step.kind) for step in steps}
    seen, current = situation.seen, situation.state.current
    if dry and any(step.mutates for step in steps):
        return Ending.PLANNED, _begin_reason(steps), ExitCode.OK
    if seen.forgotten or situation.state.ended is not None:
        return _retire_ending(situation, steps)
    if seen.abandoned:
        return _given_up(situation)
    where = f"{current.id} is version {current.version}" if current else ""
    alive = _alive(situation, kinds, where)
    if alive:
        return Ending.ATTENTION, alive, ExitCode.ATTENTION
    if kinds & {StepKind.PROMOTE, StepKind.RECORD, StepKind.FINISH}:
        return _delivered_ending(situation, kinds, where)
    if attention := _attention(situation):
        return Ending.ATTENTION, attention, ExitCode.ATTENTION
    if kinds & {StepKind.ADOPT, StepKind.CLAIM}:
        claimed = [f"{step.detail} of older versions" for step in steps if StepKind(step.kind) is StepKind.CLAIM]
        return Ending.ADOPTED, "; ".join([where, *claimed]), ExitCode.OK
    if turned := _turned_text(steps):
        return Ending.RETIRED, turned, ExitCode.OK
    return Ending.NOTHING, _next_rotation_text(situation), ExitCode.OK


def _delivered_ending(situation: Situation, kinds: set[StepKind], where: str) -> tuple[Ending, str, ExitCode]:
    """How a run ends that gave readers or destinations a credential; a delivery alone mends nothing else."""
    if machine.is_behind(situation):
        return Ending.PENDING, f"{where}, but a destination is behind", ExitCode.ATTENTION
    if StepKind.PROMOTE not in kinds and (attention := _attention(situation)):
        delivered = ", and its destinations have it" if StepKind.REDELIVER in kinds else ""
        return Ending.ATTENTION, f"{where}{delivered}; {attention}", ExitCode.ATTENTION
    return _successor_ending(kinds), where, _leftover_code(situation)


def _successor_ending(kinds: set[StepKind]) -> Ending:
    """What a run did that gave readers, or destinations, a credential."""
    if StepKind.ADOPT in kinds:
        return Ending.ADOPTED
    return Ending.DELIVERED if StepKind.REDELIVER in kinds else Ending.ROTATED


def _turned_text(steps: tuple[Step, ...]) -> str:
    done = (step for step in steps if step.mutates and StepKind(step.kind) in _TURNED)
    return "; ".join(
        f"claim {step.detail}" if StepKind(step.kind) is StepKind.SWEEP else f"{step.kind} {step.resource}"
        for step in done
        if StepKind(step.kind) is not StepKind.SWEEP or step.detail
    )


def _abandon_ending(situation: Situation) -> tuple[Ending, str, ExitCode]:
    """The end of our care: after `rotate abandon`, or once all of a retired credential is gone."""
    if not situation.want.abandon:
        return Ending.RETIRED, "it has ended: nothing of it is left", ExitCode.OK
    code = ExitCode.ATTENTION if situation.seen.left_unsafe else ExitCode.OK
    return Ending.ABANDONED, "orchestra-creds does not look after it any more; nothing was destroyed", code


def _retire_ending(situation: Situation, steps: tuple[Step, ...]) -> tuple[Ending, str, ExitCode]:
    """How far the end of a credential has come."""
    seen, state, credential = situation.seen, situation.state, situation.credential
    if seen.forgotten:
        return _abandon_ending(situation)
    turned = _turned_text(steps)
    unproven = [identifier for identifier, ended in seen.ended.items() if not ended]
    alarms = [f"{identifier} is not proven dead" for identifier in unproven]
    alarms += [f"{identifier} could not be retired" for identifier in sorted(seen.unretired)]
    alarms += [f"{identifier} is not deleted" for identifier in retirement.waiting(situation, Retirement.DISABLED)]
    if seen.lives_checked and seen.newest_id and not seen.newest_is_ours and not seen.published:
        alarms.append(f"version {seen.newest} was not made by orchestra-creds and stays readable")
    if seen.lives_checked and credential.kind is CredentialKind.MANUAL:
        alarms.append("it is valid until its issuer revokes it")
    if state.unresolved:
        alarms.append("a lost creation may have made a key; the next runs look for it")
    disabled = [e.since for e in state.retiring if e.since is not None and e.phase is Retirement.DISABLED]
    later = f"runs after {credential.policy.soak_ends(max(disabled)):%Y-%m-%d} delete it" if disabled else ""
    if not state.retiring and not state.unresolved and not turned and credential.source != "none":
        alarms.append(f"it has ended, and {credential.source} still declares it")
    text = "; ".join(each for each in (turned, *alarms, later) if each)
    if alarms:
        return Ending.ATTENTION, text, ExitCode.ATTENTION
    return (Ending.RETIRED if turned else Ending.NOTHING), text, ExitCode.OK


def _leftover_code(situation: Situation) -> ExitCode:
    seen = situation.seen
    left = (
        *seen.unretired,
        *seen.spared,
        *seen.copies_left,
        *retirement.used_while_disabled(situation),
        _secret_end(situation),
    )
    return ExitCode.ATTENTION if seen.unswept or any(left) else ExitCode.OK


def _secret_end(situation: Situation) -> str:
    """Return what to say of a secret that deletes itself soon; empty if it does not."""
    expires = situation.seen.secret_expires
    if expires is None or expires - situation.now >= SECRET_ENDS_SOON:
        return ""
    return f"Secret Manager deletes secret {situation.credential.secret}, with every version, on {expires:%Y-%m-%d}"


def _attention(situation: Situation) -> str:
    """Return what the operator has to see to, although nothing is half done; empty when there is nothing."""
    seen = situation.seen
    if _is_due_by_hand(situation):
        return "it is due, and only a person can make its successor"
    if seen.withdrawn:
        return "readers cannot read the current version"
    if seen.dead:
        return "the current one does not authenticate"
    if ends := _secret_end(situation):
        return f"{ends}; {_next_rotation_text(situation)}"
    if seen.unretired:
        return f"{', '.join(sorted(seen.unretired))} could not be retired; {_next_rotation_text(situation)}"
    if seen.copies_left:
        return f"{', '.join(sorted(seen.copies_left))} could not be disabled; {_next_rotation_text(situation)}"
    if used := retirement.used_while_disabled(situation):
        return f"{', '.join(used)} was used after it was disabled; {_next_rotation_text(situation)}"
    if seen.spared:
        return f"{', '.join(sorted(seen.spared))} was enabled again; {_next_rotation_text(situation)}"
    return f"orphans may exist; {_next_rotation_text(situation)}" if seen.unswept else ""


def _alive(situation: Situation, kinds: set[StepKind], where: str) -> str:
    """Return what to say of what leaked and is not proven dead; empty when all of it is."""
    state, credential = situation.state, situation.credential
    if credential.kind is CredentialKind.MANUAL and state.current_leaked:
        return "it leaked, and only a person can make its successor"
    alive = [each for each in state.alive if not situation.seen.ended.get(each)]
    if alive:
        return f"{', '.join(alive)} leaked and is not proven dead; {where}"
    if credential.kind is CredentialKind.MANUAL and StepKind.DISABLE in kinds and not credential.probe:
        return f"{where}; the leaked one is valid until its issuer revokes it"
    return ""


def _given_up(situation: Situation) -> tuple[Ending, str, ExitCode]:
    taken = [f"{name}: {why}" for name, why in situation.seen.taken.items() if why]
    if taken:
        message = f"the predecessor does not come back: {'; '.join(taken)}; nothing changed for readers"
        return Ending.FAILED, message, ExitCode.PRECONDITION
    message = "the successor did not authenticate and was given up; nothing changed for readers"
    return Ending.FAILED, message, ExitCode.ATTENTION


def _is_due_by_hand(situation: Situation) -> bool:
    return (
        situation.credential.kind is CredentialKind.MANUAL and situation.want.start and bool(machine.reason(situation))
    )


def _begin_reason(steps: tuple[Step, ...]) -> str:
    return next((step.detail for step in steps if StepKind(step.kind) is StepKind.BEGIN), "")


def _next_rotation_text(situation: Situation) -> str:
    due = situation.due
    if due is None:
        return "it has no version yet"
    return f"next rotation in {rough_text(due - situation.now)}" if due > situation.now else "it is due"


def _end_hint(situation: Situation) -> str:
    """Return what to do about the declaration of a credential that has ended."""
    name, source = situation.credential.name, situation.credential.source
    if source == "none":
        return ""
    if situation.seen.forgotten and situation.want.abandon:
        return f"remove its declaration ({source}), or take it over again: orchestra-creds rotate {name} --adopt"
    return f"remove its declaration ({source}); until then no run makes a successor"


def _hint(situation: Situation, ending: Ending) -> str:
    state, manual = situation.state, situation.credential.kind is CredentialKind.MANUAL
    if situation.state.ended is not None or situation.seen.forgotten:
        return _end_hint(situation)
    if ending is Ending.ATTENTION and manual and not machine.reason(situation):
        return "revoke it at its issuer; only its version of the secret is disabled"
    if ending is Ending.ATTENTION and state.alive and not manual:
        return "the next run tries again; end it by hand at its issuer if that does not help"
    if ending is Ending.ATTENTION and manual:
        return f"store it: orchestra-creds secret set {situation.credential.secret}; the next run records it"
    if ending in {Ending.ATTENTION, Ending.ROTATED, Ending.DELIVERED} and _secret_end(situation):
        return f"take its expiry away: gcloud secrets update {situation.credential.secret} --remove-expiration"
    if ending is Ending.PENDING:
        return "the next run repeats it; the predecessor stays valid until then"
    return ""
