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
from orchestra_creds.scanner.checks.registry import check_of, password_rounds, quick_look_of
from orchestra_creds.scanner.checks.verdict import Buffer, CheckVerdict, QuickLook, Subject, reach
from orchestra_creds.scanner.detection import Detection
from orchestra_creds.scanner.engine import budget
from orchestra_creds.scanner.engine.bounded_regex import BoundedRegex
from orchestra_creds.scanner.engine.budget import COSTS
from orchestra_creds.scanner.engine.prefilter import GAP
from orchestra_creds.scanner.libraries import Spans
from orchestra_creds.scanner.rule import LEAD, Rule

MAX_LONGEST = 4096
"""The most bytes that `Rule.longest` may ask for."""

UNBOUNDED = 1 << 62
"""Places of a text before `Examiner.begin` has set their number."""

STRETCH = 2048
"""Bytes in which the next start is looked for at a time."""

LONGEST_ANCHOR = 64
"""Bytes that a match of `Rule.anchor` may take."""

REFUSED = 16
"""Starts that a quick look refuses and that count for one place: so much less they cost."""


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
    """Confirms matches of a fixed list of rules; compiles a rule's pattern when it is first needed.

    `left` are the places that may still be examined, see `budget`; `excess` is the reason why some were not, or ""; `has_ended` says
    that none is left.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._regexes: dict[str, BoundedRegex] = {}
        self.begin(UNBOUNDED)

    def begin(self, places: int) -> None:
        """Begin a text of which so many places may be examined."""
        self.left = places
        self.excess = ""
        self.has_ended = False
        self._rounds: dict[str, int] = {}

    def confirm(self, index: int, text: Buffer, ends: Sequence[int]) -> Iterator[Match]:
        """Every match of rule `index` for which the first pass reported one of `ends` in `text`, until no place is left."""
        rule = self._rules[index]
        left, cost = self.left, COSTS.get(rule.check, 1)
        for low, high in regions(ends, rule.longest, len(text)):
            seen: set[tuple[int, int]] = set()
            for spans in self._starts(rule, text, low, high):
                left -= cost or 1
                if left < 0:
                    self.left, self.excess, self.has_ended = 0, budget.excess_reason(rule.id), True
                    return
                if spans is None:
                    continue
                start, end = spans[0]
                span = _group(spans, rule.group)
                if span in seen:
                    continue
                seen.add(span)
                if not cost and self._tries_too_many(rule, text, span):
                    continue
                detection = _judge(rule, text, span, start)
                if detection is not None:
                    yield Match(detection, start, end)
        self.left = left

    def _starts(self, rule: Rule, text: Buffer, low: int, high: int) -> Iterator[Spans | None]:
        regex = self._regex(rule.pattern)
        if not rule.anchor:
            return starts(regex, text, low, high, rule.longest)
        return anchored_starts(
            self._regex(rule.anchor), quick_look_of(rule.check), regex, text, low, high, rule.longest
        )

    def _regex(self, pattern: str) -> BoundedRegex:
        if (regex := self._regexes.get(pattern)) is None:
            regex = self._regexes[pattern] = BoundedRegex(pattern)
        return regex

    def _tries_too_many(self, rule: Rule, text: Buffer, span: tuple[int, int]) -> bool:
        """Whether the passwords of this place would take more rounds than are left; then the text is named, and the next place tried."""
        start, end = span
        rounds = password_rounds(Subject(bytes(text[start:end]), text, start, end, 0, len(text)))
        self._rounds[rule.id] = left = self._rounds.get(rule.id, budget.ROUNDS) - rounds
        if left < 0:
            self.excess = budget.rounds_reason(rule.id)
        return left < 0


def starts(regex: BoundedRegex, text: Buffer, low: int, high: int, longest: int) -> Iterator[Spans | None]:
    """The leftmost-first match of at most `longest` bytes at each start in [low, high) that has one.

    None stands for a start that has only a longer one.
    """
    size = len(text)
    at = low
    while at < high:
        # A pattern whose long repeats have no bound would else read on to the end of the region from every start.
        stop = high if high - at <= STRETCH else at + STRETCH
        limit = min(size, stop + longest)
        while at < stop:
            spans = regex.search(text, at, limit)
            if spans is None or spans[0][0] >= stop:
                break
            start, end = spans[0]
            at = start + 1
            if end - start > longest:
                spans = regex.match(text, start, start + longest)
            yield spans
        at = stop


def anchored_starts(
    anchor: BoundedRegex, look: QuickLook, regex: BoundedRegex, text: Buffer, low: int, high: int, longest: int
) -> Iterator[Spans | None]:
    """The same for a pattern of which every match begins with one of `anchor`, without the starts that `look` refuses.

    None stands for a start that has no match, and for `REFUSED` that were refused.
    """
    size = len(text)
    limit = min(size, high + LONGEST_ANCHOR)
    at, refused = low, 0
    while (word := anchor.search(text, at, limit)) is not None and (start := word[0][0]) < high:
        at = start + 1
        if look(text, start):
            yield regex.match(text, start, min(size, start + longest))
        elif (refused := refused + 1) == REFUSED:
            refused = 0
            yield None


def _is_length(text: Buffer, verdict: CheckVerdict) -> bool:
    """Whether a letter that touches the material is its length, as serialized data writes it, and not a letter of a longer word."""
    start = verdict.start
    before = bytes(text[max(0, start - 3) : start])
    if not before[-1:].isalnum() or before[-2:-1] == b"\\" or before[-3:-2] == b"%":
        return True
    return before[-1] == verdict.end - start


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
    # The check reads through its subject, which ends at these bounds, so that no verdict can depend on more.
    back, ahead = reach(rule.check)
    verdict = check_of(rule.check)(
        Subject(material, text, start, end, max(0, start - back), min(len(text), end + ahead))
    )
    if verdict is None or (rule.pattern.startswith(LEAD) and not _is_length(text, verdict)):
        return None
    return Detection(
        rule,
        verdict.start,
        verdict.end,
        min(read_from, verdict.read_from),
        max(read_to, verdict.read_to),
        Material(verdict.material),
        verdict.confidence,
        verdict.decoded,
        verdict.note,
    )
