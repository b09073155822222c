"""The alert rules: what somebody should be told about, as filters on the project's logs. Pure.

Source of the method names: cloud.google.com/iam/docs/audit-logging and cloud.google.com/secret-manager/docs/audit-logging. A rule on log
entries tells at most every five minutes. `rotation-silent` counts starts of the schedule and waits for their absence, whose longest window
is 23.5 hours (cloud.google.com/monitoring/alerts/concepts-indepth): a schedule that runs once a day would set it off every day.
"""

import re
from collections.abc import Iterator, Sequence

from orchestra_creds.core.google import MANAGED_LABELS, OWNER
from orchestra_creds.core.resources import Ref, Resource, ResourceKind
from orchestra_creds.errors import ConfigError

PREFIX = OWNER
SERVICES = ("logging.googleapis.com", "monitoring.googleapis.com")
PAUSE = 300
LONGEST_ABSENCE = 84_600
"""Seconds."""
STARTS = f"{PREFIX}-starts"
SILENT = "rotation-silent"
_IAM, _SECRETS = "google.iam.admin.v1", "google.cloud.secretmanager.v1.SecretManagerService"
_RUN = 'operation.producer="orchestra-creds/rotate"'
_RULES = {
    "key-created": (f'protoPayload.methodName="{_IAM}.CreateServiceAccountKey"', "A service-account key was made."),
    "key-uploaded": (f'protoPayload.methodName="{_IAM}.UploadServiceAccountKey"', "A key was uploaded to an account."),
    "version-destroyed": (
        f'protoPayload.methodName=("{_SECRETS}.DestroySecretVersion" OR "{_SECRETS}.DeleteSecret")',
        "A version of a secret was destroyed, or a secret deleted.",
    ),
    "policy-changed": (f'protoPayload.methodName="{_SECRETS}.SetIamPolicy"', "Who may read a secret was changed."),
    "federation-changed": (
        'protoPayload.methodName=~"WorkloadIdentityPool" AND NOT protoPayload.methodName=~"(Get|List)WorkloadIdentityPool"',
        "Who gets in from outside was changed.",
    ),
    "rotation-failed": (
        f'({_RUN} AND severity>=ERROR) OR (resource.type="cloud_scheduler_job" AND severity>=ERROR)',
        "A rotation failed, or could not be started.",
    ),
}
"""Rule -> filter, and what it means. The rotator's own keys, destructions and so on are expected, and left out."""
_BY_ROTATOR = frozenset({"key-created", "key-uploaded", "version-destroyed"})
RULES = (*_RULES, SILENT)
_EMAIL = re.compile(r"email:[^\s@:]+@[^\s@:]+\.[^\s@:]+")


def alerts(channels: Sequence[str], rules: Sequence[str], *, rotator: str = "", cron: str = "") -> Iterator[Resource]:
    """What there shall be. `rotator` is the mail address of the account that rotates, `cron` when it is started.

    Raises:
        ConfigError: a channel or a rule that is not known, or a rule that could not work.
    """
    for rule in rules:
        if rule not in RULES:
            raise ConfigError(f"alerts: there is no rule {rule!r}", hint=f"one of {', '.join(RULES)}")
    if not channels:
        raise ConfigError("alerts: no channel is named", hint='channels = ["email:ops@example.com"]')
    for channel in channels:
        if not _EMAIL.fullmatch(channel):
            raise ConfigError(f"alerts: {channel!r} is no channel", hint="email:ADDRESS")
        address = {"email_address": channel.partition(":")[2]}
        fields = {"type": "email", "address": address, "labels": MANAGED_LABELS, "enabled": True}
        yield Resource(Ref(ResourceKind.CHANNEL, channel), fields)
    often = bool(cron) and any(sign in cron.split()[1] for sign in "*,/-")
    if SILENT in rules and not often:
        raise ConfigError(
            f"alerts: {SILENT} needs a schedule that runs more than once a day",
            hint='[schedule] with cron = "17 3,15 * * *": no absence beyond 23.5 hours can be noticed',
        )
    for rule in rules or (*_RULES, *([SILENT] if often else [])):
        if rule == SILENT:
            yield from _silent(channels)
        else:
            yield _log_match(rule, channels, rotator)


def _log_match(rule: str, channels: Sequence[str], rotator: str) -> Resource:
    what, meaning = _RULES[rule]
    if rotator and rule in _BY_ROTATOR:
        what += f' AND NOT protoPayload.authenticationInfo.principalEmail="{rotator}"'
    return _alert(rule, channels, meaning, match="log", filter=what, seconds=PAUSE)


def _silent(channels: Sequence[str]) -> Iterator[Resource]:
    finished = "type.googleapis.com/google.cloud.scheduler.logging.AttemptFinished"
    what = f'resource.type="cloud_scheduler_job" AND jsonPayload."@type"="{finished}" AND severity<ERROR'
    yield Resource(
        Ref(ResourceKind.METRIC, STARTS), {"filter": what, "description": "Starts of schedules", "disabled": False}
    )
    counter = f'metric.type="logging.googleapis.com/user/{STARTS}" AND resource.type="cloud_scheduler_job"'
    meaning = "No rotation was started for most of a day."
    yield _alert(SILENT, channels, meaning, match="absence", filter=counter, seconds=LONGEST_ABSENCE)


def _alert(rule: str, channels: Sequence[str], meaning: str, **condition: object) -> Resource:
    told = f"{meaning} What to do: docs/alerts.md#{rule}"
    fields = {"channels": sorted(channels), "documentation": told, "labels": MANAGED_LABELS, "enabled": True}
    return Resource(Ref(ResourceKind.ALERT, f"{PREFIX} {rule}"), {**condition, **fields})
