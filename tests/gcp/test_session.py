"""Deadlines, proxies, .netrc, endpoints and identities of a session."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import google.auth
import pytest
import requests
from google.auth import credentials as base
from requests.adapters import BaseAdapter

from orchestra_creds.emulator.server import control
from orchestra_creds.errors import (
    ApiDisabledError,
    AuthError,
    ConfigError,
    CredsError,
    QuotaProjectError,
    UnavailableError,
)
from orchestra_creds.gcp.identity import TokenCredentials
from orchestra_creds.gcp.policies import RestPolicyStore
from orchestra_creds.gcp.resources import RestProjectStore
from orchestra_creds.gcp.secrets import SecretManagerStore
from orchestra_creds.gcp.session import DEADLINE, LOCAL_DEADLINE, ApiSession, Endpoints
from tests import loopback

TOKEN = "made" + "-up-token"


class Account(base.Credentials):
    """Credentials as google.auth finds them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # google-auth is typed in parts

    service_account_email = "op@acme-dev.iam.gserviceaccount.com"
    quota_project_id = "acme-quota"

    def refresh(self, _request: Any) -> None:
        self.token = TOKEN


class Recorder(BaseAdapter):
    """Answers every request with `{}` and keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[requests.PreparedRequest] = []
        self.timeouts: list[float] = []
        self.body: dict[str, object] = {}

    def send(self, request: requests.PreparedRequest, *_rest: Any, **options: Any) -> requests.Response:
        self.seen.append(request)
        self.timeouts.append(options["timeout"])
        reply = requests.Response()
        reply.status_code = 200
        reply._content = json.dumps(self.body).encode()
        reply.request, reply.url = request, str(request.url)
        return reply

    def close(self) -> None:
        return None


@pytest.fixture(autouse=True)
def nothing_leaves_the_loopback() -> Iterator[None]:
    with loopback.guarded():
        yield


@pytest.fixture
def google_session(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ApiSession, Recorder]]:
    """A session for Google whose HTTP calls are recorded."""
    monkeypatch.setattr(google.auth, "default", lambda **_options: (Account(), "p"))
    session, recorder = ApiSession("acme-dev"), Recorder()
    session.http.mount("https://", recorder)
    yield session, recorder
    session.close()


@pytest.fixture
def silent() -> Iterator[Endpoints]:
    """A port that takes connections and never says anything."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        port = listener.getsockname()[1]
        yield Endpoints(f"127.0.0.1:{port}", f"http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    "call",
    [
        lambda session: SecretManagerStore(session).get_secret("n"),
        lambda session: SecretManagerStore(session).create_secret("n"),
        lambda session: session.rest("try", "GET", "iam", "v1/x", repeatable=True),
        lambda session: session.rest("try", "POST", "iam", "v1/x"),
    ],
    ids=["read", "write", "rest read", "rest write"],
)
def test_a_service_that_never_answers_is_given_up_at_the_deadline(
    silent: Endpoints, call: Callable[[ApiSession], object]
) -> None:
    session = ApiSession("demo-project", endpoints=silent, environment={})
    session.deadline = 1.2
    started = time.monotonic()
    with pytest.raises(UnavailableError):
        call(session)
    assert time.monotonic() - started < 4
    session.close()


def test_google_has_ten_seconds_and_this_machine_five(
    google_session: tuple[ApiSession, Recorder], silent: Endpoints
) -> None:
    session, recorder = google_session
    session.rest("look", "GET", "iam", "v1/projects/p/serviceAccounts")
    assert [0 < timeout <= DEADLINE for timeout in recorder.timeouts] == [True]
    assert (DEADLINE, ApiSession("p", endpoints=silent).deadline) == (10.0, LOCAL_DEADLINE)


def test_what_is_audited_is_written_in_the_policy_version_that_keeps_conditions(
    google_session: tuple[ApiSession, Recorder],
) -> None:
    session, recorder = google_session
    RestProjectStore(session).set_audit({"iam.googleapis.com": frozenset({"DATA_READ"})})
    body = json.loads(recorder.seen[-1].body or b"")
    assert (body["policy"]["version"], body["updateMask"]) == (3, "auditConfigs,etag")


class Refuser(Recorder):
    """Answers every request that the API is off in the project that it is charged to, which Google names by its number."""

    def send(self, request: requests.PreparedRequest, *rest: Any, **options: Any) -> requests.Response:
        facts = {"service": "iam.googleapis.com", "consumer": "projects/123456789012"}
        detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED", "metadata": facts}
        self.body = {
            "error": {"code": 403, "status": "PERMISSION_DENIED", "message": "It is off.", "details": [detail]}
        }
        reply = super().send(request, *rest, **options)
        reply.status_code = 403
        return reply


