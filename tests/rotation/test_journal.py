"""The journal: a chain that shows every change, and survives torn lines and many writers."""

import json
import os
import resource
import signal
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.rotation import journal as journals
from orchestra_creds.rotation.journal import GENESIS, Journal, JournalLine
from orchestra_creds.rotation.outcome import Event, Step, StepStatus

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def event(number: int, credential: str = "db", at: datetime = NOW) -> Event:
    return Event(at, "run", credential, number, Step("stage", f"resource-{number}"), StepStatus.DONE)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl")


def path_of(journal: Journal) -> Path:
    """The file that is written to."""
    return journal.file_of(NOW.year)


def fill(journal: Journal, count: int) -> None:
    for number in range(count):
        journal.record(event(number))


def test_each_line_follows_from_the_one_before_it(journal: Journal) -> None:
    fill(journal, 5)
    entries = list(journal.entries())
    assert [entry["generation"] for entry in entries] == [0, 1, 2, 3, 4]
    assert entries[0]["before"] == GENESIS
    assert (journal.verify().lines, journal.verify().broken) == (5, None)


def test_the_file_is_for_its_owner_alone(journal: Journal) -> None:
    journal.record(event(0))
    assert path_of(journal).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("line", [1, 2, 3])
def test_a_changed_line_breaks_the_chain_after_it(journal: Journal, line: int) -> None:
    fill(journal, 5)
    lines = path_of(journal).read_text().splitlines()
    lines[line - 1] = lines[line - 1].replace("done", "failed")
    path_of(journal).write_text("\n".join(lines) + "\n")
    assert journal.verify().broken == JournalLine(path_of(journal).name, line + 1)


@pytest.mark.parametrize("line", [1, 2, 4])
def test_a_removed_line_breaks_the_chain(journal: Journal, line: int) -> None:
    fill(journal, 5)
    lines = path_of(journal).read_text().splitlines()
    del lines[line - 1]
    path_of(journal).write_text("\n".join(lines) + "\n")
    assert journal.verify().broken == JournalLine(path_of(journal).name, line)


def test_an_inserted_line_breaks_the_chain(journal: Journal) -> None:
    fill(journal, 3)
    lines = path_of(journal).read_text().splitlines()
    lines.insert(1, json.dumps({"step": "nothing happened", "before": "x"}))
    path_of(journal).write_text("\n".join(lines) + "\n")
    assert journal.verify().broken == JournalLine(path_of(journal).name, 2)


def test_a_torn_line_is_told_and_the_chain_goes_on(journal: Journal) -> None:
    fill(journal, 2)
    with path_of(journal).open("ab") as file:
        file.write(b'{"time":"2026-03-0')
    journal.record(event(2))
    verdict = journal.verify()
    assert (verdict.broken, verdict.torn) == (None, (JournalLine(path_of(journal).name, 3),))
    assert [entry["generation"] for entry in journal.entries()] == [0, 1, 2]


