from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_creds.core.material import Material
from orchestra_creds.scanner.content import locate as locate_module
from orchestra_creds.scanner.content.locate import LINE_LIMIT, Locator, inline_allow, locate, locate_all, sort_sightings
from orchestra_creds.scanner.detection import Detection
from orchestra_creds.scanner.native import count_breaks
from orchestra_creds.scanner.rule import Confidence, Rule, Severity

RULE = Rule("test-rule", "a test", "secret", Severity.HIGH, "none", "none", ())
VALUE = b"pass" + b"word-of-the-day"


def found(start: int, end: int) -> Detection:
    return Detection(RULE, start, end, start, end, Material(b"m"), Confidence.LIKELY)


def spot(data: bytes, value: bytes = VALUE) -> tuple[int, int, int]:
    start = data.index(value)
    place = locate(data, found(start, start + len(value)), "a.txt").place
    return place.line, place.end_line, place.column


def naive(data: bytes, offset: int) -> tuple[int, int]:
    before = data[:offset]
    line = before.rpartition(b"\n")[2]
    if b"\n" not in before:
        line = line.removeprefix(b"\xef\xbb\xbf")
    return before.count(b"\n") + 1, len(line.decode("utf-8", "surrogateescape")) + 1


TEXTS = st.lists(
    st.sampled_from([b"a", b"\n", b"\r\n", "é".encode(), "€".encode(), "😀".encode(), b"\xff", b"\xe2", b"\x82"])
)


@given(TEXTS.map(b"".join), st.data(), st.integers(1, 7))
@settings(max_examples=300)
def test_lines_and_columns_are_those_of_a_naive_count_whatever_the_pieces(
    data: bytes, draw: st.DataObject, step: int
) -> None:
    offsets = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=5)))
    locator = Locator(data, step=step)
    assert [locator.advance(offset) for offset in offsets] == [naive(data, offset) for offset in offsets]


@pytest.mark.parametrize("count", [count_breaks, None], ids=["as it is here", "without the extension"])
@given(st.lists(st.sampled_from([b"\n", b"x\n", b"\n" * 5000, b"abc" * 2000, b"\r", bytes(range(256))]), max_size=8))
def test_both_ways_count_the_same_line_breaks(count: Callable[[bytes], int] | None, pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locate_module, "count_breaks", count)
        assert Locator(text).advance(len(text))[0] == 1 + text.count(b"\n")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_every_kind_of_buffer_is_counted_alike(kind: type) -> None:
    data = kind(b"one\ntwo\nx = " + VALUE + b"\n")
    assert locate(data, found(12, 12 + len(VALUE)), "f").place.line == 3


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (VALUE, (1, 1, 1)),
        (b"\n\n  " + VALUE, (3, 3, 3)),
        (b"a\r\nb\r\n" + VALUE, (3, 3, 1)),
        ("ключ = ".encode() + VALUE, (1, 1, 8)),
        ("😀😀".encode() + VALUE, (1, 1, 3)),
        (b"\xff\xfe\xfd" + VALUE, (1, 1, 4)),
        (b"\xef\xbb\xbf" + VALUE, (1, 1, 1)),
        (b"\n\xef\xbb\xbf" + VALUE, (2, 2, 2)),
    ],
)
def test_lines_are_counted_from_one_and_columns_in_code_points(data: bytes, expected: tuple[int, int, int]) -> None:
    assert spot(data) == expected


def test_the_end_line_is_that_of_the_last_byte() -> None:
    data = b"x\nBEGIN\nmiddle\nEND\nrest"
    assert spot(data, b"BEGIN\nmiddle\nEND") == (2, 4, 1)
    assert spot(data, b"BEGIN\nmiddle\nEND\n") == (2, 4, 1)


def test_many_detections_of_one_blob_come_in_order_with_their_lines() -> None:
    data = b"".join(b"%d\n" % number for number in range(1000))
    starts = [data.index(b"\n%d\n" % number) + 1 for number in (900, 10, 500)]
    sightings = locate_all(data, [found(start, start + 2) for start in starts], "f")
    assert [sighting.place.line for sighting in sightings] == [11, 501, 901]


def test_the_line_holds_the_whole_lines_of_the_match() -> None:
    data = b"before\nkey = " + VALUE + b" # note\nafter"
    sighting = locate(data, found(13, 13 + len(VALUE)), "f")
    assert sighting.line.reveal() == b"key = " + VALUE + b" # note"
    assert sighting.match.reveal() == VALUE


def test_the_line_is_bounded_and_still_holds_the_start_of_the_match() -> None:
    data = b"a" * 100_000 + VALUE + b"b" * 100_000
    sighting = locate(data, found(100_000, 100_000 + len(VALUE)), "f")
    assert len(sighting.line) <= LINE_LIMIT
    assert VALUE in sighting.line.reveal()
    assert sighting.place.column == 100_001


def test_where_goes_into_the_place() -> None:
    place = locate(VALUE, found(0, 4), "f", commit="c", author="A", date="2026-01-01T00:00:00Z", in_head=True).place
    assert (place.commit, place.author, place.in_head) == ("c", "A", True)


@pytest.mark.parametrize(
    ("comment", "reason"),
    [
        ("# orchestra-creds: allow=revoked in May", "revoked in May"),
        ("// Orchestra-Creds:allow = no", ""),
        ("/* orchestra-creds:allow=test key */", "test key"),
        ("<!-- orchestra-creds: allow=sample -->", "sample"),
        ("# orchestra-creds: allow=", ""),
        ("# orchestra-creds: allow=   ", ""),
        ("# orchestra-creds: allow", ""),
        ("# gitleaks:allow", "gitleaks:allow"),
        ("# pragma: allowlist secret", "pragma: allowlist secret"),
        ("# pragma:allowlist-secret", "pragma:allowlist-secret"),
        ("# pragma: no cover", ""),
    ],
)
def test_an_inline_allow_counts_with_its_reason(comment: str, reason: str) -> None:
    assert inline_allow(comment.encode()) == reason


def allow(data: bytes) -> str:
    start = data.index(VALUE)
    return locate(data, found(start, start + len(VALUE)), "f").allow


def test_an_allow_counts_on_its_own_line_only() -> None:
    assert allow(b"x = " + VALUE + b"  # gitleaks:allow\n") == "gitleaks:allow"
    assert allow(b"# gitleaks:allow\nx = " + VALUE + b"\n# gitleaks:allow\n") == ""


def test_a_credential_cannot_allow_itself() -> None:
    data = b"x = gitleaks:allow"
    assert locate(data, found(4, len(data)), "f").allow == ""


def test_a_reason_never_holds_the_credential() -> None:
    reason = allow(b"# orchestra-creds: allow=it is " + VALUE + b" you see\n")
    assert VALUE.decode() not in reason
    assert reason.startswith("it is ")


def test_order_is_by_path_then_place_then_rule() -> None:
    one, two = locate(b"\nab", found(1, 2), "b"), locate(b"\nab", found(2, 3), "a")
    assert sort_sightings([one, two]) == [two, one]


def test_nothing_shows_material() -> None:
    sighting = locate(b"x = " + VALUE, found(4, 4 + len(VALUE)), "f")
    assert VALUE.decode() not in repr(sighting)
