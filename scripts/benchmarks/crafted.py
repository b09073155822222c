"""What texts cost that were made to cost much: the anchor and the example of every rule repeated, and mixtures of anchors.

Work is counted in places, see `scanner/engine/budget.py`; time is processor time, that of the start of a scan included, and
compared with prose of the same size, because that is what somebody waits for.
"""

import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.page import table
from orchestra_creds.scanner.content.blobscan import examine_whole
from orchestra_creds.scanner.engine.budget import PER_KIB
from orchestra_creds.scanner.engine.engine import Engine, EngineKind
from orchestra_creds.scanner.rule import Rule
from orchestra_creds.scanner.rulebook.catalog import all_rules
from orchestra_creds.scanner.samples.sample import render

MIXTURES: Final = 200
MOST_OF_PROSE: Final = 5.0
KINDS: Final = ("anchor", "example", "example on lines", "mixture")
_BETWEEN: Final = (b"", b" ", b"=", b'"', b"\n", b"x" * 24)


@dataclass(frozen=True, slots=True)
class CraftedCost:
    """Of one text: what it repeats, places per KiB, findings, seconds of the engine, and whether it is named."""

    kind: str
    name: str
    places: float
    findings: int
    seconds: float
    named: bool


def anchor_of(rule: Rule) -> bytes:
    """What the text of a rule is found by."""
    return (rule.prefix or next(iter(rule.keywords), rule.id)).encode()


def fill(piece: bytes, size: int) -> bytes:
    """`size` bytes of nothing but `piece`."""
    return (piece * (size // len(piece) + 1))[:size]


def crafted_texts(size: int, only: str, kinds: Sequence[str]) -> Iterator[tuple[str, str, bytes]]:
    """Kind, name and content of each text."""
    rules = [rule for rule in all_rules() if only in rule.id]
    for rule in rules:
        example = render(rule.examples[0], seed=3).encode()
        pieces = (anchor_of(rule), example, example + b"\n")
        for kind, piece in zip(KINDS, pieces, strict=False):
            if kind in kinds:
                yield kind, rule.id, fill(piece, size)
    anchors = [anchor_of(rule) for rule in all_rules()]
    for seed in range(MIXTURES if "mixture" in kinds and not only else 0):
        chance = random.Random(seed)
        some = chance.sample(anchors, 12)
        yield (
            "mixture",
            f"seed {seed}",
            b"".join(chance.choice(some) + chance.choice(_BETWEEN) for _ in range(size // 4))[:size],
        )


def start_seconds() -> float:
    """The processor time of a scan of an empty file, the best of five."""
    command = str(Path(sys.executable).with_name("orchestra-creds"))
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder, "empty.txt")
        empty.touch()
        return min(_children_seconds([command, "scan", "--no-cache", str(empty)]) for _ in range(5))


def _children_seconds(command: Sequence[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def measure_text(engine: Engine, kind: str, name: str, text: bytes) -> CraftedCost:
    """What one text costs in this process."""
    began = time.process_time()
    found = examine_whole(engine, text, engine.find_hits(text), name)
    seconds = time.process_time() - began
    return CraftedCost(kind, name, engine.place_count / len(text) * 1024, len(found), seconds, bool(engine.excess))


def measure_crafted(
    prose: bytes, size: int, only: str, kinds: Sequence[str], say: Callable[[str], None]
) -> tuple[str, list[str]]:
    """Markdown of what crafted texts of `size` bytes cost, and what is over its bound."""
    engine = Engine.open(all_rules(), kind=EngineKind.HYPERSCAN)
    prose = fill(prose, size)
    measure_text(engine, "prose", "prose", prose)  # loads what is loaded late
    start = start_seconds()
    own = start + min(measure_text(engine, "prose", "prose", prose).seconds for _ in range(5))
    costs = []
    for number, (kind, name, text) in enumerate(crafted_texts(size, only, kinds), 1):
        cost = measure_text(engine, kind, name, text)
        if start + cost.seconds > MOST_OF_PROSE * own and cost.findings <= 1:  # the best of three, as for prose
            cost = min(cost, *(measure_text(engine, kind, name, text) for _ in range(2)), key=lambda one: one.seconds)
        costs.append(cost)
        if number % 200 == 0:
            say(f"{number} texts")
    rows: list[tuple[object, ...]] = [
        (
            "text repeated",
            "texts",
            "most places per KiB",
            "named",
            "median of prose",
            "most of prose",
            f"over {MOST_OF_PROSE:.0f}",
        )
    ]
    problems: list[str] = []
    for kind in KINDS:
        for with_findings in (False, True):
            of_kind = [one for one in costs if one.kind == kind and (one.findings > 1) is with_findings]
            if of_kind:
                rows.append(_row(kind + (", findings" if with_findings else ""), of_kind, start, own))
                problems += _problems(of_kind, start, own, with_findings=with_findings)
    dearest = sorted(costs, key=lambda one: -one.seconds)[:5]
    text = (
        table(rows)
        + "\nThe dearest: "
        + "; ".join(
            f"{one.kind} of {one.name} ({(start + one.seconds) / own:.1f}, {one.findings:,} findings)"
            for one in dearest
        )
    )
    return f"{size:,} bytes each; prose: {own:.3f} s, of which {start:.3f} are the start.\n\n{text}.\n", problems


def _row(name: str, costs: Sequence[CraftedCost], start: float, own: float) -> tuple[object, ...]:
    ratios = sorted((start + one.seconds) / own for one in costs)
    return (
        name,
        len(costs),
        f"{max(one.places for one in costs):.1f}",
        sum(one.named for one in costs),
        f"{ratios[len(ratios) // 2]:.1f}",
        f"{ratios[-1]:.1f}",
        sum(ratio > MOST_OF_PROSE for ratio in ratios),
    )


def _problems(costs: Sequence[CraftedCost], start: float, own: float, *, with_findings: bool) -> Iterator[str]:
    """What is over its bound. A text of nothing but credentials is allowed the time that it takes to report them."""
    for one in costs:
        if one.places > PER_KIB:
            yield f"{one.kind} of {one.name}: {one.places:.1f} places per KiB"
        if not with_findings and (start + one.seconds) / own > MOST_OF_PROSE:
            yield f"{one.kind} of {one.name}: {(start + one.seconds) / own:.1f} times prose"
