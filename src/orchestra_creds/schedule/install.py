"""Installs, shows and removes the daily run: each looks first, and a second time changes nothing."""

import os
from dataclasses import dataclass
from pathlib import Path

from orchestra_creds import outfile
from orchestra_creds.core.text import os_error_text
from orchestra_creds.errors import ConfigError
from orchestra_creds.schedule import crontab, programs, systemd
from orchestra_creds.schedule.entry import ScheduleEntry

UNIT_MODE = 0o644


@dataclass(frozen=True, slots=True)
class Installation:
    """What stands where; `todo` is what a person still has to do."""

    runner: str
    where: str
    what: str
    changed: bool = False
    todo: str = ""


def install_crontab(wanted: ScheduleEntry) -> Installation:
    """Have cron run it."""
    before = programs.read_crontab()
    after = crontab.with_entry(before, wanted)
    if after != before:
        programs.write_crontab(after)
    return Installation("crontab", "crontab", crontab.block_line(after, wanted.project), changed=after != before)


def install_systemd(wanted: ScheduleEntry, folder: Path, *, user: bool) -> Installation:
    """Have systemd run it; units are written, and the timer enabled where systemd runs."""
    name = systemd.unit_name(wanted.project)
    units = {f"{name}.service": systemd.service(wanted), f"{name}.timer": systemd.timer(wanted)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot make {folder}: {os_error_text(error)}", hint="--user installs for you alone"
        ) from None
    changed = {file for file, text in units.items() if _text(folder / file) != text}
    for file in sorted(changed):
        outfile.write(str(folder / file), units[file], mode=UNIT_MODE)
    scope = ["--user"] if user else []
    enabled = programs.run_systemctl(*scope, "is-enabled", "--quiet", f"{name}.timer")
    if changed or not enabled:
        reloaded = programs.run_systemctl(*scope, "daemon-reload")
        enabled = reloaded and programs.run_systemctl(*scope, "enable", "--now", f"{name}.timer")
    todo = "" if enabled else " ".join(["systemctl", *scope, "enable", "--now", f"{name}.timer"])
    when = f"daily at {wanted.hour:02}:{wanted.minute:02}: {wanted.line}"
    return Installation("systemd", str(folder / f"{name}.timer"), when, changed=bool(changed), todo=todo)


def list_installations(project: str, folders: list[Path]) -> list[Installation]:
    """What is installed for a project."""
    found = []
    try:
        line = crontab.block_line(programs.read_crontab(), project)
    except ConfigError:
        line = ""
    if line:
        found.append(Installation("crontab", "crontab", line))
    name = systemd.unit_name(project)
    for folder in folders:
        text = _text(folder / f"{name}.service")
        if text:
            command = next((line for line in text.splitlines() if line.startswith("ExecStart=")), "")
            found.append(Installation("systemd", str(folder / f"{name}.timer"), command.removeprefix("ExecStart=")))
    return found


def remove_installations(project: str, folders: list[Path], *, user: bool, only: str = "") -> list[Installation]:
    """Take it away again, or only that of one runner; what was installed."""
    found = [one for one in list_installations(project, folders) if only in {"", one.runner}]
    for one in found:
        if one.runner == "crontab":
            programs.write_crontab(crontab.without_block(programs.read_crontab(), project))
            continue
        name, scope = systemd.unit_name(project), ["--user"] if user else []
        programs.run_systemctl(*scope, "disable", "--now", f"{name}.timer")
        for ending in (".timer", ".service"):
            Path(one.where).with_suffix(ending).unlink(missing_ok=True)
        programs.run_systemctl(*scope, "daemon-reload")
    return found


def unit_folder(*, user: bool) -> Path:
    """Where units of this user, or of the machine, stand (man 5 systemd.unit)."""
    if not user:
        return Path("/etc/systemd/system")
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".config") / "systemd" / "user"


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
