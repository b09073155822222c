"""The engine as a whole: the same findings by either library, in any batch, around any cut, in any process."""

import base64
import mmap
import multiprocessing
import random
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_creds.core.material import Material
from orchestra_creds.errors import ConfigError
from orchestra_creds.scanner.buffers import SEPARATOR
from orchestra_creds.scanner.checks.verdict import Buffer
from orchestra_creds.scanner.detection import Detection
from orchestra_creds.scanner.engine.engine import REACH_BACK, REACH_FORWARD, Engine, EngineKind
from orchestra_creds.scanner.rulebook.catalog import all_rules
from orchestra_creds.scanner.samples.sample import render
from tests.scanner.engines import detect, fast, plain, rule, told

GLUE = (b"", b"\n", b" = ", b'"', b"\\n", b"%3D", b"\0", b"\\u0026", b"://", b"}\n{", b"\xff\xfe", b"password: ")


@cache
def examples() -> tuple[bytes, ...]:
    """The first example of every rule, as it is and in base64."""
    raw = [render(one.examples[0], seed=7).encode() for one in all_rules()]
    return tuple(raw + [base64.b64encode(text) for text in raw])


def glued(seed: int) -> bytes:
    """Some examples, some of them damaged, between random bytes."""
    chance = random.Random(seed)
    parts: list[bytes] = []
    for _ in range(chance.randrange(1, 5)):
        text = bytearray(chance.choice(examples()))
        if chance.random() < 0.3:
            text[chance.randrange(len(text))] = chance.randrange(256)
        if chance.random() < 0.2:
            del text[: chance.randrange(len(text))]
        noise = chance.randbytes(chance.randrange(8)) if chance.random() < 0.5 else b""
        parts += (chance.choice(GLUE), bytes(text), chance.choice(GLUE), noise)
    return b"".join(parts)


def test_whoever_waits_for_the_first_compilation_is_told_and_only_then(tmp_path: Path) -> None:
    told_of: list[str] = []

    def run_compiler(compile_rules: Callable[[], bytes]) -> bytes:
        told_of.append("compiling")
        return compile_rules()

    for _ in range(2):
        Engine.open(all_rules()[:3], cache=tmp_path, run_compiler=run_compiler)
    assert told_of == ["compiling"]


def test_both_libraries_find_the_same_in_every_example() -> None:
    for one in all_rules():
        for seed, example in enumerate(one.examples):
            text = render(example, seed=seed).encode()
            assert told(detect(fast(), text)) == told(detect(plain(), text)), one.id


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 1 << 32))
def test_both_libraries_find_the_same_in_random_inputs(seed: int) -> None:
    """2,000 inputs in 500 examples."""
    for text in (glued(4 * seed + part) for part in range(4)):
        assert told(detect(fast(), text)) == told(detect(plain(), text))


def corpus(limit: int) -> Iterator[bytes]:
    """Files of the standard library, about `limit` bytes of them."""
    size = 0
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        content = path.read_bytes()
        size += len(content)
        if size > limit:
            return
        yield content


def test_both_libraries_find_the_same_in_source_code() -> None:
    for number, text in enumerate(corpus(1_500_000)):
        planted = text + b"\n" + glued(number)
        assert told(detect(fast(), planted)) == told(detect(plain(), planted))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 6))
def test_the_batch_does_not_matter(seed: int, count: int) -> None:
    texts = [glued(seed + number).replace(b"\0", b" ") for number in range(count)]
    batch = SEPARATOR.join(texts)
    candidates = fast().find_hits(batch)
    at = 0
    for text in texts:
        inside = [(index, min(end, at + len(text))) for index, end in candidates if at < end <= at + len(text) + 1]
        together = fast().examine(batch, inside, at, at + len(text))
        alone = detect(fast(), text)
        assert told(fast().settle(alone)) == told([_moved(one, at) for one in fast().settle(together)])
        at += len(text) + len(SEPARATOR)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(0, 30_000), st.integers(0, 30_000))
