r"""A rule's exact pattern by way of one that is quickly compiled: without the upper bounds of its long repeats.

RE2 writes `[a-z]{80,1000}` out, a state for each repeat, and takes milliseconds to compile and to try it, in every worker.
Guarantees: the matches are those of the exact pattern. Without the bounds every match is still one, in the same order of
preference, and only longer ones are added; so where nothing matches, or the preferred match is no longer than the least
bound, it is that of the exact pattern. Only else that one is compiled and asked.
"""

import re

from orchestra_creds.scanner.checks.verdict import Buffer
from orchestra_creds.scanner.libraries import Regex, Spans

LONG = 200
"""Repeats from which on an upper bound is dear."""

# One atom, or a long repeat's group that holds no other, and the counted repeat behind it; not behind what another quantifier ends, nor in a class.
_CLASS = r"\[\^?\]?(?:\[:[^]]*\]|\\.|[^\]\\])*\]"
_GROUP = rf"\(\?:(?:\\.|{_CLASS}|[^\\()\[\]])*\)(?=\{{\d+,\d{{3,}}\}})"
_ITEM = re.compile(
    rf"({_GROUP}|\\[pP]\{{[^}}]*\}}|\\x\{{[^}}]*\}}|\\.|{_CLASS}|[^\\()\[\]{{}}|*+?^$])(?:\{{(\d+),(\d+)\}})?",
    re.DOTALL,
)


class BoundedRegex:
    """One exact pattern; compiled as far as it is needed."""

    __slots__ = ("_exact", "_pattern", "_quick", "_sure")

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        quick, self._sure = without_bounds(pattern)
        self._quick = Regex(quick)
        self._exact: Regex | None = self._quick if quick == pattern else None

    def search(self, text: Buffer, pos: int, end: int) -> Spans | None:
        """See `Regex.search`."""
        spans = self._quick.search(text, pos, end)
        if spans is None or spans[0][1] - spans[0][0] <= self._sure:
            return spans
        return self._exact_regex().search(text, pos, end)

    def match(self, text: Buffer, pos: int, end: int) -> Spans | None:
        """See `Regex.match`."""
        spans = self._quick.match(text, pos, end)
        if spans is None or spans[0][1] - spans[0][0] <= self._sure:
            return spans
        return self._exact_regex().match(text, pos, end)

    def _exact_regex(self) -> Regex:
        if self._exact is None:
            self._exact = Regex(self._pattern)
        return self._exact


def without_bounds(pattern: str) -> tuple[str, int]:
    """The pattern without upper bounds from `LONG` on, and the most bytes of a match for which that makes no difference."""
    least = 1 << 62

    def drop_bound(found: re.Match[str]) -> str:
        nonlocal least
        if found[3] is None or int(found[3]) < LONG:
            return found[0]
        least = min(least, int(found[3]))
        return f"{found[1]}{{{found[2]},}}"

    return (pattern, least) if r"\Q" in pattern else (_ITEM.sub(drop_bound, pattern), least)
