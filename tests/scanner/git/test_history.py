import contextlib
import os
import signal
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from orchestra_creds.core.progress import NoProgress
from orchestra_creds.errors import PreconditionError
from orchestra_creds.scanner.detection import Sighting
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.git import history, scan_cache
from orchestra_creds.scanner.git.history import SHALLOW, HistoryResult, scan_history
from orchestra_creds.scanner.git.repository import Repository
from tests.scanner.histories import imported
from tests.scanner.trees import ENGINE, git, repository, token


def look(folder: Path, *, one: Engine = ENGINE, **more: object) -> HistoryResult:
    found = Repository.discover(folder)
    assert found is not None
    return scan_history(found, one, **{"jobs": 1, **more})  # type: ignore[arg-type]


def commit(folder: Path, name: str = "file", content: bytes = b"", message: str = "a message") -> str:
    (folder / name).write_bytes(content)
    git(folder, "add", name)
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD").decode().strip()


def where(result: HistoryResult) -> list[str]:
    return [f"{one.place.path}:{one.place.line}" for one in result.sightings]


def held(result: HistoryResult) -> set[bytes]:
    return {one.detection.material.reveal() for one in result.sightings}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return repository(tmp_path / "repository")


def test_a_credential_is_placed_at_the_commit_that_brought_it_and_the_last_that_changed_its_file(folder: Path) -> None:
    first = commit(folder, content=b"one\nkey = " + token() + b"\n")
    commit(folder, content=b"one\nmore\nkey = " + token() + b"\n")
    last = commit(folder, content=b"one\nmore\nand more\nkey = " + token() + b"\n")
    result = look(folder)
    assert [(one.place.commit, one.place.line, one.place.in_head) for one in result.sightings] == [
        (first, 2, False),
        (last, 4, True),
    ]
    assert {one.place.author for one in result.sightings} == {"A"}
    assert all(one.place.date.endswith("Z") for one in result.sightings)
    assert result.skipped == ()


def test_what_was_removed_is_found(folder: Path) -> None:
    commit(folder, content=token())
    commit(folder, content=b"nothing")
    [one] = look(folder).sightings
    assert (one.place.path, one.place.in_head) == ("file", False)


def test_content_that_only_a_merge_brought_is_attributed_to_it(folder: Path) -> None:
    commit(folder, content=b"start")
    git(folder, "checkout", "-q", "-b", "side")
    commit(folder, "other", b"side")
    git(folder, "checkout", "-q", "main")
    commit(folder, content=b"main")
    git(folder, "merge", "-q", "--no-commit", "side")
    merge = commit(folder, content=b"merged " + token())
    [one] = look(folder).sightings
    assert (one.place.commit, one.place.path) == (merge, "file")


def test_stashes_are_attributed_the_dropped_ones_too(folder: Path) -> None:
    commit(folder, content=b"start")
    for number in (1, 2):
        (folder / "file").write_bytes(token(number))
        git(folder, "stash", "-q")
    (folder / "new").write_bytes(token(3))
    git(folder, "stash", "-q", "--include-untracked")
    assert where(look(folder)) == ["file:1", "file:1", "new:1"]


def test_commits_that_only_the_reflog_knows_are_attributed(folder: Path) -> None:
    commit(folder, content=b"start")
    gone = commit(folder, content=token())
    git(folder, "reset", "-q", "--hard", "HEAD~1")
    [one] = look(folder).sightings
    assert (one.place.commit, one.place.path) == (gone, "file")


def test_objects_that_nothing_reaches_are_found_and_named_by_their_id(folder: Path) -> None:
    commit(folder, content=b"start")
    oid = git(folder, "hash-object", "-w", "--stdin", stdin=token()).decode().strip()
    [one] = look(folder).sightings
    assert (one.place.path, one.place.commit) == (f"<unreachable>/{oid}", "")


def test_messages_of_commits_and_tags_are_read(folder: Path) -> None:
    told = commit(folder, content=b"start", message="a subject\n\nuse " + token(1).decode())
    git(folder, "tag", "-a", "-m", "line\n" + token(2).decode(), "one")
    result = look(folder)
    assert where(result) == ["COMMIT_MSG:3", "TAG_MSG:2"]
    assert result.sightings[0].place.commit == told
    assert result.sightings[0].place.author == "A"


def test_a_blob_at_several_paths_is_placed_at_each(folder: Path) -> None:
    commit(folder, "one", token())
    commit(folder, "two", token())
    git(folder, "rm", "-q", "one")
    git(folder, "commit", "-q", "-m", "gone")
    places = {one.place.path: one.place.in_head for one in look(folder).sightings}
    assert places == {"one": False, "two": True}


