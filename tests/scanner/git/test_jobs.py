"""Objects that lie in several packs are divided among jobs once, in time that follows the objects and not the packs."""

from collections import Counter
from pathlib import Path

import pytest

from orchestra_creds.scanner.git import jobs
from orchestra_creds.scanner.git.delta_scan import SCANNED
from orchestra_creds.scanner.git.jobs import find_duplicates, plan_all
from orchestra_creds.scanner.git.objects import ObjectDatabase
from orchestra_creds.scanner.git.pack import Pack
from orchestra_creds.scanner.git.repository import Repository
from tests.scanner.trees import git, repository

PACKS = 9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with a pack for each commit, and one more that holds everything again."""
    folder = repository(tmp_path / "repository")
    for number in range(PACKS):
        (folder / f"{number}.txt").write_text(f"text {number}\n" * 20)
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", f"commit {number}")
        git(folder, "repack", "-q")
        if number == PACKS // 2:
            git(folder, "repack", "-aq")
    return folder


def database_of(folder: Path) -> ObjectDatabase:
    return ObjectDatabase.open(folder / ".git" / "objects")


def packs_of(folder: Path) -> list[Pack]:
    return [Pack(index, 20) for index in database_of(folder).indexes]


@pytest.mark.parametrize("at_once", [1, 7, 1 << 16])
def test_duplicates_are_those_that_an_earlier_pack_holds(
    folder: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(jobs, "IDS_AT_ONCE", at_once)
    packs = packs_of(folder)
    assert len(packs) > PACKS
    seen: set[bytes] = set()
    expected = []
    for pack in packs:
        oids = [pack.oid(number) for number in range(len(pack))]
        expected.append({number for number, oid in enumerate(oids) if oid in seen})
        seen.update(oids)
    assert any(expected)
    assert find_duplicates(packs) == expected


def test_an_object_of_several_packs_is_in_one_job(folder: Path) -> None:
    repo = Repository.discover(folder)
    assert repo is not None
    plan = plan_all(repo, database_of(folder))
    times = Counter(
        plan.packs[number].oid(root)
        for number, roots in plan.roots
        for root in roots
        if plan.packs[number].columns.first[root] < 0
    )
    assert set(times.values()) == {1}
    planned = {plan.packs[number].oid(root) for number, roots in plan.roots for root in roots}
    full = (
        (pack, number)
        for pack in plan.packs
        for number, kind in enumerate(pack.columns.kind)
        if kind in SCANNED and pack.columns.parent[number] < 0
    )
    assert planned == {pack.oid(number) for pack, number in full}


def test_every_id_is_looked_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = Counter[str]()
    ids_between = Pack.ids_between

    def count(self: Pack, low: int, high: int) -> tuple[int, list[bytes]]:
        start, ids = ids_between(self, low, high)
        looked["ids"] += len(ids)
        return start, ids

    monkeypatch.setattr(Pack, "ids_between", count)
    packs = packs_of(folder)
    find_duplicates(packs)
    assert looked["ids"] == sum(map(len, packs))
    looked.clear()
    find_duplicates(packs[:1])
    assert looked["ids"] == 0
