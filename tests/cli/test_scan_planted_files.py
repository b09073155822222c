"""Whatever stands in the place of a file that a scan or its git reads: the scan ends soon, in little memory, and says so."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Operator
from tests.cli.peak import MeasuredScan, scan_with_peak
from tests.cli.test_scan_special_files import CONTROL, link_to_a_device, pipe, put

MOST_MEMORY = 500 << 20
MODES = {"tree": [], "history": ["--history"], "staged": ["--staged"], "since": ["--since", "HEAD"]}
IN_GIT = [f".git/{name}" for name in CONTROL if name != "objects/pack/pack-1.idx"]
IN_TREE = [".gitignore", ".gitattributes", ".gitmodules"]
BRANCH = ".git/refs/heads/main"
SAMPLE = 6
"""Cases of each kind that are run unless all are wanted."""


def folder(path: Path) -> None:
    path.mkdir()


def sparse_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2 << 30)


def too_large_file(path: Path) -> None:
    path.write_bytes(bytes(17 << 20))


def loop(path: Path) -> None:
    path.symlink_to(path.name)


KINDS: dict[str, Callable[[Path], None]] = {
    "pipe": pipe,
    "device": link_to_a_device,
    "folder": folder,
    "sparse": sparse_file,
    "loop": loop,
}


@pytest.fixture
def place(operator: Operator, token: str) -> Operator:
    """A repository with a leak in its first commit and in the tree, and a staged file."""
    operator.write("a.env", f"TOKEN={token}\n")
    operator.commit("one")
    operator.write("c.txt", "y\n")
    operator.git("add", "c.txt")
    operator.run("scan", "--staged")  # compiles the rules, once for all tests
    return operator


def outcome(done: MeasuredScan) -> object:
    if done.report is None:
        return done.code
    return done.code, done.report["complete"], [finding["path"] for finding in done.report["findings"]]


def outcomes_without(place: Operator, name: str) -> dict[str, object]:
    """The outcomes when a file is gone: to git, what is no file is no branch, and the next commit is the first."""
    kept = (place.folder / name).rename(place.home / "branch")
    found = {mode: outcome(scan_with_peak(place, *arguments)) for mode, arguments in MODES.items()}
    kept.rename(place.folder / name)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_no_planted_file_stops_or_bloats_a_scan(place: Operator, kind: str, exhaustive: bool) -> None:
    plain = {mode: outcome(scan_with_peak(place, *arguments)) for mode, arguments in MODES.items()}
    unborn = outcomes_without(place, BRANCH)
    cases = [(name, mode) for name in IN_GIT + IN_TREE for mode in MODES]
    if not exhaustive:
        cases = random.Random(kind).sample(cases, SAMPLE)
    kept = place.home / "kept"
    place.folder.rename(kept)
    wrong = []
    for name, mode in cases:
        shutil.copytree(kept, place.folder)
        target = place.folder / name
        put(target, KINDS[kind])
        done = scan_with_peak(place, *MODES[mode])
        shutil.rmtree(place.folder)
        expected = [plain[mode], unborn[mode]] if name == BRANCH else [plain[mode]]
        if (done.code not in {4, 5} and outcome(done) not in expected) or done.peak >= MOST_MEMORY:
            wrong.append((name, mode, done.code, done.peak >> 20, outcome(done)))
    assert wrong == []


@pytest.mark.parametrize(
    "name", ["objects/info/commit-graph", "refs/heads/x", "worktrees/w", "objects/pack/pack-1.idx"]
)
def test_links_in_a_loop_stop_no_scan(place: Operator, name: str) -> None:
    put(place.folder / ".git" / name, loop)
    for arguments in MODES.values():
        assert scan_with_peak(place, *arguments).code in {0, 1, 4, 5}


LARGE = ["config", "packed-refs", "shallow", "info/exclude", "commondir", "objects/info/alternates", "logs/HEAD"]


@pytest.mark.parametrize("name", LARGE)
def test_a_file_that_git_would_read_whole_is_named(place: Operator, name: str) -> None:
    put(place.folder / ".git" / name, sparse_file)
    tree, history, staged = (scan_with_peak(place, *MODES[mode]) for mode in ("tree", "history", "staged"))
    assert (tree.code, staged.code) == (5, 4)
    assert history.code in {4, 5}
    for done in (tree, history, staged):
        assert f".git/{name}" in f"{done.report} {done.stderr}"
        assert "larger than" in f"{done.report} {done.stderr}"
        assert done.peak < MOST_MEMORY
    assert [finding["path"] for finding in tree.report["findings"]] == ["a.env"]


def test_nor_is_a_large_ignore_file_given_to_git(place: Operator) -> None:
    put(place.folder / ".gitignore", lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 17 << 20))
    done = scan_with_peak(place)
    assert (done.code, [skipped["path"] for skipped in done.report["skipped"]]) == (5, [".gitignore"])
    assert [finding["path"] for finding in done.report["findings"]] == ["a.env"]


def test_nor_does_git_hold_that_of_a_folder(place: Operator) -> None:
    place.write("sub/deep/c.txt", "x\n")
    name = "sub/deep/.gitignore"
    with (place.folder / name).open("wb") as file:
        file.truncate(600 << 20)
    done = scan_with_peak(place, "--max-size", "1MB")  # the file is not read as one of the tree, either
    assert done.peak < MOST_MEMORY
    assert (done.code, {skipped["path"] for skipped in done.report["skipped"]}) == (5, {name})
    assert any("which git would read whole" in skipped["reason"] for skipped in done.report["skipped"])
    assert [finding["path"] for finding in done.report["findings"]] == ["a.env"]


BASELINE, GITLEAKS, SETTINGS = ".orchestra-creds-baseline.json", ".gitleaks.toml", "orchestra-creds.toml"
JUNK = [
    b"",
    b"\xff\xfe junk",
    b"{",
    b"[" * 50_000,
    b"a = " + b"[" * 50_000,
    b"rules = 1\n[scan]\nseverity = 1\n",
    b'{"schema": "orchestra-creds/baseline/1", "key": 1, "findings": []}',
    b'{"schema": "orchestra-creds/baseline/1", "key": "0123456789abcdef", "findings": []}',
]


@pytest.mark.parametrize("name", [BASELINE, GITLEAKS, SETTINGS])
def test_junk_in_a_planted_file_is_named_and_hides_nothing(place: Operator, name: str) -> None:
    for junk in JUNK:
        (place.folder / name).write_bytes(junk)
        done = scan_with_peak(place, "a.env" if name == SETTINGS else ".")
        assert [finding["path"] for finding in done.report["findings"]] == ["a.env"]
        if (junk or name == BASELINE) and done.code != 5:
            assert name != BASELINE, junk
            assert not done.report["skipped"]
        if done.code == 5:
            assert [skipped["path"] for skipped in done.report["skipped"]] == [name]


@pytest.mark.parametrize("source", ["tree", "history"])
@pytest.mark.parametrize(
    ("name", "option"), [(BASELINE, "--baseline"), (GITLEAKS, "--gitleaks-config"), (SETTINGS, "--config")]
)
@pytest.mark.parametrize("make", [too_large_file, lambda path: path.write_bytes(b"{ = junk")])
def test_a_planted_file_stops_no_scan_and_a_named_one_does(
    place: Operator, name: str, option: str, source: str, make: Callable[[Path], None]
) -> None:
    clean = scan_with_peak(place, *MODES[source])
    make(place.folder / name)
    done = scan_with_peak(place, *MODES[source])
    assert done.code == 5, done.stderr
    assert done.report["complete"] is False
    assert name in [skipped["path"] for skipped in done.report["skipped"]]
    assert [one["path"] for one in done.report["findings"]] == [one["path"] for one in clean.report["findings"]]
    assert done.peak < MOST_MEMORY
    if make is not too_large_file:
        assert scan_with_peak(place, *MODES[source], option, name).code == 2
