"""Policies that would fill an account with keys are refused when they are read, not after nine rotations."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.config.key_budget import check_key_budget
from orchestra_creds.core.credential import Credential, CredentialKind
from orchestra_creds.core.policy import RotationPolicy
from orchestra_creds.errors import ConfigError

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
MOST = 9
"""Of ten places, one stays free for a leak."""
policies = st.builds(
    lambda grace, soak, every: RotationPolicy(every=max(every, grace) * HOUR, grace=grace * HOUR, soak=soak * HOUR),
    st.integers(6, 400),
    st.integers(0, 400),
    st.integers(1, 900),
)


def key(name: str, policy: RotationPolicy, *, account: str = "one@x.iam.gserviceaccount.com") -> Credential:
    return Credential(name, CredentialKind.SERVICE_ACCOUNT_KEY, name, policy, account=account)


def most_keys(chosen: list[RotationPolicy], interval: timedelta) -> int:
    """Play a hundred days with a run in each interval: the most keys that exist at once."""
    most, ends = 0, list[datetime]()
    current = [START for _ in chosen]
    now = START
    while now < START + 100 * DAY:
        ends = [end for end in ends if end > now]
        for number, policy in enumerate(chosen):
            if now >= policy.due_at(current[number]):
                most = max(most, len(chosen) + len(ends) + 1)
                ends.append(policy.soak_ends(policy.grace_ends(now)))
                current[number] = now
        now += interval
    return most


@given(st.lists(policies, min_size=1, max_size=4))
def test_what_is_accepted_fits(chosen: list[RotationPolicy]) -> None:
    try:
        check_key_budget([key(f"k{number}", policy) for number, policy in enumerate(chosen)])
    except ConfigError:
        needed = 1 + sum(1 + math.ceil((policy.grace + policy.soak) / policy.every) for policy in chosen)
        assert needed >= MOST
    else:
        assert most_keys(chosen, HOUR) < MOST


def test_the_refusal_names_all_that_share_the_account() -> None:
    often = RotationPolicy(every=12 * HOUR, grace=6 * HOUR, soak=36 * HOUR)
    check_key_budget([key("a", often)])
    check_key_budget([key("a", often), key("b", often, account="two@x.iam.gserviceaccount.com")])
    with pytest.raises(ConfigError, match=r"one@x.* 11 keys at once.*a \(5\), b \(5\)"):
        check_key_budget([key("a", often), key("b", often)])
