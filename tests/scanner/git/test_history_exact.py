"""A scan along delta chains finds what a scan of every object whole finds, in the same objects."""

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from orchestra_creds.scanner.engine.engine import Engine, EngineKind
from orchestra_creds.scanner.engine.prefilter_patterns import MOST, first_pass, width
from orchestra_creds.scanner.git.delta import WindowMargin
from orchestra_creds.scanner.git.delta_scan import DeltaScanner, PackObject
from orchestra_creds.scanner.rulebook.catalog import all_rules
from tests.scanner import packs
from tests.scanner.engines import rule
from tests.scanner.histories import (
    Key,
    by_object,
    collected,
    each_object_whole,
    engine,
    imported,
    key_of,
    samples,
    whole,
)
from tests.scanner.trees import git

Edit = list[tuple[float, float] | bytes]
"""Ranges of the text before, as fractions of its size, and insertions."""

Chain = tuple[bytes, list[Edit]]
"""A text, and edits one after the other."""

WORDS = (
    b"import os", b"\n", b" ", b"    return self.value", b"password", b" = ", b'"', b"'", b"\\n", b"%20", b"token: ",
    b"https://example.com/a/b?c=d", b'{"a": [1, 2]}', b"# TODO", b"def run(self, config):\n", b"x" * 40, b"0123456789abcdef",
)  # fmt: skip
WRAPPINGS = (
    lambda text: text,
    lambda text: base64.b64encode(b"user and more: " + text),
    base64.encodebytes,
    lambda text: json.dumps({"value": text.decode("latin-1")}).encode(),
    lambda text: quote(text.decode("latin-1"), safe="").encode(),
    lambda text: text.hex().encode(),
)

filler = st.lists(st.sampled_from(WORDS), max_size=40).map(b"".join)
credential = st.builds(lambda text, wrap: wrap(text), st.sampled_from(samples()), st.sampled_from(WRAPPINGS))
part = st.builds(lambda text, first, end: text[first:end], credential, st.integers(0, 30), st.integers(1, 90))
nudge = st.sampled_from((b"", b"x", b"\n", b" ", b'"', b"\\", b"=", b"A"))
piece = st.one_of(filler, credential, st.just(b"lorem ipsum dolor sit amet\n" * 60))


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    """A text, and edits one after the other: ranges of the text before (as fractions) and insertions."""
    base = b"".join(draw(st.lists(piece, min_size=1, max_size=5)))
    position = st.floats(0, 1)
    moved = st.tuples(position, position)
    kept = st.just((0.0, 1.0))
    edit = st.lists(st.one_of(moved, kept, credential, part, nudge, filler), min_size=1, max_size=5)
    cut = st.builds(lambda at, gap, new: [(0.0, at), new, (min(1.0, at + gap), 1.0)], position, st.floats(0, 0.1),
                    st.one_of(nudge, part, credential))  # fmt: skip
    return base, draw(st.lists(st.one_of(cut, cut, edit), min_size=1, max_size=5))


def edited(base: bytes, edit: Edit) -> bytes:
    """The delta that makes this edit."""
    operations: list[tuple[int, int] | bytes] = []
    for one in edit:
        if isinstance(one, bytes):
            operations += [one] if one else []
            continue
        start, end = (int(fraction * len(base)) for fraction in sorted(one))
        operations += [(start, end - start)] if end > start else []
    return packs.delta(len(base), operations)


def differences(scanner: DeltaScanner, base: bytes, edits: list[Edit]) -> list[str]:
    """Where the scan along the chain and scans of the whole texts disagree."""
    nodes = [PackObject(0, base, base)]
    for number, edit in enumerate(edits, start=1):
        nodes.append(scanner.delta(number, nodes[-1], edited(nodes[-1].text, edit)))
    scanner.judge(nodes)
    found = []
    for node in nodes:
        mine = sorted(map(key_of, scanner.engine.settle(node.state.found)), key=repr)
        if mine != whole(node.text, one=scanner.engine):
            found.append(f"text {node.number} of {len(node.text)} bytes")
    return found


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(chains())
def test_a_chain_of_deltas_holds_what_its_texts_hold(
    chain: Chain,
) -> None:
    base, edits = chain
    assume(len(base) < 40_000)
    assert differences(DeltaScanner(engine(), 1 << 20), base, edits) == []


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(chains())
def test_the_same_holds_without_hyperscan(chain: Chain) -> None:
    base, edits = chain
    assume(len(base) < 20_000)
    assert differences(DeltaScanner(engine(EngineKind.RE2), 1 << 20), base, edits) == []


DENSE = b"narrowed" * 4000
"""Every eighth byte starts a match of the rule below: more places than the budget of so long a text allows."""


