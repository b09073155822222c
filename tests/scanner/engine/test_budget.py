"""The work that a text can cause is bounded by its size, whatever it holds; counted in places, never in time."""

import random
import re
from collections import Counter
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_creds.scanner.checks import arguments, binding, checksums, der, generic, google, judge, plausible
from orchestra_creds.scanner.checks.registry import families, password_rounds
from orchestra_creds.scanner.checks.verdict import Buffer, Subject
from orchestra_creds.scanner.content import locate
from orchestra_creds.scanner.engine import budget, confirm
from orchestra_creds.scanner.engine.bounded_regex import BoundedRegex
from orchestra_creds.scanner.engine.budget import COSTS, FULL, LEAST, PER_KIB, PER_KIB_BEHIND, places_of
from orchestra_creds.scanner.engine.confirm import STRETCH, starts
from orchestra_creds.scanner.libraries import LazyRegex, Spans
from orchestra_creds.scanner.rule import Rule
from orchestra_creds.scanner.rulebook.catalog import all_rules
from orchestra_creds.scanner.samples.sample import render
from tests.scanner.engines import detect, fast

MEGABYTE = 1 << 20
SMALL = LEAST

MIXTURES = 200


def anchor_of(rule: Rule) -> bytes:
    """What the text of a rule is found by."""
    return (rule.prefix or next(iter(rule.keywords), rule.id)).encode()


ANCHORS = [anchor_of(rule) for rule in all_rules()]
PLACES = {rule.id: COSTS.get(rule.check, 1) or 1 for rule in all_rules()}
CARRIED = [rb"\u003d", rb"%3D", b"QUl6Y", b"41497a61" * 4, rb"\x3d"]
"""What also leads to decoding."""


