"""Seeded 1024-bit primes, a small pool of which gives hundreds of different RSA keys.

The cryptography library has no seed, and a corpus must be the same for the same seed. A prime search in Python costs
about a fifth of a second, so primes are shared between keys: n primes give n(n-1)/2 moduli. Such keys are worthless
as keys (a common divisor breaks two of them), which is right for fakes.
"""

import random
from collections.abc import Iterator

BITS = 1024
_SIEVE = 1 << 16
_CANDIDATES = 4096


def _small_primes() -> list[int]:
    flags = bytearray([1]) * _SIEVE
    for number in range(2, 256):
        if flags[number]:
            flags[number * number :: number] = bytes(len(range(number * number, _SIEVE, number)))
    return [number for number in range(3, _SIEVE) if flags[number]]


_SMALL = _small_primes()


def _probable(number: int, rng: random.Random) -> bool:
    """Miller and Rabin's test: base 2 first, then three random bases."""
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, *(rng.randrange(3, 1 << 64) for _ in range(3))):
        power = pow(base, odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def prime(rng: random.Random) -> int:
    """A prime of exactly `BITS` bits, its two highest bits set, so that a product of two has 2 * BITS."""
    while True:
        start = rng.getrandbits(BITS) | 3 << (BITS - 2) | 1
        flags = bytearray([1]) * _CANDIDATES
        for small in _SMALL:
            first = -start * pow(2, -1, small) % small
            if first < _CANDIDATES:
                flags[first::small] = bytes(len(range(first, _CANDIDATES, small)))
        for index, flag in enumerate(flags):
            candidate = start + 2 * index
            if flag and candidate.bit_length() == BITS and candidate % 65537 != 1 and _probable(candidate, rng):
                return candidate


class Dice(random.Random):
    """Seeded randomness that can also draw RSA primes, never the same two together."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._pairs = self._draw(random.Random(seed + 1))

    @staticmethod
    def _draw(rng: random.Random) -> Iterator[tuple[int, int]]:
        pool: list[int] = []
        while True:
            newest = prime(rng)
            yield from ((older, newest) for older in pool)
            pool.append(newest)

    def prime_pair(self) -> tuple[int, int]:
        """Two primes for one RSA key."""
        return next(self._pairs)
