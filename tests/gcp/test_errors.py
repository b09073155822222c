"""One table for what Google's clients raise, whatever the transport."""

import json
from typing import Any

import grpc
import pytest
import requests
from google.api_core import exceptions as google
from google.auth import exceptions as auth
from google.rpc import error_details_pb2

from orchestra_creds.emulator.protocol.errors import Code, EmuError
from orchestra_creds.errors import (
    ApiDisabledError,
    ConfigError,
    ConstraintError,
    CredsError,
    NotFoundError,
    NotLoggedInError,
    PermissionDeniedError,
    PreconditionError,
    QuotaError,
    UnavailableError,
)
from orchestra_creds.gcp.errors import BY_HTTP, TABLE, from_call, translate_errors
from tests.contract.direct import DirectError


def over_grpc(code: Code, message: str, *details: Any) -> google.GoogleAPICallError:
    """What the client raises for a refusal over gRPC."""
    raised: google.GoogleAPICallError = google.from_grpc_error(DirectError(EmuError(code, message, *details)))
    return raised


def over_rest(status: int, body: bytes) -> google.GoogleAPICallError:
    """What our REST calls raise for an answer."""
    reply = requests.Response()
    reply.status_code = status
    reply._content = body
    raised: google.GoogleAPICallError = google.from_http_status(status, "", response=reply)
    return raised


def told(error: BaseException) -> CredsError:
    """The error as the operator meets it."""
    with pytest.raises(CredsError) as caught, translate_errors("do it"):
        raise error
    return caught.value


def info(reason: str, **facts: str) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reason, domain="googleapis.com", metadata=facts)


def test_every_status_has_its_error_and_what_to_do() -> None:
    assert {code.name for code in Code} - {"OK"} == set(TABLE)
    assert {status.name for status in grpc.StatusCode} - {"OK"} == set(TABLE)
    assert set(BY_HTTP.values()) <= set(TABLE)
    assert all(hint for _kind, hint in TABLE.values())


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
def test_grpc_and_rest_say_the_same(code: Code) -> None:
    refusal = EmuError(code, "Secret [projects/p/secrets/s] is Not right. And more.")
    by_grpc = told(over_grpc(code, refusal.message))
    by_rest = told(over_rest(int(code.http), json.dumps(refusal.document()).encode()))
    assert (type(by_grpc), str(by_grpc), by_grpc.hint) == (type(by_rest), str(by_rest), by_rest.hint)
    assert str(by_grpc) == "cannot do it: secret [projects/p/secrets/s] is Not right"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b"", ConfigError),
        (401, b"<html>", NotLoggedInError),
        (403, b'{"error": "invalid_grant"}', PermissionDeniedError),
        (404, b"[]", NotFoundError),
        (409, b'{"error": {}}', PreconditionError),
        (412, b"", PreconditionError),
        (429, b"", QuotaError),
        (500, b"", UnavailableError),
        (501, b"", PreconditionError),
        (502, b"<html>", UnavailableError),
        (504, b"\xff", UnavailableError),
        (418, b'{"error": {"status": "NO_SUCH_STATUS"}}', UnavailableError),
        (409, b'{"error": {"status": "ABORTED", "message": "Changed."}}', PreconditionError),
    ],
)
def test_an_answer_whose_body_does_not_say_goes_by_its_number(status: int, body: bytes, kind: type[CredsError]) -> None:
    assert type(told(over_rest(status, body))) is kind


def test_a_missing_permission_is_named_from_the_detail_or_the_text() -> None:
    said = "Permission 'secretmanager.versions.access' denied on resource 'x' (or it may not exist)."
    for error in (
        over_grpc(Code.PERMISSION_DENIED, said),
        over_grpc(
            Code.PERMISSION_DENIED, "No.", info("IAM_PERMISSION_DENIED", permission="secretmanager.versions.access")
        ),
        over_rest(403, json.dumps(EmuError(Code.PERMISSION_DENIED, said).document()).encode()),
        over_rest(
            403,
            json.dumps(
                EmuError(
                    Code.PERMISSION_DENIED,
                    "The caller does not have permission",
                    info("IAM_PERMISSION_DENIED", permission="secretmanager.versions.access"),
                ).document()
            ).encode(),
        ),
    ):
        found = told(error)
        assert (type(found), str(found)) == (
            PermissionDeniedError,
            "cannot do it: permission secretmanager.versions.access is missing",
        )


def test_an_api_that_is_switched_off_is_not_taken_for_a_missing_permission() -> None:
    said = "Secret Manager API has not been used in project p before or it is disabled. Enable it by visiting https://x"
    detail = info("SERVICE_DISABLED", service="secretmanager.googleapis.com")
    refusal = EmuError(Code.PERMISSION_DENIED, said, detail)
    for error in (over_grpc(refusal.code, said, detail), over_rest(403, json.dumps(refusal.document()).encode())):
        found = told(error)
        assert (type(found), found.hint) == (ApiDisabledError, "gcloud services enable secretmanager.googleapis.com")
        assert isinstance(found, ApiDisabledError)
        assert found.service == "secretmanager.googleapis.com"
    without = told(over_grpc(Code.PERMISSION_DENIED, said))
    assert "permission secretmanager" not in str(without)


def test_retries_that_ended_tell_the_last_refusal() -> None:
    assert "is used up" in told(google.RetryError("x", over_grpc(Code.RESOURCE_EXHAUSTED, "Quota."))).hint
    assert type(told(google.RetryError("x", None))) is UnavailableError


def test_what_a_token_endpoint_said_is_kept_as_its_code_only() -> None:
    refusal = auth.RefreshError("invalid_grant: assertion eyJhbGciOi was bad", {"error": "invalid_grant"})
    found = told(refusal)
    assert (type(found), "invalid_grant" in str(found), "eyJ" in str(found)) == (NotLoggedInError, True, False)
    assert found.__cause__ is None
    assert type(told(auth.RefreshError("server busy", retryable=True))) is UnavailableError
    assert type(told(auth.TransportError("connection refused by eyJ"))) is UnavailableError
    assert type(told(auth.DefaultCredentialsError("none"))) is NotLoggedInError


def test_a_message_is_one_line_of_bounded_length() -> None:
    found = from_call(over_grpc(Code.INTERNAL, "Line one\nline two " + "x" * 1000), "do it")
    assert ("\n" in str(found), len(str(found)) < 400) == (False, True)


@pytest.mark.parametrize(
    "detail",
    [
        error_details_pb2.PreconditionFailure(
            violations=[{"type": "constraints/iam.disableServiceAccountKeyUpload", "subject": "x"}]
        ),
        error_details_pb2.ErrorInfo(
            reason="CUSTOM_ORG_POLICY_VIOLATION",
            domain="googleapis.com",
            metadata={"customConstraints": "constraints/iam.disableServiceAccountKeyUpload"},
        ),
    ],
)
def test_an_organization_policy_is_named_in_either_of_googles_shapes(detail: Any) -> None:
    refusal = EmuError(Code.FAILED_PRECONDITION, "Precondition check failed.", detail)
    for error in (
        over_grpc(refusal.code, refusal.message, detail),
        over_rest(400, json.dumps(refusal.document()).encode()),
    ):
        found = told(error)
        assert type(found) is ConstraintError
        assert "organization policy iam.disableServiceAccountKeyUpload is in the way" in str(found)
