"""Credentials for Google's clients that follow a rotation: each use looks whether the secret holds another key than before."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from google.auth import credentials as base
from google.auth import exceptions as auth

from orchestra_creds.core.material import Material
from orchestra_creds.errors import CredsError
from orchestra_creds.gcp import key_file


class RotatingKeyCredentials(base.Credentials, base.Signing):
    """A service account by whichever key its secret holds now.

    A token is fetched with the newest key; when that key is refused, the secret is read anew and the token fetched once more.

    Args:
        read: returns the key file, as a rule from memory.
        replace: takes a key file that was refused; returns another one, or None if there is none.
        root: `http://127.0.0.1:PORT` of the embedded cloud, "" for Google.
        scopes: OAuth scopes of the tokens.
    """

    def __init__(
        self,
        read: Callable[[], Material],
        replace: Callable[[Material], Material | None],
        root: str,
        scopes: Sequence[str],
    ) -> None:
        base.Credentials.__init__(self)
        self._read, self._replace, self._root, self._scopes = read, replace, root, tuple(scopes)
        self._key: Material | None = None
        self._key_of_token: Material | None = None
        self._source: Any = None
        self._refreshing = threading.Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.signer_email!r})"

    @property
    def valid(self) -> bool:
        """Return whether there is a token that has not expired, of the key that the secret holds now."""
        return bool(super().valid) and not self._has_other_key()

    @property
    def token_state(self) -> Any:
        """Return the state of the token; one of another key than the secret holds now is invalid."""
        return base.TokenState.INVALID if self._has_other_key() else super().token_state

    def refresh(self, request: Any) -> None:
        """Fetch a token; see the class.

        Raises:
            google.auth.exceptions.RefreshError: the key is refused, and the secret holds no other one.
            CredsError: the secret cannot be read, or holds no key file.
        """
        before = self.token
        with self._refreshing:
            if self.token != before and self.valid:
                return  # another thread has just fetched one
            key = self._read()
            try:
                self._fetch(key, request)
            except auth.RefreshError:
                newer = self._replace(key)
                if newer is None:
                    raise
                self._fetch(newer, request)

    @property
    def signer(self) -> Any:
        """Return the signer of the newest key."""
        return self._newest().signer

    @property
    def signer_email(self) -> str | None:
        """Return the account's mail address; None before the first use."""
        return self._source.service_account_email if self._source is not None else None

    def sign_bytes(self, message: bytes) -> bytes:
        """Sign with the newest key, for example a URL of Cloud Storage."""
        return bytes(self._newest().sign_bytes(message))

    def _newest(self) -> Any:
        self._use(self._read())
        return self._source

    def _fetch(self, key: Material, request: Any) -> None:
        self._use(key)
        self._source.refresh(request)
        self.token, self.expiry, self._key_of_token = self._source.token, self._source.expiry, key

    def _use(self, key: Material) -> None:
        if self._source is None or key != self._key:
            self._source = key_file.credentials(key_file.parse(key), self._root).with_scopes(self._scopes)
            self._key = key

    def _has_other_key(self) -> bool:
        """Return whether the secret holds another key now; False if it cannot be read, because the token may still be good."""
        try:
            return self._key_of_token is not None and self._read() != self._key_of_token
        except CredsError:
            return False
