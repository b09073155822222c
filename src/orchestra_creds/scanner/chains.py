"""Scans objects as a pack holds them: a full object whole, a delta only where it differs from what it is based on.

Guarantees: the detections of every text are those of a scan of the whole text. What a delta copies was judged in its
base: a detection is carried over when all bytes that its verdict depended on were copied in one run; a place where a rule
may match is judged again when a byte that its verdict may depend on lies outside of that run; and windows around all
that is new find the places that the base did not have. What was found inside an encoding hangs on the start of that
encoding too, so it is not carried over but decoded again. Damaged objects are named with all that is based on them.

Memory: of a chain only texts with deltas left to make are held, the lightest branches first, so at most a logarithm of
the size of the tree.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from orchestra_creds.scanner.decode import CARRIERS
from orchestra_creds.scanner.delta import Reach, apply, in_text, triples
from orchestra_creds.scanner.detection import Detection
from orchestra_creds.scanner.engine import SEPARATOR, Engine
from orchestra_creds.scanner.firstpass import MOST, first_pass, width
from orchestra_creds.scanner.matcher import GAP, Candidate
from orchestra_creds.scanner.pack import BLOB, COMMIT, DAMAGED, TAG, Pack
from orchestra_creds.scanner.rule import Rule
from orchestra_creds.scanner.rulebook.catalog import all_rules
from orchestra_creds.scanner.verdict import LOOK_BACK, LOOK_FORWARD

SCANNED = frozenset({COMMIT, BLOB, TAG})
"""Kinds of objects that people put text into; trees hold names and ids only."""

BATCH = 256 << 10
"""Bytes of small objects that are scanned in one pass."""

SMALL = 32 << 10
"""Bytes up to which a full object, on which no other is based, is put in a batch."""

_SPARE = 512  # bytes: boundaries, and what decoding looks at behind the end of a run (`decode._JOINT`)


class State(NamedTuple):
    """What a text holds: where rules may match, by end, and what was confirmed (not settled yet)."""

    ends: tuple[int, ...]
    candidates: tuple[Candidate, ...]
    found: tuple[Detection, ...]


NOTHING = State((), (), ())

Looked = Callable[[int, bytes, Sequence[Detection]], None]
"""Hears of every object: its number, its text, and what was confirmed there (not settled yet)."""

Failed = Callable[[int, str], None]
"""Hears of every object that could not be read: its number and the reason."""


@dataclass(slots=True)
class Tally:
    """How much was looked at: objects and bytes of their texts."""

    objects: int = 0
    size: int = 0


class Scanner:
    """Scans texts with one engine; every process has its own."""

    def __init__(self, engine: Engine, limit: int) -> None:
        """`limit` is the size in bytes of the largest text that is scanned."""
        self.limit = limit
        self.engine = engine
        widest = first_pass_width(engine.rules)
        # A match whose start lies this far from a seam is pointed at by a candidate of the base, see `matcher.GAP`.
        self.reach = Reach(widest + 2, widest + GAP + 2)
        self._dependence = _dependence(engine.rules)

    def whole(self, text: bytes) -> State:
        """Everything in a text."""
        candidates = self.engine.candidates(text)
        if not candidates:
            return NOTHING
        return _state(candidates, self.engine.examine(text, candidates))

    def batch(self, texts: Sequence[bytes]) -> Iterator[tuple[int, State]]:
        """Everything in several texts, scanned in one pass: (position, state) of those that hold anything."""
        starts = []
        at = 0
        for text in texts:
            starts.append(at)
            at += len(text) + len(SEPARATOR)
        grouped: dict[int, list[Candidate]] = {}
        for index, end in self.engine.candidates(SEPARATOR.join(texts)):
            position = bisect_right(starts, end - 1) - 1
            grouped.setdefault(position, []).append((index, min(end - starts[position], len(texts[position]))))
        for position, candidates in grouped.items():
            yield position, _state(candidates, self.engine.examine(texts[position], candidates))

    def changed(self, base: bytes, state: State, delta: bytes) -> tuple[bytes, State]:
        """The text that a delta makes of `base`, and everything in it."""
        text, windows, cuts, runs = apply(base, delta, self.limit, *self.reach)
        fresh = self.engine.candidates(windows)
        if not fresh and not state.ends:
            return text, NOTHING
        judge: set[Candidate] = set()
        if fresh:
            ends = [end for _, end in fresh] if windows is text else in_text(cuts, [end for _, end in fresh])
            judge.update(zip((index for index, _ in fresh), ends, strict=True))
        candidates = set(judge)
        found: dict[object, Detection] = {}
        if state.ends:
            for to, start, length in triples(runs):
                self._carry(state, (to, start, length), (len(base), len(text)), candidates, judge, found)
        for detection in self.engine.examine(text, judge):
            found[_key(detection)] = detection
        return text, _state(candidates, found.values())

    def _carry(
        self,
        state: State,
        run: tuple[int, int, int],
        sizes: tuple[int, int],
        candidates: set[Candidate],
        judge: set[Candidate],
        found: dict[object, Detection],
    ) -> None:
        """What a copied run brings along from its base."""
        to, start, length = run
        # where the run holds the edge of both texts, what depends on the edge came along, too
        low = start if start or to else -(1 << 62)
        high = start + length if start + length != sizes[0] or to + length != sizes[1] else 1 << 62
        by = to - start
        again = any(detection.decoded for detection in state.found)
        for at in range(bisect_right(state.ends, start), bisect_right(state.ends, start + length)):
            index, end = state.candidates[at]
            candidate = (index, end + by)
            candidates.add(candidate)
            back, ahead = self._dependence[index]
            if end - back < low or end + ahead > high or again:
                judge.add(candidate)
        for detection in state.found:
            if detection.decoded:
                continue
            behind = 1 << 61 if detection.read_to >= sizes[0] else detection.read_to
            if (detection.read_from or -1) >= low and behind <= high and start <= detection.start < start + length:
                moved = detection if not by else _moved(detection, by, sizes[1])
                found[_key(moved)] = moved


def first_pass_width(rules: Sequence[Rule]) -> int:
    """The most bytes that the first pass needs to see of a match to report it.

    The rulebook's patterns keep to `firstpass.MOST`, a test sees to that; others are measured.
    """
    ours = set(map(id, all_rules()))
    widest = max(MOST, *(carrier.longest for carrier in CARRIERS))
    for rule in rules:
        if rule.longest > widest and id(rule) not in ours:
            bound = width(first_pass(rule.pattern, rule.longest))
            widest = max(widest, rule.longest if bound is None else min(rule.longest, bound))
    return widest


def _dependence(rules: Sequence[Rule]) -> list[Reach]:
    """How far around its end a candidate may lead to reading, by index: rules, then carriers."""
    found = []
    for rule in rules:
        back, ahead = (LOOK_BACK, LOOK_FORWARD) if rule.check else (0, 0)
        found.append(Reach(rule.longest + back + _SPARE, GAP + 2 * rule.longest + ahead + _SPARE))
    for carrier in CARRIERS:
        reach = Reach(carrier.longest + carrier.back + _SPARE, GAP + carrier.longest + carrier.ahead + _SPARE)
        found.append(reach)
    return found


def _state(candidates: Iterable[Candidate], found: Iterable[Detection]) -> State:
    ordered = sorted(candidates, key=lambda candidate: candidate[1])
    return State(tuple(end for _, end in ordered), tuple(ordered), tuple(found))


def _key(detection: Detection) -> object:
    return detection.rule.id, detection.start, detection.end, detection.decoded, detection.material, detection.note


def _moved(detection: Detection, by: int, size: int) -> Detection:
    return replace(
        detection,
        start=detection.start + by,
        end=detection.end + by,
        read_from=max(detection.read_from + by, 0),
        read_to=min(detection.read_to + by, size),
    )


def scan_roots(
    scanner: Scanner, pack: Pack, roots: Sequence[int], tally: Tally, looked: Looked, failed: Failed
) -> None:
    """Scans full objects of a pack and all that is based on them; calls back for each."""
    small: list[int] = []
    texts: list[bytes] = []
    held = 0
    for root in roots:
        size = pack.columns.size[root]
        if size <= min(SMALL, scanner.limit) and pack.columns.first[root] < 0:
            try:
                texts.append(pack.inflate(root))
            except DAMAGED:
                failed(root, "the object is damaged")
                continue
            small.append(root)
            held += size
            if held >= BATCH:
                _scan_small(scanner, small, texts, tally, looked)
                small, texts, held = [], [], 0
        else:
            _scan_tree(scanner, pack, root, tally, looked, failed)
    if texts:
        _scan_small(scanner, small, texts, tally, looked)


def _scan_small(scanner: Scanner, numbers: Sequence[int], texts: Sequence[bytes], tally: Tally, looked: Looked) -> None:
    states = dict(scanner.batch(texts))
    for position, (number, text) in enumerate(zip(numbers, texts, strict=True)):
        looked(number, text, states[position].found if position in states else ())
    tally.objects += len(texts)
    tally.size += sum(map(len, texts))


def _scan_tree(scanner: Scanner, pack: Pack, root: int, tally: Tally, looked: Looked, failed: Failed) -> None:
    """One full object and its deltas, depth first; the heaviest branch last, when the text is needed no more."""
    weight = pack.columns.weight
    todo: list[tuple[int, bytes, State]] = [(root, b"", NOTHING)]
    while todo:
        number, base, state = todo.pop()
        try:
            if number == root:
                text = pack.text(root, scanner.limit)
                state = scanner.whole(text)
            else:
                text, state = scanner.changed(base, state, pack.inflate(number))
        except OverflowError:
            _fail_all(pack, number, f"larger than {scanner.limit:,} bytes", failed)
            continue
        except DAMAGED:
            _fail_all(pack, number, "the object is damaged", failed)
            continue
        tally.objects += 1
        tally.size += len(text)
        looked(number, text, state.found)
        children = pack.children(number)
        if len(children) > 1:
            children.sort(key=weight.__getitem__, reverse=True)
        todo += [(child, text, state) for child in children]


def _fail_all(pack: Pack, number: int, reason: str, failed: Failed) -> None:
    """An object that cannot be read takes all with it that are based on it."""
    todo = [number]
    while todo:
        number = todo.pop()
        failed(number, reason)
        todo += pack.children(number)
