"""Tokens that the embedded cloud gives out: opaque access tokens, and ID tokens that everybody can verify.

Of an access token only a digest is kept, with whom it stands for, its scopes and its end on the emulator's clock. ID
tokens are signed by one key of the whole cloud, whose public half the certificate endpoints show.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from orchestra_creds.emulator.iam import accounts, key_records
from orchestra_creds.emulator.identity import jwt
from orchestra_creds.emulator.protocol.errors import unauthenticated_error
from orchestra_creds.emulator.protocol.service import Caller
from orchestra_creds.emulator.store.store import Txn

TOKEN = "token"  # noqa: S105  # a kind of resource
LIFETIME = timedelta(hours=1)
"""How long a token is good for unless somebody asks for less."""
ISSUER = "https://accounts.google.com"
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"

_SCOPE = re.compile(r"https://www\.googleapis\.com/auth/[a-z0-9._/-]+|openid|email|profile")
_SIGNER = "id token signer"


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """What an access token stands for. `expires` is Unix time; `subject` is an account's unique id or a federated name."""

    principal: str
    subject: str
    email: str
    scopes: tuple[str, ...]
    expires: float
    through: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    @property
    def caller(self) -> Caller:
        """The caller who shows the token."""
        return Caller(self.principal, through=self.through, also=self.also)


def are_scopes(texts: Iterable[str]) -> bool:
    """Return whether each text has the form of an OAuth scope of Google's."""
    return all(_SCOPE.fullmatch(text) for text in texts)


def issue(txn: Txn, grant: TokenGrant) -> str:
    """A new access token."""
    text = "ya29.c." + secrets.token_urlsafe(48)
    name = _digest(text)
    txn.put(TOKEN, name, json.dumps(asdict(grant)).encode())
    txn.schedule(TOKEN, name, datetime.fromtimestamp(grant.expires, UTC))
    return text


def look_up(txn: Txn, text: str) -> TokenGrant | None:
    """What a token stands for; None when it never was, has ended, was revoked, or its account is gone or disabled."""
    body = txn.get(TOKEN, _digest(text))
    if body is None:
        return None
    fields = json.loads(body)
    grant = TokenGrant(**{**fields, **{name: tuple(fields[name]) for name in ("scopes", "through", "also")}})
    if grant.expires <= txn.now.timestamp():
        return None
    if grant.principal.startswith("serviceAccount:"):
        account = accounts.find(txn, grant.email)
        if account is None or account.disabled or account.unique_id != grant.subject:
            return None
    elif grant.principal.startswith("principal:"):
        pool = txn.get("pool", grant.subject)
        if pool is None or json.loads(pool).get("disabled") or json.loads(pool)["state"] != "ACTIVE":
            return None
    return grant


def revoke(txn: Txn, text: str) -> bool:
    """End a token now; False when there is none."""
    txn.unschedule(TOKEN, _digest(text))
    return txn.delete(TOKEN, _digest(text))


def for_account(
    txn: Txn, account: Any, scopes: tuple[str, ...], *, lifetime: timedelta = LIFETIME, through: tuple[str, ...] = ()
) -> tuple[str, datetime]:
    """A new access token for a service account, and when it ends."""
    expires = txn.now + lifetime
    grant = TokenGrant(
        f"serviceAccount:{account.email}", account.unique_id, account.email, scopes, expires.timestamp(), through
    )
    return issue(txn, grant), expires


def id_token(txn: Txn, account: Any, audience: str, *, email: bool) -> str:
    """An ID token of a service account for an audience."""
    now = int(txn.now.timestamp())
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": audience,
        "azp": account.unique_id,
        "sub": account.unique_id,
        "iat": now,
        "exp": now + int(LIFETIME.total_seconds()),
    }
    if email:
        claims |= {"email": account.email, "email_verified": True}
    key_id, private = signer(txn)
    return jwt.write_jwt(claims, private, key_id)


def signer(txn: Txn) -> tuple[str, rsa.RSAPrivateKey]:
    """The key pair that signs ID tokens; made at first need, sealed like a payload."""
    sealed = txn.unseal(_SIGNER)
    if sealed is None:
        private = key_records.new_private_key()
        data = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        sealed = key_records.new_id().encode() + b"\n" + data
        txn.seal(_SIGNER, sealed)
    key_id, _, data = sealed.partition(b"\n")
    private_key = serialization.load_pem_private_key(data, None)
    assert isinstance(private_key, rsa.RSAPrivateKey)  # noqa: S101  # written above
    return key_id.decode(), private_key


def purge_token(name: str, txn: Txn) -> None:
    """The timer of a token that has ended."""
    txn.delete(TOKEN, name)


def refusal() -> Exception:
    """What Google answers to a bearer token that it does not take."""
    return unauthenticated_error(
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
        "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
