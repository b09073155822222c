import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.scanner.buffers import SEPARATOR
from orchestra_creds.scanner.git import delta
from orchestra_creds.scanner.git.delta import CopyRun, WindowMargin, apply_slowly, in_text, inner, triples
from tests.scanner import packs

try:
    from orchestra_creds.scanner import _native as native
except ImportError:
    native = None  # type: ignore[assignment]

COMPILED = pytest.mark.skipif(native is None, reason="the C extension was not built here")
PLENTY = 1 << 20

texts = st.binary(min_size=0, max_size=400)


@st.composite
def changes(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, int] | bytes]]:
    """A base, and copies of it and insertions in any order."""
    base = draw(texts)
    span = st.tuples(st.integers(0, len(base)), st.integers(0, len(base)))
    copies = span.filter(lambda pair: pair[0] < pair[1]).map(lambda pair: (pair[0], pair[1] - pair[0]))
    kinds: list[st.SearchStrategy[tuple[int, int] | bytes]] = [st.binary(min_size=1, max_size=200)]
    return base, draw(st.lists(st.one_of(*kinds, copies) if base else kinds[0], max_size=8))


def expected(base: bytes, operations: list[tuple[int, int] | bytes]) -> bytes:
    return b"".join(op if isinstance(op, bytes) else base[op[0] : op[0] + op[1]] for op in operations)


@given(changes())
def test_a_delta_makes_the_text_it_describes(change: tuple[bytes, list[tuple[int, int] | bytes]]) -> None:
    base, operations = change
    text, *_ = delta.apply(base, packs.delta(len(base), operations), PLENTY, 3, 5)
    assert text == expected(base, operations)


@given(changes(), st.integers(0, 30), st.integers(0, 30))
def test_every_byte_is_in_a_window_or_in_the_inner_part_of_a_run(
    change: tuple[bytes, list[tuple[int, int] | bytes]], back: int, ahead: int
) -> None:
    base, operations = change
    text, windows, cuts, runs = delta.apply(base, packs.delta(len(base), operations), PLENTY, back, ahead)
    seen = bytearray(len(text))
    for at, start, length in triples(cuts):
        assert windows[at : at + length] == text[start : start + length]
        assert windows is text or windows[at + length : at + length + len(SEPARATOR)] == SEPARATOR
        seen[start : start + length] = b"\1" * length
    for run in map(CopyRun._make, triples(runs)):
        assert text[run.to : run.to + run.length] == base[run.start : run.start + run.length]
        low, high = inner(run, len(base), len(text), WindowMargin(back, ahead))
        assert low < high
        assert not any(seen[low:high])
        seen[low:high] = b"\1" * (high - low)
    assert all(seen)


@given(changes(), st.integers(1, 30), st.integers(1, 30))
def test_ends_found_in_windows_are_placed_in_the_text(
    change: tuple[bytes, list[tuple[int, int] | bytes]], back: int, ahead: int
) -> None:
    base, operations = change
    text, windows, cuts, _ = delta.apply(base, packs.delta(len(base), operations), PLENTY, back, ahead)
    for at, start, length in triples(cuts):
        ends = range(at + 1, at + length + 1)
        assert in_text(cuts, ends) == [start + end - at for end in ends]
        if windows is not text:
            assert in_text(cuts, [at + length + 1]) == [start + length]


def test_a_copy_of_everything_leaves_no_window() -> None:
    base = bytes(range(256))
    text, windows, cuts, runs = delta.apply(base, packs.delta(256, [(0, 100), (100, 156)]), PLENTY, 9, 9)
    assert (text, windows, cuts) == (base, b"", b"")
    assert list(triples(runs)) == [(0, 0, 256)]


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        packs.size_of(9),
        packs.size_of(8) + packs.size_of(1) + packs.insert(b"x"),  # another base
        packs.size_of(9) + packs.size_of(2) + packs.insert(b"x"),  # less than promised
        packs.size_of(9) + packs.size_of(1) + packs.insert(b"xy"),  # more than promised
        packs.size_of(9) + packs.size_of(1) + b"\0",  # a reserved operation
        packs.size_of(9) + packs.size_of(5) + b"\5abc",  # an insertion that ends early
        packs.size_of(9) + packs.size_of(4) + packs.copy(6, 4),  # copies from behind the base
        packs.size_of(9) + packs.size_of(4) + packs.copy(1 << 31, 4),
        packs.size_of(9) + packs.size_of(4) + b"\xff\1\1",  # a copy without its numbers
        b"\xff" * 20,
    ],
)
def test_a_damaged_delta_is_refused(broken: bytes) -> None:
    for one in {apply_slowly, delta.apply}:
        with pytest.raises(ValueError, match="damaged"):
            one(b"123456789", broken, PLENTY, 1, 1)


def test_a_text_larger_than_the_limit_is_refused_before_it_is_made() -> None:
    bomb = packs.size_of(9) + packs.size_of(1 << 50) + packs.copy(0, 9)
    for one in {apply_slowly, delta.apply}:
        with pytest.raises(OverflowError):
            one(b"123456789", bomb, PLENTY, 1, 1)


@COMPILED
@given(changes(), st.integers(0, 40), st.integers(0, 40))
def test_the_compiled_loop_answers_like_the_one_in_python(
    change: tuple[bytes, list[tuple[int, int] | bytes]], back: int, ahead: int
) -> None:
    base, operations = change
    encoded = packs.delta(len(base), operations)
    assert native.apply(base, encoded, PLENTY, back, ahead) == apply_slowly(base, encoded, PLENTY, back, ahead)


@COMPILED
@given(changes(), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4), st.integers(0, 60))
def test_both_loops_refuse_the_same_damage(
    change: tuple[bytes, list[tuple[int, int] | bytes]], hits: list[tuple[int, int]], shorter: int
) -> None:
    base, operations = change
    encoded = bytearray(packs.delta(len(base), operations))
    for at, byte in hits:
        encoded[at % len(encoded)] = byte
    broken = bytes(encoded[: len(encoded) - shorter])

    def answer(one: object) -> object:
        try:
            return one(base, broken, 4096, 7, 7)  # type: ignore[operator]
        except (ValueError, OverflowError) as error:
            return type(error)

    assert answer(native.apply) == answer(apply_slowly)
