"""Google's exceptions as ours: one table, so that an operator meets the same words whatever the transport.

gRPC carries the status; REST carries it in the body, and the client's exception class alone would lose it (a 409 is ALREADY_EXISTS
or ABORTED). Messages keep Google's first sentence, which names resources and permissions, never a payload. What stops a call that is
not permitted (a missing permission, an API that is off, a perimeter, a quota project, a scope) is told apart by the ErrorInfo detail,
which both transports carry; its reasons are those of google/api/error_reason.proto.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from google.api_core import exceptions as google
from google.auth import exceptions as auth

from orchestra_creds.core.google import CLOUD_SCOPE
from orchestra_creds.core.permissions import least_role
from orchestra_creds.errors import (
    ApiDisabledError,
    AuthError,
    ConfigError,
    ConstraintError,
    CredentialRefusedError,
    CredsError,
    NotFoundError,
    NotLoggedInError,
    PermissionDeniedError,
    PreconditionError,
    QuotaError,
    QuotaProjectError,
    UnavailableError,
)

TRY_AGAIN = "the call may or may not have happened: look, then try again"
TABLE: dict[str, tuple[type[CredsError], str]] = {
    "INVALID_ARGUMENT": (ConfigError, "the service refused the argument; check it and try again"),
    "OUT_OF_RANGE": (ConfigError, "the service refused the argument; check it and try again"),
    "UNAUTHENTICATED": (
        NotLoggedInError,
        'log in: gcloud auth application-default login; on the embedded cloud: eval "$(orchestra-creds emulator env)"',
    ),
    "PERMISSION_DENIED": (PermissionDeniedError, "ask for a role that holds the permission, then try again"),
    "NOT_FOUND": (NotFoundError, "check the name and the project"),
    "ALREADY_EXISTS": (PreconditionError, "choose another name, or go on with the one that is there"),
    "FAILED_PRECONDITION": (PreconditionError, "look at its present state, then decide"),
    "ABORTED": (PreconditionError, "somebody changed it in between: read it again, then try again"),
    "UNIMPLEMENTED": (PreconditionError, "this backend does not offer the call"),
    "RESOURCE_EXHAUSTED": (
        QuotaError,
        "a quota is used up: of calls, wait a minute; of resources, remove some or ask for more",
    ),
    "DEADLINE_EXCEEDED": (UnavailableError, TRY_AGAIN),
    "UNAVAILABLE": (UnavailableError, TRY_AGAIN),
    "INTERNAL": (UnavailableError, TRY_AGAIN),
    "UNKNOWN": (UnavailableError, TRY_AGAIN),
    "DATA_LOSS": (UnavailableError, TRY_AGAIN),
    "CANCELLED": (UnavailableError, TRY_AGAIN),
}
"""google.rpc.Code by name -> what the operator meets and may do."""

BY_HTTP = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""HTTP status -> code, for an answer whose body does not say: a proxy's, or a page of HTML."""
_ABOUT_THE_REQUEST = re.compile(r"Invalid JWT:|.*\binvalid_rapt\b")
"""An `invalid_grant` about the times or the audience of the assertion, which we set, or about the login of a person
(developers.google.com/identity/protocols/oauth2/service-account#jwt-error-codes). A wrong key says "Invalid JWT Signature."."""
_LOGIN_ENDED = re.compile(r"\binvalid_rapt\b|Token has been expired or revoked")
"""What the endpoint says about a person's login that ended; a key has no such end."""
_PERMISSION = re.compile(r"(?i:permission) ['\"]?([a-z]+(?:\.[a-zA-Z]+){2})\b")


