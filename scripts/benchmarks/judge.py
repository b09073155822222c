"""What the judge of values without a format is worth: its threshold, each of its features, and its time.

`DIR` is that of `scripts/bench detection --foreign DIR` (its help says how it must look). Labels give recall and precision, whole trees the
findings in a megabyte of popular code. Only the rules that the judge decides run here: a finding on a label is one of theirs. Each row
of the first table moves all thresholds by so many bits, each row of the second leaves one feature out.
"""

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest import mock

from benchmarks import foreign, page
from benchmarks.foreign import ForeignCorpus, Judged
from orchestra_creds.scanner.checks import arguments, generic, judge, names
from orchestra_creds.scanner.checks.names import NameClass
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.engine.prefilter import Hit
from orchestra_creds.scanner.rulebook.catalog import all_rules

CHECKS: Final = {
    "assigned-password",
    "assigned-secret",
    "default-value",
    "quoted-password",
    "command-password",
    "bearer",
}
SHIFTS: Final = (-16, -8, -4, -2, 0, 2, 4, 8, 16)
_BITS: Final = ("PASSWORD_BITS", "SHORT_PASSWORD_BITS", "SECRET_BITS", "NAME_BITS")
_MOST: Final = 8 << 20
_MEGABYTE: Final = 1_000_000


_REMEMBERING: Final = (judge.is_password, judge.is_secret, judge.is_reference, names.classify_name, names.split_name)
"""The functions that remember what they said."""


class _Never:
    """A pattern that matches nothing."""

    def is_in(self, _: bytes) -> bool:
        return False

    def fullmatch(self, _: bytes) -> None:
        return None


def _kind_of_any(name: bytes) -> NameClass:
    """The class of a name by its words alone, whatever stands around them."""
    if (kind := names.classify_name(name)) is not NameClass.OTHER:
        return kind
    return NameClass.PASSWORD if b"pass" in name.lower() or b"pwd" in name.lower() else NameClass.SECRET


def _as_text(function: Callable[..., bool]) -> Callable[..., bool]:
    """A judgment that takes every value for one in quotes."""
    return lambda *values, quoted, **more: function(*values, quoted=True, **more)  # noqa: ARG005


FEATURES: Final[dict[str, tuple[tuple[Any, str, Any], ...]]] = {
    "pairs of letters": ((judge, "chance", lambda _: 1000.0),),
    "parts drawn by chance": ((judge, "_holds_chance", lambda *_: True),),
    "common words": ((judge, "_is_words", lambda _: False),),
    "entropy": ((judge, "entropy", lambda _: 8.0),),
    "kinds of characters": ((judge, "classes", lambda _: 4),),
    "stand-ins": ((judge, "is_stand_in", lambda _: False),),
    "references and expressions": ((judge, "is_reference", lambda *_, **__: False),),
    "dates, addresses, files, patterns": tuple((judge, name, _Never()) for name in ("_PLAIN", "_PATTERN", "_FILE")),
    "words around the name": ((generic, "classify_name", _kind_of_any), (arguments, "classify_name", _kind_of_any)),
    "whether it is in quotes": tuple(
        (module, name, _as_text(getattr(judge, name))) for module in (generic,) for name in ("is_password", "is_secret")
    ),
}
"""What is replaced when a feature is left out: module, name, what stands in for it."""


@dataclass(frozen=True, slots=True)
class _Text:
    """A file with hits."""

    path: str
    data: bytes = field(repr=False)
    hits: list[Hit] = field(repr=False)


@dataclass(frozen=True, slots=True)
class JudgeScore:
    """What a variant of the judge finds: true labels met, findings on true and on false ones, findings in whole trees."""

    met: int
    good: int
    bad: int
    trees: int

    @property
    def precision(self) -> float:
        """The share of the findings on labels that stand on a true one."""
        return self.good / max(1, self.good + self.bad)

    def recall(self, true: int) -> float:
        """The share of the `true` labels that were met."""
        return self.met / max(1, true)


