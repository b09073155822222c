"""How every credential stands: pure functions of what is declared, what its secret says, what the issuer lists, and the time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from orchestra_creds.core.cloud_types import SecretResource, Version, VersionState
from orchestra_creds.core.credential import Credential, CredentialKind, IgnoredKey
from orchestra_creds.core.policy import RotationPolicy
from orchestra_creds.errors import PreconditionError
from orchestra_creds.rotation.issuer import IssuedCredential
from orchestra_creds.rotation.state import Phase, Predecessor, Retirement, State, Target, state_on
from orchestra_creds.rotation.timing import LATE, LISTED_LATE, SECRET_ENDS_SOON


class Problem(StrEnum):
    """What needs the operator; each has a line in docs/rotation.md."""

    NO_VERSION = "no version yet"
    OVERDUE = "overdue"
    STUCK = "interrupted"
    BEHIND = "destination behind"
    ORPHANS = "orphaned key"
    FOREIGN = "foreign key"
    EXPOSED = "exposed key"
    DEAD = "current key disabled"
    STATE = "state unreadable"
    LINGERS = "predecessor lingers"
    DECLARATION = "declaration refused"
    UNDECLARED = "not declared"
    LEAKED = "leaked and alive"
    UNREADABLE = "latest unreadable"
    FOREIGN_VERSION = "foreign version"
    ENDING = "secret expires"
    EXPIRING = "key expires"
    MOVED = "declared otherwise"
    ENDED = "retired"
    NOT_READ = "not looked at"


@dataclass(frozen=True, slots=True)
class CredentialProblem:
    """A problem with what it is about."""

    problem: Problem
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CredentialStatus:
    """One credential. Times are UTC; `share` is its age over its policy, 1.0 when it is due.

    `kind` is None and `source` is `labels` or `none` for a secret whose declaration cannot be used, or that has none.
    """

    name: str
    kind: CredentialKind | None
    secret: str
    source: str
    phase: str
    generation: int = 0
    identifier: str = ""
    version: int = 0
    since: datetime | None = None
    due: datetime | None = None
    age: timedelta | None = None
    share: float = 0.0
    last_used: datetime | None = None
    expires: datetime | None = None
    """When the current one ends by itself at its issuer."""
    secret_expires: datetime | None = None
    """When Secret Manager deletes the whole secret."""
    retiring: tuple[Predecessor, ...] = ()
    destinations: Mapping[str, bool] | None = None
    problems: tuple[CredentialProblem, ...] = ()

    @property
    def ends(self) -> datetime | None:
        """When readers lose it if nobody does anything: the earlier of the two expiries."""
        return min((end for end in (self.expires, self.secret_expires) if end is not None), default=None)


@dataclass(frozen=True, slots=True)
class Survey:
    """All of them, the most urgent first."""

    project: str
    at: datetime
    statuses: tuple[CredentialStatus, ...]
    notes: tuple[str, ...] = ()
    """What is not known, or was left out, and needs no operator."""
    listing_error: str = ""
    """Why not every secret was seen; empty if all were."""

    @property
    def needs_operator(self) -> bool:
        """Whether anything is wrong anywhere; a project without any declaration is, for then nothing is looked after."""
        return not self.statuses or bool(self.listing_error) or any(status.problems for status in self.statuses)


@dataclass(frozen=True, slots=True)
class CredentialFacts:
    """What was seen of one credential; `held` is None where the issuer cannot tell or was not asked."""

    credential: Credential
    secret: SecretResource | None
    held: Sequence[IssuedCredential] | None
    spoken_for: frozenset[str] = frozenset()
    """Ids that any credential of the same account refers to."""
    undeclared: Mapping[str, str] = field(default_factory=dict)
    """Ids that the state of a secret speaks for which nothing declares, and the name of that secret."""
    ignored: Mapping[str, IgnoredKey] = field(default_factory=dict)
    """Foreign keys of the same account that the file accepts, by id."""
    latest: Version | None = None
    """The version that readers of `latest` get; None if there is none."""
    unread: str = ""
    """Why nobody could look at that version."""
    account_disabled: bool = False


def state_of(secret: SecretResource | None) -> State:
    """The state on a secret.

    Raises:
        PreconditionError: it cannot be read.
    """
    return state_on(secret) if secret else State()


def credential_status(facts: CredentialFacts, now: datetime, tolerance: timedelta = timedelta(0)) -> CredentialStatus:
    """How one credential stands; it is overdue when it is due for longer than `tolerance`."""
    credential = facts.credential
    try:
        state = state_of(facts.secret)
    except PreconditionError as error:
        problem = CredentialProblem(Problem.STATE, str(error))
        return CredentialStatus(
            credential.name, credential.kind, credential.secret, credential.source, "?", problems=(problem,)
        )
    current, policy = state.current, credential.policy
    held = {item.id: item for item in facts.held or ()}
    mine = held.get(current.id) if current else None
    expires = _expiry_of(facts, state)
    return CredentialStatus(
        name=credential.name,
        kind=credential.kind,
        secret=credential.secret,
        source=credential.source,
        phase=str(state.phase),
        generation=state.generation,
        identifier=current.id if current else "",
        version=current.version if current else 0,
        since=current.since if current else None,
        due=policy.due_at(current.since, expires) if current else None,
        age=now - current.since if current else None,
        share=(now - current.since) / policy.every if current else 0.0,
        last_used=mine.last_used if mine else None,
        expires=expires,
        secret_expires=facts.secret.expires if facts.secret else None,
        retiring=state.retiring,
        destinations={copy.name: _is_delivered(state, copy.name) for copy in credential.copies},
        problems=tuple(_problems(facts, state, now, tolerance)),
    )


def unusable(name: str, secret: str, source: str, problem: CredentialProblem) -> CredentialStatus:
    """Return the row of a secret that has no usable declaration."""
    return CredentialStatus(name, None, secret, source, "?", problems=(problem,))


def survey(
    project: str, statuses: Sequence[CredentialStatus], at: datetime, notes: Sequence[str] = (), listing_error: str = ""
) -> Survey:
    """The most urgent first: what has a problem, then what is due next."""
    far = datetime.max.replace(tzinfo=at.tzinfo)
    order = sorted(statuses, key=lambda one: (not one.problems, one.due or far, one.name))
    return Survey(project, at, tuple(order), tuple(notes), listing_error)


def _expiry_of(facts: CredentialFacts, state: State) -> datetime | None:
    """When the current one ends, by what its issuer says now, else by what a run recorded."""
    current = state.current
    if current is None:
        return None
    return next((item.expires for item in facts.held or () if item.id == current.id), current.expires)


def _is_delivered(state: State, name: str) -> bool:
    return state.current is not None and state.delivered.get(name) == state.current.id


def _problems(facts: CredentialFacts, state: State, now: datetime, tolerance: timedelta) -> list[CredentialProblem]:
    current, policy = state.current, facts.credential.policy
    found = []
    if state.ended is not None:
        found += _end_problems(facts, state)
    elif current is None:
        found.append(CredentialProblem(Problem.NO_VERSION))
    else:
        found += _age_problems(policy, current.since, _expiry_of(facts, state), now, tolerance)
    at_work = state.lease is not None and now < state.lease.until
    if current is not None and not at_work:
        found += _reader_problems(facts, current.version, now)
    if current is not None and not at_work:
        found += _target_problems(facts, state, now)
    if state.phase not in {Phase.IDLE, Phase.PUBLISHED} and not at_work:
        found.append(CredentialProblem(Problem.STUCK, f"in phase {state.phase}"))
    behind = [copy.name for copy in facts.credential.copies if not _is_delivered(state, copy.name)]
    if not at_work and (state.phase is Phase.PUBLISHED or (state.phase is Phase.IDLE and current and behind)):
        found.append(CredentialProblem(Problem.BEHIND, ", ".join(behind) or "a hook"))
    again = _enabled_again(facts, state, now)
    if alive := (*state.alive, *(each for each in again if each in state.leaked)):
        found.append(CredentialProblem(Problem.LEAKED, ", ".join(alive)))
    orphans = [entry.id for entry in state.retiring if entry.phase is Retirement.ORPHAN]
    if orphans or state.unresolved:
        found.append(CredentialProblem(Problem.ORPHANS, ", ".join(orphans) or "one may exist"))
    found += [
        CredentialProblem(Problem.LINGERS, f"{entry.id} was enabled again" if entry.id in again else entry.id)
        for entry in state.retiring
        if _is_lingering(facts.credential, entry, now) or (entry.id in again and entry.id not in state.leaked)
    ]
    return found + _key_problems(facts, state, now)


def _end_problems(facts: CredentialFacts, state: State) -> list[CredentialProblem]:
    """A credential that was retired and is declared all the same: nobody will make a successor."""
    if facts.credential.source == "none" or state.retiring:
        return []
    return [
        CredentialProblem(Problem.ENDED, f"nothing of it is left: remove its declaration ({facts.credential.source})")
    ]


def _target_problems(facts: CredentialFacts, state: State, now: datetime) -> list[CredentialProblem]:
    """A current one that belongs to another account or kind than the declared, or that its account does not have."""
    current, credential = state.current, facts.credential
    if current is None:
        return []
    there, wanted = current.target, Target(str(credential.kind), credential.account)
    if there is not None and not there.is_same(wanted):
        detail = f"{current.id} is of {there.account or f'kind {there.kind}'}; the next run makes a successor"
        return [CredentialProblem(Problem.MOVED, detail)]
    if credential.kind is not CredentialKind.SERVICE_ACCOUNT_KEY:
        return []
    if facts.account_disabled:
        return [CredentialProblem(Problem.DEAD, f"{credential.account} is disabled: no key of it authenticates")]
    if now - current.since < LISTED_LATE:
        return []
    if facts.held is None:
        return [CredentialProblem(Problem.DEAD, f"{credential.account} does not exist")]
    if all(item.id != current.id for item in facts.held):
        return [CredentialProblem(Problem.DEAD, f"{current.id} is not among the keys of {credential.account}")]
    return []


def _age_problems(
    policy: RotationPolicy, since: datetime, expires: datetime | None, now: datetime, tolerance: timedelta
) -> list[CredentialProblem]:
    """A successor that is missing although it is due, and the end of the current one if that comes near."""
    found, due = [], policy.due_at(since, expires)
    if now > due + tolerance:
        ends = f"; it expires on {expires:%Y-%m-%d}" if expires is not None else ""
        found.append(CredentialProblem(Problem.OVERDUE, f"since {due:%Y-%m-%d}{ends}"))
    if expires is not None and now > min(policy.last_start(since, expires) + tolerance, expires - policy.grace):
        when = f"since {expires:%Y-%m-%d %H:%M} UTC" if now >= expires else f"on {expires:%Y-%m-%d %H:%M} UTC"
        found.append(CredentialProblem(Problem.EXPIRING, when))
    return found


def _reader_problems(facts: CredentialFacts, current: int, now: datetime) -> list[CredentialProblem]:
    """What stands between readers and the current version."""
    found, latest = [], facts.latest
    if facts.unread:
        found.append(CredentialProblem(Problem.NOT_READ, facts.unread))
    elif latest is None or latest.state is not VersionState.ENABLED:
        detail = f"version {latest.number} is {latest.state}" if latest else "it has no version"
        found.append(CredentialProblem(Problem.UNREADABLE, detail))
    elif latest.number > current:
        found.append(CredentialProblem(Problem.FOREIGN_VERSION, f"{latest.number} is newer than {current}"))
    expires = facts.secret.expires if facts.secret else None
    if expires is not None and expires - now < SECRET_ENDS_SOON:
        found.append(CredentialProblem(Problem.ENDING, f"on {expires:%Y-%m-%d}, with every version"))
    return found


def _enabled_again(facts: CredentialFacts, state: State, now: datetime) -> list[str]:
    """Return the predecessors that were disabled, and that their issuer lists as enabled although lists are current."""
    enabled = {item.id for item in facts.held or () if item.enabled}
    return [
        entry.id
        for entry in state.retiring
        if entry.id in enabled
        and entry.phase is Retirement.DISABLED
        and entry.since is not None
        and now - entry.since >= LISTED_LATE
    ]


def _is_lingering(credential: Credential, entry: Predecessor, now: datetime) -> bool:
    if entry.since is None or entry.phase is Retirement.ORPHAN:
        return False
    policy = credential.policy
    ends = policy.soak_ends(entry.since) if entry.phase is Retirement.DISABLED else policy.grace_ends(entry.since)
    return now > ends + LATE


def _key_problems(facts: CredentialFacts, state: State, now: datetime) -> list[CredentialProblem]:
    found = []
    for item in facts.held or ():
        if state.current is not None and item.id == state.current.id and not item.enabled:
            found.append(CredentialProblem(Problem.DEAD, item.id))
        if item.exposed:
            found.append(CredentialProblem(Problem.EXPOSED, item.id))
        if item.id not in facts.spoken_for | state.referenced_ids:
            found += _foreign_problems(facts, item.id, now)
    return found


def _foreign_problems(facts: CredentialFacts, identifier: str, now: datetime) -> list[CredentialProblem]:
    """A key that no declared credential speaks for, unless the file accepts it still."""
    ignored, secret = facts.ignored.get(identifier), facts.undeclared.get(identifier)
    if ignored is not None and now.date() <= ignored.until:
        return []
    detail = identifier
    if ignored is not None:
        detail += f", ignored until {ignored.until}"
    if secret is not None:
        detail += f", of secret {secret}, which nothing declares: orchestra-creds rotate retire {secret} --undeclared"
    return [CredentialProblem(Problem.FOREIGN, detail)]
