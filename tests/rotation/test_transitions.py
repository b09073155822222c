"""What each step leads to: the state that is written and what the run knows then, whole and equal. No cloud, no clock."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from orchestra_creds.core.credential import CredentialKind
from orchestra_creds.rotation.end_of_life import left_alive
from orchestra_creds.rotation.situation import (
    ORDINARY,
    PREDICTED,
    Observations,
    RunRequest,
    Situation,
    StepKind,
    StepResult,
    step_of,
)
from orchestra_creds.rotation.state import (
    CurrentCredential,
    LastFailure,
    Lease,
    OrphanWindow,
    Phase,
    Predecessor,
    Retirement,
    State,
    Successor,
    Target,
)
from orchestra_creds.rotation.timing import CREATED_WITHIN, LEASE, SWEEP_AFTER
from orchestra_creds.rotation.transitions import forget_doubtful, predict_result, situation_after
from tests.rotation.test_decisions import (
    ACCOUNT,
    CURRENT,
    DAY,
    DISABLED,
    DUE,
    ELSEWHERE,
    HEALTHY,
    HERE,
    KEY,
    LEAKED_OLD,
    NOW,
    OLD,
    SECOND,
    at,
    of_kind,
)

HOUR = timedelta(hours=1)
OTHERS = Lease("you", NOW - HOUR)
RENEWED = Lease("me", NOW + LEASE)
GENERATED, MANUAL = of_kind(CredentialKind.GENERATED), of_kind(CredentialKind.MANUAL)
FAILURE = LastFailure(NOW - HOUR, "stage", "QuotaError")
FULL = State(
    generation=3,
    phase=Phase.IDLE,
    lease=OTHERS,
    base=3,
    staged_base=2,
    known=("k",),
    started=NOW - HOUR,
    current=CURRENT,
    retiring=(OLD,),
    delivered={"f": "aa"},
    hooked=3,
    settled=NOW - DAY,
    last_failure=FAILURE,
)
"""A state with something in every place."""
RETURNED = at().target


def after(
    kind: StepKind,
    situation: Situation,
    result: StepResult = StepResult(),  # noqa: B008  frozen
    resource: str = "r",
    detail: str = "",
) -> tuple[State, Observations]:
    """What is written, and known, after a step."""
    found = situation_after(situation, step_of(kind, resource, detail), result)
    assert found.credential is situation.credential
    assert (found.want, found.run, found.now) == (situation.want, situation.run, situation.now)
    return found.state, found.seen


def check(found: tuple[State, Observations], state: State, **seen: Any) -> None:
    """The state is this one, and of the observations these differ from the default ones."""
    assert found[0] == state
    assert found[1] == Observations(**seen)


# -- facts

FACTS: Mapping[str, tuple[StepKind, dict[str, Any], StepResult, dict[str, Any]]] = {
    "secret": (StepKind.MAKE_SECRET, {"exists": False}, StepResult(), {"newest": 0}),
    "staging": (StepKind.MAKE_STAGING, {"staged_top": 7}, StepResult(), {"staging": True}),
    "pre hook": (StepKind.PRE_HOOK, {}, StepResult(), {"pre_hook": True}),
    "stage": (StepKind.STAGE, {}, StepResult(4), {"staged": 4}),
    "activate": (StepKind.ACTIVATE, {}, StepResult(id="n"), {"activated": "n"}),
    "create": (StepKind.CREATE, {"opened": True}, StepResult(id="n"), {"made": "n"}),
    "enable": (StepKind.ENABLE, {"refused": True}, StepResult(), {"enabled": True}),
    "verify": (StepKind.VERIFY, {}, StepResult(), {"verified": True}),
    "verify, refused": (StepKind.VERIFY, {"refused": True}, StepResult(), {"refused": True}),
    "publish": (StepKind.PUBLISH, {}, StepResult(5), {"published": 5}),
    "deliver": (StepKind.DELIVER, {"delivered": {"x": "y"}}, StepResult(), {"delivered": {"x": "y", "r": "d"}}),
    "remove staging": (StepKind.REMOVE_STAGING, {}, StepResult(), {"staging_removed": True}),
    "deploy hook": (StepKind.DEPLOY_HOOK, {}, StepResult(), {"hooked": True}),
    "clean": (StepKind.CLEAN, {}, StepResult(6), {"cleaned": 6}),
    "kill": (StepKind.KILL, {}, StepResult(), {"killed": True}),
    "disable": (StepKind.DISABLE, {}, StepResult(), {"done": frozenset({(StepKind.DISABLE, "r")})}),
    "withdraw": (StepKind.WITHDRAW, {}, StepResult(), {"done": frozenset({(StepKind.WITHDRAW, "r")})}),
    "delete": (StepKind.DELETE, {}, StepResult(), {"done": frozenset({(StepKind.DELETE, "r")})}),
    "destroy": (
        StepKind.DESTROY,
        {"done": frozenset({(StepKind.DELETE, "x")})},
        StepResult(),
        {"done": frozenset({(StepKind.DELETE, "x"), (StepKind.DESTROY, "r")})},
    ),
    "a look": (StepKind.LOOK_AT_VERSIONS, {}, StepResult(seen=Observations(newest=9)), {"newest": 9}),
    "a look that saw nothing": (StepKind.LOOK_AT_USE, {"newest": 2}, StepResult(), {"newest": 2}),
}


@pytest.mark.parametrize("name", FACTS)
def test_what_a_step_lets_the_run_know(name: str) -> None:
    kind, before, result, expected = FACTS[name]
    check(after(kind, at(FULL, **before), result, detail="d"), FULL, **expected)


def test_what_a_lost_reply_makes_doubtful() -> None:
    known = Observations(staged=4, opened=True, made="n", published=5)
    assert forget_doubtful(known, StepKind.STAGE) == replace(known, staged=None)
    assert forget_doubtful(known, StepKind.CREATE) == Observations(published=5)
    assert forget_doubtful(known, StepKind.PUBLISH) == replace(known, published=None)
    assert forget_doubtful(known, StepKind.DELIVER) == known


def test_what_a_dry_run_expects() -> None:
    def predict(kind: StepKind, situation: Situation, detail: str = "") -> StepResult:
        return predict_result(situation, step_of(kind, "r", detail))

    seen = at(staged_top=4, newest=7, staged=6)
    assert predict(StepKind.STAGE, seen) == StepResult(5)
    assert predict(StepKind.ACTIVATE, seen) == predict(StepKind.CREATE, seen) == StepResult(id=PREDICTED)
    assert predict(StepKind.PUBLISH, seen) == StepResult(8)
    assert predict(StepKind.PUBLISH, at(replace(HEALTHY, base=5))) == StepResult(6)
    assert predict(StepKind.PROVE, at(newest=7)) == StepResult(seen=Observations(newest=7, proved=True))
    ended = StepResult(seen=Observations(ended={"x": False, "d": True}))
    assert predict(StepKind.PROVE_END, at(ended={"x": False}), "d") == ended
    assert predict(StepKind.CLEAN, seen) == StepResult(6)
    assert predict(StepKind.CLEAN, at(staged_top=7, staged=6)) == StepResult(7)
    assert predict(StepKind.CLEAN, at(replace(HEALTHY, successor=Successor(8)), staged_top=7)) == StepResult(8)
    assert predict(StepKind.DELIVER, seen) == StepResult()


# -- leases and leaks


@pytest.mark.parametrize("kind", [StepKind.TAKE_OVER, StepKind.LEASE_RETIRE])
def test_a_lease_is_taken_and_what_others_took_out_of_service_is_remembered(kind: StepKind) -> None:
    two = replace(OLD, id="two")
    state = replace(FULL, retiring=(OLD, two), leaked=("x",))
    taken = {"old": "", "two": "a person disabled it", "zz": "gone"}
    expected = replace(state, lease=RENEWED, leaked=("x", "two"))
    check(after(kind, at(state, taken=taken)), expected, taken=taken)
    check(after(kind, at(state)), replace(state, lease=RENEWED))


def test_a_leak_is_recorded() -> None:
    two = replace(DISABLED, id="two")
    state = replace(FULL, retiring=(OLD, two))
    current = replace(state, lease=RENEWED, leaked=("aa",))
    check(after(StepKind.LEAK, at(state)), current, leak_recorded=True)
    old = replace(
        state, lease=RENEWED, leaked=("two",), retiring=(OLD, replace(two, phase=Retirement.LEAKED, since=None))
    )
    check(after(StepKind.LEAK, at(state, RunRequest(leaked=True, leaked_id="two"))), old, leak_recorded=True)
    again = replace(state, leaked=("aa", "x"))
    check(after(StepKind.LEAK, at(again)), replace(again, lease=RENEWED), leak_recorded=True)


# -- a rotation


def test_a_rotation_begins() -> None:
    begun = replace(
        FULL,
        lease=RENEWED,
        phase=Phase.STAGING,
        base=4,
        staged_base=6,
        known=(),
        started=NOW,
        successor=Successor(target=replace(HERE, unique_id="7")),
        last_failure=None,
    )
    seen: dict[str, Any] = {"newest": 4, "staged_top": 6, "target_id": "7", "known": ("k",)}
    told: dict[str, Any] = {**seen, "staged": 0, "published": 0, "opened": True}
    check(after(StepKind.BEGIN, at(FULL, **seen, cleaned=1, made="m", verified=True)), begun, **told, cleaned=1)
    created = replace(begun, phase=Phase.CREATING, known=("k",))
    check(after(StepKind.BEGIN, at(FULL, **seen, local=False)), created, **told, local=False)
    older = replace(begun, staged_base=2)
    check(after(StepKind.BEGIN, at(FULL, **{**seen, "staged_top": 1})), older, **{**told, "staged_top": 1})
    restarted = replace(begun, staged_base=1)
    here: dict[str, Any] = {**seen, "staged_top": 1, "staging_restarted": True}
    check(after(StepKind.BEGIN, at(FULL, **here, cleaned=5)), restarted, **{**told, **here})


def test_a_beginning_counts_what_the_current_one_was_published_as_again() -> None:
    ours = at(FULL, newest=4, newest_is_ours=True)
    assert after(StepKind.BEGIN, ours)[0].current == replace(CURRENT, versions=(3, 4))
    assert after(StepKind.BEGIN, at(FULL, newest=3, newest_is_ours=True))[0].current == CURRENT
    assert after(StepKind.BEGIN, at(FULL, newest=4))[0].current == CURRENT
    first = after(StepKind.BEGIN, at(replace(FULL, current=None)))[0]
    assert (first.current, first.base) == (None, 0)


def test_a_beginning_records_where_the_current_one_is_valid() -> None:
    unknown = replace(FULL, current=replace(CURRENT, target=None))
    assert after(StepKind.BEGIN, at(unknown, learned=ELSEWHERE))[0].current == replace(CURRENT, target=ELSEWHERE)
    assert after(StepKind.BEGIN, at(FULL, learned=ELSEWHERE))[0].current == CURRENT


def test_a_rollback_begins() -> None:
    begun = replace(
        FULL,
        lease=RENEWED,
        phase=Phase.ISSUED,
        base=4,
        successor=Successor(id="old", target=HERE),
        started=NOW,
        last_failure=None,
    )
    check(after(StepKind.ROLL_BACK, at(FULL, newest=4)), begun, newest=4, published=0)
    none = replace(begun, base=0, successor=Successor(), retiring=())
    check(after(StepKind.ROLL_BACK, at(replace(FULL, retiring=()))), none, published=0)


def test_a_creation_instead_of_an_upload() -> None:
    state = replace(FULL, phase=Phase.PREPARED, successor=Successor(5, "", "ff", ELSEWHERE))
    created = replace(
        state,
        lease=RENEWED,
        phase=Phase.CREATING,
        staged_base=5,
        successor=Successor(target=ELSEWHERE),
        known=("x",),
        started=NOW,
    )
    seen: dict[str, Any] = {"known": ("x",), "forbidden": True, "made": "", "staged": 5}
    check(after(StepKind.CREATE_INSTEAD, at(state, **seen)), created, known=("x",), staged=0, opened=True)
    higher = after(StepKind.CREATE_INSTEAD, at(replace(state, staged_base=9)))[0]
    assert higher.staged_base == 9


@pytest.mark.parametrize(
    ("started", "opened", "closed"),
    [
        (NOW - HOUR, NOW - HOUR, NOW - HOUR + CREATED_WITHIN),
        (NOW - SECOND, NOW - SECOND, NOW),
        (None, NOW, NOW),
    ],
)
def test_a_lost_creation_is_remembered(started: Any, opened: Any, closed: Any) -> None:
    window = OrphanWindow((), NOW - DAY, NOW - DAY)
    state = replace(
        FULL, phase=Phase.CREATING, started=started, unresolved=(window,), successor=Successor(target=ELSEWHERE)
    )
    again = replace(
        state,
        lease=RENEWED,
        unresolved=(window, OrphanWindow(("k",), opened, closed, ELSEWHERE)),
        known=("x",),
        started=NOW,
    )
    check(
        after(StepKind.REOPEN, at(state, known=("x",), made="", staged=3)), again, known=("x",), opened=True, staged=0
    )


def test_a_successor_is_prepared_and_issued() -> None:
    state = replace(FULL, phase=Phase.STAGING, successor=Successor(target=ELSEWHERE))
    prepared = replace(state, lease=RENEWED, phase=Phase.PREPARED, successor=Successor(4, "", "ff", ELSEWHERE))
    check(after(StepKind.PREPARE, at(state, staged=4), StepResult(fingerprint="ff")), prepared, staged=4)
    assert after(StepKind.PREPARE, at(state), StepResult(fingerprint="ff"))[0].successor.staged == 0
    issued = replace(prepared, phase=Phase.ISSUED, successor=Successor(4, "n", "ff", ELSEWHERE), known=())
    check(after(StepKind.ISSUED, at(prepared, activated="n")), issued, activated="n")
    created = after(StepKind.ISSUED, at(replace(prepared, phase=Phase.CREATING), made="m", staged=6))[0]
    assert created.successor == Successor(6, "m", "ff", ELSEWHERE)
    assert after(StepKind.ISSUED, at(prepared))[0].successor.id == ""


# -- promotion

ISSUED = replace(FULL, phase=Phase.ISSUED, successor=Successor(4, "new", "", ELSEWHERE), retiring=())
PROMOTED = replace(
    ISSUED,
    lease=RENEWED,
    generation=4,
    phase=Phase.PUBLISHED,
    started=None,
    current=CurrentCredential("new", (5,), NOW, target=ELSEWHERE),
    retiring=(Predecessor("aa", (3,), Retirement.GRACE, None, CURRENT.since, HERE),),
)
DEAD_END = Predecessor("aa", (3,), Retirement.LEAKED, None, CURRENT.since, HERE)
ABOUT_CURRENT: dict[str, Any] = {
    "proved": True,
    "dead": True,
    "withdrawn": True,
    "newer": True,
    "healthy": True,
    "expires": NOW,
    "remade": True,
}


def test_a_successor_is_promoted() -> None:
    check(after(StepKind.PROMOTE, at(ISSUED, published=5)), PROMOTED, published=5, rotated=True, leak_recorded=True)
    forgotten = after(StepKind.PROMOTE, at(ISSUED, published=5, **ABOUT_CURRENT))
    check(forgotten, PROMOTED, published=5, rotated=True, leak_recorded=True)
    first = replace(
        PROMOTED, retiring=(), current=replace(CURRENT, id="new", versions=(0,), since=NOW, target=ELSEWHERE)
    )
    check(after(StepKind.PROMOTE, at(replace(ISSUED, current=None))), first, rotated=True, leak_recorded=True)
    same = replace(ISSUED, successor=Successor(4, "aa", "", HERE))
    assert after(StepKind.PROMOTE, at(same, published=5))[0].retiring == ()


def test_what_others_covered_is_looked_at_in_the_same_run() -> None:
    known: dict[str, Any] = {"published": 5, "covered": True, "newest": 5}
    check(after(StepKind.PROMOTE, at(ISSUED, **known)), PROMOTED, published=5, covered=True, leak_recorded=True)
    for want in (
        RunRequest(start=False),
        RunRequest(back=True),
        RunRequest(force=True),
        RunRequest(adopt=True),
        RunRequest(leaked=True),
    ):
        assert after(StepKind.PROMOTE, at(ISSUED, want, **known))[1].rotated


def test_a_dead_one_has_no_grace() -> None:
    leaked = replace(PROMOTED, retiring=(DEAD_END,), leaked=("aa",))
    assert after(StepKind.PROMOTE, at(ISSUED, published=5, dead=True))[0] == leaked
    assert after(StepKind.PROMOTE, at(ISSUED, published=5, dead=True, withdrawn=True))[0] == PROMOTED
    assert after(StepKind.PROMOTE, at(ISSUED, published=5, taken={"aa": "gone"}))[0] == leaked
    assert after(StepKind.PROMOTE, at(ISSUED, published=5, taken={"aa": "", "x": "y"}))[0] == PROMOTED
    known = replace(ISSUED, leaked=("aa",))
    assert after(StepKind.PROMOTE, at(known, published=5))[0] == leaked


@pytest.mark.parametrize(
    ("born", "since"),
    [(NOW - 20 * DAY, NOW - 20 * DAY), (NOW - 100 * DAY, NOW - 83 * DAY), (None, NOW)],
)
def test_one_that_comes_back_is_as_old_as_it_is(born: Any, since: Any) -> None:
    other = replace(OLD, id="two")
    back = replace(OLD, born=born)
    state = replace(ISSUED, successor=Successor(id="old", target=HERE), retiring=(back, other))
    promoted = after(StepKind.PROMOTE, at(state, published=5))[0]
    assert promoted.current == CurrentCredential("old", (1, 2, 5), since, target=HERE)
    assert promoted.retiring == (other, *PROMOTED.retiring)


# -- deliveries and ends of runs


def test_a_delivery_begins_again() -> None:
    check(after(StepKind.REDELIVER, at(FULL)), replace(FULL, lease=RENEWED, phase=Phase.PUBLISHED))


PUBLISHED = replace(PROMOTED, delivered={"f": "new", "g": "aa"}, successor=Successor())


def test_a_rotation_is_finished() -> None:
    (entry,) = PUBLISHED.retiring
    done = replace(
        PUBLISHED,
        phase=Phase.IDLE,
        lease=None,
        delivered={},
        settled=NOW,
        last_failure=None,
        retiring=(replace(entry, since=NOW),),
    )
    check(after(StepKind.FINISH, at(PUBLISHED, rotated=True)), done, rotated=True, finished=True)
    check(after(StepKind.FINISH, at(PUBLISHED)), done)
    check(after(StepKind.FINISH, at(PUBLISHED, copies_compared=True)), done, copies_compared=True, finished=True)
    assert after(StepKind.FINISH, at(PUBLISHED, RunRequest(force=True)))[1].finished
    assert after(StepKind.FINISH, at(PUBLISHED, hooked=True))[0].hooked == 4
    begun = replace(PUBLISHED, retiring=(replace(entry, since=NOW - DAY),))
    assert after(StepKind.FINISH, at(begun))[0].retiring == begun.retiring


def test_a_rotation_whose_copy_is_behind_stays_published() -> None:
    from tests.rotation.test_decisions import COPIED

    behind = replace(PUBLISHED, lease=None, delivered={"f": "new", "g": ""})
    check(
        after(StepKind.FINISH, at(PUBLISHED, credential=COPIED, delivered={"g": "", "x": "y"})),
        behind,
        delivered={"g": "", "x": "y"},
        finished=True,
    )
    done = after(StepKind.FINISH, at(PUBLISHED, credential=COPIED, delivered={"g": "new"}))[0]
    assert (done.phase, done.delivered) == (Phase.IDLE, {"f": "new", "g": "new"})


@pytest.mark.parametrize(
    ("staged", "cleaned", "base", "kept"),
    [(4, 4, 4, False), (4, 5, 5, False), (4, 3, 3, True), (4, 0, 2, True), (2, 0, 2, False), (0, 0, 2, False)],
)
def test_a_released_lease_forgets_a_copy_that_is_destroyed(staged: int, cleaned: int, base: int, kept: bool) -> None:
    state = replace(FULL, successor=Successor(staged, "x"))
    released = replace(state, lease=None, staged_base=base, successor=state.successor if kept else Successor())
    check(after(StepKind.RELEASE, at(state, cleaned=cleaned)), released, cleaned=cleaned)


# -- what is given up


def test_a_successor_that_never_worked_is_retired_at_once() -> None:
    orphan = Predecessor("new", (), Retirement.ORPHAN, NOW, ISSUED.started, ELSEWHERE)
    given_up = replace(
        ISSUED, lease=RENEWED, phase=Phase.IDLE, retiring=(orphan,), successor=Successor(4), started=None
    )
    check(after(StepKind.ABANDON, at(ISSUED, refused=True, proved=True)), given_up, abandoned=True)
    taken = after(StepKind.ABANDON, at(ISSUED, taken={"new": "gone"}))[0]
    assert taken == replace(given_up, leaked=("new",))
    assert after(StepKind.ABANDON, at(ISSUED, taken={"new": ""}))[0] == given_up


def test_one_that_does_not_come_back_keeps_its_place() -> None:
    state = replace(ISSUED, retiring=(OLD,), successor=Successor(id="old"))
    assert after(StepKind.ABANDON, at(state))[0].retiring == (OLD,)


def test_a_successor_whose_copy_is_lost_is_given_up() -> None:
    orphan = Predecessor("new", (), Retirement.ORPHAN, NOW, ISSUED.started, ELSEWHERE)
    given_up = replace(
        ISSUED, lease=RENEWED, phase=Phase.IDLE, retiring=(orphan,), successor=Successor(4), known=(), started=None
    )
    known: dict[str, Any] = {
        "lost": "new", "staged": 4, "staging": True, "staged_checked": True, "made": "m", "opened": True, "activated": "a", "ready": True
    }  # fmt: skip
    check(after(StepKind.GIVE_UP, at(ISSUED, **known)), given_up)
    published = after(StepKind.GIVE_UP, at(ISSUED, lost="new", published=5))[0]
    assert published.retiring == (replace(orphan, versions=(5,)),)
    mine = replace(ISSUED, phase=Phase.PREPARED, successor=Successor(4, target=HERE))
    assert after(StepKind.GIVE_UP, at(mine, lost=""))[0].retiring == ()
    assert after(StepKind.GIVE_UP, at(mine, lost="x"))[0].retiring == (replace(orphan, id="x", target=HERE),)
    assert after(StepKind.GIVE_UP, at(mine, lost="aa"))[0].retiring == ()
    assert after(StepKind.GIVE_UP, at(replace(mine, retiring=(OLD,)), lost="old"))[0].retiring == (OLD,)
    nothing_current = after(StepKind.GIVE_UP, at(replace(mine, current=None), lost="x"))[0]
    assert [entry.id for entry in nothing_current.retiring] == ["x"]


def test_a_creation_that_is_given_up_may_have_made_something() -> None:
    state = replace(ISSUED, phase=Phase.CREATING, successor=Successor(target=ELSEWHERE))
    window = OrphanWindow(("k",), NOW - HOUR, NOW - HOUR + CREATED_WITHIN, ELSEWHERE)
    given_up = after(StepKind.GIVE_UP, at(state, lost=""))[0]
    assert (given_up.unresolved, given_up.retiring) == ((window,), ())
    found = after(StepKind.GIVE_UP, at(state, lost="x"))[0]
    assert (found.unresolved, len(found.retiring)) == ((), 1)
    mine = after(StepKind.GIVE_UP, at(state, lost="aa"))[0]
    assert (mine.unresolved, mine.retiring) == ((), ())
    staged = after(StepKind.GIVE_UP, at(replace(state, phase=Phase.STAGING), lost=""))[0]
    assert staged.unresolved == ()


# -- the end of a credential


def test_the_end_of_a_credential_is_recorded() -> None:
    gone = Predecessor("aa", (3,), Retirement.GRACE, None, CURRENT.since, HERE)
    ended = replace(FULL, lease=RENEWED, current=None, retiring=(OLD, gone), ended=NOW, last_failure=None)
    check(after(StepKind.END, at(FULL, staged=4, staging=True, lost="x")), ended)
    leaked = after(StepKind.END, at(replace(FULL, leaked=("aa",))))[0]
    assert leaked.retiring == (OLD, replace(gone, phase=Retirement.LEAKED))
    published = after(StepKind.END, at(replace(FULL, phase=Phase.PUBLISHED, successor=Successor(4, "aa"))))[0]
    assert (published.phase, published.successor) == (Phase.IDLE, Successor(4, "aa"))
    again = after(StepKind.END, at(FULL, newest=4, newest_is_ours=True))[0]
    assert again.retiring == (OLD, replace(gone, versions=(3, 4)))
    unknown = replace(FULL, current=replace(CURRENT, target=None))
    assert after(StepKind.END, at(unknown, learned=ELSEWHERE))[0].retiring[1].target == ELSEWHERE
    none = after(StepKind.END, at(replace(FULL, current=None), newest_is_ours=True))[0]
    assert none.retiring == (OLD,)


def test_the_end_takes_an_interrupted_rotation_with_it() -> None:
    ended = after(StepKind.END, at(ISSUED, published=5))[0]
    assert (ended.phase, ended.successor, ended.started) == (Phase.IDLE, Successor(4), None)
    assert [(entry.id, entry.phase, entry.versions) for entry in ended.retiring] == [
        ("new", Retirement.ORPHAN, (5,)),
        ("aa", Retirement.GRACE, (3,)),
    ]


@pytest.mark.parametrize(
    ("state", "left", "unsafe"),
    [
        (replace(HEALTHY, current=None), False, False),
        (HEALTHY, True, False),
        (replace(HEALTHY, leaked=("aa",)), True, True),
        (replace(HEALTHY, unresolved=(OrphanWindow((), NOW, NOW),)), True, True),
        (replace(HEALTHY, retiring=(replace(OLD, phase=Retirement.ORPHAN),)), True, True),
        (replace(HEALTHY, retiring=(OLD,)), True, False),
        (replace(HEALTHY, ended=NOW, retiring=(LEAKED_OLD,)), False, False),
    ],
)
def test_what_is_let_go_is_named(state: State, left: bool, unsafe: bool) -> None:
    found, seen = after(StepKind.FORGET, at(state))
    assert found == State()
    assert (seen.finished, seen.forgotten, bool(seen.left), seen.left_unsafe) == (True, True, left, unsafe)


LEFT: Mapping[str, tuple[State, list[str]]] = {
    "nothing": (State(), []),
    "the current one": (HEALTHY, ["aa stays valid; version 3 holds it"]),
    "a successor": (
        replace(HEALTHY, current=None, phase=Phase.ISSUED, successor=Successor(0, "new")),
        ["new, the successor of an interrupted rotation, may be valid", "secret s may hold a staged copy"],
    ),
    "a successor that is over": (replace(HEALTHY, current=None, successor=Successor(0, "new")), []),
    "perhaps a successor": (
        replace(HEALTHY, current=None, phase=Phase.PREPARED),
        [
            "an interrupted rotation may have made a key that is valid and that nobody knows",
            "secret s may hold a staged copy",
        ],
    ),
    "perhaps a creation": (
        replace(HEALTHY, current=None, phase=Phase.CREATING),
        [
            "an interrupted rotation may have made a key that is valid and that nobody knows",
            "secret s may hold a staged copy",
        ],
    ),
    "only staged": (replace(HEALTHY, current=None, phase=Phase.STAGING), ["secret s may hold a staged copy"]),
    "predecessors": (
        replace(HEALTHY, current=None, retiring=(OLD, replace(DISABLED, id="two", versions=()))),
        ["predecessor old stays valid; version 1, 2 holds it", "predecessor two stays disabled"],
    ),
    "a lost creation": (
        replace(HEALTHY, current=None, unresolved=(OrphanWindow((), NOW, NOW),)),
        ["a lost creation may have made a key that is valid and that nobody knows"],
    ),
    "a staged copy": (
        replace(HEALTHY, current=None, successor=Successor(4), staged_base=3),
        ["secret s may hold a staged copy"],
    ),
    "no staged copy": (replace(HEALTHY, current=None, successor=Successor(4), staged_base=4), []),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_stays_valid_is_told(name: str) -> None:
    state, expected = LEFT[name]
    assert list(left_alive(state, "s")) == expected


# -- what others made


def test_a_version_of_others_is_adopted() -> None:
    found: dict[str, Any] = {"newest": 4, "newest_id": "ff", "newest_since": NOW - DAY}
    current = CurrentCredential("ff", (4,), NOW - DAY, target=RETURNED)
    first = replace(FULL, current=None)
    check(after(StepKind.ADOPT, at(first, **found)), replace(first, current=current), **found)
    adopted = replace(
        FULL,
        lease=RENEWED,
        generation=4,
        phase=Phase.PUBLISHED,
        current=current,
        retiring=(OLD, Predecessor("aa", (3,), Retirement.GRACE, None, CURRENT.since, HERE)),
    )
    check(after(StepKind.ADOPT, at(FULL, **found, **ABOUT_CURRENT)), adopted, **found, rotated=True, leak_recorded=True)
    back = after(StepKind.ADOPT, at(FULL, newest=4, newest_id="old"))[0]
    assert back.current == CurrentCredential("old", (1, 2, 4), NOW, target=RETURNED)
    assert [entry.id for entry in back.retiring] == ["aa"]
    assert after(StepKind.ADOPT, at(first, newest_id="ff"))[0].current == replace(current, versions=(0,), since=NOW)


def test_older_versions_are_claimed() -> None:
    claimed = tuple(
        Predecessor(name, (number,), Retirement.GRACE, NOW, target=RETURNED) for number, name in ((1, "x"), (2, "y"))
    )
    found = after(StepKind.CLAIM, at(FULL, adoptable=((1, "x"), (2, "y"))))
    check(found, replace(FULL, retiring=(*claimed, OLD)))


def test_a_version_by_hand_is_recorded() -> None:
    gone = Predecessor("aa", (3,), Retirement.GRACE, None, CURRENT.since, HERE)
    found: dict[str, Any] = {"newest": 4, "newest_since": NOW - DAY}
    recorded = replace(
        FULL,
        lease=RENEWED,
        generation=4,
        phase=Phase.PUBLISHED,
        current=CurrentCredential("v4", (4,), NOW - DAY, target=Target("generated")),
        retiring=(OLD, gone),
    )
    check(
        after(StepKind.RECORD, at(FULL, credential=GENERATED, **found, **ABOUT_CURRENT)),
        recorded,
        **found,
        leak_recorded=True,
    )
    mine = replace(recorded, retiring=(OLD,), current=replace(recorded.current or CURRENT, target=Target("manual")))
    check(after(StepKind.RECORD, at(FULL, credential=MANUAL, **found)), mine, **found, rotated=True, leak_recorded=True)
    leaked = after(StepKind.RECORD, at(replace(FULL, leaked=("aa",)), credential=MANUAL, **found))[0]
    assert leaked.retiring == (OLD, DEAD_END)
    first = after(StepKind.RECORD, at(replace(FULL, current=None), credential=GENERATED))[0]
    assert (first.current, first.retiring) == (CurrentCredential("v0", (0,), NOW, target=Target("generated")), (OLD,))


def test_an_expiry_is_recorded() -> None:
    recorded = replace(FULL, current=replace(CURRENT, expires=NOW + DAY))
    check(after(StepKind.RECORD_END, at(FULL, expires=NOW + DAY)), recorded, expires=NOW + DAY)
    none = replace(FULL, current=None)
    check(after(StepKind.RECORD_END, at(none, expires=NOW + DAY)), none, expires=NOW + DAY)


# -- the ends of predecessors


def test_orphans_are_claimed_and_old_windows_closed() -> None:
    young = OrphanWindow((), NOW - 2 * HOUR, NOW - SWEEP_AFTER + SECOND)
    over = OrphanWindow((), NOW - 3 * HOUR, NOW - SWEEP_AFTER)
    state = replace(FULL, unresolved=(young, over))
    orphan = Predecessor("x", (), Retirement.ORPHAN, NOW, NOW - 3 * HOUR, ELSEWHERE)
    swept = replace(
        state, lease=RENEWED, unresolved=(young,), retiring=(OLD, orphan, replace(orphan, id="y", target=None))
    )
    targets = {"x": ELSEWHERE}
    check(after(StepKind.SWEEP, at(state, orphans=("x", "y"), orphan_targets=targets)), swept, orphan_targets=targets)
    none = after(StepKind.SWEEP, at(replace(FULL, unresolved=()), orphans=("x",)))[0]
    assert none.retiring[1].born is None


def test_what_was_retired_is_recorded() -> None:
    disable = (StepKind.DISABLE, f"{ACCOUNT}/old")
    off = replace(OLD, phase=Retirement.DISABLED, since=NOW)
    state = replace(FULL, leaked=("old", "zz"))
    done: dict[str, Any] = {"done": frozenset({disable})}
    check(
        after(StepKind.RETIRED, at(state, **done)), replace(state, lease=None, retiring=(off,), leaked=("old",)), **done
    )
    check(after(StepKind.RETIRED, at(FULL)), replace(FULL, lease=None))
    busy = replace(FULL, phase=Phase.STAGING)
    check(after(StepKind.RETIRED, at(busy, **done)), replace(busy, lease=RENEWED, retiring=(off,)), **done)
    keeps = after(StepKind.RETIRED, at(replace(state, leaked=("aa",)), **done))[0]
    assert keeps.leaked == ("aa",)
    none = after(StepKind.RETIRED, at(replace(state, current=None), **done))[0]
    assert none.leaked == ("old",)


def test_a_deleted_predecessor_is_forgotten() -> None:
    steps = frozenset(
        {(StepKind.DELETE, f"{ACCOUNT}/old"), (StepKind.DESTROY, "c/versions/1"), (StepKind.DESTROY, "c/versions/2")}
    )
    state = replace(FULL, retiring=(DISABLED,), leaked=("old",))
    found = after(StepKind.RETIRED, at(state, done=steps))[0]
    assert (found.retiring, found.leaked) == ((), ())
    part = after(StepKind.RETIRED, at(state, done=steps - {(StepKind.DESTROY, "c/versions/2")}))[0]
    assert part.retiring == (DISABLED,)


@pytest.mark.parametrize(
    ("entry", "ended", "phase"),
    [
        (LEAKED_OLD, {}, Retirement.LEAKED),
        (LEAKED_OLD, {"old": False}, Retirement.LEAKED),
        (LEAKED_OLD, {"old": True}, Retirement.DISABLED),
        (OLD, {"old": False}, Retirement.GRACE),
        (OLD, {"old": True}, Retirement.DISABLED),
        (OLD, {}, Retirement.DISABLED),
    ],
)
def test_only_what_is_dead_counts_as_disabled(entry: Predecessor, ended: dict[str, bool], phase: Retirement) -> None:
    state = replace(FULL, retiring=(entry,))
    done = frozenset({(StepKind.DISABLE, f"{ACCOUNT}/old")})
    (left,) = after(StepKind.RETIRED, at(state, done=done, ended=ended))[0].retiring
    assert left.phase is phase


def test_by_hand_nothing_is_deleted_later_unless_all_ends() -> None:
    entry = replace(LEAKED_OLD, versions=(), target=Target("manual"))
    done: dict[str, Any] = {"done": frozenset({(StepKind.DISABLE, "c/old")}), "ended": {"old": True}}
    state = replace(FULL, retiring=(entry,))
    assert after(StepKind.RETIRED, at(state, credential=MANUAL, **done))[0].retiring == ()
    (left,) = after(StepKind.RETIRED, at(replace(state, ended=NOW), credential=MANUAL, **done))[0].retiring
    assert left.phase is Retirement.DISABLED


def test_the_wants_of_a_run_are_kept() -> None:
    assert situation_after(at(DUE, ORDINARY), step_of(StepKind.RELEASE, "c"), StepResult()).credential == KEY
