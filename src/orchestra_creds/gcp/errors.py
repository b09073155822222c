"""Google's exceptions as ours: one table, so that an operator meets the same words whatever the transport.

gRPC carries the status; REST carries it in the body, and the client's exception class alone would lose it (a 409 is ALREADY_EXISTS
or ABORTED). Messages keep Google's first sentence, which names resources and permissions, never a payload. A missing permission and
an API that is switched off are told apart by the ErrorInfo detail, which both transports carry.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from google.api_core import exceptions as google
from google.auth import exceptions as auth

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
_PERMISSION = re.compile(r"(?i:permission) ['\"]?([a-z]+(?:\.[a-zA-Z]+){2})\b")


def from_status(status: str, message: str, doing: str) -> CredsError:
    """The error for a status by name; `doing` says what was tried, as `read secret x`."""
    kind, hint = TABLE.get(status, TABLE["UNKNOWN"])
    permission = _PERMISSION.search(message) if status == "PERMISSION_DENIED" else None
    if permission is not None:
        role = least_role(permission[1])
        hint = f"ask for {role}, or another role that holds it, then try again" if role else hint
        return PermissionDeniedError(f"cannot {doing}: permission {permission[1]} is missing", hint=hint)
    return kind(f"cannot {doing}: {_sentence(message) or status.lower().replace('_', ' ')}", hint=hint)


def from_call(error: google.GoogleAPICallError, doing: str) -> CredsError:
    """The error for what a client raised."""
    body = _body(error)
    status = str(error.grpc_status_code.name if error.grpc_status_code else body.get("status", ""))
    status = status if status in TABLE else BY_HTTP.get(int(error.code or 0), "UNKNOWN")
    reason, facts = _info(error, body)
    if reason == "SERVICE_DISABLED":
        service = str(facts.get("service", "the API"))
        return ApiDisabledError(
            f"cannot {doing}: {service} is not enabled in the project",
            service=service,
            hint=f"gcloud services enable {service}",
        )
    constraint = _managed_constraint(reason, facts) or _constraint(error, body)
    if constraint:
        return ConstraintError(
            f"cannot {doing}: the organization policy {constraint} is in the way",
            hint="ask who administers the policy for an exemption, or ask for something else that it allows",
        )
    message = str(body.get("message", "") or error.message or "")
    if status == "PERMISSION_DENIED" and (permission := facts.get("permission")):
        message = f"permission {permission}"
    return from_status(status, message, doing)


@contextmanager
def translate_errors(doing: str) -> Iterator[None]:
    """Run calls of a Google client; what they raise becomes a CredsError chained to it."""
    try:
        yield
    except google.RetryError as error:
        if isinstance(error.cause, google.GoogleAPICallError):
            raise from_call(error.cause, doing) from error
        raise from_status("DEADLINE_EXCEEDED", "", doing) from error
    except google.GoogleAPICallError as error:
        raise from_call(error, doing) from error
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
    code, _ = _token_error(error)
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
    """Return error code and description of a token endpoint's answer (RFC 6749, section 5.2); empty where it gave none."""
    body = next((part for part in error.args if isinstance(part, Mapping)), {})
    code = re.match(r"\(?['\"]?([a-z_]{1,40})\b", str(error))
    return str(body.get("error", "")) or (code[1] if code else ""), str(body.get("error_description", ""))


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
    return "", {}


def _managed_constraint(reason: str, facts: Mapping[str, object]) -> str:
    """Return the constraint of an ErrorInfo detail: how Google names custom constraints and those with `managed` in their name."""
    named = str(facts.get("customConstraints", "")) if reason == "CUSTOM_ORG_POLICY_VIOLATION" else ""
    return re.sub(r"^(customConstraints|constraints)/", "", named)


def _constraint(error: google.GoogleAPICallError, body: Mapping[str, object]) -> str:
    """The constraint that a PreconditionFailure detail names, e.g. `gcp.resourceLocations`; "" when it is about something else."""
    details = body.get("details", [])
    kinds = [
        str(violation.get("type", ""))
        for detail in (details if isinstance(details, list) else [])
        if isinstance(detail, dict)
        for violation in detail.get("violations", [])
        if isinstance(violation, dict)
    ]
    kinds += [str(violation.type) for detail in error.details or [] for violation in getattr(detail, "violations", [])]
    return next((kind.removeprefix("constraints/") for kind in kinds if kind.startswith("constraints/")), "")


def _sentence(message: str) -> str:
    """The first sentence, on one line, lower case, without the final period."""
    text = " ".join(message.split())
    text = re.split(r"(?<=[a-z\]')])\. ", text, maxsplit=1)[0].rstrip(".")
    return (text if text[1:2].isupper() else text[:1].lower() + text[1:])[:300]
