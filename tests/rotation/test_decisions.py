"""What the rotation does next, as tables: one situation a row, and the step or refusal that follows. No cloud, no clock."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestra_creds.core.credential import Copy, Credential, CredentialKind, Hooks
from orchestra_creds.core.key_usage import KeyUsage, SourceUsage
from orchestra_creds.core.policy import RotationPolicy
from orchestra_creds.errors import CredsError
from orchestra_creds.rotation import machine, retirement
from orchestra_creds.rotation.situation import ORDINARY, Observations, RunRequest, Situation, StepKind
from orchestra_creds.rotation.state import (
    CurrentCredential,
    Lease,
    OrphanWindow,
    Phase,
    Predecessor,
    Retirement,
    State,
    Successor,
    Target,
)
from orchestra_creds.rotation.timing import LEASE, SWEEP_AFTER

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
POLICY = RotationPolicy(every=90 * DAY, grace=7 * DAY, soak=3 * DAY, require_unused=timedelta(0))
ACCOUNT = "app-one@demo-project.iam.gserviceaccount.com"
HERE, ELSEWHERE = Target("service-account-key", ACCOUNT), Target("service-account-key", "app-two@x")
KEY = Credential("c", CredentialKind.SERVICE_ACCOUNT_KEY, "c", POLICY, account=ACCOUNT)
COPIED = replace(KEY, copies=(Copy("file", "f"), Copy("file", "g")))
HOOKED = replace(KEY, hooks=Hooks(pre=("before",), deploy=("deploy",)))
CURRENT = CurrentCredential("aa", (3,), NOW - 10 * DAY, target=HERE)
HEALTHY = State(generation=3, current=CURRENT, settled=NOW, hooked=3)
DUE = replace(HEALTHY, current=replace(CURRENT, since=NOW - 91 * DAY))
MINE = Lease("me", NOW + LEASE)
OLD = Predecessor("old", (1, 2), Retirement.GRACE, NOW - 7 * DAY, NOW - 100 * DAY, HERE)


def of_kind(kind: CredentialKind, **fields: Any) -> Credential:
    return Credential("c", kind, "c", POLICY, **fields)


def at(
    state: State = HEALTHY,
    want: RunRequest = ORDINARY,
    credential: Credential = KEY,
    now: datetime = NOW,
    **seen: Any,
) -> Situation:
    """A situation of the run `me`."""
    return Situation(credential, state, Observations(**seen), want, "me", now)


def told(situation: Situation) -> str:
    """The next step as one text, `nothing`, or the refusal."""
    try:
        step = machine.next_step(situation)
    except CredsError as error:
        return f"refused: {error}"
    if step is None:
        return "nothing"
    return f"{StepKind(step.kind).name} {step.resource}" + (f" ({step.detail})" if step.detail else "")


def check(situation: Situation, expected: str) -> None:
    """The step is the expected one; a refusal holds the expected words."""
    found = told(situation)
    assert found == expected or (expected.startswith("refused: ") and expected.removeprefix("refused: ") in found), (
        found
    )


# -- who may write, and why a rotation begins


@pytest.mark.parametrize(
    ("lease", "locked"),
    [(None, False), (Lease("me", NOW + DAY), False), (Lease("you", NOW + SECOND), True), (Lease("you", NOW), False)],
)
def test_a_lease_of_another_run_locks_until_it_ends(lease: Lease | None, locked: bool) -> None:
    assert machine.is_locked(at(replace(HEALTHY, lease=lease))) is locked


def due_in(days: float, **fields: Any) -> State:
    since = NOW - 90 * DAY + days * DAY
    return replace(HEALTHY, current=replace(CURRENT, since=since, **fields))


REASONS: Mapping[str, tuple[Situation, str]] = {
    "no version": (at(State()), "it has no version yet"),
    "leaked": (at(replace(HEALTHY, leaked=("aa",)), withdrawn=True, dead=True), "the current one leaked"),
    "another leaked": (at(replace(HEALTHY, leaked=("bb",))), ""),
    "withdrawn": (at(withdrawn=True, remade=True, dead=True), "readers cannot read the current version"),
    "remade": (at(remade=True, dead=True), "its account was deleted and made again"),
    "dead": (at(HEALTHY, RunRequest(force=True), dead=True), "the current one does not authenticate"),
    "forced": (at(HEALTHY, RunRequest(force=True)), "it was asked for"),
    "moved": (
        at(replace(HEALTHY, current=replace(CURRENT, target=ELSEWHERE))),
        f"it is declared for {ACCOUNT}, and is of app-two@x",
    ),
    "learned to be moved": (
        at(replace(HEALTHY, current=replace(CURRENT, target=None)), learned=ELSEWHERE),
        f"it is declared for {ACCOUNT}, and is of app-two@x",
    ),
    "another kind": (
        at(replace(HEALTHY, current=replace(CURRENT, target=Target("generated")))),
        f"it is declared for {ACCOUNT}, and is of kind generated",
    ),
    "unknown target": (at(replace(HEALTHY, current=replace(CURRENT, target=None))), ""),
    "healthy": (at(), ""),
    "a second early": (at(due_in(1 / 86400)), ""),
    "due": (at(due_in(0)), "it is due"),
    "expires soon": (at(expires=NOW + 8 * DAY, end_known=True), "it expires on 2026-03-09"),
    "expires soon, as recorded": (at(due_in(80, expires=NOW + 8 * DAY)), "it expires on 2026-03-09"),
    "the issuer knows better": (
        at(due_in(80, expires=NOW + 8 * DAY), expires=NOW + 80 * DAY, end_known=True),
        "",
    ),
    "the issuer does not say": (at(due_in(80, expires=NOW + 8 * DAY), expires=None), "it expires on 2026-03-09"),
    "expires later than it is due": (at(due_in(0), expires=NOW + 80 * DAY), "it is due"),
    "due by both at once": (at(due_in(0), expires=NOW + 9 * DAY), "it is due"),
}


@pytest.mark.parametrize("name", REASONS)
def test_why_a_rotation_begins(name: str) -> None:
    situation, expected = REASONS[name]
    assert machine.reason(situation) == expected


# -- what leaked

LEAK, KILL = RunRequest(leaked=True), RunRequest(leaked=True, kill_first=True)
LEAKED = replace(HEALTHY, leaked=("aa",))
BEGINS: dict[str, Any] = {"healthy": True, "newest": 3, "staging": True, "ready": True}
"""What is known when nothing stands between a reason and the beginning."""

LEAKS: Mapping[str, tuple[Situation, str]] = {
    "the current one": (at(want=LEAK), "LEAK c (aa)"),
    "a predecessor": (
        at(replace(HEALTHY, retiring=(OLD,)), RunRequest(leaked=True, leaked_id="old")),
        "LEAK c (old)",
    ),
    "unknown": (at(want=RunRequest(leaked=True, leaked_id="no")), "refused: no is neither the current one of c"),
    "unknown, but it was recorded by this run": (
        at(LEAKED, RunRequest(leaked=True, leaked_id="no"), leak_recorded=True, **BEGINS),
        "BEGIN c (the current one leaked, by upload)",
    ),
    "recorded": (at(LEAKED, LEAK, **BEGINS), "BEGIN c (the current one leaked, by upload)"),
    "recorded by this run": (
        at(HEALTHY, LEAK, leak_recorded=True, healthy=True),
        "nothing",
    ),
    "nothing to leak": (at(State(), LEAK, newest=0), "LOOK_AT_STAGING c--orchestra-staging"),
    "in the middle of a rotation": (at(replace(HEALTHY, phase=Phase.STAGING, lease=MINE), LEAK), "LEAK c (aa)"),
    "kill: no issuer": (
        at(want=KILL, credential=of_kind(CredentialKind.GENERATED)),
        "refused: kind generated has no issuer",
    ),
    "kill: by hand": (at(want=KILL, credential=of_kind(CredentialKind.MANUAL)), "refused: kind manual has no issuer"),
    "kill: another kind": (at(want=KILL, credential=of_kind(CredentialKind.API_KEY)), "LEAK c (aa)"),
    "no kill of a value": (at(want=LEAK, credential=of_kind(CredentialKind.GENERATED)), "LEAK c (aa)"),
    "kill: without a lease": (at(LEAKED, KILL), "LEASE_RETIRE c"),
    "kill": (at(replace(LEAKED, lease=MINE), KILL), f"KILL {ACCOUNT}/aa (aa)"),
    "killed": (at(replace(LEAKED, lease=MINE), KILL, killed=True), f"PROVE_END {ACCOUNT}/aa (aa)"),
    "killed and looked at": (
        at(replace(LEAKED, lease=MINE), KILL, killed=True, ended={"aa": False}, **BEGINS),
        "BEGIN c (the current one leaked, by upload)",
    ),
    "kill: a predecessor": (
        at(
            replace(LEAKED, leaked=("aa", "old"), lease=MINE, retiring=(OLD,)),
            RunRequest(leaked=True, kill_first=True, leaked_id="old"),
            **BEGINS,
        ),
        "BEGIN c (the current one leaked, by upload)",
    ),
    "kill: after the rotation": (at(replace(LEAKED, lease=MINE), KILL, rotated=True), "RELEASE c"),
    "kill: not in the state": (at(replace(HEALTHY, lease=MINE), KILL, leak_recorded=True, healthy=True), "RELEASE c"),
    "the plan of a resumed run": (
        at(LEAKED, RunRequest(start=False), **BEGINS),
        "BEGIN c (the current one leaked, by upload)",
    ),
    "nothing that may fail comes first": (
        at(
            replace(LEAKED, retiring=(OLD,), unresolved=(OrphanWindow((), NOW - DAY, NOW - DAY),)),
            **{**BEGINS, "healthy": None},
        ),
        "BEGIN c (the current one leaked, by upload)",
    ),
    "but a staged copy is destroyed": (
        at(replace(LEAKED, lease=MINE, successor=Successor(4)), **BEGINS),
        "CLEAN c--orchestra-staging",
    ),
    "a rollback is asked for": (at(LEAKED, RunRequest(back=True), newest=3), "refused: no predecessor to return to"),
}


@pytest.mark.parametrize("name", LEAKS)
def test_what_a_leak_leads_to(name: str) -> None:
    check(*LEAKS[name])


# -- a rotation that is under way


NO_SUCCESSOR = Successor()


def under_way(phase: Phase, successor: Successor = NO_SUCCESSOR, **fields: Any) -> State:
    return replace(HEALTHY, phase=phase, lease=MINE, successor=successor, **fields)


STAGED, ISSUED = Successor(4), Successor(4, "new")
BACK = replace(OLD, phase=Retirement.DISABLED)
RETURNING = under_way(Phase.ISSUED, Successor(0, "old"), retiring=(BACK,))
IN_GRACE = replace(RETURNING, retiring=(OLD,))

PHASES: Mapping[str, tuple[Situation, str]] = {
    "without a lease": (at(replace(under_way(Phase.STAGING), lease=None)), "TAKE_OVER c (staging)"),
    "with that of another": (at(replace(under_way(Phase.ISSUED), lease=Lease("you", NOW))), "TAKE_OVER c (issued)"),
    "staging": (at(under_way(Phase.STAGING)), "LOOK_FOR_STAGED c--orchestra-staging"),
    "staging, nothing there": (at(under_way(Phase.STAGING), staged=0), "STAGE c--orchestra-staging"),
    "staging, staged": (at(under_way(Phase.STAGING), staged=4), "PREPARE c"),
    "staging, staging secret lost": (at(under_way(Phase.STAGING), staged=0, lost=""), "GIVE_UP c"),
    "prepared by another run": (at(under_way(Phase.PREPARED, STAGED)), "LOOK_AT_STAGED c--orchestra-staging"),
    "prepared, staged by this run": (at(under_way(Phase.PREPARED, STAGED), staged=4), f"ACTIVATE {ACCOUNT}"),
    "prepared, copy looked at": (at(under_way(Phase.PREPARED, STAGED), staged_checked=True), f"ACTIVATE {ACCOUNT}"),
    "prepared, copy lost": (at(under_way(Phase.PREPARED, STAGED), lost="x"), "GIVE_UP c (x)"),
    "prepared, without a copy": (at(under_way(Phase.PREPARED)), f"ACTIVATE {ACCOUNT}"),
    "prepared, valid": (at(under_way(Phase.PREPARED), activated="new"), "ISSUED c (new)"),
    "prepared, forbidden": (at(under_way(Phase.PREPARED), forbidden=True), f"LOOK_FOR_MADE {ACCOUNT}"),
    "prepared, forbidden, looked": (at(under_way(Phase.PREPARED), forbidden=True, made=""), "CREATE_INSTEAD c"),
    "creating": (at(under_way(Phase.CREATING)), "LOOK_FOR_STAGED c--orchestra-staging"),
    "creating, staged": (at(under_way(Phase.CREATING), staged=4, made="new"), "ISSUED c (new)"),
    "creating, made": (at(under_way(Phase.CREATING), staged=0, made="new", opened=True), "STAGE c--orchestra-staging"),
    "creating, opened": (at(under_way(Phase.CREATING), staged=0, opened=True), f"CREATE {ACCOUNT}"),
    "creating, not looked": (at(under_way(Phase.CREATING), staged=0), f"LOOK_FOR_MADE {ACCOUNT}"),
    "creating, nothing made": (at(under_way(Phase.CREATING), staged=0, made=""), "REOPEN c"),
    "creating, copy of another": (at(under_way(Phase.CREATING, STAGED), staged=0, made=""), "REOPEN c"),
    "issued by another run": (at(under_way(Phase.ISSUED, ISSUED)), "LOOK_AT_STAGED c--orchestra-staging"),
    "issued": (at(under_way(Phase.ISSUED, ISSUED), staged=4), "LOOK_FOR_PUBLISHED c"),
    "issued, not verified": (at(under_way(Phase.ISSUED, ISSUED), staged=4, published=0), f"VERIFY {ACCOUNT} (new)"),
    "issued, verified": (
        at(under_way(Phase.ISSUED, ISSUED), staged=4, published=0, verified=True),
        "PUBLISH c (new)",
    ),
    "issued, published": (at(under_way(Phase.ISSUED, ISSUED), staged=4, published=5), "PROMOTE c/versions/5 (new)"),
    "issued, refused": (at(under_way(Phase.ISSUED, ISSUED), staged=4, published=0, refused=True), "ABANDON c (new)"),
    "issued, refused, the first": (
        at(under_way(Phase.ISSUED, ISSUED, current=None), staged=4, published=0, refused=True),
        "refused: does not authenticate yet",
    ),
    "issued, the first, not refused": (
        at(under_way(Phase.ISSUED, ISSUED, current=None), staged=4, published=0),
        f"VERIFY {ACCOUNT} (new)",
    ),
    "another phase, and a rollback": (
        at(under_way(Phase.STAGING), RunRequest(back=True)),
        "LOOK_FOR_STAGED c--orchestra-staging",
    ),
    "back, asleep": (at(RETURNING, published=0), f"ENABLE {ACCOUNT}/old"),
    "back, awake": (at(RETURNING, published=0, enabled=True), f"VERIFY {ACCOUNT} (old)"),
    "back, in its grace": (at(IN_GRACE, published=0), f"VERIFY {ACCOUNT} (old)"),
    "back, in its grace, refused": (at(IN_GRACE, published=0, refused=True), f"ENABLE {ACCOUNT}/old"),
    "back, in its grace, refused again": (
        at(IN_GRACE, published=0, refused=True, enabled=True),
        "ABANDON c (old)",
    ),
    "back, taken out of service": (at(RETURNING, published=0, taken={"old": "leaked"}), "ABANDON c (old)"),
    "back, taken, but published": (at(RETURNING, published=5, taken={"old": "x"}), "PROMOTE c/versions/5 (old)"),
    "back, another taken": (at(IN_GRACE, published=0, taken={"old": "", "aa": "x"}), f"VERIFY {ACCOUNT} (old)"),
    "back, published, asleep": (at(RETURNING, published=5), f"ENABLE {ACCOUNT}/old"),
}


@pytest.mark.parametrize("name", PHASES)
def test_how_a_rotation_goes_on(name: str) -> None:
    check(*PHASES[name])


def test_a_successor_without_an_id_has_none_in_its_step() -> None:
    step = machine.next_step(at(under_way(Phase.CREATING), staged=4))
    assert step is not None
    assert (step.kind, step.detail) == (StepKind.ISSUED, "")


# -- a successor that readers have

PUBLISHED = under_way(Phase.PUBLISHED)
LEAKED_OLD = replace(OLD, phase=Retirement.LEAKED, since=None)

DELIVERIES: Mapping[str, tuple[Situation, str]] = {
    "no copies": (at(PUBLISHED), "FINISH c"),
    "first copy": (at(PUBLISHED, credential=COPIED), "DELIVER f (aa)"),
    "second copy": (at(PUBLISHED, credential=COPIED, delivered={"f": "aa"}), "DELIVER g (aa)"),
    "delivered before": (
        at(replace(PUBLISHED, delivered={"f": "aa", "g": "aa"}), credential=COPIED),
        "FINISH c",
    ),
    "the look counts more than the record": (
        at(replace(PUBLISHED, delivered={"f": "aa", "g": "aa"}), credential=COPIED, delivered={"g": ""}),
        "DELIVER g (aa)",
    ),
    "one that failed": (
        at(PUBLISHED, credential=COPIED, undelivered=frozenset({"f"})),
        "DELIVER g (aa)",
    ),
    "hook": (at(replace(PUBLISHED, hooked=2), credential=HOOKED), "DEPLOY_HOOK deploy"),
    "hook of this generation": (at(PUBLISHED, credential=HOOKED), "FINISH c"),
    "hook done": (at(replace(PUBLISHED, hooked=2), credential=HOOKED, hooked=True), "FINISH c"),
    "hook failed": (at(replace(PUBLISHED, hooked=2), credential=HOOKED, hook_failed=True), "FINISH c"),
    "hook after a copy that failed": (
        at(
            replace(PUBLISHED, hooked=2, delivered={"g": "aa"}),
            credential=replace(HOOKED, copies=COPIED.copies),
            undelivered=frozenset({"f"}),
        ),
        "FINISH c",
    ),
    "what leaked": (at(replace(PUBLISHED, retiring=(LEAKED_OLD,))), "PROVE c/versions/3 (aa)"),
    "staged copy": (at(replace(PUBLISHED, successor=ISSUED)), "CLEAN c--orchestra-staging"),
    "staged copy gone": (at(replace(PUBLISHED, successor=ISSUED), cleaned=4), "FINISH c"),
    "staged copy, an older one gone": (
        at(replace(PUBLISHED, successor=ISSUED), cleaned=3),
        "CLEAN c--orchestra-staging",
    ),
    "copies before what leaked": (at(replace(PUBLISHED, retiring=(LEAKED_OLD,)), credential=COPIED), "DELIVER f (aa)"),
    "no hook": (at(replace(PUBLISHED, hooked=2)), "FINISH c"),
    "a rollback that came here, of one that leaked": (
        at(replace(PUBLISHED, leaked=("aa",)), RunRequest(back=True), rotated=True),
        "FINISH c",
    ),
    "rollback": (at(PUBLISHED, RunRequest(back=True)), "LOOK_AT_VERSIONS c"),
    "rollback, staged copy": (
        at(replace(PUBLISHED, successor=ISSUED), RunRequest(back=True)),
        "CLEAN c--orchestra-staging",
    ),
    "rollback that came here": (at(PUBLISHED, RunRequest(back=True), rotated=True), "FINISH c"),
    "leaked meanwhile": (
        at(replace(PUBLISHED, leaked=("aa",)), credential=COPIED, **BEGINS),
        "BEGIN c (the current one leaked, by upload)",
    ),
}


@pytest.mark.parametrize("name", DELIVERIES)
def test_how_a_successor_is_delivered(name: str) -> None:
    check(*DELIVERIES[name])


BEHIND = replace(PUBLISHED, current=DUE.current, delivered={"f": "aa"})
FAILED: dict[str, Any] = {"undelivered": frozenset({"g"})}

BEGINNINGS_BEHIND: Mapping[str, tuple[Situation, str]] = {
    "due": (at(BEHIND, credential=COPIED, **FAILED, **BEGINS), "BEGIN c (it is due, by upload)"),
    "not due": (at(replace(BEHIND, current=CURRENT), credential=COPIED, **FAILED, **BEGINS), "FINISH c"),
    "not behind": (at(replace(BEHIND, delivered={}), **BEGINS), "FINISH c"),
    "rotated by this run": (at(BEHIND, credential=COPIED, rotated=True, **FAILED, **BEGINS), "FINISH c"),
    "may not begin": (at(BEHIND, RunRequest(start=False), credential=COPIED, **FAILED, **BEGINS), "FINISH c"),
    "hook behind": (
        at(replace(BEHIND, hooked=2), credential=HOOKED, hook_failed=True, pre_hook=True, **BEGINS),
        "BEGIN c (it is due, by upload)",
    ),
    "two users": (
        at(BEHIND, credential=replace(COPIED, kind=CredentialKind.POSTGRES), **FAILED, **BEGINS),
        "FINISH c",
    ),
    "two users, forced": (
        at(
            BEHIND,
            RunRequest(force=True),
            credential=replace(COPIED, kind=CredentialKind.POSTGRES),
            **FAILED,
            **BEGINS,
        ),
        "BEGIN c (it was asked for)",
    ),
    "delivery comes first": (at(BEHIND, credential=COPIED, **BEGINS), "DELIVER g (aa)"),
}


@pytest.mark.parametrize("name", BEGINNINGS_BEHIND)
def test_the_next_generation_begins_although_a_copy_is_behind(name: str) -> None:
    check(*BEGINNINGS_BEHIND[name])


# -- the ends of predecessors

RIPE = replace(HEALTHY, retiring=(OLD,))
"""Its grace is over this very second."""
DISABLED = replace(OLD, phase=Retirement.DISABLED, since=NOW - 3 * DAY)
PROVEN: dict[str, Any] = {"proved": True, "staging": True, "healthy": True}
UNUSED = replace(KEY, policy=replace(POLICY, require_unused=DAY))
QUIET = KeyUsage((SourceUsage("s", NOW - 30 * DAY, NOW),))
BUSY = KeyUsage((SourceUsage("s", NOW - 30 * DAY, NOW, NOW - DAY / 2, NOW - DAY / 4),))


def ending(*retiring: Predecessor, lease: Lease | None = MINE, **fields: Any) -> State:
    return replace(HEALTHY, retiring=retiring, lease=lease, **fields)


def done(*steps: tuple[StepKind, str]) -> dict[str, Any]:
    return {**PROVEN, "done": frozenset(steps)}


ENDS: Mapping[str, tuple[Situation, str]] = {
    "a second early": (at(ending(replace(OLD, since=NOW - 7 * DAY + SECOND)), **PROVEN), "RELEASE c"),
    "grace over": (at(RIPE, healthy=True), "PROVE c/versions/3 (aa)"),
    "grace not begun": (at(ending(replace(OLD, since=None)), **PROVEN), "RELEASE c"),
    "the current one did not authenticate": (at(RIPE, healthy=True, proved=False), "nothing"),
    "without a lease": (at(RIPE, **PROVEN), "LEASE_RETIRE c"),
    "nobody looked at the staging secret": (
        at(ending(OLD), **{**PROVEN, "staging": None}),
        "LOOK_AT_STAGING c--orchestra-staging",
    ),
    "a staged copy that nobody knows": (at(ending(OLD), **PROVEN, staged_top=1), "CLEAN c--orchestra-staging"),
    "a staged copy that is over": (
        at(ending(OLD, staged_base=1), **PROVEN, staged_top=1),
        f"DISABLE {ACCOUNT}/old (old)",
    ),
    "a staged copy that was destroyed": (
        at(ending(OLD), **PROVEN, staged_top=1, cleaned=1),
        f"DISABLE {ACCOUNT}/old (old)",
    ),
    "disable": (at(ending(OLD), **PROVEN), f"DISABLE {ACCOUNT}/old (old)"),
    "disabled": (at(ending(OLD), **done((StepKind.DISABLE, f"{ACCOUNT}/old"))), "RETIRED c"),
    "soak a second early": (at(ending(replace(DISABLED, since=NOW - 3 * DAY + SECOND)), **PROVEN), "RELEASE c"),
    "soak over": (at(ending(DISABLED), **PROVEN, uses={"old": QUIET}), f"DELETE {ACCOUNT}/old (old)"),
    "deleted": (
        at(ending(DISABLED), **done((StepKind.DELETE, f"{ACCOUNT}/old")), uses={"old": QUIET}),
        "DESTROY c/versions/1 (old)",
    ),
    "first version destroyed": (
        at(
            ending(DISABLED),
            **done((StepKind.DELETE, f"{ACCOUNT}/old"), (StepKind.DESTROY, "c/versions/1")),
            uses={"old": QUIET},
        ),
        "DESTROY c/versions/2 (old)",
    ),
    "the version of the current one stays": (
        at(
            ending(replace(DISABLED, versions=(3, 4))),
            **done((StepKind.DELETE, f"{ACCOUNT}/old")),
            uses={"old": QUIET},
        ),
        "RETIRED c",
    ),
    "an orphan has no grace": (
        at(ending(replace(OLD, phase=Retirement.ORPHAN, since=NOW, versions=())), **PROVEN),
        f"DISABLE {ACCOUNT}/old (old)",
    ),
    "one that failed in this run": (at(ending(OLD), **PROVEN, unretired=frozenset({"old"})), "RELEASE c"),
    "the current one is never retired": (at(ending(replace(OLD, id="aa")), **PROVEN), "RELEASE c"),
    "by hand": (
        at(ending(OLD), credential=of_kind(CredentialKind.MANUAL), **PROVEN, newest=3),
        "RELEASE c",
    ),
    "at another account": (
        at(ending(replace(OLD, target=ELSEWHERE)), **PROVEN),
        "DISABLE app-two@x/old (old)",
    ),
    "use not asked": (at(RIPE, credential=UNUSED, **PROVEN), f"LOOK_AT_USE {ACCOUNT}/old"),
    "used": (at(ending(OLD), credential=UNUSED, **PROVEN, uses={"old": BUSY}), "RELEASE c"),
    "unused": (at(ending(OLD), credential=UNUSED, **PROVEN, uses={"old": QUIET}), f"DISABLE {ACCOUNT}/old (old)"),
    "nothing keeps a record": (
        at(ending(OLD), credential=UNUSED, **PROVEN, uses={"old": None}),
        f"DISABLE {ACCOUNT}/old (old)",
    ),
    "a disabled one is asked about": (at(ending(DISABLED), **PROVEN), f"LOOK_AT_USE {ACCOUNT}/old"),
    "one in use does not hold up the other": (
        at(ending(OLD, replace(OLD, id="two")), credential=UNUSED, **PROVEN, uses={"old": BUSY, "two": QUIET}),
        f"DISABLE {ACCOUNT}/two (two)",
    ),
    "two at once": (
        at(ending(OLD, replace(OLD, id="two")), **done((StepKind.DISABLE, f"{ACCOUNT}/old"))),
        f"DISABLE {ACCOUNT}/two (two)",
    ),
    "generated: its versions, by its steps": (
        at(ending(replace(OLD, target=None)), credential=of_kind(CredentialKind.GENERATED), **PROVEN),
        "DISABLE c/old (old)",
    ),
    # what leaked
    "leaked": (at(ending(LEAKED_OLD, lease=None)), "PROVE c/versions/3 (aa)"),
    "leaked, without a lease": (at(ending(LEAKED_OLD, lease=None), proved=True), "LEASE_RETIRE c"),
    "leaked, with a lease": (at(ending(LEAKED_OLD), proved=True), f"DISABLE {ACCOUNT}/old (old)"),
    "leaked, disabled": (
        at(ending(LEAKED_OLD), **done((StepKind.DISABLE, f"{ACCOUNT}/old"))),
        f"PROVE_END {ACCOUNT}/old (old)",
    ),
    "leaked, dead": (
        at(ending(LEAKED_OLD), **done((StepKind.DISABLE, f"{ACCOUNT}/old")), ended={"old": True}),
        "RETIRED c",
    ),
    "leaked, still accepted": (
        at(ending(LEAKED_OLD), **done((StepKind.DISABLE, f"{ACCOUNT}/old")), ended={"old": False}),
        "RELEASE c",
    ),
    "leaked, the current one does not work": (at(ending(LEAKED_OLD), proved=False, healthy=True), "RELEASE c"),
    "leaked, and current again": (at(ending(replace(LEAKED_OLD, id="aa")), **PROVEN), "RELEASE c"),
    "leaked, without a current one": (
        at(ending(LEAKED_OLD, current=None), newest=0, **PROVEN, ready=True),
        "BEGIN c (it has no version yet, by upload)",
    ),
    "leaked, no issuer: its versions go": (
        at(
            ending(replace(LEAKED_OLD, target=Target("generated"))),
            credential=of_kind(CredentialKind.GENERATED),
            **done((StepKind.DISABLE, "c/old")),
            ended={"old": True},
        ),
        "WITHDRAW c/versions/1 (old)",
    ),
    "leaked, no issuer, first version gone": (
        at(
            ending(replace(LEAKED_OLD, target=Target("generated"))),
            credential=of_kind(CredentialKind.GENERATED),
            **done((StepKind.DISABLE, "c/old"), (StepKind.WITHDRAW, "c/versions/1")),
            ended={"old": True},
        ),
        "WITHDRAW c/versions/2 (old)",
    ),
    "leaked, two": (
        at(
            ending(LEAKED_OLD, replace(LEAKED_OLD, id="two")),
            **done((StepKind.DISABLE, f"{ACCOUNT}/old")),
            ended={"old": True},
        ),
        f"DISABLE {ACCOUNT}/two (two)",
    ),
    "leaked, one of two accepted": (
        at(
            ending(LEAKED_OLD, replace(LEAKED_OLD, id="two")),
            **done((StepKind.DISABLE, f"{ACCOUNT}/old")),
            ended={"old": False},
        ),
        f"DISABLE {ACCOUNT}/two (two)",
    ),
    "leaked, in a rotation": (
        at(replace(under_way(Phase.STAGING), retiring=(LEAKED_OLD,)), **PROVEN),
        f"DISABLE {ACCOUNT}/old (old)",
    ),
    "leaked, and the current one leaked and is given up": (
        at(replace(LEAKED, retiring=(LEAKED_OLD,)), abandoned=True, proved=True),
        "LEASE_RETIRE c",
    ),
    "leaked, while the current one leaked": (
        at(replace(under_way(Phase.STAGING), retiring=(LEAKED_OLD,), leaked=("aa",)), **PROVEN),
        "LOOK_FOR_STAGED c--orchestra-staging",
    ),
    # lost creations
    "lost creation": (
        at(replace(HEALTHY, unresolved=(OrphanWindow((), NOW - DAY, NOW - SWEEP_AFTER),))),
        f"LOOK_FOR_ORPHANS {ACCOUNT}",
    ),
    "lost creation, early": (
        at(replace(HEALTHY, unresolved=(OrphanWindow((), NOW - DAY, NOW - SWEEP_AFTER + SECOND),)), healthy=True),
        "nothing",
    ),
    "lost creation, nobody may look": (
        at(replace(HEALTHY, unresolved=(OrphanWindow((), NOW - DAY, NOW - DAY),)), unswept=True, healthy=True),
        "nothing",
    ),
    "orphans found": (
        at(replace(HEALTHY, unresolved=(OrphanWindow((), NOW - DAY, NOW - DAY),)), orphans=("x", "y")),
        "SWEEP c (x y)",
    ),
    "one of two windows is old": (
        at(replace(HEALTHY, unresolved=(OrphanWindow((), NOW, NOW), OrphanWindow((), NOW - DAY, NOW - DAY)))),
        f"LOOK_FOR_ORPHANS {ACCOUNT}",
    ),
    # staged copies
    "abandoned copy": (at(replace(HEALTHY, successor=STAGED)), "TAKE_OVER c (idle)"),
    "abandoned copy, with a lease": (at(replace(HEALTHY, successor=STAGED, lease=MINE)), "CLEAN c--orchestra-staging"),
    "abandoned copy, destroyed": (
        at(replace(HEALTHY, successor=STAGED, lease=MINE), cleaned=4, healthy=True),
        "RELEASE c",
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_how_predecessors_end(name: str) -> None:
    check(*ENDS[name])


def test_what_a_step_of_an_end_is_about() -> None:
    leaked = at(ending(OLD, replace(LEAKED_OLD, id="two")))
    by_detail = retirement.end_of(leaked, OLD)[0]
    assert retirement.retired_by(by_detail) == "old"
    assert retirement.retired_by(replace(by_detail, detail="")) == "old"
    assert retirement.retired_by(replace(by_detail, detail="two")) == "two"
    assert not retirement.is_leaked(leaked, by_detail)
    assert retirement.is_leaked(leaked, replace(by_detail, detail="two"))
    assert not retirement.is_leaked(leaked, replace(by_detail, detail="three"))


def test_who_is_held_for_its_use() -> None:
    uses = {"old": BUSY, "two": QUIET, "young": BUSY, "off": BUSY}
    young, off = replace(OLD, id="young", since=NOW), replace(DISABLED, id="off")
    situation = at(ending(OLD, replace(OLD, id="two"), young, off), credential=UNUSED, uses=uses)
    assert list(retirement.waiting(situation, Retirement.GRACE)) == ["old"]
    assert "authenticated" in retirement.waiting(situation, Retirement.GRACE)["old"]
    assert retirement.waiting(replace(situation, seen=Observations()), Retirement.GRACE) == {}


@pytest.mark.parametrize(
    ("credential", "target", "guarded"),
    [
        (KEY, HERE, False),
        (KEY, None, False),
        (KEY, ELSEWHERE, True),
        (KEY, Target("generated", ACCOUNT), True),
        (replace(KEY, source="none"), HERE, True),
        (replace(KEY, source="none"), None, True),
    ],
)
def test_what_only_the_state_names_is_guarded(credential: Credential, target: Target | None, guarded: bool) -> None:
    assert retirement.is_guarded(at(credential=credential), replace(OLD, target=target)) is guarded


STEPS_OF_ENDS: Mapping[str, tuple[Credential, Predecessor, State, list[str]]] = {
    "a key that leaked keeps the version that proves whose it is": (KEY, LEAKED_OLD, HEALTHY, ["DISABLE"]),
    "an API key that leaked": (
        of_kind(CredentialKind.API_KEY),
        replace(LEAKED_OLD, target=Target("api-key")),
        HEALTHY,
        ["DISABLE", "WITHDRAW 1", "WITHDRAW 2"],
    ),
    "an API key that leaked, and that only the state names": (
        replace(of_kind(CredentialKind.API_KEY), source="none"),
        replace(LEAKED_OLD, target=Target("api-key")),
        HEALTHY,
        ["DISABLE"],
    ),
    "an API key in its grace": (
        of_kind(CredentialKind.API_KEY),
        replace(OLD, target=Target("api-key")),
        HEALTHY,
        ["DISABLE"],
    ),
    "the end of all: a key": (KEY, OLD, replace(HEALTHY, current=None, ended=NOW), ["DISABLE"]),
    "the end of all: a role": (
        of_kind(CredentialKind.POSTGRES),
        replace(OLD, target=Target("postgres")),
        replace(HEALTHY, current=None, ended=NOW),
        ["DISABLE"],
    ),
    "the end of all: a value": (
        of_kind(CredentialKind.GENERATED),
        replace(OLD, target=None),
        replace(HEALTHY, current=None, ended=NOW),
        ["DISABLE", "WITHDRAW 1", "WITHDRAW 2"],
    ),
    "the end of all: deleted": (
        KEY,
        DISABLED,
        replace(HEALTHY, current=None, ended=NOW),
        ["DELETE", "DESTROY 1", "DESTROY 2"],
    ),
    "nothing is current": (KEY, DISABLED, replace(HEALTHY, current=None), ["DELETE"]),
    "the version of the current one": (KEY, replace(DISABLED, versions=(2, 3)), HEALTHY, ["DELETE", "DESTROY 2"]),
}


@pytest.mark.parametrize("name", STEPS_OF_ENDS)
def test_the_steps_of_an_end(name: str) -> None:
    credential, entry, state, expected = STEPS_OF_ENDS[name]
    steps = retirement.end_of(at(state, credential=credential), entry)
    assert all(step.detail == "old" for step in steps)
    names = [StepKind(step.kind).name for step in steps]
    assert [
        kind if kind in {"DISABLE", "DELETE"} else f"{kind} {step.resource.removeprefix('c/versions/')}"
        for kind, step in zip(names, steps, strict=True)
    ] == expected


# -- the beginning of a rotation

GENERATED, MANUAL = of_kind(CredentialKind.GENERATED), of_kind(CredentialKind.MANUAL)
VALUE = replace(HEALTHY, current=CurrentCredential("v3", (3,), NOW - 10 * DAY, target=Target("generated")))
BY_HAND = replace(HEALTHY, current=CurrentCredential("v3", (3,), NOW - 10 * DAY, target=Target("manual")))
ADOPT, FORCE = RunRequest(adopt=True), RunRequest(force=True)
NEWER: dict[str, Any] = {**BEGINS, "newest": 4, "newest_id": "ff", "newer": True}
WAITING = replace(
    DUE, retiring=(replace(OLD, since=NOW),), current=replace(CURRENT, since=NOW - 91 * DAY, target=Target("postgres"))
)
POSTGRES = of_kind(CredentialKind.POSTGRES)

BEGINNINGS: Mapping[str, tuple[Situation, str]] = {
    "health is asked first": (at(), f"LOOK_AT_HEALTH {ACCOUNT} (aa)"),
    "nothing to be healthy": (at(State(), newest=0), "LOOK_AT_STAGING c--orchestra-staging"),
    "healthy": (at(healthy=True), "nothing"),
    "not healthy, and nothing wrong": (at(healthy=False), "nothing"),
    "may not start": (at(DUE, RunRequest(start=False), **BEGINS), "nothing"),
    "given up": (at(DUE, abandoned=True, **BEGINS), "nothing"),
    "rotated by this run": (at(DUE, rotated=True, **BEGINS), "nothing"),
    "no secret": (at(State(), exists=False), "MAKE_SECRET c"),
    "versions": (at(DUE, healthy=True), "LOOK_AT_VERSIONS c"),
    "staging": (at(DUE, healthy=True, newest=3), "LOOK_AT_STAGING c--orchestra-staging"),
    "preflight": (at(DUE, healthy=True, newest=3, staging=False), f"PREFLIGHT {ACCOUNT}"),
    "preflight of a value": (at(State(), credential=GENERATED, newest=0, staging=False), "PREFLIGHT c"),
    "hook": (at(DUE, credential=HOOKED, **BEGINS), "PRE_HOOK before"),
    "hook done": (at(DUE, credential=HOOKED, pre_hook=True, **BEGINS), "BEGIN c (it is due, by upload)"),
    "staging secret": (at(DUE, **{**BEGINS, "staging": False}), "MAKE_STAGING c--orchestra-staging"),
    "begin": (at(DUE, **BEGINS), "BEGIN c (it is due, by upload)"),
    "begin by creation": (at(DUE, **BEGINS, local=False), "BEGIN c (it is due, by creation)"),
    "begin a value": (at(State(), credential=GENERATED, **{**BEGINS, "newest": 0}), "BEGIN c (it has no version yet)"),
    "a predecessor in its grace": (
        at(replace(DUE, retiring=(replace(OLD, since=NOW),)), **BEGINS),
        "BEGIN c (it is due, by upload)",
    ),
    "two users: the other one waits": (
        at(WAITING, credential=POSTGRES, healthy=True, newest=3),
        "refused: is still in its grace",
    ),
    "two users: it leaked": (
        at(replace(WAITING, leaked=("aa",)), credential=POSTGRES, **BEGINS),
        "BEGIN c (the current one leaked)",
    ),
    "two users: nobody waits": (
        at(
            replace(WAITING, retiring=(replace(OLD, phase=Retirement.DISABLED, since=NOW),)),
            credential=POSTGRES,
            **BEGINS,
        ),
        "BEGIN c (it is due)",
    ),
    # a version of others
    "newer, a key": (at(**NEWER), "refused: version 4 of secret c was not made by orchestra-creds"),
    "newer, nobody has looked": (at(healthy=True, newer=True), "LOOK_AT_VERSIONS c"),
    "newer, forced": (at(want=FORCE, **NEWER), "BEGIN c (it was asked for, by upload)"),
    "newer, leaked": (at(LEAKED, **NEWER), "BEGIN c (the current one leaked, by upload)"),
    "newer, adopted": (at(want=ADOPT, **NEWER), "ADOPT c/versions/4 (ff)"),
    "newer, adopted, leaked": (at(LEAKED, ADOPT, **NEWER), "BEGIN c (the current one leaked, by upload)"),
    "newer, ours": (at(DUE, **NEWER, newest_is_ours=True), "BEGIN c (it is due, by upload)"),
    "newer, ours, not due": (at(**NEWER, newest_is_ours=True), "nothing"),
    "newer, unreadable": (at(DUE, **NEWER, newest_unreadable=True), "BEGIN c (it is due, by upload)"),
    "newer, a value": (at(VALUE, credential=GENERATED, **NEWER), "RECORD c/versions/4"),
    "newer, unreadable, a value": (at(VALUE, credential=GENERATED, **NEWER, newest_unreadable=True), "nothing"),
    "the first, a value": (
        at(State(), credential=GENERATED, **{**BEGINS, "newest": 1}),
        "refused: version 1 of secret c was not made by orchestra-creds",
    ),
    "the first, adopted": (at(State(), ADOPT, **{**BEGINS, "newest": 1, "newest_id": "ff"}), "ADOPT c/versions/1 (ff)"),
    "the first, unreadable": (
        at(State(), **{**BEGINS, "newest": 1}, newest_unreadable=True),
        "refused: version 1 of secret c was not made by orchestra-creds",
    ),
    "not newer": (at(DUE, **{**BEGINS, "newest": 3}), "BEGIN c (it is due, by upload)"),
    # by hand
    "by hand": (at(BY_HAND, credential=MANUAL, healthy=True), "LOOK_AT_VERSIONS c"),
    "by hand, no secret": (at(State(), credential=MANUAL, exists=False), "nothing"),
    "by hand, looked": (at(BY_HAND, credential=MANUAL, healthy=True, newest=3), "nothing"),
    "by hand, newer": (at(BY_HAND, credential=MANUAL, healthy=True, newest=4), "RECORD c/versions/4"),
    "by hand, the first": (at(State(), credential=MANUAL, newest=1), "RECORD c/versions/1"),
    "by hand, the first, unreadable": (at(State(), credential=MANUAL, newest=1, newest_unreadable=True), "nothing"),
    "by hand, nothing to copy": (
        at(State(), credential=replace(COPIED, kind=CredentialKind.MANUAL), newest=0),
        "nothing",
    ),
    "by hand, due": (at(replace(BY_HAND, current=DUE.current), credential=MANUAL, healthy=True, newest=3), "nothing"),
    # older versions
    "adopt: nothing": (at(want=ADOPT, **BEGINS), "nothing"),
    "adopt: older versions": (at(want=ADOPT, **BEGINS, adoptable=((1, "x"), (2, "y"))), "CLAIM c (x y)"),
    "adopt: nobody has looked": (at(want=ADOPT, healthy=True), "LOOK_AT_VERSIONS c"),
    "adopt: no secret": (at(want=ADOPT, healthy=True, exists=False), "nothing"),
    "older versions, not asked for": (at(DUE, **BEGINS, adoptable=((1, "x"),)), "BEGIN c (it is due, by upload)"),
    "older versions, no current one": (
        at(State(), ADOPT, **{**BEGINS, "newest": 0}, adoptable=((1, "x"),)),
        "BEGIN c (it has no version yet, by upload)",
    ),
    "adopt: and it is due": (at(DUE, ADOPT, **BEGINS), "BEGIN c (it is due, by upload)"),
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_how_a_rotation_begins(name: str) -> None:
    check(*BEGINNINGS[name])


# -- a rollback, copies, and an expiry

BACKWARDS = RunRequest(back=True)
LOOKED: dict[str, Any] = {"newest": 3}

REST: Mapping[str, tuple[Situation, str]] = {
    "back: versions": (at(RIPE, BACKWARDS), "LOOK_AT_VERSIONS c"),
    "back": (at(RIPE, BACKWARDS, **LOOKED), "ROLL_BACK c (old)"),
    "back: the last one": (
        at(ending(OLD, replace(OLD, id="two")), BACKWARDS, **LOOKED),
        "ROLL_BACK c (two)",
    ),
    "back: readers never had it": (
        at(ending(OLD, replace(OLD, id="two", versions=())), BACKWARDS, **LOOKED),
        "ROLL_BACK c (old)",
    ),
    "back: it leaked": (at(ending(LEAKED_OLD), BACKWARDS, **LOOKED), "refused: no predecessor to return to"),
    "back: it leaked, and is disabled": (
        at(ending(DISABLED, leaked=("old",)), BACKWARDS, **LOOKED),
        "refused: no predecessor to return to: old leaked or was taken out of service",
    ),
    "back: taken out of service": (
        at(RIPE, BACKWARDS, **LOOKED, taken={"old": "its issuer disabled it"}),
        "refused: predecessor old of c does not come back: its issuer disabled it",
    ),
    "back: another one taken": (at(RIPE, BACKWARDS, **LOOKED, taken={"old": "", "x": "y"}), "ROLL_BACK c (old)"),
    "back: none": (at(HEALTHY, BACKWARDS, **LOOKED), "refused: no predecessor to return to"),
    "back: given up": (at(RIPE, BACKWARDS, abandoned=True), "nothing"),
    "back: given up, with a lease": (at(ending(OLD), BACKWARDS, abandoned=True), "RELEASE c"),
    "back: given up, with a copy": (
        at(ending(OLD, successor=STAGED), BACKWARDS, abandoned=True),
        "CLEAN c--orchestra-staging",
    ),
    # copies
    "copies": (at(credential=COPIED, healthy=True), "LOOK_AT_COPIES c"),
    "copies compared": (
        at(replace(HEALTHY, delivered={"f": "aa", "g": "aa"}), credential=COPIED, healthy=True, copies_compared=True),
        "nothing",
    ),
    "a copy lacks it": (
        at(
            replace(HEALTHY, delivered={"f": "aa", "g": "aa"}),
            credential=COPIED,
            healthy=True,
            copies_compared=True,
            delivered={"g": ""},
        ),
        "REDELIVER c (aa)",
    ),
    "a copy is new": (
        at(replace(HEALTHY, delivered={"f": "aa"}), credential=COPIED, healthy=True, copies_compared=True),
        "REDELIVER c (aa)",
    ),
    "copies: the current one is dead": (
        at(HEALTHY, RunRequest(), COPIED, healthy=False, dead=True, rotated=True),
        "nothing",
    ),
    "copies: given up": (at(credential=COPIED, healthy=True, abandoned=True), "nothing"),
    "copies: may not begin": (at(HEALTHY, RunRequest(start=False), COPIED, healthy=True), "nothing"),
    # an expiry
    "expiry unknown": (at(healthy=True), "nothing"),
    "expiry late": (at(healthy=True, expires=NOW + 300 * DAY), "nothing"),
    "expiry early": (at(healthy=True, expires=NOW + 30 * DAY, end_known=True), "RECORD_END c (2026-03-31)"),
    "expiry early, as recorded": (
        at(replace(HEALTHY, current=replace(CURRENT, expires=NOW + 30 * DAY)), healthy=True, expires=NOW + 30 * DAY),
        "nothing",
    ),
    "expiry earlier than recorded": (
        at(
            replace(HEALTHY, current=replace(CURRENT, expires=NOW + 40 * DAY)),
            healthy=True,
            expires=NOW + 30 * DAY,
            end_known=True,
        ),
        "RECORD_END c (2026-03-31)",
    ),
    # the end of a run
    "release": (at(replace(HEALTHY, lease=MINE), healthy=True), "RELEASE c"),
    "finished": (at(DUE, finished=True, **BEGINS), "nothing"),
}


@pytest.mark.parametrize("name", REST)
def test_what_else_a_run_does(name: str) -> None:
    check(*REST[name])


# -- the end of a credential

RETIRE, ABANDON = RunRequest(retire=True), RunRequest(abandon=True)
OVER = replace(HEALTHY, current=None, ended=NOW - DAY, settled=NOW)
STAGING = "c--orchestra-staging"


def over(*retiring: Predecessor, lease: Lease | None = MINE, **fields: Any) -> State:
    return replace(OVER, retiring=retiring, lease=lease, **fields)


NONE = replace(KEY, source="none")
FINAL: Mapping[str, tuple[Situation, str]] = {
    "abandon": (at(want=ABANDON), "FORGET c"),
    "abandon what has ended": (at(OVER, ABANDON), "FORGET c"),
    "abandon nothing": (at(State(), ABANDON), "refused: there is nothing to abandon"),
    "retire nothing": (at(State(), RETIRE), "refused: there is nothing to retire"),
    "retire": (at(want=RETIRE), f"LOOK_AT_LIVES {ACCOUNT} (aa)"),
    "retire without a current one": (at(replace(HEALTHY, current=None), RETIRE), f"LOOK_AT_LIVES {ACCOUNT}"),
    "retire what is in use": (
        at(want=RETIRE, credential=UNUSED, lives_checked=True, usage=BUSY),
        "refused: c may be in use: aa: s shows that it authenticated",
    ),
    "retire what is in use all the same": (
        at(want=RunRequest(retire=True, in_use=True), credential=UNUSED, lives_checked=True, usage=BUSY),
        "END c",
    ),
    "retire what is unused": (at(want=RETIRE, credential=UNUSED, lives_checked=True, usage=QUIET), "END c"),
    "made again": (at(OVER, RunRequest(force=True)), "refused: credential c was retired"),
    "adopted again": (at(OVER, ADOPT), "refused: credential c was retired"),
    "rolled back": (at(OVER, BACKWARDS), "refused: credential c was retired"),
    "leaked": (at(OVER, RunRequest(leaked=True, force=True)), f"LOOK_AT_STAGING {STAGING}"),
    "by cron": (at(OVER), f"LOOK_AT_STAGING {STAGING}"),
    "nothing left": (at(OVER, staging=False), "nothing"),
    "nothing left, with a lease": (at(over(), staging=False), "RELEASE c"),
    "without a lease": (at(over(OLD, lease=None), staging=False), "LEASE_RETIRE c"),
    "disable": (at(over(OLD), staging=False), f"DISABLE {ACCOUNT}/old (old)"),
    "prove": (
        at(over(OLD), staging=False, done=frozenset({(StepKind.DISABLE, f"{ACCOUNT}/old")})),
        f"PROVE_END {ACCOUNT}/old (old)",
    ),
    "dead": (
        at(over(OLD), staging=False, done=frozenset({(StepKind.DISABLE, f"{ACCOUNT}/old")}), ended={"old": True}),
        "RETIRED c",
    ),
    "still accepted": (
        at(over(OLD), staging=False, done=frozenset({(StepKind.DISABLE, f"{ACCOUNT}/old")}), ended={"old": False}),
        "RELEASE c",
    ),
    "a value is not proven": (
        at(
            over(replace(OLD, target=None)),
            credential=GENERATED,
            staging=False,
            done=frozenset({(StepKind.DISABLE, "c/old")}),
        ),
        "WITHDRAW c/versions/1 (old)",
    ),
    "a value that leaked is": (
        at(
            over(replace(LEAKED_OLD, target=None)),
            credential=GENERATED,
            staging=False,
            done=frozenset({(StepKind.DISABLE, "c/old")}),
        ),
        "PROVE_END c/old (old)",
    ),
    "failed in this run": (at(over(OLD), staging=False, unretired=frozenset({"old"})), "RELEASE c"),
    "in its soak": (at(over(replace(DISABLED, since=NOW - 3 * DAY + SECOND)), staging=False), "RELEASE c"),
    "soak over": (at(over(DISABLED), staging=False, uses={"old": QUIET}), f"DELETE {ACCOUNT}/old (old)"),
    "soak without a beginning": (at(over(replace(DISABLED, since=None)), staging=False), "RELEASE c"),
    "deleted": (
        at(
            over(DISABLED),
            staging=False,
            done=frozenset({(StepKind.DELETE, f"{ACCOUNT}/old")}),
            uses={"old": QUIET},
        ),
        "DESTROY c/versions/1 (old)",
    ),
    "lost creation": (
        at(over(unresolved=(OrphanWindow((), NOW - DAY, NOW - DAY),)), staging=False),
        f"LOOK_FOR_ORPHANS {ACCOUNT}",
    ),
    "lost creation, without a lease": (
        at(over(unresolved=(OrphanWindow((), NOW - DAY, NOW - DAY),), lease=None), staging=False),
        "LEASE_RETIRE c",
    ),
    "copies, without a lease": (at(over(lease=None), staging=True, staged_top=2), "LEASE_RETIRE c"),
    "copies": (at(over(), staging=True, staged_top=2), f"CLEAN {STAGING}"),
    "a copy of an interrupted rotation": (at(over(successor=STAGED), staging=True), f"CLEAN {STAGING}"),
    "copies are gone": (at(over(staged_base=2), staging=True, staged_top=2), f"REMOVE_STAGING {STAGING}"),
    "copies were destroyed": (at(over(), staging=True, staged_top=2, cleaned=2), f"REMOVE_STAGING {STAGING}"),
    "copies of a staging secret made again": (
        at(over(staged_base=5), staging=True, staged_top=2, staging_restarted=True),
        f"CLEAN {STAGING}",
    ),
    "no staging secret": (at(over(successor=STAGED), staging=False), "RELEASE c"),
    "staging secret removed": (at(over(), staging=True, staging_removed=True), "RELEASE c"),
    "staging secret, something is left": (
        at(over(replace(DISABLED, since=NOW)), staging=True),
        "RELEASE c",
    ),
    "marks": (at(over(), credential=NONE, staging=False), "FORGET c"),
    "marks, something is left": (at(over(replace(DISABLED, since=NOW)), credential=NONE, staging=False), "RELEASE c"),
    "marks, a window is open": (
        at(over(unresolved=(OrphanWindow((), NOW, NOW),)), credential=NONE, staging=False),
        "RELEASE c",
    ),
    "marks, something failed": (
        at(over(), credential=NONE, staging=False, unretired=frozenset({"x"})),
        "RELEASE c",
    ),
}


@pytest.mark.parametrize("name", FINAL)
def test_how_a_credential_ends(name: str) -> None:
    check(*FINAL[name])
