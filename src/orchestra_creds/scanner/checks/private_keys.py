"""Checks of private keys in every file format: PEM, bare DER, PKCS#12, PuTTY, JWK, age, minisign, signify, WireGuard.

What each proves stands in its docstring. All of them only read: no key is derived from a guessed passphrase, except that
the checksum of a PKCS#12 file is tried with the few passwords that everybody knows, after a look at what that costs.
"""

import base64
import binascii
import hashlib
import hmac
import re
from itertools import islice

from orchestra_creds.scanner.checks import der, pem
from orchestra_creds.scanner.checks.entropy import entropy
from orchestra_creds.scanner.checks.google import clear_before, extent, service_account, stands_alone
from orchestra_creds.scanner.checks.plausible import is_placeholder
from orchestra_creds.scanner.checks.verdict import LOOK_BACK, LOOK_FORWARD, Check, CheckVerdict, Subject
from orchestra_creds.scanner.rule import Confidence

GOOGLE_P12_PASSWORD = "notasecret"  # noqa: S105  the same for every file that Google made, and documented
_WELL_KNOWN = ("", "changeit", "password")
_BECH32 = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_ARMOURED = re.compile(rb"KEY-----[\\nr\s\"'+,]{0,40}$")
_PUTTY = re.compile(
    rb"PuTTY-User-Key-File-([23]): ([\w@.-]{1,64})\r?\nEncryption: ([\w-]{1,32})\r?\nComment: ([^\r\n]{0,512})\r?\n"
    rb"Public-Lines: \d{1,3}\r?\n([A-Za-z0-9+/=\r\n]{1,4096})\r?\n(?:[A-Z][\w-]{1,30}: [^\r\n]{0,200}\r?\n){0,6}?"
    rb"Private-Lines: \d{1,3}\r?\n([A-Za-z0-9+/=\r\n]{1,8192})\r?\nPrivate-MAC: ([0-9a-f]{40,64})"
)
_JWK_FIELD = rb"""(?:\\*["']|[{,\s])(%s)(?:\\*["'])?\s{0,8}:\s{0,8}\\*["']([A-Za-z0-9_+/=-]{1,4096})\\*["']"""
_MOST_JWK_FIELDS = 64
_JWK_FIELDS = re.compile(_JWK_FIELD % rb"kty|crv|n|e|d|p|q|x|y|k")


def _pem(*labels: str, locked: bool = False) -> Check:
    """A check of PEM armour of some labels: proven when the key loads and its numbers fit, likely when it is locked.

    The key of a service account is left to the rule that knows whose it is.
    """

    def check(subject: Subject) -> CheckVerdict | None:
        armour = pem.parse_pem(subject)
        if armour is None or not armour.label.startswith(labels):
            return None
        proof = pem.prove(armour)
        if proof is None or (armour.locked or "locked" in proof[1]) != locked:
            return None
        low = max(subject.lo, subject.start - pem.MARGIN)
        high = armour.end if armour.whole else min(subject.hi, subject.start + pem.LONGEST)
        if armour.label in {"PRIVATE KEY", "RSA PRIVATE KEY"} and not locked:
            if service_account(subject) is not None:
                return None
            start, end, _ = extent(subject, armour.end)
            low, high = min(low, start), max(high, end)
        return CheckVerdict(armour.canonical(), proof[0], subject.start, armour.end, low, high, note=proof[1])

    return check


def der_in_base64(subject: Subject) -> CheckVerdict | None:
    """A base64 PKCS#8 key without armour; reported only when it loads and its numbers fit, so always proven."""
    if not clear_before(subject) or _ARMOURED.search(subject.before(64)):
        return None
    found = der.from_base64(subject.read(subject.start, subject.start + pem.LONGEST))
    proof = pem.load_der(found[0]) if found else None
    if found is None or proof is None or proof[0] is not Confidence.PROVEN:
        return None
    end = subject.start + found[1]
    armour = pem.PemBlock("PRIVATE KEY", base64.b64encode(found[0]), b"", locked=False, whole=True, end=end)
    low, high = max(subject.lo, subject.start - 64), min(subject.hi, end + 2)
    return CheckVerdict(armour.canonical(), proof[0], subject.start, end, low, high, note=proof[1])


