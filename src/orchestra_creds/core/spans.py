"""Spans of time as people write them: `90s`, `30m`, `80h`, `8d`, `2w`."""

import re
from datetime import timedelta

from orchestra_creds.errors import ConfigError

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
LONGEST = timedelta(days=36_500)
"""A hundred years: more is a slip of the hand."""


def parse_span(text: str) -> timedelta:
    """The span; a number and one unit.

    Raises:
        ConfigError: it is anything else, or longer than a hundred years.
    """
    found = re.fullmatch(r"([0-9]{1,10})([smhdw])", text.strip(), re.ASCII)
    span = timedelta(seconds=int(found[1]) * UNITS[found[2]]) if found else None
    if span is None or span > LONGEST:
        raise ConfigError(f"{text!r} is not a span of time", hint="write a number and a unit: 90s, 30m, 80h, 8d, 2w")
    return span
