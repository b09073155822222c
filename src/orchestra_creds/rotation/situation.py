"""What a decision about a rotation depends on, as frozen data: what is durable, what this run has seen, and what is wanted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from orchestra_creds.core.credential import Credential
from orchestra_creds.rotation.outcome import Step
from orchestra_creds.rotation.state import STAGING_SUFFIX, Predecessor, State

LEASE = timedelta(minutes=15)
"""How long a run may write after its last sign of life: more than a call's deadline and one heartbeat, less than a cron interval."""
SWEEP_AFTER = timedelta(minutes=15)
"""How old a window must be before its orphans are looked for: new keys are listed late (keys.list may lag by minutes)."""
PREDICTED = "(new)"
"""The id of what does not exist yet, in plans."""


class StepKind(StrEnum):
    """What a step does. The first group only reads."""

    LOOK_AT_VERSIONS = "look at versions"
    LOOK_AT_STAGING = "look at staging"
    LOOK_FOR_STAGED = "look for a staged successor"
    LOOK_FOR_MADE = "ask the issuer what it made"
    LOOK_FOR_PUBLISHED = "look for a published successor"
    LOOK_AT_USE = "ask when it was used"
    LOOK_AT_HEALTH = "ask whether it is in force"
    LOOK_FOR_ORPHANS = "look for orphans"
    PREFLIGHT = "preflight"
    PROVE = "prove the current one"
    VERIFY = "verify"
    PROVE_END = "prove its end"
    PRE_HOOK = "pre hook"
    MAKE_SECRET = "create secret"  # noqa: S105  a name
    MAKE_STAGING = "create staging secret"
    ADOPT = "adopt"
    RECORD = "record a version set by hand"
    LEAK = "record the leak"
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
    RETIRED = "record what was retired"
    RELEASE = "release"


READS = frozenset(list(StepKind)[: list(StepKind).index(StepKind.MAKE_SECRET)])
"""Actions that change nothing in the cloud."""
LOOKS = READS - {StepKind.PROVE, StepKind.VERIFY, StepKind.PROVE_END, StepKind.PRE_HOOK}
"""Actions that a dry run does for real."""


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


ORDINARY = RunRequest()


@dataclass(frozen=True, slots=True)
class Observations:
    """Facts of this run; None where nobody has looked. Steps add to it, a lost reply takes away what it makes doubtful."""

    exists: bool = True
    newest: int | None = None
    newest_is_ours: bool = False
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
    proved: bool | None = None
    dead: bool = False
    withdrawn: bool = False
    """The current one counts as dead because its version is disabled or destroyed, not because the issuer refuses it."""
    taken: Mapping[str, str] = field(default_factory=dict)
    """Ids that others took out of service, and how; empty text where nobody did."""
    ended: Mapping[str, bool] = field(default_factory=dict)
    """Leaked ids, and whether they were proven dead."""
    leak_recorded: bool = False
    delivered: Mapping[str, str] = field(default_factory=dict)
    undelivered: frozenset[str] = frozenset()
    hooked: bool = False
    hook_failed: bool = False
    cleaned: int = 0
    finished: bool = False
    abandoned: bool = False
    healthy: bool | None = None
    uses: Mapping[str, datetime | None] = field(default_factory=dict)
    orphans: tuple[str, ...] | None = None
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
    def token(self) -> str:
        """The name of this attempt; the same after a crash."""
        began = int((self.state.started or self.now).timestamp())
        return f"{self.credential.secret}-g{self.state.generation + 1}-{began}"

    @property
    def staging(self) -> str:
        """The name of the staging secret."""
        return self.credential.secret + STAGING_SUFFIX


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step answered: a version number, an id, or what a look saw."""

    number: int = 0
    id: str = ""
    fingerprint: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


def step_of(action: StepKind, resource: str, detail: str = "") -> Step:
    """A step, with whether it changes anything."""
    return Step(action, resource, action not in READS, detail)


def subject(situation: Situation) -> str:
    """What the issuer is asked about: the account, else the secret."""
    return situation.credential.account or situation.credential.secret


def predecessor_resource(situation: Situation, entry: Predecessor) -> str:
    """A predecessor as the resource of a step."""
    return f"{subject(situation)}/{entry.id}"
