"""What is durable between runs: one JSON annotation on the consumer's secret, written only under the secret's etag.

Any machine can go on from it. It holds names, numbers, times and public fingerprints, never material: annotations can be read by
everybody who may look at the secret. Short keys keep it under 2 KB; all annotations of a secret together may have 16 KiB
(google.cloud.secretmanager.v1.Secret.annotations). Times are whole seconds of Unix time, aware UTC here.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from orchestra_creds.core.cloud_types import SecretResource
from orchestra_creds.core.google import STATE_ANNOTATION
from orchestra_creds.errors import PreconditionError

ANNOTATION = STATE_ANNOTATION
STAGING_SUFFIX = "--orchestra-staging"
CURRENT, PREVIOUS = "current", "previous"
"""The version aliases that readers may pin."""
FORMAT, FORMAT_OF_AN_END = 1, 2
"""A state with the wish to end its credential has the later format: a program that does not know the wish must not rotate it."""
LONGEST = 12_000
"""Bytes; the rest of the 16 KiB belongs to the annotations of others."""
ALL_ANNOTATIONS = 16 << 10
"""Bytes of the keys and values of all annotations of a secret (google.cloud.secretmanager.v1.Secret.annotations)."""
ROOM = 2_048
"""Bytes that a state needs at most while a rotation is under way, with the usual number of predecessors."""
LATEST = 32_503_680_000
"""Seconds of Unix time: the year 3000. A later moment is damage, and adding a policy to it could overflow."""


class Phase(StrEnum):
    """How far a rotation has come; what each leaves behind and how it goes on is in docs/rotation.md."""

    IDLE = "idle"
    STAGING = "staging"  # local kinds: the intent is recorded, the material may be in the staging secret
    PREPARED = "prepared"  # it is there, and may be valid at the issuer
    CREATING = "creating"  # remote kinds: the issuer may have made it, the staging secret may hold it
    ISSUED = "issued"  # valid, staged, not yet published
    PUBLISHED = "published"  # readers get it; destinations may lag behind


class Retirement(StrEnum):
    """How far a predecessor's end has come."""

    GRACE = "grace"  # superseded, still valid
    ORPHAN = "orphan"  # never published: no reader has it, so it has no grace
    LEAKED = "leaked"  # superseded because it leaked or was dead: no grace either, until its end is proven
    DISABLED = "disabled"  # at the issuer; the secret's version still holds it


@dataclass(frozen=True, slots=True)
class Lease:
    """Which run may write, and until when."""

    run: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Target:
    """Where a credential is valid: its kind, and for a key its account and the account's unique id, empty when not known.

    An account that is deleted and made again has the same mail address and another unique id.
    """

    kind: str
    account: str = ""
    unique_id: str = ""

    def is_same(self, other: "Target") -> bool:
        """Return whether both are one place, as far as it is known."""
        ids = {self.unique_id, other.unique_id} - {""}
        return (self.kind, self.account) == (other.kind, other.account) and len(ids) < 2


@dataclass(frozen=True, slots=True)
class Successor:
    """The credential that is being made: number of its staged version, id at the issuer, public fingerprint; empty when not known.

    `target` is where it is made, from the beginning of the rotation on; None in states of programs that did not record it.
    """

    staged: int = 0
    id: str = ""
    fingerprint: str = ""
    target: Target | None = None


@dataclass(frozen=True, slots=True)
class CurrentCredential:
    """The credential in force. `versions` are all versions of the secret that hold it, oldest first; the last one counts."""

    id: str
    versions: tuple[int, ...]
    since: datetime
    expires: datetime | None = None
    """When it ends by itself, once a run saw that this makes it due earlier than its age does."""
    target: Target | None = None
    """Where it is valid; None in states of programs that did not record it."""
    copies: tuple[tuple[str, int], ...] = ()
    """Versions of other secrets that hold it: the secret, as `home_of` names it, and the number."""

    @property
    def version(self) -> int:
        """The version that readers should get."""
        return self.versions[-1]


@dataclass(frozen=True, slots=True)
class Predecessor:
    """A predecessor on its way out.

    since   begins its present phase; None while a destination still lacks the successor       born    when it became current
    copies  as those of CurrentCredential
    """

    id: str
    versions: tuple[int, ...]
    phase: Retirement
    since: datetime | None = None
    born: datetime | None = None
    target: Target | None = None
    copies: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class OrphanWindow:
    """A time in which the issuer may have made something that nobody has: what is not in `known` and came to be in it is an orphan."""

    known: tuple[str, ...]
    opened: datetime
    closed: datetime
    target: Target | None = None


