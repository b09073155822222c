"""Credentials inside base64, hex, percent and backslash escapes, in any order, up to five deep."""

import base64
import json
import re
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_creds.scanner.decoding.decode import MAX_DEPTH
from orchestra_creds.scanner.detection import Detection
from orchestra_creds.scanner.engine.engine import Engine, EngineKind
from orchestra_creds.scanner.rulebook.catalog import all_rules
from orchestra_creds.scanner.samples.sample import render
from tests.scanner.engines import detect, fast, rule

TOKEN = render("shop_{b62:36}")
RULES = (rule("shop", r"\bshop_[A-Za-z0-9]{36}\b"), rule("line", r"(?m)^export ID=[0-9]{12}$"))
ENGINE = Engine.open(RULES)
LONG = f"some text that stands before it, and {TOKEN} and a good deal of text behind it, so that lines are wrapped"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def as_hex(text: str) -> str:
    return text.encode().hex()


def wrapped(text: str, width: int, between: str) -> str:
    return between.join(text[at : at + width] for at in range(0, len(text), width))


def each(pattern: str, text: str) -> str:
    """Every character written as an escape."""
    return "".join(pattern % ord(character) for character in text)


CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "base64": (b64(TOKEN), ("base64",)),
    "after a name": ("token: " + b64("k=" + TOKEN), ("base64",)),
    "after two bytes": (b64("??" + TOKEN), ("base64",)),
    "url alphabet": (base64.urlsafe_b64encode(f"\u00fb\u00ff{TOKEN}\u00bf".encode()).decode(), ("base64",)),
    "without padding": (b64(TOKEN).rstrip("=") + "\n  other: 1", ("base64",)),
    "glued to a path": ("files/" + b64(TOKEN), ("base64",)),
    "after an escape": (r"a\n" + b64("x " + TOKEN), ("base64",)),
    "yaml block": ("data: |\n  " + wrapped(b64(LONG), 64, "\n  ") + "\nkind: Secret", ("base64",)),
    "crlf lines": (wrapped(b64(LONG), 76, "\r\n"), ("base64",)),
    "comment": ("# " + wrapped(b64(LONG), 48, "\n# "), ("base64",)),
    "first line shorter": ("auth: " + b64(LONG)[:40] + "\n " + wrapped(b64(LONG)[40:], 76, "\n "), ("base64",)),
    "odd line lengths": (wrapped(b64(LONG), 37, "\n"), ("base64",)),
    "added strings": ('x = "' + wrapped(b64(LONG), 40, '" +\n     "') + '";', ("base64",)),
    "adjacent strings": ("x = ('" + wrapped(b64(LONG), 30, "'\n     '") + "')", ("base64",)),
    "continued lines": (wrapped(b64(LONG), 50, "\\\n"), ("base64",)),
    "escaped breaks": (json.dumps(wrapped(b64(LONG), 64, "\n")), ("base64",)),
    "html": ("<data>" + b64(LONG) + "</data>", ("base64",)),
    "hex": (TOKEN.encode().hex(), ("hex",)),
    "upper hex": (TOKEN.encode().hex().upper(), ("hex",)),
    "0x": ("0x" + TOKEN.encode().hex(), ("hex",)),
    "json sign": (r'"id\u003d' + TOKEN + r'\u0026x"', ("escape",)),
    "javascript sign": (r"'id\x3d" + TOKEN + "'", ("escape",)),
    "json slashes": (r'"https:\/\/host\/x', ()),
    "unicode escapes": (each("\\u%04x", TOKEN), ("escape",)),
    "hex escapes": (each("\\x%02x", TOKEN), ("escape",)),
    "octal escapes": (each("\\%03o", TOKEN), ("escape",)),
    "percent sign": ("?a%3D" + TOKEN + "%26b", ("percent",)),
    "percent all": (each("%%%02X", TOKEN), ("percent",)),
    "base64 twice": (b64(b64(TOKEN)), ("base64", "base64")),
    "base64 in hex": (b64(TOKEN).encode().hex(), ("hex", "base64")),
    "percent in base64": (b64("a%3D" + TOKEN), ("base64", "percent")),
    "escapes in percent": (urllib.parse.quote(r'{"a":"b\u003d' + TOKEN + '"}'), ("percent", "escape")),
    "line in base64": (b64("#!/bin/sh\n# the api_key\nexport ID=123456789012\nexit"), ("base64",)),
    "line in json": (json.dumps("a\nexport ID=123456789012\nb\\u003d") + r" \"k\": 1", ("escape",)),
}


@pytest.mark.parametrize("kind", [EngineKind.AUTO, EngineKind.RE2])
@pytest.mark.parametrize("case", CASES)
def test_a_wrapping_is_undone(case: str, kind: EngineKind) -> None:
    text, decoded = CASES[case]
    engine = ENGINE if kind is EngineKind.AUTO else Engine.open(RULES, kind=kind)
    data = f"first line\n{text}\nlast line".encode()
    found = engine.settle(detect(engine, data))
    assert [one.decoded for one in found] == ([decoded] if decoded else [])
    for one in found:
        assert one.material.reveal() in {TOKEN.encode(), b"export ID=123456789012"}
        assert 0 <= one.read_from <= one.start < one.end <= one.read_to <= len(data)


