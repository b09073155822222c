"""What is to be run by a scheduler, and when. Pure data."""

import hashlib
import re
import shlex
from dataclasses import dataclass

from orchestra_creds.errors import ConfigError

_PROJECT = re.compile(r"[a-z0-9.:-]{1,63}")
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True, slots=True)
class ScheduleEntry:
    """A daily run for one project: the command as an argument list, its hour and minute, the folders that it writes to, and variables."""

    project: str
    command: tuple[str, ...]
    hour: int
    minute: int
    folders: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def line(self) -> str:
        """The command as one line for a shell, after its variables."""
        return " ".join([*(f"{name}={shlex.quote(value)}" for name, value in self.variables), shlex.join(self.command)])


def entry(
    project: str, command: tuple[str, ...], at: str = "", variables: tuple[tuple[str, str], ...] = ()
) -> ScheduleEntry:
    """The entry; without `at` (`HH:MM`), some minute after three in the morning that is always the same for a project.

    Raises:
        ConfigError: the time or the project's name is not one, or an argument holds a line break.
    """
    if not _PROJECT.fullmatch(project):
        raise ConfigError(f"{project!r} is no project to schedule runs for", hint="name one with --project")
    words = [*command, *(value for _, value in variables)]
    if any(ord(letter) < 32 for word in words for letter in word):
        raise ConfigError(
            "an argument or a variable of the scheduled command holds a line break or another control character"
        )
    if not at:
        minute = hashlib.sha256(project.encode()).digest()[0] % 60
        return ScheduleEntry(project, command, 3, minute, variables=variables)
    time = _TIME.fullmatch(at)
    if time is None:
        raise ConfigError(f"{at!r} is no time of the day", hint="write it as HH:MM, for example 03:17")
    return ScheduleEntry(project, command, int(time[1]), int(time[2]), variables=variables)