@dataclass(frozen=True, slots=True)
class LastFailure:
    """The last failure: when, at which step, and which kind of error; no text, for a text may quote what it should not."""

    at: datetime
    step: str
    error: str


@dataclass(frozen=True, slots=True)
class State:
    """Everything that a next run needs.

    generation  finished rotations                        base         newest version of the secret before this rotation
    staged_base highest version of the staging secret that is over and done with
    known, started  remote kinds: ids before creation, and its time
    delivered   destination -> id that it holds           hooked       generation whose deploy hook has succeeded
    settled     the last time that every destination held the current one
    ended       when the operator asked for the end of the credential: from then on nothing is made, and all that is left is retired
    """

    generation: int = 0
    phase: Phase = Phase.IDLE
    lease: Lease | None = None
    base: int = 0
    staged_base: int = 0
    successor: Successor = Successor()
    known: tuple[str, ...] = ()
    started: datetime | None = None
    current: CurrentCredential | None = None
    retiring: tuple[Predecessor, ...] = ()
    unresolved: tuple[OrphanWindow, ...] = ()
    delivered: Mapping[str, str] = field(default_factory=dict)
    hooked: int = 0
    settled: datetime | None = None
    last_failure: LastFailure | None = None
    ended: datetime | None = None
    home: str = ""
    """The secret that carries the state, as `home_of` names it; empty in states of programs that did not record it."""
    leaked: tuple[str, ...] = ()
    """Ids that leaked, or that others took out of service: none comes back, and the current one among them is replaced at once."""

    @property
    def current_leaked(self) -> bool:
        """Whether the current credential leaked and has no successor yet."""
        return self.current is not None and self.current.id in self.leaked

    @property
    def as_leaked(self) -> tuple[Predecessor, ...]:
        """The current one as a predecessor that leaked; empty while there is none."""
        current = self.current
        if current is None:
            return ()
        leaked = Predecessor(current.id, current.versions, Retirement.LEAKED, born=current.since, target=current.target)
        return (replace(leaked, copies=current.copies),)

    @property
    def alive(self) -> tuple[str, ...]:
        """Return the ids that leaked and are not proven dead."""
        left = tuple(entry.id for entry in self.retiring if entry.phase is Retirement.LEAKED)
        return (*left, self.current.id) if self.current is not None and self.current_leaked else left

    @property
    def valid_ids(self) -> tuple[str, ...]:
        """The ids that may still authenticate, as far as this state knows."""
        old = tuple(entry.id for entry in self.retiring if entry.phase is not Retirement.DISABLED)
        mine = (self.current.id if self.current else "", self.successor.id, *old)
        return tuple(dict.fromkeys(each for each in mine if each))

    @property
    def targets(self) -> tuple[Target | None, ...]:
        """Where each is valid: the current one, the successor, the predecessors, and what lost creations may have made."""
        current = self.current.target if self.current else None
        lost = (window.target for window in self.unresolved)
        return (current, self.successor.target, *(entry.target for entry in self.retiring), *lost)

    def ids_by_account(self, declared: str) -> Iterator[tuple[str, str]]:
        """Yield an account and each id of this state that belongs to it; one of an unknown target counts for the account that is declared."""
        ids = (self.current.id if self.current else "", self.successor.id, *(entry.id for entry in self.retiring))
        for identifier, target in zip(ids, self.targets, strict=False):
            if identifier:
                yield target.account if target else declared, identifier

    @property
    def referenced_ids(self) -> frozenset[str]:
        """Every id that this state speaks for."""
        mine = {self.successor.id, self.current.id if self.current else "", *(entry.id for entry in self.retiring)}
        return frozenset(mine - {""})