@pytest.mark.parametrize(
    ("base", "edits", "dense"),
    [
        (b"filler\n" * 200, [[(0.0, 1.0), DENSE], [(0.0, 1.0), b"\n"], [(0.0, 0.03)]], [False, True, True, False]),
        (DENSE, [[(0.0, 0.01), b"\n"], [(0.0, 1.0), DENSE]], [True, False, True]),
    ],
)
def test_a_text_over_its_budget_is_named_however_git_stores_it(
    base: bytes, edits: list[Edit], dense: list[bool]
) -> None:
    scanner = DeltaScanner(Engine.open([rule("narrow", "narrow[a-z]{2}", longest=8)]), 1 << 20)
    nodes = [PackObject(0, base, base)]
    for number, edit in enumerate(edits, start=1):
        nodes.append(scanner.delta(number, nodes[-1], edited(nodes[-1].text, edit)))
    scanner.judge(nodes)
    assert [bool(node.state.excess) for node in nodes] == dense
    for node in nodes:
        alone = scanner.whole(node.text)
        assert node.state.excess == alone.excess
        assert sorted(map(repr, map(key_of, node.state.found))) == sorted(map(repr, map(key_of, alone.found)))


def edits_across(text: bytes, gap: int) -> list[Chain]:
    """For each of several places in a credential: a text without its second part, and an edit that inserts it."""
    out: list[Chain] = []
    for at in range(4, len(text) - 1, max(3, len(text) // 12)):
        before, behind = b"filler\n" * 200 + text[:at], b"\nfiller" * 200
        base = before + behind
        share = len(before) / len(base)
        out.append((base, [[(0.0, share), text[at:], (share, 1.0)], [(0.0, 1.0), b"\n" * gap]]))
    return out


def test_the_comparison_notices_windows_that_are_too_narrow() -> None:
    """The control: with a margin that is broken on purpose the same comparison fails."""
    broken = DeltaScanner(engine(), 1 << 20)
    broken.reach = WindowMargin(2, 2)
    sound = DeltaScanner(engine(), 1 << 20)
    chains_ = [chain for text in samples()[:6] for chain in edits_across(text, 3)]
    assert [problem for chain in chains_ for problem in differences(sound, *chain)] == []
    assert [problem for chain in chains_ for problem in differences(broken, *chain)] != []


def test_the_comparison_notices_verdicts_that_are_carried_too_far() -> None:
    """The other control: without judging again what stands near a seam, a key that is mended far from its start is missed."""
    broken = DeltaScanner(engine(), 1 << 20)
    broken._dependence = [WindowMargin(0, 0)] * len(broken._dependence)
    sound = DeltaScanner(engine(), 1 << 20)
    chains_: list[Chain] = []
    for text in (text for text in samples() if len(text) > 800):
        for at in range(700, len(text), len(text) // 6):
            share = at / len(text)
            damaged = text[:at] + b"\0" + text[at:]
            chains_.append((damaged, [[(0.0, at / len(damaged)), ((at + 1) / len(damaged), 1.0)], [(0.0, share)]]))
    assert [problem for chain in chains_ for problem in differences(sound, *chain)] == []
    assert [problem for chain in chains_ for problem in differences(broken, *chain)] != []


PACKINGS = {
    "as imported": (),
    "shallow chains": ("--depth=3", "--window=4"),
    "deep chains": ("--depth=500", "--window=30"),
    "full objects": ("--depth=0", "--window=0"),
}


@pytest.fixture(scope="module")
def edited_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two dozen versions of a few files into which credentials come, move, change and go."""
    filler_ = [b"line %d: nothing to see here" % number for number in range(500)]
    texts = samples()
    commits = []
    lines = filler_[:]
    for version in range(24):
        place = version * 37 % len(lines)
        wrap = WRAPPINGS[version % len(WRAPPINGS)]
        lines.insert(place, wrap(texts[version * 5 % len(texts)]))
        if version % 4 == 3:
            del lines[(place + 211) % len(lines)]
        if version % 7 == 6:
            lines = lines[250:] + lines[:250]
        commits.append({"file": b"\n".join(lines), f"one/{version % 5}": b"\n".join(lines[:20])})
    return imported(tmp_path_factory.mktemp("edited"), commits)


@pytest.fixture(scope="module")
def expected(edited_repository: Path) -> dict[str, list[Key]]:
    """What a scan of each object by itself finds."""
    return each_object_whole(edited_repository)


@pytest.mark.parametrize("packing", PACKINGS)
def test_every_object_holds_the_same_however_it_is_packed(
    edited_repository: Path, expected: dict[str, list[Key]], packing: str
) -> None:
    if PACKINGS[packing]:
        git(edited_repository, "repack", "-adfq", *PACKINGS[packing])
    found = collected(edited_repository, jobs=1 if packing == "as imported" else 2)
    assert (found.skipped, found.failed) == ([], {})
    assert len(expected) > 24
    assert by_object(found) == expected


def test_no_rule_of_ours_needs_wider_windows_than_the_others() -> None:
    widths = {rule.id: width(first_pass(rule.pattern, rule.longest)) for rule in all_rules() if rule.longest > MOST}
    assert {name: wide for name, wide in widths.items() if wide is None or wide > MOST} == {}
