"""Checks of tokens with a structure of their own: NKeys, tokens that begin with zeros, salts, refresh tokens of Microsoft."""

import base64
import binascii
import re

from orchestra_creds.scanner.checks.entropy import entropy
from orchestra_creds.scanner.checks.google import longer_token
from orchestra_creds.scanner.checks.plausible import is_stand_in
from orchestra_creds.scanner.checks.verdict import Check, CheckVerdict, Subject
from orchestra_creds.scanner.rule import Confidence

_KINDS = {20: "user", 0: "account", 14: "operator", 13: "server", 2: "cluster", 23: "curve"}
"""What the seed of an NKey is for, by the number in its second byte (nkeys: strkey.go)."""


def _alone(subject: Subject, confidence: Confidence, note: str = "") -> CheckVerdict:
    low, high = max(subject.lo, subject.start - 1), min(subject.hi, subject.end + 1)
    return CheckVerdict(subject.material, confidence, subject.start, subject.end, low, high, note=note)


def nkey(subject: Subject) -> CheckVerdict | None:
    """A seed of NATS whose checksum (CRC-16/XMODEM) fits; any other is none."""
    try:
        content = base64.b32decode(subject.material + b"======")
    except binascii.Error:
        return None
    if binascii.crc_hqx(content[:-2], 0) != int.from_bytes(content[-2:], "little"):
        return None
    return _alone(subject, Confidence.PROVEN, _KINDS.get((content[0] & 7) << 2 | content[1] >> 6, ""))


def zero_led_token(subject: Subject) -> CheckVerdict | None:
    """A token whose first bytes are zeros, an `A` each: what follows is drawn by chance."""
    rest = subject.material.lstrip(b"A")
    if len(rest) < 50 or entropy(rest) < 4 or is_stand_in(rest) or len(subject.material) - len(rest) < 18:
        return None
    return _alone(subject, Confidence.LIKELY)


def salt(subject: Subject) -> CheckVerdict | None:
    """A salt: letters, digits and signs drawn by chance, blanks among them."""
    value = subject.material
    mixed = sum(re.search(kind, value) is not None for kind in (rb"[a-z]", rb"[A-Z]", rb"[0-9]"))
    if mixed < 3 or entropy(value) < 4.2 or b"phrase" in value.lower():
        return None
    return _alone(subject, Confidence.LIKELY)


CHECKS: dict[str, Check] = {
    "nkey": nkey,
    "zero-led-token": zero_led_token,
    "salt": salt,
    "microsoft-refresh-token": longer_token(rb"A-Za-z0-9_-", 2048, shortest=160),
}
