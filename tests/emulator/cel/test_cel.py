"""The expression language: what IAM's documentation shows works; everything else is an error, never a crash."""

import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_creds.emulator.cel import language as cel
from orchestra_creds.emulator.cel.values import CelError
from tests.deadline import at_most

NOW = datetime(2026, 11, 23, 16, 30, tzinfo=UTC)  # a Monday
SCOPE: dict[str, Any] = {
    "assertion": {
        "sub": "repo:acme/site:ref:refs/heads/main",
        "repository_owner": "acme",
        "groups": ["admins", "devs"],
        "attributes": {"team": "core"},
        "level": 3,
        "arn": "arn:aws:sts::1:assumed-role/builder/i-1",
        "verified": True,
    },
    "resource": {"name": "projects/1/secrets/db/versions/2", "type": "secretmanager.googleapis.com/SecretVersion"},
    "request": {"time": NOW},
}


@pytest.mark.parametrize(
    "expression",
    [
        "assertion.repository_owner == 'acme'",
        'assertion.repository_owner == "acme" && assertion.level >= 3',
        "assertion.repository_owner != 'other'",
        "'admins' in assertion.groups",
        "assertion.repository_owner in ['acme', 'other']",
        "'team' in assertion.attributes",
        "assertion.attributes['team'] == 'core'",
        "assertion['sub'].startsWith('repo:acme/')",
        "assertion.sub.endsWith('/main')",
        "assertion.sub.contains(':ref:')",
        "assertion.sub.matches('^repo:acme/[a-z]+:')",
        "has(assertion.sub) && !has(assertion.nothing)",
        "!has(assertion.attributes.nothing)",
        "size(assertion.groups) == 2 && assertion.groups.size() == 2 && size('é') == 1",
        "assertion.arn.extract('assumed-role/{role}/') == 'builder'",
        "assertion.arn.extract('{account}assumed-role/') == 'arn:aws:sts::1:'",
        "assertion.arn.extract('assumed-role/{rest}') == 'builder/i-1'",
        "assertion.arn.extract('user/{name}') == ''",
        "(assertion.verified ? 'yes' : 'no') == 'yes'",
        "assertion.nothing == 1 || true",
        "true || assertion.nothing == 1",
        "!(assertion.nothing == 1 && false)",
        "assertion.groups[1] == 'devs'",
        "assertion.groups.exists(g, g == 'devs') && !assertion.groups.all(g, g == 'devs')",
        "1 + 2 * 3 == 7 && (1 + 2) * 3 == 9 && -7 / 2 == -3 && -7 % 2 == -1 && 7.0 / 2 == 3.5",
        "'a' + 'b' == 'ab' && [1] + [2] == [1, 2]",
        "{'a': 1}['a'] == 1 && {'a': 1}.a == 1",
        "1 == 1.0 && 1 != '1' && null == null && !(true == 1)",
        "'it\\'s' == \"it's\" && '\\n' == \"\\n\" && r'\\d' == '\\\\d'",
        "request.time < timestamp('2027-01-01T00:00:00Z')",
        "request.time - timestamp('2026-11-23T16:00:00Z') == duration('30m')",
        "request.time + duration('1h30m') > timestamp('2026-11-23T17:59:59Z')",
        "request.time.getHours() == 16 && request.time.getDayOfWeek() == 1 && request.time.getMonth() == 10",
        "resource.name.startsWith('projects/1/secrets/db/')",
        "resource.type == 'secretmanager.googleapis.com/SecretVersion'",
        "true\n// a remark",
        "string(3) == '3' && int('3') == 3 && string(true) == 'true'",
        "'A-b'.lowerAscii() == 'a-b' && 'a'.upperAscii() == 'A' && 'a.b'.split('.') == ['a', 'b']",
        "['a', 'b'].join('-') == 'a-b' && 'aXb'.replace('X', '-') == 'a-b'",
        "'b' > 'a' && false < true && [] == [] && {} == {}",
    ],
)
def test_what_the_documentation_shows_is_true(expression: str) -> None:
    assert cel.holds(expression, SCOPE)


