from pathlib import Path
from typing import Any

import pytest

from orchestra_creds.errors import ConfigError, NotFoundError
from orchestra_creds.scanner.gitleaks.config import GitleaksConfig, RequiredRule, load, loads

EVERY_FIELD = r"""
title = "all of it"
description = "every key that there is"
minVersion = "v8.25.0"

[extend]
useDefault = true
disabledRules = ["jwt"]

[[rules]]
id = "acme"
description = "Acme token"
regex = '''acme_([a-z]{3})_([0-9]{8})'''
secretGroup = 2
entropy = 2.5
path = '''\.cfg$'''
keywords = ["ACME", "acme_"]
tags = ["internal", "acme"]
skipReport = true
[[rules.required]]
id = "helper"
withinLines = 3
withinColumns = 40
[[rules.allowlists]]
description = "fixtures"
condition = "AND"
commits = ["ABCDEF"]
paths = ['''^test/''']
regexTarget = "line"
regexes = ['''fixture''']
stopwords = ["Example"]

[[rules]]
id = "helper"
regex = '''helper'''

[[allowlists]]
targetRules = ["acme"]
paths = ['''vendor/''']
"""


def read(text: str) -> GitleaksConfig:
    return loads(text, "g.toml")


def test_every_field_is_read() -> None:
    config = read(EVERY_FIELD)
    rule = config.rules["acme"]
    assert config.use_default
    assert config.disabled == {"jwt"}
    assert config.notes == ()
    assert (rule.description, rule.secret_group, rule.entropy) == ("Acme token", 2, 2.5)
    assert (rule.path, rule.keywords, rule.tags) == (r"\.cfg$", ("acme", "acme_"), ("internal", "acme"))
    assert rule.skip_report
    assert rule.required == (RequiredRule("helper", 3, 40),)
    (allowlist,) = rule.allowlists
    assert allowlist.all_of
    assert (allowlist.commits, allowlist.target, allowlist.stopwords) == (frozenset({"abcdef"}), "line", (b"example",))
    assert config.allowlists[0].rules == {"acme"}


def test_keys_are_read_whatever_their_case() -> None:
    config = read('[[RULES]]\nID = "a"\nRegex = "a+"\nSECRETGROUP = 0\n[AllowList]\nPaths = ["x"]\n')
    assert list(config.rules) == ["a"]
    assert len(config.allowlists) == 1


def test_the_older_single_allowlist_is_read() -> None:
    config = read('[allowlist]\nregexes = ["x"]\n[[rules]]\nid = "a"\nregex = "a"\n[rules.allowlist]\npaths = ["p"]\n')
    assert len(config.allowlists) == 1
    assert len(config.rules["a"].allowlists) == 1


