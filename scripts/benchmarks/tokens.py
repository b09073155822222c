"""Fake credentials of more than a hundred kinds, written from the formats that providers publish.

Nothing here reads the scanner's rules: shapes, lengths and checksums are written down a second time, so that a wrong
rule and a wrong sample cannot agree by accident. Everything is drawn from one seeded `Dice`, RSA keys
included, so the same seed gives the same corpus (but for the salts of encrypted keys, which the library draws). No text in this file is itself shaped like a credential.
"""

import base64
import hashlib
import hmac
import json
import re
import string
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from benchmarks.primes import Dice

B62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
ALPHABETS = {
    "b62": B62,
    "b64": B62 + "+/",
    "u64": B62 + "-_",
    "hex": string.hexdigits[:16],
    "HEX": string.digits + "ABCDEF",
    "d": string.digits,
    "az": string.ascii_lowercase,
    "AZ": string.ascii_uppercase,
    "Az": string.ascii_letters,
    "a9": string.ascii_lowercase + string.digits,
    "A9": string.ascii_uppercase + string.digits,
    "b32": string.ascii_uppercase + "234567",
}
_HOLE = re.compile(r"\{(\w+):(\d+)(?:-(\d+))?\}")
_CALL = re.compile(r"\{(\w+)\}")


class Kind(StrEnum):
    """What shape a credential has, which decides the wrappings that are plausible for it."""

    TOKEN = "token"  # noqa: S105 - one line that names itself by a prefix or a fixed part
    CONTEXT = "context"  # one line that only its variable's name gives away
    PAIR = "pair"  # several assignments that belong together
    URL = "url"  # a URL or connection string
    DOCUMENT = "document"  # a JSON object
    PEM = "pem"  # armoured lines
    FILE = "file"  # a file of its own format
    BINARY = "binary"  # a binary file


@dataclass(frozen=True, slots=True)
class Secret:
    """One fake credential: `values` are name and text, in order; a file has one value, named by its file name."""

    kind: Kind
    values: tuple[tuple[str, str], ...]
    data: bytes = b""

    @property
    def name(self) -> str:
        """The variable (or file) name of the first value."""
        return self.values[0][0]

    @property
    def text(self) -> str:
        """The first value."""
        return self.values[0][1]


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of credential: how one is made, its group, and the words a well-named finding would use."""

    name: str
    group: str
    words: tuple[str, ...]
    make: Callable[[Dice], Secret] = field(repr=False)
    kind: Kind


def fill(template: str, rng: Dice) -> str:
    """The template with `{alphabet:length}`, `{alphabet:low-high}` and `{uuid}` filled."""

    def letters(hole: re.Match[str]) -> str:
        low = int(hole[2])
        length = rng.randint(low, int(hole[3])) if hole[3] else low
        return "".join(rng.choices(ALPHABETS[hole[1]], k=length))

    def call(hole: re.Match[str]) -> str:
        return {"uuid": uuid}[hole[1]](rng)

    return _CALL.sub(call, _HOLE.sub(letters, template))


def uuid(rng: Dice) -> str:
    """A random (version 4) UUID."""
    digits = "".join(rng.choices("0123456789abcdef", k=32))
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{rng.choice('89ab')}{digits[17:20]}-{digits[20:]}"


def base62(number: int, width: int) -> str:
    """`number` in base 62 (digits, capitals, small letters), padded with zeros."""
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = B62[digit] + digits
    return digits.rjust(width, "0")


def base36(number: int, width: int) -> str:
    """`number` in base 36 with small letters, padded with zeros."""
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = ALPHABETS["d"][digit] + digits if digit < 10 else ALPHABETS["az"][digit - 10] + digits
    return digits.rjust(width, "0")


def b64url(data: bytes) -> str:
    """URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def checked(prefix: str, rng: Dice) -> str:
    """A GitHub or npm token: 30 letters and the CRC32 of them as six base62 digits."""
    body = fill("{b62:30}", rng)
    return prefix + body + base62(zlib.crc32(body.encode()), 6)


