"""Sensitive bytes that cannot be printed by accident.

Guarantees: `repr`, `str`, `format`, pickling and tracebacks never show the bytes; comparison takes constant time;
the only way to the bytes is `reveal()`, so that every use can be found by its name.
"""

import hashlib
import hmac
from typing import NoReturn

HIDDEN = "***"


class Material:
    """Secret bytes. Never `str`: wrap where they enter, unwrap with `reveal()` where they leave."""

    __slots__ = ("_bytes",)

    def __init__(self, value: bytes) -> None:
        self._bytes = bytes(value)

    def reveal(self) -> bytes:
        """The bytes themselves; call it only at the edge that needs them."""
        return self._bytes

    def fingerprint(self, key: bytes, *, context: str = "") -> str:
        """Keyed hash: 32 hex digits of HMAC-SHA256 over context and bytes; useless without the key."""
        return hmac.new(key, context.encode() + b"\0" + self._bytes, hashlib.sha256).hexdigest()[:32]

    def __len__(self) -> int:
        return len(self._bytes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Material) and hmac.compare_digest(self._bytes, other._bytes)

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __repr__(self) -> str:
        return f"Material({HIDDEN})"

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return HIDDEN

    def __reduce__(self) -> NoReturn:
        raise TypeError("material cannot be pickled")
