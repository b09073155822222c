"""Structure checks of vendors' tokens: checksums, layouts and the letters that must stand around them.

A checksum that holds proves the token (`PROVEN`), whatever letters stand around it; one that does not hold refuses it, because these formats always carry
one. The other checks refuse what only looks like a token, or widen a match to the whole token where the pattern starts
at the distinctive part in its middle.
"""

import base64
import binascii
import re
import zlib

from orchestra_creds.core.record import replace
from orchestra_creds.scanner.checks.plausible import has_run, is_placeholder
from orchestra_creds.scanner.checks.verdict import Check, CheckVerdict, Subject
from orchestra_creds.scanner.libraries import LazyRegex
from orchestra_creds.scanner.rule import Confidence

_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_INSTANCE_LETTERS = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-"
_SHORTEST_BODY = 36
"""Letters behind the prefix of a token with a checksum of GitHub's kind; what follows them may be another text."""

_EMULATOR_KEYS = (b"Eby8vdM02xNOcqFlqUwJPLlm", b"C2y6yDjf5/R+ob0N8A7Cgv30")
"""How the two published account keys start: of the Azure storage emulator and of the Cosmos DB emulator."""

_STAND_IN = LazyRegex("(?i)example|placeholder")
_NOT_STRIPE = re.compile(rb"[0-9a-f]{40}|a2V5Xz.*")
_HEXADECIMAL = re.compile(rb"[0-9A-Fa-f-]+")
_NO_SECRET = LazyRegex(
    r"(?i)(?:md5|sha-?[0-9]{0,3}|hash|digest|checksum|finger_?print|commit|revision|etag|uuid|(secret)?(?:[_.-]id|(?-i:Id)))[\\\"'`\s\v:=>]{1,8}$"
)
"""What names a hexadecimal value that is no secret; where its group took part, a `secret_id`, which is one."""

_IN_BASE64 = LazyRegex(r"[0-9A-Za-z+/]{32}[+/]$")
"""What stands before a token that is cut out of the base64 of an image or a file."""

_NAMED = 40
"""How far before a hexadecimal value the name is read that says it is a hash or an id, in bytes."""

_OTHER_PARAMETER = LazyRegex(r"(?:^|[?&; ]|amp;)(?:s[vepr]|skn|se)=")
_SIGNED = 240
"""How far around a signature its other parameters are looked for, in bytes."""


def digits(number: int, base: int, width: int) -> str:
    """`number` in digits, then upper-case, then lower-case letters (base 36: digits and lower-case), zero-padded."""
    alphabet = _BASE36 if base == len(_BASE36) else _BASE62
    text = ""
    while number:
        number, digit = divmod(number, base)
        text = alphabet[digit] + text
    return text.rjust(width, "0")


def base62_crc(body: bytes) -> bytes:
    """Six base62 digits of the CRC32 of `body` (GitHub's and npm's token checksum)."""
    return digits(zlib.crc32(body), 62, 6).encode()


def base36_crc(body: bytes) -> bytes:
    """Seven base36 digits of the CRC32 of `body` (GitLab's routable tokens)."""
    return digits(zlib.crc32(body), 36, 7).encode()


def _verdict(subject: Subject, confidence: Confidence, note: str = "", *, back: int = 0) -> CheckVerdict:
    """A verdict on the material, widened by `back` bytes to the left; it depends on the letter before and behind too."""
    start = subject.start - back
    material = subject.before(back) + subject.material
    read_from, read_to = max(start - 1, subject.lo), min(subject.end + 1, subject.hi)
    return CheckVerdict(material, confidence, start, subject.end, read_from, read_to, note=note)


def _crc62(subject: Subject) -> CheckVerdict | None:
    """GitHub and npm: the last six letters are the CRC32 of those between the prefix and them."""
    prefix, _, body = subject.material.partition(b"_")
    for size in (len(body), _SHORTEST_BODY):
        if base62_crc(body[: size - 6]) == body[size - 6 : size]:
            end = subject.start + len(prefix) + 1 + size
            return CheckVerdict(
                subject.material[: end - subject.start],
                Confidence.PROVEN,
                subject.start,
                end,
                subject.start,
                subject.end,
            )
    return None