@pytest.mark.parametrize(
    ("quota_project", "error", "hint"),
    [
        ("acme-quota", QuotaProjectError, "gcloud auth application-default set-quota-project acme-dev; or: "),
        ("acme-dev", ApiDisabledError, "gcloud services enable iam.googleapis.com --project=acme-dev"),
        (None, ApiDisabledError, "gcloud services enable iam.googleapis.com --project=acme-dev"),
    ],
)
def test_an_api_that_is_off_in_the_quota_project_is_not_sought_in_the_one_that_is_worked_on(
    google_session: tuple[ApiSession, Recorder],
    monkeypatch: pytest.MonkeyPatch,
    quota_project: str | None,
    error: type[CredsError],
    hint: str,
) -> None:
    session, _ = google_session
    monkeypatch.setattr(Account, "quota_project_id", quota_project)
    session.http.mount("https://", Refuser())
    with pytest.raises(error) as caught:
        session.rest("look", "GET", "iam", "v1/projects/acme-dev/serviceAccounts")
    assert caught.value.hint.startswith(hint)


def test_a_proxy_of_the_environment_never_sees_the_embedded_cloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with control.start_in_process(tmp_path / "emulator.db") as running:
        session = ApiSession(
            "demo-project", endpoints=Endpoints(running.endpoints.grpc, running.endpoints.http), environment={}
        )
        SecretManagerStore(session).create_secret("n")
        assert RestPolicyStore(session).get_policy("projects/demo-project/secrets/n").bindings == ()
        session.close()


def test_a_netrc_does_not_replace_the_token(
    google_session: tuple[ApiSession, Recorder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    session, recorder = google_session
    session.rest("look", "GET", "iam", "v1/projects/p/serviceAccounts")
    headers = recorder.seen[0].headers
    assert (headers["authorization"], headers["x-goog-user-project"]) == (f"Bearer {TOKEN}", "acme-quota")


def test_regional_secrets_are_asked_for_in_their_region(google_session: tuple[ApiSession, Recorder]) -> None:
    session, recorder = google_session
    RestPolicyStore(session).get_policy("projects/p/locations/europe-west3/secrets/n")
    RestPolicyStore(session).get_policy("projects/p/secrets/n")
    hosts = [str(request.url).split("/")[2] for request in recorder.seen]
    assert hosts == ["secretmanager.europe-west3.rep.googleapis.com", "secretmanager.googleapis.com"]


def test_credentials_hold_tokens_and_nothing_that_looks_things_up(google_session: tuple[ApiSession, Recorder]) -> None:
    session, recorder = google_session
    credentials = session.credentials
    assert isinstance(credentials, TokenCredentials)
    assert (credentials.name, type(credentials).__mro__[1]) == (Account.service_account_email, base.Credentials)
    headers: dict[str, str] = {}
    credentials.before_request(None, "GET", "https://iam.googleapis.com/", headers)  # type: ignore[no-untyped-call]
    assert (headers["authorization"], recorder.seen) == (f"Bearer {TOKEN}", [])


def test_impersonation_asks_google_for_a_token_and_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(google.auth, "default", lambda **_options: (Account(), "p"))
    session, recorder = ApiSession("acme-dev", impersonate="rotator@acme-dev.iam.gserviceaccount.com"), Recorder()
    recorder.body = {"accessToken": "of-the-" + "rotator", "expireTime": "2100-01-01T00:00:00Z"}
    session.http.mount("https://", recorder)
    session.rest("look", "GET", "iam", "v1/x")
    asked, used = recorder.seen
    assert str(asked.url) == (
        "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
        "rotator@acme-dev.iam.gserviceaccount.com:generateAccessToken"
    )
    assert (asked.headers["authorization"], used.headers["authorization"]) == (
        f"Bearer {TOKEN}",
        "Bearer of-the-rotator",
    )
    session.close()


@pytest.mark.parametrize("path", ["v1/../x", "v1//x", "v1/a?b", "v1/a#b", "v1/a%2fb", "v1/ä", "v1/a b"])
def test_a_path_that_is_no_name_is_not_called(google_session: tuple[ApiSession, Recorder], path: str) -> None:
    session, recorder = google_session
    with pytest.raises(ConfigError):
        session.rest("look", "GET", "iam", path)
    assert recorder.seen == []


def test_without_credentials_one_is_told_to_log_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path) if name == "CLOUDSDK_CONFIG" else "")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    session = ApiSession("acme-dev")
    with pytest.raises(AuthError) as caught:
        SecretManagerStore(session)
    assert "gcloud auth application-default login" in caught.value.hint
    session.close()
