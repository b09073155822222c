"""How much is found, and how much is found wrongly: this scanner and its peers on one labelled corpus.

A label counts as found when a finding of the scanner, under whatever rule, touches its lines at its path (anywhere in
the file for archives and UTF-16; by object name or value where git keeps no path). Every scanner is run on the working
tree and on the history and both results count. A finding that touches no label is a false one. Ends with 1 when this
scanner is below the bars: recall 0.99 on Google's kinds, 0.97 on all, nothing in the hard negatives.

With `--foreign DIR` the corpus is not ours: see below.
"""

import argparse
import json
import math
import re
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks import corpus, foreign, page, peers
from benchmarks.corpus import EXTRAS, Corpus, Label, Place
from benchmarks.formats import FORMATS
from benchmarks.peers import Found, Scanner

BARS: Final = {"google": 0.99, "overall": 0.97}
_FOLDER: Final = re.compile(r"services/[a-z]+[0-9]{4,}")
_SECONDS: Final = 900.0


@dataclass(slots=True)
class Score:
    """What one scanner found: labels by their number, false findings by what they stand in, and the names that fit."""

    scanner: str
    met: set[int] = field(default_factory=set)
    named: set[int] = field(default_factory=set)
    alarms: list[tuple[str, str, Found]] = field(default_factory=list)
    """Findings in hard negatives: kind of file, family it resembles, finding."""
    strays: list[tuple[Label, Found]] = field(default_factory=list)
    """Findings in a label's file that touch no line of the label."""
    true: Counter[str] = field(default_factory=Counter)
    """Findings that touch a label, by the label's family."""


def family(label: Label) -> str:
    """The name under which precision is told: the provider, or `generic`."""
    return label.format.words[0]


def score(scanner: str, truth: Corpus, found: Iterable[Found]) -> Score:
    """Matches findings to labels."""
    result = Score(scanner)
    by_folder: dict[str, int] = {}
    for number, label in enumerate(truth.labels):
        for path in label.paths:
            by_folder[_folder(path)] = number
    harmless = {_folder(item.path): item.negative for item in truth.harmless}
    nowhere = [(number, label) for number, label in enumerate(truth.labels) if not label.paths]
    seen: set[tuple[str, int, str]] = set()
    for item in found:
        folder = _folder(item.path)
        key = (folder or item.raw, item.first, item.rule)
        if key in seen:
            continue
        seen.add(key)
        if folder in harmless:
            result.alarms.append((harmless[folder].name, harmless[folder].resembles, item))
        elif folder in by_folder:
            number = by_folder[folder]
            label = truth.labels[number]
            if label.last == 0 or (item.first <= label.last and item.last >= label.first):
                _meet(result, number, label, item)
            else:
                result.strays.append((label, item))
        else:
            for number, label in nowhere:
                if label.oid in item.raw or any(_quoted(probe) in item.raw for probe in label.probes):
                    _meet(result, number, label, item)
    return result


def _meet(result: Score, number: int, label: Label, item: Found) -> None:
    result.met.add(number)
    result.true[family(label)] += 1
    if any(word in item.rule for word in label.format.words):
        result.named.add(number)


def _folder(path: str) -> str:
    match = _FOLDER.search(path)
    return match[0] if match else ""


