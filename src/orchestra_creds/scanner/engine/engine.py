"""The scanner's engine: one fast pass for all rules, exact confirmation of what it reports, and the final choice.

Guarantees: the detections of a text depend on its bytes and the rules only; not on the kind of engine, the batch that
the text was scanned in, the order, or the process. Whether (index, end) is a hit depends on `margin` bytes before
`end` and one behind; what it becomes depends on data[end - REACH_BACK : end + REACH_FORWARD]. An engine is opened before
workers are forked and is then safe in each; threads may share one for `find_hits`, which keeps its scratch space by
thread, and need one each for `examine`.

Several texts may share a buffer for `find_hits`, with `SEPARATOR` between them; each is then examined by itself, with
`lo` and `hi` at its edges.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from orchestra_creds.errors import ConfigError
from orchestra_creds.scanner.checks.verdict import LOOK_BACK, LOOK_FORWARD, Buffer
from orchestra_creds.scanner.decoding.decode import (
    CARRIERS,
    DENSE,
    MAX_DEPTH,
    MOST_AHEAD,
    MOST_BACK,
    Carrier,
    DecodedText,
)
from orchestra_creds.scanner.detection import Detection
from orchestra_creds.scanner.engine.budget import places_of
from orchestra_creds.scanner.engine.confirm import MAX_LONGEST, Examiner, Match, regions
from orchestra_creds.scanner.engine.database import RunCompiler
from orchestra_creds.scanner.engine.overlap import settle
from orchestra_creds.scanner.engine.patterns import PatternSet
from orchestra_creds.scanner.engine.prefilter import GAP, Hit, HyperscanMatcher, Matcher, open_matcher
from orchestra_creds.scanner.libraries import hyperscan
from orchestra_creds.scanner.rule import Rule

REACH_BACK = max(MAX_LONGEST + LOOK_BACK, MOST_BACK) + 16
"""Bytes before the end of a hit on which its verdict may depend."""

_MANY = 64
"""Hits from which on the rules with fewer of them come first, so that one with most of them takes no places from others."""

REACH_FORWARD = GAP + max(MAX_LONGEST + LOOK_FORWARD, MOST_AHEAD) + 16
"""Bytes behind the end of a hit on which its verdict may depend."""


class EngineKind(Enum):
    """Which library does the first pass."""

    AUTO = "auto"
    HYPERSCAN = "hyperscan"
    RE2 = "re2"


class Engine:
    """All rules, ready to scan. Open one with `Engine.open`."""

    def __init__(self, rules: tuple[Rule, ...], matcher: Matcher, kind: EngineKind, *, widest: int = 0) -> None:
        self.rules = rules
        self._widest = widest
        self.kind = kind
        self.margin = max([rule.longest for rule in rules] + [carrier.longest for carrier in CARRIERS]) + 1
        self._matcher = matcher
        self._examiner = Examiner(rules)
        self._places = 0

    @classmethod
    def open(
        cls,
        rules: Sequence[Rule],
        *,
        kind: EngineKind = EngineKind.AUTO,
        cache: Path | None = None,
        run_compiler: RunCompiler = lambda work: work(),
    ) -> "Engine":
        """An engine for `rules`; `cache` is a folder that keeps the compiled database between runs.

        `run_compiler` runs the compilation, which takes seconds, when there is one.

        Raises:
            ConfigError: a pattern is invalid, or Hyperscan was asked for and is not there.
        """
        for rule in rules:
            if not 0 < rule.longest <= MAX_LONGEST:
                raise ConfigError(f"rule {rule.id}: longest is {rule.longest}", hint=f"it must be 1 to {MAX_LONGEST}")
        kind = _choose(kind)
        matcher = open_matcher(
            PatternSet(rules), fast=kind is EngineKind.HYPERSCAN, cache=cache, run_compiler=run_compiler
        )
        return cls(tuple(rules), matcher, kind)

    @classmethod
    def from_database(cls, rules: tuple[Rule, ...], database: Any, widest: int) -> "Engine":
        """An engine of what another one gave away: `compiled`, loaded again, and `widest`."""
        return cls(rules, HyperscanMatcher(database, PatternSet(rules)), EngineKind.HYPERSCAN, widest=widest)

    @property
    def widest(self) -> int:
        """The most bytes that the first pass needs to see of a match to report it."""
        if not self._widest:
            from orchestra_creds.scanner.engine.prefilter_patterns import widest

            self._widest = max(widest(self.rules), *(carrier.longest for carrier in CARRIERS))
        return self._widest

    def twin(self) -> "Engine":
        """Another engine over the same compiled rules, for another thread."""
        return Engine(self.rules, self._matcher, self.kind, widest=self._widest)

    @staticmethod
    def warm() -> None:
        """Load what nearly every large scan needs: worth it before workers are forked, where it is paid once."""
        from orchestra_creds.scanner.checks import registry
        from orchestra_creds.scanner.decoding import unwrap  # noqa: F401
        from orchestra_creds.scanner.libraries import re2

        re2()
        for _ in registry.families():
            pass

    def dump(self) -> bytes | None:
        """The compiled first pass of Hyperscan, to be loaded again without its rules; None where RE2 does it."""
        return self._matcher.dump()

    def find_hits(self, data: Buffer) -> list[Hit]:
        """(index, end) of what may match: one fast pass, nothing confirmed. Sorted; thinned, see `prefilter`."""
        return self._matcher.find_hits(data)

    def examine(self, data: Buffer, hits: Iterable[Hit], lo: int = 0, hi: int | None = None) -> list[Detection]:
        """The detections that `hits` lead to in the text [lo, hi) of `data`, with offsets of `data`.

        Nothing outside [lo, hi) is read: these are the edges of the text. Hits outside are ignored. `excess` then says whether
        all of them were examined.
        """
        with memoryview(data) as whole, whole[lo : len(whole) if hi is None else hi] as text:
            inside = [(index, end - lo) for index, end in hits if lo < end <= lo + len(text)]
            self._places = places_of(len(text))
            self._examiner.begin(self._places)
            found = [match.detection for match in self._matches(text, inside, 0)]
        return [detection.shift(lo) for detection in found] if lo else found

    @property
    def excess(self) -> str:
        """The reason why `examine` did not examine all of its last text; "" when it did."""
        return self._examiner.excess

    @property
    def place_count(self) -> int:
        """The places that `examine` examined of its last text, see `budget`."""
        return self._places - self._examiner.left

    def _matches(self, text: Buffer, hits: Sequence[Hit], depth: int) -> Iterator[Match]:
        """What the hits lead to in `text`, which stood inside `depth` wrappings."""
        ends: dict[int, list[int]] = {}
        for index, end in sorted(hits):
            ends.setdefault(index, []).append(end)
        carried: dict[str, list[tuple[int, Carrier]]] = {}
        in_order = ends.items() if len(hits) < _MANY else sorted(ends.items(), key=_count_ends)
        for index, where in in_order:
            if self._examiner.has_ended:
                return
            if index < len(self.rules):
                yield from self._examiner.confirm(index, text, where)
            elif depth < MAX_DEPTH:
                carrier = CARRIERS[index - len(self.rules)]
                exact = self._carrier_ends(index, carrier, text, where)
                carried.setdefault(carrier.kind, []).extend((end, carrier) for end in exact)
        if carried:
            from orchestra_creds.scanner.decoding.unwrap import unwrap
        for kind, around in carried.items():
            around.sort(key=lambda one: one[0])
            for unwrapped, within in unwrap(kind, text, around, self._matcher.find_hits):
                if self._examiner.has_ended:
                    return
                inner = self._matches(unwrapped.text, within, depth + 1)
                yield from (_outer_match(match, unwrapped, len(text)) for match in inner if _certain(match, unwrapped))

    def _carrier_ends(self, index: int, carrier: Carrier, text: Buffer, reported: list[int]) -> list[int]:
        """The ends that the thinned reports stand for, as they are in the text itself, one in `DENSE` bytes at most."""
        found = []
        for low, high in regions(reported, 1, len(text)):
            start = max(0, low - carrier.longest - 1)
            before = -DENSE
            for end in self._matcher.ends(index, bytes(text[start:high])):
                if start + end > low and end >= before + DENSE:
                    before = end
                    found.append(start + end)
        return found

    @staticmethod
    def settle(detections: Iterable[Detection]) -> list[Detection]:
        """One text's detections, sorted, without duplicates and without those that a better one covers."""
        return settle(detections)


