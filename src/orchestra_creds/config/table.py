"""The base of every table of orchestra-creds.toml, and what is the same for all of them."""

import difflib
from collections.abc import Iterable

import msgspec

VALUE_KEYS = frozenset({"value", "password", "token", "data", "private_key"})
"""Keys that would hold a secret: none of our sections has them, so writing one is a leak, not a typing error."""


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Immutable, and no key that we do not know."""


def nearest_hint(word: str, known: Iterable[str]) -> str:
    """Return the hint for a word that is not known: the nearest known one, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(names) or 'nothing'}"
