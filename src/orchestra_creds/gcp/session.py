"""One place that decides endpoints, deadlines and retries; who we are stands in identity.py.

Everything above it is the same for Google and for the embedded cloud. Guarantees: every call has a deadline in seconds; only calls
that may be repeated, or that a used-up quota refused, are retried, within that deadline; nothing is looked up in the background; a proxy of the environment never sees
the embedded cloud.
"""

import functools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import grpc
import requests
from google.api_core import exceptions
from google.api_core.retry import Retry, if_exception_type
from google.cloud import iam_admin_v1, secretmanager_v1
from google.cloud.iam_admin_v1.services.iam.transports import IAMGrpcTransport
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import SecretManagerServiceGrpcTransport

from orchestra_creds.errors import ConfigError, UnavailableError
from orchestra_creds.gcp import identity
from orchestra_creds.gcp.errors import KnownRefusal, translate_errors
from orchestra_creds.gcp.identity import TokenCredentials
from orchestra_creds.gcp.rate_limit import Pace, bucket_of

DEADLINE = 10.0
"""Seconds a call may take, retries included."""
LOCAL_DEADLINE = 5.0
"""Seconds for the embedded cloud: it is on this machine, and a refused connection will not mend itself."""
LAST_ATTEMPT = 1.0
"""Seconds before the deadline after which nothing is tried again; api-core gives an attempt with less time all of it anew."""

