"""`cache`: shows and clears what scans keep, and nothing else."""

from pathlib import Path

import pytest

from tests.cli.cloud import document
from tests.cli.conftest import Operator


@pytest.fixture
def scanner(operator: Operator, tmp_path: Path) -> Operator:
    operator.environment["ORCHESTRA_CREDS_CACHE_DIR"] = str(tmp_path / "own-cache")
    operator.write("a.txt", "nothing\n")
    operator.commit()
    assert operator.run("scan", "--history", "--format", "json").code == 0
    return operator


def test_the_cache_of_a_scan_is_shown_and_cleared(scanner: Operator, token: str) -> None:
    folder = Path(scanner.environment["ORCHESTRA_CREDS_CACHE_DIR"])
    (folder / "notes.txt").write_text("mine")
    body = document(scanner.call("cache", "show", "--format", "json").stdout)
    kinds = {one["kind"] for one in body["files"]}
    assert kinds == {"compiled rules", "what was seen of a history", "report of a history"}
    assert {one["name"] for one in body["files"]} == {path.name for path in folder.iterdir()} - {"notes.txt"}
    assert body["bytes"] == sum(one["bytes"] for one in body["files"]) < body["most_bytes"]
    table = scanner.call("cache", "show").text
    assert f"{len(body['files'])} files in {folder}" in table
    cleared = scanner.call("cache", "clear")
    assert (cleared.code, f"removed {len(body['files'])} files" in cleared.text) == (0, True)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert scanner.run("scan", "--history", "--format", "json").code == 0


def test_an_empty_cache_is_no_error(operator: Operator, tmp_path: Path) -> None:
    operator.environment["ORCHESTRA_CREDS_CACHE_DIR"] = str(tmp_path / "none")
    assert operator.call("cache", "show").text.startswith("0 files in ")
    assert operator.call("cache", "clear").code == 0
