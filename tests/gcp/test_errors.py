"""One table for what Google's clients raise, whatever the transport."""

import json
import re
from typing import Any

import grpc
import pytest
import requests
from google.api_core import exceptions as google
from google.auth import exceptions as auth
from google.rpc import error_details_pb2

from orchestra_creds.core.google import CLOUD_SCOPE
from orchestra_creds.emulator.protocol.errors import Code, EmuError
from orchestra_creds.errors import (
    ApiDisabledError,
    ChecksumError,
    ConfigError,
    ConstraintError,
    CredentialRefusedError,
    CredsError,
    MissingMemberError,
    NotFoundError,
    NotLoggedInError,
    PermissionDeniedError,
    PreconditionError,
    QuotaError,
    QuotaProjectError,
    SoftDeletedError,
    UnavailableError,
)
from orchestra_creds.gcp import policies
from orchestra_creds.gcp.errors import BY_HTTP, REASONS, TABLE, KnownRefusal, from_call, proving, translate_errors
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


def told(error: BaseException, project: str = "demo-project", *refusals: KnownRefusal) -> CredsError:
    """The error as the operator meets it."""
    with pytest.raises(CredsError) as caught, translate_errors("do it", project=project, refusals=refusals):
        raise error
    return caught.value


def both_ways(code: Code, message: str, *details: Any) -> list[google.GoogleAPICallError]:
    """One refusal over gRPC and over REST."""
    refusal = EmuError(code, message, *details)
    return [
        over_grpc(code, message, *details),
        over_rest(int(code.http), json.dumps(refusal.document()).encode()),
    ]


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
        enable = "gcloud services enable secretmanager.googleapis.com --project=demo-project"
        assert (type(found), found.hint) == (ApiDisabledError, enable)
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
        command = "gcloud org-policies describe iam.disableServiceAccountKeyUpload --effective --project=demo-project"
        assert command in found.hint


SET_QUOTA_PROJECT = "gcloud auth application-default set-quota-project demo-project"
IAM = "iam.googleapis.com"


@pytest.mark.parametrize(
    ("reason", "facts", "kind", "says", "hint"),
    [
        (
            "SERVICE_DISABLED",
            {"service": IAM, "consumer": "projects/764086051850"},
            QuotaProjectError,
            "the call is charged to project 764086051850, where iam.googleapis.com is not enabled",
            SET_QUOTA_PROJECT,
        ),
        (
            "SERVICE_DISABLED",
            {"service": IAM, "consumer": "projects/other-project"},
            QuotaProjectError,
            "the call is charged to project other-project, where iam.googleapis.com is not enabled",
            f"{SET_QUOTA_PROJECT}; or: gcloud services enable {IAM} --project=other-project",
        ),
        (
            "SERVICE_DISABLED",
            {"service": IAM, "consumer": "projects/demo-project"},
            ApiDisabledError,
            "iam.googleapis.com is not enabled in the project",
            f"gcloud services enable {IAM} --project=demo-project",
        ),
        (
            "SERVICE_DISABLED",
            {"service": IAM, "consumer": "projects/123456789012"},
            ApiDisabledError,
            "iam.googleapis.com is not enabled in the project",
            f"gcloud services enable {IAM} --project=demo-project",
        ),
        (
            "USER_PROJECT_DENIED",
            {"service": IAM, "consumer": "projects/other-project"},
            PermissionDeniedError,
            "you may not charge calls to the quota project other-project",
            f"{SET_QUOTA_PROJECT}; or ask for roles/serviceusage.serviceUsageConsumer in project other-project",
        ),
        (
            "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
            {"service": IAM, "method": "google.iam.admin.v1.ListRoles"},
            PermissionDeniedError,
            "the login lacks the scope cloud-platform",
            f"gcloud auth application-default login --scopes={CLOUD_SCOPE}; a virtual machine needs that scope itself",
        ),
        (
            "SERVICE_CONFIG_NOT_FOUND_OR_PERMISSION_DENIED",
            {"services": "nothing.googleapis.com"},
            PermissionDeniedError,
            "nothing.googleapis.com does not exist, or you may not see it",
            (
                "is the name right? gcloud services list --available --filter=config.name=nothing.googleapis.com"
                " --project=demo-project"
            ),
        ),
        (
            "SECURITY_POLICY_VIOLATED",
            {"uid": "abc-123", "service": IAM, "consumer": "projects/demo-project"},
            PermissionDeniedError,
            "a perimeter of VPC Service Controls forbids the call",
            (
                "call from inside of the perimeter, or ask who administers it for an access level with the id abc-123; the denial:"
                " gcloud logging read 'protoPayload.metadata.vpcServiceControlsUniqueId=\"abc-123\"' --project=demo-project"
            ),
        ),
    ],
)
def test_each_reason_to_refuse_a_call_has_its_own_words(
    reason: str, facts: dict[str, str], kind: type[CredsError], says: str, hint: str
) -> None:
    for error in both_ways(Code.PERMISSION_DENIED, "The caller does not have permission", info(reason, **facts)):
        found = told(error)
        assert (type(found), str(found), found.hint) == (kind, f"cannot do it: {says}", hint)
        assert not isinstance(found, CredentialRefusedError)


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("ACCESS_TOKEN_EXPIRED", "the login has expired"),
        ("ACCOUNT_STATE_INVALID", "the account that you are logged in as is disabled or deleted"),
    ],
)
def test_a_login_that_no_longer_holds_is_said_to_be_that(reason: str, says: str) -> None:
    for error in both_ways(Code.UNAUTHENTICATED, "Request had invalid credentials.", info(reason, service=IAM)):
        found = told(error)
        assert (type(found), str(found)) == (NotLoggedInError, f"cannot do it: {says}")
        assert "gcloud auth application-default login" in found.hint


