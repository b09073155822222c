"""Whether this machine and this project let our verbs work, one check at a time, each with what to do.

A check never raises: what could not be found out is a warning that says why. Nothing is changed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from orchestra_creds.core.permissions import least_role
from orchestra_creds.core.ports import PolicyStore, ProjectInspector, TokenIssuer
from orchestra_creds.errors import ApiDisabledError, CredsError, ExitCode
from orchestra_creds.parallel import CALLS_AT_ONCE, map_in_order

PRECONDITIONS = ("serviceusage.googleapis.com",)
"""APIs that `setup` cannot enable by itself, because it enables others through them."""
TITLES = {
    "serviceusage.googleapis.com": "Service Usage (setup needs it before it can enable anything)",
    "cloudresourcemanager.googleapis.com": "Cloud Resource Manager",
    "secretmanager.googleapis.com": "Secret Manager",
    "iam.googleapis.com": "IAM",
    "iamcredentials.googleapis.com": "IAM Service Account Credentials",
    "orgpolicy.googleapis.com": "Organization Policy (whether keys may be uploaded)",
    "policyanalyzer.googleapis.com": "Policy Analyzer (last use of keys)",
    "monitoring.googleapis.com": "Cloud Monitoring (counts of the use of keys)",
}
"""What an API is for; others are shown by their name alone."""
PERMISSIONS = (
    "secretmanager.secrets.list",
    "secretmanager.secrets.create",
    "secretmanager.versions.add",
    "secretmanager.versions.access",
    "secretmanager.versions.disable",
    "iam.serviceAccountKeys.list",
    "iam.serviceAccountKeys.create",
    "iam.serviceAccountKeys.disable",
    "iam.serviceAccounts.get",
    "monitoring.timeSeries.list",
    "policyanalyzer.serviceAccountKeyLastAuthenticationActivities.query",
)
"""What the secret and key verbs and the retirement of keys need."""

CONSTRAINTS = {
    "iam.disableServiceAccountKeyCreation": "keys cannot be created; upload your own public keys, or ask for an exemption",
    "iam.managed.disableServiceAccountKeyCreation": "keys cannot be created; upload your own public keys, or ask for an exemption",
    "iam.disableServiceAccountKeyUpload": "keys cannot be uploaded; they are created by Google instead",
}
WORST_SKEW = timedelta(seconds=60)
"""Google refuses assertions that are issued in the future or too old; a minute still works with its tolerance."""


class Health(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what was looked at, how it is, and what to do about it."""

    name: str
    health: Health
    detail: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All checks."""

    checks: tuple[Check, ...]

    @property
    def exit_code(self) -> ExitCode:
        """1 when a check failed; a warning alone does not stop anything."""
        return ExitCode.ATTENTION if any(check.health is Health.FAIL for check in self.checks) else ExitCode.OK


def cloud_checks(
    *,
    place: str,
    project: str,
    tokens: TokenIssuer,
    policies: PolicyStore,
    inspector: ProjectInspector,
    now: Callable[[], datetime],
    services: Sequence[str],
    at_once: int = CALLS_AT_ONCE,
) -> Iterator[Check]:
    """Identity first: without one the other checks would only repeat that. `now` is the time of this machine.

    `services` are the APIs that the verbs and the file need. Up to `at_once` checks are made at a time.
    """
    reached = _run_check("identity", Health.FAIL, lambda: _identity(tokens, inspector, place, project))
    yield reached
    if reached.health is Health.FAIL:
        return
    looks: dict[str, Callable[[], Check]] = {"clock": lambda: _clock(inspector, now())}
    for service in sorted({*PRECONDITIONS, *services}, key=lambda name: (name not in PRECONDITIONS, name)):
        looks[f"API {service}"] = partial(_api, inspector, service, project)
    looks["permissions"] = lambda: _permissions(policies, project)
    for constraint in CONSTRAINTS:
        looks[f"policy {constraint}"] = partial(_constraint, inspector, constraint)
    yield from map_in_order(lambda name: _run_check(name, Health.WARN, looks[name]), looks, at_once=at_once)


def _run_check(name: str, otherwise: Health, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except ApiDisabledError as error:
        health = Health.FAIL if error.service in PRECONDITIONS else otherwise
        return Check(name, health, str(error), error.hint)
    except CredsError as error:
        return Check(name, otherwise, str(error), error.hint)


def _identity(tokens: TokenIssuer, inspector: ProjectInspector, place: str, project: str) -> Check:
    inspector.server_time()  # it answers at all
    return Check("identity", Health.OK, f"{tokens.whoami()} on {place}, project {project}")


def _clock(inspector: ProjectInspector, now: datetime) -> Check:
    skew = abs(inspector.server_time() - now)
    seconds = f"{skew.total_seconds():.0f} s from the service's"
    if skew > WORST_SKEW:
        return Check(
            "clock",
            Health.FAIL,
            f"this machine's time is {seconds}",
            "set the clock: assertions signed here will be refused",
        )
    return Check("clock", Health.OK, f"this machine's time is {seconds}")


def _api(inspector: ProjectInspector, service: str, project: str) -> Check:
    title = TITLES.get(service, service)
    if inspector.is_api_enabled(service):
        return Check(f"API {service}", Health.OK, f"{title} is enabled")
    return Check(
        f"API {service}",
        Health.FAIL,
        f"{title} is not enabled",
        f"gcloud services enable {service} --project {project}"
        + ("" if service in PRECONDITIONS else "; or orchestra-creds setup"),
    )


def _permissions(policies: PolicyStore, project: str) -> Check:
    has = policies.test_permissions(f"projects/{project}", PERMISSIONS)
    missing = [permission for permission in PERMISSIONS if permission not in has]
    if not missing:
        return Check("permissions", Health.OK, "all that the secret and key verbs and the retirement of keys need")
    roles = ", ".join(sorted({least_role(permission) for permission in missing}))
    return Check(
        "permissions",
        Health.WARN,
        f"missing: {', '.join(missing)}",
        f"verbs that need them will be refused; roles that have them: {roles}",
    )


def _constraint(inspector: ProjectInspector, constraint: str) -> Check:
    if inspector.is_constraint_enforced(constraint):
        return Check(f"policy {constraint}", Health.WARN, "enforced", CONSTRAINTS[constraint])
    return Check(f"policy {constraint}", Health.OK, "not enforced")
