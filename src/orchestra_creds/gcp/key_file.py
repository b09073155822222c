"""Service-account key files: read strictly, and never allowed to choose a stranger as their token endpoint.

The file says where its signed assertion goes. Guarantees: the assertion goes to Google, or to the embedded cloud that is in use;
nothing of a file is ever quoted.
"""

import json
import re
from collections.abc import Mapping

from google.auth import exceptions as auth
from google.oauth2 import service_account

from orchestra_creds.core.google import CLOUD_SCOPE
from orchestra_creds.core.material import Material
from orchestra_creds.errors import ConfigError

GOOGLE_TOKEN_URIS = frozenset(
    {
        "https://oauth2.googleapis.com/token",
        "https://accounts.google.com/o/oauth2/token",
        "https://www.googleapis.com/oauth2/v4/token",
    }
)
_EMBEDDED_TOKEN_URI = re.compile(r"http://(?:127\.0\.0\.1|localhost|\[::1\]):[0-9]{1,5}/token")
_FIELDS = ("client_email", "private_key", "private_key_id", "token_uri")


def parse(key_file: Material) -> dict[str, object]:
    """The fields of a service-account key file.

    Raises:
        ConfigError: it is anything else.
    """
    try:
        info = json.loads(key_file.reveal())
    except (ValueError, RecursionError):
        info = None
    if (
        not isinstance(info, dict)
        or info.get("type") != "service_account"
        or not all(isinstance(info.get(field), str) for field in _FIELDS)
    ):
        raise ConfigError(
            "this is not a service-account key file",
            hint="it must be JSON with type, client_email, private_key and token_uri",
        )
    return info


def is_embedded(info: Mapping[str, object]) -> bool:
    """Whether an embedded cloud made the key; its port may have changed since."""
    return _EMBEDDED_TOKEN_URI.fullmatch(str(info["token_uri"])) is not None


def credentials(info: Mapping[str, object], embedded_root: str = "") -> service_account.Credentials:
    """What signs assertions with the key; `embedded_root` is `http://127.0.0.1:PORT` where the embedded cloud is meant.

    Raises:
        ConfigError: the file names a foreign token endpoint, or its private key cannot be loaded.
    """
    if embedded_root and is_embedded(info):
        info = {**info, "token_uri": f"{embedded_root}/token"}
    elif (
        info["token_uri"] not in GOOGLE_TOKEN_URIS or info.get("universe_domain", "googleapis.com") != "googleapis.com"
    ):
        raise ConfigError(
            "the key file names a token endpoint that is not Google's",
            hint="an assertion signed for a stranger would be a leak; check the file",
        )
    try:
        signer: service_account.Credentials = service_account.Credentials.from_service_account_info(
            info, scopes=[CLOUD_SCOPE]
        )
    except (ValueError, auth.GoogleAuthError):  # its text may quote the key
        raise ConfigError(
            f"the private key of {info['client_email']} cannot be loaded", hint="is the file whole? make a new key"
        ) from None
    return signer
