"""Random values by policy: passwords and keys of which the secret is the only source."""

import math
from collections.abc import Callable

from orchestra_creds.core import values
from orchestra_creds.core.credential import Credential
from orchestra_creds.core.material import Material
from orchestra_creds.errors import ConfigError
from orchestra_creds.rotation.issuers.simple import VersionOnly

FEWEST_BITS = 128
"""What a generated value must be worth at least (NIST SP 800-131A: 112 bits are the floor; one step above)."""
MOST_BYTES = 4096


class GeneratedValues(VersionOnly):
    """Local kind: random bytes in an encoding, or letters of an alphabet. `random` returns so many random bytes."""

    def __init__(self, credential: Credential, random: Callable[[int], bytes]) -> None:
        super().__init__(credential)
        self._random = random

    def check(self, *, emergency: bool = False) -> None:
        """Refuse a value that is too short to be secret, or that cannot be made."""
        super().check()
        wanted, name = self._credential.generated, self._credential.name
        if wanted.alphabet or wanted.length:
            letters = set(wanted.alphabet)
            bits = wanted.length * math.log2(len(letters)) if len(letters) > 1 else 0.0
            if (
                len(letters) != len(wanted.alphabet)
                or not wanted.alphabet.isascii()
                or not wanted.alphabet.isprintable()
            ):
                raise ConfigError(f"credential {name}: the alphabet must be different printable ASCII characters")
        else:
            bits = 8.0 * wanted.bytes
            values.random_value(b"", wanted.encoding)
        if bits < FEWEST_BITS or bits > 8 * MOST_BYTES:
            raise ConfigError(
                f"credential {name}: a value of {int(bits)} bits is not between {FEWEST_BITS} and {8 * MOST_BYTES}",
                hint="generate = { bytes = 32 }, or a length and an alphabet that are worth as much",
            )

    def accepts_material(self) -> bool:
        """Return True: the secret is its only source."""
        return True

    def make(self, current: str, token: str) -> Material:
        """Return a new random value."""
        wanted = self._credential.generated
        if not wanted.alphabet:
            return values.random_value(self._random(wanted.bytes), wanted.encoding)
        return Material("".join(self._letter(wanted.alphabet) for _ in range(wanted.length)).encode())

    def _letter(self, alphabet: str) -> str:
        """Return one letter, each as likely as any other: bytes that would favor the first letters are thrown away."""
        fair = 256 - 256 % len(alphabet)
        while (byte := self._random(1)[0]) >= fair:
            pass
        return alphabet[byte % len(alphabet)]

    def fingerprint(self, made: Material) -> str:
        """Return nothing: a hash of a value would let people test guesses."""
        return ""

    def find_activated(self, fingerprint: str, token: str) -> str:
        """Return nothing: a value is valid nowhere before readers get it."""
        return ""

    def activate(self, made: Material, token: str) -> str:
        """Return the attempt as its id; a value is valid as soon as readers get it."""
        return token
