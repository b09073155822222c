"""A report that is said again: only as long as nothing has changed that it was made from."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestra_creds.core.record import replace
from orchestra_creds.scanner.engine import compiled_cache
from orchestra_creds.scanner.file_names import SETTINGS_OF_A_SCAN
from orchestra_creds.scanner.finding import ScanReport, ScanStats, SkippedItem
from orchestra_creds.scanner.git import report_cache
from tests.scanner.trees import git, look, repository, token, write


class Place:
    """A repository with a credential, and the folders of a user who scanned it."""

    def __init__(self, folder: Path) -> None:
        self.repo = write(repository(folder / "r"), {"a.txt": b"x\n" + token() + b"\n", "b.txt": b"one\n"})
        git(self.repo, "add", ".")
        git(self.repo, "commit", "-qm", "one")
        self.cache, self.state = folder / "cache", folder / "state"
        for private in (self.cache, self.state):
            private.mkdir(mode=0o700)

    def history(self, folder: Path | None = None) -> report_cache.ReportCache:
        return report_cache.ReportCache(str(folder or self.repo), str(self.cache), str(self.state))

    def scan(self) -> ScanReport:
        """Scan, and keep the report."""
        history = self.history()
        report = look(self.repo, source="history", state_dir=str(self.state))
        history.keep(report)
        return report


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_it_is_the_report_of_a_scan_that_knew_everything(place: Place) -> None:
    report = place.scan()
    assert len(report.findings) == 1
    again = replace(report, stats=ScanStats(cached=report.stats.blobs, seconds=0.5))
    assert place.history().report(0.5) == again
    (place.repo / "sub").mkdir()
    assert place.history(place.repo / "sub").report(0.5) == again


def test_it_holds_no_material_and_belongs_to_us_alone(place: Place) -> None:
    place.scan()
    (file,) = place.cache.iterdir()
    assert token() not in file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    assert place.history().report(0.5) is None
    file.chmod(0o600)
    assert place.history().report(0.5) is not None
    file.write_bytes(file.read_bytes()[:200])
    assert place.history().report(0.5) is None


def commit(place: Place) -> None:
    write(place.repo, {"b.txt": b"two\n"})
    git(place.repo, "commit", "-qam", "two")


CHANGES: dict[str, Callable[[Place], object]] = {
    "commit": commit,
    "branch": lambda place: git(place.repo, "branch", "other"),
    "tag": lambda place: git(place.repo, "tag", "-a", "-m", "v", "v1"),
    "head": lambda place: git(place.repo, "checkout", "-q", "--detach"),
    "object": lambda place: git(place.repo, "hash-object", "-w", "--stdin", stdin=b"loose"),
    "stash": lambda place: (write(place.repo, {"b.txt": b"three\n"}), git(place.repo, "stash", "-q")),
    "repack": lambda place: git(place.repo, "repack", "-qad"),
    "packed refs": lambda place: git(place.repo, "pack-refs", "--all"),
    "reflog": lambda place: (place.repo / ".git/logs/HEAD").rename(place.repo / "moved"),
    "settings": lambda place: git(place.repo, "config", "x.y", "z"),
    "linked tree": lambda place: git(place.repo, "worktree", "add", "-q", "--detach", str(place.cache.parent / "w")),
    "alternates": lambda place: write(place.repo / ".git/objects/info", {"alternates": b"/nowhere\n"}),
    "shallow": lambda place: write(place.repo / ".git", {"shallow": b""}),
    "new key": lambda place: [file.rename(place.repo / "moved") for file in (place.state / "keys").glob("*.place")],
    **{
        name: (lambda place, name=name: write(place.repo, {name: b""}))  # type: ignore[misc]
        for name in SETTINGS_OF_A_SCAN
    },
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_the_history_is_scanned(change: str, place: Place) -> None:
    place.scan()
    assert place.history().report(0.5) is not None
    CHANGES[change](place)
    assert place.history().report(0.5) is None


def test_what_changes_while_a_scan_runs_is_scanned_the_next_time(place: Place) -> None:
    history = place.history()
    report = look(place.repo, source="history", state_dir=str(place.state))
    commit(place)
    history.keep(report)
    assert place.history().report(0.5) is None


def test_a_packed_repository_is_known_by_its_packs(place: Place) -> None:
    git(place.repo, "gc", "-q")
    place.scan()
    assert place.history().report(0.5) is not None
    for pack in (place.repo / ".git" / "objects" / "pack").glob("*.pack"):
        os.utime(pack, ns=(1, 1))
    assert place.history().report(0.5) is None


def test_another_scanner_scans(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.scan()
    monkeypatch.setattr(compiled_cache, "__version__", "other")
    assert place.history().report(0.5) is None


@pytest.mark.parametrize(
    "flawed",
    [
        lambda report: replace(report, skipped=(SkippedItem("a", "damaged"),)),
        lambda report: replace(report, notes=("a temporary key",)),
    ],
    ids=["incomplete", "noted"],
)
def test_only_a_whole_report_is_kept(flawed: Callable[[ScanReport], ScanReport], place: Place) -> None:
    history = place.history()
    history.keep(flawed(look(place.repo, source="history", state_dir=str(place.state))))
    assert list(place.cache.iterdir()) == []


def test_what_is_not_there_has_no_report(place: Place, tmp_path: Path) -> None:
    place.scan()
    assert place.history(place.repo / "gone").report(0.5) is None
    assert place.history(tmp_path).report(0.5) is None


def listed_fans(place: Place, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders of loose objects that a look at the kept report lists; the report fits."""
    listed: list[str] = []
    list_folder = os.listdir

    def count(folder: str) -> list[str]:
        listed.extend([os.path.basename(folder)] * (os.path.basename(os.path.dirname(folder)) == "objects"))
        return list_folder(folder)

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", count)
        assert place.history().report(0.5) is not None
    return listed


def test_loose_objects_are_not_listed_once_their_folders_are_old_enough(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.scan()
    fans = {path.name for path in (place.repo / ".git" / "objects").iterdir() if len(path.name) == 2}
    assert set(listed_fans(place, monkeypatch)) == fans  # they are as young as the scan
    monkeypatch.setattr(report_cache, "_SETTLED_NS", -(10**12))
    assert set(listed_fans(place, monkeypatch)) == fans  # the last time: what is kept knows no times
    assert listed_fans(place, monkeypatch) == []


@pytest.mark.parametrize("change", ["object", "commit", "repack", "stash"])
def test_a_folder_of_loose_objects_with_another_time_is_scanned(
    change: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_cache, "_SETTLED_NS", -(10**12))
    place.scan()
    assert listed_fans(place, monkeypatch) == []
    CHANGES[change](place)
    assert place.history().report(0.5) is None


def test_a_young_folder_counts_by_its_ids_and_not_by_its_time(place: Place) -> None:
    place.scan()
    for fan in (place.repo / ".git" / "objects").iterdir():
        (fan / "x").touch()
        (fan / "x").unlink()
    assert place.history().report(0.5) is not None
