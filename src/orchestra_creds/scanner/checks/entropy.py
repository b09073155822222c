"""How evenly a value uses its bytes: random values do, words do not."""

import math


def entropy(value: bytes) -> float:
    """Return the Shannon entropy of the bytes in bits per byte, 0 for an empty value."""
    total = len(value)
    return -sum(share * math.log2(share) for share in [value.count(byte) / total for byte in set(value)])