def encode(state: State) -> str:
    """The annotation's text."""
    lease, current, trouble, successor = state.lease, state.current, state.last_failure, state.successor
    body: dict[str, Any] = {
        "lease": lease and [lease.run, _seconds(lease.until)],
        "base": [state.base, state.staged_base] if state.base or state.staged_base else None,
        "next": [successor.staged, successor.id, successor.fingerprint]
        if replace(successor, target=None) != Successor()
        else None,
        "made": state.started and [_seconds(state.started), *state.known],
        "cur": current and [current.id, list(current.versions), _seconds(current.since)],
        "end": current and _seconds(current.expires),
        "old": [[e.id, list(e.versions), str(e.phase), _seconds(e.since), _seconds(e.born)] for e in state.retiring],
        "lost": [[_seconds(w.opened), _seconds(w.closed), *w.known] for w in state.unresolved],
        "dest": dict(sorted(state.delivered.items())),
        "hook": state.hooked,
        "ok": _seconds(state.settled),
        "leak": list(state.leaked),
        "bye": _seconds(state.ended),
        "home": state.home,
        **_encode_targets(state.targets),
        "cpy": _encode_copies(state),
        "err": trouble and [_seconds(trouble.at), trouble.step, trouble.error],
    }
    kept = {key: value for key, value in body.items() if value}
    version = FORMAT if state.ended is None else FORMAT_OF_AN_END
    text = json.dumps({"v": version, "gen": state.generation, "ph": str(state.phase), **kept}, separators=(",", ":"))
    if len(text) > LONGEST:
        raise PreconditionError(
            "the state of this credential does not fit into its annotation",
            hint="too many predecessors wait to be retired: see `orchestra-creds status`",
        )
    return text


def decode(annotations: Mapping[str, str], secret: str) -> State:
    """The state on a secret; a fresh one when there is none.

    Raises:
        PreconditionError: it was written by a newer version of this program, or is damaged.
    """
    text = annotations.get(ANNOTATION)
    if text is None:
        return State()
    try:
        body = json.loads(text)
        newer = body["v"] > FORMAT_OF_AN_END
    except (ValueError, TypeError, KeyError, RecursionError):
        raise _damage_error(secret) from None
    if newer:
        raise PreconditionError(
            f"the state on secret {secret} was written by a newer orchestra-creds",
            hint="upgrade this one; nothing was changed",
        )
    try:
        return _decode_body(body)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError):
        raise _damage_error(secret) from None


def require_room(secret: SecretResource) -> None:
    """Refuse a secret on which the annotations of others leave no room for the state of a rotation.

    Raises:
        PreconditionError: they do; nothing was changed.
    """
    others = {name: text for name, text in secret.annotations.items() if name != ANNOTATION}
    taken = sum(len(name.encode()) + len(text.encode()) for name, text in others.items())
    if taken > ALL_ANNOTATIONS - ROOM:
        raise PreconditionError(
            f"the annotations of others on secret {secret.name} take {taken:,} of {ALL_ANNOTATIONS:,} bytes: no room for the state",
            hint=f"remove some: gcloud secrets update {secret.name} --remove-annotations=NAME; nothing was changed",
        )


def home_of(secret: SecretResource) -> str:
    """Return what tells a secret from any other, one of the same name in another project or made later included."""
    return f"{secret.name}@{int(secret.created.timestamp())}"


def secret_at(home: str) -> str:
    """Return the name of the secret that `home_of` named."""
    return home.rpartition("@")[0]


def state_on(secret: SecretResource) -> State:
    """Return the state on a secret.

    Raises:
        PreconditionError: it cannot be read, or was copied from another secret, whose credential it speaks of.
    """
    state = decode(secret.annotations, secret.name)
    if state.home and state.home != home_of(secret):
        raise PreconditionError(
            f"the state on secret {secret.name} was copied from secret {secret_at(state.home)}, or from an earlier one",
            hint=f"take it off: orchestra-creds rotate abandon {secret.name} --undeclared; then rotate with --adopt",
        )
    return state


def _decode_body(body: Mapping[str, Any]) -> State:
    base, staged_base = body.get("base", (0, 0))
    made = body.get("made", ())
    state = State(
        generation=_number(body["gen"]),
        phase=Phase(body["ph"]),
        lease=Lease(_text(body["lease"][0]), _moment(body["lease"][1])) if "lease" in body else None,
        base=_number(base),
        staged_base=_number(staged_base),
        successor=_successor(*body["next"]) if "next" in body else Successor(),
        known=tuple(_text(name) for name in made[1:]),
        started=_moment(made[0]) if made else None,
        current=_current_credential(*body["cur"], expires=body.get("end")) if "cur" in body else None,
        retiring=tuple(_predecessor(*entry) for entry in body.get("old", ())),
        unresolved=tuple(_orphan_window(*entry) for entry in body.get("lost", ())),
        delivered={_text(name): _text(held) for name, held in body.get("dest", {}).items()},
        hooked=_number(body.get("hook", 0)),
        settled=_moment(body["ok"]) if "ok" in body else None,
        last_failure=_last_failure(*body["err"]) if "err" in body else None,
        leaked=tuple(_text(name) for name in body.get("leak", ())),
        ended=_moment(body["bye"]) if "bye" in body else None,
        home=_text(body.get("home", "")),
    )
    if "who" in body:
        state = _with_targets(state, body["who"], body["at"])
    return _with_copies(state, body["cpy"]) if "cpy" in body else state


