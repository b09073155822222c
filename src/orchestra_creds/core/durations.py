"""Lengths of time as operators write them: `90d`, `72h`, `30m`, `120s`, `0s`, and sums such as `1d12h`."""

import re
from datetime import timedelta

from orchestra_creds.errors import ConfigError

_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_WHOLE = re.compile(r"(?:[0-9]{1,6}[wdhms])+")
_PART = re.compile(r"([0-9]{1,6})([wdhms])")


def parse(text: str, *, what: str = "duration") -> timedelta:
    """The length of time; `what` names the setting in the error.

    Raises:
        ConfigError: it is not written as a number and a unit.
    """
    if not _WHOLE.fullmatch(text):
        raise ConfigError(f"{what}: {text!r} is not a length of time", hint="write 90d, 72h, 30m, 120s or 0s")
    return sum((timedelta(**{_UNITS[unit]: int(number)}) for number, unit in _PART.findall(text)), timedelta())


def duration_text(length: timedelta) -> str:
    """The shortest way to write it, whole seconds: `90d`, `1d12h`, `0s`."""
    rest = int(length.total_seconds())
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
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