def test_paths_of_any_bytes_are_carried(folder: Path) -> None:
    name = b"we\nird\t\xff\x1b[31m :100644"
    with open(os.fsencode(folder) + b"/" + name, "wb") as file:
        file.write(token())
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "x")
    [one] = look(folder).sightings
    assert os.fsencode(one.place.path) == name
    assert one.place.in_head


def test_archives_and_wide_text_are_looked_into(folder: Path) -> None:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner/config", b"nothing\n" + token(1))
    commit(folder, "a.zip", packed.getvalue())
    commit(folder, "wide.txt", (b"first\n" + token(2)).decode().encode("utf-16"))
    result = look(folder)
    assert where(result) == ["a.zip!inner/config:2", "wide.txt:2"]
    assert all(one.place.in_head for one in result.sightings)


def test_since_reads_what_head_has_and_the_revision_has_not(folder: Path) -> None:
    start = commit(folder, content=token(1))
    commit(folder, content=token(2))
    git(folder, "checkout", "-q", "-b", "other", start)
    commit(folder, "elsewhere", token(3))
    git(folder, "checkout", "-q", "main")
    result = look(folder, since=start)
    assert held(result) == {token(2)}
    assert where(result) == ["file:1"]
    assert look(folder, since="HEAD").sightings == ()
    for wrong in ("nonsense", "--all", "HEAD:file"):
        with pytest.raises(PreconditionError, match="no commit"):
            look(folder, since=wrong)


def test_an_empty_repository_holds_nothing(folder: Path) -> None:
    result = look(folder)
    assert (result.sightings, result.skipped, result.stats.blobs) == ((), (), 0)


