"""What the program keeps on this machine is for its owner alone, under any umask, and no planted file stops it."""

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests import loopback
from tests.cli.cloud import PROJECT, document, state_of
from tests.cli.conftest import Operator, one_error

pytestmark = pytest.mark.permissions
DECLARED = f"""
schema = 1
[project]
id = "{PROJECT}"
[credentials.db-password]
kind = "generated"
every = "30d"
"""
METRICS = "creds.prom"


@pytest.fixture(autouse=True)
def nothing_leaves_the_loopback() -> Iterator[None]:
    with loopback.guarded():
        yield


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    return [
        f"{path.relative_to(folder)} {stat.S_IMODE(path.lstat().st_mode):o}"
        for path in [folder, *sorted(folder.rglob("*"))]
        if stat.S_IMODE(path.lstat().st_mode) & 0o077
    ]


@pytest.fixture
def rotator(operator: Operator) -> Operator:
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local"}
    operator.write("orchestra-creds.toml", DECLARED)
    return operator


def state_folder(operator: Operator) -> Path:
    return state_of(operator).parent


@pytest.mark.usefixtures("open_umask")
def test_no_umask_opens_a_private_file_to_others(rotator: Operator, token: str) -> None:
    rotator.write("leak.txt", f"token: {token}\n").chmod(0o600)
    assert rotator.call("rotate", "--all", "--metrics-file", METRICS).code == 0
    assert rotator.call("secret", "get", "db-password", "-o", "value").code == 0
    assert rotator.call("scan", "leak.txt", "-f", "json", "-o", "report.json").code == 1
    assert rotator.call("scan", "baseline", "create", ".", "--reason", "a test").code == 0
    assert rotator.call("emulator", "start").code == 0
    assert rotator.call("emulator", "stop").code == 0
    state = state_folder(rotator)
    assert {path.name for path in state.iterdir()} >= {f"rotate-{PROJECT}.lock", journal_of(rotator).name}
    assert open_to_others(state) == []
    assert stat.S_IMODE((rotator.folder / METRICS).stat().st_mode) == 0o644  # for node_exporter; it holds no material
    assert [stat.S_IMODE((rotator.folder / name).stat().st_mode) for name in ("value", "report.json")] == [0o600] * 2


def journal_of(operator: Operator) -> Path:
    return state_folder(operator) / f"rotations-{PROJECT}.{datetime.now(UTC).year}.jsonl"


@pytest.mark.parametrize("planted", ["folder", "pipe", "full"])
def test_a_journal_that_cannot_be_written_ends_the_run_with_5_and_is_said_once(planted: str, rotator: Operator) -> None:
    rotator.call("secret", "list")  # makes the state folder
    if planted == "folder":
        journal_of(rotator).mkdir()
    elif planted == "pipe":
        os.mkfifo(journal_of(rotator), 0o600)
    elif os.path.exists("/dev/full"):
        journal_of(rotator).symlink_to("/dev/full")
    ended = rotator.call("rotate", "--all")
    assert ended.code == 5
    assert f"{ended.text}{ended.stderr}".count("the journal cannot be written") == 1
    assert rotator.call("secret", "get", "db-password", "--exists").code == 0  # the rotation itself was finished


def test_a_journal_that_cannot_be_written_is_told_to_programs(rotator: Operator) -> None:
    rotator.call("secret", "list")
    journal_of(rotator).mkdir()
    ended = rotator.call("rotate", "--all", "--format", "json", "--metrics-file", METRICS)
    body = document(ended.stdout)
    assert (ended.code, body["exit_code"], body["journal_error"]) == (5, 5, "is a directory")
    assert "last_success" not in (rotator.folder / METRICS).read_text()
    journal_of(rotator).rmdir()
    assert document(rotator.call("rotate", "--all", "--format", "json").stdout)["journal_error"] is None


@pytest.mark.unprivileged
def test_a_journal_that_may_not_be_written_ends_the_run_with_5(rotator: Operator) -> None:
    rotator.call("rotate", "--all")
    journal_of(rotator).chmod(0o400)
    before = journal_of(rotator).read_bytes()
    ended = rotator.call("rotate", "--all", "--force")
    assert (ended.code, "the journal cannot be written: permission denied" in ended.text) == (5, True)
    assert journal_of(rotator).read_bytes() == before


@pytest.mark.parametrize("kind", ["key", "run", "log"])
def test_a_planted_pipe_beside_the_state_stops_no_start(kind: str, operator: Operator) -> None:
    operator.call("secret", "list", "--backend", "local")
    path = state_of(operator).with_name(f"emulator.db.{kind}")
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o600)
    ended = operator.run("emulator", "start")
    operator.call("emulator", "stop")
    assert ended.code in {2, 6}
    assert "not a regular file" in ended.stderr


def test_a_key_that_others_may_read_is_taken_from_them(operator: Operator) -> None:
    operator.call("secret", "set", "name", "--backend", "local", stdin=b"a value")
    key = state_of(operator).with_name("emulator.db.key")
    key.chmod(0o644)
    assert operator.call("secret", "get", "name", "--backend", "local").stdout == b"a value"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_key_that_is_a_link_is_refused(operator: Operator) -> None:
    operator.call("secret", "set", "name", "--backend", "local", stdin=b"a value")
    key = state_of(operator).with_name("emulator.db.key")
    moved = key.rename(operator.folder / "elsewhere")
    key.symlink_to(moved)
    ended = operator.call("secret", "get", "name", "--backend", "local")
    assert (ended.code, "emulator.db.key" in one_error(ended)) == (2, True)
