"""How much is found on data that others made: this scanner and its peers, corpus by corpus.

`DIR` holds one folder for each corpus, in one of four layouts. Nothing of it belongs into this repository.

  CORPUS/cases.jsonl            one text a line: {"rule": "acme-key", "text": "...", "expect": true}. Each text is
                                written into a file of its own; `expect` says whether it holds a credential.
                                Optional: "path", the name of that file, and "aside", why the case is set aside
                                (a stand-in, a value without its checksum).
  CORPUS/labels.csv, tree/      lines of the files in `tree` that somebody judged, with the head
                                path,first,last,category,truth,aside: lines count from 1, `truth` is true or false.
  CORPUS/counts.csv, tree/      the number of lines in a file that hold a credential, with the head path,lines.
  CORPUS/checkouts/NAME         whole trees without labels: findings of medium severity and above are counted, by MB;
                                one with several places in a file is one.

A case is found when any finding stands in its file, a label when a finding touches its lines, whatever the rule. In
`counts.csv` the lines with a finding are counted, at most as many as the file has. Precision is the share of findings
(for cases: of the files with one) on what is true, of those on what was judged. What is set aside counts in the first
recall only. F1 is that of precision and the second recall.
"""

import argparse
import csv
import json
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from benchmarks import page, peers
from benchmarks.peers import Found, Scanner

_SECONDS: Final = 1800.0
_CASE_NAME: Final = "case.txt"
_MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Judged:
    """One thing that somebody judged: lines of a file, or a whole file.

    kind    the rule of a case, or the category of a label
    aside   why it does not count in the second recall; "" where it does
    """

    path: str
    first: int
    last: int
    kind: str
    true: bool
    aside: str = ""


@dataclass(slots=True)
class ForeignCorpus:
    """What one folder of `DIR` holds, ready to be scanned at `target`.

    judged      cases or labels            whole   whether they are whole files
    lines       by path, the most lines with a credential
    checkouts   names of unlabelled trees, folders of `target`
    """

    name: str
    target: Path
    judged: list[Judged] = field(default_factory=list)
    whole: bool = False
    lines: dict[str, int] = field(default_factory=dict)
    checkouts: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ForeignScore:
    """What one scanner found in one corpus; a figure that its layout does not have is None.

    recall, kept_recall   of all that is true, and of that without what is set aside
    precision             of the findings on what was judged
    false                 cases or labels that are no credential, with a finding
    stray                 findings on what nobody judged
    seconds               wall time of the scan
    """

    corpus: str
    scanner: str
    true: int
    recall: float | None
    kept_recall: float | None
    precision: float | None
    false: int
    stray: int
    seconds: float
    missed: tuple[Judged, ...] = ()
    wrong: tuple[tuple[Judged, str], ...] = ()
    by_kind: dict[str, tuple[int, int]] = field(default_factory=dict)
    by_checkout: dict[str, tuple[int, float]] = field(default_factory=dict)

    @property
    def f1(self) -> float | None:
        """The harmonic mean of precision and the recall without what is set aside."""
        if self.precision is None or self.kept_recall is None:
            return None
        total = self.precision + self.kept_recall
        return 2 * self.precision * self.kept_recall / total if total else 0.0


def read_corpora(folder: Path, work: Path) -> list[ForeignCorpus]:
    """The corpora of `DIR`; cases are written below `work`, to be scanned there.

    Raises:
        SystemExit: there is none, or one cannot be read.
    """
    ones = sorted(one for one in folder.resolve().iterdir() if one.is_dir())
    found = [corpus for one in ones if (corpus := _read_corpus(one, work.resolve())) is not None]
    if not found:
        raise SystemExit(f"{folder}: no corpus, see --help")
    return found


def _read_corpus(folder: Path, work: Path) -> ForeignCorpus | None:
    tree = folder / "tree"
    try:
        if (cases := folder / "cases.jsonl").exists():
            return _write_cases(folder.name, cases, work / "foreign" / folder.name)
        if (labels := folder / "labels.csv").exists():
            return ForeignCorpus(folder.name, tree, _read_labels(labels, tree))
        if (counts := folder / "counts.csv").exists():
            rows = csv.DictReader(counts.read_text(encoding="utf-8").splitlines())
            return ForeignCorpus(folder.name, tree, lines={row["path"]: int(row["lines"]) for row in rows})
    except (KeyError, ValueError, TypeError) as error:
        raise SystemExit(f"{folder}: cannot be read: {type(error).__name__}: {error}") from error
    checkouts = folder / "checkouts"
    if checkouts.is_dir():
        names = sorted(one.name for one in checkouts.iterdir() if one.is_dir())
        return ForeignCorpus(folder.name, checkouts, checkouts=names)
    return None


