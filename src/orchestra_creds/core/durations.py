"""Lengths of time as operators write them: `90d`, `72h`, `30m`, `120s`, `0s`, and sums such as `1d12h`."""

import re
from datetime import timedelta

from orchestra_creds.errors import ConfigError

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
"""Unit -> seconds, the longest first."""
_WHOLE = re.compile(r"(?:[0-9]{1,10}[wdhms])+")
_PART = re.compile(r"([0-9]{1,10})([wdhms])")
LONGEST = timedelta(days=36_500)
"""A hundred years: a longer time is a slip of the pen, and could overflow when it is added to a moment."""


def parse(text: str, *, what: str = "duration") -> timedelta:
    """Return the length of time; `what` names the setting in the error.

    Raises:
        ConfigError: it is not written as a number and a unit, or longer than a hundred years.
    """
    if not _WHOLE.fullmatch(text):
        raise ConfigError(f"{what}: {text!r} is not a length of time", hint="write 90d, 72h, 30m, 120s or 0s")
    seconds = sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if seconds > LONGEST.total_seconds():
        raise ConfigError(f"{what}: {text!r} is longer than a hundred years", hint="write 90d, 72h or 120s")
    return timedelta(seconds=seconds)


def duration_text(length: timedelta) -> str:
    """The shortest way to write it, whole seconds: `90d`, `1d12h`, `0s`."""
    rest = int(length.total_seconds())
    parts = []
    for unit in "dhms":
        count, rest = divmod(rest, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def rough_text(length: timedelta) -> str:
    """For people: its largest unit only, rounded, `89d`, `5h`, `12m`, `3s`."""
    seconds = max(int(length.total_seconds()), 0)
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{(seconds + size // 2) // size}{unit}"
    return f"{seconds}s"
