"""Fake credentials assembled at run time from templates, for rule examples, tests and the demo.

A template is literal text with holes: `{b62:36}` is 36 characters of an alphabet, `{crc62:30}` is 30 base62 characters
and the six-digit CRC32 that GitHub and npm append. The same template and seed give the same text, always.
"""

import base64
import binascii
import random
import re
import string
import uuid
from collections.abc import Callable

from orchestra_creds.scanner.checks.checksums import base36_crc, base62_crc, digits
from orchestra_creds.scanner.samples import sample_keys

ALPHABETS = {
    "b62": string.ascii_letters + string.digits,
    "b64": string.ascii_letters + string.digits + "+/",
    "b64u": string.ascii_letters + string.digits + "-_",
    "hex": "0123456789abcdef",
    "HEX": "0123456789ABCDEF",
    "digit": string.digits,
    "lower": string.ascii_lowercase,
    "upper": string.ascii_uppercase,
    "letter": string.ascii_letters,
    "l36": string.ascii_lowercase + string.digits,
    "u36": string.ascii_uppercase + string.digits,
    "b32": string.ascii_uppercase + "234567",
    "l32": string.ascii_lowercase + "234567",
}
_HOLE = re.compile(r"\{([a-zA-Z0-9]+):([0-9]+)\}")


def _crc62(length: int, random_: random.Random) -> str:
    body = "".join(random_.choices(ALPHABETS["b62"], k=length))
    return body + base62_crc(body.encode()).decode()


def _base64(length: int, random_: random.Random) -> str:
    return base64.b64encode(random_.randbytes(length)).decode()


def _urlsafe(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _gitlab_routable(kind: int, random_: random.Random) -> str:
    """A GitLab token with a route: 1 personal, 2 personal without version, 3 deploy, 4 with an instance's own prefix."""
    prefix = {1: "glpat-", 2: "glpat-", 3: "gldt-", 4: "acme-glpat-"}[kind]
    route = f"o:{digits(random_.randrange(36**3), 36, 1)}\nu:{digits(random_.randrange(36**4), 36, 1)}"
    encoded = _urlsafe(route.encode() + random_.randbytes(16) + b"\x10")
    body = f"{prefix}{encoded}." + ("" if kind == 2 else "01.") + digits(len(encoded), 36, 2)
    return body + base36_crc(body.encode()).decode()


def _macaroon(index: int, random_: random.Random) -> str:
    """A macaroon (version 2) as PyPI writes it: 1 for the index itself, 2 for its test instance."""
    location, identifier = {1: b"pypi.org", 2: b"test.pypi.org"}[index], random_.randbytes(16).hex().encode()
    caveat = b'{"version": 1, "permissions": "user"}'
    fields = [(1, location), (2, identifier), (0, b""), (2, caveat), (0, b""), (0, b""), (6, random_.randbytes(32))]
    return _urlsafe(b"\x02" + b"".join(bytes([kind, len(text)]) + text if kind else b"\0" for kind, text in fields))


def _signed_jwt(subject: int, random_: random.Random) -> str:
    """A JWT for a subject of that number, with a random HS256 signature."""
    parts = (b'{"alg":"HS256","typ":"JWT"}', b'{"iss":"acme","sub":"%d"}' % subject, random_.randbytes(32))
    return ".".join(_urlsafe(part) for part in parts)


def _jwe(size: int, random_: random.Random) -> str:
    """A JWE of so many bytes, encrypted with a shared key."""
    parts = (
        b'{"alg":"dir","enc":"A256GCM"}',
        b"",
        random_.randbytes(12),
        random_.randbytes(size),
        random_.randbytes(16),
    )
    return ".".join(_urlsafe(part) for part in parts)


def _supabase(role: int, random_: random.Random) -> str:
    """A key of Supabase: 1 for the service role, 0 for visitors."""
    claims = b'{"iss":"supabase","ref":"%s","role":"%s"}' % (b"acmeprojectreference", (b"anon", b"service_role")[role])
    return ".".join(_urlsafe(part) for part in (b'{"alg":"HS256","typ":"JWT"}', claims, random_.randbytes(32)))


def _uuid(_version: int, random_: random.Random) -> str:
    """A random UUID (version 4)."""
    return str(uuid.UUID(int=random_.getrandbits(128), version=4))


def _discord(index: int, random_: random.Random) -> str:
    """A bot token of Discord: the bot's id of 17 + `index` digits in base64, six and thirty-eight letters."""
    bot = _urlsafe(str(random_.randrange(10 ** (16 + index), 10 ** (17 + index))).encode())
    return f"{bot}.G{_urlsafe(random_.randbytes(6))[:5]}.{_urlsafe(random_.randbytes(30))[:38]}"


def _nkey(kind: int, random_: random.Random) -> str:
    """A seed of NATS for a kind of key, by its number: 20 user, 0 account, 14 operator."""
    body = bytes([18 << 3 | kind >> 2, (kind & 3) << 6]) + random_.randbytes(32)
    return base64.b32encode(body + binascii.crc_hqx(body, 0).to_bytes(2, "little")).decode().rstrip("=")


MAKERS: dict[str, Callable[[int, random.Random], str]] = {
    **sample_keys.MAKERS,
    "crc62": _crc62,
    "b64of": _base64,
    "glroute": _gitlab_routable,
    "macaroon": _macaroon,
    "signed": _signed_jwt,
    "uuid": _uuid,
    "discord": _discord,
    "nkey": _nkey,
    "jwe": _jwe,
    "supabase": _supabase,
}
"""Holes that are more than letters of an alphabet: name -> (number, random) -> text."""


def render(template: str, *, seed: int = 0) -> str:
    """The template with its holes filled; deterministic in template and seed."""
    random_ = random.Random(f"{seed}:{template}")  # noqa: S311  fake credentials, not secrets

    def fill(hole: re.Match[str]) -> str:
        name, length = hole[1], int(hole[2])
        if name in MAKERS:
            return MAKERS[name](length, random_)
        return "".join(random_.choices(ALPHABETS[name], k=length))

    return _HOLE.sub(fill, template)
