"""The two shapes that token rules share: a token with a prefix of its own, and one known only by the name before it.

Patterns built here find a token in quotes, URLs, markup, Markdown and escaped text alike, and never cut one out of a
longer word of the same alphabet: a word boundary (or the end of an escape) leads, and what
follows the token is not a letter of its alphabet. The group 1 is always the token.
"""

import re

from orchestra_creds.scanner.rule import LEAD, Confidence, Rule, Severity

WORD = r"\b"
"""After a token of letters and digits."""

URLSAFE = r"(?:[^0-9A-Za-z_-]|$)"
"""After a token of the URL-safe base64 alphabet."""

BASE64 = r"(?:[^0-9A-Za-z+/=]|$)"
"""After a token of the plain base64 alphabet."""

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
"""A UUID in lower case."""

UUID_SAMPLE = "{hex:8}-{hex:4}-4{hex:3}-a{hex:3}-{hex:12}"
"""The template of a random UUID."""

_GAP = r"[\w\s.\\\"'(){\[=,:-]{0,24}"
_NAME = r"(?:key|token|secret|passw(?:or)?d|pwd|auth(?:[_.-]|\b|orization)|pat(?:[_.-]|\b)|credential)[\w.-]{0,16}"
SIGNS = r"[\s\"'`\\\]):=,>|({?-]"
"""What stands between a name and its value: quotes, brackets, an equals sign, spaces."""

VALUE = r"(?:(?i:value|string|str|default)" + SIGNS + r"{1,8})?"
"""The word of a second name, as in `name: KEY, value: …`, and the signs behind it."""


def token(body: str, tail: str = WORD) -> str:
    """The pattern of a token that stands alone."""
    return f"{LEAD}({body}){tail}"


def near(vendors: tuple[str, ...], body: str, tail: str = WORD, name: str = _NAME) -> str:
    """The pattern of a token that is assigned to a name of one of `vendors`.

    The name says what it holds (key, token, secret, ...) at most 24 bytes behind the vendor, and the token follows
    after nothing but signs: `ACME_API_KEY=…`, `"acme": {"token": "…"}`, `<add key="AcmeToken" value="…"/>`.
    """
    return f"(?i:(?:{'|'.join(map(re.escape, vendors))}){_GAP}{name}){SIGNS}{{1,16}}{VALUE}({body}){tail}"


def prefix_rule(
    id: str,  # noqa: A002  the rule's own word
    description: str,
    prefix: str,
    body: str,
    *,
    severity: Severity,
    remedy: str,
    source: str,
    examples: tuple[str, ...],
    counter_examples: tuple[str, ...] = (),
    tail: str = WORD,
    longest: int = 128,
    check: str = "token",
    entropy: float = 3.0,
    confidence: Confidence = Confidence.LIKELY,
    bounded: bool = True,
) -> Rule:
    """The rule of a token that its prefix gives away; `body` is the pattern of what follows the literal `prefix`.

    Not `bounded`, it is found in the middle of other letters too: its check proves it.
    """
    return Rule(
        id=id,
        description=description,
        pattern=token(re.escape(prefix) + body, tail) if bounded else f"({re.escape(prefix)}{body})",
        severity=severity,
        remedy=remedy,
        source=source,
        examples=examples,
        counter_examples=counter_examples,
        group=1,
        keywords=(prefix.lower(),),
        longest=longest,
        check=check,
        entropy=entropy,
        confidence=confidence,
        prefix=prefix,
    )


def vendor_rule(
    id: str,  # noqa: A002  the rule's own word
    description: str,
    vendors: tuple[str, ...],
    body: str,
    *,
    severity: Severity,
    remedy: str,
    source: str,
    examples: tuple[str, ...],
    counter_examples: tuple[str, ...] = (),
    tail: str = WORD,
    name: str = _NAME,
    longest: int = 256,
    check: str = "token",
    entropy: float = 3.0,
    confidence: Confidence = Confidence.LIKELY,
) -> Rule:
    """The rule of a token without a prefix of its own; `vendors` are the lower-case words that must stand before it."""
    return Rule(
        id=id,
        description=description,
        pattern=near(vendors, body, tail, name),
        severity=severity,
        remedy=remedy,
        source=source,
        examples=examples,
        counter_examples=counter_examples,
        group=1,
        keywords=vendors,
        longest=longest,
        check=check,
        entropy=entropy,
        confidence=confidence,
    )
