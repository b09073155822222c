"""The cache has a limit: what is not used any more goes first, and nothing else of the folder is touched."""

import os
import time
from pathlib import Path

import pytest

from orchestra_creds.scanner import cache_files, private

HISTORY = "history-{:032x}.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    return folder


def put(folder: Path, name: str, size: int, age: float) -> None:
    (folder / name).write_bytes(bytes(size))
    (folder / name).chmod(0o600)
    os.utime(folder / name, (time.time() - age,) * 2)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_writing_makes_room_at_the_cost_of_what_was_used_last_longest_ago(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_files, "LARGEST", 100)
    for number in range(4):
        put(folder, HISTORY.format(number), 30, age=1000 - number)
    put(folder, "rulebook.kept", 30, age=5000)
    put(folder, "notes.txt", 300, age=9999)
    private.store(str(folder), HISTORY.format(9), bytes(40))
    assert names(folder) == {"notes.txt", HISTORY.format(9), HISTORY.format(2), HISTORY.format(3)}
    private.store(str(folder), HISTORY.format(8), bytes(400))
    assert names(folder) == {"notes.txt", HISTORY.format(8)}


def test_reading_is_a_use_once_a_day(folder: Path) -> None:
    put(folder, HISTORY.format(1), 30, age=3 * private.DAY)
    put(folder, HISTORY.format(2), 30, age=private.DAY)
    assert [one.name for one in cache_files.list_files(str(folder))] == [HISTORY.format(1), HISTORY.format(2)]
    file = private.open_private(str(folder), HISTORY.format(1))
    assert file is not None
    file.close()
    assert [one.name for one in cache_files.list_files(str(folder))] == [HISTORY.format(2), HISTORY.format(1)]


def test_what_a_process_left_that_died_is_removed_later(folder: Path) -> None:
    put(folder, f".{HISTORY.format(1)}.4711", 30, age=7200)
    put(folder, f".{HISTORY.format(2)}.4712", 30, age=60)
    private.store(str(folder), HISTORY.format(3), b"x")
    assert names(folder) == {f".{HISTORY.format(2)}.4712", HISTORY.format(3)}


def test_links_and_folders_are_no_files_of_the_cache(folder: Path) -> None:
    (folder / HISTORY.format(1)).mkdir()
    (folder / HISTORY.format(2)).symlink_to("/etc/hosts")
    assert cache_files.list_files(str(folder)) == []