def _write_cases(name: str, cases: Path, target: Path) -> ForeignCorpus:
    corpus = ForeignCorpus(name, target, whole=True)
    for number, line in enumerate(cases.read_text(encoding="utf-8").splitlines()):
        case = json.loads(line)
        file = Path(case.get("path") or _CASE_NAME).name or _CASE_NAME
        path = target / f"{number:06}" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(case["text"], encoding="utf-8", errors="surrogateescape", newline="")
        relative = path.relative_to(target).as_posix()
        corpus.judged.append(Judged(relative, 1, sys.maxsize, case["rule"], case["expect"], case.get("aside", "")))
    return corpus


def _read_labels(labels: Path, tree: Path) -> list[Judged]:
    judged = []
    for row in csv.DictReader(labels.read_text(encoding="utf-8").splitlines()):
        if row["truth"] not in {"true", "false"}:
            raise ValueError(f"truth is {row['truth']!r}, not true or false")
        if not (tree / row["path"]).is_file():
            raise ValueError(f"no file {row['path']!r} in tree")
        true, aside = row["truth"] == "true", row.get("aside") or ""
        judged.append(Judged(row["path"], int(row["first"]), int(row["last"]), row["category"], true, aside))
    return judged


def score_foreign(corpus: ForeignCorpus, scanner: str, found: Iterable[Found], seconds: float) -> ForeignScore:
    """What a scanner's findings are worth."""
    spots = {
        (_relative(item.path, corpus.target), min(item.first, item.last), max(item.first, item.last)): item
        for item in found
    }
    if corpus.checkouts:
        return _score_checkouts(corpus, scanner, list(spots.values()), seconds)
    if corpus.lines:
        return _score_lines(corpus, scanner, spots, seconds)
    return _score_judged(corpus, scanner, spots, seconds)


def _score_judged(
    corpus: ForeignCorpus, scanner: str, spots: dict[tuple[str, int, int], Found], seconds: float
) -> ForeignScore:
    by_path: dict[str, list[int]] = defaultdict(list)
    for number, one in enumerate(corpus.judged):
        by_path[one.path].append(number)
    met: set[int] = set()
    wrong: dict[int, str] = {}
    good = bad = stray = 0
    for (path, first, last), item in spots.items():
        touched = [
            at for at in by_path.get(path, ()) if corpus.judged[at].first <= last and first <= corpus.judged[at].last
        ]
        true = [at for at in touched if corpus.judged[at].true]
        met.update(true)
        good += bool(true)
        if touched and not true:
            bad += 1
            wrong.update(dict.fromkeys(touched, item.rule))
        stray += not touched
    if corpus.whole:
        good, bad = len(met), len(wrong)
    true_ones = [at for at, one in enumerate(corpus.judged) if one.true]
    kept = [at for at in true_ones if not corpus.judged[at].aside]
    kinds = Counter(corpus.judged[at].kind for at in true_ones)
    hits = Counter(corpus.judged[at].kind for at in met)
    return ForeignScore(
        corpus.name,
        scanner,
        len(true_ones),
        len(met) / max(1, len(true_ones)),
        len(met.intersection(kept)) / max(1, len(kept)),
        good / (good + bad) if good + bad else None,
        bad,
        stray,
        seconds,
        tuple(corpus.judged[at] for at in true_ones if at not in met),
        tuple((corpus.judged[at], rule) for at, rule in sorted(wrong.items())),
        {kind: (hits[kind], count) for kind, count in kinds.items()},
    )


def _score_lines(
    corpus: ForeignCorpus, scanner: str, spots: dict[tuple[str, int, int], Found], seconds: float
) -> ForeignScore:
    lines: dict[str, set[int]] = defaultdict(set)
    for path, first, _ in spots:
        lines[path].add(first)
    hits = {path: min(len(lines[path]), most) for path, most in corpus.lines.items()}
    total = sum(corpus.lines.values())
    stray = sum(len(numbers) for path, numbers in lines.items() if not corpus.lines.get(path))
    share = sum(hits.values()) / max(1, total)
    missed = tuple(Judged(path, 0, 0, path, true=True) for path, most in corpus.lines.items() if hits[path] < most)
    by_kind = {path: (hits[path], most) for path, most in corpus.lines.items() if most}
    return ForeignScore(corpus.name, scanner, total, share, share, None, 0, stray, seconds, missed, by_kind=by_kind)


def _score_checkouts(corpus: ForeignCorpus, scanner: str, found: list[Found], seconds: float) -> ForeignScore:
    findings = {(_relative(item.path, corpus.target), item.rule, item.raw) for item in found if not item.minor}
    counts = Counter(path.partition("/")[0] for path, _, _ in findings)
    sizes = {name: _megabytes(corpus.target / name) for name in corpus.checkouts}
    by_checkout = {name: (counts[name], sizes[name]) for name in corpus.checkouts}
    total = sum(counts[name] for name in corpus.checkouts)
    return ForeignScore(corpus.name, scanner, 0, None, None, None, 0, total, seconds, by_checkout=by_checkout)


