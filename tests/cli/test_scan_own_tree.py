"""The project holds no credential, not even a made-up one: the quickstart shows its own scan as clean."""

from pathlib import Path

from tests.cli.conftest import Operator

ROOT = Path(__file__).parents[2]


def test_this_project_is_clean_and_was_read_whole(operator: Operator) -> None:
    ended = operator.run("scan", str(ROOT))
    assert (ended.code, ended.stdout.count(b"\n")) == (0, 1), ended.stdout