@pytest.mark.parametrize(
    "expression",
    [
        "assertion.repository_owner == 'other'",
        "assertion.nothing == 'acme'",
        "nothing == 1",
        "assertion.level",
        "'true'",
        "assertion.level > '2'",
        "assertion.groups[5] == 'x'",
        "assertion.level.startsWith('3')",
        "1 / 0 == 1",
        "has(assertion.level.x)",
        "'x'.matches('(')",
        "'a'.extract('none') == ''",
        "timestamp('yesterday') < request.time",
        "timestamp('2026-01-01T00:00:00') < request.time",
        "duration('1 day') == duration('24h')",
        "int('x') == 1",
        "assertion.nothing == 1 && true",
        "1 ? true : false",
        "'aaaa'.matches('(a+)+b')",
        "-assertion.sub == 1",
        "{[1]: 1} == {}",
        "assertion.sub.exists(x, true)",
    ],
)
def test_what_is_false_or_has_no_value_does_not_hold(expression: str) -> None:
    assert not cel.holds(expression, SCOPE)


@pytest.mark.parametrize(
    "expression",
    ["", "1 +", "(1", "[1", "{'a' 1}", "a.", "a b", "1 == == 1", "'open", "f(1)", "'a'.f()", "'a'.startsWith()", "has(a)",
     "has()", "a ? b", "#", "size(1, 2)", "(" * 100 + "1" + ")" * 100, "!" * 100 + "true", "1" * 5000, "import os",
     "__import__('os')", "a.exists(1, true)", "&& true"],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_what_is_no_expression_is_refused_when_it_is_set(expression: str) -> None:
    with pytest.raises(CelError):
        cel.compile_expression(expression)


def test_nothing_of_python_can_be_reached() -> None:
    for expression in (
        "assertion.__class__ == 1",
        "'x'.__class__ == 1",
        "'x'.format() == ''",
        "assertion.keys() == []",
    ):
        assert not cel.holds(expression, SCOPE)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="assertion.sub ()[]{}'\"=!&|<>+-*/%?:,1290 inhas", max_size=60))
def test_any_text_holds_or_does_not(expression: str) -> None:
    assert cel.holds(expression, SCOPE) in {True, False}


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_extract_finds_what_stands_between(before: str, inner: str, after: str) -> None:
    template = f"{before.translate({123: None, 125: None})}{{x}}|"
    prefix = template.partition("{")[0]
    if prefix in inner or "|" in inner:
        return
    value = cel.compile_expression("value.extract(template)")(
        {"value": f"{prefix}{inner}|{after}", "template": template}
    )
    assert value == inner


HUGE: dict[str, Any] = {"text": "a" * 200 + "!", "list": list(range(12)), "number": 2**62}


@pytest.mark.parametrize(
    "expression",
    [
        "text.matches('^(a|aa)+$')",
        "text.matches('" + "(.*)" * 60 + "x')",
        "".join(f"list.all(x{number}, " for number in range(40)) + "true" + ")" * 40,
        "".join(f"list.all(x{number}, " for number in range(20))
        + "true"
        + ")" * 20
        + " || true && list.all(x, x >= 0)",
        "size(text" + ".replace('a', '" + "a" * 60 + "')" * 9 + ") > 0",
        "size([text, text].join('" + "a" * 1000 + "')" + ".replace('', 'aaaa')" * 30 + ") > 0",
        "+".join("1" for _ in range(2000)) + " > 0",
        " || ".join("text == 'b'" for _ in range(255)),
        "number * number > 0",
        "number + number > 0",
        "9" * 4000 + " > 0",
        "has(" * 900 + "text" + ")" * 900,
        "!" * 4000 + "true",
    ],
    ids=lambda text: text[:24],
)
def test_an_evaluation_that_would_not_end_is_an_error(expression: str) -> None:
    with at_most(5):
        assert not cel.holds(expression, HUGE)
        with contextlib.suppress(CelError):
            assert cel.compile_expression(expression)(HUGE) is False


def test_what_is_long_but_bounded_is_evaluated() -> None:
    with at_most(5):
        assert cel.holds("text.matches('" + "a*" * 200 + "$') && text.matches('(a|a)*$')", HUGE)
    assert cel.holds(" || ".join(f"text == '{number}'" for number in range(200)) + " || true", HUGE)
    assert cel.holds("list.all(x, list.exists(y, x == y))", HUGE)
    assert cel.holds("text.matches('^a+!$') && size(text.replace('a', 'bb')) == 401", HUGE)