class JudgeBench:
    """Texts with their hits, and the labels on them."""

    def __init__(self, corpora: list[ForeignCorpus], engine: Engine | None = None) -> None:
        self._engine = engine or Engine.open([rule for rule in all_rules() if rule.check in CHECKS])
        self._labelled: list[tuple[_Text, list[Judged]]] = []
        self._trees: list[_Text] = []
        self.true = 0
        self.megabytes = 0.0
        for corpus in corpora:
            if corpus.checkouts:
                for path in sorted(corpus.target.rglob("*")):
                    self._add_tree(path)
            elif corpus.judged and not corpus.whole:
                self._add_labels(corpus)

    def _read(self, path: Path) -> _Text | None:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _MOST:
            return None
        data = path.read_bytes()
        return _Text(str(path), data, self._engine.find_hits(data))

    def _add_tree(self, path: Path) -> None:
        if (text := self._read(path)) is not None:
            self.megabytes += len(text.data) / _MEGABYTE
            if text.hits:
                self._trees.append(text)

    def _add_labels(self, corpus: ForeignCorpus) -> None:
        by_path: dict[str, list[Judged]] = defaultdict(list)
        for one in corpus.judged:
            if not one.aside:
                by_path[one.path].append(one)
                self.true += one.true
        for path, labels in by_path.items():
            if (text := self._read(corpus.target / path)) is not None and text.hits:
                self._labelled.append((text, labels))

    def measure(self) -> JudgeScore:
        """What is found as the judge stands now; nothing is remembered from another variant."""
        forget()
        met = good = bad = 0
        for text, labels in self._labelled:
            touched: set[int] = set()
            for first, last in self._lines(text):
                on = [at for at, one in enumerate(labels) if one.first <= last and first <= one.last]
                true = [at for at in on if labels[at].true]
                touched.update(true)
                good += bool(true)
                bad += bool(on) and not true
            met += len(touched)
        return JudgeScore(met, good, bad, sum(len(list(self._lines(text))) for text in self._trees))

    def _lines(self, text: _Text) -> Iterator[tuple[int, int]]:
        for found in self._engine.settle(self._engine.examine(text.data, text.hits)):
            if found.rule.check not in CHECKS:
                continue
            first = text.data.count(b"\n", 0, found.start) + 1
            yield first, first + text.data.count(b"\n", found.start, found.end)

    def values(self) -> list[tuple[Callable[..., bool], tuple[Any, ...], dict[str, Any]]]:
        """Every judgment that is made of the texts, each once."""
        asked: dict[object, tuple[Callable[..., bool], tuple[Any, ...], dict[str, Any]]] = {}

        def recorder(function: Callable[..., bool]) -> Callable[..., bool]:
            def record(*values: Any, **more: Any) -> bool:
                asked[function, values, *more.items()] = (function, values, more)
                return function(*values, **more)

            return record

        with ExitStack() as stack:
            for name in ("is_password", "is_secret"):
                stack.enter_context(mock.patch.object(generic, name, recorder(getattr(judge, name))))
            self.measure()
        return list(asked.values())


def forget() -> None:
    """Empty what the judge and the names remember."""
    for function in _REMEMBERING:
        function.cache_clear()


@contextmanager
def shifted(bits: float) -> Iterator[None]:
    """All thresholds moved."""
    with ExitStack() as stack:
        for name in _BITS:
            stack.enter_context(mock.patch.object(judge, name, getattr(judge, name) + bits))
        for name in ("SECRET_RATE", "LETTERS_RATE"):
            stack.enter_context(mock.patch.object(judge, name, getattr(judge, name) + bits / 32))
        yield


@contextmanager
def without(feature: str) -> Iterator[None]:
    """One feature left out."""
    with ExitStack() as stack:
        for module, name, stand_in in FEATURES[feature]:
            stack.enter_context(mock.patch.object(module, name, stand_in))
        yield


def time_values(bench: JudgeBench, rounds: int = 5) -> tuple[int, float]:
    """How many different values are judged, and the microseconds of processor time that one takes, the best of some rounds."""
    values = bench.values()
    best = float("inf")
    for _ in range(rounds):
        forget()
        began = time.process_time()
        for function, positional, named in values:
            function(*positional, **named)
        best = min(best, time.process_time() - began)
    return len(values), 1e6 * best / max(1, len(values))


def tables(bench: JudgeBench) -> str:
    """Both tables, and a sentence on the time."""
    head = ["true", "false", "recall", "precision", "F1", "in popular trees", "for each MB"]
    by_shift: list[list[object]] = [["thresholds, bits", *head]]
    for bits in SHIFTS:
        with shifted(bits):
            by_shift.append([f"{bits:+d}" if bits else "as they are", *_row(bench, bench.measure())])
    by_feature: list[list[object]] = [["without", *head]]
    for feature in FEATURES:
        with without(feature):
            by_feature.append([feature, *_row(bench, bench.measure())])
    count, microseconds = time_values(bench)
    said = f"{count:,} different values judged, {microseconds:.1f} µs each; {bench.true:,} true labels, {bench.megabytes:,.0f} MB of popular trees."
    return "\n".join([page.table(by_shift), page.table(by_feature), said])


def _row(bench: JudgeBench, score: JudgeScore) -> list[object]:
    recall, precision = score.recall(bench.true), score.precision
    f1 = 2 * recall * precision / max(recall + precision, 1e-9)
    rate = f"{score.trees / bench.megabytes:.2f}" if bench.megabytes else "-"
    return [score.met, score.bad, f"{recall:.3f}", f"{precision:.3f}", f"{f1:.3f}", score.trees, rate]


def main() -> int:
    """Reads the corpora, measures every variant, prints or writes the tables."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench judge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("foreign", type=Path, metavar="DIR")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="put the tables between the `bench judge` marks of a page"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = JudgeBench(foreign.read_corpora(options.foreign, Path(folder)))
        if not bench.true:
            sys.exit(f"{options.foreign}: no corpus with labels")
        text = tables(bench)
    print(text)
    if options.write:
        page.replace(options.write, "bench judge", text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
