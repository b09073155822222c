"""The pure core: states survive their encoding, every situation comes to an end, and plans do not change anything."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.core.credential import Copy, Credential, CredentialKind
from orchestra_creds.core.policy import RotationPolicy
from orchestra_creds.errors import CredsError, PreconditionError
from orchestra_creds.rotation import machine
from orchestra_creds.rotation.situation import LOOKS, Observations, RunRequest, Situation, StepKind, StepResult
from orchestra_creds.rotation.state import (
    ANNOTATION,
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
    decode,
    encode,
)
from orchestra_creds.rotation.transitions import predict_result, situation_after

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOMENTS = st.integers(1, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
IDS = st.text("abcdef0123456789", min_size=1, max_size=12)
NUMBERS = st.integers(1, 50)
TARGETS = st.none() | st.builds(Target, st.sampled_from(CredentialKind).map(str), IDS | st.just(""), IDS | st.just(""))
RETIRING = st.builds(
    Predecessor,
    IDS,
    st.lists(NUMBERS, max_size=3).map(tuple),
    st.sampled_from(Retirement),
    st.none() | MOMENTS,
    st.none() | MOMENTS,
    TARGETS,
)
STATES = st.builds(
    State,
    generation=st.integers(0, 99),
    phase=st.sampled_from(Phase),
    lease=st.none() | st.builds(Lease, IDS, MOMENTS),
    base=st.integers(0, 9),
    staged_base=st.integers(0, 9),
    successor=st.builds(Successor, st.integers(0, 12), IDS | st.just(""), IDS | st.just(""), TARGETS),
    current=st.none()
    | st.builds(
        CurrentCredential,
        IDS,
        st.lists(NUMBERS, min_size=1, max_size=3).map(tuple),
        MOMENTS,
        st.none() | MOMENTS,
        TARGETS,
    ),
    retiring=st.lists(RETIRING, max_size=3, unique_by=lambda entry: entry.id).map(tuple),
    unresolved=st.lists(
        st.builds(OrphanWindow, st.lists(IDS, max_size=2).map(tuple), MOMENTS, MOMENTS, TARGETS), max_size=2
    ).map(tuple),
    delivered=st.dictionaries(IDS, IDS, max_size=2),
    hooked=st.integers(0, 99),
    settled=st.none() | MOMENTS,
    last_failure=st.none() | st.builds(LastFailure, MOMENTS, IDS, IDS),
    ended=st.none() | MOMENTS,
)
LOOKED: dict[StepKind, Callable[[Observations], Observations]] = {
    StepKind.LOOK_AT_VERSIONS: lambda seen: replace(seen, newest=3, newest_is_ours=True),
    StepKind.LOOK_AT_STAGING: lambda seen: replace(seen, staging=True, staged_top=2),
    StepKind.LOOK_FOR_STAGED: lambda seen: replace(seen, staged=0),
    StepKind.LOOK_FOR_MADE: lambda seen: replace(seen, made=""),
    StepKind.LOOK_FOR_PUBLISHED: lambda seen: replace(seen, published=0),
    StepKind.LOOK_AT_HEALTH: lambda seen: replace(seen, healthy=True),
    StepKind.LOOK_FOR_ORPHANS: lambda seen: replace(seen, orphans=("f00",)),
    StepKind.LOOK_AT_COPIES: lambda seen: replace(seen, copies_compared=True),
    StepKind.LOOK_AT_STAGED: lambda seen: replace(seen, staged_checked=True, lost="f01"),
    StepKind.LOOK_AT_LIVES: lambda seen: replace(seen, lives_checked=True, newest=3),
    StepKind.PREFLIGHT: lambda seen: replace(seen, ready=True),
}


def looked(situation: Situation, action: StepKind, resource: str) -> StepResult:
    if action is StepKind.LOOK_AT_USE:
        uses = {**situation.seen.uses, resource.rpartition("/")[2]: None}
        return StepResult(seen=replace(situation.seen, uses=uses))
    return StepResult(seen=LOOKED[action](situation.seen))


@given(STATES)
def test_a_state_survives_its_annotation(state: State) -> None:
    assert decode({ANNOTATION: encode(state)}, "s") == state


ANYTHING = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["v", "gen", "ph", "cur", "old", "lease", "lost", "made", "dest"]), inner)
    ),
)


@given(st.text(max_size=60) | ANYTHING.map(json.dumps))
def test_no_text_in_the_annotation_is_a_bug(text: str) -> None:
    with contextlib.suppress(PreconditionError):
        assert isinstance(decode({ANNOTATION: text}, "s"), State)


@given(
    STATES,
    st.sampled_from([CredentialKind.SERVICE_ACCOUNT_KEY, CredentialKind.GENERATED, CredentialKind.COMMAND]),
    st.builds(
        RunRequest,
        force=st.booleans(),
        adopt=st.booleans(),
        leaked=st.booleans(),
        start=st.booleans(),
        retire=st.booleans(),
    ),
    st.booleans(),
    MOMENTS,
)
def test_every_situation_comes_to_an_end(
    state: State, kind: CredentialKind, want: RunRequest, local: bool, now: datetime
) -> None:
    credential = Credential("c", kind, "c", copies=(Copy("file", "f"),))
    situation = Situation(credential, state, Observations(local=local), want, "me", now)
    seen_steps = []
    for _ in range(60):
        try:
            step = machine.next_step(situation)
        except CredsError:
            return
        if step is None:
            return
        seen_steps.append(step.kind)
        action = StepKind(step.kind)
        found = looked(situation, action, step.resource) if action in LOOKS else predict_result(situation, step)
        situation = situation_after(situation, step, found)
    pytest.fail(f"no end: {seen_steps[-12:]}")


@given(STATES, MOMENTS, st.integers(0, 400), st.integers(0, 60))
def test_nothing_is_retired_before_its_time(state: State, now: datetime, grace: int, soak: int) -> None:
    policy = RotationPolicy(grace=timedelta(days=grace), soak=timedelta(days=soak), require_unused=timedelta(0))
    situation = Situation(
        Credential("c", CredentialKind.SERVICE_ACCOUNT_KEY, "c", policy),
        state,
        Observations(proved=True, staging=False),
        RunRequest(),
        "me",
        now,
    )
    situation = replace(situation, state=replace(state, phase=Phase.IDLE, unresolved=(), successor=Successor()))
    step = machine.next_step(situation)
    if step is None or StepKind(step.kind) not in {StepKind.DISABLE, StepKind.DELETE, StepKind.DESTROY}:
        return
    entry = next(entry for entry in state.retiring if entry.id == step.detail)
    assert state.current is not None
    assert entry.id != state.current.id
    if StepKind(step.kind) is StepKind.DISABLE and entry.phase is Retirement.GRACE:
        assert entry.since is not None
        assert now >= entry.since + policy.grace
    if StepKind(step.kind) is not StepKind.DISABLE:
        assert entry.phase is Retirement.DISABLED
        assert entry.since is not None
        assert now >= entry.since + policy.soak
    if StepKind(step.kind) is StepKind.DESTROY:
        assert int(step.resource.rpartition("/")[2]) < state.current.version
