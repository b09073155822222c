"""The end of predecessors, as pure functions: what is disabled, deleted and destroyed, and what has to be known first."""

from orchestra_creds.core.credential import CredentialKind
from orchestra_creds.rotation.outcome import Step
from orchestra_creds.rotation.situation import Situation, StepKind, predecessor_resource, step_of, subject
from orchestra_creds.rotation.state import Predecessor, Retirement, secret_at
from orchestra_creds.rotation.timing import SWEEP_AFTER


def sweep(situation: Situation) -> Step | None:
    """Look for keys of lost creations, and claim them."""
    state, seen = situation.state, situation.seen
    if seen.unswept or not any(situation.now - window.closed >= SWEEP_AFTER for window in state.unresolved):
        return None
    if seen.orphans is None:
        return step_of(StepKind.LOOK_FOR_ORPHANS, subject(situation))
    return step_of(StepKind.SWEEP, situation.credential.secret, " ".join(seen.orphans))


def tidy(situation: Situation) -> Step | None:
    """The staged copy that an abandoned rotation left."""
    if situation.state.successor.staged <= situation.seen.cleaned:
        return None
    if not situation.has_lease:
        return step_of(StepKind.TAKE_OVER, situation.credential.secret, situation.state.phase)
    return step_of(StepKind.CLEAN, situation.staging)


def end_leaked(situation: Situation) -> Step | None:
    """End what leaked, and look again until it is dead; what is still accepted after that stays for the next run."""
    seen, state, secret = situation.seen, situation.state, situation.credential.secret
    if state.current is None or seen.proved is False:
        return None
    left = [e for e in state.retiring if e.phase is Retirement.LEAKED and e.id != state.current.id]
    leaked = [e for e in left if seen.ended.get(e.id, True)]
    if not leaked:
        return None
    if seen.proved is None:
        return step_of(StepKind.PROVE, f"{secret}/versions/{state.current.version}", state.current.id)
    if not situation.has_lease:
        return step_of(StepKind.LEASE_RETIRE, secret)
    for entry in leaked:
        disable, *withdraw = end_of(situation, entry)
        if (StepKind.DISABLE, disable.resource) not in seen.done:
            return disable
        if entry.id not in seen.ended:
            return step_of(StepKind.PROVE_END, predecessor_resource(situation, entry), entry.id)
        for step in withdraw:
            if (StepKind(step.kind), step.resource) not in seen.done:
                return step
    return step_of(StepKind.RETIRED, secret)


def retire(situation: Situation) -> Step | None:
    """Take predecessors whose time is over one stage further, once the current one was proven."""
    seen, state, credential = situation.seen, situation.state, situation.credential
    if state.current is None or credential.kind is CredentialKind.MANUAL:
        return None
    kept = seen.unretired | {state.current.id}
    timely = [e for e in state.retiring if _is_time_over(situation, e) and e.id not in kept]
    unasked = next((e for e in timely if must_be_asked(situation, e)), None)
    if unasked is not None:
        return step_of(StepKind.LOOK_AT_USE, predecessor_resource(situation, unasked))
    ripe = [e for e in timely if not reason_to_wait(situation, e)]
    if not ripe or seen.proved is False:
        return None
    if seen.proved is None:
        return step_of(StepKind.PROVE, f"{credential.secret}/versions/{state.current.version}", state.current.id)
    if not situation.has_lease:
        return step_of(StepKind.LEASE_RETIRE, credential.secret)
    if seen.staging is None:  # a run that came back from the dead may have staged something after all was over
        return step_of(StepKind.LOOK_AT_STAGING, situation.staging)
    if seen.staged_top > max(state.staged_base, seen.cleaned):
        return step_of(StepKind.CLEAN, situation.staging)
    steps = [step for entry in ripe if entry.id not in seen.enabled_again for step in end_of(situation, entry)]
    undone = (step for step in steps if (StepKind(step.kind), step.resource) not in seen.done)
    return next(undone, step_of(StepKind.RETIRED, credential.secret))


RETIREMENT = frozenset(
    {
        StepKind.LOOK_AT_USE,
        StepKind.DISABLE,
        StepKind.WITHDRAW,
        StepKind.DELETE,
        StepKind.DESTROY,
        StepKind.DESTROY_COPY,
    }
)
"""Steps of the end of one predecessor."""


def retired_by(step: Step) -> str:
    """The predecessor that a step of RETIREMENT is about."""
    return step.detail or step.resource.rpartition("/")[2]


def is_leaked(situation: Situation, step: Step) -> bool:
    """Whether a step of RETIREMENT ends a credential that leaked."""
    return any(e.id == retired_by(step) and e.phase is Retirement.LEAKED for e in situation.state.retiring)


def must_be_asked(situation: Situation, entry: Predecessor) -> bool:
    """Whether its use has to be looked at before it goes one stage further; of a disabled key also whether it is disabled still."""
    if situation.want.in_use or entry.id in situation.seen.uses:
        return False
    if entry.phase is Retirement.GRACE:
        return bool(situation.credential.policy.require_unused)
    return entry.phase is Retirement.DISABLED and kind_of(situation, entry) is CredentialKind.SERVICE_ACCOUNT_KEY