def test_every_reason_is_tested() -> None:
    tested = {"USER_PROJECT_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "SERVICE_CONFIG_NOT_FOUND_OR_PERMISSION_DENIED"}
    assert set(REASONS) == tested | {"ACCESS_TOKEN_EXPIRED", "ACCOUNT_STATE_INVALID"}


PROHIBITED = "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: abc-123"


@pytest.mark.parametrize(
    "error",
    [
        *both_ways(
            Code.PERMISSION_DENIED,
            "No.",
            error_details_pb2.PreconditionFailure(
                violations=[{"type": "VPC_SERVICE_CONTROLS", "description": "abc-123"}]
            ),
        ),
        *both_ways(
            Code.PERMISSION_DENIED,
            "No.",
            error_details_pb2.PreconditionFailure(
                violations=[{"type": "vpcServiceControls", "description": "abc-123"}]
            ),
        ),
        *both_ways(Code.PERMISSION_DENIED, PROHIBITED),
        over_rest(
            403,
            json.dumps(
                {"error": {"code": 403, "message": PROHIBITED, "errors": [{"reason": "vpcServiceControls"}]}}
            ).encode(),
        ),
    ],
    ids=range(7),
)
def test_a_perimeter_is_named_in_each_shape_of_the_answer(error: google.GoogleAPICallError) -> None:
    found = told(error)
    assert (type(found), str(found)) == (
        PermissionDeniedError,
        "cannot do it: a perimeter of VPC Service Controls forbids the call",
    )


def test_a_quota_that_is_used_up_names_no_policy() -> None:
    detail = error_details_pb2.QuotaFailure(violations=[{"subject": "project:demo", "description": "Too many."}])
    for error in both_ways(Code.RESOURCE_EXHAUSTED, "Quota.", detail):
        assert type(told(error)) is QuotaError


DAMAGED = KnownRefusal(
    "INVALID_ARGUMENT", re.compile("checksum"), ChecksumError, message="damaged", field="data_crc32c"
)
TAKEN = KnownRefusal("FAILED_PRECONDITION", re.compile("marked for deletion"), SoftDeletedError, hint="wait")


@pytest.mark.parametrize(
    ("code", "message", "field", "kind"),
    [
        (Code.INVALID_ARGUMENT, "The checksum does not match.", "", ChecksumError),
        (Code.INVALID_ARGUMENT, "It does not match.", "payload.data_crc32c", ChecksumError),
        (Code.INVALID_ARGUMENT, "Secret checksum-x is no name.", "secret_id", ConfigError),
        (Code.INVALID_ARGUMENT, "It does not match.", "", ConfigError),
        (Code.FAILED_PRECONDITION, "The checksum does not match.", "", PreconditionError),
        (Code.FAILED_PRECONDITION, "The id has been marked for deletion.", "", SoftDeletedError),
        (Code.NOT_FOUND, "The id has been marked for deletion.", "", NotFoundError),
    ],
)
def test_a_cause_that_a_method_tells_is_a_class_and_the_field_decides_before_the_words(
    code: Code, message: str, field: str, kind: type[CredsError]
) -> None:
    detail = [error_details_pb2.BadRequest(field_violations=[{"field": field}])] if field else []
    for error in both_ways(code, message, *detail):
        found = told(error, "demo-project", DAMAGED, TAKEN)
        assert type(found) is kind
        assert type(told(error)) is not kind or kind in {ConfigError, PreconditionError, NotFoundError}


def test_the_words_of_one_method_decide_nothing_elsewhere() -> None:
    for error in both_ways(Code.FAILED_PRECONDITION, "The id has been marked for deletion."):
        assert type(told(error)) is PreconditionError


def test_an_account_that_is_not_known_yet_is_a_cause_of_its_own() -> None:
    said = "Service account runner-one@demo-project.iam.gserviceaccount.com does not exist."
    for error in both_ways(Code.INVALID_ARGUMENT, said):
        assert type(told(error, "demo-project", *policies._REFUSALS)) is MissingMemberError
    for error in both_ways(Code.INVALID_ARGUMENT, "Role roles/nothing is not supported for this resource."):
        assert type(told(error, "demo-project", *policies._REFUSALS)) is ConfigError


def test_a_login_that_ended_is_no_refused_key() -> None:
    ended = auth.RefreshError(
        "x", {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
    )
    asked = auth.RefreshError("x", {"error": "invalid_grant", "error_subtype": "invalid_rapt"})
    for error in (ended, asked, auth.ReauthFailError("no terminal")):
        found = told(error)
        assert (type(found), str(found)) == (NotLoggedInError, "cannot do it: the login has expired")


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        ({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, True),
        ({"error": "invalid_grant", "error_description": "Account not found"}, True),
        ({"error": "invalid_grant", "error_description": "Invalid JWT: Token must be a short-lived token"}, False),
        ({"error": "invalid_grant", "error_subtype": "invalid_rapt"}, False),
        ({"error": "invalid_scope"}, False),
        ({}, False),
    ],
)
def test_only_the_answer_itself_refuses_a_key_never_the_text_of_the_error(
    answer: dict[str, str], refused: bool
) -> None:
    with pytest.raises(CredsError) as caught, proving("do it"):
        raise auth.RefreshError("invalid_grant: Invalid JWT Signature.", answer)
    assert isinstance(caught.value, CredentialRefusedError) == refused