@pytest.mark.parametrize(
    ("text", "line", "problem", "hint"),
    [
        ('title = "x\n', 1, "not valid TOML", ""),
        ('title = "x"\n[[rules]\nid = "a"\n', 2, "not valid TOML", "brackets"),
        ('title = "x"\ntitle = "y"\n', 2, "not valid TOML", ""),
        ('titel = "x"\n', 1, "unknown key 'titel'", "did you mean title?"),
        ('\n[[rules]]\nid = "a"\nregexp = "x"\n', 4, "unknown key 'regexp'", "did you mean regex?"),
        ('[[rules]]\nid = "a"\nregex = "x"\n\n[[rules]]\nregex = "b"\n', 5, "a rule needs an id", "my-rule"),
        ('[[rules]]\nid = "a"\nregex = "(?!x)y"\n', 3, "not a pattern that RE2 reads", "look-around"),
        ('[[rules]]\nid = "a"\nregex = "x*"\n', 3, "matches the empty text", "everywhere"),
        ('[[rules]]\nid = "a"\nregex = "(x)"\nsecretGroup = 2\n', 4, "secretGroup is 2, but regex has 1", ""),
        ('[[rules]]\nid = "a"\nregex = "x"\nentropy = "high"\n', 4, "must be a number", ""),
        ('[[rules]]\nid = "a"\nregex = "x"\nkeywords = "x"\n', 4, "must be a list of texts", ""),
        ('[[rules]]\nid = "a"\nregex = "x"\nskipReport = 1\n', 4, "must be true or false", ""),
        ('[[rules]]\nid = "a"\nregex = "x"\nsecretGroup = true\n', 4, "must be a whole number", ""),
        ('[[allowlists]]\ndescription = "x"\n', 2, "an allowlist needs", ""),
        ('[[allowlists]]\npaths = ["x"]\ncondition = "XOR"\n', 3, "condition must be OR or AND", ""),
        ('[[allowlists]]\npaths = ["x"]\nregexTarget = "file"\n', 3, "regexTarget must be", ""),
        ('[[allowlists]]\nregexes = ["("]\n', 2, "not a pattern that RE2 reads", ""),
        ('[allowlist]\npaths = ["x"]\n[[allowlists]]\npaths = ["x"]\n', 1, "exclude each other", "keep"),
        ('[extend]\nuseDefault = true\npath = "x"\n', 2, "exclude each other", "keep one"),
        ("[extend]\nusedefaults = true\n", 2, "unknown key 'usedefaults'", "did you mean usedefault?"),
        ('[[rules]]\nid = "a"\nregex = "x"\n[[rules.allowlists]]\npath = ["x"]\n', 5, "unknown key 'path'", "paths"),
        ('[[rules]]\nid = "a"\nregex = "x"\n[[rules.required]]\nwithinLines = 1\n', 4, "a required rule needs an id", ""),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(text: str, line: int, problem: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert str(caught.value).startswith(f"g.toml, line {line}: ")
    assert problem in str(caught.value)
    assert hint in caught.value.hint


def test_patterns_and_stopwords_are_never_quoted_in_errors() -> None:
    with pytest.raises(ConfigError) as caught:
        read('[[allowlists]]\nregexes = ["realvalue("]\n')
    assert "realvalue" not in str(caught.value) + caught.value.hint


def test_a_newer_file_is_read_with_a_note() -> None:
    assert "written for gitleaks v9.1" in read('minVersion = "v9.1.0"\n').notes[0]


def test_an_extended_file_is_merged_below(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(
        '[[rules]]\nid = "a"\ndescription = "base"\nregex = "a+"\nentropy = 1.0\nkeywords = ["k"]\ntags = ["t"]\n'
        '[[rules]]\nid = "gone"\nregex = "g"\n[[rules]]\nid = "kept"\nregex = "k"\n[[allowlists]]\npaths = ["x"]\n'
    )
    (tmp_path / "top.toml").write_text(
        '[extend]\npath = "base.toml"\ndisabledRules = ["gone"]\n'
        '[[rules]]\nid = "a"\nregex = "a{3}"\nkeywords = ["l"]\n[rules.allowlist]\npaths = ["p"]\n'
        '[[allowlists]]\npaths = ["y"]\n'
    )
    config = load(tmp_path / "top.toml")
    rule = config.rules["a"]
    assert sorted(config.rules) == ["a", "kept"]
    assert (rule.regex, rule.description, rule.entropy) == ("a{3}", "base", 1.0)
    assert (rule.keywords, rule.tags, len(rule.allowlists)) == (("k", "l"), ("t",), 1)
    assert len(config.allowlists) == 2


def test_files_extend_each_other_at_most_twice(tmp_path: Path) -> None:
    for name, next_ in (("1", "2"), ("2", "3"), ("3", "1")):
        (tmp_path / name).write_text(f'[extend]\npath = "{next_}"\n[[rules]]\nid = "r{name}"\nregex = "x"\n')
    config = load(tmp_path / "1")
    assert sorted(config.rules) == ["r1", "r2", "r3"]
    assert "not followed more than 2 times" in config.notes[0]


def test_a_path_is_not_followed_for_a_file_that_was_merely_found(tmp_path: Path) -> None:
    (tmp_path / "a").write_text('[extend]\npath = "/etc/passwd"\n')
    config = load(tmp_path / "a", follow=False)
    assert "named on the command line" in config.notes[0]


def test_an_address_is_never_followed() -> None:
    assert "extend.url is not followed" in read('[extend]\nurl = "https://example.com/x.toml"\n').notes[0]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="file not found"):
        load(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'title = "\xff"')
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "latin.toml")


class CountedLines(list[str]):
    """Lines that count how often one of them is looked at."""

    looks = 0

    def __getitem__(self, at: Any) -> Any:
        self.looks += 1
        return super().__getitem__(at)


class CountedText(str):  # noqa: SLOT000  it gets its lines
    """A text whose lines are counted."""

    lines = CountedLines()

    def splitlines(self, keepends: bool = False) -> list[str]:  # noqa: FBT002  as the method of str
        self.lines = CountedLines(super().splitlines(keepends))
        return self.lines


@pytest.mark.parametrize("inline", [False, True], ids=["tables", "inline"])
def test_a_file_is_read_in_time_proportional_to_its_rules(inline: bool) -> None:
    def looks(number: int) -> int:
        if inline:
            rules = ",\n".join(f'{{ id = "r{at}", regex = "r{at}_[0-9]+" }}' for at in range(number))
            text = CountedText(f"rules = [\n{rules}\n]\n")
        else:
            rule = '[[rules]]\nid = "r{0}"\nregex = "r{0}_[0-9]+"\n[[rules.allowlists]]\nregexes = ["r{0}_0"]\n'
            text = CountedText("".join(rule.format(at) for at in range(number)))
        assert len(loads(text, "test.toml").rules) == number
        return text.lines.looks

    assert looks(400) < 4.5 * looks(100)