def _pkcs12(*, google: bool) -> Check:
    """A check of PKCS#12 files, raw or in base64.

    Google's are those whose checksum fits the password that Google documents: proven. Others are proven when a password
    that everybody knows fits, else they may hold a key: possible.
    """

    def check(subject: Subject) -> CheckVerdict | None:
        raw = subject.read(subject.start, subject.start + LOOK_FORWARD)
        content, length = _pkcs12_file(raw)
        opens = content != b"" and der.pkcs12_opens(content, GOOGLE_P12_PASSWORD)
        if opens != google:
            return None
        if google:
            confidence, note = Confidence.PROVEN, "opens with the password of all such files"
        elif any(der.pkcs12_opens(content, password) for password in _WELL_KNOWN):
            confidence, note = Confidence.LIKELY, "opens with a password that everybody knows"
        else:
            confidence, note = Confidence.POSSIBLE, "locked with a passphrase"
        if not content:  # cut short, too long to read, or with indefinite lengths: its start stands for it
            content, length = raw[:1024], min(len(raw), 1024)
        end = subject.start + length
        reach = min(subject.hi, subject.start + LOOK_FORWARD) if length == 1024 else min(subject.hi, end + 2)
        return CheckVerdict(content, confidence, subject.start, end, subject.start, reach, note=note)

    return check


def _pkcs12_file(raw: bytes) -> tuple[bytes, int]:
    """The DER file that begins here, plain or in base64, and how many bytes it is written with."""
    if raw.startswith(b"M"):
        return der.from_base64(raw) or (b"", 0)
    outer = der.item(raw)
    length = outer[2] if outer is not None else 0
    return (raw[:length] if length <= len(raw) else b""), length


def pkcs12_rounds(subject: Subject) -> int:
    """How many hashes it takes to try one password on the PKCS#12 file that begins here."""
    return der.pkcs12_rounds(_pkcs12_file(subject.read(subject.start, subject.start + LOOK_FORWARD))[0])


def putty(subject: Subject) -> CheckVerdict | None:
    """A PuTTY key file. Proven when it is not locked and its own checksum holds, likely otherwise."""
    file = _PUTTY.match(subject.read(subject.start, subject.start + pem.LONGEST))
    if file is None:
        return None
    version, kind, encryption, comment, public, private, mac = file.groups()
    try:
        halves = [base64.b64decode(re.sub(rb"\s", b"", half)) for half in (public, private)]
    except binascii.Error:
        return None
    note, confidence = "locked with a passphrase", Confidence.LIKELY
    if encryption == b"none":
        signed = b"".join(len(text).to_bytes(4, "big") + text for text in (kind, encryption, comment, *halves))
        key = (
            hashlib.sha1(b"putty-private-key-file-mac-key", usedforsecurity=False).digest() if version == b"2" else b""
        )
        fits = hmac.digest(key, signed, "sha1" if version == b"2" else "sha256").hex() == mac.decode()
        note, confidence = kind.decode(), Confidence.PROVEN if fits else Confidence.LIKELY
    end = subject.start + file.end()
    return CheckVerdict(halves[1], confidence, subject.start, end, subject.start, end, note=note)


def _jwk(*kinds: bytes) -> Check:
    """A check of JSON Web Keys: an object with `kty` and `d`, or `k`. Proven when the private part yields the public one."""

    def check(subject: Subject) -> CheckVerdict | None:
        ahead = subject.before(LOOK_BACK)
        behind = subject.read(subject.start, subject.start + LOOK_BACK * 2)
        opening, closing = ahead.rfind(b"{"), behind.find(b"}")
        if opening < 0 or closing < 0 or ahead.find(b"}", opening) >= 0:
            return None
        text = ahead[opening:] + behind[: closing + 1]
        fields = {match[1].decode(): match[2] for match in islice(_JWK_FIELDS.finditer(text), _MOST_JWK_FIELDS)}
        secret = fields.get("k" if fields.get("kty") == b"oct" else "d", b"")
        if fields.get("kty") not in kinds or len(secret) < 22 or is_placeholder(secret) or entropy(secret) < 3.5:
            return None
        start, end = subject.start - len(ahead) + opening, subject.start + closing + 1
        confidence = Confidence.PROVEN if _jwk_fits(fields) else Confidence.LIKELY
        return CheckVerdict(secret, confidence, start, end, start, end, note=fields["kty"].decode())

    return check


def _number(text: bytes) -> int:
    return int.from_bytes(_urlsafe(text), "big")


def _urlsafe(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text.rstrip(b"=") + b"=" * (-len(text.rstrip(b"=")) % 4))


