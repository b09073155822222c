"""Every error an operator can meet, and the exit code it ends with.

    CredsError                      message (lower case, no final period), hint, exit code
    |- ConfigError            2     a flag, a file or the environment is wrong: where, and what to do
    |  `- MissingMemberError       a policy names an account that the service does not know (yet)
    |- AuthError              3     not authenticated, or permission denied
    |  |- NotLoggedInError         the caller has no valid login
    |  |- PermissionDeniedError    the caller may not do this
    |  `- CredentialRefusedError   the credential under test does not authenticate
    |- NotFoundError          4     the named thing does not exist
    |  `- MissingMetricError       an alert names a metric that the service does not know (yet)
    |- PreconditionError      4     it exists, but not in a state that allows this
    |  |- ApiDisabledError         an API is off in the project
    |  |  `- ApiNotReadyError       it is enabled and does not answer yet
    |  |- ConstraintError          an organization policy forbids it
    |  |- QuotaProjectError        the call is charged to a project that cannot pay for it
    |  `- SoftDeletedError         the name is not free yet
    |- IncompleteError        5     stopped part-way; what was done is kept, the rest can be resumed
    |- UnavailableError       6     no answer, or timed out: try again
    |  |- ChecksumError            the bytes were damaged on the way
    |  `- QuotaError               a quota is used up
    `- CancelledError       130     the operator said no, or pressed Ctrl-C

Anything else that escapes is a bug and exits 70: its type is printed, its text is not, for the text may hold material.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process ends with, the same for every verb; docs/exit-codes.md says it to operators."""

    OK = 0
    ATTENTION = 1
    USAGE = 2
    DENIED = 3
    PRECONDITION = 4
    INCOMPLETE = 5
    UNAVAILABLE = 6
    BUG = 70
    CANCELLED = 130
    TERMINATED = 143


class CredsError(Exception):
    """An error with one clear line for the operator; `hint` says what to do next."""

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(CredsError):
    """A flag, a file or the environment is wrong."""

    exit_code = ExitCode.USAGE


class MissingMemberError(ConfigError):
    """A policy names a member or a role that the service does not know, or does not know everywhere yet."""


class AuthError(CredsError):
    """Not authenticated, or permission denied."""

    exit_code = ExitCode.DENIED


class NotLoggedInError(AuthError):
    """The caller has no valid login. This says nothing about a credential under test."""


class PermissionDeniedError(AuthError):
    """The caller may not do this. This says nothing about a credential under test."""


class CredentialRefusedError(AuthError):
    """The issuer refuses the credential under test itself: it is disabled, deleted, expired or wrong."""


class NotFoundError(CredsError):
    """The named thing does not exist."""

    exit_code = ExitCode.PRECONDITION


class MissingMetricError(NotFoundError):
    """An alert names a metric that the service does not know, or does not know everywhere yet."""


class PreconditionError(CredsError):
    """The thing exists, but not in a state that allows this."""

    exit_code = ExitCode.PRECONDITION


class ApiDisabledError(PreconditionError):
    """An API is not enabled in the project that pays for the call; `service` names it, such as `run.googleapis.com`."""

    def __init__(self, message: str, *, service: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.service = service


class ApiNotReadyError(ApiDisabledError):
    """An API is enabled, and refuses calls because that is not known everywhere yet."""


class ConstraintError(PreconditionError):
    """An organization policy forbids the call."""


class QuotaProjectError(PreconditionError):
    """The call is charged to a project that cannot pay for it, and not to the one that is worked on."""


class SoftDeletedError(PreconditionError):
    """The name belongs to something that was deleted and is not free yet."""


class IncompleteError(CredsError):
    """Stopped part-way; what was done is kept."""

    exit_code = ExitCode.INCOMPLETE


class UnavailableError(CredsError):
    """No answer in time; the same call may succeed later."""

    exit_code = ExitCode.UNAVAILABLE


class ChecksumError(UnavailableError):
    """The bytes of a value were damaged on the way; nothing that was damaged is stored or returned."""


class QuotaError(UnavailableError):
    """Refused, and not done, because a quota is used up: of calls a minute, or of resources."""


class CancelledError(CredsError):
    """The operator declined or interrupted."""

    exit_code = ExitCode.CANCELLED
