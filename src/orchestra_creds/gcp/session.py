"""One place that decides identity, endpoints, deadlines and retries.

Everything above it is the same for Google and for the embedded cloud.
Guarantees: every call has a deadline in seconds; only calls that may be repeated are retried, within that deadline; nothing is
looked up in the background. google-auth asks Google about "regional access boundaries" with the bearer token whenever a service
account's credentials are used directly, so clients are handed plain token credentials that refresh through ours.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import google.auth
import grpc
import requests
from google.api_core import exceptions
from google.api_core.retry import Retry, if_exception_type
from google.auth import credentials as base
from google.auth import impersonated_credentials
from google.auth.transport.requests import AuthorizedSession, Request
from google.cloud import iam_admin_v1, secretmanager_v1
from google.cloud.iam_admin_v1.services.iam.transports import IAMGrpcTransport
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import SecretManagerServiceGrpcTransport
from google.oauth2 import credentials as oauth2

from orchestra_creds.errors import UnavailableError
from orchestra_creds.gcp.errors import from_status, translated

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
DEADLINE = 10.0
"""Seconds a call may take, retries included."""
LOCAL_DEADLINE = 5.0
"""Seconds for the embedded cloud: it is on this machine, and a refused connection will not mend itself."""

UNKNOWN_LIFETIME = timedelta(minutes=5)
"""A token that does not say when it ends is asked for again after this."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the embedded cloud listens: `127.0.0.1:PORT` and `http://127.0.0.1:PORT`."""

    grpc: str
    http: str


class Session:
    """Clients for one project and one identity.

    `credentials` None means Application Default Credentials for Google, and no credentials for the embedded cloud.
    `impersonate` is the mail of a service account to act as. `announce` is told about waits.
    """

    def __init__(
        self,
        project: str,
        *,
        endpoints: Endpoints | None = None,
        credentials: base.Credentials | None = None,
        impersonate: str = "",
        announce: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.project = project
        self.endpoints = endpoints
        self.deadline = LOCAL_DEADLINE if endpoints else DEADLINE
        self._given = credentials
        self._impersonate = impersonate
        self._announce = announce
        self._channel: grpc.Channel | None = None

    @cached_property
    def credentials(self) -> base.Credentials | None:
        """Token credentials that refresh through the identity; None when calls need none."""
        source = self._given
        if source is None and self.endpoints is None:
            with translated("find credentials"):
                source, _ = google.auth.default(scopes=[SCOPE])
        if source is not None and self._impersonate:
            source = impersonated_credentials.Credentials(
                source, target_principal=self._impersonate, target_scopes=[SCOPE]
            )
        return None if source is None else plain(source)

    def call(self, doing: str, method: Callable[..., Any], request: object, *, repeatable: bool) -> Any:
        """Call one RPC of a client within the deadline; retried only when repeating it cannot do harm.

        Raises:
            CredsError: per the table in `errors.py`.
        """
        retry: Retry | None = None
        if repeatable:
            retry = Retry(
                predicate=if_exception_type(exceptions.ServiceUnavailable, exceptions.ResourceExhausted),
                initial=0.2,
                maximum=2.0,
                timeout=self.deadline,
                on_error=self._once(f"no answer yet, still trying to {doing}"),
            )
        with translated(doing):
            return method(request=request, retry=retry, timeout=self.deadline)

    def _once(self, line: str) -> Callable[[Exception], None]:
        """Announce the line at the second failure: the first is mended within a blink more often than not."""
        failures = iter((False, True))

        def note(_error: Exception) -> None:
            if next(failures, False):
                self._announce(line)

        return note

    def rest(
        self,
        doing: str,
        verb: str,
        service: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Call a REST-only part of an API, e.g. service `policyanalyzer`; returns the decoded JSON object.

        Raises:
            CredsError: per the table in `errors.py`.
        """
        root = self.endpoints.http if self.endpoints else f"https://{service}.googleapis.com"
        try:
            with translated(doing):
                reply = self._http.request(verb, f"{root}/{path}", json=body, params=query, timeout=self.deadline)
        except requests.RequestException as error:
            raise from_status("UNAVAILABLE", f"no answer from {service}", doing) from error
        try:
            answer = reply.json() if reply.content else {}
        except ValueError as error:
            raise UnavailableError(f"cannot {doing}: {service} answered something that is not JSON") from error
        if reply.status_code >= 400:
            problem = answer.get("error", {}) if isinstance(answer, dict) else {}
            raise from_status(str(problem.get("status", "UNKNOWN")), str(problem.get("message", "")), doing)
        return dict(answer)

    @cached_property
    def _http(self) -> requests.Session:
        session = AuthorizedSession(self.credentials) if self.credentials is not None else requests.Session()
        session.trust_env = self.endpoints is None  # a proxy of the environment must not see the embedded cloud
        return session

    def secret_manager(self, location: str = "") -> secretmanager_v1.SecretManagerServiceClient:
        """The Secret Manager client; regional secrets have an endpoint of their own."""
        if self.endpoints:
            transport = SecretManagerServiceGrpcTransport(channel=self._local(self.endpoints))
            return secretmanager_v1.SecretManagerServiceClient(transport=transport)
        options = {"api_endpoint": f"secretmanager.{location}.rep.googleapis.com"} if location else None
        with translated("connect to Secret Manager"):
            return secretmanager_v1.SecretManagerServiceClient(credentials=self.credentials, client_options=options)

    @cached_property
    def iam(self) -> iam_admin_v1.IAMClient:
        """The IAM admin client."""
        if self.endpoints:
            return iam_admin_v1.IAMClient(transport=IAMGrpcTransport(channel=self._local(self.endpoints)))
        with translated("connect to IAM"):
            return iam_admin_v1.IAMClient(credentials=self.credentials)

    def _local(self, endpoints: Endpoints) -> grpc.Channel:
        """The loopback channel that all clients share."""
        if self._channel is None:
            channel = grpc.insecure_channel(endpoints.grpc, options=[("grpc.enable_http_proxy", 0)])
            self._channel = (
                channel if self.credentials is None else grpc.intercept_channel(channel, _Bearer(self.credentials))
            )
        return self._channel

    def close(self) -> None:
        """End the connections; the session can be used again."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def plain(source: base.Credentials) -> oauth2.Credentials:
    """Credentials that hold only tokens of `source`, refreshed when they end; nothing else is ever asked for."""

    def refresh(request: Request, scopes: Sequence[str]) -> tuple[str, datetime]:
        del scopes
        source.refresh(request)
        ends = source.expiry or (datetime.now(UTC) + UNKNOWN_LIFETIME).replace(
            tzinfo=None
        )  # google-auth counts in naive UTC
        return str(source.token), ends

    return oauth2.Credentials(token=None, refresh_handler=refresh, scopes=[SCOPE])


class _Bearer(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]  # grpc has no types
    """Adds the bearer token on a loopback channel, where gRPC's own call credentials would ask for TLS."""

    def __init__(self, credentials: base.Credentials) -> None:
        self._credentials = credentials

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        if not self._credentials.valid:
            self._credentials.refresh(Request())
        metadata = [*(details.metadata or ()), ("authorization", f"Bearer {self._credentials.token}")]
        return continuation(details._replace(metadata=metadata), request)