def miscounted(prefix: str, rng: Dice) -> str:
    """The same shape with a checksum that cannot be right."""
    body = fill("{b62:30}", rng)
    return prefix + body + base62((zlib.crc32(body.encode()) + 1 + rng.randrange(1 << 20)) % (1 << 32), 6)


def routable(rng: Dice) -> str:
    """GitLab's routable token: payload, its length in base 36, and the CRC32 of all before it in base 36."""
    routing = f"o:{rng.randint(1, 99)}\nu:{base36(rng.randrange(36**4), 4)}".encode()
    payload = b64url(routing + rng.randbytes(16) + bytes([16]))
    text = f"glpat-{payload}.{base36(len(payload), 2)}"
    return text + base36(zlib.crc32(text.encode()), 7)


def jwt(rng: Dice, header: dict[str, object], claims: dict[str, object]) -> str:
    """A JSON web token signed as its header says: RS256 with a real key, else HMAC with a random one."""
    head = b64url(json.dumps(header, separators=(",", ":")).encode())
    body = b64url(json.dumps(claims, separators=(",", ":")).encode())
    signed = f"{head}.{body}".encode()
    if header["alg"] == "RS256":
        signature = rsa_key(rng).sign(signed, padding.PKCS1v15(), hashes.SHA256())
    else:
        signature = hmac.new(rng.randbytes(32), signed, hashlib.sha256).digest()
    return f"{head}.{body}.{b64url(signature)}"


def rsa_key(rng: Dice) -> rsa.RSAPrivateKey:
    """A valid 2048-bit key; the numbers come from a pool of seeded primes, each pair used for one key."""
    prime, other = rng.prime_pair()
    exponent = 65537
    private = pow(exponent, -1, (prime - 1) * (other - 1))
    numbers = rsa.RSAPrivateNumbers(
        p=prime,
        q=other,
        d=private,
        dmp1=private % (prime - 1),
        dmq1=private % (other - 1),
        iqmp=pow(other, -1, prime),
        public_numbers=rsa.RSAPublicNumbers(exponent, prime * other),
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, form: str) -> str:
    """The key as text: `pkcs8`, `traditional` or `openssh`."""
    formats = {
        "pkcs8": serialization.PrivateFormat.PKCS8,
        "traditional": serialization.PrivateFormat.TraditionalOpenSSL,
        "openssh": serialization.PrivateFormat.OpenSSH,
    }
    return key.private_bytes(serialization.Encoding.PEM, formats[form], serialization.NoEncryption()).decode()


def project(rng: Dice) -> str:
    """A project id of Google Cloud."""
    words = ("ledger", "atlas", "harbor", "meadow", "copper", "signal", "willow", "quartz", "falcon", "ember")
    return f"{rng.choice(words)}-{rng.choice(words)}-{rng.randint(100000, 499999)}"


def service_account(rng: Dice) -> dict[str, str]:
    """A service-account key file, field by field as Google's console writes it."""
    name = project(rng)
    mail = f"{rng.choice(('deploy', 'ci-runner', 'reporting', 'backup', 'ingest'))}@{name}.iam.gserviceaccount.com"
    certificates = "https://www.googleapis.com/robot/v1/metadata/x509/"
    return {
        "type": "service_account",
        "project_id": name,
        "private_key_id": fill("{hex:40}", rng),
        "private_key": pem(rsa_key(rng), "pkcs8"),
        "client_email": mail,
        "client_id": fill("1{d:20}", rng),
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
        "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
        "client_x509_cert_url": certificates + mail.replace("@", "%40"),
        "universe_domain": "googleapis.com",
    }


