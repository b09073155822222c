"""What the first pass has to look for, given the rules; worked out only when it has to be compiled.

Guarantees: the index of a pattern is that of its rule, those of the carriers of encoded text follow; `Plan.key` changes
with everything that the patterns are made from, the code that makes them included, and costs no more than a hash.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from orchestra_creds.core.record import dataclass
from orchestra_creds.scanner.decoding.decode import CARRIERS
from orchestra_creds.scanner.rule import Rule

_SCANNER = Path(__file__).parents[1]
_MAKERS = ("engine/patterns.py", "decoding/decode.py", "engine/prefilter_patterns.py", "engine/markers.py")


@dataclass(frozen=True, slots=True)
class Pattern:
    """What the first pass looks for under one index: a pattern, or, where that is empty, any of many literals.

    longest   the most bytes that a match may take
    """

    pattern: str
    longest: int
    literals: tuple[str, ...] = ()

    @property
    def regex(self) -> str:
        """The whole of it as one pattern of RE2."""
        return f"(?m){self.pattern}" if self.pattern else "|".join(map(quote_literal, self.literals))


def quote_literal(literal: str) -> str:
    """The pattern that matches these digits."""
    return literal.replace("+", r"\+")


class PatternSet:
    """The patterns of some rules and of the carriers."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules

    @property
    def literal_indices(self) -> tuple[int, ...]:
        """The indices that are looked for by literals."""
        return tuple(len(self._rules) + at for at, carrier in enumerate(CARRIERS) if not carrier.pattern)

    @property
    def hex_index(self) -> int:
        """The index of the carrier that `_native.hex_ends` finds where that was built."""
        return len(self._rules) + next(at for at, carrier in enumerate(CARRIERS) if carrier.kind == "hex")

    @cached_property
    def patterns(self) -> list[Pattern]:
        """One for each index.

        Raises:
            ConfigError: a rule's pattern is none of RE2's.
        """
        from orchestra_creds.scanner.engine.markers import literals
        from orchestra_creds.scanner.engine.prefilter_patterns import first_pass
        from orchestra_creds.scanner.libraries import check

        for rule in self._rules:
            check(rule.id, rule.pattern)
        patterns = [Pattern(first_pass(rule.pattern, rule.longest), rule.longest) for rule in self._rules]
        return patterns + [
            Pattern(one.pattern, one.longest, () if one.pattern else literals(self._rules)) for one in CARRIERS
        ]

    def key(self) -> bytes:
        """A hash of all that `patterns` is made from."""
        digest = hashlib.sha256()
        try:
            for name in _MAKERS:
                digest.update((_SCANNER / name).read_bytes())
        except OSError:  # installed without sources: the patterns themselves, which takes some milliseconds
            digest.update(repr(self.patterns).encode())
        for rule in self._rules:
            digest.update(f"{rule.longest}\0{rule.pattern}\0{rule.prefix}\0{' '.join(rule.keywords)}\0".encode())
        return digest.digest()
