"""A candidate that its own bytes refute costs no search of its neighborhood: a text may hold one at every fourth byte."""

import pytest

from orchestra_creds.scanner.checks import google
from orchestra_creds.scanner.checks.verdict import Check, Subject

ANCHOR = b"AIza"


class Forbidden:
    """Stands for a pattern that must not be searched for, or a measure that must not be taken."""

    def search(self, _text: bytes) -> None:
        pytest.fail("the neighborhood was searched")

    def __call__(self, _text: bytes) -> float:
        pytest.fail("the value was measured")


@pytest.mark.parametrize("check", [google.api_key, google.client_api_key])
def test_the_fields_of_a_client_are_not_looked_for_beside_a_repeated_anchor(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(google, "_WEB_FIELDS", Forbidden())
    text = ANCHOR * 500
    assert check(Subject(text[400:439], text, 400, 439, 0, len(text))) is None


@pytest.mark.parametrize(("before", "rest"), [(b"x", b"a0B" * 500), (b".", b"ya29." * 300)])
def test_nor_is_a_long_token_measured_that_its_letters_refute(
    before: bytes, rest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(google, "entropy", Forbidden())
    monkeypatch.setattr(google, "is_placeholder", Forbidden())
    text = before + b"ya29." + rest
    assert google.longer_token(rb"A-Za-z0-9._-", 2048)(Subject(text[1:6], text, 1, 6, 0, len(text))) is None