def _encode_copies(state: State) -> dict[str, list[list[int]]]:
    """Of each other secret the versions that hold something, each after its place: 0 is the current one, predecessors follow."""
    found: dict[str, list[list[int]]] = {}
    for place, entry in enumerate((state.current, *state.retiring)):
        for home, number in entry.copies if entry is not None else ():
            found.setdefault(home, []).append([place, number])
    return found


def _with_copies(state: State, rows: Any) -> State:
    found: dict[int, list[tuple[str, int]]] = {}
    for home, pairs in rows.items():
        for place, number in pairs:
            found.setdefault(_number(place), []).append((_text(home), _number(number)))
    if max(found) > len(state.retiring):
        raise ValueError("a copy of nothing")
    return replace(
        state,
        current=replace(state.current, copies=tuple(found.get(0, ()))) if state.current else None,
        retiring=tuple(
            replace(entry, copies=tuple(found.get(place, ()))) for place, entry in enumerate(state.retiring, 1)
        ),
    )


def _encode_targets(targets: tuple[Target | None, ...]) -> dict[str, Any]:
    """The targets as a table, and of each entry its place in it, -1 for unknown: `State.targets` has the order."""
    table = list(dict.fromkeys(target for target in targets if target is not None))
    places = [table.index(target) if target is not None else -1 for target in targets]
    rows = [[target.kind, target.account, target.unique_id] for target in table]
    return {"who": rows, "at": places} if rows else {}


def _with_targets(state: State, rows: Any, places: Any) -> State:
    table = [Target(*(_text(part) for part in row)) for row in rows]
    if len(places) != len(state.targets):
        raise ValueError("not a place for each entry")
    current, successor, *others = (table[_number(place)] if place != -1 else None for place in places)
    old, lost = others[: len(state.retiring)], others[len(state.retiring) :]
    return replace(
        state,
        current=replace(state.current, target=current) if state.current else None,
        successor=replace(state.successor, target=successor),
        retiring=tuple(replace(entry, target=each) for entry, each in zip(state.retiring, old, strict=True)),
        unresolved=tuple(replace(window, target=each) for window, each in zip(state.unresolved, lost, strict=True)),
    )


def _successor(staged: Any, identifier: Any, fingerprint: Any) -> Successor:
    return Successor(_number(staged), _text(identifier), _text(fingerprint))


def _current_credential(identifier: Any, versions: Any, since: Any, *, expires: Any) -> CurrentCredential:
    if not versions:
        raise ValueError("no version")
    numbers = tuple(_number(n) for n in versions)
    return CurrentCredential(_text(identifier), numbers, _moment(since), _optional_moment(expires))


def _predecessor(identifier: Any, versions: Any, phase: Any, since: Any, born: Any) -> Predecessor:
    numbers = tuple(_number(n) for n in versions)
    return Predecessor(_text(identifier), numbers, Retirement(phase), _optional_moment(since), _optional_moment(born))


def _orphan_window(opened: Any, closed: Any, *known: Any) -> OrphanWindow:
    return OrphanWindow(tuple(_text(name) for name in known), _moment(opened), _moment(closed))


def _last_failure(at: Any, step: Any, error: Any) -> LastFailure:
    return LastFailure(_moment(at), _text(step), _text(error))


def _number(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("not a number")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _moment(value: Any) -> datetime:
    seconds = _number(value)
    if seconds > LATEST:
        raise ValueError("not a moment")
    return datetime.fromtimestamp(seconds, UTC)


def _optional_moment(value: Any) -> datetime | None:
    return None if value is None else _moment(value)


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


def _damage_error(secret: str) -> PreconditionError:
    return PreconditionError(
        f"the state on secret {secret} is damaged or not ours",
        hint=f"look at its annotation {ANNOTATION}; remove that to start over with --adopt; nothing was changed",
    )
