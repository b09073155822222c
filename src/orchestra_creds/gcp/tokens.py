"""TokenIssuer: proves that a key file authenticates, by asking the token endpoint and nothing else.

The file chooses where its assertion goes, so `token_uri` and `universe_domain` are checked first: only Google's endpoints, or the
embedded cloud of this session, ever see a signed assertion.
"""

import json
from datetime import UTC, datetime, timedelta

import requests
from google.auth import exceptions as auth
from google.auth.transport.requests import Request
from google.oauth2 import service_account

from orchestra_creds.core.credential import Token
from orchestra_creds.core.material import Material
from orchestra_creds.errors import ConfigError
from orchestra_creds.gcp.errors import from_status, refused, translated
from orchestra_creds.gcp.session import SCOPE, Session

GOOGLE_TOKEN_URIS = frozenset(
    {
        "https://oauth2.googleapis.com/token",
        "https://accounts.google.com/o/oauth2/token",
        "https://www.googleapis.com/oauth2/v4/token",
    }
)
LIFETIME = timedelta(hours=1)
"""What an access token is good for when the endpoint does not say (RFC 6749 leaves it out)."""


class KeyTokenIssuer:
    """Mints tokens for key files, and tells the operator's own identity."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def mint(self, key_file: Material) -> Token:
        """See TokenIssuer."""
        info = parse_key_file(key_file)
        mail = str(info["client_email"])
        self._check_endpoint(str(info["token_uri"]), str(info.get("universe_domain", "googleapis.com")))
        doing = f"authenticate as {mail}"
        try:
            credentials = service_account.Credentials.from_service_account_info(info, scopes=[SCOPE])
        except (ValueError, auth.GoogleAuthError):  # its text may quote the key
            raise ConfigError(f"cannot {doing}: the private key in the file cannot be loaded") from None
        with requests.Session() as transport, translated(doing):
            transport.trust_env = self._session.endpoints is None
            try:
                credentials.refresh(Request(_Timed(transport, self._session.deadline)))
            except auth.RefreshError as error:
                raise refused(error, doing) from None
        ends = credentials.expiry.replace(tzinfo=UTC) if credentials.expiry else datetime.now(UTC) + LIFETIME
        return Token(material=Material(credentials.token.encode()), expires=ends)

    def whoami(self) -> str:
        """See TokenIssuer."""
        credentials = self._session.credentials
        if credentials is None:
            return "anonymous"
        with translated("find out who you are"):
            credentials.refresh(Request())
        host = self._session.endpoints.http if self._session.endpoints else "https://oauth2.googleapis.com"
        try:
            headers = {"authorization": f"Bearer {credentials.token}"}
            reply = requests.post(f"{host}/tokeninfo", headers=headers, timeout=self._session.deadline)
            body = reply.json()
        except (requests.RequestException, ValueError):
            raise from_status("UNAVAILABLE", "no answer from the token endpoint", "find out who you are") from None
        return str(body.get("email") or body.get("sub") or "anonymous")

    def _check_endpoint(self, token_uri: str, universe: str) -> None:
        local = self._session.endpoints is not None and token_uri == f"{self._session.endpoints.http}/token"
        if not local and (token_uri not in GOOGLE_TOKEN_URIS or universe != "googleapis.com"):
            raise ConfigError(
                "the key file names a token endpoint that is not Google's",
                hint="an assertion signed for a stranger would be a leak; check the file",
            )


def parse_key_file(key_file: Material) -> dict[str, object]:
    """The fields of a service-account key file.

    Raises:
        ConfigError: it is anything else; nothing of it is quoted.
    """
    try:
        info = json.loads(key_file.reveal())
    except ValueError:
        info = None
    fields = ("client_email", "private_key", "private_key_id", "token_uri")
    if (
        not isinstance(info, dict)
        or info.get("type") != "service_account"
        or not all(isinstance(info.get(f), str) for f in fields)
    ):
        raise ConfigError(
            "this is not a service-account key file",
            hint="it must be JSON with type, client_email, private_key and token_uri",
        )
    return info


class _Timed(requests.Session):
    """A requests session whose every call ends after the deadline; google-auth's own default is two minutes."""

    def __init__(self, inner: requests.Session, deadline: float) -> None:
        super().__init__()
        self._inner, self._deadline = inner, deadline

    def request(self, method: str, url: str, **kwargs: object) -> requests.Response:  # type: ignore[override]
        return self._inner.request(method, url, **(kwargs | {"timeout": self._deadline}))  # type: ignore[arg-type]
