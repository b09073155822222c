"""What may become the material of a secret: one line break less, no placeholder, the promised format.

Pure functions of bytes. They refuse with a reason that never quotes the bytes; that nothing is printed on the way is the business of
`Material`.
"""

import base64
import binascii
import json
import re
from urllib.parse import urlsplit

from orchestra_creds.core.google import LARGEST_VALUE
from orchestra_creds.core.material import Material
from orchestra_creds.errors import ConfigError

FORMATS = ("nonempty", "json", "pem", "url", "regex:PATTERN")

_PLACEHOLDER = re.compile(
    rb"(?i)\s*(?:"
    rb"change[-_ ]?me(?:[-_ ]?(?:please|now|later|in[-_ ]?production))?!?"
    rb"|(?:your|my|the|insert|enter|replace|put|add)[-_ ](?:[a-z0-9]+[-_ ])*(?:here|me|key|token|secret|password|value|id)"
    rb"|placeholder(?:[-_ ][a-z0-9]+)*|[a-z0-9]+(?:[-_ ][a-z0-9]+)*[-_ ]placeholder"
    rb"|(?:fill|set)[-_ ](?:me|this)(?:[-_ ](?:in|up))?|to[-_ ]?do|t\.?b\.?d\.?|none|null|undefined|dummy|example|sample"
    rb"|<[^<>]*>|\$\{[^{}]*\}|\{\{[^{}]*\}\}|%[A-Z_]+%"
    rb"|(?:x{3,}|\*{3,}|\.{3,}|-{3,}|0{6,}|1234567?8?9?0?)"
    rb")\s*"
)
"""Whole values that people write to fill the space; a value that merely contains such a word is not refused."""

_STEP = re.compile(r"(?:^|\.)((?:[^.\\]|\\.|\\$)*)", re.DOTALL)
"""One key or index of a path; an escaped dot belongs to it."""
_PEM = re.compile(rb"\s*-----BEGIN ([A-Z0-9 ]+)-----\r?\n([A-Za-z0-9+/=\s:,-]+?)-----END \1-----\s*")


def without_final_newline(data: bytes) -> tuple[bytes, bool]:
    """The bytes without one trailing line break (LF or CR LF), and whether there was one: shells and editors add it."""
    for ending in (b"\r\n", b"\n"):
        if data.endswith(ending):
            return data[: -len(ending)], True
    return data, False


def check(material: Material, *, name: str, format_: str = "nonempty") -> None:
    """Refuse what cannot be the value of the secret called `name`.

    Raises:
        ConfigError: empty, too long, a placeholder, the secret's own name, or not of the format.
    """
    data = material.reveal()
    if not data.strip():
        raise ConfigError(f"the value for {name} is empty", hint="nothing was stored; check where it comes from")
    if len(data) > LARGEST_VALUE:
        raise ConfigError(
            f"the value for {name} has {len(data)} bytes, the limit is {LARGEST_VALUE}",
            hint="store a reference to it, or split it",
        )
    if is_placeholder(material, name=name):
        raise ConfigError(
            f"the value for {name} is a placeholder", hint="nothing was stored; give the real value, or --generate one"
        )
    if not _fits(data, format_):
        raise ConfigError(
            f"the value for {name} is not of the format {format_}", hint="nothing was stored; check where it comes from"
        )


def is_placeholder(material: Material, *, name: str) -> bool:
    """Whether the value of the secret called `name` only fills the space: words that people write there, or that name itself."""
    data = material.reveal()
    bare = name.rpartition("/")[2].casefold().encode()
    folded = data.strip().lower().replace(b"_", b"-")
    return _PLACEHOLDER.fullmatch(data) is not None or folded == bare.replace(b"_", b"-")


def _fits(data: bytes, format_: str) -> bool:
    kind, _, pattern = format_.partition(":")
    match kind:
        case "nonempty":
            return True
        case "json":
            return _is_json(data)
        case "pem":
            return _is_pem(data)
        case "url":
            return _is_url(data)
        case "regex" if pattern:
            return _matches(data, pattern)
    raise ConfigError(f"unknown format {format_!r}", hint=f"one of {', '.join(FORMATS)}")


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def _is_pem(data: bytes) -> bool:
    found = _PEM.fullmatch(data)
    if found is None:
        return False
    body = b"".join(line for line in found[2].split() if b":" not in line)
    try:
        return len(base64.b64decode(body, validate=True)) > 0
    except (binascii.Error, ValueError):
        return False


def _is_url(data: bytes) -> bool:
    try:
        parts = urlsplit(data.decode())
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc)


def _matches(data: bytes, pattern: str) -> bool:
    try:
        return re.fullmatch(pattern.encode(), data) is not None
    except re.error:
        raise ConfigError(
            "the pattern of format regex:... is not a regular expression", hint="Python's syntax, over the whole value"
        ) from None


def part_of(material: Material, path: str, *, name: str) -> Material:
    r"""Return one part of a JSON value: a text as it is, anything else as JSON; without a path, all of it.

    Args:
        material: The value.
        path: Keys and indexes with dots between them, `a.b.0`. A backslash keeps the meaning off a dot or backslash: `tls\\.crt`.
        name: The secret, for the error.

    Raises:
        ConfigError: it is not JSON, or has no such part; neither is quoted.
    """
    if not path:
        return material
    try:
        found = json.loads(material.reveal())
        for step in _STEP.findall(path):
            key = re.sub(r"\\(.)", r"\1", step, flags=re.DOTALL)
            found = found[int(key)] if isinstance(found, list) else found[key]
        part = found if isinstance(found, str) else json.dumps(found)
        return Material(part.encode())
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        raise ConfigError(
            f"the value of {name} has no part {path!r}", hint="is it JSON? a dot in a key is written \\."
        ) from None


def random_value(random_bytes: bytes, encoding: str = "urlsafe-base64") -> Material:
    """Random bytes as a value that fits everywhere: `urlsafe-base64` (no padding), `base64` or `hex`.

    Raises:
        ConfigError: there is no such encoding.
    """
    match encoding:
        case "urlsafe-base64":
            return Material(base64.urlsafe_b64encode(random_bytes).rstrip(b"="))
        case "base64":
            return Material(base64.b64encode(random_bytes))
        case "hex":
            return Material(random_bytes.hex().encode())
    raise ConfigError(f"unknown encoding {encoding!r}", hint="one of urlsafe-base64, base64, hex")


def full_name(name: str, environment: str, pattern: str = "{name}-{env}") -> str:
    """The name of a secret in an environment; a name that carries the environment already is not given it twice.

    Raises:
        ConfigError: the pattern lacks `{name}`, or an environment is asked for and the pattern has no `{env}`.
    """
    if not environment:
        return name
    if "{name}" not in pattern or "{env}" not in pattern:
        raise ConfigError("naming.secret must hold {name} and {env}", hint='the default is "{name}-{env}"')
    before, after = pattern.replace("{env}", environment).split("{name}", 1)
    if len(name) > len(before) + len(after) and name.startswith(before) and name.endswith(after):
        return name
    return f"{before}{name}{after}"


def version_selector(text: str) -> int | str:
    """Return the number of a version, or its alias such as `latest`."""
    return int(text) if text.isascii() and text.isdecimal() else text