def authorized_user(rng: Dice) -> dict[str, str]:
    """Application default credentials of a person."""
    return {
        "account": "",
        "client_id": fill("{d:12}-{a9:32}.apps.googleusercontent.com", rng),
        "client_secret": fill("GOCSPX-{u64:28}", rng),
        "quota_project_id": project(rng),
        "refresh_token": fill("1//0{d:1}{u64:100}", rng),
        "type": "authorized_user",
        "universe_domain": "googleapis.com",
    }


def impersonated(rng: Dice) -> dict[str, object]:
    """Impersonation of a service account by a person whose refresh token is inside."""
    target = f"deploy@{project(rng)}.iam.gserviceaccount.com"
    source = authorized_user(rng)
    return {
        "delegates": [],
        "service_account_impersonation_url": f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{target}:generateAccessToken",
        "source_credentials": {key: source[key] for key in ("client_id", "client_secret", "refresh_token", "type")},
        "type": "impersonated_service_account",
    }


def client_secret_file(rng: Dice) -> dict[str, object]:
    """An OAuth client as the console lets one download it."""
    return {
        "installed": {
            "client_id": fill("{d:12}-{a9:32}.apps.googleusercontent.com", rng),
            "project_id": project(rng),
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": "https://oauth2.googleapis.com/token",
            "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
            "client_secret": fill("GOCSPX-{u64:28}", rng),
            "redirect_uris": ["http://localhost"],
        }
    }


def google_services(rng: Dice) -> dict[str, object]:
    """The Android file of a Firebase project, with its API key."""
    number = fill("{d:12}", rng)
    return {
        "project_info": {"project_number": number, "project_id": project(rng)},
        "client": [
            {
                "client_info": {"mobilesdk_app_id": f"1:{number}:android:{fill('{hex:22}', rng)}"},
                "oauth_client": [],
                "api_key": [{"current_key": fill("AIza{u64:35}", rng)}],
            }
        ],
        "configuration_version": "1",
    }


def p12(rng: Dice) -> bytes:
    """A legacy service-account key: PKCS#12 under the password that Google gives to all of them."""
    key = rsa_key(rng)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, fill("{d:21}", rng))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(rng.getrandbits(60))
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2035, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    lock = serialization.BestAvailableEncryption(b"notasecret")
    return pkcs12.serialize_key_and_certificates(b"privatekey", key, certificate, None, lock)


def encrypted_pem(rng: Dice) -> str:
    """A PKCS#8 key under a pass phrase."""
    lock = serialization.BestAvailableEncryption(fill("{b62:20}", rng).encode())
    data = rsa_key(rng).private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
    return data.decode()


def pgp(rng: Dice) -> str:
    """An armoured OpenPGP private key block: the armour and its CRC-24 are real, the packets are noise."""
    data = b"\x95\x03\x98\x04" + rng.randbytes(900)
    crc = 0xB704CE
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc = (crc << 1) ^ 0x1864CFB if crc & 0x800000 else crc << 1
    text = base64.b64encode(data).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    check = base64.b64encode((crc & 0xFFFFFF).to_bytes(3, "big")).decode()
    kind = "PGP PRIVATE KEY BLOCK"
    return "\n".join([f"-----BEGIN {kind}-----", "", *lines, f"={check}", f"-----END {kind}-----", ""])


def elliptic(rng: Dice) -> ec.EllipticCurvePrivateKey:
    """A P-256 key."""
    return ec.derive_private_key(rng.getrandbits(255) | 1, ec.SECP256R1())


def edwards(rng: Dice) -> ed25519.Ed25519PrivateKey:
    """An Ed25519 key."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))


def macaroon(rng: Dice) -> str:
    """A package-index token: a version 2 macaroon whose location field is the index's host."""
    host = b"pypi.org"
    identifier = uuid(rng).encode()
    data = b"\x02\x01" + bytes([len(host)]) + host + b"\x02" + bytes([len(identifier)]) + identifier + b"\x00"
    caveat = json.dumps({"version": 1, "permissions": "user"}).encode()
    data += b"\x02" + bytes([len(caveat)]) + caveat + b"\x00\x00\x06\x20" + rng.randbytes(32)
    return "pypi-" + b64url(data)


