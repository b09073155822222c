"""The first pass, and the compiled database between runs."""

import base64
import itertools
import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.errors import ConfigError
from orchestra_creds.scanner.buffers import SEPARATOR
from orchestra_creds.scanner.decoding.decode import CARRIERS
from orchestra_creds.scanner.engine import prefilter
from orchestra_creds.scanner.engine.database import MAGIC
from orchestra_creds.scanner.engine.engine import Engine, EngineKind
from orchestra_creds.scanner.engine.markers import literals
from orchestra_creds.scanner.engine.patterns import PatternSet
from orchestra_creds.scanner.engine.prefilter import GAP, HyperscanMatcher, Matcher, Re2Matcher
from orchestra_creds.scanner.engine.prefilter_patterns import first_pass
from orchestra_creds.scanner.libraries import Regex
from orchestra_creds.scanner.rulebook.catalog import all_rules
from orchestra_creds.scanner.samples.sample import render
from tests.scanner.engines import fast, rule

RULES = (
    rule("word", r"\bword[0-9]{3}\b"),
    rule("tail", r"tail_[a-z]{4,40}", longest=64),
    rule("line", r"(?m)^start [a-z]{3}$"),
    rule("space", r"gap\S\s[^\s]end"),
)


def matchers() -> tuple[Matcher, Matcher]:
    plan = PatternSet(RULES)
    return HyperscanMatcher.from_patterns(plan, None, lambda work: work()), Re2Matcher(plan.patterns)


FAST, PLAIN = matchers()


def covered(one: Matcher, text: bytes, number: int, start: int) -> bool:
    """Whether some report of the pattern stands for a match that begins at `start`."""
    longest = RULES[number].longest
    return any(index == number and end - longest <= start < end + GAP for index, end in one.find_hits(text))


@pytest.mark.parametrize("one", [FAST, PLAIN], ids=["hyperscan", "re2"])
@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, b"a word123 b"),
        (0, rb"a\nword123 b"),  # an escape hides the boundary: the first pass must not mind
        (1, b"x tail_abcdefgh"),
        (2, b"one\nstart abc\ntwo"),
        (2, b"start abc"),
        (3, b"gap\x0b xend"),  # a vertical tab is no white space
    ],
)
def test_every_match_is_reported(one: Matcher, number: int, text: bytes) -> None:
    found = Regex(RULES[number].pattern).search(text.replace(rb"\n", b"  "), 0, len(text))
    assert found is not None
    assert covered(one, text, number, found[0][0])


