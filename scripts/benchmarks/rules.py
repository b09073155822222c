"""What every rule costs: nanoseconds for a byte of source code, alone and all together, and what examining adds.

Each pattern of the first pass is compiled and run by itself over the same text, in rounds, the best round counts. A rule
alone shows which one to rewrite; the sum means nothing, because together they share most of the work. Exit code 1: a rule
costs more than its budget, or all of them more than theirs, or a crafted text (`crafted.py`) more than it may.
"""

import argparse
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.crafted import KINDS, measure_crafted
from benchmarks.page import replace
from orchestra_creds.scanner.buffers import SEPARATOR
from orchestra_creds.scanner.decoding.decode import CARRIERS
from orchestra_creds.scanner.engine.engine import Engine, EngineKind
from orchestra_creds.scanner.engine.patterns import PatternSet, quote_literal
from orchestra_creds.scanner.libraries import hyperscan
from orchestra_creds.scanner.rule import Rule
from orchestra_creds.scanner.rulebook.catalog import all_rules

_BATCH: Final = 1 << 20
_SKIPPED: Final = {".a", ".dll", ".exe", ".pyc", ".so", ".whl"}


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one pattern alone: nanoseconds for a byte, reports in a million bytes, seconds to compile."""

    name: str
    scan: float
    reports: float
    compile: float


def text_of(roots: Sequence[Path], limit: int) -> bytes:
    """At most `limit` bytes of the files below `roots`, in a stable order."""
    parts: list[bytes] = []
    size = 0
    for path in sorted(found for root in roots for found in root.rglob("*") if found.suffix not in _SKIPPED):
        if size >= limit:
            break
        if path.is_file() and not path.is_symlink():
            parts.append(path.read_bytes())
            size += len(parts[-1])
    return SEPARATOR.join(parts)[:limit]


def measure(name: str, patterns: Sequence[str], text: bytes, rounds: int) -> Cost:
    """The cost of some patterns in one database."""
    module = hyperscan()
    began = time.perf_counter()
    database: Any = module.Database(mode=module.HS_MODE_BLOCK)
    sources = [pattern.encode("latin-1") for pattern in patterns]
    database.compile(sources, ids=list(range(len(sources))), flags=[module.HS_FLAG_MULTILINE] * len(sources))
    compiled = time.perf_counter() - began
    scratch = module.Scratch(database)
    reports = 0

    def count(*_: object) -> None:
        nonlocal reports
        reports += 1

    best = float("inf")
    with memoryview(text) as view:
        for _ in range(rounds):
            began = time.perf_counter()
            for start in range(0, len(text), _BATCH):
                database.scan(view[start : start + _BATCH], match_event_handler=count, scratch=scratch)
            best = min(best, time.perf_counter() - began)
    return Cost(name, best / len(text) * 1e9, reports / rounds / len(text) * 1e6, compiled)


def examined(rules: Sequence[Rule], text: bytes) -> tuple[float, float, Counter[str]]:
    """First pass and examination of the whole rulebook in ns per byte, warm; and which rules had hits."""
    engine = Engine.open(rules, kind=EngineKind.HYPERSCAN)
    names = [rule.id for rule in rules] + [carrier.kind for carrier in CARRIERS]
    first = last = float("inf")
    counted: Counter[str] = Counter()
    for _ in range(3):
        counted.clear()
        first_time = last_time = 0.0
        for start in range(0, len(text), _BATCH):
            batch = text[start : start + _BATCH]
            began = time.perf_counter()
            candidates = engine.find_hits(batch)
            middle = time.perf_counter()
            engine.settle(engine.examine(batch, candidates))
            last_time += time.perf_counter() - middle
            first_time += middle - began
            counted.update(names[index] for index, _ in candidates)
        first, last = min(first, first_time), min(last, last_time)
    return first / len(text) * 1e9, last / len(text) * 1e9, counted


def table(costs: Iterable[Cost]) -> str:
    """Markdown, the dearest first."""
    lines = ["| rule | ns/byte alone | reports per MB | compile, ms |", "|---|---|---|---|"]
    lines += [f"| {one.name} | {one.scan:.2f} | {one.reports:.1f} | {one.compile * 1e3:.0f} |" for one in costs]
    return "\n".join(lines)


def main() -> int:
    """Measures, prints, judges."""
    parser = argparse.ArgumentParser(prog="scripts/bench rules", description=__doc__)
    parser.add_argument("roots", nargs="*", type=Path, help="folders of text; default: Python's standard library")
    parser.add_argument(
        "--megabytes", type=int, default=8, help="text for each rule alone; all together read four times as much"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--top", type=int, default=25, help="how many rules to list")
    parser.add_argument("--only", default="", help="rules whose id contains this")
    parser.add_argument("--budget", type=float, default=1.0, help="ns per byte that a rule may cost alone")
    parser.add_argument("--total", type=float, default=2.5, help="ns per byte that the first pass of all may cost")
    parser.add_argument("--part", choices=("rules", "crafted"), help="measure only the rules, or only crafted texts")
    parser.add_argument(
        "--kind", action="append", choices=KINDS, help="measure only these crafted texts; can be repeated"
    )
    parser.add_argument("--size", type=int, default=1 << 20, help="bytes of a crafted text")
    parser.add_argument("--write", type=Path, help="page that gets the figures of the crafted texts")
    options = parser.parse_args()
    text = text_of(options.roots or [Path(sysconfig.get_paths()["stdlib"])], options.megabytes * 4_000_000)
    if not text:
        print("no text there", file=sys.stderr)
        return 2
    failed = options.part != "crafted" and _is_dear(options, text)
    if options.part != "rules":
        found, problems = measure_crafted(
            text, options.size, options.only, options.kind or KINDS, lambda line: print(line, file=sys.stderr)
        )
        print(found)
        for problem in problems:
            print(problem, file=sys.stderr)
        if options.write:
            replace(options.write, "bench rules", found)
        failed = failed or bool(problems)
    return 1 if failed else 0


def _is_dear(options: argparse.Namespace, text: bytes) -> bool:
    """Measure the rules and print what they cost; whether one of them, or all together, cost more than allowed."""
    rules = all_rules()
    patterns = PatternSet(rules).patterns
    names = [rule.id for rule in rules] + [f"({carrier.kind} {carrier.pattern})" for carrier in CARRIERS]
    part = text[: options.megabytes * 1_000_000]
    costs = [
        measure(
            name,
            [pattern.pattern] if pattern.pattern else [quote_literal(one) for one in pattern.literals],
            part,
            options.rounds,
        )
        for name, pattern in zip(names, patterns, strict=True)
        if options.only in name
    ]
    costs.sort(key=lambda cost: -cost.scan)
    print(table(costs[: options.top]))
    dear = [cost.name for cost in costs if cost.scan > options.budget]
    first, last, counted = examined(rules, text)
    print(
        f"\n{len(rules)} rules over {len(text) / 1e6:.0f} MB: first pass {first:.2f} ns/byte ({1e3 / first:.0f} MB/s), ",
        end="",
    )
    print(
        f"examination {last:.2f} ns/byte; most hits: {', '.join(f'{name} {n}' for name, n in counted.most_common(5))}"
    )
    if dear:
        print(f"over the budget of {options.budget} ns/byte: {', '.join(dear)}", file=sys.stderr)
    if first > options.total:
        print(f"the first pass costs {first:.2f} ns/byte, more than {options.total}", file=sys.stderr)
    return bool(dear) or first > options.total


if __name__ == "__main__":
    sys.exit(main())