_PERIMETER = re.compile(r"vpcServiceControlsUniqueIdentifier:?\s*([\w-]+)|prohibited by organization's policy")
"""What VPC Service Controls write into the message, which some services send without any detail."""
_PERIMETER_REASONS = frozenset({"SECURITY_POLICY_VIOLATED", "vpcServiceControls"})
REASONS: Mapping[str, tuple[type[CredsError], str, str]] = {
    "USER_PROJECT_DENIED": (
        PermissionDeniedError,
        "you may not charge calls to the quota project {payer}",
        "{choose}; or ask for roles/serviceusage.serviceUsageConsumer in project {payer}",
    ),
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": (
        PermissionDeniedError,
        "the login lacks the scope cloud-platform",
        f"gcloud auth application-default login --scopes={CLOUD_SCOPE}; a virtual machine needs that scope itself",
    ),
    "SERVICE_CONFIG_NOT_FOUND_OR_PERMISSION_DENIED": (
        PermissionDeniedError,
        "{service} does not exist, or you may not see it",
        "is the name right? gcloud services list --available --filter=config.name={service}{at}",
    ),
    "ACCESS_TOKEN_EXPIRED": (NotLoggedInError, "the login has expired", TABLE["UNAUTHENTICATED"][1]),
    "ACCOUNT_STATE_INVALID": (
        NotLoggedInError,
        "the account that you are logged in as is disabled or deleted",
        "have it enabled, or log in as another: gcloud auth application-default login",
    ),
}
"""Reason of an ErrorInfo detail -> what the operator meets and may do; in braces what `_from_reason` knows of the call."""
GCLOUD_PROJECTS = frozenset({"764086051850", "32555940559"})
"""The projects of gcloud's own clients: calls are charged to them if a person's credentials name no quota project."""


@dataclass(frozen=True, slots=True)
class KnownRefusal:
    """A cause that decides what we do next, and that Google tells by the field it refuses or in words only.

    status   the code; `field` ends the path of the refused field, `words` are looked for in Google's message if it names no field
    error    the class for it; `hint` and `message` are ours, an empty one means that of the code and Google's first sentence
    """

    status: str
    words: re.Pattern[str]
    error: type[CredsError]
    hint: str = ""
    message: str = ""
    field: str = ""

    def is_told(self, status: str, message: str, fields: Sequence[str]) -> bool:
        """Return whether an answer tells this cause; `fields` are the paths of the fields that it refuses."""
        if status != self.status:
            return False
        if self.field and fields:
            return any(field.endswith(self.field) for field in fields)
        return self.words.search(message) is not None


def from_status(status: str, message: str, doing: str) -> CredsError:
    """Return the error for a status by name; `doing` says what was tried, as `read secret x`."""
    kind, hint = TABLE.get(status, TABLE["UNKNOWN"])
    if status == "PERMISSION_DENIED":
        if found := _PERIMETER.search(message):
            return _perimeter_error(found[1] or "", doing)
        if permission := _PERMISSION.search(message):
            return _permission_error(permission[1], doing)
    return kind(f"cannot {doing}: {_sentence(message) or status.lower().replace('_', ' ')}", hint=hint)


def from_call(
    error: google.GoogleAPICallError,
    doing: str,
    *,
    project: str = "",
    quota_project: str = "",
    refusals: Sequence[KnownRefusal] = (),
) -> CredsError:
    """Return the error for what a client raised.

    `project` is the one that is worked on, `quota_project` the one that the caller's credentials charge calls to, `refusals` are
    those of the method.
    """
    body = _body(error)
    status = str(error.grpc_status_code.name if error.grpc_status_code else body.get("status", ""))
    status = status if status in TABLE else BY_HTTP.get(int(error.code or 0), "UNKNOWN")
    message = str(body.get("message", "") or error.message or "")
    fields = list(_refused_fields(error, body))
    for refusal in refusals:
        if refusal.is_told(status, message, fields):
            said = refusal.message or _sentence(message)
            return refusal.error(f"cannot {doing}: {said}", hint=refusal.hint or TABLE[status][1])
    reason, facts = _info(error, body)
    violations = list(_violations(error, body))
    if found := _from_reason(reason, facts, doing, project, quota_project):
        return found
    for kind, description in violations:
        if kind.replace("_", "").casefold() == "vpcservicecontrols":
            return _perimeter_error(description, doing, project)
    constraint = _managed_constraint(reason, facts) or next(
        (kind.removeprefix("constraints/") for kind, _ in violations if kind.startswith("constraints/")), ""
    )
    if constraint:
        return ConstraintError(
            f"cannot {doing}: the organization policy {constraint} is in the way",
            hint=f"what it allows: gcloud org-policies describe {constraint} --effective{_at(project)}; "
            "who administers it can make an exemption",
        )
    if status == "PERMISSION_DENIED" and (permission := facts.get("permission")):
        return _permission_error(str(permission), doing)
    return from_status(status, message, doing)


