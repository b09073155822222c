"""How much work the examination of one text may take, counted in places and not in time.

A place is one start of a match of a rule's exact pattern. Of 18,713 files of real packages none has more than 4 % of what it may have;
a repeated anchor has up to four times as many. A place whose check parses a key counts for as many as it costs.
"""

PER_KIB = 64
"""Places that are examined for each KiB of a text of at most `FULL` bytes: more than a file of nothing but credentials has."""

LEAST = 16 << 10
"""Bytes: a shorter text has the budget of one with so many."""

FULL = 32 << 10
"""Bytes: a longer text has `PER_KIB` for so many, and `PER_KIB_BEHIND` for the others."""

PER_KIB_BEHIND = 4
"""Places for each KiB of a text above `FULL`."""

COSTS = {
    "google-service-account": 8,
    "pem": 8,
    "pem-locked": 4,
    "pem-openssh": 4,
    "pem-pgp": 8,
    "der-base64": 4,
    "jwk": 4,
    "jwk-shared": 4,
    "jwt": 4,
    "jwt-google": 4,
    "jwt-supabase": 4,
    "jwe": 4,
    "kubernetes-secret": 4,
    "pkcs12": 0,
    "pkcs12-google": 0,
}
"""Places that one place of a rule counts for, by the name of the rule's check; 1 for all others.

0 stands for a check that tries passwords: each place counts as one, and its rounds count too, see `ROUNDS`.
"""

ROUNDS = 200_000
"""Hashes for one password of PKCS#12 files, over all such files of a text that one rule looks at: twice those of the dearest file."""


def places_of(size: int) -> int:
    """The places that a text of `size` bytes may have, with all that is decoded from it."""
    return (max(LEAST, min(size, FULL)) * PER_KIB + max(size - FULL, 0) * PER_KIB_BEHIND) >> 10


def excess_reason(rule: str) -> str:
    """The reason to name a text as not examined whole; `rule` is the one that used the budget up."""
    return f"more places to examine than its size allows, the last of them for rule {rule}: the rest was not examined"


def rounds_reason(rule: str) -> str:
    """The same when the passwords of `rule` would take more than `ROUNDS`."""
    return f"more than {ROUNDS:,} hashes to try passwords with rule {rule}: the rest of its places were not examined"
