"""Masking: no value passes, in whatever pieces it comes, and nothing else is touched."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.core.masking import MASK, SHORTEST, Masker, masked_lines

LINES = st.lists(
    st.binary(min_size=SHORTEST, max_size=8).filter(lambda b: b.strip() == b and len(b.splitlines()) == 1), max_size=4
)


def fed(lines: Sequence[bytes], pieces: Sequence[bytes]) -> bytes:
    masker = Masker(lines)
    return b"".join([*(masker.feed(piece) for piece in pieces), masker.feed(b"", last=True)])


def reference(lines: Sequence[bytes], text: bytes) -> bytes:
    """Every byte of every occurrence, found the slow way; occurrences that overlap are one."""
    hits = [(at, at + len(line)) for line in lines for at in range(len(text)) if text.startswith(line, at)]
    shown, done = b"", 0
    for start, end in sorted(hits, key=lambda hit: (hit[0], -hit[1])):
        if start >= done:
            shown += text[done:start] + MASK
        done = max(done, end)
    return shown + text[done:]


@given(LINES, st.data())
def test_pieces_make_no_difference(lines: list[bytes], data: st.DataObject) -> None:
    alphabet = st.one_of(
        st.binary(max_size=3), *[st.just(line) for line in lines], *[st.just(line[:-1]) for line in lines]
    )
    pieces = data.draw(st.lists(alphabet, max_size=12))
    assert fed(lines, pieces) == reference(lines, b"".join(pieces))


@given(
    st.lists(st.sampled_from([b"abab", b"babab", b"aaaa"]), max_size=3),
    st.lists(st.sampled_from([b"a", b"b", b"ab"]), max_size=40),
)
def test_values_that_repeat_and_overlap(lines: list[bytes], pieces: list[bytes]) -> None:
    assert fed(lines, pieces) == reference(lines, b"".join(pieces))


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (b"", ()),
        (b"abc", ()),
        (b" long enough \n\nx\nsecond line\r\nlong enough", (b"long enough", b"second line")),
    ],
)
def test_a_value_is_looked_for_line_by_line(value: bytes, lines: tuple[bytes, ...]) -> None:
    assert masked_lines([value]) == lines
