"""What the rules' words look like inside base64.

The same word gives one of three texts, after how many bytes of a group of three stand before it; of each, the digits
that the neighbours do not touch are a literal. Literals cost a first pass next to nothing, so base64 is found by what it
holds, not by its shape: anywhere in a run of any length, and not in every long name. The prefixes of tokens and the names
of credentials are known encoded twice as well, those of Google's files three times.

Guarantees: base64 around text that holds one of the words holds one of the literals, and no literal begins with another.
"""

import base64
import re
from collections.abc import Iterable, Sequence

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
_GOOGLE = (b"-----BEGIN", b"private_key", b"service_account", b"authorized_user", b"refresh_token", b"client_secret")
_ALWAYS = (*_GOOGLE, b"://", b"_KEY", b"_key", b"Key")

# What a pattern begins with, behind a boundary and an opening bracket: literal characters that no quantifier follows.
_START = re.compile(r"(?:\(\?:\\b[^()]*\)|\\b)?\(?((?:(?:[A-Za-z0-9_/:-]|\\[^A-Za-z0-9])(?![*+?{]))+)(?!.*\|)")
_ESCAPED = re.compile(r"\\(.)")
_SHORTEST_WORD = 3
_LONGEST_WORD = 10
_SHORTEST = 4  # digits of a literal


def literals(rules: Sequence[Rule]) -> tuple[str, ...]:
    """The literals of the words of `rules`, sorted."""
    distinctive = _prefixes(rules) | _names() | set(_ALWAYS)
    once = _base64_digits(distinctive)
    found = (
        once
        | _base64_digits(once)
        | _base64_digits(_vendors(rules))
        | _base64_digits(_base64_digits(_base64_digits(_GOOGLE)))
    )
    kept: list[bytes] = []
    for literal in sorted(found):
        if not kept or not literal.startswith(kept[-1]):
            kept.append(literal)
    return tuple(literal.decode() for literal in kept)


def _names() -> set[bytes]:
    return {text.encode() for name in _NAMES for text in (name, name.upper(), name.title())}


def _prefixes(rules: Iterable[Rule]) -> set[bytes]:
    """What tokens of these rules begin with or hold, in their own case."""
    found = set()
    for rule in rules:
        start = _START.match(rule.pattern)
        literal = max(rule.prefix, _ESCAPED.sub(r"\1", start[1]) if start else "", key=len)
        if len(literal) >= _SHORTEST_WORD:
            found.add(literal)
        elif "(?i" not in rule.pattern:
            plain = _ESCAPED.sub(r"\1", rule.pattern).replace("[+]", "+")
            for keyword in rule.keywords:
                at = plain.lower().find(keyword)
                found.add(plain[at : at + len(keyword)] if at >= 0 else keyword)
    return {word.encode()[:_LONGEST_WORD] for word in found if len(word) >= _SHORTEST_WORD}


def _vendors(rules: Iterable[Rule]) -> set[bytes]:
    """The words before credentials without a prefix, as names in files are written."""
    keywords = {keyword for rule in rules if "(?i" in rule.pattern for keyword in rule.keywords}
    return {
        text.encode()[:_LONGEST_WORD]
        for word in keywords
        if len(word) > 3
        for text in (word, word.upper(), word.title())
    }


def _base64_digits(words: Iterable[bytes]) -> set[bytes]:
    """The digits of each word that are the same whatever stands around it, for each of the three alignments."""
    return {
        digits for word in words for before in range(3) for digits in _digits(word, before) if len(digits) >= _SHORTEST
    }


def _digits(word: bytes, before: int) -> list[bytes]:
    """The digits that hold nothing but bits of `word`; of a short one also those that share two bits, in each reading."""
    text = bytes(before) + word
    first, last = -(-before * 8 // 6), len(text) * 8 // 6
    if last - first >= _SHORTEST or len(word) < _SHORTEST_WORD:
        return [base64.b64encode(text)[first:last]]
    if before == 1:  # two bits of the byte before share the digit with the first four of the word
        return [base64.b64encode(bytes([low]) + word)[first - 1 : last] for low in range(4)]
    return [base64.b64encode(text + bytes([high << 6]))[first : last + 1] for high in range(4)]
