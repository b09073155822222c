"""A service and a timer for systemd, as text."""

from orchestra_creds.schedule.entry import ScheduleEntry


def unit_name(project: str) -> str:
    """What both units are called, without their ending."""
    return "orchestra-creds-" + "".join(letter if letter.isalnum() else "-" for letter in project)


def service(wanted: ScheduleEntry) -> str:
    """Runs once; hardened, with a time limit well above a settle time, and stopped gently (exit 143 is no failure).

    ProtectSystem=full makes /usr, /boot and /etc read-only but for the folders that the run writes to (man 5 systemd.exec); one that is
    missing when it starts is passed over.
    """
    writable = "".join(f"ReadWritePaths={_quote('-' + folder)}\n" for folder in wanted.folders)
    variables = "".join(f"Environment={_quote(f'{name}={value}')}\n" for name, value in wanted.variables)
    command = " ".join(_quote_argument(argument) for argument in wanted.command)
    return f"""[Unit]
Description=Rotate the credentials of {wanted.project} that are due
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
{variables}ExecStart={command}
TimeoutStartSec=1h
TimeoutStopSec=2min
SuccessExitStatus=143
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full
{writable}ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes
LockPersonality=yes
LimitCORE=0
UMask=0077
"""


def timer(wanted: ScheduleEntry) -> str:
    """Daily, caught up after the machine was off, spread over five minutes that are always the same on one machine."""
    return f"""[Unit]
Description=Daily rotation of the credentials of {wanted.project}

[Timer]
OnCalendar=*-*-* {wanted.hour:02}:{wanted.minute:02}:00
RandomizedDelaySec=5min
FixedRandomDelay=yes
Persistent=yes

[Install]
WantedBy=timers.target
"""


def _quote_argument(argument: str) -> str:
    """An argument for ExecStart=: the dollar sign means a variable there (man 5 systemd.service)."""
    return _quote(argument.replace("$", "$$"))


def _quote(word: str) -> str:
    """A word of a setting: the percent sign stands for a specifier (man 5 systemd.unit)."""
    text = word.replace("%", "%%")
    if text and not set(text) & set(" \t\"'\\;"):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
