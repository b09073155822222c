"""Fake keys and key files for samples: real in form, worthless in use, made at run time and kept for the process.

Primes are drawn from seeded randomness, so a key is the same in every process; the number of a hole is its size in bits
or picks a variant. Formats that salt themselves (locked keys, PKCS#12, OpenSSH) are new in every process, once.
"""

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Callable
from functools import cache

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12

from orchestra_creds.scanner.checks.pem import crc24

MAIL_NAME, PROJECT = "deployer", "acme-prod-42"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_SMALL = [
    number for number in range(3, 2000, 2) if all(number % divisor for divisor in range(3, 45, 2) if divisor < number)
]


def _prime(bits: int, random_: random.Random) -> int:
    """A probable prime with its two highest bits set; Fermat's test suffices for fakes."""
    while True:
        number = random_.getrandbits(bits) | 3 << (bits - 2) | 1
        if all(number % small for small in _SMALL) and number % 65537 != 1 and pow(2, number - 1, number) == 1:
            return number


@cache
def _rsa(bits: int, kind: str) -> bytes:
    random_ = random.Random(f"rsa {bits}")  # noqa: S311  fake keys
    p, q = _prime(bits // 2, random_), _prime(bits // 2, random_)
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    key = numbers.private_key(unsafe_skip_rsa_key_validation=True)
    form = {
        "pkcs1": serialization.PrivateFormat.TraditionalOpenSSL,
        "openssh": serialization.PrivateFormat.OpenSSH,
    }.get(kind, serialization.PrivateFormat.PKCS8)
    lock = serialization.BestAvailableEncryption(b"correct horse") if kind == "locked" else serialization.NoEncryption()
    if kind in {"notasecret", "p12"}:
        return _pkcs12(key, b"notasecret" if kind == "notasecret" else b"correct horse")
    encoding = serialization.Encoding.DER if kind == "der" else serialization.Encoding.PEM
    return key.private_bytes(encoding, form, lock)


def _pkcs12(key: RSAPrivateKey, password: bytes) -> bytes:
    mac = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(2048).hmac_hash(hashes.SHA1())  # noqa: S303  as Google made them
    locked = mac.key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC).build(password)
    return pkcs12.serialize_key_and_certificates(b"privatekey", key, None, None, locked)


@cache
def _ec(kind: str) -> bytes:
    secret = hashlib.sha256(b"orchestra-creds sample").digest()
    unlocked, armoured = serialization.NoEncryption(), serialization.Encoding.PEM
    if kind == "sec1":
        key = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
        return key.private_bytes(armoured, serialization.PrivateFormat.TraditionalOpenSSL, unlocked)
    form = serialization.PrivateFormat.OpenSSH if kind == "openssh" else serialization.PrivateFormat.PKCS8
    return ed25519.Ed25519PrivateKey.from_private_bytes(secret).private_bytes(armoured, form, unlocked)


def pem(bits: int, kind: str = "pkcs8") -> str:
    """An RSA key of so many bits in PEM: `pkcs8`, `pkcs1`, `openssh` or `locked`."""
    return _rsa(bits, kind).decode().strip()


@cache
def service_account(bits: int) -> dict[str, str]:
    """The fields of a service-account key file, in Google's order."""
    random_ = random.Random(f"service account {bits}")  # noqa: S311  fake keys
    mail = f"{MAIL_NAME}@{PROJECT}.iam.gserviceaccount.com"
    certificates = "https://www.googleapis.com/"
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": random_.randbytes(20).hex(),
        "private_key": _rsa(bits, "pkcs8").decode(),
        "client_email": mail,
        "client_id": str(random_.randrange(10**20, 10**21)),
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
        "auth_provider_x509_cert_url": f"{certificates}oauth2/v1/certs",
        "client_x509_cert_url": f"{certificates}robot/v1/metadata/x509/{mail.replace('@', '%40')}",
        "universe_domain": "googleapis.com",
    }


