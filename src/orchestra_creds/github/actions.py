"""Secrets of GitHub Actions, of a repository or of one of its environments (docs.github.com/rest/actions/secrets).

The value is sealed here to the public key that GitHub gives (libsodium's sealed box), so it leaves this process only encrypted to it.
The token that may write secrets is read from a secret when it is needed, and goes into one header. Nothing of an answer is quoted.
"""

import base64
import re
from collections.abc import Callable
from typing import Any

import requests

from orchestra_creds.core.material import Material
from orchestra_creds.errors import (
    AuthError,
    ConfigError,
    CredsError,
    NotFoundError,
    PreconditionError,
    UnavailableError,
)

API = "https://api.github.com"
DEADLINE = 10.0
"""Seconds one request may take."""
LARGEST = 48 * 1024
"""Bytes a secret may have (docs.github.com/actions/security-for-github-actions/security-guides/using-secrets-in-github-actions)."""
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")
_NAME = re.compile(r"(?!GITHUB_)[A-Za-z_][A-Za-z0-9_]*")
_API = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]+)?(?:/[A-Za-z0-9/_-]*)?|http://(?:127\.0\.0\.1|localhost):[0-9]+")


class ActionsSecret:
    """See Destination. `token` answers the material of a token that may write secrets of the repository."""

    def __init__(
        self,
        name: str,
        repository: str,
        secret: str,
        token: Callable[[], Material],
        *,
        environment: str = "",
        api: str = API,
    ) -> None:
        if not _REPOSITORY.fullmatch(repository) or not _NAME.fullmatch(secret):
            raise ConfigError(
                f"{repository}: {secret!r} cannot be a GitHub secret",
                hint="OWNER/REPOSITORY, and letters, digits and _",
            )
        if not _API.fullmatch(api):
            raise ConfigError(f"{api!r} is no address of a GitHub API", hint="https://HOST/api/v3")
        self.name = name
        place = f"repos/{repository}" + (f"/environments/{environment}" if environment else "/actions")
        self._root = f"{api.rstrip('/')}/{place}/secrets"
        self._secret = secret
        self._token = token

    def check(self) -> None:
        """See Destination: the public key can only be read by who may write secrets."""
        self._sealer()
        self._public_key()

    def put(self, material: Material, *, identifier: str, version: int) -> None:  # noqa: ARG002  GitHub keeps no number
        """See Destination."""
        if len(material) > LARGEST:
            raise ConfigError(f"{self.name}: {len(material)} bytes, GitHub takes {LARGEST}")
        seal = self._sealer()
        key_id, key = self._public_key()
        body = {"encrypted_value": base64.b64encode(seal(key, material.reveal())).decode(), "key_id": key_id}
        self._call("PUT", self._secret, body)

    def _public_key(self) -> tuple[str, bytes]:
        answer = self._call("GET", "public-key")
        try:
            return str(answer["key_id"]), base64.b64decode(str(answer["key"]), validate=True)
        except (KeyError, ValueError):
            raise UnavailableError(f"{self.name}: GitHub's answer holds no public key") from None

    def _call(self, verb: str, path: str, body: object = None) -> dict[str, Any]:
        try:
            reply = requests.request(
                verb,
                f"{self._root}/{path}",
                json=body,
                headers={"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"},
                auth=self._authorize,
                timeout=DEADLINE,
                allow_redirects=False,
            )
        except requests.RequestException:
            raise UnavailableError(f"{self.name}: no answer from GitHub", hint="the next run repeats it") from None
        if reply.status_code >= requests.codes.multiple_choices:
            raise self._refusal_error(reply)
        try:
            return dict(reply.json()) if reply.content else {}
        except ValueError:
            raise UnavailableError(f"{self.name}: GitHub answered something that is not JSON") from None

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token().reveal().decode('ascii', 'ignore').strip()}"
        return request

    def _refusal_error(self, reply: requests.Response) -> CredsError:
        limited = reply.headers.get("x-ratelimit-remaining") == "0" or "retry-after" in reply.headers
        match reply.status_code:
            case 401:
                return AuthError(f"{self.name}: GitHub refuses the token", hint="is it expired? store a new one")
            case 403 | 429 if limited or reply.status_code == 429:
                return UnavailableError(f"{self.name}: GitHub's rate limit is used up", hint="the next run repeats it")
            case 403:
                return AuthError(f"{self.name}: the token may not write secrets", hint="it needs `secrets: write`")
            case 404:
                return NotFoundError(
                    f"{self.name}: there is no such repository or environment for this token", hint="check the names"
                )
            case status if status >= requests.codes.server_error:
                return UnavailableError(f"{self.name}: GitHub answered {status}", hint="the next run repeats it")
        return PreconditionError(f"{self.name}: GitHub answered {reply.status_code}")

    def _sealer(self) -> Callable[[bytes, bytes], bytes]:
        try:
            from nacl.public import PublicKey, SealedBox  # an extra, which may be missing
        except ImportError:
            raise ConfigError(
                f"{self.name}: the GitHub destination is not installed",
                hint="pip install 'orchestra-creds[github]'",
            ) from None
        return lambda key, data: bytes(SealedBox(PublicKey(key)).encrypt(data))
