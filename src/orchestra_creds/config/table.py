"""The base of every table of orchestra-creds.toml, and what is the same for all of them."""

import msgspec

VALUE_KEYS = frozenset({"value", "password", "token", "data", "private_key"})
"""Keys that would hold a secret: none of our sections has them, so writing one is a leak, not a typing error."""


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Immutable, and no key that we do not know."""