def test_a_verdict_depends_on_its_reach_only(seed: int, before: int, behind: int) -> None:
    chance = random.Random(seed)
    filler = b"".join(bytes(chance.choices(b"abcdefgh {}\"'=:/\n", k=60)) for _ in range(1000))
    text = filler[:before] + glued(seed) + filler[len(filler) - behind :]
    for candidate in fast().find_hits(text):
        index, end = candidate
        low, high = max(0, end - REACH_BACK), min(len(text), end + REACH_FORWARD)
        whole = fast().examine(text, [candidate])
        part = fast().examine(text[low:high], [(index, end - low)])
        assert told(whole) == told([_moved(one, -low) for one in part])


def _moved(one: Detection, by: int) -> Detection:
    """The detection as it is in a text that begins `by` bytes further on."""
    return replace(one, start=one.start - by, end=one.end - by, read_from=one.read_from - by, read_to=one.read_to - by)


@settings(max_examples=100, deadline=None)
@hypothesis.example(5283)  # a carrier on the line behind that of the credential
@given(st.integers(0, 1 << 32))
def test_what_was_not_read_may_change(seed: int) -> None:
    text = glued(seed)
    for one in detect(fast(), text):
        changed = b"\n" * one.read_from + text[one.read_from : one.read_to] + b"\n" * (len(text) - one.read_to)
        again = detect(fast(), changed)
        assert (one.rule.id, one.start, one.end, one.material) in [
            (other.rule.id, other.start, other.end, other.material) for other in again
        ]


def test_every_kind_of_buffer_is_read(tmp_path: Path) -> None:
    text = ("a = 1\n" * 100 + render("AIza{b64u:35}", seed=2) + "\n").encode()
    expected = told(detect(fast(), text))
    assert expected
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        file.write(text)
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            buffers: list[Buffer] = [bytearray(text), memoryview(text), mapped]
            for engine in (fast(), plain()):
                for buffer in buffers:
                    assert told(detect(engine, buffer)) == expected


def test_nothing_outside_of_the_text_is_read() -> None:
    text = render("shop_{b62:36}").encode()
    engine = Engine.open([rule("shop", r"\bshop_[A-Za-z0-9]{36}\b")])
    for around in (b"x", b" ", b"\\u003d"):
        data = around * 3 + text + around * 3
        low = 3 * len(around)
        candidates = [(index, end + low) for index, end in engine.find_hits(text)]
        (one,) = engine.examine(data, candidates, low, low + len(text))
        assert (one.start, one.end, one.read_from, one.read_to) == (low, low + len(text), low, low + len(text))


def test_an_empty_text_holds_nothing() -> None:
    for engine in (fast(), plain()):
        assert detect(engine, b"") == []
    assert detect(Engine.open([]), b"anything") == []


def _in_child(connection: object, text: bytes) -> None:
    connection.send([(*one[:6], one[6]) for one in told(detect(fast(), text))])  # type: ignore[attr-defined]


def test_a_forked_child_finds_the_same() -> None:
    text = glued(11) + render(" AIza{b64u:35} ", seed=3).encode()
    fast()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_in_child, args=(theirs, text))
    child.start()
    received = ours.recv()
    child.join()
    assert received == [(*one[:6], one[6]) for one in told(detect(fast(), text))]
    assert received


def test_the_library_is_chosen_by_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ImportError

    assert Engine.open([]).kind is EngineKind.HYPERSCAN
    monkeypatch.setattr("orchestra_creds.scanner.engine.engine.hyperscan", missing)
    assert Engine.open([]).kind is EngineKind.RE2
    with pytest.raises(ConfigError, match="hyperscan is not installed here"):
        Engine.open([], kind=EngineKind.HYPERSCAN)


def test_a_rule_that_asks_for_too_much_is_refused() -> None:
    with pytest.raises(ConfigError, match="rule far: longest is 5000"):
        Engine.open([rule("far", "x", longest=5000)])


@pytest.mark.parametrize(
    "unit", [b"password=", b"ghp_", b"eyJ", b"-----BEGIN PRIVATE KEY-----\n", b'"type": "service_account",']
)
def test_a_file_of_nothing_but_beginnings_is_examined_in_bounded_time(unit: bytes) -> None:
    text = unit * (200_000 // len(unit))
    assert len(fast().find_hits(text)) < 40 * len(text) // 256
    assert len(fast().settle(detect(fast(), text))) < 100


def test_material_stays_hidden() -> None:
    (one, *_) = detect(fast(), render("x AIza{b64u:35} ", seed=1).encode())
    assert isinstance(one.material, Material)
    assert one.material.reveal().decode() not in repr(one)