def test_sha256_repositories_worktrees_and_bare_ones_are_read(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    git(plain, "init", "-q", "-b", "main", "--object-format=sha256")
    commit(plain, content=token(1))
    git(plain, "gc", "-q")
    commit(plain, content=token(2))
    linked, bare = tmp_path / "linked", tmp_path / "bare.git"
    git(plain, "worktree", "add", "-q", "-b", "side", str(linked))
    git(tmp_path, "clone", "-q", "--bare", str(plain), str(bare))
    for one in (plain, linked, bare):
        result = look(one)
        assert (held(result), result.skipped) == ({token(1), token(2)}, ())
        assert {len(sighting.place.commit) for sighting in result.sightings} == {64}


def test_objects_in_several_packs_loose_files_and_alternates_are_each_read_once(tmp_path: Path) -> None:
    first = imported(tmp_path / "first.git", [{"file": token(1)}])
    second = tmp_path / "second.git"
    git(tmp_path, "clone", "-q", "--bare", "--shared", str(first), str(second))
    for number in (2, 3):
        git(second, "hash-object", "-w", "--stdin", stdin=token(number))
    git(second, "repack", "-q", "-a")
    git(second, "pack-objects", "-q", "--all", str(second / "objects/pack/pack"))
    result = look(second)
    assert held(result) == {token(1), token(2), token(3)}
    assert result.skipped == ()
    assert len(result.sightings) == 3


def test_an_index_of_the_first_version_is_read_through_git(tmp_path: Path) -> None:
    folder = imported(tmp_path / "old.git", [{"file": token(number)} for number in range(3)])
    git(folder, "-c", "pack.indexVersion=1", "repack", "-adfq")
    [index] = (folder / "objects/pack").glob("*.idx")
    assert index.read_bytes()[:4] != b"\xfftOc"
    result = look(folder)
    assert held(result) == {token(0), token(1), token(2)}
    assert result.skipped == ()


def test_a_shallow_clone_is_said_and_read(tmp_path: Path, folder: Path) -> None:
    commit(folder, content=token(1))
    commit(folder, content=token(2))
    git(tmp_path, "clone", "-q", "--depth=1", folder.as_uri(), "shallow")
    result = look(tmp_path / "shallow")
    assert held(result) == {token(2)}
    assert result.skipped == (SHALLOW,)


def test_what_a_partial_clone_lacks_is_said_and_never_fetched(tmp_path: Path, folder: Path) -> None:
    git(folder, "config", "uploadpack.allowFilter", "true")
    commit(folder, content=token(1))
    commit(folder, content=token(2))
    partial = tmp_path / "partial"
    git(tmp_path, "clone", "-q", "--filter=blob:none", folder.as_uri(), "partial")
    before = sorted(path.name for path in (partial / ".git/objects").rglob("*"))
    result = look(partial)
    assert [one.reason for one in result.skipped] == [
        "1 objects of this partial clone are not here, and nothing is fetched"
    ]
    assert held(result) == {token(2)}
    assert sorted(path.name for path in (partial / ".git/objects").rglob("*")) == before


def damaged(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.chmod(0o644)
    path.write_bytes(bytes(data))


def test_damaged_objects_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    noise = [os.urandom(2000) for _ in range(4)]
    folder = imported(
        tmp_path / "broken.git", [{f"file{number}": text} for number, text in enumerate([*noise, token()])]
    )
    git(folder, "repack", "-adfq")
    [pack] = (folder / "objects/pack").glob("*.pack")
    oid = git(folder, "rev-parse", "main:file2").decode().strip()
    listed = git(folder, "verify-pack", "-v", str(pack)).decode()
    [offset] = [int(line.split()[4]) for line in listed.splitlines() if line.startswith(oid)]
    damaged(pack, offset + 500)
    result = look(folder)
    assert [one.path for one in result.skipped] == [f"object {oid}"]
    assert "damaged" in result.skipped[0].reason
    assert held(result) == {token()}


def test_a_damaged_object_with_a_whole_copy_elsewhere_is_read(tmp_path: Path) -> None:
    text = os.urandom(2000) + b"\n" + token()
    folder = imported(tmp_path / "copied.git", [{"file": text}])
    git(folder, "repack", "-adfq")
    [pack] = (folder / "objects/pack").glob("*.pack")
    oid = git(folder, "rev-parse", "main:file").decode().strip()
    loose = folder / "objects" / oid[:2] / oid[2:]
    kept = pack.read_bytes()
    index = pack.with_suffix(".idx").read_bytes()
    pack.unlink()
    pack.with_suffix(".idx").unlink()
    git(folder, "hash-object", "-w", "--stdin", stdin=text)
    pack.write_bytes(kept)
    pack.with_suffix(".idx").write_bytes(index)
    assert loose.is_file()
    listed = git(folder, "verify-pack", "-v", str(pack)).decode()
    [offset] = [int(line.split()[4]) for line in listed.splitlines() if line.startswith(oid)]
    damaged(pack, offset + 500)
    result = look(folder)
    assert (held(result), result.skipped) == ({token()}, ())


def test_packs_and_loose_objects_that_make_no_sense_are_named(folder: Path) -> None:
    oid = git(folder, "hash-object", "-w", "--stdin", stdin=token()).decode().strip()
    loose = folder / ".git/objects" / oid[:2] / oid[2:]
    loose.chmod(0o644)
    loose.write_bytes(b"nonsense")
    for suffix in ("idx", "pack"):
        (folder / f".git/objects/pack/pack-1.{suffix}").write_bytes(b"nonsense" * 200)
    result = look(folder)
    assert [one.path for one in result.skipped] == [f"object {oid}", "objects/pack/pack-1.pack"]
    assert result.sightings == ()


def test_objects_larger_than_the_limit_are_named(folder: Path) -> None:
    commit(folder, "large", b"x" * 5000 + token(1))
    commit(folder, "small", token(2))
    for packed in (False, True):
        if packed:
            git(folder, "gc", "-q")
        result = look(folder, max_size=4000)
        assert [one.reason for one in result.skipped] == ["larger than 4,000 bytes"]
        assert held(result) == {token(2)}


def test_a_process_that_is_killed_makes_the_scan_incomplete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = imported(tmp_path / "many.git", [{"file": b"%d " % number + token(number)} for number in range(20)])
    git(folder, "repack", "-adfq")
    monkeypatch.setattr("orchestra_creds.scanner.git.jobs.JOB", 1)
    parent = os.getpid()

    def die(*_args: object) -> bytes:
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return b""

    monkeypatch.setattr("orchestra_creds.scanner.git.collect._Worker.work", die)
    result = look(folder, jobs=2)
    assert "ended early" in result.skipped[0].reason


def test_the_result_is_the_same_whatever_the_number_of_processes(tmp_path: Path) -> None:
    versions = [{"file": b"%d\n" % number * 50 + token(number % 7), "same": token(9)} for number in range(30)]
    folder = imported(tmp_path / "many.git", versions)
    git(folder, "repack", "-adfq")
    assert _plain(look(folder, jobs=1)) == _plain(look(folder, jobs=3))


def test_threads_do_the_same_where_forking_is_not_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = imported(tmp_path / "many.git", [{"file": b"%d\n" % number * 50 + token(number)} for number in range(30)])
    git(folder, "repack", "-adfq")
    expected = _plain(look(folder, jobs=1))
    monkeypatch.setattr("orchestra_creds.scanner.git.jobs.JOB", 1)
    monkeypatch.setattr("orchestra_creds.scanner.parallel.workers.can_fork", lambda: False)
    assert _plain(look(folder, jobs=3)) == expected


def _plain(result: HistoryResult) -> list[tuple[object, ...]]:
    return [_facts(one) for one in result.sightings]


def _facts(one: Sighting) -> tuple[object, ...]:
    found = one.detection
    return (one.place, found.rule.id, found.start, found.end, found.material, one.line, one.match, one.allow)


def test_a_second_scan_reads_nothing_again_and_says_the_same(tmp_path: Path) -> None:
    folder = imported(tmp_path / "many.git", [{"file": b"%d\n" % number * 50 + token(number)} for number in range(20)])
    git(folder, "tag", "-a", "-m", token(99).decode(), "one", "main")
    git(folder, "repack", "-adfq")
    cache = tmp_path / "cache"
    fresh = look(folder)
    first = look(folder, cache_dir=cache)
    again = look(folder, cache_dir=cache)
    assert _plain(fresh) == _plain(first) == _plain(again)
    assert (again.stats.blobs, again.stats.cached) == (0, first.stats.blobs)


def test_only_new_objects_are_read_and_join_what_was_found(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    commit(folder, content=token(1))
    look(folder, cache_dir=cache)
    commit(folder, content=b"more\n" + token(1))
    commit(folder, "other", token(2))
    result = look(folder, cache_dir=cache)
    assert result.stats.blobs == 4  # two commits, two files
    assert _plain(result) == _plain(look(folder))
    git(folder, "gc", "-q", "--prune=now")
    assert _plain(look(folder, cache_dir=cache)) == _plain(look(folder))


def test_what_moves_without_new_objects_is_placed_again(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    commit(folder, content=b"start")
    commit(folder, content=token())
    assert look(folder, cache_dir=cache).sightings[0].place.in_head
    git(folder, "reset", "-q", "--hard", "HEAD~1")
    assert not look(folder, cache_dir=cache).sightings[0].place.in_head


def test_the_cache_is_private_holds_no_credential_and_counts_as_none_when_damaged(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    commit(folder, content=b"key " + token())
    expected = _plain(look(folder, cache_dir=cache))
    [file] = cache.iterdir()
    assert (cache.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    good = file.read_bytes()
    assert token() not in good
    assert token()[4:] not in good
    for broken in (b"", good[:-5], b"0" * 64 + good[64:], good.replace(b'"packs"', b'"sacks"')):
        file.write_bytes(broken)
        result = look(folder, cache_dir=cache)
        assert _plain(result) == expected
        assert result.stats.cached == 0
    file.chmod(0o644)
    assert scan_cache.load(cache, file.name) is None


def test_an_incomplete_scan_is_not_remembered(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    commit(folder, content=b"x" * 5000)
    for _ in range(2):
        assert look(folder, cache_dir=cache, max_size=4000).skipped
    assert not list(cache.glob("*"))


def children() -> set[int]:
    """The processes that this one has started and not yet buried."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.add(int(stat.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads the list of processes from /proc")
def test_nobody_is_left_behind_when_a_scan_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = imported(tmp_path / "many.git", [{"file": b"%d " % number + token(number)} for number in range(50)])
    git(folder, "repack", "-adfq")
    monkeypatch.setattr("orchestra_creds.scanner.git.jobs.JOB", 1)

    class Impatient(NoProgress):
        def advance(self, *, items: int = 0, size: int = 0) -> None:  # noqa: ARG002  as the port has it
            raise KeyboardInterrupt

    before = children()
    with pytest.raises(KeyboardInterrupt):
        look(folder, jobs=2, progress=Impatient())
    assert children() <= before


def test_the_limit_without_one_is_generous() -> None:
    assert history.LIMIT >= 1 << 28


def test_a_history_that_git_cannot_walk_is_incomplete(folder: Path) -> None:
    commit(folder, "deep", token(1))
    tree = git(folder, "rev-parse", "HEAD^{tree}").decode().strip()
    (folder / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    result = look(folder)
    assert held(result) == {token(1)}
    assert [one.path for one in result.skipped] == ["history"]
