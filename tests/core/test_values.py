import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.core import values
from orchestra_creds.core.material import Material
from orchestra_creds.errors import ConfigError


@pytest.mark.parametrize(
    ("data", "left", "stripped"),
    [
        (b"a\n", b"a", True),
        (b"a\r\n", b"a", True),
        (b"a\n\n", b"a\n", True),
        (b"a", b"a", False),
        (b"\n", b"", True),
        (b"", b"", False),
    ],
)
def test_exactly_one_final_line_break_is_taken_off(data: bytes, left: bytes, stripped: bool) -> None:
    assert values.without_final_newline(data) == (left, stripped)


@pytest.mark.parametrize(
    "value",
    [
        "changeme", "CHANGE_ME", "change-me-please", "your-api-key", "YOUR_PASSWORD_HERE", "placeholder", "PLACEHOLDER_VALUE", "my-placeholder",
        "xxx", "xxxxxxxx", "********", "<your key>", "${DB_PASSWORD}", "{{ vault.key }}", "%PASSWORD%", "todo", "TBD", "db-pass", "DB_PASS", "null",
        "insert-token-here", "replace me", "00000000", "12345678",
    ],
)  # fmt: skip
def test_a_placeholder_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="is a placeholder"):
        values.check(Material(value.encode()), name="db-pass")


@pytest.mark.parametrize(
    "value", ["correct horse changeme battery", "your-name-is-not-a-placeholder-9Q", "pass{}word9", "xx-9", "0000001"]
)
def test_a_value_that_merely_contains_such_a_word_is_taken(value: str) -> None:
    values.check(Material(value.encode()), name="db-pass")


@pytest.mark.parametrize("value", [b"", b"  \n", b"x" * 65_537])
def test_empty_and_too_long_values_are_refused(value: bytes) -> None:
    with pytest.raises(ConfigError):
        values.check(Material(value), name="db-pass")


PEM = b"-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("format_", "good", "bad"),
    [
        ("json", b'{"a": 1}', b"{a}"),
        ("pem", PEM, PEM.replace(b"QUJD", b"QUJ")),
        ("pem", PEM, PEM.replace(b"END", b"FIN")),
        ("url", b"https://example.com/x", b"not a url"),
        ("regex:[a-z]{4}", b"abcd", b"abcd\n"),
    ],
)
def test_the_format_is_checked(format_: str, good: bytes, bad: bytes) -> None:
    values.check(Material(good), name="n", format_=format_)
    with pytest.raises(ConfigError, match="is not of the format"):
        values.check(Material(bad), name="n", format_=format_)


@pytest.mark.parametrize("format_", ["yaml", "regex", "regex:["])
def test_an_unknown_format_is_refused(format_: str) -> None:
    with pytest.raises(ConfigError):
        values.check(Material(b"v"), name="n", format_=format_)


@given(st.binary(min_size=1, max_size=200))
def test_no_refusal_quotes_the_value(data: bytes) -> None:
    for format_ in ("nonempty", "json", "pem", "url", "regex:Q{9}"):
        try:
            values.check(Material(data), name="n", format_=format_)
        except ConfigError as error:
            shown = str(error) + error.hint
            assert len(data) < 6 or data.decode("latin-1") not in shown


@pytest.mark.parametrize(("encoding", "expected"), [("urlsafe-base64", b"-_8"), ("base64", b"+/8="), ("hex", b"fbff")])
def test_generated_values_have_the_encoding(encoding: str, expected: bytes) -> None:
    assert values.random_value(b"\xfb\xff", encoding).reveal() == expected


@pytest.mark.parametrize(
    ("name", "environment", "full"),
    [
        ("db-pass", "dev", "db-pass-dev"),
        ("db-pass-dev", "dev", "db-pass-dev"),
        ("db-pass", "", "db-pass"),
        ("-dev", "dev", "-dev-dev"),
    ],
)
def test_the_environment_is_added_once(name: str, environment: str, full: str) -> None:
    assert values.full_name(name, environment) == full


@given(
    st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True),
    st.sampled_from(["dev", "staging", "prod"]),
    st.sampled_from(["{name}-{env}", "{env}_{name}"]),
)
def test_naming_twice_is_naming_once(name: str, environment: str, pattern: str) -> None:
    once = values.full_name(name, environment, pattern)
    assert values.full_name(once, environment, pattern) == once
