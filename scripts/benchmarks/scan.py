"""How fast the scanner is beside its peers and beside the floor: the time to merely read what is scanned.

Every scanner runs on the same repositories in interleaved rounds (A B C, A B C, …) with its caches of rules warm, without
validation and network; medians, the spread and ratios to the first peer are printed. Cases: a tree without git, the
full history of bare repositories, four staged files, and the history once more with this scanner's own cache.
"""

import argparse
import compileall
import contextlib
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import measure, page, peers, repositories
from benchmarks.peers import Scanner
from orchestra_creds import scanner as package

LARGE: Final = 100_000_000
"""Bytes of blobs from which on the bars are meant to hold."""
PATIENCE: Final = 40.0
"""Seconds after which a scanner is not run again in the same case: it is a peer far off, and its one time is told."""


@dataclass(slots=True)
class Row:
    """One competitor in one case."""

    name: str
    command: list[str]
    allowed: frozenset[int]
    costs: list[measure.Cost] = field(default_factory=list)
    memory: float = 0.0
    late: str = ""

    @property
    def wall(self) -> float:
        """The median."""
        return statistics.median(cost.wall for cost in self.costs)


@dataclass(slots=True)
class Case:
    """One thing to be scanned, and who scans it."""

    title: str
    target: Path
    rows: list[Row]
    large: bool = True

    def row(self, name: str) -> Row | None:
        """A competitor by name, if it ran."""
        return next((row for row in self.rows if row.name == name and row.costs), None)


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar in a kind of case: our `what` (wall or memory) to that of `against`, at most `most`."""

    case: str
    against: str
    most: float
    what: str = "wall"


OURS: Final = "orchestra-creds"
AGAIN: Final = "orchestra-creds, again"
FLOORS: Final = {"history": "git cat-file >/dev/null", "tree": "find + cat >/dev/null"}
BARS: Final = (
    Bar("history", "kingfisher", 0.25),
    Bar("history", "kingfisher --turbo", 0.5),
    Bar("history", FLOORS["history"], 1.0),
    Bar("history", "kingfisher", 0.7, "memory"),
    Bar("tree", "kingfisher", 0.2),
    Bar("tree", FLOORS["tree"], 1.5),
    Bar("tree", "kingfisher", 0.7, "memory"),
    Bar("staged", "kingfisher", 0.15),
)
STAGED_SECONDS: Final = 0.120
AGAIN_SHARE: Final = 0.10


class Bench:
    """Runs cases under one environment and one time limit."""

    def __init__(self, work: Path, *, runs: int, limit: float, memory: bool) -> None:
        self.work, self.runs, self.limit, self.memory = work, runs, limit, memory
        self.environment = peers.environment(work)

    def run(self, case: Case) -> None:
        """Warms every competitor up (measuring its memory), then the interleaved rounds."""
        for row in case.rows:
            print(f"{case.title}: {row.name}", file=sys.stderr)
            try:
                if self.memory:
                    row.memory, took = measure.peak(row.command, case.target, self.environment, self.limit)
                    row.late = f"about {took:.0f} s" if took > PATIENCE else ""
                else:
                    self._once(row, case.target)
                    row.costs.clear()
            except measure.TimeLimitError:
                row.late = f"over {self.limit:.0f} s"
        for _ in range(self.runs):
            for row in case.rows:
                if not row.late and not any(cost.wall > PATIENCE for cost in row.costs):
                    self._once(row, case.target)

    def _once(self, row: Row, target: Path) -> None:
        try:
            cost = measure.timed(row.command, target, self.environment, self.limit)
        except measure.TimeLimitError:
            row.late = f"over {self.limit:.0f} s"
            return
        if cost.code not in row.allowed:
            print(f"{' '.join(row.command)} ended with {cost.code}", file=sys.stderr)
            row.late = f"failed, exit code {cost.code}"
            return
        row.costs.append(cost)


def cases(options: argparse.Namespace, work: Path, scanners: Sequence[Scanner]) -> list[Case]:
    """All cases that were asked for."""
    report = work / "report.json"
    wanted = set(options.case or ("tree", "history", "staged"))
    found: list[Case] = []

    def rows(what: str, target: Path) -> list[Row]:
        return [
            Row(scanner.name, scanner.command(getattr(scanner, what), target, report), scanner.codes)
            for scanner in scanners
            if getattr(scanner, what)
        ]

    if "tree" in wanted:
        folder = repositories.tree(work)
        floor = Row(FLOORS["tree"], ["find", str(folder), "-type", "f", "-exec", "cat", "{}", "+"], frozenset({0}))
        found.append(Case(f"tree: {_tree_size(folder)}", folder, [*rows("tree", folder), floor]))
    if "history" in wanted:
        for repository in _repositories(options, work):
            number, size = repositories.size(repository)
            mine = next((scanner for scanner in scanners if scanner.again), None)
            again = [Row(AGAIN, mine.command(mine.again, repository, report), mine.codes)] if mine else []
            read = [
                "git",
                "-C",
                str(repository),
                "cat-file",
                "--batch-all-objects",
                "--batch",
                "--unordered",
                "--buffer",
            ]
            floor = Row(FLOORS["history"], read, frozenset({0}))
            title = f"history: {repository.stem}, {number:,} blobs, {size / 1e6:.0f} MB"
            found.append(Case(title, repository, [*rows("history", repository), *again, floor], large=size >= LARGE))
    if "staged" in wanted:
        clone = repositories.staged(work)
        found.append(Case("staged: four files", clone, rows("staged", clone)))
    return found


def _tree_size(folder: Path) -> str:
    sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
    return f"{len(sizes):,} files, {sum(sizes) / 1e6:.0f} MB"


def _repositories(options: argparse.Namespace, work: Path) -> list[Path]:
    chosen = [repositories.cloned(path, work) for path in options.repository]
    for release in options.from_sdists:
        name, _, count = release.partition(":")
        chosen.append(repositories.from_releases(name, int(count or 20), work, work / "peers" / "bin" / "python"))
    own = Path(__file__).resolve().parents[2]
    if not options.no_built:
        chosen += [repositories.built(work), *([repositories.cloned(own, work)] if (own / ".git").exists() else [])]
    return chosen


def table(case: Case) -> str:
    """The figures of one case."""
    base = case.row("kingfisher")
    out = [["", "wall s", "min - max", "of kingfisher", "CPU s", "peak MB", "of kingfisher"]]
    for row in case.rows:
        if row.late or not row.costs:
            out.append([row.name, row.late or "-", "", "", "", f"{row.memory:.0f}" if row.memory else "", ""])
            continue
        walls = [cost.wall for cost in row.costs]
        spread = f"{min(walls):.3f} - {max(walls):.3f}" if len(walls) > 1 else "one run"
        ratio = f"{row.wall / base.wall:.3f}" if base else ""
        memory = f"{row.memory / base.memory:.2f}" if base and base.memory and row.memory else ""
        cpu = f"{statistics.median(cost.cpu for cost in row.costs):.2f}"
        out.append([row.name, f"{row.wall:.3f}", spread, ratio, cpu, f"{row.memory:.0f}" if row.memory else "", memory])
    return f"#### {case.title[0].upper()}{case.title[1:]}\n\n" + page.table(out)


def verdicts(found: Sequence[Case]) -> list[tuple[bool, str]]:
    """One line a bar and case."""
    lines = []
    for case in found:
        mine = case.row(OURS)
        if mine is None or any(row.name in {OURS, AGAIN} and row.late for row in case.rows):
            lines.append((False, f"{case.title}: {OURS} did not finish"))
            continue
        if not case.large:
            continue
        kind = case.title.partition(":")[0]
        for bar in BARS:
            other = case.row(bar.against)
            if bar.case != kind or other is None or not getattr(other, bar.what):
                continue
            ratio = getattr(mine, bar.what) / getattr(other, bar.what)
            lines.append(
                (ratio <= bar.most, f"{case.title}: {bar.what} {ratio:.3f} of {bar.against} (at most {bar.most})")
            )
        if kind == "staged":
            fast = mine.wall < STAGED_SECONDS
            lines.append((fast, f"{case.title}: {1000 * mine.wall:.0f} ms (under {1000 * STAGED_SECONDS:.0f} ms)"))
        again = case.row(AGAIN)
        if again is not None:
            share = again.wall / mine.wall
            lines.append(
                (share < AGAIN_SHARE, f"{case.title}: second run {share:.3f} of the first (under {AGAIN_SHARE})")
            )
    return lines


def machine(versions: dict[str, str]) -> str:
    """What was measured on, and with which versions."""
    model = "unknown processor"
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), model)
    said = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{os.cpu_count()} processors ({model}), {platform.system()} {platform.machine()}, CPython {platform.python_version()}, "
        f"{repositories.git('version').strip()}; {said}.\n"
    )


def main() -> int:
    """Measures what was asked for and prints the tables and one verdict a bar."""
    parser = argparse.ArgumentParser(prog="scripts/bench scan", description=__doc__)
    parser.add_argument("repository", nargs="*", type=Path, help="local git repositories to measure on, too")
    parser.add_argument(
        "--from-sdists",
        metavar="NAME:COUNT",
        action="append",
        default=[],
        help="also a repository made of a package's source releases, fetched with pip",
    )
    parser.add_argument("--no-built", action="store_true", help="neither the built repository nor this checkout")
    parser.add_argument(
        "--case", choices=("tree", "history", "staged"), action="append", help="only this; may be repeated"
    )
    parser.add_argument(
        "--scanner", metavar="NAME", action="append", help="only these scanners, by name; may be repeated"
    )
    parser.add_argument("--runs", type=int, default=5, help="timed rounds")
    parser.add_argument("--limit", type=float, default=300, metavar="SECONDS", help="time limit of one run")
    parser.add_argument("--no-memory", action="store_true", help="leave the memory runs out")
    parser.add_argument("--work", type=Path, help="keep repositories and peers here; default: a folder that is removed")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="put the tables between the `bench scan` marks of a page"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        return _measure(options, (options.work or Path(folder)).resolve())


def _measure(options: argparse.Namespace, work: Path) -> int:
    work.mkdir(parents=True, exist_ok=True)
    compileall.compile_dir(Path(package.__file__).parents[1], quiet=2)  # as pip does it where it copies a package
    others, versions = peers.install(work)
    scanners = [
        scanner for scanner in (peers.ours(), *others) if not options.scanner or scanner.name in options.scanner
    ]
    bench = Bench(work, runs=options.runs, limit=options.limit, memory=not options.no_memory)
    found = cases(options, work, scanners)
    for case in found:
        bench.run(case)
        print(table(case), flush=True)
    lines = verdicts(found)
    listed = "\n".join(f"- {'PASS' if good else 'FAIL'} {line}" for good, line in lines)
    print(listed)
    if options.write:
        page.replace(options.write, "bench scan", "\n".join([machine(versions), *map(table, found), listed]))
    return 0 if all(good for good, _ in lines) else 1


if __name__ == "__main__":
    raise SystemExit(main())
