"""Fake credentials assembled at run time from templates, for rule examples, tests and the demo.

A template is literal text with holes: `{b62:36}` is 36 characters of an alphabet, `{crc62:30}` is 30 base62 characters
and the six-digit CRC32 that GitHub and npm append. The same template and seed give the same text, always.
"""

import base64
import random
import re
import string
import zlib
from collections.abc import Callable

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
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
}
_HOLE = re.compile(r"\{([a-zA-Z0-9]+):([0-9]+)\}")


def base62_crc(body: str) -> str:
    """Six base62 digits of the CRC32 of `body` (GitHub's and npm's token checksum)."""
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits


def _crc62(length: int, random_: random.Random) -> str:
    body = "".join(random_.choices(ALPHABETS["b62"], k=length))
    return body + base62_crc(body)


def _base64(length: int, random_: random.Random) -> str:
    return base64.b64encode(random_.randbytes(length)).decode()


MAKERS: dict[str, Callable[[int, random.Random], str]] = {"crc62": _crc62, "b64of": _base64}
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