def _choose(kind: EngineKind) -> EngineKind:
    if kind is EngineKind.RE2:
        return kind
    try:
        hyperscan()
    except ImportError as error:
        if kind is EngineKind.HYPERSCAN:
            raise ConfigError("hyperscan is not installed here", hint="leave the choice of the engine open") from error
        return EngineKind.RE2
    return EngineKind.HYPERSCAN


def _count_ends(reported: tuple[int, list[int]]) -> int:
    return len(reported[1])


def _certain(match: Match, unwrapped: DecodedText) -> bool:
    detection = match.detection
    return unwrapped.holds(min(match.start, detection.start), max(match.end, detection.end))


def _outer_match(match: Match, unwrapped: DecodedText, size: int) -> Match:
    """The match as it stands in the outer text, which has `size` bytes."""
    inner = match.detection
    start, end = unwrapped.outer(inner.start, inner.end)
    reads = unwrapped.reads(min(inner.read_from, match.start), max(inner.read_to, match.end))
    carrier = unwrapped.carrier(min(match.start, inner.start), max(match.end, inner.end))
    detection = Detection(
        inner.rule,
        start,
        end,
        max(0, min(reads[0], carrier[0], start)),
        min(size, max(reads[1], carrier[1], end)),
        inner.material,
        inner.confidence,
        (unwrapped.kind, *inner.decoded),
        inner.note,
    )
    return Match(detection, *unwrapped.outer(match.start, match.end))