def _megabytes(folder: Path) -> float:
    sizes = (
        path.stat().st_size
        for root, _, files in os.walk(folder)
        for path in (Path(root, name) for name in files)
        if path.is_file() and not path.is_symlink()
    )
    return sum(sizes) / _MEGABYTE


def _relative(path: str, target: Path) -> str:
    """The path below `target`, whichever way a scanner writes it; kingfisher's comes twice."""
    text = path.rsplit(f"{target}/", maxsplit=1)[-1] if f"{target}/" in path else path
    return text.strip().removeprefix("./")


def markdown(scores: Sequence[ForeignScore]) -> str:
    """The tables: cases and labels first, then leaks by line, then whole trees."""
    judged = [one for one in scores if one.recall is not None]
    trees = [one for one in scores if one.by_checkout]
    parts = []
    if judged:
        head = [
            "corpus",
            "scanner",
            "true",
            "recall",
            "without what is set aside",
            "precision",
            "F1",
            "false",
            "unjudged",
            "s",
        ]
        rows = [
            [
                one.corpus,
                one.scanner,
                f"{one.true:,}",
                _share(one.recall),
                _share(one.kept_recall),
                _share(one.precision),
                _share(one.f1),
                str(one.false),
                str(one.stray),
                f"{one.seconds:.1f}",
            ]
            for one in judged
        ]
        parts.append(page.table([head, *rows]))
    if trees:
        names = sorted({name for one in trees for name in one.by_checkout})
        scanners = [one.scanner for one in trees]
        sizes = {name: size for one in trees for name, (_, size) in one.by_checkout.items()}
        rows = [[name, f"{sizes[name]:.0f}", *(str(one.by_checkout[name][0]) for one in trees)] for name in names]
        total = sum(sizes.values())
        rows.append(["all", f"{total:.0f}", *(str(one.stray) for one in trees)])
        rows.append(["for each MB", "", *(f"{one.stray / max(total, 1e-9):.2f}" for one in trees)])
        parts.append(page.table([["tree", "MB", *scanners], *rows]))
    return "\n".join(parts)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def report_misses(score: ForeignScore) -> str:
    """What one scanner missed and what it found wrongly, by kind, with the places to look at; no value."""
    lines = [f"# {score.corpus}: {len(score.missed)} of {score.true} missed, {score.false} false\n"]
    missed: dict[str, list[str]] = defaultdict(list)
    for one in score.missed:
        missed[f"{one.aside}: {one.kind}" if one.aside else one.kind].append(_place(one))
    for kind, places in sorted(missed.items(), key=lambda item: (-len(item[1]), item[0])):
        lines.append(f"- {kind} ({len(places)}): {' '.join(places)}")
    lines += [f"- false: {one.kind}: {_place(one)} as {rule}" for one, rule in score.wrong]
    return "\n".join(lines) + "\n"


def _place(one: Judged) -> str:
    return one.path if one.last == sys.maxsize or not one.first else f"{one.path}:{one.first}"


def data_of(score: ForeignScore) -> dict[str, Any]:
    """One scanner's figures, for programs."""
    return {
        "corpus": score.corpus,
        "scanner": score.scanner,
        "true": score.true,
        "recall": score.recall,
        "kept_recall": score.kept_recall,
        "precision": score.precision,
        "f1": score.f1,
        "false": score.false,
        "stray": score.stray,
        "seconds": score.seconds,
        "kinds": score.by_kind,
        "checkouts": score.by_checkout,
    }


def run_foreign(scanner: Scanner, corpus: ForeignCorpus, work: Path) -> ForeignScore:
    """Scans one corpus with one scanner."""
    began = time.monotonic()
    tolerant = replace(scanner, codes=scanner.codes | {peers.PARTLY})
    found = peers.findings(tolerant, scanner.tree, corpus.target, work.resolve(), _SECONDS)
    return score_foreign(corpus, scanner.name, found, time.monotonic() - began)


def compare(options: argparse.Namespace, work: Path, scanners: Sequence[Scanner]) -> int:
    """Runs every scanner on every corpus, prints the tables and writes what was asked for."""
    work.mkdir(parents=True, exist_ok=True)
    scores = []
    for corpus in read_corpora(options.foreign, work):
        for scanner in scanners:
            if corpus.checkouts and scanner.name == "detect-secrets":
                continue  # it takes hours for whole trees
            print(f"running {scanner.name} on {corpus.name}", file=sys.stderr)
            scores.append(run_foreign(scanner, corpus, work))
    print(markdown(scores))
    if options.json:
        options.json.write_text(json.dumps([data_of(one) for one in scores], indent=1) + "\n")
    if options.misses:
        mine = [one for one in scores if one.scanner == peers.ours().name]
        options.misses.write_text("\n".join(report_misses(one) for one in mine))
    if options.write:
        page.replace(options.write, "bench foreign", markdown(scores))
    return 0
