"""The check of a Kubernetes Secret: every value of its data is a secret, whatever it is called."""

import base64
import binascii
import re

from orchestra_creds.scanner.checks.judge import is_password, is_reference
from orchestra_creds.scanner.checks.names import NameClass, classify_name
from orchestra_creds.scanner.checks.verdict import Check, CheckVerdict, Subject
from orchestra_creds.scanner.rule import Confidence

REACH = 2048
"""Bytes before and behind `kind: Secret` in which its data is looked for."""

_BOUNDARY = re.compile(rb"(?m)^---")
_BLOCK = re.compile(rb"(?m)^([ \t]*)(data|stringData):[ \t]*\r?\n((?:\1[ \t]+[^\n]*\n?|[ \t]*\r?\n)+)")
_OBJECT = re.compile(rb'"(data|stringData)"\s{0,8}:\s{0,8}\{([^{}]*)\}')
_ENTRY = re.compile(
    rb"[ \t]*[\"']?([\w.-]{1,100})[\"']?[ \t]*:[ \t]*[\"']?([^\s\"'#|>][^\s\"']*)[\"']?,?[ \t]*(?:\r?\n|$)"
)
_OBJECT_ENTRY = re.compile(rb'"([\w.-]{1,100})"\s{0,8}:\s{0,8}"([^"\\\s]+)"')
_PUBLIC = re.compile(
    rb"(?i)\.(?:crt|pem|pub|cer|ca)$|^(?:ca|cert|tls\.crt|ca\.crt|url|host|user(?:name)?|name|namespace|email|region|issuer)$"
)


def kubernetes_secret(subject: Subject) -> CheckVerdict | None:
    """The first value of a Secret that is drawn by chance and whose own name does not give it away."""
    ahead, behind = subject.before(REACH), subject.after(REACH)
    low = subject.start - len(ahead)
    start = max((found.end() for found in _BOUNDARY.finditer(ahead)), default=0)
    stop = _BOUNDARY.search(behind)
    text = ahead[start:] + subject.material + (behind[: stop.start()] if stop else behind)
    entries = ((block, entry) for block in _BLOCK.finditer(text) for entry in _ENTRY.finditer(text, *block.span(3)))
    objects = (
        (block, entry) for block in _OBJECT.finditer(text) for entry in _OBJECT_ENTRY.finditer(text, *block.span(2))
    )
    for block, entry in (*entries, *objects):
        encoded = block[2 if block.re is _BLOCK else 1] == b"data"
        name, value = entry[1], entry[2]
        if classify_name(name) is not NameClass.OTHER or _PUBLIC.search(name):
            continue  # another rule reports it, or nobody should
        plain = _decode(value) if encoded else value
        if plain and not is_reference(value, quoted=False) and is_password(plain, quoted=False, least=12):
            at = low + start
            return CheckVerdict(
                value, Confidence.POSSIBLE, at + entry.start(2), at + entry.end(2), low, subject.end + len(behind)
            )
    return None


def _decode(value: bytes) -> bytes:
    """What base64 of one line of text holds; nothing for anything else."""
    try:
        plain = base64.b64decode(value, validate=True).strip()
    except binascii.Error:
        return b""
    if re.fullmatch(rb"[!-~]{8,256}", plain):
        return plain
    return value if 16 <= len(plain) <= 128 and len(set(plain)) > 12 and not plain.isascii() else b""


CHECKS: dict[str, Check] = {"kubernetes-secret": kubernetes_secret}