def fill(piece: bytes, size: int) -> bytes:
    """`size` bytes of nothing but `piece`."""
    return (piece * (size // len(piece) + 1))[:size]


class WorkLog:
    """Counts the places of each rule that were examined."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counted: Counter[str] = Counter()
        judge = confirm._judge

        def count(rule: Rule, *rest: object) -> object:
            self.counted[rule.id] += 1
            return judge(rule, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(confirm, "_judge", count)

    def examine(self, text: bytes) -> float:
        """Examine a text; how many places per KiB that took, dear ones as often as they count."""
        self.counted.clear()
        detect(fast(), text)
        assert self.counted.total() <= fast().place_count
        if fast().excess:
            assert any(f"rule {rule.id}:" in fast().excess for rule in all_rules())
        return sum(PLACES[rule] * count for rule, count in self.counted.items()) / max(len(text), LEAST) * 1024


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> WorkLog:
    return WorkLog(monkeypatch)


def test_the_anchor_of_every_rule_repeated_costs_a_bounded_number_of_places(work: WorkLog, exhaustive: bool) -> None:
    for anchor in sorted(set(ANCHORS)):
        assert work.examine(fill(anchor, MEGABYTE if exhaustive else SMALL)) <= PER_KIB, anchor


def test_so_does_the_example_of_a_rule(work: WorkLog, exhaustive: bool) -> None:
    rules = all_rules() if exhaustive else random.Random(3).sample(all_rules(), 16)
    for rule in rules:
        example = render(rule.examples[0], seed=3).encode()
        for piece in (example, example + b"\n"):
            assert work.examine(fill(piece, MEGABYTE if exhaustive else SMALL)) <= PER_KIB, rule.id


def test_so_does_a_mixture_of_anchors(work: WorkLog, exhaustive: bool) -> None:
    for seed in range(MIXTURES if exhaustive else 8):
        chance = random.Random(seed)
        some = chance.sample(ANCHORS, 12) + chance.sample(CARRIED, seed % 3)
        size = MEGABYTE if exhaustive else 2 * SMALL
        pieces = [chance.choice(some) + chance.choice((b"", b" ", b"=", b'"', b"x" * 24)) for _ in range(size // 6)]
        assert work.examine(b"".join(pieces)[:size]) <= PER_KIB, seed


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(ANCHORS + CARRIED), min_size=1, max_size=6),
    st.lists(st.sampled_from([b"", b" ", b"=", b"\n", b'"', b"x" * 24, b"a0B" * 14]), min_size=1, max_size=3),
    st.integers(0, 1000),
)
def test_so_does_any_mixture_and_a_text_that_is_not_named_was_examined_whole(
    some: list[bytes], between: list[bytes], seed: int
) -> None:
    chance = random.Random(seed)
    text = b"".join(chance.choice(some) + chance.choice(between) for _ in range(2000))[: 2 * SMALL]
    with pytest.MonkeyPatch.context() as patch:
        assert WorkLog(patch).examine(text) <= PER_KIB
        within, named = detect(fast(), text), fast().excess
        patch.setattr("orchestra_creds.scanner.engine.engine.places_of", lambda _size: 1 << 40)
        unbounded = detect(fast(), text)
        assert bool(named) == (fast().place_count > places_of(len(text)))
    assert set(map(repr, within)) <= set(map(repr, unbounded))
    assert named or len(within) == len(unbounded)


def test_the_anchors_that_took_minutes_exceed_the_budget(work: WorkLog) -> None:
    for anchor in (b"AIza", b"ya29."):
        assert work.examine(fill(anchor, SMALL)) > 0
        assert "rule google-" in fast().excess


def test_the_other_rules_are_examined_before_the_one_that_takes_all() -> None:
    token = render(next(one for one in all_rules() if one.id == "github-personal-access-token").examples[0], seed=3)
    text = fill(b"AIza", 1 << 16) + b"\n" + token.encode() + b"\n"
    assert "github-personal-access-token" in {one.rule.id for one in detect(fast(), text)}
    assert "rule google-" in fast().excess


def test_the_passwords_of_key_stores_take_a_bounded_number_of_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    mac_key = der._mac_key

    def count(password: str, salt: bytes, rounds: int, name: str) -> bytes:
        tried.append(rounds)
        return mac_key(password, salt, rounds, name)

    monkeypatch.setattr(der, "_mac_key", count)
    store = render(next(one for one in all_rules() if one.id == "pkcs12-store").examples[0], seed=3).encode()
    assert detect(fast(), store)
    assert (fast().excess, sum(tried) > 0) == ("", True)
    tried.clear()
    monkeypatch.setattr(budget, "ROUNDS", 5 * tried_once(store))
    found = detect(fast(), (store + b"\n") * 20)
    assert 0 < sum(tried) <= (1 + 4) * budget.ROUNDS  # one rule tries one password, the other four
    assert "rule pkcs12-store" in fast().excess
    assert 0 < len(found) < 20


def tried_once(store: bytes) -> int:
    """The rounds that one password takes on a file."""
    return password_rounds(Subject(store, store, at := store.index(b"MII"), len(store), at, len(store)))


def test_a_text_within_its_budget_is_examined_whole_after_one_that_was_not() -> None:
    detect(fast(), fill(b"AIza", SMALL))
    assert fast().excess
    detect(fast(), b"AIza")
    assert (fast().excess, fast().place_count) == ("", 0)


def test_the_budget_of_a_text_grows_with_its_size() -> None:
    assert places_of(1) == places_of(LEAST) == LEAST * PER_KIB // 1024
    assert places_of(2 * LEAST) == 2 * places_of(LEAST)
    assert places_of(FULL) == FULL * PER_KIB // 1024
    assert places_of(2 * FULL) == (PER_KIB + PER_KIB_BEHIND) * FULL // 1024


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


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([b"k", b"ab", b"-", b"k1", b"x" * 700, b"\n", b"k" * 9]), max_size=30), st.integers(1, 9)
)
def test_stretches_hide_no_start(parts: list[bytes], longest: int) -> None:
    text = b"".join(parts)
    regex = BoundedRegex(r"\bk[a-z0-9]{2,300}|ab|-$")
    exact = [
        spans for at in range(len(text)) if (spans := regex.match(text, at, min(len(text), at + longest))) is not None
    ]
    assert [one for one in starts(regex, text, 0, len(text), longest) if one is not None] == exact


NEIGHBORHOOD = {
    google: {"_WEB_FIELDS", "_CLIENT", "_REFRESH"},
    generic: {"_DSN", "_LOGIN", "_URL_USER", "_DOC_HOST", "_LOCAL_HOST", "_SETTER", "_HASHES"},
    binding: {"_gap", "_element", "_LINE_LEAD", "_BLANK_LEAD", "_COMMENT", "_PAIR", "_LAST_PAIR", "_QUERY", "_ENDS"},
    judge: {"_REFERENCE", "_HASH", "_EXPRESSION", "_PLAIN", "_PATTERN"},
    arguments: {"_CHPASSWD", "_DECLARED"},
    checksums: {"_NO_SECRET", "_IN_BASE64", "_OTHER_PARAMETER", "_STAND_IN"},
    locate: {"_ALLOW"},
    plausible: {"_stand_in", "_template", "_ascending"},
}
"""The patterns that read what stands around a candidate, or all of a long one, by module."""


@pytest.mark.parametrize("module", NEIGHBORHOOD, ids=lambda module: module.__name__.rpartition(".")[2])
def test_what_stands_around_a_candidate_is_searched_in_linear_time(module: ModuleType) -> None:
    """With RE2, which does not backtrack; Python's `re` needs a millisecond for some neighborhoods."""
    assert {name for name in NEIGHBORHOOD[module] if type(getattr(module, name)) is not LazyRegex} == set()


@pytest.mark.parametrize("module", [locate, plausible])
def test_these_modules_have_no_pattern_of_another_kind(module: ModuleType) -> None:
    assert [name for name, value in vars(module).items() if isinstance(value, re.Pattern)] == []


def test_only_checks_that_there_are_have_a_cost_of_their_own() -> None:
    assert set(COSTS) <= {name for checks in families() for name in checks}
