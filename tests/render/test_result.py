"""Answers as text: complete off a terminal, fitted on one."""

import json

from orchestra_creds.core.result import Result
from orchestra_creds.render.result import as_json, as_table
from orchestra_creds.render.style import Style

LONG = "projects/demo/secrets/" + "a-name-that-goes-on-" * 6
RESULT = Result(
    schema="orchestra-creds/things/1",
    body={"things": [1]},
    columns=("NAME", "STATE"),
    rows=((LONG, "[red]enabled[/x]"), ("b\x1b[31m", "off")),
    lines=("one line",),
)


def test_off_a_terminal_nothing_is_cut_or_coloured() -> None:
    text = as_table(RESULT)
    assert LONG in text
    assert "[red]enabled[/x]" in text
    assert "\x1b" not in text
    assert text.splitlines()[-1] == "one line"


def test_on_a_terminal_long_cells_are_folded_and_brackets_are_no_markup() -> None:
    text = as_table(RESULT, Style(terminal=True, color=False, width=60))
    assert max(len(line) for line in text.splitlines()) <= 60
    assert LONG in "".join(part.split("  ")[0].strip() for part in text.splitlines()[2:])
    assert "[red]enabled[/x]" in text
    assert "\x1b" not in text


def test_json_is_one_object_with_its_schema_first() -> None:
    assert list(json.loads(as_json(RESULT))) == ["schema", "things"]


def test_an_empty_answer_is_its_sentences() -> None:
    assert as_table(Result("s", lines=("no things",))) == "no things\n"
