"""A pattern without the upper bounds of its long repeats finds what the exact one finds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.scanner.engine.bounded_regex import LONG, BoundedRegex, without_bounds
from orchestra_creds.scanner.libraries import Regex
from orchestra_creds.scanner.rulebook.catalog import all_rules
from orchestra_creds.scanner.samples.sample import render

PATTERNS = (
    r"k_[a-c]{2,200}(?:[^a-d]|$)",
    r"\bk_([a-c]{2,200}[ab]{0,300}={0,2})(?:[^a-c=]|$)",
    r"k_([a-c]{1,200}?)b",
    r"(?:k_a{1,250}|k_[ab]{3})(b?)",
    r"k_[a-c]{2,220}\.[a-c]{2,200}\b",
)
TEXTS = st.lists(
    st.one_of(
        st.sampled_from(["k_", "k_k_", "b", "abc", "=", "==", ".", " ", "d"]),
        st.integers(190, 230).map(lambda times: "a" * times),
        st.integers(60, 110).map(lambda times: "abc" * times),
    ),
    max_size=9,
).map(lambda parts: "".join(parts).encode())


@pytest.mark.parametrize("pattern", PATTERNS)
@given(text=TEXTS)
def test_the_matches_are_those_of_the_exact_pattern(pattern: str, text: bytes) -> None:
    quick, exact = BoundedRegex(pattern), Regex(pattern)
    for at in range(0, len(text), 7):
        assert quick.search(text, at, len(text)) == exact.search(text, at, len(text))
        assert quick.match(text, at, len(text)) == exact.match(text, at, len(text))


def test_rules_find_in_their_examples_what_their_exact_patterns_find() -> None:
    shortened = [rule for rule in all_rules() if without_bounds(rule.pattern)[0] != rule.pattern]
    assert len(shortened) > 20
    for rule in shortened:
        quick, exact = BoundedRegex(rule.pattern), Regex(rule.pattern)
        for example in rule.examples:
            text = render(example).encode()
            assert quick.search(text, 0, len(text)) == exact.search(text, 0, len(text)) is not None, rule.id


@pytest.mark.parametrize(
    ("pattern", "quick"),
    [
        (r"[a-z]{3,900}", r"[a-z]{3,}"),
        (r"\\{3,900}\x41{1,200}\x{41}{1,200}", r"\\{3,}\x41{1,}\x{41}{1,}"),
        (r"a{3,900}?b", r"a{3,}?b"),
        (rf"a{{3,{LONG - 1}}}", rf"a{{3,{LONG - 1}}}"),
        (r"\{3,900}", r"\{3,900}"),
        (r"[{3,900}]", r"[{3,900}]"),
        (r"[^]x{3,900}]", r"[^]x{3,900}]"),
        (r"(?:ab|[)\]c]\)d?){3,900}?", r"(?:ab|[)\]c]\)d?){3,}?"),
        (r"(?:a(?:b)){3,900}", r"(?:a(?:b)){3,900}"),
        (r"(?:a{3,900}){2,4}", r"(?:a{3,}){2,4}"),
        (r"a*{3,900}", r"a*{3,900}"),
        (r"\Qa{3,900}\E", r"\Qa{3,900}\E"),
    ],
)
def test_only_bounds_of_long_repeats_go(pattern: str, quick: str) -> None:
    assert without_bounds(pattern)[0] == quick
