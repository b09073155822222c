"""What `--help` lists: every verb in its order, every subcommand in its group's help, each with its own words."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from orchestra_creds.cli.app import VERBS, Verb, app, load_verb
from orchestra_creds.cli.session import DefaultGroup

ORDER = [
    "scan",
    "rotate",
    "status",
    "setup",
    "secret",
    "key",
    "run",
    "schedule",
    "doctor",
    "cache",
    "emulator",
    "legacy",
    "completion",
]


def help_of(*path: str) -> str:
    ended = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "100"})
    assert ended.exit_code == 0
    return ended.stdout


def listed(text: str) -> list[str]:
    """The names in the "Commands" block of a help page."""
    block = text.partition("\nCommands:\n")[2].partition("\n\n")[0]
    return [line.split()[0] for line in block.splitlines() if line.startswith("  ") and not line.startswith("   ")]


def groups(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every group below a command, with the words that lead to it."""
    if hasattr(command, "commands"):
        yield path, command
        for name, below in command.commands.items():
            yield from groups(below, (*path, name))


GROUPS = dict(pair for verb in VERBS for pair in groups(load_verb(verb), (verb,)))


def wrong_words(verbs: Mapping[str, Verb]) -> list[str]:
    """The verbs whose help in the table is not the first sentence of their own."""
    return [name for name, verb in verbs.items() if load_verb(name).get_short_help_str(limit=1000) != verb.help]


def test_the_root_lists_the_verbs_in_their_order() -> None:
    assert listed(help_of()) == ORDER == list(VERBS)


def test_the_table_has_the_words_of_the_verbs() -> None:
    assert wrong_words(VERBS) == []


def test_other_words_in_the_table_are_named() -> None:
    assert wrong_words({**VERBS, "key": replace(VERBS["key"], help="Something else.")}) == ["key"]


@pytest.mark.parametrize("path", GROUPS, ids=" ".join)
def test_a_group_lists_its_subcommands(path: tuple[str, ...]) -> None:
    group = GROUPS[path]
    default = {group.default} if isinstance(group, DefaultGroup) else set()
    assert set(listed(help_of(*path))) == set(group.commands) - default


def test_a_subcommand_that_is_not_listed_would_be_missed() -> None:
    assert {"resume", "rollback", "retire", "abandon", "history"} == set(listed(help_of("rotate")))
    shown = listed(help_of("rotate").replace("  rollback ", "    rollback "))
    assert shown == ["resume", "retire", "abandon", "history"]


@pytest.mark.parametrize("path", [(), *GROUPS, *((verb,) for verb in VERBS)], ids=" ".join)
def test_a_usage_line_has_single_blanks(path: tuple[str, ...]) -> None:
    usage = help_of(*path).splitlines()[0]
    assert usage == " ".join(usage.split())
    assert usage.startswith(" ".join(["Usage: orchestra-creds", *path, "["]))


def test_the_program_knows_no_verb_beside_the_table() -> None:
    root: Any = typer.main.get_command(app)
    assert list(root.commands) == list(VERBS)
