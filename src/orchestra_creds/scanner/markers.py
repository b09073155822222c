"""What the rules' words look like inside base64.

The same word gives one of three texts, after how many bytes of a group of three stand before it; of each, the digits
that the neighbours do not touch are a literal. Literals cost a first pass next to nothing, so base64 is found by what it
holds, not by its shape: anywhere in a run of any length, and not in every long name. Encoded twice is known for all
words, three times for those of Google's files.

Guarantees: base64 around text in which one of `words(rules)` stands holds one of `literals(...)`, and no literal begins
with another.
"""

import base64
import re
from collections.abc import Iterable

from orchestra_creds.scanner.rule import Rule

_NAMES = (
    "password",
    "passwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "auth",
    "credential",
    "private",
    "access_key",
    "client_id",
)
_CORE = (b"-----BEGIN", b"private_key", b"service_account", b"authorized_user", b"refresh_token", b"client_secret")
_ALWAYS = (*_CORE, b"://", b"_KEY", b"_key", b"Key")
# What a pattern begins with, behind a boundary and opening brackets: literal characters that no quantifier follows.
_START = re.compile(r"(?:\(\?:\\b[^()]*\)|\\b)?\(?((?:(?:[A-Za-z0-9_/:-]|\\[^A-Za-z0-9])(?![*+?{]))+)(?!.*\|)")
_ESCAPED = re.compile(r"\\(.)")
_SHORTEST = 4
_LONGEST_WORD = 10


def words(rules: Iterable[Rule]) -> list[bytes]:
    """What stands in the text that rules match: their prefixes, and the names that credentials are given."""
    found = set(_ALWAYS)
    for name in _NAMES:
        found.update(text.encode() for text in (name, name.upper(), name.title()))
    for rule in rules:
        start = _START.match(rule.pattern)
        literal = _ESCAPED.sub(r"\1", start[1]) if start else ""
        if len(rule.prefix) >= _SHORTEST or len(literal) >= _SHORTEST:
            found.add(max(rule.prefix, literal, key=len).encode()[:_LONGEST_WORD])
            continue
        for keyword in rule.keywords:
            at = rule.pattern.lower().find(keyword)
            if at >= 0 and len(keyword) >= _SHORTEST and "(?i" not in rule.pattern:
                found.add(rule.pattern[at : at + len(keyword)].encode()[:_LONGEST_WORD])
    return sorted(found)


def literals(of: Iterable[bytes]) -> tuple[str, ...]:
    """The literals of words encoded once and twice, and of Google's own three times."""
    once = _encoded(of)
    twice = _encoded(once)
    thrice = _encoded(_encoded(_encoded(_CORE)))
    kept: list[str] = []
    for literal in sorted(once | twice | thrice):
        if not kept or not literal.startswith(kept[-1].encode()):
            kept.append(literal.decode())
    return tuple(kept)


def _encoded(of: Iterable[bytes]) -> set[bytes]:
    """The digits of each word that are the same whatever stands around it, for each of the three alignments."""
    return {digits for word in of for before in range(3) if len(digits := _digits(word, before)) >= _SHORTEST}


def _digits(word: bytes, before: int) -> bytes:
    text = bytes(before) + word
    first, last = -(-before * 8 // 6), len(text) * 8 // 6
    return base64.b64encode(text)[first:last]
