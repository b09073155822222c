"""A `.git` that leads to another folder: its history is scanned, as git does, and the folder is named."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Operator


def planted(operator: Operator, token: str, kind: str) -> tuple[Path, Path]:
    """A folder whose `.git` leads to another repository, and that repository's own git folder."""
    operator.write("leak.txt", f"token: {token}\n")
    operator.commit()
    foreign = operator.folder / ".git"
    folder = operator.home / "scanned"
    folder.mkdir()
    if kind == "file":
        (folder / ".git").write_text(f"gitdir: {foreign}\n")
    elif kind == "link":
        (folder / ".git").symlink_to(foreign)
    else:
        shutil.copytree(foreign, folder / ".git")
        if kind == "objects":
            shutil.rmtree(folder / ".git" / "objects")
            (folder / ".git" / "objects").symlink_to(foreign / "objects")
        else:
            shutil.rmtree(folder / ".git" / "objects")
            (folder / ".git" / "objects" / "info").mkdir(parents=True)
            (folder / ".git" / "objects" / "info" / "alternates").write_text(f"{foreign / 'objects'}\n")
        foreign /= "objects"
    return folder, foreign


@pytest.mark.parametrize("kind", ["file", "link", "objects", "alternates"])
def test_a_history_that_is_read_from_elsewhere_is_scanned_and_the_place_is_named(
    kind: str, operator: Operator, token: str
) -> None:
    folder, foreign = planted(operator, token, kind)
    for _ in range(2):  # the second answer may come from the kept report
        ended = operator.run("scan", "--history", "-f", "json", folder=folder)
        body = json.loads(ended.stdout)
        assert (ended.code, len(body["findings"]), body["complete"]) == (1, 1, True)
        assert [note for note in body["notes"] if f"is read from {foreign}," in note] != []
        assert f"note: the history is read from {foreign}" in ended.stderr


def test_a_history_of_its_own_has_no_such_note(operator: Operator, token: str) -> None:
    operator.write("leak.txt", f"token: {token}\n")
    operator.commit()
    ended = operator.run("scan", "--history", "-f", "json")
    assert (ended.code, "is read from" in ended.stderr) == (1, False)