def test_the_place_is_that_of_the_encoded_bytes() -> None:
    for case in ("base64", "after a name", "yaml block", "added strings"):
        text = CASES[case][0]
        (one,) = ENGINE.settle(detect(ENGINE, text.encode()))
        digits = re.sub(r"[^A-Za-z0-9/]", "", text[one.start : one.end])
        assert len(digits) % 4 != 1
        decoded = base64.b64decode(digits + "=" * (-len(digits) % 4)).decode()
        assert TOKEN in decoded
        assert len(decoded) <= len(TOKEN) + 4
    text = each("\\x%02x", "  " + TOKEN + "  ")
    (one,) = ENGINE.settle(detect(ENGINE, text.encode()))
    assert (one.start, one.end) == (8, len(text) - 8)


def test_wrapped_lines_are_counted_by_the_place() -> None:
    text = "a: |\n" + "  " + wrapped(b64("x" * 300 + " " + TOKEN), 60, "\n  ")
    (one,) = ENGINE.settle(detect(ENGINE, text.encode()))
    assert text.count("\n", 0, one.start) == 7


@given(
    st.lists(
        st.sampled_from([b64, as_hex, json.dumps, lambda text: urllib.parse.quote(text, safe="")]),
        max_size=MAX_DEPTH,
    )
)
def test_wrappings_nest(wrappers: list[Callable[[str], str]]) -> None:
    if b64 in wrappers:  # known twice over and around other escapes, not around hex
        wrappers = [wrapper for wrapper in wrappers if wrapper not in {b64, as_hex}] + [b64]
    text = f"key={TOKEN}; x=1"
    for wrapper in wrappers:
        text = wrapper(text)
    found = ENGINE.settle(detect(ENGINE, f"a {text} b".encode()))
    assert [one.material.reveal() for one in found] == [TOKEN.encode()]


@pytest.mark.parametrize("encode", [as_hex, lambda text: as_hex(text).upper()], ids=["lower", "upper"])
def test_hex_is_decoded_to_its_end_however_long_it_is(encode: Callable[[str], str]) -> None:
    text = "".join(f"{'nothing here, ' * 4000}key={TOKEN}; " for _ in range(3))
    found = ENGINE.settle(detect(ENGINE, f"a {encode(text)} b".encode()))
    assert [one.material.reveal() for one in found] == [TOKEN.encode()] * 3


def test_what_is_wrapped_too_often_is_left_alone() -> None:
    text = TOKEN
    for _ in range(MAX_DEPTH + 1):
        text = text.encode().hex()
    assert detect(ENGINE, text.encode()) == []


def test_a_token_that_a_window_cuts_is_not_half_reported() -> None:
    engine = Engine.open([rule("open", r"\bshop_[A-Za-z0-9]{8,60}", longest=80)])
    body = b64("password " * 9000 + TOKEN + " " + "secret, " * 9000)
    for lead in range(0, 4000, 501):
        text = ("x" * lead + " " + body).encode()
        found = engine.settle(detect(engine, text))
        assert [one.material.reveal() for one in found] == [TOKEN.encode()]


@pytest.mark.parametrize(
    "text",
    [
        b"A" * 300_000,
        b"\\" * 300_000,
        b"%25" * 100_000,
        b'\\"x\\":' * 40_000,
        b"\\u0026" * 50_000,
        b"/cGFzc3dvcmQ" * 20_000,
        b"3d" * 150_000,
        b"cGFzc3dvcmQ\n" * 20_000,
        (b"cGFzc3dvcmQgcGFzc3dvcmQg" * 3 + b"\n") * 3000,
        b"\\u{ffffffff}\\ud800\\uZZZZ\\x4\\777\\" * 2000,
    ],
    ids=lambda text: text[:16].decode(),
)
def test_a_bomb_does_not_go_off(text: bytes) -> None:
    assert detect(ENGINE, text) == []


@settings(max_examples=300)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=12),
            st.sampled_from(
                [
                    b64(TOKEN).encode(),
                    TOKEN.encode(),
                    b"%3D",
                    b"\\u003d",
                    b"\\x",
                    b"\\\\",
                    b"\n",
                    b'"',
                    b"==",
                    b"cGFzc3dvcmQ",
                ]
            ),
        ),
        max_size=25,
    )
)
def test_no_input_breaks_the_decoder(pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    for one in detect(ENGINE, text):
        assert 0 <= one.read_from <= one.start < one.end <= one.read_to <= len(text)


def _found_in(wrap: Callable[[bytes], str]) -> tuple[int, list[str]]:
    """How many rules' first examples were tried in this wrapping, and the rules that missed theirs."""
    engine = fast()
    tried, missed = 0, []
    for one in all_rules():
        for seed, example in enumerate(one.examples[:1]):
            plain = render(example, seed=seed).encode()
            wanted = _materials(detect(engine, plain), one.id)
            if wanted:
                tried += 1
                if not wanted & _materials(detect(engine, f"a: {wrap(plain)}\n".encode()), one.id):
                    missed.append(one.id)
    return tried, missed


def _materials(found: list[Detection], name: str) -> set[bytes]:
    return {one.material.reveal() for one in found if one.rule.id == name}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: b64(text.decode()),
        lambda text: b64("x=1\n" + text.decode()),
        lambda text: text.hex(),
        lambda text: each("\\u%04x", text.decode()),
    ],
    ids=["base64", "base64 behind a line", "hex", "unicode escapes"],
)
def test_nearly_every_rule_of_the_book_is_found_wrapped(wrap: Callable[[bytes], str]) -> None:
    tried, missed = _found_in(wrap)
    assert len(missed) <= 0.03 * tried, missed