def reason_to_wait(situation: Situation, entry: Predecessor) -> str:
    """Why a predecessor whose time is over does not go one stage further, as a sentence; empty if it does, or nobody has asked."""
    usage, policy = situation.seen.uses.get(entry.id), situation.credential.policy
    if usage is None:
        return ""
    if entry.phase is Retirement.GRACE:
        return policy.reason_to_keep(usage, situation.now)
    if entry.phase is Retirement.DISABLED and entry.since is not None:
        return policy.reason_to_hold(usage, entry.since, situation.now)
    return ""


def waiting(situation: Situation, phase: Retirement) -> dict[str, str]:
    """Predecessors in a phase whose time is over, but whose use keeps them in it, and why."""
    timely = (e for e in situation.state.retiring if e.phase is phase and _is_time_over(situation, e))
    return {entry.id: why for entry in timely if (why := reason_to_wait(situation, entry))}


def used_while_disabled(situation: Situation) -> tuple[str, ...]:
    """Return the disabled predecessors that somebody used since: a consumer of theirs fails."""
    uses = situation.seen.uses
    return tuple(
        entry.id
        for entry in situation.state.retiring
        if entry.phase is Retirement.DISABLED
        and entry.since is not None
        and (usage := uses.get(entry.id)) is not None
        and usage.was_used_after(entry.since)
    )


def _is_time_over(situation: Situation, entry: Predecessor) -> bool:
    policy = situation.credential.policy
    if entry.phase is Retirement.ORPHAN:
        return True
    if entry.phase is Retirement.LEAKED or entry.since is None:  # for what leaked see end_leaked
        return False
    ends = policy.grace_ends(entry.since) if entry.phase is Retirement.GRACE else policy.soak_ends(entry.since)
    return situation.now >= ends


PROVABLE = frozenset({CredentialKind.SERVICE_ACCOUNT_KEY, CredentialKind.POSTGRES})
"""Kinds that their issuer can disable: a key or role that is disabled is tried until it is refused."""


def kind_of(situation: Situation, entry: Predecessor) -> CredentialKind:
    """The kind of a predecessor, which may be another one than is declared now."""
    return CredentialKind(entry.target.kind) if entry.target else situation.credential.kind


def is_guarded(situation: Situation, entry: Predecessor) -> bool:
    """Whether no declaration but only the state says where an entry is valid.

    Whoever may write annotations must not be able to end the keys of any account: such an entry is ended only with a proof that a
    version of the secret holds it.
    """
    credential, target = situation.credential, entry.target
    if credential.source == "none":
        return True
    return target is not None and (target.kind, target.account) != (str(credential.kind), credential.account)


def end_of(situation: Situation, entry: Predecessor) -> list[Step]:
    """The steps that take a predecessor one stage further; a version that readers may get is among them only at the end of all."""
    secret = situation.credential.secret
    current = situation.state.current
    ends = situation.state.ended is not None
    numbers = [n for n in entry.versions if ends or (current is not None and n < current.version)]
    if entry.phase is not Retirement.DISABLED:
        disable = step_of(StepKind.DISABLE, predecessor_resource(situation, entry), entry.id)
        provable = kind_of(situation, entry) in PROVABLE
        kept = kind_of(situation, entry) is CredentialKind.SERVICE_ACCOUNT_KEY or is_guarded(situation, entry)
        useless = (ends and not provable) or (entry.phase is Retirement.LEAKED and not kept)
        leaked = (
            numbers if useless else []
        )  # a version that proves whose key it is stays readable until the key is deleted
        hidden = _copy_steps(situation, entry, StepKind.WITHDRAW_COPY) if useless or not provable else []
        withdraw = [step_of(StepKind.WITHDRAW, f"{secret}/versions/{number}", entry.id) for number in leaked]
        return [disable, *withdraw, *hidden]
    destroy = [step_of(StepKind.DESTROY, f"{secret}/versions/{number}", entry.id) for number in numbers]
    copies = _copy_steps(situation, entry, StepKind.DESTROY_COPY)
    return [step_of(StepKind.DELETE, predecessor_resource(situation, entry), entry.id), *copies, *destroy]


def _copy_steps(situation: Situation, entry: Predecessor, kind: StepKind) -> list[Step]:
    """Steps that do to the copies of a predecessor in declared secrets what was done to its version.

    A version stays that another credential of the state has, too, and so does one that is not older than that of the current one.
    """
    state, current = situation.state, situation.state.current
    if current is None:
        return []
    declared = {str(copy.options.get("secret", "")) for copy in situation.credential.copies if copy.kind == "secret"}
    mine = (*current.copies, *situation.seen.copied.items())
    others = {*mine, *(copy for other in state.retiring if other is not entry for copy in other.copies)}
    newest = {home: max(number for there, number in mine if there == home) for home, _ in mine}
    return [
        step_of(kind, f"{secret}/versions/{number}", entry.id)
        for home, number in entry.copies
        if (secret := secret_at(home)) in declared and (home, number) not in others and number < newest.get(home, 0)
    ]
