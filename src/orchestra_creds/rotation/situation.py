"""What a decision about a rotation depends on, as frozen data: what is durable, what this run has seen, and what is wanted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum

from orchestra_creds.core.credential import Credential
from orchestra_creds.core.key_usage import KeyUsage
from orchestra_creds.rotation.outcome import Step
from orchestra_creds.rotation.state import STAGING_SUFFIX, Predecessor, State, Target

PREDICTED = "(new)"
"""The id of what does not exist yet, in plans."""


class StepKind(StrEnum):
    """What a step does."""

    LOOK_AT_VERSIONS = "look at versions"
    LOOK_AT_STAGING = "look at staging"
    LOOK_FOR_STAGED = "look for a staged successor"
    LOOK_FOR_MADE = "ask the issuer what it made"
    LOOK_FOR_PUBLISHED = "look for a published successor"
    LOOK_AT_USE = "ask when it was used"
    LOOK_AT_HEALTH = "ask whether it is in force"
    LOOK_FOR_ORPHANS = "look for orphans"
    LOOK_AT_COPIES = "look at copies"
    PREFLIGHT = "preflight"
    PROVE = "prove the current one"
    VERIFY = "verify"
    PROVE_END = "prove its end"
    PRE_HOOK = "pre hook"
    MAKE_SECRET = "create secret"  # noqa: S105  a name
    MAKE_STAGING = "create staging secret"
    ADOPT = "adopt"
    CLAIM = "adopt older versions"
    RECORD = "record a version set by hand"
    RECORD_END = "record its expiry"
    LEAK = "record the leak"
    KILL = "end the current one first"
    LOOK_AT_STAGED = "look at the staged copy"
    GIVE_UP = "give up a successor whose copy is lost"
    LOOK_AT_LIVES = "look at what is to end"
    END = "record the end"
    REMOVE_STAGING = "delete staging secret"
    FORGET = "stop looking after it"
    BEGIN = "begin"
    ROLL_BACK = "begin to roll back"
    TAKE_OVER = "take over"
    STAGE = "stage"
    PREPARE = "record the staged successor"
    ACTIVATE = "make valid"
    CREATE_INSTEAD = "create one instead"
    REOPEN = "record a lost creation"
    CREATE = "create"
    ISSUED = "record the issued successor"
    ENABLE = "enable again"
    PUBLISH = "publish"
    PROMOTE = "promote"
    REDELIVER = "begin to deliver again"
    DELIVER = "deliver"
    DEPLOY_HOOK = "deploy hook"
    CLEAN = "destroy the staged copy"
    FINISH = "finish"
    ABANDON = "abandon"
    SWEEP = "claim orphans"
    LEASE_RETIRE = "begin to retire"
    DISABLE = "disable"
    WITHDRAW = "disable version"
    DELETE = "delete"
    DESTROY = "destroy version"
    WITHDRAW_COPY = "disable copy"
    DESTROY_COPY = "destroy copy"
    RETIRED = "record what was retired"
    RELEASE = "release"


class StepEffect(Enum):
    """What a step may do to the world outside this process."""

    READS = "reads"
    CHANGES = "changes the cloud"
    RECORDS = "writes the state by one compare-and-swap"


EFFECTS: Mapping[StepKind, StepEffect] = {
    StepKind.LOOK_AT_VERSIONS: StepEffect.READS,
    StepKind.LOOK_AT_STAGING: StepEffect.READS,
    StepKind.LOOK_FOR_STAGED: StepEffect.READS,
    StepKind.LOOK_FOR_MADE: StepEffect.READS,
    StepKind.LOOK_FOR_PUBLISHED: StepEffect.READS,
    StepKind.LOOK_AT_USE: StepEffect.READS,
    StepKind.LOOK_AT_STAGED: StepEffect.READS,
    StepKind.LOOK_AT_LIVES: StepEffect.READS,
    StepKind.LOOK_AT_HEALTH: StepEffect.READS,
    StepKind.LOOK_FOR_ORPHANS: StepEffect.READS,
    StepKind.LOOK_AT_COPIES: StepEffect.READS,
    StepKind.PREFLIGHT: StepEffect.READS,
    StepKind.PROVE: StepEffect.READS,
    StepKind.VERIFY: StepEffect.READS,
    StepKind.PROVE_END: StepEffect.READS,
    StepKind.PRE_HOOK: StepEffect.READS,
    StepKind.MAKE_SECRET: StepEffect.CHANGES,
    StepKind.MAKE_STAGING: StepEffect.CHANGES,
    StepKind.STAGE: StepEffect.CHANGES,
    StepKind.ACTIVATE: StepEffect.CHANGES,
    StepKind.CREATE: StepEffect.CHANGES,
    StepKind.ENABLE: StepEffect.CHANGES,
    StepKind.PUBLISH: StepEffect.CHANGES,
    StepKind.DELIVER: StepEffect.CHANGES,
    StepKind.DEPLOY_HOOK: StepEffect.CHANGES,
    StepKind.CLEAN: StepEffect.CHANGES,
    StepKind.KILL: StepEffect.CHANGES,
    StepKind.DISABLE: StepEffect.CHANGES,
    StepKind.WITHDRAW: StepEffect.CHANGES,
    StepKind.DELETE: StepEffect.CHANGES,
    StepKind.DESTROY: StepEffect.CHANGES,
    StepKind.WITHDRAW_COPY: StepEffect.CHANGES,
    StepKind.DESTROY_COPY: StepEffect.CHANGES,
    StepKind.REMOVE_STAGING: StepEffect.CHANGES,
    StepKind.ADOPT: StepEffect.RECORDS,
    StepKind.CLAIM: StepEffect.RECORDS,
    StepKind.RECORD: StepEffect.RECORDS,
    StepKind.RECORD_END: StepEffect.RECORDS,
    StepKind.LEAK: StepEffect.RECORDS,
    StepKind.GIVE_UP: StepEffect.RECORDS,
    StepKind.END: StepEffect.RECORDS,
    StepKind.FORGET: StepEffect.RECORDS,
    StepKind.BEGIN: StepEffect.RECORDS,
    StepKind.ROLL_BACK: StepEffect.RECORDS,
    StepKind.TAKE_OVER: StepEffect.RECORDS,
    StepKind.PREPARE: StepEffect.RECORDS,
    StepKind.CREATE_INSTEAD: StepEffect.RECORDS,
    StepKind.REOPEN: StepEffect.RECORDS,
    StepKind.ISSUED: StepEffect.RECORDS,
    StepKind.PROMOTE: StepEffect.RECORDS,
    StepKind.REDELIVER: StepEffect.RECORDS,
    StepKind.FINISH: StepEffect.RECORDS,
    StepKind.ABANDON: StepEffect.RECORDS,
    StepKind.SWEEP: StepEffect.RECORDS,
    StepKind.LEASE_RETIRE: StepEffect.RECORDS,
    StepKind.RETIRED: StepEffect.RECORDS,
    StepKind.RELEASE: StepEffect.RECORDS,
}
"""The effect of every kind of step."""


def kinds_with(effect: StepEffect) -> frozenset[StepKind]:
    """Return the kinds of steps that have an effect."""
    return frozenset(kind for kind, what in EFFECTS.items() if what is effect)


READS = kinds_with(StepEffect.READS)
WRITES_STATE = kinds_with(StepEffect.RECORDS)
LOOKS = READS - {StepKind.PROVE, StepKind.VERIFY, StepKind.PROVE_END, StepKind.PRE_HOOK}
"""Steps that a dry run takes for real."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the operator asks of this run.

    start   may begin a rotation; `rotate resume` only goes on with what was begun      adopt   take over a version made by others
    force   begin although it is not due            leaked  the current one leaked                 back    let the predecessor return
    """

    force: bool = False
    adopt: bool = False
    leaked: bool = False
    start: bool = True
    back: bool = False
    retire: bool = False
    """End it: nobody needs it any more."""
    in_use: bool = False
    """With `retire`: also if it was used lately."""
    abandon: bool = False
    """Stop looking after it, and destroy nothing."""
    undeclared: bool = False
    """With `retire` or `abandon`: the name is that of a secret that nothing declares."""
    leaked_id: str = ""
    """With `leaked`: the id that leaked, if it is not the current one."""
    kill_first: bool = False
    """With `leaked`: end the current one before its successor exists, although readers fail until then."""

    @property
    def is_last(self) -> bool:
        """Whether it is about the end of looking after a credential, whoever declares it."""
        return self.retire or self.abandon


ORDINARY = RunRequest()


@dataclass(frozen=True, slots=True)
class Observations:
    """Facts of this run; None where nobody has looked. Steps add to it, a lost reply takes away what it makes doubtful."""

    exists: bool = True
    secret_expires: datetime | None = None
    """When Secret Manager deletes the whole secret; None if it does not."""
    expires: datetime | None = None
    """When the current one ends by itself, by what its issuer says; None if it does not, or nobody has asked."""
    end_known: bool = False
    """Its issuer was asked for that, and has it."""
    newest: int | None = None
    newest_is_ours: bool = False
    learned: Target | None = None
    """Where the current one is valid, found out for a state that does not say it."""
    target_id: str = ""
    """The unique id of the account that a successor is made for, as far as it is known."""
    remade: bool = False
    """The account of the current one was deleted and made again."""
    lost: str | None = None
    """The id of the successor whose staged copy is gone, empty if it was valid nowhere; None while the copy is there."""
    staged_checked: bool = False
    staging_restarted: bool = False
    """The staging secret was made anew since the state last counted its versions."""
    usage: KeyUsage | None = None
    """What is known of the use of the current one; None if nobody asked, or nothing keeps a record."""
    lives_checked: bool = False
    staging_removed: bool = False
    forgotten: bool = False
    left: tuple[str, ...] = ()
    """What stays valid although nobody looks after it any more."""
    left_unsafe: bool = False
    """Something of that leaked, or nobody knows it."""
    orphan_targets: Mapping[str, Target | None] = field(default_factory=dict)
    newest_unreadable: bool = False
    adoptable: tuple[tuple[int, str], ...] = ()
    """Older versions that hold a key of the account which no state speaks for, with the key's id; looked for with `--adopt` only."""
    newest_id: str = ""
    newest_since: datetime | None = None
    staging: bool | None = None
    staged_top: int = 0
    staged: int | None = None
    ready: bool = False
    pre_hook: bool = False
    local: bool = True
    known: tuple[str, ...] = ()
    made: str | None = None
    opened: bool = False
    activated: str = ""
    forbidden: bool = False
    enabled: bool = False
    verified: bool = False
    refused: bool = False
    published: int | None = None
    covered: bool = False
    """Others added a version after the one that an earlier run had published."""
    proved: bool | None = None
    dead: bool = False
    withdrawn: bool = False
    """The current one counts as dead because readers get a version that is disabled or destroyed; its issuer has not refused it."""
    newer: bool = False
    """Readers of `latest` get a version that others added after the current one."""
    taken: Mapping[str, str] = field(default_factory=dict)
    """Ids that others took out of service, and how; empty text where nobody did."""
    ended: Mapping[str, bool] = field(default_factory=dict)
    """Leaked ids, and whether they were proven dead."""
    leak_recorded: bool = False
    killed: bool = False
    """The current one was ended before its successor exists."""
    rotated: bool = False
    """This run gave readers a successor: it does not begin another generation."""
    delivered: Mapping[str, str] = field(default_factory=dict)
    copied: Mapping[str, int] = field(default_factory=dict)
    """Versions of other secrets that got the current one in this run, by secret as `home_of` names it."""
    copies_left: frozenset[str] = frozenset()
    """Copies of predecessors that could not be disabled in this run."""
    copies_compared: bool = False
    undelivered: frozenset[str] = frozenset()
    hooked: bool = False
    hook_failed: bool = False
    cleaned: int = 0
    finished: bool = False
    abandoned: bool = False
    healthy: bool | None = None
    uses: Mapping[str, KeyUsage | None] = field(default_factory=dict)
    """What is known of the use of predecessors; None for those of whose use nothing is known or asked."""
    enabled_again: frozenset[str] = frozenset()
    """Predecessors that the state calls disabled, and that somebody enabled."""
    spared: frozenset[str] = frozenset()
    """Those of them that this run has given their grace again, or ends again because they leaked."""
    orphans: tuple[str, ...] | None = None
    unretired: frozenset[str] = frozenset()
    """Predecessors whose retirement failed in this run."""
    unswept: bool = False
    """Nobody could look for orphans in this run."""
    done: frozenset[tuple[StepKind, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that a decision depends on."""

    credential: Credential
    state: State
    seen: Observations
    want: RunRequest
    run: str
    now: datetime

    @property
    def has_lease(self) -> bool:
        """Whether this run holds the lease."""
        return self.state.lease is not None and self.state.lease.run == self.run

    @property
    def expires(self) -> datetime | None:
        """When the current one ends by itself, by what its issuer says now, else by what a run recorded."""
        if self.seen.end_known or self.state.current is None:
            return self.seen.expires
        return self.state.current.expires

    @property
    def due(self) -> datetime | None:
        """When the current one is due, by its age or its expiry; None while there is none."""
        current = self.state.current
        if current is None:
            return None
        return self.credential.policy.due_at(current.since, self.expires)

    @property
    def token(self) -> str:
        """The name of this attempt; the same after a crash."""
        began = int((self.state.started or self.now).timestamp())
        return f"{self.credential.secret}-g{self.state.generation + 1}-{began}"

    @property
    def target(self) -> Target:
        """Where a successor is made: as declared, and as far as this run knows the account."""
        return Target(str(self.credential.kind), self.credential.account, self.seen.target_id)

    @property
    def is_moved(self) -> bool:
        """Whether the current one is valid elsewhere than where the credential is declared now."""
        current = self.state.current
        there = (current.target or self.seen.learned) if current is not None else None
        return there is not None and not there.is_same(self.target)

    @property
    def staging(self) -> str:
        """The name of the staging secret."""
        return self.credential.secret + STAGING_SUFFIX


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step answered: a version number, an id, a fingerprint, or all that is known after a look."""

    number: int = 0
    id: str = ""
    fingerprint: str = ""
    seen: Observations | None = None
    """The observations before the step with those of the step; None if the step observed nothing."""


def step_of(kind: StepKind, resource: str, detail: str = "") -> Step:
    """Return a step, which knows whether it changes anything."""
    return Step(kind, resource, kind not in READS, detail)


def subject(situation: Situation) -> str:
    """What the issuer is asked about: the account, else the secret."""
    return situation.credential.account or situation.credential.secret


def predecessor_resource(situation: Situation, entry: Predecessor) -> str:
    """A predecessor as the resource of a step."""
    account = entry.target.account if entry.target else ""
    return f"{account or subject(situation)}/{entry.id}"
