"""What the embedded cloud answers when it refuses, in the three shapes that clients know.

An `EmuError` is raised by a handler and becomes a google.rpc.Status (gRPC trailers), a REST error document, or, in
process, the exception itself. Messages follow Google's style (a sentence with a period): official clients and
gcloud show them as they are. They never hold material.
"""

import enum
from collections.abc import Sequence
from http import HTTPStatus

from google.protobuf import any_pb2, json_format
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2


class Code(enum.IntEnum):
    """The canonical codes of google.rpc, by their wire numbers."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16

    @property
    def http(self) -> int:
        """The HTTP status that Google's front end gives this code."""
        return _HTTP[self]


_HTTP = {
    Code.OK: HTTPStatus.OK,
    Code.CANCELLED: 499,
    Code.UNKNOWN: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    Code.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    Code.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    Code.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    Code.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    Code.ABORTED: HTTPStatus.CONFLICT,
    Code.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    Code.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    Code.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.DATA_LOSS: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
}


_STORAGE_REASONS = {
    **dict.fromkeys(Code, "backendError"),
    Code.INVALID_ARGUMENT: "invalid",
    Code.NOT_FOUND: "notFound",
    Code.ALREADY_EXISTS: "conflict",
    Code.ABORTED: "conflict",
    Code.PERMISSION_DENIED: "forbidden",
    Code.UNAUTHENTICATED: "authError",
    Code.FAILED_PRECONDITION: "conditionNotMet",
    Code.RESOURCE_EXHAUSTED: "rateLimitExceeded",
    Code.INTERNAL: "internalError",
}


class EmuError(Exception):
    """A refusal: code, sentence, and details (messages of google.rpc.error_details)."""

    def __init__(self, code: Code, message: str, *details: Message) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details

    def status(self) -> status_pb2.Status:
        """The google.rpc.Status that gRPC clients find in the trailers."""
        return status_pb2.Status(
            code=int(self.code), message=self.message, details=[_pack_detail(d) for d in self.details]
        )

    def storage_document(self) -> dict[str, object]:
        """The REST error document of Cloud Storage, which lists its reasons (cloud.google.com/storage/docs/json_api/v1/status-codes)."""
        disabled = any(getattr(detail, "reason", "") == "SERVICE_DISABLED" for detail in self.details)
        domain, reason = ("usageLimits", "accessNotConfigured") if disabled else ("global", _STORAGE_REASONS[self.code])
        document = self.document()["error"]
        return {"error": {**document, "errors": [{"domain": domain, "reason": reason, "message": self.message}]}}

    def document(self) -> dict[str, dict[str, object]]:
        """The REST error document."""
        error: dict[str, object] = {"code": int(self.code.http), "message": self.message, "status": self.code.name}
        if self.details:
            error["details"] = [json_format.MessageToDict(_pack_detail(detail)) for detail in self.details]
        return {"error": error}


def _pack_detail(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed


def invalid_error(message: str, *, field: str = "") -> EmuError:
    """INVALID_ARGUMENT; with `field` also a BadRequest detail that names it."""
    if not field:
        return EmuError(Code.INVALID_ARGUMENT, message)
    violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=message)
    return EmuError(Code.INVALID_ARGUMENT, message, error_details_pb2.BadRequest(field_violations=[violation]))


def not_found_error(message: str) -> EmuError:
    """NOT_FOUND."""
    return EmuError(Code.NOT_FOUND, message)


def already_exists_error(message: str) -> EmuError:
    """ALREADY_EXISTS."""
    return EmuError(Code.ALREADY_EXISTS, message)


def precondition_error(message: str, *, kind: str = "", subject: str = "") -> EmuError:
    """FAILED_PRECONDITION; with `kind` also a PreconditionFailure detail (kind is its `type`)."""
    if not kind:
        return EmuError(Code.FAILED_PRECONDITION, message)
    violation = error_details_pb2.PreconditionFailure.Violation(type=kind, subject=subject, description=message)
    return EmuError(Code.FAILED_PRECONDITION, message, error_details_pb2.PreconditionFailure(violations=[violation]))


def aborted_error(message: str) -> EmuError:
    """ABORTED: a concurrent change won."""
    return EmuError(Code.ABORTED, message)


def denied_error(permissions: Sequence[str], resource: str) -> EmuError:
    """PERMISSION_DENIED in Google's words, with an ErrorInfo that names permission and resource."""
    permission = ", ".join(permissions)
    info = error_details_pb2.ErrorInfo(
        reason="IAM_PERMISSION_DENIED",
        domain="iam.googleapis.com",
        metadata={"permission": permission, "resource": resource},
    )
    message = f"Permission '{permission}' denied on resource '{resource}' (or it may not exist)."
    return EmuError(Code.PERMISSION_DENIED, message, info)


def unauthenticated_error(message: str) -> EmuError:
    """UNAUTHENTICATED."""
    return EmuError(Code.UNAUTHENTICATED, message)


def unimplemented_error(name: str) -> EmuError:
    """UNIMPLEMENTED by name: the RPC exists at Google, not here."""
    return EmuError(Code.UNIMPLEMENTED, f"{name} is not implemented by the embedded cloud.")
