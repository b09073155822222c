r"""Exact confirmation of what the first pass reported.

Guarantees: the matches of a rule are, for each start `s`, the leftmost-first match of its pattern at `s` that takes at
most `rule.longest` bytes, in the text itself: `^`, `$` and `\b` look at the real neighbours, never at the edge of a
window. So a result depends on the bytes around it only, not on the batch, the engine or the order. Starts are enumerated
one by one, because a refused match must not hide a good one that overlaps it. Time is linear in the text for a given
rule, whatever the text holds; RE2 does not backtrack.
"""

from collections.abc import Iterable, Iterator, Sequence

from orchestra_creds.core.material import Material
from orchestra_creds.core.record import dataclass
from orchestra_creds.scanner.checks.entropy import entropy
from orchestra_creds.scanner.checks.registry import check_of
from orchestra_creds.scanner.checks.verdict import Buffer, Subject, reach
from orchestra_creds.scanner.detection import Detection
from orchestra_creds.scanner.engine.bounded_regex import BoundedRegex
from orchestra_creds.scanner.engine.prefilter import GAP
from orchestra_creds.scanner.libraries import Spans
from orchestra_creds.scanner.rule import Rule

MAX_LONGEST = 4096
"""The most bytes that `Rule.longest` may ask for."""


@dataclass(frozen=True, slots=True)
class Match:
    """A confirmed match: its detection, and the span of the pattern, which may be wider than that of the credential."""

    detection: Detection
    start: int
    end: int


def regions(ends: Iterable[int], longest: int, size: int) -> Iterator[tuple[int, int]]:
    """Ranges [low, high) that hold every start of a match of which the first pass reported the sorted `ends`."""
    low, high = 0, 0
    for end in ends:
        if end - longest > high:
            if low < high:
                yield low, high
            low = end - longest
        high = min(size, end + GAP)
    if low < high:
        yield low, high


class Examiner:
    """Confirms matches of a fixed list of rules; compiles a rule's pattern when it is first needed."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._regexes: dict[str, BoundedRegex] = {}

    def confirm(self, index: int, text: Buffer, ends: Sequence[int]) -> Iterator[Match]:
        """Every match of rule `index` for which the first pass reported one of `ends` in `text`."""
        rule = self._rules[index]
        if (regex := self._regexes.get(rule.pattern)) is None:
            regex = self._regexes[rule.pattern] = BoundedRegex(rule.pattern)
        for low, high in regions(ends, rule.longest, len(text)):
            seen: set[tuple[int, int]] = set()
            for spans in starts(regex, text, low, high, rule.longest):
                start, end = spans[0]
                span = _group(spans, rule.group)
                if span in seen:
                    continue
                seen.add(span)
                detection = _judge(rule, text, span, start)
                if detection is not None:
                    yield Match(detection, start, end)


def starts(regex: BoundedRegex, text: Buffer, low: int, high: int, longest: int) -> Iterator[Spans]:
    """The leftmost-first match of at most `longest` bytes at each start in [low, high) that has one."""
    limit = min(len(text), high + longest)
    at = low
    while at < high:
        spans = regex.search(text, at, limit)
        if spans is None or spans[0][0] >= high:
            return
        start, end = spans[0]
        at = start + 1
        if end - start > longest:
            spans = regex.match(text, start, start + longest)
            if spans is None:
                continue
        yield spans


def _group(spans: Spans, group: int) -> tuple[int, int]:
    """The span of the group, or of the whole match where the group took no part in it."""
    span = spans[group] if group < len(spans) else (-1, -1)
    return spans[0] if span[0] < 0 else span


def _judge(rule: Rule, text: Buffer, span: tuple[int, int], match_start: int) -> Detection | None:
    start, end = span
    material = bytes(text[start:end])
    if not material or (rule.entropy and entropy(material) < rule.entropy):
        return None
    read_from, read_to = max(0, match_start - 1), min(len(text), match_start + rule.longest + 1)
    if not rule.check:
        return Detection(rule, start, end, read_from, read_to, Material(material), rule.confidence)
    # The check gets a copy of what it may read, so that no verdict can depend on more.
    back, ahead = reach(rule.check)
    low, high = max(0, start - back), min(len(text), end + ahead)
    window = bytes(text[low:high])
    verdict = check_of(rule.check)(Subject(material, window, start - low, end - low, 0, len(window)))
    if verdict is None:
        return None
    return Detection(
        rule,
        verdict.start + low,
        verdict.end + low,
        min(read_from, verdict.read_from + low),
        max(read_to, verdict.read_to + low),
        Material(verdict.material),
        verdict.confidence,
        verdict.decoded,
        verdict.note,
    )
