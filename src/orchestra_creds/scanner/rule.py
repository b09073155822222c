"""What a rule is: one credential format, with its examples.

A rule is plain data. Its pattern is written in the syntax that RE2 and Hyperscan share, over bytes: no look-around, no
back-reference, bounded repeats. Examples are templates (see `samples/sample.py`), so the rulebook holds no credential, real or
fake, and a scan of this project stays clean.
"""

from enum import IntEnum

from orchestra_creds.core.record import dataclass

LEAD = r"(?:\b|\\[nrt]|%[0-9A-Fa-f]{2}|[\x00-\x08\n\x0e-\x1f\x80-\xff][0-9A-Za-z])"
"""Before a token in a pattern: no letter of a longer word, the last letter of an escape, or a letter that may be the length of what follows.

The last is confirmed by `engine.confirm`: serialized data writes the length of a text in a byte before it.
"""


class Severity(IntEnum):
    """How bad it is when the credential is live; ordered, so that `>=` filters."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


class Confidence(IntEnum):
    """How sure the finding is."""

    POSSIBLE = 1  # shape and context only
    LIKELY = 2  # a distinctive format
    PROVEN = 3  # a checksum or a key that parses


@dataclass(frozen=True, slots=True)
class Rule:
    """One credential format.

    pattern     RE2 and Hyperscan syntax; matches bytes, leads with the cheapest distinctive literal it can
    group       the group that holds the material; 0 is the whole match
    keywords    lower-case literals of which at least one stands in every match (lower-cased)
    longest     the most bytes one match of `pattern` may span; it bounds the window of the confirmation
    anchor      pattern of what every match begins with; where the quick look of `check` refuses that, `pattern` is not tried
    check       name of a function in `checks.registry.families` that proves, grades or refuses the match
    entropy     least Shannon entropy of the material in bits per byte; 0 asks for none
    prefix      the public start of the material, the only part of it that a mask may show
    added       comes from a file, not from the rulebook: it never hides a built-in rule's match
    tags        words that an added rule carries into reports
    """

    id: str
    description: str
    pattern: str
    severity: Severity
    remedy: str
    source: str
    examples: tuple[str, ...]
    counter_examples: tuple[str, ...] = ()
    group: int = 0
    keywords: tuple[str, ...] = ()
    longest: int = 512
    check: str = ""
    anchor: str = ""
    entropy: float = 0.0
    confidence: Confidence = Confidence.LIKELY
    prefix: str = ""
    tags: tuple[str, ...] = ()
    added: bool = False