def _gitlab_routable(subject: Subject) -> CheckVerdict | None:
    """GitLab: the last seven letters are the CRC32 of everything before them, the instance's own prefix included."""
    body, checksum = subject.material[:-7], subject.material[-7:]
    if base36_crc(body) == checksum:
        return _verdict(subject, Confidence.PROVEN, _route(body))
    ahead = subject.before(20)
    for back in range(2, len(ahead) - len(ahead.rstrip(_INSTANCE_LETTERS)) + 1):
        if base36_crc(subject.before(back) + body) == checksum:
            return _verdict(subject, Confidence.PROVEN, _route(body), back=back)
    return None


def _route(body: bytes) -> str:
    """The ids that a routable token names, as GitLab writes them: organization, group, project and user in base 36."""
    encoded = body.partition(b"-")[2].partition(b".")[0].rpartition(b"_")[2]
    try:
        decoded = base64.urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4))[:-17]
    except binascii.Error:
        return ""
    names = {b"o": "organization", b"g": "group", b"p": "project", b"u": "user"}
    parts = [line.partition(b":") for line in decoded.split(b"\n")]
    ids = [
        f"{names[key]} {int(value, 36)}"
        for key, _, value in parts
        if key in names and re.fullmatch(rb"[0-9a-z]{1,12}", value)
    ]
    return ", ".join(ids)


def _pypi(subject: Subject) -> CheckVerdict:
    """PyPI: a macaroon (version 2) whose location is the index; it is proven when every field can be read."""
    encoded = subject.material.partition(b"-")[2]
    location = "test.pypi.org" if encoded.startswith(b"AgEN") else "pypi.org"
    try:
        raw = base64.urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4))
    except binascii.Error:
        return _verdict(subject, Confidence.LIKELY, location)
    return _verdict(subject, Confidence.PROVEN if _is_macaroon(raw) else Confidence.LIKELY, location)


def _is_macaroon(raw: bytes) -> bool:
    """Whether `raw` is fields (type, length, bytes; type 0 ends a section) up to a signature of 32 bytes at the end."""
    position = 1
    while position < len(raw):
        kind = raw[position]
        if kind == 0:
            position += 1
            continue
        length, size = 0, 0
        while position + 1 + size < len(raw) and size < 3:
            byte = raw[position + 1 + size]
            length |= (byte & 0x7F) << (7 * size)
            size += 1
            if byte < 0x80:
                break
        position += 1 + size + length
        if kind == 6:
            return length == 32 and position == len(raw)
    return False


def _aws_key_id(subject: Subject) -> CheckVerdict | None:
    """AWS: ids made since 2019 carry the account in their first ten base32 letters (Amazon's documentation of key ids)."""
    letters = subject.material[4:]
    if is_placeholder(subject.material):
        return None
    if letters[:1] in b"IJ":
        return _verdict(subject, Confidence.LIKELY)
    number = int.from_bytes(base64.b32decode(letters)[:6], "big")
    account = (number & 0x7FFF_FFFF_FF80) >> 7
    known = account < 10**12
    return _verdict(subject, Confidence.LIKELY, f"account {account:012d}" if known else "")


def _token(subject: Subject) -> CheckVerdict | None:
    """Somebody's value: not written to be replaced, not copied from a manual, not named as a hash or an id."""
    if is_placeholder(subject.material) or _IN_BASE64.is_in(subject.before(_NAMED)):
        return None
    read_from = max(subject.start - _NAMED, subject.lo)
    if not _HEXADECIMAL.fullmatch(subject.material):
        return replace(_verdict(subject, Confidence.LIKELY), read_from=read_from)
    named = _NO_SECRET.search(subject.before(_NAMED))
    if named is not None and named[1][0] < 0:
        return None
    return replace(_verdict(subject, Confidence.LIKELY), read_from=read_from)


def _holds(material: bytes, *kinds: bytes) -> bool:
    """Whether the material has a letter of every kind."""
    return all(re.search(kind, material) for kind in kinds)


def _mixed_token(subject: Subject) -> CheckVerdict | None:
    """A random token has digits and letters; a name, a word or a number does not."""
    return _token(subject) if _holds(subject.material, rb"[0-9]", rb"[A-Za-z]") else None


def _mixed_case_token(subject: Subject) -> CheckVerdict | None:
    """A random token of many base64 letters has digits and both cases; a hash or a path does not."""
    return _token(subject) if _holds(subject.material, rb"[0-9]", rb"[A-Z]", rb"[a-z]") else None