RECONNECT = (("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 5_000))
"""gRPC's own pause between two connections grows to two minutes, in which every call is refused although the service is back."""

REASON_HEADER = "x-goog-request-reason"
LONGEST_REASON = 256


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the embedded cloud listens: `127.0.0.1:PORT` and `http://127.0.0.1:PORT`."""

    grpc: str
    http: str


class ApiSession:
    """Clients for one project and one identity; close it after use.

    `endpoints` None means Google. `impersonate` is the mail of a service account to act as. `reason` stands in Google's audit log with
    every call (cloud.google.com/apis/docs/system-parameters). `environment` names the identity,
    else `owner_token` is that of the embedded cloud's owner. `announce` is told about waits. `pace` holds calls back to stay under quotas.
    `deadline` is that of each call in seconds. `client` is a Secret Manager client that is used, and not closed, instead of one made here.
    """

    def __init__(
        self,
        project: str,
        *,
        endpoints: Endpoints | None = None,
        impersonate: str = "",
        reason: str = "",
        environment: Mapping[str, str] = os.environ,
        owner_token: str = "",
        announce: Callable[[str], None] = lambda _line: None,
        pace: Pace | None = None,
        deadline: float | None = None,
        client: Any = None,
    ) -> None:
        if client is not None and impersonate:
            raise ConfigError("a client has its own identity", hint="make the client with the credentials to act as")
        self.project = project
        self.endpoints = endpoints
        self.deadline = deadline or (LOCAL_DEADLINE if endpoints else DEADLINE)
        self._client: secretmanager_v1.SecretManagerServiceClient | None = client
        self._impersonate = impersonate
        if not (reason.isascii() and reason.isprintable() and len(reason) <= LONGEST_REASON):
            raise ConfigError(
                "--reason must be one line of plain ASCII",
                hint=f"at most {LONGEST_REASON} characters; nothing was done",
            )
        self.reason = reason
        self._environment = environment
        self._owner_token = owner_token
        self._announce = announce
        self._pace = pace
        self._open = ExitStack()

    @cached_property
    def credentials(self) -> TokenCredentials | None:
        """The identity of every call; None when calls need none."""
        if not self._impersonate:
            return self._own_credentials
        ask = functools.partial(
            self._rest, self._own_credentials, f"act as {self._impersonate}", "POST", "iamcredentials"
        )
        return identity.acting_as(self._impersonate, lambda path, body: ask(path, body=body, repeatable=True))

    @cached_property
    def _own_credentials(self) -> TokenCredentials | None:
        """The operator's own identity, before any impersonation."""
        if self._client is not None:
            return None
        if self.endpoints is None:
            return identity.application_default(self.http, self.deadline)
        root = self.endpoints.http
        return identity.embedded_credentials(
            self._environment, root, self.http, self.deadline, owner_token=self._owner_token
        )

    def call(
        self,
        doing: str,
        method: Callable[..., Any],
        request: object,
        *,
        repeatable: bool,
        refusals: Sequence[KnownRefusal] = (),
        deadline: float | None = None,
    ) -> Any:
        """Call one RPC of a client within the deadline, in seconds; retried only when repeating it cannot do harm.

        Raises:
            CredsError: per the table in `errors.py`.
        """
        if self._pace is not None:
            service = "iam" if "iam_admin" in type(getattr(method, "__self__", None)).__module__ else "secretmanager"
            self._pace.take(bucket_of(service, method.__name__))
        with self._translate(self.credentials, doing, refusals):
            _fetch_token(self.credentials)
            seconds = min(deadline or self.deadline, self.deadline)
            retry = self._retry(doing, repeatable=repeatable, deadline=seconds)
            metadata = ((REASON_HEADER, self.reason),) if self.reason else ()
            return method(request=request, retry=retry, timeout=seconds, metadata=metadata)

    def _translate(
        self, credentials: TokenCredentials | None, doing: str, refusals: Sequence[KnownRefusal]
    ) -> AbstractContextManager[None]:
        payer = credentials.quota_project if credentials is not None else ""
        return translate_errors(doing, project=self.project, quota_project=payer, refusals=refusals)

    def _retry(self, doing: str, *, repeatable: bool, deadline: float) -> Retry:
        """Return a policy that retries a call refused for a quota, because it did nothing, and a call without an answer if repeatable."""
        lost = (exceptions.ServiceUnavailable,) if repeatable else ()
        return Retry(
            predicate=if_exception_type(exceptions.TooManyRequests, *lost),
            initial=0.2,
            maximum=2.0,
            timeout=max(deadline - LAST_ATTEMPT, 0.0),
            on_error=self._once(f"still trying to {doing}"),
        )

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
        query: Mapping[str, str | list[str]] | None = None,
        repeatable: bool = False,
        refusals: Sequence[KnownRefusal] = (),
    ) -> dict[str, Any]:
        """Call a REST-only part of an API, e.g. service `policyanalyzer`; returns the decoded JSON object.

        Raises:
            CredsError: per the table in `errors.py`.
        """
        return self._rest(
            self.credentials,
            doing,
            verb,
            service,
            path,
            body=body,
            query=query,
            repeatable=repeatable,
            refusals=refusals,
        )

    def _rest(
        self,
        credentials: TokenCredentials | None,
        doing: str,
        verb: str,
        service: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, str | list[str]] | None = None,
        repeatable: bool = False,
        refusals: Sequence[KnownRefusal] = (),
    ) -> dict[str, Any]:
        if not path.isascii() or set(path) & set("?#%\\ ") or {"", ".", ".."} & set(path.split("/")):
            raise ConfigError(f"cannot {doing}: {path!r} is no name of a resource", hint="check the names")
        root = self.endpoints.http if self.endpoints else f"https://{service}.googleapis.com"

        if self._pace is not None:
            self._pace.take(bucket_of(service, verb))
        ends = time.monotonic() + self.deadline

        def once() -> requests.Response:
            try:
                reply = self.http.request(
                    verb,
                    f"{root}/{path}",
                    json=body,
                    params=query,
                    headers={REASON_HEADER: self.reason} if self.reason else None,
                    timeout=max(ends - time.monotonic(), LAST_ATTEMPT),
                    auth=functools.partial(_authorize, credentials),
                    allow_redirects=False,
                )
            except requests.Timeout:
                raise exceptions.GatewayTimeout(f"no answer from {service} in time") from None
            except requests.RequestException:
                raise exceptions.ServiceUnavailable(f"no answer from {service}") from None
            if reply.status_code >= 300:
                raise exceptions.from_http_status(reply.status_code, "", response=reply)
            return reply

        with self._translate(credentials, doing, refusals):
            _fetch_token(credentials)
            reply = self._retry(doing, repeatable=repeatable, deadline=self.deadline)(once)()
        try:
            return dict(reply.json()) if reply.content else {}
        except ValueError:
            raise UnavailableError(
                f"cannot {doing}: {service} answered something that is not JSON", hint="is a proxy in between?"
            ) from None

    @cached_property
    def http(self) -> requests.Session:
        """Connections without an identity."""
        session = self._open.enter_context(requests.Session())
        session.trust_env = self.endpoints is None
        return session

    def secret_manager(self, location: str = "") -> secretmanager_v1.SecretManagerServiceClient:
        """The Secret Manager client; regional secrets have an endpoint of their own."""
        if self._client is not None:
            return self._client
        if self.endpoints:
            transport = SecretManagerServiceGrpcTransport(channel=self.channel)
            return secretmanager_v1.SecretManagerServiceClient(transport=transport)
        options = {"api_endpoint": f"secretmanager.{location}.rep.googleapis.com"} if location else None
        with translate_errors("connect to Secret Manager"):
            client = secretmanager_v1.SecretManagerServiceClient(
                credentials=self.credentials,
                client_options=options,
                transport=functools.partial(SecretManagerServiceGrpcTransport, channel=_reconnecting_channel),
            )
        self._open.callback(client.transport.close)
        return client

    @cached_property
    def iam(self) -> iam_admin_v1.IAMClient:
        """The IAM admin client."""
        if self.endpoints:
            return iam_admin_v1.IAMClient(transport=IAMGrpcTransport(channel=self.channel))
        with translate_errors("connect to IAM"):
            client = iam_admin_v1.IAMClient(credentials=self.credentials)
        self._open.callback(client.transport.close)
        return client

    @cached_property
    def channel(self) -> grpc.Channel:
        """The loopback channel that all clients of the embedded cloud share."""
        channel = self.connect()
        self._open.callback(channel.close)
        return channel if self.credentials is None else grpc.intercept_channel(channel, _Bearer(self.credentials))

    def connect(self) -> grpc.Channel:
        """A bare channel to the embedded cloud; refused in words where there is none."""
        if self.endpoints is None:
            raise ConfigError("there is no embedded cloud to connect to")
        return grpc.insecure_channel(self.endpoints.grpc, options=[("grpc.enable_http_proxy", 0), *RECONNECT])

    def close(self) -> None:
        """End the connections; the session is not used again."""
        self._open.close()