def _urlsafe(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _google_token(kind: int, random_: random.Random) -> str:
    """A Google id token (1), a service account's assertion (2), or a token of nobody known without a signature (3)."""
    issuer = {1: "https://accounts.google.com", 2: service_account(1024)["client_email"]}.get(kind, "acme")
    claims = {"iss": issuer, "sub": str(random_.randrange(10**20)), "aud": "acme", "exp": 1893456000}
    header = {"alg": "none" if kind == 3 else "RS256", "typ": "JWT"}
    parts = [_urlsafe(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims)]
    return ".".join([*parts, "" if kind == 3 else _urlsafe(random_.randbytes(256))])


def _pgp(length: int, random_: random.Random) -> str:
    packet = b"\x95" + length.to_bytes(2, "big") + b"\x04" + random_.randbytes(length - 1)
    checksum = base64.b64encode(crc24(packet).to_bytes(3, "big")).decode()
    body = base64.encodebytes(packet).decode()
    return f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{body}={checksum}\n-----END PGP PRIVATE KEY BLOCK-----"


def _putty(version: int, random_: random.Random) -> str:
    """A PuTTY key file of version 2 or 3, not locked."""
    kind, comment, halves = "ssh-ed25519", "laptop", (random_.randbytes(51), random_.randbytes(36))
    texts = (kind.encode(), b"none", comment.encode(), *halves)
    signed = b"".join(len(text).to_bytes(4, "big") + text for text in texts)
    key = hashlib.sha1(b"putty-private-key-file-mac-key", usedforsecurity=False).digest() if version == 2 else b""
    mac = hmac.digest(key, signed, "sha1" if version == 2 else "sha256").hex()
    public, private = (base64.encodebytes(half).decode() for half in halves)
    head = f"PuTTY-User-Key-File-{version}: {kind}\nEncryption: none\nComment: {comment}\n"
    return f"{head}Public-Lines: 1\n{public}Private-Lines: 1\n{private}Private-MAC: {mac}"


def _jwk(kind: int, random_: random.Random) -> str:
    """A private JSON Web Key: Ed25519 (1), its public half only (2), or a shared one (3)."""
    secret = random_.randbytes(32)
    public = ed25519.Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    fields = {"kty": "OKP", "crv": "Ed25519", "x": _urlsafe(public)}
    match kind:
        case 1:
            fields["d"] = _urlsafe(secret)
        case 3:
            fields = {"kty": "oct", "k": _urlsafe(secret), "alg": "HS256"}
        case _:
            pass
    return json.dumps(fields)


def _age(_: int, random_: random.Random) -> str:
    bits = "".join(f"{byte:08b}" for byte in random_.randbytes(32)) + "0000"
    data = [int(bits[at : at + 5], 2) for at in range(0, 260, 5)]
    prefix = "age-secret-key-"
    values = [ord(letter) >> 5 for letter in prefix] + [0] + [ord(letter) & 31 for letter in prefix] + data + [0] * 6
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            checksum ^= generator if top >> bit & 1 else 0
    checksum ^= 1
    letters = data + [checksum >> 5 * (5 - index) & 31 for index in range(6)]
    return f"{prefix}1{''.join(_BECH32[letter] for letter in letters)}".upper()


def _signify(locked: int, random_: random.Random) -> str:
    """The second line of a signify secret key; the number is the rounds of its lock, 0 for none."""
    secret = random_.randbytes(64)
    checksum = hashlib.sha512(secret).digest()[:8]
    return base64.b64encode(
        b"EdBK" + locked.to_bytes(4, "big") + random_.randbytes(16) + checksum + random_.randbytes(8) + secret
    ).decode()


def _minisign(_: int, random_: random.Random) -> str:
    """The second line of a minisign secret key without a lock."""
    secret = random_.randbytes(72)
    digest = hashlib.blake2b(b"Ed" + secret, digest_size=32).digest()
    return base64.b64encode(b"Ed\0\0B2" + bytes(48) + secret + digest).decode()


def _wireguard(_: int, random_: random.Random) -> str:
    key = bytearray(random_.randbytes(32))
    key[0] &= 248
    key[31] = key[31] & 127 | 64
    return base64.b64encode(key).decode()


def _basic(length: int, random_: random.Random) -> str:
    """A name and a password of that length, as the Basic scheme writes them."""
    password = "".join(random_.choices("abcdefghkmnpqrstuvwxyzABCDEFGHKMNPQRSTUVWXYZ23456789", k=length - 2))
    return base64.b64encode(f"deploy:4{password}z".encode()).decode()


def _escape(text: str) -> str:
    return json.dumps(text)[1:-1]


MAKERS: dict[str, Callable[[int, random.Random], str]] = {
    "pem": lambda bits, _: pem(bits),
    "pemline": lambda bits, _: _escape(pem(bits)),
    "pkcs1": lambda bits, _: pem(bits, "pkcs1"),
    "openssh": lambda bits, _: pem(bits, "openssh"),
    "lockedpem": lambda bits, _: pem(bits, "locked"),
    "derbase64": lambda bits, _: base64.b64encode(_rsa(bits, "der")).decode(),
    "p12": lambda bits, _: base64.b64encode(_rsa(bits, "p12")).decode(),
    "googlep12": lambda bits, _: base64.b64encode(_rsa(bits, "notasecret")).decode(),
    "sec1": lambda _, __: _ec("sec1").decode().strip(),
    "ed25519": lambda _, __: _ec("pkcs8").decode().strip(),
    "opensshed25519": lambda _, __: _ec("openssh").decode().strip(),
    "sajson": lambda bits, _: json.dumps(service_account(bits), indent=2),
    "saline": lambda bits, _: json.dumps(service_account(bits), separators=(",", ":")),
    "saescaped": lambda bits, _: _escape(json.dumps(service_account(bits))),
    "sabase64": lambda bits, _: base64.b64encode(json.dumps(service_account(bits), indent=2).encode()).decode(),
    "samail": lambda bits, _: service_account(bits)["client_email"],
    "gtoken": _google_token,
    "basic": _basic,
    "pgp": _pgp,
    "putty": _putty,
    "jwk": _jwk,
    "age": _age,
    "signify": _signify,
    "minisign": _minisign,
    "wireguard": _wireguard,
}
"""Holes of `sample.render`: name -> (number, random) -> text."""