def _quoted(text: str) -> str:
    return json.dumps(text)[1:-1]


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one comparison."""

    truth: Corpus
    scores: Sequence[Score]

    def share(self, result: Score, chosen: Callable[[Label], bool]) -> float:
        """The share of the chosen labels that were found; 1.0 where there are none."""
        numbers = [number for number, label in enumerate(self.truth.labels) if chosen(label)]
        return sum(number in result.met for number in numbers) / len(numbers) if numbers else 1.0

    def counted(self, label: Label) -> bool:
        """Whether a label counts in totals: messages are told apart."""
        return label.place not in EXTRAS

    def summary(self) -> str:
        """One row a scanner: recall by group, precision, false findings."""
        rows = []
        for result in self.scores:
            groups = [self.share(result, _in_group(group)) for group in ("google", "common", "other")]
            overall = self.share(result, self.counted)
            false = len(result.alarms) + len(result.strays)
            true = sum(result.true.values())
            rows.append(
                [
                    result.scanner,
                    *map(_percent, groups),
                    _percent(overall),
                    _percent(true / max(1, true + false)),
                    str(len(result.alarms)),
                    str(len(result.strays)),
                ]
            )
        return _table(
            [
                "scanner",
                "Google kinds",
                "common kinds",
                "other kinds",
                "all",
                "precision",
                "in hard negatives",
                "strays",
            ],
            rows,
        )

    def by(self, title: str, key: Callable[[Label], str], chosen: Callable[[Label], bool]) -> str:
        """Recall by some property of the labels, one column a scanner."""
        values: dict[str, int] = {}
        for label in self.truth.labels:
            if chosen(label):
                values[key(label)] = values.get(key(label), 0) + 1
        rows = [
            [
                value,
                str(count),
                *(_percent(self.share(result, _with(chosen, key, value))) for result in self.scores),
            ]
            for value, count in values.items()
        ]
        return _table([title, "labels", *(result.scanner for result in self.scores)], rows)

    def precision(self) -> str:
        """Precision by family: true findings, and false ones in the files that resemble it."""
        false: dict[str, Counter[str]] = {result.scanner: Counter() for result in self.scores}
        for result in self.scores:
            for _, resembles, _ in result.alarms:
                false[result.scanner][resembles] += 1
            for label, _ in result.strays:
                false[result.scanner][family(label)] += 1
        names = sorted({name for counts in false.values() for name in counts})
        rows = [
            [name, *(_fraction(result.true[name], false[result.scanner][name]) for result in self.scores)]
            for name in names
        ]
        return _table(["family", *(result.scanner for result in self.scores)], rows)

    def alarms(self) -> str:
        """False findings by kind of hard negative."""
        counts = {result.scanner: Counter(name for name, _, _ in result.alarms) for result in self.scores}
        names = sorted({name for count in counts.values() for name in count})
        return _table(
            ["hard negative", *counts], [[name, *(str(count[name]) for count in counts.values())] for name in names]
        )

    def markdown(self, *, every_kind: bool = True) -> str:
        """Everything, as one page; the long table of kinds may be left to those of Google."""

        def kinds(label: Label) -> bool:
            return self._in_head(label) and (every_kind or label.format.group == "google")

        count = len({label.format.name for label in self.truth.labels})
        return "\n".join(
            [
                f"{len(self.truth.labels):,} labels, {count} kinds, {len(self.truth.harmless)} hard negatives; % found.\n",
                "### Summary\n",
                self.summary(),
                "### By place (plainly written)\n",
                self.by("place", lambda label: label.place, lambda label: not self._in_head(label)),
                "### By wrapping (in HEAD)\n",
                self.by("wrapping", lambda label: label.wrapping, self._in_head),
                f"### By kind (in HEAD, all wrappings){'' if every_kind else ': Google'}\n",
                self.by("kind", lambda label: label.format.name, kinds),
                "### False findings by hard negative\n",
                self.alarms(),
                "### Precision by family\n",
                self.precision(),
            ]
        )

    def _in_head(self, label: Label) -> bool:
        return label.place is Place.HEAD

    def data(self) -> dict[str, Any]:
        """Everything, for programs."""
        out: dict[str, Any] = {
            "labels": len(self.truth.labels),
            "hard_negatives": len(self.truth.harmless),
            "scanners": {},
        }
        for result in self.scores:
            recall = {group: self.share(result, _in_group(group)) for group in ("google", "common", "other")}
            matrix: dict[str, dict[str, bool]] = defaultdict(dict)
            for number, label in enumerate(self.truth.labels):
                where = label.wrapping if label.place is Place.HEAD else str(label.place)
                matrix[label.format.name][where] = number in result.met
            out["scanners"][result.scanner] = {
                "recall": {**recall, "overall": self.share(result, self.counted)},
                "well_named": len(result.named) / max(1, len(result.met)),
                "alarms": dict(Counter(name for name, _, _ in result.alarms)),
                "strays": len(result.strays),
                "found": matrix,
            }
        return out


def _in_group(group: str) -> Callable[[Label], bool]:
    return lambda label: label.place not in EXTRAS and label.format.group == group


def _with(chosen: Callable[[Label], bool], key: Callable[[Label], str], value: str) -> Callable[[Label], bool]:
    return lambda label: chosen(label) and key(label) == value


def _percent(share: float) -> str:
    """Per cent, rounded down: only all is 100."""
    return f"{math.floor(1000 * share) / 10:.1f}" if share < 1 else "100"


def _fraction(true: int, false: int) -> str:
    return f"{100 * true / (true + false):.0f} ({false} false)" if true + false else "-"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return page.table([head, *rows])


def misses(truth: Corpus, result: Score) -> str:
    """What one scanner missed, by kind and wrapping, and what it found wrongly, with the files to look at."""
    rows: dict[str, list[str]] = defaultdict(list)
    for number, label in enumerate(truth.labels):
        if number not in result.met:
            where = label.wrapping if label.place is Place.HEAD else f"{label.wrapping} [{label.place}]"
            rows[f"{label.format.group}: {label.format.name}"].append(
                f"{where} ({(label.paths or (label.oid,))[0]}:{label.first})"
            )
    lines = [f"# Missed by {result.scanner}: {sum(map(len, rows.values()))} of {len(truth.labels)}, in {truth.root}\n"]
    lines += [f"- **{name}** ({len(where)}): " + "; ".join(where) for name, where in sorted(rows.items())]
    lines += [
        "\n# In hard negatives\n",
        *(f"- {name}: {item.rule} at {item.path}:{item.first}" for name, _, item in result.alarms),
    ]
    lines += [
        "\n# Strays\n",
        *(
            f"- {label.format.name} / {label.wrapping}: {item.rule} at {item.path}:{item.first} "
            f"(label lines {label.first}-{label.last})"
            for label, item in result.strays
        ),
    ]
    wrong = Counter(truth.labels[number].format.name for number in result.met - result.named)
    lines += ["\n# Found under another name\n", *(f"- {name}: {count}" for name, count in wrong.most_common())]
    return "\n".join(lines) + "\n"


def run(scanner: Scanner, truth: Corpus, work: Path) -> Score:
    """One scanner on tree and history."""
    found: list[Found] = []
    for arguments in filter(None, (scanner.tree, scanner.history)):
        found += peers.findings(scanner, arguments, truth.root, work, _SECONDS)
    return score(scanner.name, truth, found)


def main() -> int:
    """Builds the corpus, runs the scanners, prints the tables."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench detection",
        description=__doc__,
        epilog=f"--foreign: {foreign.__doc__}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, help="keep corpus and peers here; default: a folder that is removed")
    parser.add_argument("--no-peers", action="store_true", help="only this scanner")
    parser.add_argument("--only-peers", action="store_true", help="only the peers")
    parser.add_argument("--foreign", type=Path, metavar="DIR", help="measure on data that others made, in DIR")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results as JSON")
    parser.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help="put the tables between the `bench detection` marks of a page, or the `bench foreign` marks",
    )
    parser.add_argument("--misses", type=Path, metavar="FILE", help="write what this scanner missed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        if options.foreign:
            return foreign.compare(options, work, _scanners(options, work))
        return _compare(options, work)


def _scanners(options: argparse.Namespace, work: Path) -> list[Scanner]:
    scanners = [] if options.only_peers else [peers.ours()]
    if not options.no_peers:
        others, _ = peers.install(work)
        scanners += [peer for peer in others if "turbo" not in peer.name]
    return scanners


def _compare(options: argparse.Namespace, work: Path) -> int:
    root = Path(tempfile.mkdtemp(prefix="corpus-", dir=work))
    truth = corpus.build(root, options.seed, formats=FORMATS)
    scanners = _scanners(options, work)
    scores = []
    for scanner in scanners:
        print(f"running {scanner.name}", file=sys.stderr)
        scores.append(run(scanner, truth, work))
    tables = Tables(truth, scores)
    print(tables.markdown())
    if options.json:
        options.json.write_text(json.dumps(tables.data(), indent=1) + "\n")
    if options.write:
        page.replace(options.write, "bench detection", tables.markdown(every_kind=False))
    return 0 if options.only_peers else _verdict(tables, scores[0], options.misses)


def _verdict(tables: Tables, mine: Score, report: Path | None) -> int:
    if report:
        report.write_text(misses(tables.truth, mine))
    google = tables.share(mine, _in_group("google"))
    overall = tables.share(mine, tables.counted)
    checks = [
        ("recall of Google's kinds", google, google >= BARS["google"]),
        ("recall of all kinds", overall, overall >= BARS["overall"]),
        ("findings in hard negatives", len(mine.alarms), not mine.alarms),
    ]
    for what, value, good in checks:
        print(f"{'PASS' if good else 'FAIL'}  {what}: {value:.4g}")
    return 0 if all(good for _, _, good in checks) else 1


if __name__ == "__main__":
    raise SystemExit(main())
