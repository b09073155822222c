"""The first pass: which pattern may match, ending where.

Guarantees: every match of every pattern is covered: for each start `s` of a match there is a reported pair (pattern, end)
with `end - longest <= s < end + GAP`. Hyperscan and RE2 cover the same matches. Reports are thinned to one per pattern
and `GAP` bytes, so that 10 MB of nothing but prefixes give 40,000 pairs and not ten million; a NUL byte ends the thinning,
so that texts which share a buffer, with a NUL between them, do not hide each other's matches.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from orchestra_creds.scanner.checks.verdict import Buffer
from orchestra_creds.scanner.engine.database import RunCompiler, open_database
from orchestra_creds.scanner.engine.patterns import Pattern, PatternSet, quote_literal
from orchestra_creds.scanner.libraries import Regex, hyperscan, re2, re2_options
from orchestra_creds.scanner.native import hex_ends

GAP = 256
"""Bytes behind a reported end within which further ends of the same pattern are not reported."""

Hit = tuple[int, int]
"""Index of a pattern, and the end offset of a match of it."""


Report = Callable[[int, int, int, int, object], None]
"""Takes one match in the order of Hyperscan's callback: pattern, start, end, flags, context."""


class Matcher(Protocol):
    """One fast pass over a buffer."""

    def find_hits(self, data: Buffer) -> list[Hit]:
        """Which patterns may match, ending where; sorted and thinned."""
        ...

    def ends(self, index: int, data: Buffer) -> list[int]:
        """Every end of pattern `index` in a small buffer; sorted, not thinned."""
        ...

    def dump(self) -> bytes | None:
        """The compiled patterns, where they can be loaded again; None where they cannot."""
        ...


def open_matcher(
    plan: PatternSet, *, fast: bool, cache: Path | None, run_compiler: RunCompiler = lambda work: work()
) -> Matcher:
    """Hyperscan when `fast`, else RE2; `run_compiler` runs the compilation when Hyperscan has to compile."""
    return HyperscanMatcher.from_patterns(plan, cache, run_compiler) if fast else Re2Matcher(plan.patterns)


_GROUP = 20
"""Bits of a number below those that tell which group of literals it belongs to, counted from 1."""


