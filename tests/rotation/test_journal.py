"""The journal: a chain that shows every change, and survives torn lines and many writers."""

import json
import os
import resource
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestra_creds.rotation.journal import GENESIS, Journal
from orchestra_creds.rotation.outcome import Event, Step, StepStatus

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def event(number: int, credential: str = "db") -> Event:
    return Event(NOW, "run", credential, number, Step("stage", f"resource-{number}"), StepStatus.DONE)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl")


def fill(journal: Journal, count: int) -> None:
    for number in range(count):
        journal.record(event(number))


def test_each_line_follows_from_the_one_before_it(journal: Journal) -> None:
    fill(journal, 5)
    entries = list(journal.entries())
    assert [entry["generation"] for entry in entries] == [0, 1, 2, 3, 4]
    assert entries[0]["before"] == GENESIS
    assert (journal.verify().lines, journal.verify().broken) == (5, 0)


def test_the_file_is_for_its_owner_alone(journal: Journal) -> None:
    journal.record(event(0))
    assert journal.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("line", [1, 2, 3])
def test_a_changed_line_breaks_the_chain_after_it(journal: Journal, line: int) -> None:
    fill(journal, 5)
    lines = journal.path.read_text().splitlines()
    lines[line - 1] = lines[line - 1].replace("done", "failed")
    journal.path.write_text("\n".join(lines) + "\n")
    assert journal.verify().broken == line + 1


@pytest.mark.parametrize("line", [1, 2, 4])
def test_a_removed_line_breaks_the_chain(journal: Journal, line: int) -> None:
    fill(journal, 5)
    lines = journal.path.read_text().splitlines()
    del lines[line - 1]
    journal.path.write_text("\n".join(lines) + "\n")
    assert journal.verify().broken == line


def test_an_inserted_line_breaks_the_chain(journal: Journal) -> None:
    fill(journal, 3)
    lines = journal.path.read_text().splitlines()
    lines.insert(1, json.dumps({"step": "nothing happened", "before": "x"}))
    journal.path.write_text("\n".join(lines) + "\n")
    assert journal.verify().broken == 2


def test_a_torn_line_is_told_and_the_chain_goes_on(journal: Journal) -> None:
    fill(journal, 2)
    with journal.path.open("ab") as file:
        file.write(b'{"time":"2026-03-0')
    journal.record(event(2))
    verdict = journal.verify()
    assert (verdict.broken, verdict.torn) == (0, (3,))
    assert [entry["generation"] for entry in journal.entries()] == [0, 1, 2]


def test_many_writers_make_one_chain(journal: Journal) -> None:
    threads = [threading.Thread(target=fill, args=(journal, 20)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (journal.verify().lines, journal.verify().broken) == (80, 0)


def test_processes_make_one_chain(journal: Journal) -> None:
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            fill(journal, 10)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert (journal.verify().lines, journal.verify().broken) == (30, 0)


def test_one_credential_can_be_asked_for(journal: Journal) -> None:
    journal.record(event(1, "db"))
    journal.record(event(2, "api"))
    assert [entry["generation"] for entry in journal.entries("api")] == [2]


def test_no_journal_is_no_error(journal: Journal) -> None:
    assert (list(journal.entries()), journal.verify().lines) == ([], 0)


def test_a_line_that_the_disk_has_no_room_for_is_taken_back(journal: Journal) -> None:
    fill(journal, 3)
    before = journal.path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 40, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            journal.record(event(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert journal.path.read_bytes() == before
    journal.record(event(3))
    assert (journal.verify().lines, journal.verify().torn, journal.verify().broken) == (4, (), 0)