def test_many_writers_make_one_chain(journal: Journal) -> None:
    threads = [threading.Thread(target=fill, args=(journal, 20)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (journal.verify().lines, journal.verify().broken) == (80, None)


def test_processes_make_one_chain(journal: Journal) -> None:
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            fill(journal, 10)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert (journal.verify().lines, journal.verify().broken) == (30, None)


def test_one_credential_can_be_asked_for(journal: Journal) -> None:
    journal.record(event(1, "db"))
    journal.record(event(2, "api"))
    assert [entry["generation"] for entry in journal.entries("api")] == [2]


def test_no_journal_is_no_error(journal: Journal) -> None:
    assert (list(journal.entries()), journal.verify().lines) == ([], 0)


def test_a_line_that_the_disk_has_no_room_for_is_taken_back(journal: Journal) -> None:
    fill(journal, 3)
    before = path_of(journal).read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 40, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            journal.record(event(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert path_of(journal).read_bytes() == before
    journal.record(event(3))
    assert (journal.verify().lines, journal.verify().torn, journal.verify().broken) == (4, (), None)


YEAR = timedelta(days=366)


def generations(found: tuple[list[dict[str, object]], bool]) -> list[object]:
    return [entry["generation"] for entry in found[0]]


def test_the_chain_goes_on_in_the_file_of_the_next_year(journal: Journal) -> None:
    for number in range(4):
        journal.record(event(number, at=NOW + number // 2 * YEAR))
    assert [path.name for path in journal.files()] == ["journal.2026.jsonl", "journal.2027.jsonl"]
    assert (journal.verify().lines, journal.verify().broken) == (4, None)
    assert [entry["generation"] for entry in journal.entries()] == [0, 1, 2, 3]
    first, second = journal.files()
    lines = first.read_bytes().splitlines(keepends=True)
    first.write_bytes(lines[0] + lines[1].replace(b"done", b"failed"))
    assert journal.verify().broken == JournalLine(second.name, 1)
    first.unlink()
    assert journal.verify().broken == JournalLine(second.name, 1)


def test_a_clock_that_goes_back_a_year_does_not_break_the_chain(journal: Journal) -> None:
    for number, at in enumerate((NOW, NOW + YEAR, NOW, NOW + YEAR)):
        journal.record(event(number, at=at))
    assert (journal.verify().lines, journal.verify().broken) == (4, None)
    assert [entry["generation"] for entry in journal.entries()] == [0, 1, 2, 3]


def test_a_single_file_of_earlier_versions_is_the_beginning_of_the_chain(journal: Journal) -> None:
    fill(journal, 3)
    path_of(journal).rename(journal.path)
    journal.record(event(3))
    assert [path.name for path in journal.files()] == ["journal.jsonl", "journal.2026.jsonl"]
    assert (journal.verify().lines, journal.verify().broken) == (4, None)
    assert generations(journal.latest(2)) == [2, 3]


@pytest.mark.parametrize("left", [b"", b'{"time":"2026-12-3'])
def test_a_process_that_died_at_the_turn_of_the_year_breaks_no_chain(journal: Journal, left: bytes) -> None:
    fill(journal, 2)
    journal.file_of(2027).write_bytes(left)  # made, and not or not wholly written
    journal.record(event(2))
    journal.record(event(3, at=NOW + YEAR))
    verdict = journal.verify()
    assert (verdict.lines, verdict.broken) == (4 + bool(left), None)
    assert verdict.torn == ((JournalLine("journal.2027.jsonl", 1),) if left else ())
    assert [entry["generation"] for entry in journal.entries()] == [0, 1, 2, 3]


def test_the_latest_entries_are_read_from_the_end(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        journal.record(event(number, "api" if number % 3 else "db", NOW + number * timedelta(days=60)))
    read: list[bytes] = []
    parse = journals._entry

    def count(line: bytes) -> dict[str, Any] | None:
        read.append(line)
        return parse(line)

    monkeypatch.setattr(journals, "_entry", count)
    assert generations(journal.latest(2)) == [8, 9]
    assert len(read) == 4  # an empty one behind the last line end, two, and one to know that there are more
    assert journal.latest(2)[1] is True
    assert journal.latest(10)[1] is False
    assert generations(journal.latest(9, "db")) == [0, 3, 6, 9]
    assert generations(journal.latest(9, since=NOW + timedelta(days=420))) == [7, 8, 9]
    assert generations(journal.latest(1, "api", NOW)) == [8]


@given(st.lists(st.binary(max_size=9).map(lambda text: text.replace(b"\n", b"")), max_size=9), st.integers(1, 7))
def test_lines_come_backward_as_they_come_forward(lines: list[bytes], block: int) -> None:
    with tempfile.NamedTemporaryFile() as file, mock.patch.object(journals, "BLOCK", block):
        file.write(b"\n".join(lines))
        file.flush()
        backward = list(journals._lines_backward(Path(file.name)))
    assert backward[::-1] == (lines or [b""])
