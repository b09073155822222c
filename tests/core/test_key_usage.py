"""A key counts as unused only if every record shows it: what a record does not know is a use."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.core.key_usage import LATEST_DATA, LONGEST_UNUSED, KeyUsage, SourceUsage
from orchestra_creds.core.policy import RotationPolicy
from orchestra_creds.errors import ConfigError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def source(start: float | None = 30, end: float | None = 0.5, used: float | None = None) -> SourceUsage:
    """A record; days before NOW of the period's start and end, and of the last use at the latest."""
    moments = [None if days is None else NOW - days * DAY for days in (start, end, used)]
    latest = moments[2]
    return SourceUsage("A record", moments[0], moments[1], latest - HOUR if latest else None, latest)


@pytest.mark.parametrize(
    ("known", "why"),
    [
        (source(), ""),
        (source(used=2), ""),
        (source(used=1.5), ""),
        (source(used=1.49), "A record shows that it authenticated between"),
        (source(used=0.1), "A record shows that it authenticated between"),
        (source(start=None, end=None), "A record has no data about it"),
        (source(end=3.0), ""),
        (source(end=3.01), "A record has no data after"),
        (source(start=1.5), ""),
        (source(start=1.49), "A record has data from"),
    ],
    ids=range(10),
)
def test_a_record_shows_a_day_without_use_or_says_why_not(known: SourceUsage, why: str) -> None:
    found = known.reason_to_keep(DAY, NOW)
    assert found.startswith(why)
    assert bool(found) is bool(why)


def test_one_record_that_does_not_know_is_enough_to_keep_a_key() -> None:
    assert KeyUsage((source(), source())).reason_to_keep(DAY, NOW) == ""
    for doubtful in (source(None, None), source(used=0.6), source(end=5), source(start=0.6)):
        for sources in ((source(), doubtful), (doubtful, source())):
            assert KeyUsage(sources).reason_to_keep(DAY, NOW) == doubtful.reason_to_keep(DAY, NOW) != ""
    assert KeyUsage(()).reason_to_keep(DAY, NOW) != ""


def test_a_use_after_a_moment_is_one_that_cannot_have_been_before() -> None:
    usage = KeyUsage((source(used=2), source()))
    assert usage.last_used == NOW - 2 * DAY - HOUR
    assert usage.was_used_after(NOW - 2 * DAY - HOUR)
    assert not usage.was_used_after(NOW - 2 * DAY)
    assert not KeyUsage((source(),)).was_used_after(NOW - 99 * DAY)


DAYS = st.none() | st.floats(0, 60)


@given(st.lists(st.builds(source, DAYS, DAYS, DAYS), max_size=3), st.floats(0.1, 40), st.floats(0, 60))
def test_a_key_that_was_used_within_the_span_is_never_called_unused(
    sources: list[SourceUsage], days: float, used: float
) -> None:
    """Whatever the other records say, one that shows the use keeps the key; and what is called unused was observed for the whole span."""
    span = days * DAY
    if used <= days:
        shown = KeyUsage((*sources, source(60, 0, used)))
        assert shown.reason_to_keep(span, NOW) != "" or used * DAY >= span
    if KeyUsage(tuple(sources)).reason_to_keep(span, NOW) == "":
        assert sources
        for one in sources:
            assert one.start is not None
            assert one.end is not None
            assert one.end - one.start >= span
            assert NOW - one.end <= LATEST_DATA
            assert one.latest is None or one.end - one.latest >= span


def test_a_policy_that_asks_nothing_keeps_nothing_and_one_that_cannot_be_proven_is_refused() -> None:
    in_use = KeyUsage((source(used=0.1),))
    assert RotationPolicy(require_unused=timedelta(0)).reason_to_keep(in_use, NOW) == ""
    assert RotationPolicy().reason_to_keep(in_use, NOW) != ""
    assert RotationPolicy().reason_to_keep(None, NOW) == ""
    RotationPolicy(require_unused=LONGEST_UNUSED).check("c")
    with pytest.raises(ConfigError, match="require_unused 41d is longer than can be known"):
        RotationPolicy(require_unused=LONGEST_UNUSED + DAY).check("c")