def sentry(rng: Dice) -> str:
    """An organisation token: JSON that names the organisation, then 32 random bytes."""
    claims = {
        "iat": 1.6e9 + rng.randint(0, 10**8),
        "url": "https://sentry.io",
        "region_url": "https://us.sentry.io",
        "org": rng.choice(("acme", "initech", "umbrella")),
    }
    payload = base64.b64encode(json.dumps(claims).encode()).decode()
    return f"sntrys_{payload}_{base64.b64encode(rng.randbytes(32)).rstrip(b'=').decode()}"


def grafana_cloud(rng: Dice) -> str:
    """A cloud access policy token: base64 of JSON."""
    claims = {"o": fill("{d:6}", rng), "n": "stack-writer", "k": fill("{b62:24}", rng), "m": {"r": "us"}}
    return "glc_" + base64.b64encode(json.dumps(claims, separators=(",", ":")).encode()).decode()


def one_password(rng: Dice) -> str:
    """A service-account token: base64 of JSON after its prefix."""
    claims = {
        "signInAddress": "acme.1password.com",
        "userAuth": {"method": "SRPg-4096", "alg": "PBES2g-HS256"},
        "email": fill("{a9:13}@1passwordserviceaccounts.com", rng),
        "srpX": fill("{hex:64}", rng),
        "muk": {"alg": "A256GCM", "k": fill("{u64:43}", rng)},
        "secretKey": fill("{A9:32}", rng),
    }
    return "ops_" + b64url(json.dumps(claims, separators=(",", ":")).encode())


def mapbox(rng: Dice) -> str:
    """A secret map token: JSON with the account, then 16 random bytes."""
    claims = {"u": fill("{az:8}", rng), "a": fill("ck{a9:23}", rng)}
    return f"sk.{b64url(json.dumps(claims, separators=(',', ':')).encode())}.{fill('{u64:22}', rng)}"


def age_identity(rng: Dice) -> str:
    """A key of the `age` tool: 32 bytes in Bech32, with its checksum of six letters."""
    letters, prefix = "qpzry9x8gf2tvdw0s3jn54khce6mua7l", "age-secret-key-"
    bits = "".join(f"{byte:08b}" for byte in rng.randbytes(32)).ljust(260, "0")
    values = [int(bits[start : start + 5], 2) for start in range(0, 260, 5)]
    check = 1
    spread = [ord(letter) >> 5 for letter in prefix] + [0] + [ord(letter) & 31 for letter in prefix]
    for value in (*spread, *values, *[0] * 6):
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= term if top >> bit & 1 else 0
    values += [(check ^ 1) >> 5 * (5 - place) & 31 for place in range(6)]
    return f"{prefix}1{''.join(letters[value] for value in values)}".upper()


def discord(rng: Dice) -> str:
    """A bot's token: its numeric id in base64, a time stamp and a MAC."""
    return f"{b64url(fill('{d:18}', rng).replace('0', '7').encode())}.{fill('{u64:6}', rng)}.{fill('{u64:38}', rng)}"


def atlassian(rng: Dice) -> str:
    """An API token of Atlassian Cloud with its CRC32 tail."""
    body = fill("ATATT3xFfGF0{u64:171}", rng)
    return f"{body}={zlib.crc32(body.encode()):08X}"


def password(rng: Dice) -> str:
    """A password as a generator makes one: letters of all sorts, no quote, no blank."""
    head = fill("{az:1}{AZ:1}{d:1}", rng)
    return head + "".join(rng.choices(B62 + "!#%*+-_.~", k=rng.randint(13, 21))) + fill("{b62:1}", rng)


def plain_password(rng: Dice) -> str:
    """A password that can stand in a URL as it is."""
    return fill("{az:1}{AZ:1}{d:1}{b62:15}", rng)
