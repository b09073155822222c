"""What a run did, as data: events while it goes on, one outcome a credential, one report a run. No material in any of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from orchestra_creds.errors import CredsError, ExitCode


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done. `resource` names what it is done to; `mutates` tells whether anything outside changes."""

    kind: str
    resource: str
    mutates: bool = True
    detail: str = ""

    @property
    def text(self) -> str:
        """What is done, and to what."""
        return f"{self.kind} {self.resource}"


class StepStatus(StrEnum):
    """What became of a step."""

    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Event:
    """A step that was taken, for the journal, the log and the progress line."""

    at: datetime
    run: str
    credential: str
    generation: int
    step: Step
    stage: StepStatus
    note: str = ""


class Ending(StrEnum):
    """What became of a credential in a run."""

    NOTHING = "nothing to do"
    ROTATED = "rotated"
    DELIVERED = "delivered"  # destinations that lacked the current one have it
    RETIRED = "retired"  # a predecessor went one step further
    ADOPTED = "adopted"  # what others made is looked after from now on
    ABANDONED = "abandoned"  # nobody looks after it any more; nothing was destroyed
    PLANNED = "planned"  # a dry run
    LOCKED = "locked"  # another run has the lease
    STOPPED = "stopped"  # asked to stop; a next run goes on
    PENDING = "pending"  # rotated, but a destination or hook is behind; a next run repeats it
    ATTENTION = "attention"  # the operator has to decide
    FAILED = "failed"


QUIET = frozenset(
    {
        Ending.NOTHING,
        Ending.LOCKED,
        Ending.ROTATED,
        Ending.DELIVERED,
        Ending.RETIRED,
        Ending.ADOPTED,
        Ending.ABANDONED,
        Ending.PLANNED,
    }
)
"""Endings that nobody has to look at."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One credential's part of a run. `notes` are warnings; `error` tells why it failed."""

    credential: str
    ending: Ending
    message: str = ""
    hint: str = ""
    generation: int = 0
    identifier: str = ""
    version: int = 0
    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()
    error: CredsError | None = None
    code: ExitCode = ExitCode.OK

    @property
    def mutations(self) -> int:
        """How many of its steps changed something."""
        return sum(step.mutates for step in self.steps)


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run.

    `journal_error` says why the journal of this machine lacks steps of it, and `listing_error` why not every secret was seen; both are
    empty if nothing is missing.
    """

    run: str
    started: datetime
    ended: datetime
    outcomes: tuple[Outcome, ...] = field(default_factory=tuple)
    journal_error: str = ""
    listing_error: str = ""

    @property
    def code(self) -> ExitCode:
        """0, the one code that all failures share, or 1; 5 if steps or secrets are missing, whatever else happened."""
        if self.journal_error or self.listing_error:
            return ExitCode.INCOMPLETE
        return combined_code(outcome.code for outcome in self.outcomes)


def combined_code(codes: Iterable[ExitCode]) -> ExitCode:
    """The exit code of many: what they agree on, or that the operator has to look."""
    bad = {code for code in codes if code is not ExitCode.OK}
    if not bad:
        return ExitCode.OK
    return bad.pop() if len(bad) == 1 else ExitCode.ATTENTION
