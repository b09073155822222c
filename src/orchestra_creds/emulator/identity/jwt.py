"""JSON Web Tokens with RS256, as Google's clients and endpoints write them; nothing else is accepted.

`parse_jwt` only takes a token apart; its caller must find the key and ask `signed_by`. A token that is malformed in any
way is None, never an exception, and no text of it is kept.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

_LARGEST = 1e15
"""Largest number that a claim may hold: no time is later, and NaN and infinities are none."""
LONGEST = 16_384
"""Characters of a token that is looked at."""


@dataclass(frozen=True, slots=True)
class ParsedJwt:
    """A token taken apart; nothing about it is proven yet."""

    key_id: str
    claims: dict[str, Any]
    signed: bytes
    signature: bytes

    def signed_by(self, key: RSAPublicKey) -> bool:
        """Whether the key's private half made the signature."""
        try:
            key.verify(self.signature, self.signed, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True

    def text(self, claim: str) -> str:
        """A claim that is text, or ""."""
        value = self.claims.get(claim)
        return value if isinstance(value, str) else ""

    def number(self, claim: str) -> float | None:
        """A claim that is a finite number, or None."""
        value = self.claims.get(claim)
        if not isinstance(value, int | float) or isinstance(value, bool) or not -_LARGEST <= value <= _LARGEST:
            return None
        return float(value)


def parse_jwt(text: str) -> ParsedJwt | None:
    """A compact RS256 token taken apart, or None."""
    parts = text.split(".")
    if len(parts) != 3 or len(text) > LONGEST:
        return None
    header, claims = _object(parts[0]), _object(parts[1])
    signature = decode_base64url(parts[2])
    if header is None or claims is None or signature is None or header.get("alg") != "RS256":
        return None
    key_id = header.get("kid", "")
    return ParsedJwt(key_id if isinstance(key_id, str) else "", claims, f"{parts[0]}.{parts[1]}".encode(), signature)


def write_jwt(claims: dict[str, Any], key: RSAPrivateKey, key_id: str) -> str:
    """A signed compact token."""
    header = {"alg": "RS256", "kid": key_id, "typ": "JWT"}
    signed = ".".join(encode_base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return f"{signed}.{encode_base64url(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def public_jwk(key: RSAPublicKey, key_id: str) -> dict[str, str]:
    """The key as an entry of a JSON Web Key Set."""
    numbers = key.public_numbers()
    return {
        "kty": "RSA",
        "alg": "RS256",
        "use": "sig",
        "kid": key_id,
        "n": encode_base64url(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8)),
        "e": encode_base64url(numbers.e.to_bytes(3)),
    }


def encode_base64url(data: bytes) -> str:
    """Base64 for URLs without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_base64url(text: str) -> bytes | None:
    """Return the bytes that `encode_base64url` wrote as this text; None when the text is not of that form."""
    try:
        return base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None


def _object(text: str) -> dict[str, Any] | None:
    data = decode_base64url(text)
    try:
        value = json.loads(data) if data is not None else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
