"""When a problem begins and ends, to the second: `credential_status` as a pure function of state, cloud and time."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from orchestra_creds.core.cloud_types import SecretResource, Version, VersionState
from orchestra_creds.core.credential import Copy, Credential, CredentialKind, IgnoredKey
from orchestra_creds.core.policy import RotationPolicy
from orchestra_creds.rotation.issuer import IssuedCredential
from orchestra_creds.rotation.state import (
    ANNOTATION,
    CurrentCredential,
    Lease,
    OrphanWindow,
    Phase,
    Predecessor,
    Retirement,
    State,
    Target,
    encode,
)
from orchestra_creds.rotation.status import (
    CredentialFacts,
    CredentialProblem,
    CredentialStatus,
    Problem,
    credential_status,
    survey,
)
from orchestra_creds.rotation.timing import LATE, LISTED_LATE, SECRET_ENDS_SOON

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
POLICY = RotationPolicy(every=90 * DAY, grace=7 * DAY, soak=3 * DAY)
ACCOUNT = "app-one@demo-project.iam.gserviceaccount.com"
HERE = Target("service-account-key", ACCOUNT)
KEY = Credential("c", CredentialKind.SERVICE_ACCOUNT_KEY, "c", POLICY, account=ACCOUNT)
CURRENT = CurrentCredential("aa", (3,), NOW - 10 * DAY, target=HERE)
HEALTHY = State(generation=3, current=CURRENT, settled=NOW)
HELD = (IssuedCredential("aa", enabled=True),)


def version(number: int = 3, state: VersionState = VersionState.ENABLED) -> Version:
    return Version("c", number, state, NOW, "")


def problems(
    state: State = HEALTHY,
    credential: Credential = KEY,
    *,
    now: datetime = NOW,
    tolerance: timedelta = timedelta(0),
    expires: datetime | None = None,
    **facts: Any,
) -> dict[Problem, str]:
    """The problems by kind, with their details."""
    secret = SecretResource("c", "e", NOW, annotations={ANNOTATION: encode(state)}, expires=expires)
    known = CredentialFacts(credential, secret, **{"held": HELD, "latest": version(), **facts})
    told = credential_status(known, now, tolerance).problems
    assert len({one.problem for one in told}) == len(told)
    return {one.problem: one.detail for one in told}


def test_a_healthy_credential_has_none() -> None:
    assert problems() == {}


@pytest.mark.parametrize(
    ("late", "tolerance", "told"), [(0, 0, False), (1, 0, True), (3600, 3600, False), (3601, 3600, True)]
)
def test_overdue_begins_the_second_after_the_tolerance(late: int, tolerance: int, told: bool) -> None:
    state = replace(HEALTHY, current=replace(CURRENT, since=NOW - POLICY.every - late * SECOND))
    assert (Problem.OVERDUE in problems(state, tolerance=tolerance * SECOND)) is told


def test_a_key_expires_from_the_moment_its_successor_should_have_been_made() -> None:
    expires = NOW + 30 * DAY
    held = (IssuedCredential("aa", enabled=True, expires=expires),)
    start = POLICY.last_start(CURRENT.since, expires)
    assert problems(held=held, now=start) == {}
    assert set(problems(held=held, now=start + SECOND)) == {Problem.OVERDUE, Problem.EXPIRING}
    assert set(problems(held=held, now=start + HOUR, tolerance=HOUR)) == set()
    assert set(problems(held=held, now=expires - POLICY.grace, tolerance=90 * DAY)) == set()
    assert set(problems(held=held, now=expires - POLICY.grace + SECOND, tolerance=90 * DAY)) == {Problem.EXPIRING}
    assert problems(held=held, now=expires - SECOND)[Problem.EXPIRING].startswith("on ")
    assert problems(held=held, now=expires)[Problem.EXPIRING].startswith("since ")
    assert problems(held=held, now=start + SECOND)[Problem.OVERDUE].endswith(f"; it expires on {expires:%Y-%m-%d}")


def test_what_the_issuer_says_of_the_expiry_counts_before_what_was_recorded() -> None:
    recorded = replace(HEALTHY, current=replace(CURRENT, expires=NOW + DAY))
    assert Problem.EXPIRING in problems(recorded, held=None, credential=replace(KEY, kind=CredentialKind.API_KEY))
    assert problems(recorded) == {}


@pytest.mark.parametrize("state", [VersionState.DISABLED, VersionState.DESTROYED])
def test_an_unreadable_latest_is_told(state: VersionState) -> None:
    assert problems(latest=version(3, state)) == {Problem.UNREADABLE: f"version 3 is {state}"}
    assert problems(latest=None) == {Problem.UNREADABLE: "it has no version"}
    assert problems(latest=version(4)) == {Problem.FOREIGN_VERSION: "4 is newer than 3"}
    assert problems(latest=version(2)) == {}
    assert problems(latest=None, unread="denied") == {Problem.NOT_READ: "denied"}


def test_a_secret_that_ends_is_told_30_days_before() -> None:
    assert problems(expires=NOW + SECRET_ENDS_SOON) == {}
    assert set(problems(expires=NOW + SECRET_ENDS_SOON - SECOND)) == {Problem.ENDING}


def test_a_run_at_work_hides_what_it_is_about_to_mend_and_no_more() -> None:
    lease = Lease("run", NOW + SECOND)
    broken = replace(HEALTHY, phase=Phase.ISSUED, lease=lease, current=replace(CURRENT, since=NOW - 91 * DAY))
    behind = replace(HEALTHY, phase=Phase.PUBLISHED, lease=lease)
    facts: dict[str, Any] = {"latest": None, "held": ()}
    assert set(problems(broken, **facts)) == {Problem.OVERDUE}
    assert problems(behind) == {}
    assert set(problems(broken, now=NOW + SECOND, **facts)) == {
        Problem.OVERDUE,
        Problem.UNREADABLE,
        Problem.DEAD,
        Problem.STUCK,
    }
    assert problems(behind, now=NOW + SECOND) == {Problem.BEHIND: "a hook"}


@pytest.mark.parametrize("phase", list(Phase))
def test_each_phase_that_a_dead_run_leaves_is_told(phase: Phase) -> None:
    told = problems(replace(HEALTHY, phase=phase))
    expected = {Phase.IDLE: {}, Phase.PUBLISHED: {Problem.BEHIND: "a hook"}}
    assert told == expected.get(phase, {Problem.STUCK: f"in phase {phase}"})


def test_a_destination_without_the_current_one_is_behind() -> None:
    credential = replace(KEY, copies=(Copy("file", "a"), Copy("file", "b")))
    held = {"a": "aa", "b": "aa"}
    assert problems(replace(HEALTHY, delivered=held), credential) == {}
    assert problems(replace(HEALTHY, delivered={"a": "aa", "b": "old"}), credential) == {Problem.BEHIND: "b"}
    assert problems(HEALTHY, credential) == {Problem.BEHIND: "a, b"}
    assert problems(replace(HEALTHY, phase=Phase.PUBLISHED, delivered=held), credential) == {Problem.BEHIND: "a hook"}
    assert Problem.BEHIND not in problems(State(), credential, held=())
    status = credential_status(
        CredentialFacts(
            credential,
            SecretResource("c", "e", NOW, annotations={ANNOTATION: encode(replace(HEALTHY, delivered={"a": "aa"}))}),
            HELD,
            latest=version(),
        ),
        NOW,
    )
    assert status.destinations == {"a": True, "b": False}


def test_a_key_that_its_account_lacks_is_told_once_lists_are_current() -> None:
    young = replace(HEALTHY, current=replace(CURRENT, since=NOW - LISTED_LATE + SECOND))
    old = replace(HEALTHY, current=replace(CURRENT, since=NOW - LISTED_LATE))
    for held, detail in (((), f"aa is not among the keys of {ACCOUNT}"), (None, f"{ACCOUNT} does not exist")):
        assert problems(young, held=held) == {}
        assert problems(old, held=held) == {Problem.DEAD: detail}
    other = (IssuedCredential("bb", enabled=True),)
    assert Problem.DEAD in problems(old, held=other, spoken_for=frozenset({"bb"}))
    assert problems(old, replace(KEY, kind=CredentialKind.API_KEY, account=""), held=()) != {}


def test_a_disabled_account_or_key_is_told_at_once() -> None:
    young = replace(HEALTHY, current=replace(CURRENT, since=NOW))
    assert set(problems(young, account_disabled=True)) == {Problem.DEAD}
    assert problems(young, held=(IssuedCredential("aa", enabled=False),)) == {Problem.DEAD: "aa"}
    exposed = (IssuedCredential("aa", enabled=True, exposed=True),)
    assert problems(young, held=exposed) == {Problem.EXPOSED: "aa"}


@pytest.mark.parametrize(
    "there", [Target("service-account-key", "other@x"), Target("generated", ACCOUNT)], ids=["account", "kind"]
)
def test_a_current_one_of_another_account_or_kind_is_told(there: Target) -> None:
    moved = replace(HEALTHY, current=replace(CURRENT, target=there))
    assert set(problems(moved, held=None)) == {Problem.MOVED}
    assert problems(replace(HEALTHY, current=replace(CURRENT, target=None))) == {}


def entry(phase: Retirement, since: datetime | None, name: str = "bb") -> Predecessor:
    return Predecessor(name, (2,), phase, since, NOW - 200 * DAY, HERE)


@pytest.mark.parametrize(
    ("phase", "span"),
    [
        (Retirement.GRACE, POLICY.grace + LATE),
        (Retirement.DISABLED, POLICY.soak + LATE),
        (Retirement.LEAKED, POLICY.grace + LATE),
    ],
)
def test_a_predecessor_lingers_two_days_after_its_end_has_come(phase: Retirement, span: timedelta) -> None:
    def told(since: datetime | None) -> bool:
        return Problem.LINGERS in problems(
            replace(HEALTHY, retiring=(entry(phase, since),)), spoken_for=frozenset("bb")
        )

    assert not told(NOW - span)
    assert told(NOW - span - SECOND)
    assert not told(None)


def test_what_leaked_or_nobody_has_is_told_until_it_is_gone() -> None:
    leaked = replace(HEALTHY, retiring=(entry(Retirement.LEAKED, None),), leaked=("bb",))
    assert problems(leaked) == {Problem.LEAKED: "bb"}
    assert problems(replace(HEALTHY, leaked=("aa",))) == {Problem.LEAKED: "aa"}
    both = replace(leaked, leaked=("aa", "bb"))
    assert problems(both) == {Problem.LEAKED: "bb, aa"}
    assert problems(replace(HEALTHY, leaked=("zz",))) == {}
    orphan = replace(HEALTHY, retiring=(entry(Retirement.ORPHAN, NOW - 99 * DAY),))
    assert problems(orphan) == {Problem.ORPHANS: "bb"}
    window = replace(HEALTHY, unresolved=(OrphanWindow((), NOW, NOW, HERE),))
    assert problems(window) == {Problem.ORPHANS: "one may exist"}


def test_a_credential_that_ended_is_told_once_nothing_is_left_and_only_if_it_is_declared() -> None:
    ended = State(generation=3, ended=NOW)
    assert set(problems(ended, held=())) == {Problem.ENDED}
    assert problems(ended, replace(KEY, source="none"), held=()) == {}
    left = replace(ended, retiring=(entry(Retirement.DISABLED, NOW),))
    assert problems(left, held=()) == {}
    assert set(problems(State(), held=())) == {Problem.NO_VERSION}


IGNORED = IgnoredKey("ff", date(2026, 3, 1), "the partner uses it")


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({}, "ff"),
        ({"spoken_for": frozenset({"ff"})}, None),
        ({"ignored": {"ff": IGNORED}}, None),
        ({"ignored": {"ff": replace(IGNORED, until=date(2026, 2, 28))}}, "ff, ignored until 2026-02-28"),
        (
            {"undeclared": {"ff": "old"}},
            "ff, of secret old, which nothing declares: orchestra-creds rotate retire old --undeclared",
        ),
    ],
    ids=range(5),
)
def test_a_foreign_key_is_told_unless_the_file_accepts_it_that_day(facts: Mapping[str, Any], told: str | None) -> None:
    held = (*HELD, IssuedCredential("ff", enabled=True))
    assert problems(held=held, **facts).get(Problem.FOREIGN) == told


def test_the_row_shows_what_is_in_force() -> None:
    used, expires = NOW - DAY, NOW + 300 * DAY
    held = (IssuedCredential("bb", enabled=True), IssuedCredential("aa", enabled=True, last_used=used, expires=expires))
    secret = SecretResource("c", "e", NOW, annotations={ANNOTATION: encode(HEALTHY)}, expires=NOW + 200 * DAY)
    row = credential_status(CredentialFacts(KEY, secret, held, latest=version()), NOW)
    assert (row.identifier, row.version, row.generation, row.phase) == ("aa", 3, 3, "idle")
    assert (row.since, row.age, row.due) == (CURRENT.since, 10 * DAY, CURRENT.since + POLICY.every)
    assert row.share == pytest.approx(10 / 90)
    assert (row.last_used, row.expires, row.secret_expires, row.ends) == (used, expires, secret.expires, secret.expires)
    empty = credential_status(CredentialFacts(KEY, None, None), NOW)
    assert (empty.version, empty.age, empty.share, empty.due, empty.ends) == (0, None, 0.0, None, None)


def row(name: str, *found: Problem, due: datetime | None = None) -> CredentialStatus:
    told = tuple(CredentialProblem(each) for each in found)
    return CredentialStatus(name, CredentialKind.GENERATED, name, "file", "idle", due=due, problems=told)


def test_the_most_urgent_comes_first() -> None:
    rows = [row("never"), row("late", due=NOW + DAY), row("soon", due=NOW), row("wrong", Problem.STUCK, due=NOW + DAY)]
    assert [one.name for one in survey("p", rows, NOW).statuses] == ["wrong", "soon", "late", "never"]


def test_when_an_operator_is_needed() -> None:
    assert survey("p", [], NOW).needs_operator
    assert not survey("p", [row("a")], NOW).needs_operator
    assert survey("p", [row("a")], NOW, listing_error="denied").needs_operator
    assert survey("p", [row("a"), row("b", Problem.STUCK)], NOW).needs_operator


def test_keys_without_a_current_one_are_foreign() -> None:
    found = problems(replace(HEALTHY, current=None), held=(IssuedCredential("aa", enabled=False),))
    assert set(found) == {Problem.NO_VERSION, Problem.FOREIGN}
