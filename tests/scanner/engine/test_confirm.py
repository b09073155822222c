"""Exact confirmation, and the choice among what overlaps."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.core.material import Material
from orchestra_creds.core.record import replace
from orchestra_creds.scanner.checks.entropy import entropy
from orchestra_creds.scanner.detection import Detection
from orchestra_creds.scanner.engine.confirm import REFUSED, Examiner, regions
from orchestra_creds.scanner.engine.engine import Engine, EngineKind
from orchestra_creds.scanner.engine.overlap import settle
from orchestra_creds.scanner.engine.prefilter import GAP
from orchestra_creds.scanner.rule import Confidence, Rule
from orchestra_creds.scanner.rulebook.catalog import all_rules
from orchestra_creds.scanner.samples.sample import render
from tests.scanner.engines import detect, rule


def spans(one: Rule, text: bytes, ends: list[int] | None = None) -> list[tuple[int, int]]:
    """The credentials that rule `one` confirms in a text, for hits that end at `ends`."""
    found = Examiner([one]).confirm(0, text, ends or [len(text)])
    return [(match.detection.start, match.detection.end) for match in found]


def test_many_ends_of_one_match_make_one_detection() -> None:
    one = rule("run", "a[b]{2,20}")
    assert spans(one, b" abbbbbb ", [4, 5, 6, 7, 8]) == [(1, 8)]


def test_the_group_is_the_credential() -> None:
    assert spans(rule("pair", "key=([a-z]{4})", group=1), b"x key=abcd y") == [(6, 10)]


def test_a_group_that_took_no_part_leaves_the_whole_match() -> None:
    assert spans(rule("either", "a(b)?c", group=1), b"ac") == [(0, 2)]


def test_matches_that_share_a_separator_are_all_found() -> None:
    one = rule("listed", "[ ,](k[0-9]{3})[ ,]", group=1)
    assert spans(one, b" k111,k222,k333 ") == [(1, 5), (6, 10), (11, 15)]


def test_a_refused_match_does_not_hide_a_good_one_that_overlaps_it() -> None:
    one = rule("dense", "k[a-z]{8}", entropy=2.5)
    assert spans(one, b"kkkkkkkkkkabcdefg") == [(7, 16), (8, 17)]


@pytest.mark.parametrize("pattern", [r"\bkey", r"(?m)^key", r"^key", r"\Akey", r"key\b", r"key$", r"key\z"])
def test_the_edge_of_a_window_is_no_boundary(pattern: str) -> None:
    one = rule("edge", pattern, longest=8)
    text = b"." * 600 + b"xkeyx" + b"." * 600
    for end in range(596, 612):
        assert spans(one, text, [end]) == []


@pytest.mark.parametrize("pattern", [r"\bkey\b", r"(?m)^key$", r"^key$", r"\Akey\z"])
def test_the_edge_of_the_text_is_one(pattern: str) -> None:
    engine = Engine.open([rule("edge", pattern)])
    text = b"key"
    assert [(one.start, one.end) for one in detect(engine, text)] == [(0, 3)]
    held = b"xx" + text + b"xx"
    candidates = [(index, end + 2) for index, end in engine.find_hits(text)]
    assert [(one.start, one.end) for one in engine.examine(held, candidates, 2, 5)] == [(2, 5)]


def test_an_unbounded_pattern_takes_at_most_longest_bytes() -> None:
    one = rule("open", "k[a-z]+!?", longest=10)
    assert spans(one, b"kabcdefghijklmnop", [6]) == [(0, 10), (11, 17)]
    assert spans(one, b"kabc!kdef" + b"." * 20, [5, 9]) == [(0, 5), (5, 9)]


def test_what_was_read_holds_the_match_and_its_neighbours() -> None:
    one = rule("word", r"\b(k[0-9]{3})\b", longest=4, group=1)
    (match,) = Examiner([one]).confirm(0, b"ab k123 cd", [7])
    assert (match.detection.read_from, match.detection.read_to) == (2, 8)


def test_entropy_is_that_of_shannon() -> None:
    assert entropy(b"aaaa") == 0
    assert entropy(b"abcd") == 2
    assert entropy(bytes(range(256))) == 8


@given(st.sets(st.integers(1, 3000)), st.integers(1, 200))
def test_regions_hold_every_start_and_do_not_overlap(ends: set[int], longest: int) -> None:
    found = list(regions(sorted(ends), longest, 3000))
    for end in ends:
        assert any(low <= max(0, end - longest) and min(end + GAP, 3000) <= high for low, high in found)
    assert all(low < high for low, high in found)
    assert all(before[1] < behind[0] for before, behind in itertools.pairwise(found))


def test_hostile_text_takes_linear_time() -> None:
    """Ten times the text, about ten times the work: counted in searches, not in seconds."""
    one = rule("catastrophe", r"(?:a|aa|aaa){1,40}b", longest=128)

    def work(length: int) -> int:
        engine = Engine.open([one], kind=EngineKind.RE2)
        text = b"a" * length + b"b"
        return len(detect(engine, text))

    assert work(400) == work(4000) == 120


# --- the choice -------------------------------------------------------------------------------------------------------


def detection(
    name: str, start: int, end: int, confidence: Confidence = Confidence.LIKELY, *, decoded: str = ""
) -> Detection:
    material = Material(f"{name}{start}".encode())
    return Detection(rule(name, "x"), start, end, start, end, material, confidence, (decoded,) if decoded else ())


def kept(*detections: Detection) -> list[tuple[str, int, int]]:
    return [(one.rule.id, one.start, one.end) for one in settle(detections)]


def test_the_same_twice_is_once() -> None:
    assert kept(detection("a", 1, 9), detection("a", 1, 9)) == [("a", 1, 9)]


def test_the_wider_covers_what_it_holds() -> None:
    assert kept(detection("pem", 100, 1800), detection("account", 0, 2300)) == [("account", 0, 2300)]


def test_the_surer_stays_where_both_stand_on_the_same_bytes() -> None:
    assert kept(detection("a", 1, 9), detection("b", 1, 9, Confidence.PROVEN)) == [("b", 1, 9)]


def test_a_proven_token_and_a_wide_text_around_it_both_stay() -> None:
    assert kept(detection("a", 50, 90, Confidence.PROVEN), detection("b", 0, 400)) == [("b", 0, 400), ("a", 50, 90)]


def test_a_generic_rule_gives_way_to_any_other_that_it_touches() -> None:
    sure = detection("generic-password", 0, 50, Confidence.PROVEN)
    assert kept(sure, detection("token", 45, 95, Confidence.POSSIBLE)) == [("token", 45, 95)]


def test_one_rule_reports_no_overlapping_tokens() -> None:
    run = [detection("hex", start, start + 32) for start in range(10)]
    assert kept(*run) == [("hex", 0, 32)]


def test_neighbours_that_share_encoded_digits_both_stay() -> None:
    pair = (detection("a", 0, 40, decoded="base64"), detection("a", 36, 76, decoded="base64"))
    assert len(kept(*pair)) == 2


def test_plain_text_is_preferred_to_the_same_decoded() -> None:
    (one,) = settle([detection("a", 1, 9, decoded="escape"), detection("a", 1, 9)])
    assert one.decoded == ()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60), st.integers(1, 40)), max_size=12), st.randoms())
def test_the_order_of_detections_does_not_matter(items: list[tuple[str, int, int]], random: object) -> None:
    detections = [detection(name, start, start + length) for name, start, length in items]
    again = detections[::-1]
    assert kept(*detections) == kept(*again)


def test_spans_across_many_cells_are_compared() -> None:
    wide = detection("a", 1000, 9000)
    assert kept(wide, detection("b", 8990, 8999), detection("c", 1001, 1010)) == [("a", 1000, 9000)]


ANCHORED = [rule for rule in all_rules() if rule.anchor]
PIECES = [
    b"password", b"my_password_2", b"passwordHash", b"compass", b"api_key", b"nextToken", b"secret", b"tokenizer", b"DB_PW",
    b"=", b": ", b" = ", b'"', b"\n", b" ", b"(", b"<", b">", b"</", b"k7Rq2xLw9ZpT4vNbY8s", b"hunter2!Xq9z", b"a" * 300,
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=60))
def test_a_quick_look_refuses_only_what_the_check_refuses(pieces: list[bytes]) -> None:
    assert len(ANCHORED) == 2
    text = b"".join(pieces)
    ends = list(range(1, len(text) + 1))
    for one in ANCHORED:
        assert spans(one, text, ends) == spans(replace(one, anchor=""), text, ends)


def test_every_example_of_a_rule_with_an_anchor_begins_with_it() -> None:
    for one in ANCHORED:
        assert one.pattern.removeprefix("(?:").startswith(one.anchor)
        for example in one.examples:
            assert spans(one, render(example).encode()), example


def test_places_that_are_refused_at_once_count_for_less() -> None:
    (one,) = [rule for rule in ANCHORED if rule.id == "generic-password"]
    line = b"password_hash = x1\n"
    assert one.longest + GAP >= (REFUSED + 1) * len(line)
    for count, places in ((REFUSED - 1, 0), (REFUSED, 1), (REFUSED + 1, 1)):
        examiner = Examiner([one])
        examiner.begin(100)
        assert list(examiner.confirm(0, line * count, [one.longest])) == []
        assert 100 - examiner.left == places, count