@given(
    st.lists(
        st.sampled_from([b"word123", b"tail_abcd", b"start abc", b"\n", b" ", b"\0", b"x", b"gap. .end"]), max_size=60
    )
)
def test_both_libraries_cover_every_match(pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    for number, one in enumerate(RULES):
        regex = Regex(one.pattern)
        at = 0
        while (found := regex.search(text, at, len(text))) is not None:
            assert covered(FAST, text, number, found[0][0])
            assert covered(PLAIN, text, number, found[0][0])
            at = found[0][0] + 1


def test_texts_in_one_buffer_do_not_hide_each_others_matches() -> None:
    texts = [b"word123"] * 5 + [b"start abc"] * 5
    ends = list(itertools.accumulate(len(text) + len(SEPARATOR) for text in texts))
    for one in (FAST, PLAIN):
        reported = one.find_hits(SEPARATOR.join(texts))
        for text, behind in zip(texts, ends, strict=True):
            low, high = behind - len(SEPARATOR) - len(text), behind - len(SEPARATOR)
            assert any(low < end <= high for _, end in reported)


@pytest.fixture(scope="module")
def by_pattern() -> HyperscanMatcher:
    """A matcher that finds hex by its pattern, as where no C extension was built."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefilter, "hex_ends", None)
        return HyperscanMatcher.from_patterns(PatternSet(RULES), None, lambda work: work())


HEX_PATTERN = next(carrier.pattern for carrier in CARRIERS if carrier.kind == "hex").encode()
HEX = st.one_of(
    st.text("0123456789abcdefABCDEF", max_size=80),
    st.text("234567", min_size=28, max_size=40),
    st.integers(0, 400).map(lambda count: count * "2d"),
    st.sampled_from(["0d0A", "7", "g", " ", "\0", "\n\0\n", "word123"]),
)


@given(st.lists(HEX, max_size=12).map(lambda pieces: "".join(pieces).encode()))
def test_hex_is_found_where_its_pattern_finds_it(by_pattern: HyperscanMatcher, text: bytes) -> None:
    index = PatternSet(RULES).hex_index
    expected = [match.end(1) for match in re.finditer(b"(?=(%s))" % HEX_PATTERN, text)]
    assert FAST.ends(index, text) == by_pattern.ends(index, text) == expected
    assert FAST.find_hits(text) == by_pattern.find_hits(text)


def test_prefixes_alone_are_reported_once_in_a_gap() -> None:
    text = b"tail_abcd" * 100_000
    for one in (FAST, PLAIN):
        assert len(one.find_hits(text[: 1 << 18])) <= (1 << 18) // GAP + 1
    assert len(FAST.find_hits(text)) <= len(text) // GAP + 1


def test_a_greedy_tail_makes_one_report() -> None:
    text = b"tail_" + b"a" * 40
    assert FAST.find_hits(text) == [(1, 9)]


def test_the_relaxed_pattern_matches_where_the_exact_one_does() -> None:
    for one in all_rules():
        exact, relaxed = Regex(one.pattern), Regex(f"(?m){first_pass(one.pattern, one.longest)}")
        for example in one.examples:
            text = render(example).encode()
            found = exact.search(text, 0, len(text))
            assert found is not None
            start, end = found[0]
            seen = relaxed.search(text, start, end)
            assert seen is not None, one.id
            assert seen[0][1] <= end, one.id


def test_words_are_literals_in_every_alignment_of_base64() -> None:
    known = literals([rule("shop", r"\bshop_[a-z]{8}"), rule("short", r"\bsq_[a-z]{30}")])
    pattern = re.compile("|".join(map(re.escape, known)))
    for word, before, behind in itertools.product(("shop_", "sq_", "password"), range(7), ("", "~", "zz")):
        once = base64.b64encode(b"\xff" * before + word.encode() + behind.encode()).decode()
        assert pattern.search(once), (word, before)
        for more in range(3):
            twice = base64.b64encode(b"~" * more + once.encode()).decode()
            assert pattern.search(twice), (word, before, more)


# --- the database -----------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "databases"


def opened(cache: Path) -> Path:
    """Open an engine over the cache and give the one file that is there then."""
    Engine.open(RULES, kind=EngineKind.HYPERSCAN, cache=cache)
    (file,) = cache.iterdir()
    return file


def test_a_database_is_kept_in_a_folder_and_a_file_of_our_own(cache: Path) -> None:
    file = opened(cache)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_bytes().startswith(MAGIC)


def test_a_kept_database_finds_the_same(cache: Path) -> None:
    opened(cache)
    text = b"word123 tail_abcdef"
    again = Engine.open(RULES, kind=EngineKind.HYPERSCAN, cache=cache)
    assert again.find_hits(text) == FAST.find_hits(text)


def test_other_rules_have_a_database_of_their_own(cache: Path) -> None:
    opened(cache)
    Engine.open(RULES[:1], kind=EngineKind.HYPERSCAN, cache=cache)
    assert len(list(cache.iterdir())) == 2


def planted(file: Path) -> bytes:
    """Put the database of another rule in place of `file`, sound in itself; its bytes."""
    other = file.parent.parent / "other"
    Engine.open([rule("planted", "planted")], kind=EngineKind.HYPERSCAN, cache=other)
    (source,) = other.iterdir()
    file.write_bytes(source.read_bytes())
    return source.read_bytes()


def trusts(cache: Path) -> bool:
    """Whether an engine over the cache runs the planted database."""
    return bool(Engine.open(RULES, kind=EngineKind.HYPERSCAN, cache=cache).find_hits(b" planted "))


def test_the_plant_would_work(cache: Path) -> None:
    planted(opened(cache))
    assert trusts(cache)


def test_a_database_that_others_may_write_is_not_loaded(cache: Path) -> None:
    file = opened(cache)
    planted(file)
    file.chmod(0o620)
    assert not trusts(cache)


def test_a_database_in_a_folder_that_others_may_write_is_not_loaded(cache: Path) -> None:
    planted(opened(cache))
    cache.chmod(0o770)
    assert not trusts(cache)


def test_a_database_with_a_second_name_is_not_loaded(cache: Path, tmp_path: Path) -> None:
    file = opened(cache)
    planted(file)
    os.link(file, tmp_path / "second")
    assert not trusts(cache)


def test_a_link_in_place_of_a_database_is_not_followed(cache: Path, tmp_path: Path) -> None:
    file = opened(cache)
    planted(file)
    elsewhere = tmp_path / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    assert not trusts(cache)


def test_a_link_in_place_of_the_folder_is_not_followed(cache: Path, tmp_path: Path) -> None:
    planted(opened(cache))
    elsewhere = tmp_path / "elsewhere"
    cache.rename(elsewhere)
    cache.symlink_to(elsewhere)
    assert not trusts(cache)


def test_a_database_of_another_owner_is_not_loaded(cache: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    file = opened(cache)
    planted(file)
    os.chown(file, 65534, 65534)
    assert not trusts(cache)


@pytest.mark.parametrize("at", [0, len(MAGIC), len(MAGIC) + 40, -1])
def test_a_damaged_database_is_compiled_anew(cache: Path, at: int) -> None:
    file = opened(cache)
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)
    engine = Engine.open(RULES, kind=EngineKind.HYPERSCAN, cache=cache)
    assert engine.find_hits(b"word123") == FAST.find_hits(b"word123")
    assert file.read_bytes() != content


def test_a_cut_database_is_compiled_anew(cache: Path) -> None:
    file = opened(cache)
    file.write_bytes(file.read_bytes()[:50])
    assert Engine.open(RULES, kind=EngineKind.HYPERSCAN, cache=cache).find_hits(b"word123")


def test_a_fifo_in_place_of_a_database_does_not_stop_the_scan(cache: Path) -> None:
    file = opened(cache)
    file.unlink()
    os.mkfifo(file, 0o600)
    assert Engine.open(RULES, kind=EngineKind.HYPERSCAN, cache=cache).find_hits(b"word123")


def test_a_cache_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert Engine.open(RULES, kind=EngineKind.HYPERSCAN, cache=file / "below").find_hits(b"word123")


@pytest.mark.parametrize("kind", [EngineKind.HYPERSCAN, EngineKind.RE2])
def test_a_pattern_that_is_none_is_an_error_that_names_the_reason(kind: EngineKind) -> None:
    with pytest.raises(ConfigError, match=r"rule broken: .*missing \)"):
        Engine.open([rule("broken", "(a")], kind=kind)
    with pytest.raises(ConfigError, match=r"rule broad: .*repetition"):
        Engine.open([rule("broad", "a{2000}")], kind=kind)


def test_a_pattern_too_large_for_hyperscan_is_loosened() -> None:
    huge = rule("huge", r"a[^x]{900}[0-9]{3}b[^y]{900}\bc(?:[^z]{900}d)?", longest=3000)
    engine = Engine.open([huge], kind=EngineKind.HYPERSCAN)
    text = b"a" + b"." * 900 + b"123b" + b" " * 900 + b"c"
    assert [one.end for one in engine.examine(text, engine.find_hits(text))] == [len(text)]


def test_threads_have_scratch_space_of_their_own() -> None:
    engine = fast()
    text = ("x = 1\n" * 20_000 + render("AIza{b64u:35}") + "\n").encode()
    expected = engine.find_hits(text)
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(engine.find_hits, [text] * 16)) == [expected] * 16