def _reconnecting_channel(*arguments: Any, **settings: Any) -> grpc.Channel:
    """The channel that the client of Secret Manager would make itself, but for when it connects again."""
    options = [*(settings.pop("options", None) or ()), *RECONNECT]
    return SecretManagerServiceGrpcTransport.create_channel(*arguments, options=options, **settings)


def _fetch_token(credentials: TokenCredentials | None) -> None:
    """Fetch a token here, where a refusal still has its own words: from inside gRPC it would come out as UNAVAILABLE."""
    if credentials is not None and not credentials.valid:
        credentials.refresh(None)


def _authorize(credentials: TokenCredentials | None, request: Any) -> Any:
    """Add the token to a request; also keeps requests from looking into a .netrc, which it does when nobody else answers."""
    if credentials is not None:
        credentials.apply(request.headers)
    return request


@grpc.UnaryUnaryClientInterceptor.register  # grpc has no types to inherit from
class _Bearer:
    """Adds the bearer token on a loopback channel, where gRPC's own call credentials would ask for TLS."""

    def __init__(self, credentials: TokenCredentials) -> None:
        self._credentials = credentials

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        _fetch_token(self._credentials)
        metadata = [*(details.metadata or ()), ("authorization", f"Bearer {self._credentials.token}")]
        return continuation(details._replace(metadata=metadata), request)
