"""The changes that a plan is made of. Frozen data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from orchestra_creds.core.resources import DesiredState, Grant, Ref, Resource
from orchestra_creds.setup.registry import ENTRIES


class ChangeKind(StrEnum):
    """What is done, or why nothing is."""

    CREATE = "create"
    UNDELETE = "undelete"
    UPDATE = "update"
    GRANT = "grant"
    REVOKE = "revoke"
    AUDIT = "audit"
    AWAITING = "awaiting a value"
    REFUSED = "cannot be changed"


class Risk(StrEnum):
    """What a change may do to others."""

    LOW = "low"
    WIDENING = "widening"
    NARROWING = "narrowing"


NOT_DONE = frozenset({ChangeKind.AWAITING, ChangeKind.REFUSED})
"""Entries of a plan that only a person can act on."""


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of a plan. `what` names it; `wanted` and `live` are the resource as it shall be and as it was seen.

    `kept` are the grants without which nothing is revoked: those of the declared readers.
    """

    kind: ChangeKind
    what: str
    risk: Risk = Risk.LOW
    ref: Ref | None = None
    wanted: Resource | None = None
    live: Resource | None = None
    fields: tuple[str, ...] = ()
    grants: tuple[Grant, ...] = ()
    revoked: tuple[Grant, ...] = ()
    kept: tuple[Grant, ...] = ()
    audit: Mapping[str, frozenset[str]] = field(default_factory=dict)
    reason: str = ""

    @property
    def touches(self) -> frozenset[str]:
        """What is changed: a resource as it is told, or holders of policies."""
        holders = {grant.holder for grant in (*self.grants, *self.revoked)}
        return frozenset(holders | ({str(self.ref)} if self.ref is not None else set()))

    @property
    def depends_on(self) -> frozenset[str]:
        """Names of resources without which it makes no sense: a provider's pool, a schedule's job, a role, the holder of a policy."""
        holders = [grant.holder for grant in (*self.grants, *self.revoked)]
        names = {holder.rpartition("/")[2] for holder in holders}
        names |= {holder.partition("/locations/")[2].replace("/jobs/", "/") for holder in holders if "/jobs/" in holder}
        members = {
            grant.member.partition(":")[2] for grant in self.grants if grant.member.startswith("serviceAccount:")
        }
        roles = {grant.role.rpartition("/")[2] for grant in self.grants if grant.role.startswith("projects/")}
        fields = self.wanted.fields if self.wanted is not None else {}
        needed = ENTRIES[self.ref.kind].needs(self.ref.name, fields) if self.ref is not None else ()
        return frozenset({*names, *members, *roles, *needed})


@dataclass(frozen=True, slots=True)
class Drift:
    """Something dangerous that is there, whether the file speaks of it or not. `rule` has a page in docs/runbooks.md."""

    rule: str
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What differs, in the order in which it would be done, and what is dangerous as it is.

    `unread` tells that nobody looked for placeholders among the values: the caller may not read them. `off` are APIs that are not
    enabled and that the plan enables: the plan takes everything behind them for absent.
    """

    project: str
    changes: tuple[Change, ...] = ()
    drifts: tuple[Drift, ...] = ()
    secrets: int = 0
    unread: bool = False
    off: tuple[str, ...] = ()

    @property
    def work(self) -> tuple[Change, ...]:
        """The changes that can be applied."""
        return tuple(change for change in self.changes if change.kind not in NOT_DONE)

    @property
    def widens(self) -> bool:
        """Whether anybody could do more afterwards."""
        return any(change.risk is Risk.WIDENING for change in self.work)

    def guarded_environments(self, wanted: DesiredState) -> list[str]:
        """Environments that the work changes and whose name must be typed."""
        touched = {what for change in self.work for what in change.touches}
        return sorted({wanted.guarded[what] for what in touched & set(wanted.guarded)})

    @property
    def has_drift(self) -> bool:
        """Whether the project is not as it shall be. A value that is awaited is no drift."""
        return bool(self.drifts or self.off) or any(change.kind is not ChangeKind.AWAITING for change in self.changes)


@dataclass(frozen=True, slots=True)
class ChangeOutcome:
    """What became of a change: `done`, `failed` or `skipped`, and why."""

    change: Change
    ending: str
    message: str = ""
    hint: str = ""
