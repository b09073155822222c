"""Lengths of time: one parser for the file, the options and the emulator's clock."""

from datetime import timedelta

import pytest

from orchestra_creds.core.durations import LONGEST, duration_text, parse
from orchestra_creds.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1_800), ("80h", 288_000), ("8d", 691_200), ("2w", 1_209_600), ("1d12h", 129_600), ("0s", 0)],
)
def test_a_number_and_a_unit_or_a_sum_of_them(text: str, seconds: int) -> None:
    assert parse(text) == timedelta(seconds=seconds)
    assert parse(duration_text(parse(text))) == parse(text)


@pytest.mark.parametrize("text", ["", "8", "d", "-8d", "8 d", "1.5h", "8D", "\u0661d", "soon"])
def test_anything_else_is_refused_and_the_setting_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"every: .* is not a length of time"):
        parse(text, what="every")


@pytest.mark.parametrize("text", ["36501d", "9999999999w", "9999999999w" * 50])
def test_more_than_a_hundred_years_is_refused(text: str) -> None:
    assert parse("36500d") == LONGEST
    with pytest.raises(ConfigError, match="longer than a hundred years"):
        parse(text)
