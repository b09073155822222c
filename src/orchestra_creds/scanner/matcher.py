"""The first pass: which pattern may match, ending where.

Guarantees: every match of every pattern is covered: for each start `s` of a match there is a reported pair (pattern, end)
with `end - longest <= s < end + GAP`. Hyperscan and RE2 cover the same matches. Reports are thinned to one per pattern
and `GAP` bytes, so that 10 MB of nothing but prefixes give 40,000 pairs and not ten million; a NUL byte ends the thinning,
so that texts which share a buffer, with a NUL between them, do not hide each other's matches.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from orchestra_creds.scanner.database import open_database
from orchestra_creds.scanner.libraries import Regex, hyperscan, re2, re2_options
from orchestra_creds.scanner.verdict import Buffer

GAP = 256
"""Bytes behind a reported end within which further ends of the same pattern are not reported."""

Candidate = tuple[int, int]
"""Index of a pattern, and the end offset of a match of it."""


Report = Callable[[int, int, int, int, object], None]
"""Takes one match in the order of Hyperscan's callback: pattern, start, end, flags, context."""


class Matcher(Protocol):
    """One fast pass over a buffer."""

    def candidates(self, data: Buffer) -> list[Candidate]:
        """Which patterns may match, ending where; sorted."""
        ...


def open_matcher(patterns: Sequence[str], spans: Sequence[int], *, fast: bool, cache: Path | None) -> Matcher:
    """Hyperscan when `fast`, else RE2; `spans` are the most bytes that a match of each pattern takes."""
    return HyperscanMatcher(patterns, cache) if fast else Re2Matcher(patterns, spans)


def _reporter(data: Buffer, found: list[Candidate]) -> Report:
    """A callback that appends to `found` what thinning leaves."""
    last: dict[int, int] = {}

    def has_nul(start: int, end: int) -> bool:
        return b"\0" in bytes(data[start:end])

    def report(index: int, _start: int, end: int, _flags: int, _context: object) -> None:
        before = last.get(index)
        if before is None or not 0 <= end - before <= GAP or has_nul(before, end):
            last[index] = end
            found.append((index, end))

    return report


class HyperscanMatcher:
    """All patterns in one database. Usable in forked children and, with a scratch space for each, in threads."""

    def __init__(self, patterns: Sequence[str], cache: Path | None) -> None:
        self._count = len(patterns)
        self._database: Any = open_database(patterns, cache) if patterns else None
        self._local = threading.local()

    def candidates(self, data: Buffer) -> list[Candidate]:
        """Which patterns may match, ending where; sorted."""
        if self._database is None or not len(data):
            return []
        try:
            scratch = self._local.scratch
        except AttributeError:
            scratch = self._local.scratch = hyperscan().Scratch(self._database)
        found: list[Candidate] = []
        self._database.scan(data, match_event_handler=_reporter(data, found), scratch=scratch)
        found.sort()
        return found


class Re2Matcher:
    """The same without Hyperscan: a set of patterns tells which occur in a window, each of those then tells where."""

    WINDOW = 32 << 10
    MEMORY = 256 << 20

    def __init__(self, patterns: Sequence[str], spans: Sequence[int]) -> None:
        self._patterns = [f"(?m){pattern}" for pattern in patterns]
        self._spans = list(spans)
        self._overlap = max(spans, default=0)
        self._regexes: dict[int, Regex] = {}
        self._set: Any = None
        if patterns:
            module = re2()
            self._set = module.Set(module.RE2.Anchor.UNANCHORED, re2_options(max_mem=self.MEMORY))
            for pattern in self._patterns:
                self._set.Add(pattern.encode("latin-1"))
            self._set.Compile()

    def candidates(self, data: Buffer) -> list[Candidate]:
        """Which patterns may match, ending where; sorted."""
        if self._set is None:
            return []
        found: list[Candidate] = []
        report = _reporter(data, found)
        with memoryview(data) as text:
            for start in range(0, len(text), self.WINDOW):
                # One byte of context on either side, so that the edges of a window look like what they are.
                low, high = max(0, start - 1), min(len(text), start + self.WINDOW + self._overlap + 1)
                for index in self._set.Match(text[low:high]):
                    self._where(index, text, start, report)
        found.sort()
        return found

    def _where(self, index: int, text: memoryview, start: int, report: Report) -> None:
        """Report what pattern `index` matches from the window that begins at `start`."""
        if (regex := self._regexes.get(index)) is None:
            regex = self._regexes[index] = Regex(self._patterns[index])
        stop = min(len(text), start + self.WINDOW)
        limit = min(len(text), stop + self._spans[index])
        at = start
        while at < stop and (spans := regex.search(text, at, limit)) is not None and spans[0][0] < stop:
            report(index, spans[0][0], spans[0][1], 0, None)
            at = spans[0][0] + 1