def _jwk_fits(fields: dict[str, bytes]) -> bool:
    """Whether the private number of the key belongs to its public ones."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519

    curves: dict[bytes, ec.EllipticCurve] = {
        b"P-256": ec.SECP256R1(),
        b"P-384": ec.SECP384R1(),
        b"P-521": ec.SECP521R1(),
        b"secp256k1": ec.SECP256K1(),
    }
    try:
        match fields:
            case {"kty": b"RSA", "n": n, "p": p, "q": q}:
                return _number(p) > 1 and _number(p) * _number(q) == _number(n)
            case {"kty": b"EC", "crv": curve, "d": d, "x": x} if curve in curves:
                return ec.derive_private_key(_number(d), curves[curve]).public_key().public_numbers().x == _number(x)
            case {"kty": b"OKP", "crv": b"Ed25519", "d": d, "x": x}:
                return ed25519.Ed25519PrivateKey.from_private_bytes(
                    _urlsafe(d)
                ).public_key().public_bytes_raw() == _urlsafe(x)
            case {"kty": b"OKP", "crv": b"X25519", "d": d, "x": x}:
                return x25519.X25519PrivateKey.from_private_bytes(
                    _urlsafe(d)
                ).public_key().public_bytes_raw() == _urlsafe(x)
            case _:
                return False
    except (ValueError, binascii.Error):
        return False


def age(subject: Subject) -> CheckVerdict | None:
    """An age identity. Its Bech32 checksum (BIP 173) holds, so it is proven; otherwise it is none."""
    if not stands_alone(subject):
        return None
    prefix, _, data = subject.material.lower().rpartition(b"1")
    values = (
        [letter >> 5 for letter in prefix]
        + [0]
        + [letter & 31 for letter in prefix]
        + [_BECH32.find(letter) for letter in data]
    )
    if min(values) < 0 or _polymod(values) != 1:
        return None
    low, high = max(subject.lo, subject.start - 6), min(subject.hi, subject.end + 1)
    return CheckVerdict(subject.material, Confidence.PROVEN, subject.start, subject.end, low, high)


def _polymod(values: list[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            checksum ^= generator if top >> bit & 1 else 0
    return checksum


def signify(subject: Subject) -> CheckVerdict | None:
    """A secret key of signify (104 bytes) or minisign (158). Proven when it is not locked and its checksum holds."""
    try:
        content = base64.b64decode(subject.material, validate=True)
    except binascii.Error:
        return None
    if not stands_alone(subject) or content[:2] != b"Ed":
        return None
    if len(content) == 104 and content[2:4] == b"BK":
        locked = content[4:8] != b"\0\0\0\0"
        proven = not locked and hashlib.sha512(content[40:104]).digest()[:8] == content[24:32]
    elif len(content) == 158 and content[4:6] == b"B2":
        locked = content[2:4] != b"\0\0"
        digest = hashlib.blake2b(content[:2] + content[54:126], digest_size=32).digest()
        proven = not locked and digest == content[126:158]
    else:
        return None
    confidence = Confidence.PROVEN if proven else Confidence.LIKELY
    low, high = max(subject.lo, subject.start - 6), min(subject.hi, subject.end + 1)
    note = "locked with a passphrase" if locked else ""
    return CheckVerdict(subject.material, confidence, subject.start, subject.end, low, high, note=note)


def wireguard(subject: Subject) -> CheckVerdict | None:
    """A WireGuard private key: 32 bytes, clamped as Curve25519 wants them, which one random value in 32 is."""
    try:
        key = base64.b64decode(subject.material, validate=True)
    except binascii.Error:
        return None
    if len(key) != 32 or key[0] & 7 or key[31] & 0xC0 != 0x40 or len(set(key)) < 16:
        return None
    return CheckVerdict(subject.material, Confidence.LIKELY, subject.start, subject.end, subject.start, subject.end)


_ASYMMETRIC = (
    "PRIVATE KEY",
    "RSA PRIVATE",
    "EC PRIVATE",
    "DSA PRIVATE",
    "ANY PRIVATE",
    "ECDSA PRIVATE",
    "ED25519 PRIVATE",
    "X25519 PRIVATE",
)

CHECKS: dict[str, Check] = {
    "pem": _pem(*_ASYMMETRIC),
    "pem-locked": _pem("ENCRYPTED PRIVATE", *_ASYMMETRIC, "OPENSSH PRIVATE", locked=True),
    "pem-openssh": _pem("OPENSSH PRIVATE"),
    "pem-pgp": _pem("PGP PRIVATE"),
    "der-base64": der_in_base64,
    "pkcs12-google": _pkcs12(google=True),
    "pkcs12": _pkcs12(google=False),
    "putty": putty,
    "jwk": _jwk(b"RSA", b"EC", b"OKP"),
    "jwk-shared": _jwk(b"oct"),
    "age": age,
    "signify": signify,
    "wireguard": wireguard,
}
