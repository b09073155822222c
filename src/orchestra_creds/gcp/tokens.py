"""TokenIssuer: proves that a key file authenticates, by asking the token endpoint and nothing else; and tells who we are."""

from datetime import UTC, datetime, timedelta

import requests
from google.oauth2.service_account import Credentials

from orchestra_creds.core.cloud_types import Token
from orchestra_creds.core.material import Material
from orchestra_creds.gcp import key_file as files
from orchestra_creds.gcp.errors import from_status, proving, translate_errors
from orchestra_creds.gcp.identity import TimedRequest
from orchestra_creds.gcp.session import ApiSession

LIFETIME = timedelta(hours=1)
"""What an access token is good for when the endpoint does not say (RFC 6749 leaves it out)."""


class KeyTokenIssuer:
    """Mints tokens for key files, and tells the operator's own identity."""

    def __init__(self, session: ApiSession) -> None:
        self._session = session
        self._signer: tuple[Material, Credentials] | None = None

    def mint(self, key_file: Material) -> Token:
        """See TokenIssuer."""
        signer = self._signer
        if (
            signer is None or signer[0] != key_file
        ):  # a key is minted with several times in a row, and loading it takes 30 ms
            info = files.parse(key_file)
            root = self._session.endpoints.http if self._session.endpoints else ""
            self._signer = signer = key_file, files.credentials(info, root)
        credentials = signer[1]
        with proving(f"authenticate as {credentials.service_account_email}"):
            credentials.refresh(TimedRequest(self._session.http, self._session.deadline))
        ends = credentials.expiry.replace(tzinfo=UTC) if credentials.expiry else datetime.now(UTC) + LIFETIME
        return Token(material=Material(str(credentials.token).encode()), expires=ends)

    def whoami(self) -> str:
        """See TokenIssuer."""
        credentials = self._session.credentials
        if credentials is None:
            return "anonymous"
        doing = "find out who you are"
        with translate_errors(doing):
            credentials.refresh(None)
        if credentials.name:
            return credentials.name
        host = self._session.endpoints.http if self._session.endpoints else "https://oauth2.googleapis.com"
        try:
            reply = self._session.http.post(
                f"{host}/tokeninfo", data={"access_token": credentials.token}, timeout=self._session.deadline
            )
            body = reply.json()
        except (requests.RequestException, ValueError):
            raise from_status("UNAVAILABLE", "no answer from the token endpoint", doing) from None
        return str(body.get("email") or body.get("sub") or "anonymous")