def _from_reason(
    reason: str, facts: Mapping[str, object], doing: str, project: str, quota_project: str
) -> CredsError | None:
    """Return the error for the reason of an ErrorInfo detail; None if it says no more than the code."""
    if reason in _PERIMETER_REASONS:
        return _perimeter_error(str(facts.get("uid", "")), doing, project)
    service = str(facts.get("service", "") or facts.get("services", "") or "the API")
    payer = str(facts.get("consumer", "")).removeprefix("projects/")
    choose = f"gcloud auth application-default set-quota-project {project or 'PROJECT'}"
    if reason == "SERVICE_DISABLED":
        if not _is_foreign(payer, project) and not _differ(quota_project, project):
            what = f"{service} is not enabled in the project"
            return ApiDisabledError(
                f"cannot {doing}: {what}", service=service, hint=f"gcloud services enable {service}{_at(project)}"
            )
        enable = "" if payer in GCLOUD_PROJECTS else f"; or: gcloud services enable {service} --project={payer}"
        what = f"the call is charged to project {payer}, where {service} is not enabled"
        return QuotaProjectError(f"cannot {doing}: {what}", hint=choose + enable)
    if reason not in REASONS:
        return None
    kind, what, hint = REASONS[reason]
    facts_of_ours = {"service": service, "payer": payer or "it names", "choose": choose, "at": _at(project)}
    return kind(f"cannot {doing}: {what.format(**facts_of_ours)}", hint=hint.format(**facts_of_ours))


def _is_foreign(payer: str, project: str) -> bool:
    """Return whether a call is charged to another project than the one that is worked on, as far as names and numbers tell."""
    if payer in GCLOUD_PROJECTS:
        return payer != project
    return _differ(payer, project)


def _differ(project: str, other: str) -> bool:
    """Return whether two names, or two numbers, of projects are known to be of different ones."""
    return bool(project and other) and project.isdigit() == other.isdigit() and project != other


def _at(project: str) -> str:
    return f" --project={project}" if project else ""


def _permission_error(permission: str, doing: str) -> CredsError:
    role = least_role(permission)
    hint = f"ask for {role}, or another role that holds it, then try again" if role else TABLE["PERMISSION_DENIED"][1]
    return PermissionDeniedError(f"cannot {doing}: permission {permission} is missing", hint=hint)


def _perimeter_error(uid: str, doing: str, project: str = "") -> CredsError:
    """Return the error for VPC Service Controls; `uid` is what an administrator finds the denial by, or ""."""
    uid = uid if re.fullmatch(r"[\w-]+", uid) else ""
    metadata = "protoPayload.metadata"
    which = f'{metadata}.vpcServiceControlsUniqueId="{uid}"' if uid else f"{metadata}.violationReason:*"
    return PermissionDeniedError(
        f"cannot {doing}: a perimeter of VPC Service Controls forbids the call",
        hint=f"call from inside of the perimeter, or ask who administers it for an access level{' with the id ' if uid else ''}{uid}; "
        f"the denial: gcloud logging read '{which}'{_at(project)}",
    )


@contextmanager
def translate_errors(
    doing: str, *, project: str = "", quota_project: str = "", refusals: Sequence[KnownRefusal] = ()
) -> Iterator[None]:
    """Run calls of a Google client; what they raise becomes a CredsError chained to it. See `from_call`."""
    try:
        yield
    except google.RetryError as error:
        if isinstance(error.cause, google.GoogleAPICallError):
            cause = error.cause
            raise from_call(cause, doing, project=project, quota_project=quota_project, refusals=refusals) from error
        raise from_status("DEADLINE_EXCEEDED", "", doing) from error
    except google.GoogleAPICallError as error:
        raise from_call(error, doing, project=project, quota_project=quota_project, refusals=refusals) from error
    except auth.RefreshError as error:
        raise from_refresh_error(error, doing) from None  # its text may quote an assertion
    except auth.TransportError:
        raise from_status("UNAVAILABLE", "no answer from the token endpoint", doing) from None
    except auth.GoogleAuthError:
        raise NotLoggedInError(f"cannot {doing}: no usable credentials", hint=TABLE["UNAUTHENTICATED"][1]) from None


def from_refresh_error(error: auth.RefreshError, doing: str) -> CredsError:
    """A token endpoint's no, or its silence; only its error code and its first sentence about the key are kept."""
    if error.retryable:
        return from_status("UNAVAILABLE", "no answer from the token endpoint", doing)
    code, description = _token_error(error)
    if isinstance(error, auth.ReauthFailError) or _LOGIN_ENDED.search(description):
        return NotLoggedInError(f"cannot {doing}: the login has expired", hint=TABLE["UNAUTHENTICATED"][1])
    return NotLoggedInError(
        f"cannot {doing}: the token endpoint refused it ({code or 'refused'})",
        hint="is the key disabled, deleted or expired? a person logs in again: gcloud auth application-default login",
    )


