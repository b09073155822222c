"""Scans objects as a pack holds them: a full object whole, a delta only where it differs from what it is based on.

Guarantees: the detections of every text are those of a scan of the whole text. What a delta copies was judged in its
base: a detection is carried over when all bytes that its verdict depended on were copied in one run; a place where a rule
may match is judged again when a byte that its verdict may depend on lies outside of that run; and windows around all
that is new find the places that the base did not have. What was found inside an encoding hangs on the start of that
encoding too, so it is not carried over but decoded again. Damaged objects are named with all that is based on them.

A text that exceeds the budget of `engine.budget` is named, and so is what is based on it if it exceeds its own. What is copied from
a base within its budget was examined there and counts no more.

What is new in many objects is scanned in one pass; then each is judged, a base before what is based on it.

Memory: no delta above `pack.LARGEST_DELTA` is inflated; of a chain only texts with deltas left to make are held, the lightest branches first, so at most a logarithm of
the size of the tree; and those that wait for a pass, `HELD` bytes and one text.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

from orchestra_creds.core.record import dataclass
from orchestra_creds.scanner.buffers import SEPARATOR
from orchestra_creds.scanner.checks.verdict import reach
from orchestra_creds.scanner.decoding.decode import CARRIERS
from orchestra_creds.scanner.detection import Detection
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.engine.prefilter import GAP, Hit
from orchestra_creds.scanner.git.delta import WindowMargin, apply, in_text, triples
from orchestra_creds.scanner.git.pack import BLOB, COMMIT, DAMAGED, TAG, LargeDeltaError, Pack
from orchestra_creds.scanner.rule import Rule

SCANNED = frozenset({COMMIT, BLOB, TAG})
"""Kinds of objects that people put text into; trees hold names and ids only."""

BATCH = 256 << 10
"""Bytes that are scanned in one pass."""

HELD = 8 << 20
"""Bytes of texts that wait for a pass at most, one text apart."""

_SPARE = 512  # bytes: boundaries, and what decoding looks at behind the end of a run (`decode.JOINT`)


class TextResult(NamedTuple):
    """What a text holds: where rules may match, by end, and what was confirmed (not settled yet).

    Attributes:
        excess: The reason why a part of it was not examined, see `engine.budget`; "" when all of it was.
    """

    ends: tuple[int, ...]
    hits: tuple[Hit, ...]
    found: tuple[Detection, ...]
    excess: str = ""


NOTHING = TextResult((), (), ())


@dataclass(slots=True, eq=False)
class PackObject:
    """An object as it is read from a pack: a full one, or what a delta makes of the object `above`.

    `windows`, `cuts` and `runs` are those of `delta.apply`; `above` and these are given up once `state` is known.
    """

    number: int
    text: bytes
    windows: bytes
    above: "PackObject | None" = None
    cuts: bytes = b""
    runs: bytes = b""
    state: TextResult = NOTHING


TextCallback = Callable[[int, bytes, TextResult], None]
"""Hears of every object: its number, its text, and what it holds."""

FailureCallback = Callable[[int, str, bool], None]
"""Hears of every object that could not be read: its number, the reason, and whether git may be asked for it."""


@dataclass(slots=True)
class ScanTally:
    """How much was looked at: objects and bytes of their texts."""

    objects: int = 0
    size: int = 0


class DeltaScanner:
    """Scans texts with one engine; every process has its own."""

    def __init__(self, engine: Engine, limit: int) -> None:
        """`limit` is the size in bytes of the largest text that is scanned."""
        self.limit = limit
        self.engine = engine
        # A match whose start lies this far from a seam is pointed at by a hit of the base.
        self.reach = WindowMargin(engine.widest + 2, engine.widest + 2)
        self._dependence = _dependence(engine.rules)

    def whole(self, text: bytes) -> TextResult:
        """Everything in a text."""
        hits = self.engine.find_hits(text)
        if not hits:
            return NOTHING
        found = self.engine.examine(text, hits)
        return _text_result(hits, found, self.engine.excess)

    def delta(self, number: int, above: PackObject, delta: bytes) -> PackObject:
        """The object that a delta makes of another, not judged yet."""
        text, windows, cuts, runs = apply(above.text, delta, self.limit, *self.reach)
        return PackObject(number, text, windows, above, cuts, runs)

    def judge(self, nodes: Sequence[PackObject]) -> None:
        """Everything in several objects, scanned in one pass; what one is based on comes before it or was judged."""
        starts = []
        at = 0
        for node in nodes:
            starts.append(at)
            at += len(node.windows) + len(SEPARATOR)
        grouped: dict[int, list[Hit]] = {}
        for index, end in self.engine.find_hits(SEPARATOR.join([node.windows for node in nodes])):
            position = bisect_right(starts, end - 1) - 1
            inside = min(end - starts[position], len(nodes[position].windows))
            grouped.setdefault(position, []).append((index, inside))
        for position, node in enumerate(nodes):
            fresh = grouped.get(position, ())
            above = node.above
            if above is not None and (fresh or above.state.ends):
                node.state = self._rescan_delta(above, node, fresh)
            elif fresh:
                node.state = self._examine_fresh(node.text, fresh)
            node.above, node.windows, node.cuts, node.runs = None, b"", b"", b""

    def _examine_fresh(self, text: bytes, hits: Sequence[Hit]) -> TextResult:
        """Everything in a text of which all hits are known."""
        found = self.engine.examine(text, hits)
        return self.whole(text) if self.engine.excess else _text_result(hits, found)

    def _rescan_delta(self, above: PackObject, node: PackObject, fresh: Sequence[Hit]) -> TextResult:
        """Everything in an object of which the windows showed `fresh`."""
        base, text = above.state, node.text
        if base.excess:  # a copied run may hold what was not examined
            return self.whole(text)
        judge: set[Hit] = set(fresh)
        if fresh and node.windows is not text:
            ends = in_text(node.cuts, [end for _, end in fresh])
            judge = set(zip((index for index, _ in fresh), ends, strict=True))
        hits = set(judge)
        found: dict[object, Detection] = {}
        if base.ends:
            sizes = len(above.text), len(text)
            again = any(detection.decoded for detection in base.found)
            for run in triples(node.runs):
                # Reports are thinned, see `prefilter.GAP`: one before the run may stand for a match in it.
                first, last = bisect_right(base.ends, run[1] - GAP), bisect_right(base.ends, run[1] + run[2])
                if first < last or base.found:
                    self._carry(base, run, sizes, range(first, last), hits, judge, found, again=again)
        for detection in self.engine.examine(text, judge):
            found[_key(detection)] = detection
        return self.whole(text) if self.engine.excess else _text_result(hits, found.values())

    def _carry(
        self,
        state: TextResult,
        run: tuple[int, int, int],
        sizes: tuple[int, int],
        inside: range,
        hits: set[Hit],
        judge: set[Hit],
        found: dict[object, Detection],
        *,
        again: bool,
    ) -> None:
        """What a copied run brings along from its base: its hits `inside`, to be judged `again`, and detections."""
        to, start, length = run
        # where the run holds the edge of both texts, what depends on the edge came along, too
        low = start if start or to else -(1 << 62)
        high = start + length if start + length != sizes[0] or to + length != sizes[1] else 1 << 62
        by = to - start
        for at in inside:
            index, end = state.hits[at]
            end = max(end, start + 1)
            hit = (index, end + by)
            hits.add(hit)
            back, ahead = self._dependence[index]
            if end - back < low or end + ahead > high or again:
                judge.add(hit)
        for detection in state.found:
            if detection.decoded:
                continue
            behind = 1 << 61 if detection.read_to >= sizes[0] else detection.read_to
            if (detection.read_from or -1) >= low and behind <= high and start <= detection.start < start + length:
                moved = detection.shift(by, sizes[1]) if by else detection
                found[_key(moved)] = moved


def _dependence(rules: Sequence[Rule]) -> list[WindowMargin]:
    """How far around its end a hit may lead to reading, by index: rules, then carriers."""
    found = []
    for rule in rules:
        back, ahead = reach(rule.check) if rule.check else (0, 0)
        found.append(WindowMargin(rule.longest + back + _SPARE, GAP + 2 * rule.longest + ahead + _SPARE))
    found += (
        WindowMargin(carrier.longest + carrier.back + _SPARE, GAP + carrier.longest + carrier.ahead + _SPARE)
        for carrier in CARRIERS
    )
    return found


_END = itemgetter(1)


def _text_result(hits: Iterable[Hit], found: Iterable[Detection], excess: str = "") -> TextResult:
    ordered = sorted(hits, key=_END)
    return TextResult(tuple(end for _, end in ordered), tuple(ordered), tuple(found), excess)


def _key(detection: Detection) -> object:
    return detection.rule.id, detection.start, detection.end, detection.decoded, detection.material, detection.note


def scan_roots(
    scanner: DeltaScanner,
    pack: Pack,
    roots: Sequence[int],
    tally: ScanTally,
    looked: TextCallback,
    failed: FailureCallback,
) -> None:
    """Scans full objects of a pack and all that is based on them; calls back for each."""
    waiting: list[PackObject] = []
    fresh = held = 0
    for node in _nodes(scanner, pack, roots, failed):
        waiting.append(node)
        fresh += len(node.windows)
        held += len(node.text)
        if fresh >= BATCH or held >= HELD:
            _judge(scanner, waiting, tally, looked)
            fresh = held = 0
    if waiting:
        _judge(scanner, waiting, tally, looked)


def _judge(scanner: DeltaScanner, waiting: list[PackObject], tally: ScanTally, looked: TextCallback) -> None:
    scanner.judge(waiting)
    tally.objects += len(waiting)
    for node in waiting:
        tally.size += len(node.text)
        looked(node.number, node.text, node.state)
    waiting.clear()


def _nodes(scanner: DeltaScanner, pack: Pack, roots: Sequence[int], failed: FailureCallback) -> Iterator[PackObject]:
    """Each full object and its deltas, depth first; the heaviest branch last, when the text is needed no more."""
    weight = pack.columns.weight
    for root in roots:
        todo: list[tuple[int, PackObject | None]] = [(root, None)]
        while todo:
            number, above = todo.pop()
            try:
                if above is None:
                    text = pack.text(root, scanner.limit)
                    node = PackObject(root, text, text)
                else:
                    node = scanner.delta(number, above, pack.inflate(number, scanner.limit))
            except LargeDeltaError:
                _fail_all(pack, [number], "it needs a delta that is larger than any of git", failed, ask=False)
                continue
            except OverflowError:
                failed(number, f"larger than {scanner.limit:,} bytes", False)
                _fail_all(pack, pack.children(number), "what it is based on is too large", failed)
                continue
            except DAMAGED:
                _fail_all(pack, [number], "the object is damaged", failed)
                continue
            yield node
            children = pack.children(number)
            if len(children) > 1:
                children.sort(key=weight.__getitem__, reverse=True)
            todo += [(child, node) for child in children]


def _fail_all(pack: Pack, todo: list[int], reason: str, failed: FailureCallback, *, ask: bool = True) -> None:
    """Objects that cannot be read take all with them that are based on them."""
    while todo:
        number = todo.pop()
        failed(number, reason, ask)
        todo += pack.children(number)
