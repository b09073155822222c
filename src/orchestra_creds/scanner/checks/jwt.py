"""Checks of JSON Web Tokens: the header and the claims are read, never the signature, for that needs somebody's key.

A token is reported with what its claims say: algorithm, issuer, when it ends. Whether that time has passed is not judged
here, because a verdict must not depend on the clock.
"""

import base64
import binascii
import json
import re
from datetime import UTC, datetime

from orchestra_creds.scanner.checks.google import clear_before
from orchestra_creds.scanner.checks.verdict import Check, CheckVerdict, Subject
from orchestra_creds.scanner.rule import Confidence

_REST = re.compile(rb"([A-Za-z0-9_-]{0,8192})\.([A-Za-z0-9_-]{0,1400})")
_ENCRYPTED = re.compile(rb"(eyJ[\w-]{16,2000})\.([\w-]{0,1400})\.([\w-]{8,64})\.([\w-]{8,6000})\.([\w-]{16,64})")
_GOOGLE = re.compile(
    r"(?:https://)?accounts\.google\.com|[\w.-]+@[\w.-]+\.gserviceaccount\.com|https://securetoken\.google\.com/.+"
)
_TEXTBOOK = ("1234567890", "John Doe")
"""Subject and name of the token that every tutorial shows."""


def _json(part: bytes) -> dict[str, object] | None:
    try:
        value = json.loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _token(issued_by: str) -> Check:
    """A check of tokens that Google signed, or a service account for Google; of keys of Supabase for all data; or of all others."""

    def check(subject: Subject) -> CheckVerdict | None:
        rest = _REST.match(subject.read(subject.end, subject.end + 10_000))
        if rest is None or not clear_before(subject):
            return None
        end = subject.end + rest.end()
        whole = subject.material + rest[0]
        header, claims = (_json(part) for part in whole.split(b".")[:2])
        if header is None or claims is None or not isinstance(header.get("alg"), str):
            return None
        if _is_public(header, claims) or _issuer(claims) != issued_by:
            return None
        if claims.get("sub") == _TEXTBOOK[0] or claims.get("name") == _TEXTBOOK[1]:
            return None
        if str(header["alg"]).lower() == "none" or len(rest[2]) < 20:
            return None  # nobody who checks signatures takes it
        reach = min(subject.hi, end + 1)
        return CheckVerdict(
            whole,
            Confidence.LIKELY,
            subject.start,
            end,
            max(subject.lo, subject.start - 6),
            reach,
            note=_about(header, claims),
        )

    return check


def _issuer(claims: dict[str, object]) -> str:
    issuer = claims.get("iss")
    if isinstance(issuer, str) and _GOOGLE.fullmatch(issuer):
        return "google"
    return "supabase" if claims.get("role") == "service_role" else ""


def _is_public(header: dict[str, object], claims: dict[str, object]) -> bool:
    """Whether everybody may have the token: an anonymous or demonstration key of Supabase, or a claim of NATS, which only names keys."""
    nats = claims.get("nats")
    return (
        claims.get("iss") == "supabase-demo"
        or (claims.get("role") == "anon" and "ref" in claims)
        or (header["alg"] == "ed25519-nkey" and isinstance(nats, dict))
    )


def _about(header: dict[str, object], claims: dict[str, object]) -> str:
    """What the token says of itself in words that cannot hold a secret: a known algorithm and a time."""
    algorithm = str(header["alg"])
    parts = [algorithm if re.fullmatch(r"[A-Za-z0-9-]{2,12}", algorithm) else "unknown algorithm"]
    match claims.get("exp"):
        case int(expires) | float(expires) if 0 < expires < 1 << 36:
            parts.append(f"until {datetime.fromtimestamp(expires, UTC):%Y-%m-%dT%H:%M:%SZ}")
        case _:
            parts.append("without an end")
    return ", ".join(parts)


def encrypted_token(subject: Subject) -> CheckVerdict | None:
    """A JSON Web Encryption in five parts: its header names how it is encrypted, and who can use it need not read it."""
    rest = _ENCRYPTED.match(subject.read(subject.start, subject.start + 10_000))
    header = _json(rest[1]) if rest else None
    if rest is None or header is None or not clear_before(subject):
        return None
    if not isinstance(header.get("enc"), str) or not isinstance(header.get("alg"), str):
        return None
    end = subject.start + rest.end()
    low, high = max(subject.lo, subject.start - 6), min(subject.hi, end + 1)
    return CheckVerdict(rest[0], Confidence.LIKELY, subject.start, end, low, high, note="encrypted")


CHECKS: dict[str, Check] = {
    "jwt": _token(""),
    "jwt-google": _token("google"),
    "jwt-supabase": _token("supabase"),
    "jwe": encrypted_token,
}
