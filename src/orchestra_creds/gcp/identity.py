"""Who we are towards the cloud: credentials that hold tokens and do nothing else.

google-auth asks Google about "regional access boundaries", in the background and with the bearer token, whenever a service account's
own credentials are used for a call; `TokenCredentials` cannot. Every request for a token ends by a deadline.
"""

import logging
import time
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import google.auth
import requests
from google.auth import credentials as base
from google.auth import exceptions as auth
from google.auth.transport.requests import Request

from orchestra_creds.core.google import CLOUD_SCOPE
from orchestra_creds.core.material import Material
from orchestra_creds.core.text import os_error_text
from orchestra_creds.errors import ConfigError, NotFoundError
from orchestra_creds.gcp import key_file
from orchestra_creds.gcp.errors import translate_errors

UNKNOWN_LIFETIME = timedelta(minutes=5)
"""A token that does not say when it ends is asked for again after this."""
TOKEN_VARIABLE = "ORCHESTRA_CREDS_ACCESS_TOKEN"  # noqa: S105  # the name of a variable
GCLOUD_TOKEN_VARIABLE = "CLOUDSDK_AUTH_ACCESS_TOKEN"  # noqa: S105  # the name of a variable
EMULATOR_VARIABLE = "ORCHESTRA_CREDS_EMULATOR_GRPC"
KEY_FILE_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"

Fetch = Callable[[], tuple[str, datetime]]
"""Answers a token, and when it ends (aware)."""


class TokenCredentials(base.Credentials):
    """Tokens of one identity, fetched again when they end. `name` is its mail address where that is known.

    `quota_project` is the project that its calls are charged to, "" where that is the project of the identity itself.
    """

    def __init__(self, fetch: Fetch, *, name: str = "", quota_project: str = "") -> None:
        base.Credentials.__init__(self)
        self._fetch = fetch
        self.quota_project = quota_project
        self.name = name

    def refresh(self, request: object) -> None:
        """Fetch a token; the caller's transport is not used, for ours has a deadline."""
        del request
        self.token, ends = self._fetch()
        self.expiry = ends.astimezone(UTC).replace(tzinfo=None)  # google-auth counts in naive UTC

    def apply(self, headers: Any, token: str | None = None) -> None:
        """Add the token, and the project whose quota is used where the identity names one."""
        base.Credentials.apply(self, headers, token=token)
        if self.quota_project:
            headers["x-goog-user-project"] = self.quota_project


class TimedRequest:
    """google-auth's transport over `http`; all its calls together end by `deadline` seconds from now."""

    def __init__(self, http: requests.Session, deadline: float) -> None:
        self._request = Request(http)
        self._ends = time.monotonic() + deadline

    def __call__(self, url: str, method: str = "GET", **options: Any) -> Any:
        """One call; without time left it is refused as a connection would be."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise auth.TransportError("no time left")
        return self._request(url, method=method, **(options | {"timeout": left}))


def application_default(http: requests.Session, deadline: float) -> TokenCredentials:
    """The operator's Application Default Credentials for Google.

    Raises:
        AuthError: there are none.
    """
    logging.getLogger("google.auth").setLevel(
        logging.ERROR
    )  # its advice about projects is not ours: stderr has one voice
    with translate_errors("find credentials"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the same about quota projects
        source, _ = google.auth.default(scopes=[CLOUD_SCOPE])
    name = getattr(source, "service_account_email", "") or getattr(source, "account", "")
    known = name if "@" in (name or "") else ""  # on a machine of Google's it is `default` until the first token
    return tokens_of(source, http, deadline, name=known, quota_project=getattr(source, "quota_project_id", "") or "")


def embedded_credentials(
    environment: Mapping[str, str], root: str, http: requests.Session, deadline: float, *, owner_token: str = ""
) -> TokenCredentials | None:
    """The identity for the embedded cloud at `root`: a token or key file that the environment names, else its owner's.

    Without an owner's token that is None: the cloud does not ask who calls. Credentials of Google's are passed over, and so is
    gcloud's token unless the environment names this cloud, too: neither is any business of ours.

    Raises:
        NotFoundError: GOOGLE_APPLICATION_CREDENTIALS names a file that is not there.
        ConfigError: it names one that cannot be read, or whose key cannot be loaded.
    """
    if own := environment.get(TOKEN_VARIABLE):
        return _fixed_credentials(own)
    if found := _embedded_key(environment.get(KEY_FILE_VARIABLE, "")):
        return tokens_of(key_file.credentials(found, root), http, deadline, name=str(found["client_email"]))
    gcloud = environment.get(GCLOUD_TOKEN_VARIABLE, "") if environment.get(EMULATOR_VARIABLE) else ""
    return _fixed_credentials(gcloud or owner_token) if gcloud or owner_token else None


def _fixed_credentials(token: str) -> TokenCredentials:
    return TokenCredentials(lambda: (token, datetime.now(UTC) + timedelta(hours=1)))


def _embedded_key(path: str) -> dict[str, object] | None:
    """The key file at `path` when an embedded cloud made it."""
    if not path:
        return None
    try:
        content = Material(Path(path).read_bytes())
    except FileNotFoundError:
        raise NotFoundError(f"file not found: {path}", hint=f"check {KEY_FILE_VARIABLE}") from None
    except OSError as error:
        reason = os_error_text(error)
        raise ConfigError(f"cannot read {path}: {reason}", hint=f"check {KEY_FILE_VARIABLE}") from None
    try:
        info = key_file.parse(content)
    except ConfigError:
        return None  # another kind of credentials, made for Google
    return info if key_file.is_embedded(info) else None


def tokens_of(
    source: Any, http: requests.Session, deadline: float, *, name: str = "", quota_project: str = ""
) -> TokenCredentials:
    """Credentials that hold only the tokens of `source`."""

    def fetch() -> tuple[str, datetime]:
        source.refresh(TimedRequest(http, deadline))
        ends = source.expiry.replace(tzinfo=UTC) if source.expiry else datetime.now(UTC) + UNKNOWN_LIFETIME
        return str(source.token), ends

    return TokenCredentials(fetch, name=name, quota_project=quota_project)


def acting_as(account: str, ask: Callable[[str, object], Mapping[str, Any]]) -> TokenCredentials:
    """The service account, by way of somebody who may impersonate it; `ask(path, body)` calls IAM Credentials as that one."""

    def fetch() -> tuple[str, datetime]:
        path = f"v1/projects/-/serviceAccounts/{account}:generateAccessToken"
        reply = ask(path, {"scope": [CLOUD_SCOPE]})
        return str(reply["accessToken"]), datetime.fromisoformat(str(reply["expireTime"]))

    return TokenCredentials(fetch, name=account)
