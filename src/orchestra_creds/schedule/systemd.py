"""A service and a timer for systemd, as text."""

from orchestra_creds.schedule.entry import ScheduleEntry


def unit_name(project: str) -> str:
    """What both units are called, without their ending."""
    return "orchestra-creds-" + "".join(letter if letter.isalnum() else "-" for letter in project)


def service(wanted: ScheduleEntry) -> str:
    """Runs once; hardened, with a time limit well above a settle time, and stopped gently (exit 143 is no failure)."""
    command = " ".join(_quote_argument(argument) for argument in wanted.command)
    return f"""[Unit]
Description=Rotate the credentials of {wanted.project} that are due
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={command}
TimeoutStartSec=1h
TimeoutStopSec=2min
SuccessExitStatus=143
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full
ProtectKernelTunables=yes
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
    """An argument for ExecStart=: percent and dollar signs mean something there (man 5 systemd.service)."""
    text = argument.replace("%", "%%").replace("$", "$$")
    if text and not set(text) & set(" \t\"'\\;"):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