def _possible(check: Check) -> Check:
    """The same check, for a shape that other things have too."""

    def grade_verdict(subject: Subject) -> CheckVerdict | None:
        verdict = check(subject)
        return None if verdict is None else replace(verdict, confidence=Confidence.POSSIBLE)

    return grade_verdict


def _aws_session(subject: Subject) -> CheckVerdict | None:
    """Session tokens hold long runs of one letter, so only the manual's word gives its examples away."""
    return None if b"EXAMPLE" in subject.material.upper() else _verdict(subject, Confidence.LIKELY)


def _aws_pair(subject: Subject) -> CheckVerdict | None:
    """AWS: the forty letters beside the id look random, not like a hash."""
    mixed = _holds(subject.material[-40:], rb"[0-9]", rb"[A-Z]", rb"[a-z]")
    return _token(subject) if mixed else None


def _stripe(subject: Subject) -> CheckVerdict | None:
    """Not a word; and behind the same prefix, forty hexadecimal letters are Paystack's and base64 of `key_` is WorkOS's."""
    body = subject.material.rpartition(b"_")[2]
    return None if (body.islower() and body.isalpha()) or _NOT_STRIPE.fullmatch(body) else _token(subject)


def _jwt_tail(subject: Subject) -> CheckVerdict | None:
    """The part of the token that is a JWT has a header that names its algorithm."""
    header = subject.material[subject.material.index(b"eyJ") :].partition(b".")[0]
    try:
        decoded = base64.urlsafe_b64decode(header + b"=" * (-len(header) % 4))
    except binascii.Error:
        return None
    return _token(subject) if b'"alg"' in decoded else None


def _azure_account_key(subject: Subject) -> CheckVerdict | None:
    """An account key that is not one of the two that the emulators publish."""
    return None if subject.material.startswith(_EMULATOR_KEYS) else _mixed_case_token(subject)


def _azure_signature(subject: Subject) -> CheckVerdict | None:
    """A signature of 32 bytes with the other parameters of a shared access signature beside it."""
    raw = subject.material.replace(b"%2B", b"+").replace(b"%2b", b"+").replace(b"%2F", b"/").replace(b"%2f", b"/")
    raw = raw.replace(b"%3D", b"=").replace(b"%3d", b"=")
    beside = subject.before(_SIGNED) + subject.after(_SIGNED)
    if not re.fullmatch(rb"[0-9A-Za-z+/]{43}=", raw) or not _OTHER_PARAMETER.is_in(beside):
        return None
    read_from, read_to = max(subject.start - _SIGNED, subject.lo), min(subject.end + _SIGNED, subject.hi)
    return CheckVerdict(raw, Confidence.LIKELY, subject.start, subject.end, read_from, read_to)


def _token_end(alphabet: str, length: int) -> Check:
    """The check that the match is the end of a token: exactly `length` letters of `alphabet` stand before it."""
    letters = alphabet.encode()

    def check(subject: Subject) -> CheckVerdict | None:
        before = subject.before(length + 1)
        if len(before) - len(before.rstrip(letters)) != length or _STAND_IN.is_in(before) or has_run(before.lower(), 8):
            return None
        return _verdict(subject, Confidence.LIKELY, back=length)

    return check


CHECKS: dict[str, Check] = {
    "crc62": _crc62,
    "gitlab-routable": _gitlab_routable,
    "pypi-macaroon": _pypi,
    "aws-key-id": _aws_key_id,
    "aws-pair": _aws_pair,
    "aws-session": _aws_session,
    "token": _token,
    "token-possible": _possible(_token),
    "mixed": _mixed_token,
    "mixed-possible": _possible(_mixed_token),
    "mixed-case": _mixed_case_token,
    "mixed-case-possible": _possible(_mixed_case_token),
    "stripe": _stripe,
    "jwt-tail": _jwt_tail,
    "azure-account-key": _azure_account_key,
    "azure-signature": _azure_signature,
    "behind-14-letters": _token_end(_BASE62, 14),
    "behind-32-hex": _token_end("0123456789abcdef", 32),
    "behind-33-base64": _token_end(_BASE62 + "+/", 33),
    "behind-42-base64": _token_end(_BASE62 + "+/", 42),
    "behind-44-urlsafe": _token_end(_BASE62 + "_-", 44),
    "behind-52-letters": _token_end(_BASE62, 52),
    "behind-76-base64": _token_end(_BASE62 + "+/", 76),
}
"""Name, as rules write it, to check; `registry.families` holds them too."""