def _reporter(data: Buffer, found: list[Hit], groups: Sequence[int] = ()) -> Report:
    """A callback that appends to `found` what thinning leaves; `groups` are the indices of the groups of literals."""
    last: dict[int, int] = {}
    until: dict[int, int] = {}

    def report(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
        index = groups[(number >> _GROUP) - 1] if number >> _GROUP else number
        if index in last and last[index] <= end <= until[index]:
            return
        nul = bytes(data[end : end + GAP]).find(b"\0")
        last[index], until[index] = end, end + (GAP if nul < 0 else nul)
        found.append((index, end))

    return report


def load_database(dump: bytes) -> Any | None:
    """The database that `Matcher.dump` gave; None where this build of the library or this processor cannot use it."""
    try:
        module = hyperscan()
    except ImportError:
        return None
    try:
        database = module.loadb(dump, module.HS_MODE_BLOCK)
        database.scan(b"probe", match_event_handler=lambda *_: None, scratch=module.Scratch(database))
    except module.error:
        return None
    return database


class HyperscanMatcher:
    """All patterns in one database. Usable in forked children and, with a scratch space for each, in threads.

    Hex has no word to be found by, so its pattern would take a third of the pass: where `_native.hex_ends` was built, that looks.
    """

    def __init__(self, database: Any, plan: PatternSet) -> None:
        self._database = database
        self._groups = plan.literal_indices
        self._hex = -1 if hex_ends is None else plan.hex_index
        self._local = threading.local()

    @classmethod
    def from_patterns(cls, plan: PatternSet, cache: Path | None, run_compiler: RunCompiler) -> "HyperscanMatcher":
        """The patterns of a plan, compiled or from the cache."""
        key = plan.key() + (b"hex" if hex_ends is None else b"")
        return cls(open_database(lambda: _numbered_patterns(plan), key, cache, run_compiler), plan)

    def find_hits(self, data: Buffer) -> list[Hit]:
        """Which patterns may match, ending where; sorted and thinned."""
        found: list[Hit] = []
        self._scan(data, _reporter(data, found, self._groups))
        if hex_ends is not None and self._hex >= 0:
            found += [(self._hex, end) for end in hex_ends(data, GAP)]
        found.sort()
        return found

    def ends(self, index: int, data: Buffer) -> list[int]:
        """Every end of pattern `index` in a small buffer; sorted, not thinned."""
        if hex_ends is not None and index == self._hex:
            return hex_ends(data, 0)
        found: set[int] = set()
        group = self._groups.index(index) + 1 if index in self._groups else 0

        def report(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
            if number == index or (group and number >> _GROUP == group):
                found.add(end)

        self._scan(data, report)
        return sorted(found)

    def dump(self) -> bytes | None:
        """The compiled patterns, to be loaded again."""
        compiled: bytes = hyperscan().dumpb(self._database)
        return compiled

    def _scan(self, data: Buffer, report: Report) -> None:
        if not len(data):
            return
        try:
            scratch = self._local.scratch
        except AttributeError:
            scratch = self._local.scratch = hyperscan().Scratch(self._database)
        self._database.scan(data, match_event_handler=report, scratch=scratch)


def _numbered_patterns(plan: PatternSet) -> list[tuple[int, str]]:
    """The patterns with their numbers. One of its own for each literal: with one for all, compiling takes seconds more."""
    apart = -1 if hex_ends is None else plan.hex_index
    numbered = [(index, one.pattern) for index, one in enumerate(plan.patterns) if one.pattern and index != apart]
    groups = [plan.patterns[index].literals for index in plan.literal_indices]
    return numbered + [
        (group << _GROUP | at, quote_literal(literal))
        for group, literals in enumerate(groups, 1)
        for at, literal in enumerate(literals)
    ]


class Re2Matcher:
    """The same without Hyperscan: a set of patterns tells which occur in a window, each of those then tells where."""

    WINDOW = 32 << 10
    MEMORY = 256 << 20

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns = patterns
        self._overlap = max((one.longest for one in patterns), default=0)
        self._regexes: dict[int, Regex] = {}
        self._members = [index for index, one in enumerate(patterns) if one.pattern]
        # Thousands of literals would crowd the patterns out of the automaton's memory: they are searched by themselves.
        self._apart = [index for index, one in enumerate(patterns) if not one.pattern]
        self._set: Any = None
        if patterns:
            module = re2()
            self._set = module.Set(module.RE2.Anchor.UNANCHORED, re2_options(max_mem=self.MEMORY))
            for index in self._members:
                self._set.Add(patterns[index].regex.encode("latin-1"))
            self._set.Compile()

    def dump(self) -> bytes | None:
        """None: RE2's automata live in memory only."""
        return None

    def find_hits(self, data: Buffer) -> list[Hit]:
        """Which patterns may match, ending where; sorted and thinned."""
        if self._set is None:
            return []
        found: list[Hit] = []
        report = _reporter(data, found)
        with memoryview(data) as text:
            for start in range(0, len(text), self.WINDOW):
                # One byte of context on either side, so that the edges of a window look like what they are.
                low, high = max(0, start - 1), min(len(text), start + self.WINDOW + self._overlap + 1)
                there = [self._members[member] for member in self._set.Match(text[low:high])]
                for index in there + self._apart:
                    for end in self._where(index, text, start, min(len(text), start + self.WINDOW)):
                        report(index, 0, end, 0, None)
        found.sort()
        return found

    def ends(self, index: int, data: Buffer) -> list[int]:
        """Every end of pattern `index` in a small buffer; sorted, not thinned."""
        return sorted(set(self._where(index, data, 0, len(data))))

    def _where(self, index: int, text: Buffer, start: int, stop: int) -> Iterator[int]:
        """Where the matches of pattern `index` end that begin in [start, stop)."""
        pattern = self._patterns[index]
        if (regex := self._regexes.get(index)) is None:
            regex = self._regexes[index] = Regex(pattern.regex, max_mem=self.MEMORY // 4)
        limit = min(len(text), stop + pattern.longest)
        at = start
        while at < stop and (spans := regex.search(text, at, limit)) is not None and spans[0][0] < stop:
            yield spans[0][1]
            at = spans[0][0] + 1