@contextmanager
def proving(doing: str) -> Iterator[None]:
    """Run a token request for a key under test, and tell a refusal of that key from every other one.

    Raises:
        CredentialRefusedError: the endpoint refuses the key or its account: `invalid_grant`.
        AuthError: the endpoint refuses the request for another reason, for example its time or its scope.
        UnavailableError: no answer.
    """
    with translate_errors(doing):
        try:
            yield
        except auth.RefreshError as error:
            code, description = _token_error(error)
            if error.retryable or code != "invalid_grant":
                raise
            if _ABOUT_THE_REQUEST.match(description):
                raise AuthError(
                    f"cannot {doing}: the token endpoint refused the request, not the key",
                    hint="is the clock of this machine right?",
                ) from None
            raise CredentialRefusedError(
                f"cannot {doing}: the token endpoint refused the key ({code})",
                hint="is the key disabled, deleted or expired, or its account disabled?",
            ) from None


def _token_error(error: auth.RefreshError) -> tuple[str, str]:
    """Return error code and description of a token endpoint's answer (RFC 6749, section 5.2); empty where it gave none.

    google-auth hands the answer on as its second argument.
    """
    body = next((part for part in error.args if isinstance(part, Mapping)), {})
    return str(body.get("error", "")), f"{body.get('error_description', '')} {body.get('error_subtype', '')}".strip()


def _body(error: google.GoogleAPICallError) -> Mapping[str, object]:
    """The `error` object of a REST answer; empty for gRPC and for what is no such document."""
    response = error.response
    try:
        document = response.json() if response is not None else {}
    except (ValueError, AttributeError):
        return {}
    found = document.get("error", {}) if isinstance(document, dict) else {}
    return found if isinstance(found, dict) else {}


def _info(error: google.GoogleAPICallError, body: Mapping[str, object]) -> tuple[str, Mapping[str, object]]:
    """Reason and facts of the ErrorInfo detail, from the trailers of gRPC or the body of REST."""
    if error.reason:
        return str(error.reason), dict(error.metadata or {})
    details = body.get("details", [])
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith("google.rpc.ErrorInfo"):
            facts = detail.get("metadata", {})
            return str(detail.get("reason", "")), facts if isinstance(facts, dict) else {}
    older = body.get("errors", [])  # the form of APIs that are older than ErrorInfo, such as Cloud Storage
    return next((str(one.get("reason", "")) for one in older if isinstance(one, dict)), "") if isinstance(
        older, list
    ) else "", {}


def _managed_constraint(reason: str, facts: Mapping[str, object]) -> str:
    """Return the constraint of an ErrorInfo detail: how Google names custom constraints and those with `managed` in their name."""
    named = str(facts.get("customConstraints", "")) if reason == "CUSTOM_ORG_POLICY_VIOLATION" else ""
    return re.sub(r"^(customConstraints|constraints)/", "", named)


def _violations(error: google.GoogleAPICallError, body: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield type and description of each violation in a PreconditionFailure detail, from either transport."""
    for violation in _entries(body, "violations"):
        yield str(violation.get("type", "")), str(violation.get("description", ""))
    for detail in error.details or []:
        for violation in getattr(detail, "violations", []):
            yield str(getattr(violation, "type", "")), str(getattr(violation, "description", ""))


def _refused_fields(error: google.GoogleAPICallError, body: Mapping[str, object]) -> Iterator[str]:
    """Yield the path of each field that a BadRequest detail refuses, from either transport."""
    yield from (str(violation.get("field", "")) for violation in _entries(body, "fieldViolations"))
    for detail in error.details or []:
        yield from (str(violation.field) for violation in getattr(detail, "field_violations", []))


def _entries(body: Mapping[str, object], key: str) -> Iterator[Mapping[str, object]]:
    """Yield the entries of one list in the details of a REST answer."""
    details = body.get("details", [])
    for detail in details if isinstance(details, list) else []:
        found = detail.get(key, []) if isinstance(detail, dict) else []
        yield from (entry for entry in (found if isinstance(found, list) else []) if isinstance(entry, dict))


def _sentence(message: str) -> str:
    """The first sentence, on one line, lower case, without the final period."""
    text = " ".join(message.split())
    text = re.split(r"(?<=[a-z\]')])\. ", text, maxsplit=1)[0].rstrip(".")
    return (text if text[1:2].isupper() else text[:1].lower() + text[1:])[:300]
