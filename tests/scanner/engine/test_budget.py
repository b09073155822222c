"""The work that a text can cause is bounded by its size, whatever it holds; counted in places, never in time."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_creds.scanner.checks import checksums, generic, google, plausible
from orchestra_creds.scanner.checks.verdict import Buffer
from orchestra_creds.scanner.engine import confirm
from orchestra_creds.scanner.engine.bounded_regex import BoundedRegex
from orchestra_creds.scanner.engine.budget import LEAST, PER_KIB, ExaminationBudget
from orchestra_creds.scanner.engine.confirm import STRETCH, starts
from orchestra_creds.scanner.libraries import LazyRegex, Spans
from orchestra_creds.scanner.rule import Rule
from orchestra_creds.scanner.rulebook.catalog import all_rules
from orchestra_creds.scanner.samples.sample import render
from tests.scanner.engines import fast

MEGABYTE = 1 << 20
SLICE = 110
"""Of so many rules one is tried, unless all are."""

MIXTURES = 200


def anchors() -> list[bytes]:
    """What the text of each rule is found by."""
    return [(rule.prefix or next(iter(rule.keywords), rule.id)).encode() for rule in all_rules()]


def fill(piece: bytes, size: int = MEGABYTE) -> bytes:
    """`size` bytes of nothing but `piece`."""
    return (piece * (size // len(piece) + 1))[:size]


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many places of each rule were examined."""
    counted: Counter[str] = Counter()
    judge = confirm._judge

    def count(rule: Rule, *rest: object) -> object:
        counted[rule.id] += 1
        return judge(rule, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(confirm, "_judge", count)
    return counted


def most_places(texts: list[bytes], judged: Counter[str]) -> float:
    """The most places per KiB that were examined in one of the texts."""
    most = 0.0
    for text in texts:
        judged.clear()
        budget = ExaminationBudget(len(text))
        fast().examine(text, fast().find_hits(text), budget=budget)
        assert budget.is_exceeded == bool(budget.reason)
        most = max(most, judged.total() / max(len(text), LEAST) * 1024)
    return most


def test_a_rule_that_is_repeated_costs_a_bounded_number_of_places(judged: Counter[str], exhaustive: bool) -> None:
    chosen = list(zip(all_rules(), anchors(), strict=True))[:: 1 if exhaustive else SLICE]
    for rule, anchor in chosen:
        example = render(rule.examples[0], seed=3).encode()
        assert most_places([fill(anchor), fill(example), fill(example + b"\n")], judged) <= PER_KIB, rule.id


@pytest.mark.parametrize("anchor", [b"AIza", b"ya29.", b"password = ", b"-----BEGIN PRIVATE KEY-----\n"])
def test_an_anchor_that_is_repeated_costs_a_bounded_number_of_places(anchor: bytes, judged: Counter[str]) -> None:
    assert 0 < most_places([fill(anchor)], judged) <= PER_KIB


def test_a_mixture_of_anchors_costs_a_bounded_number_of_places(judged: Counter[str], exhaustive: bool) -> None:
    for seed in range(MIXTURES if exhaustive else 3):
        chance = random.Random(seed)
        some = chance.sample(anchors(), 12)
        text = b"".join(chance.choice(some) + chance.choice((b"", b" ", b"=", b'"', b"x" * 24)) for _ in range(60_000))
        assert most_places([text[:MEGABYTE]], judged) <= PER_KIB, seed


def test_the_other_rules_are_examined_before_the_one_that_takes_all() -> None:
    token = render(next(one for one in all_rules() if one.id == "github-personal-access-token").examples[0], seed=3)
    text = fill(b"AIza", 1 << 16) + b"\n" + token.encode() + b"\n"
    budget = ExaminationBudget(len(text))
    found = fast().examine(text, fast().find_hits(text), budget=budget)
    assert "github-personal-access-token" in {one.rule.id for one in found}
    assert "google-api-key" in budget.reason


def test_a_text_within_its_budget_is_examined_whole() -> None:
    budget = ExaminationBudget(1)
    assert budget.total == LEAST * PER_KIB // 1024
    assert [budget.take("one") for _ in range(budget.total)] == [True] * budget.total
    assert (budget.is_exceeded, budget.reason) == (False, "")
    assert not budget.take("two")
    assert "rule one:" in budget.reason


class SearchLog(BoundedRegex):
    """Notes how many bytes each search may look at."""

    def __init__(self, pattern: str) -> None:
        super().__init__(pattern)
        self.most = 0

    def search(self, text: Buffer, pos: int, end: int) -> Spans | None:
        self.most = max(self.most, end - pos)
        return super().search(text, pos, end)


def test_no_search_for_a_start_reads_on_to_the_end_of_a_region() -> None:
    regex, text = SearchLog("ab[a-z]{3,400}"), b"abc" * 20_000
    assert sum(1 for _ in starts(regex, text, 0, len(text), 410)) > 10_000
    assert regex.most <= STRETCH + 410


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([b"k", b"ab", b"-", b"k1", b"x" * 700, b"\n", b"k" * 9]), max_size=30), st.integers(1, 9)
)
def test_stretches_hide_no_start(parts: list[bytes], longest: int) -> None:
    text = b"".join(parts)
    regex = BoundedRegex(r"\bk[a-z0-9]{2,300}|ab|-$")
    exact = [
        spans for at in range(len(text)) if (spans := regex.match(text, at, min(len(text), at + longest))) is not None
    ]
    assert list(starts(regex, text, 0, len(text), longest)) == exact


def test_no_check_that_reads_far_uses_the_matcher_of_python() -> None:
    """The neighborhood of a match is searched in linear time, with a compiled pattern of RE2."""
    far = (google._WEB_FIELDS, google._CLIENT, google._REFRESH, generic._DSN, checksums._OTHER_PARAMETER)
    assert {type(one) for one in (*far, plausible._placeholder, generic._REFERENCE)} == {LazyRegex}
