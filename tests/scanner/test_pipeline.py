import gc
import io
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_creds.core.progress import NoProgress
from orchestra_creds.errors import ConfigError, NotFoundError, PreconditionError
from orchestra_creds.scanner.content.archives import ArchiveLimits
from orchestra_creds.scanner.content.blobscan import MOST_SIGHTINGS, BlobScan
from orchestra_creds.scanner.content.explore import ExploreResult
from orchestra_creds.scanner.detection import Sighting
from orchestra_creds.scanner.engine.budget import places_of
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.parallel import workers
from orchestra_creds.scanner.parallel.wire import SightingCodec
from orchestra_creds.scanner.parallel.workers import Answer, WorkerDeath
from orchestra_creds.scanner.tree.batch_scan import BATCH
from orchestra_creds.scanner.tree.inventory import Inventory
from orchestra_creds.scanner.tree.tree_scan import scan_tree
from tests.scanner.trees import ENGINE, RULE, as_utf8, git, look, places, repository, scan_whole, skipped, token, write


def spots(sightings: list[Sighting]) -> list[tuple[str, int, int, int, int, bytes]]:
    return sorted(
        (s.place.path, s.place.line, s.place.column, s.detection.start, s.detection.end, s.line.reveal())
        for s in sightings
    )


def run_tree(root: Path, jobs: int, engine: Engine = ENGINE) -> ExploreResult:
    files = sorted(str(p.relative_to(root)).encode() for p in root.rglob("*") if p.is_file())
    inventory = Inventory(os.fsencode(root), files)
    return scan_tree(engine, inventory, jobs=jobs, limits=ArchiveLimits(), max_size=0, progress=NoProgress())


PIECES = st.lists(
    st.sampled_from(
        [token(1), token(2), b"tok_", b"\n", b" ", b"\0", "é".encode(), b"x" * 3000, b"\xff\xfe", b"PK\3\4"]
    ),
    max_size=12,
).map(b"".join)


@given(st.lists(PIECES, max_size=8))
@settings(max_examples=60, deadline=None)
def test_batches_find_what_each_file_by_itself_holds(contents: list[bytes]) -> None:
    import tempfile

    from orchestra_creds.scanner.content.explore import Explorer
    from orchestra_creds.scanner.tree.batch_scan import TreeScan

    with tempfile.TemporaryDirectory() as folder:
        files = [b"%d" % number for number in range(len(contents))]
        for name, content in zip(files, contents, strict=True):
            Path(folder, name.decode()).write_bytes(content)
        scan = TreeScan(
            Explorer(ENGINE, limits=ArchiveLimits(depth=0)),
            os.fsencode(folder),
            files,
            named=(),
            passed=lambda _files, _size: None,
        )
        found = [s for gathered, _ in scan.run([range(len(files))]) for s in gathered.sightings]
    alone = [
        s
        for name, content in zip(files, contents, strict=True)
        for text in (content, as_utf8(content) or b"")
        for s in scan_whole(ENGINE, text, name.decode())
    ]
    assert spots(found) == spots(alone)


@given(st.integers(0, 2**32), st.integers(1, 60), st.sampled_from([b"\n", b" ", b""]), st.integers(1, 90_000))
@settings(max_examples=25, deadline=None)
def test_windows_find_what_the_whole_holds(seed: int, count: int, end: bytes, piece: int) -> None:
    rng = random.Random(seed)
    parts = []
    for number in range(count):
        parts += [rng.choice([b"x", b"\n", "é".encode(), b"z\n"]) * rng.randrange(9000), token(number), end]
    data = b"".join(parts)
    scan = BlobScan(ENGINE, "f", window=70_000)
    for start in range(0, len(data), piece):
        scan.feed(data[start : start + piece])
    assert spots(scan.finish()) == spots(scan_whole(ENGINE, data, "f"))


@given(st.lists(st.tuples(st.integers(0, 400_000), PIECES), min_size=1, max_size=4), st.integers(1, 300_000))
@settings(max_examples=40, deadline=None)
def test_zeros_that_are_passed_over_move_nothing(parts: list[tuple[int, bytes]], piece: int) -> None:
    data = b"\xc3" + b"".join(bytes(zeros) + content for zeros, content in parts) + bytes(100_000) + token(9)
    scan = BlobScan(ENGINE, "f", window=70_000)
    for start in range(0, len(data), piece):
        scan.feed(data[start : start + piece])
    assert spots(scan.finish()) == spots(scan_whole(ENGINE, data, "f"))


def test_a_hole_in_a_file_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    find, looks = Engine.find_hits, iter(range(3))

    def find_hits(engine: Engine, data: bytes) -> list[tuple[int, int]]:
        assert next(looks, None) is not None
        return find(engine, data)

    monkeypatch.setattr(Engine, "find_hits", find_hits)
    scan = BlobScan(ENGINE, "f")
    scan.feed(b"x" * (256 << 10))
    for _ in range(400):
        scan.feed(bytes(256 << 10))
    scan.feed(token(1))
    (found,) = scan.finish()
    assert found.detection.start == 401 * (256 << 10) == found.place.column - 1


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    files = {f"d{n % 7}/f{n}.txt": b"\n" * (n % 5) + (token(n) if n % 10 == 0 else b"nothing") for n in range(400)}
    files["large.bin"] = b"x" * (3 * BATCH) + b"\n" + token(5) + b" " + token(6) + b"\n" + b"-" * BATCH + token(7)
    return write(tmp_path / "tree", files)


def test_any_number_of_workers_reports_the_same(tree: Path) -> None:
    one, two, many = run_tree(tree, 1), run_tree(tree, 2), run_tree(tree, 5)
    assert len(one.sightings) == 43
    assert spots(one.sightings) == spots(two.sightings) == spots(many.sightings)
    assert one.blobs == two.blobs == 401
    assert one.size == two.size == many.size


def test_threads_report_the_same_where_forking_is_not_safe(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forked = run_tree(tree, 2)
    monkeypatch.setattr(workers, "can_fork", lambda: False)
    assert spots(run_tree(tree, 2).sightings) == spots(forked.sightings)


def test_large_files_are_scanned_in_pieces_with_true_lines(tree: Path) -> None:
    found = [s for s in run_tree(tree, 1).sightings if s.place.path == "large.bin"]
    assert [(s.place.line, s.place.column) for s in found] == [(2, 1), (2, 38), (3, BATCH + 1)]
    assert [s.detection.start for s in found][:1] == [3 * BATCH + 1]


class Fatal(Engine):
    """An engine that dies on one file, as on a fault in native code or for want of memory."""

    def find_hits(self, data: object) -> list[tuple[int, int]]:
        if b"die here" in bytes(data):  # type: ignore[call-overload]
            os.kill(os.getpid(), signal.SIGKILL)
        return super().find_hits(data)  # type: ignore[arg-type]


def test_files_of_a_killed_worker_are_named_and_the_rest_is_kept(tree: Path) -> None:
    for path in tree.glob("d*/*.txt"):
        path.write_bytes(path.read_bytes() + b"\n" * 20_000)  # several batches
    write(tree, {"d3/f9999.txt": b"die here"})
    engine = Fatal(ENGINE.rules, ENGINE._matcher, ENGINE.kind)
    found = run_tree(tree, 2, engine)
    lost = {item.path for item in found.skipped}
    assert "d3/f9999.txt" in lost
    assert all(item.reason == "the process that read it was killed by signal 9" for item in found.skipped)
    kept = {s.place.path for s in found.sightings}
    assert kept
    whole = {s.place.path for s in run_tree(tree, 1).sightings}
    assert whole - kept <= lost


def test_every_token_is_served_once_and_deaths_are_told() -> None:
    def serve(tokens: Iterator[range], answer: Answer) -> None:
        for drawn in tokens:
            if drawn.start == 30:
                os.kill(os.getpid(), signal.SIGTERM)
            answer(b"%d" % drawn.start)

    answers = list(workers.run_in_processes(serve, workers.tokens(100, 2, 10), 2))
    assert sorted(int(a) for a in answers if isinstance(a, bytes)) == [0, 10, 20, 40, 50, 60, 70, 80, 90]
    assert [a for a in answers if isinstance(a, WorkerDeath)] == [WorkerDeath(signal.SIGTERM)]


def test_a_worker_that_fails_says_nothing_and_is_a_death(capfd: pytest.CaptureFixture[str]) -> None:
    def serve(_tokens: Iterator[range], _answer: Answer) -> None:
        raise ValueError(token().decode())

    assert list(workers.run_in_processes(serve, [range(1)], 1)) == [WorkerDeath(0)]
    assert capfd.readouterr() == ("", "")


def test_no_worker_outlives_the_one_who_asked() -> None:
    def serve(tokens: Iterator[range], answer: Answer) -> None:
        for _ in tokens:
            answer(b"%d" % os.getpid())
            signal.pause()

    answers = workers.run_in_processes(serve, [range(1), range(1, 2)], 2)
    pids = [int(a) for a in (next(answers), next(answers)) if isinstance(a, bytes)]
    del answers  # what an exception in the middle of the loop does
    gc.collect()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_large_answers_arrive_whole() -> None:
    def serve(tokens: Iterator[range], answer: Answer) -> None:
        for drawn in tokens:
            answer(bytes([drawn.start]) * 1_000_000)

    answers = list(workers.run_in_processes(serve, workers.tokens(6, 2, 1), 2))
    assert sorted(set(a) == {a[0]} and len(a) for a in answers if isinstance(a, bytes)) == [1_000_000] * 6


def test_work_is_shared_out_without_gaps() -> None:
    for count in (0, 1, 63, 64, 65, 999_999):
        work = workers.tokens(count, 2, 64)
        assert [n for token_ in work for n in (token_.start, token_.stop)] == [
            n for start in [t.start for t in work] for n in (start, min(start + (work[0].stop), count))
        ]
        assert len(work) <= workers.MOST_TOKENS


def test_sightings_travel_whole_between_processes() -> None:
    sightings = scan_whole(ENGINE, b"a\n  x = " + token() + b" # gitleaks:allow\n", "odd\udcff")
    wire = SightingCodec(ENGINE.rules)
    again, more = wire.loads(wire.dumps(sightings, 1, "two", [b"3"]))
    assert again == sightings
    assert more == (1, "two", [b"3"])


INTERRUPTED = """
import sys
from orchestra_creds.scanner.parallel import workers
def serve(tokens, answer):
    import os, time
    for _ in tokens:
        answer(b"%d" % os.getpid())
        time.sleep(60)
import signal
def terminated(*_): raise SystemExit(143)
signal.signal(signal.SIGTERM, terminated)
for answer in workers.run_in_processes(serve, workers.tokens(2, 2, 1), 2):
    print(int(answer), flush=True)
"""


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_leave_no_orphan(sent: signal.Signals, code: int) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, process_group=0
    )
    assert child.stdout is not None
    pids = [int(child.stdout.readline()) for _ in range(2)]
    child.send_signal(sent)
    assert child.wait(timeout=20) == code
    child.stdout.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_worker_whose_parent_is_gone_ends_by_itself() -> None:
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            INTERRUPTED.replace("time.sleep(60)", "time.sleep(0.05)").replace("(2, 2, 1)", "(900, 2, 1)"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert child.stdout is not None
    pids = {int(child.stdout.readline()) for _ in range(4)}
    child.kill()
    child.wait()
    child.stdout.close()
    deadline = time.monotonic() + 20
    for pid in pids:
        while _runs(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_tree_is_reported_by_path_and_line(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": b"\nx = " + token() + b"\n", "b/c.py": token(2), "d.py": b"clean"})
    report = look(tmp_path)
    assert places(report) == ["a.py:2", "b/c.py:1"]
    assert report.root == str(tmp_path)
    assert report.complete
    assert report.exit_code == 1
    assert (report.stats.blobs, report.stats.bytes) == (3, 83)


def test_progress_hears_of_every_file_and_byte(tree: Path) -> None:
    class Count(NoProgress):
        items = size = 0

        def advance(self, *, items: int = 0, size: int = 0) -> None:
            self.items += items
            self.size += size

    for jobs in (1, 2):
        count = Count()
        files = sorted(str(p.relative_to(tree)).encode() for p in tree.rglob("*") if p.is_file())
        inventory = Inventory(os.fsencode(tree), files)
        found = scan_tree(ENGINE, inventory, jobs=jobs, limits=ArchiveLimits(), max_size=0, progress=count)
        assert (count.items, count.size) == (401, found.size)


def test_a_missing_path_is_not_clean_and_an_empty_folder_is(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="gone"):
        look(tmp_path / "gone")
    assert look(tmp_path).exit_code == 0


@pytest.mark.parametrize("source", ["history", "staged", "since"])
def test_a_repository_source_needs_a_repository(source: str, tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match="not in a git repository"):
        look(tmp_path, source=source)
    with pytest.raises(NotFoundError):
        look(tmp_path / "gone", source=source)
    with pytest.raises(ConfigError, match="takes one folder"):
        look(tmp_path, tmp_path, source=source)


def test_a_revision_that_does_not_exist_is_named(tmp_path: Path) -> None:
    repository(tmp_path)
    with pytest.raises(NotFoundError, match="no such revision: nowhere"):
        look(tmp_path, source="since", since="nowhere")


def test_too_large_files_are_named(tmp_path: Path) -> None:
    write(tmp_path, {"big": token() + b"x" * 1000, "small": token(1)})
    report = look(tmp_path, max_size=100)
    assert skipped(report) == {"big": "larger than 100 bytes"}
    assert places(report) == ["small:1"]
    assert report.exit_code == 5


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("padding", [0, BATCH])
def test_text_in_other_encodings_has_true_lines(encoding: str, padding: int, tmp_path: Path) -> None:
    text = f"one\nключ é = {token().decode()}\n" + "filler\n" * (padding // 7)
    if encoding in {"utf-16-le", "utf-16-be"}:
        text = "a longer line of ascii text, as such files have\n" + text.replace("ключ", "key")
    write(tmp_path, {"a.txt": text.encode(encoding)})
    place = look(tmp_path).findings[0].first
    expected = (3, 9) if encoding in {"utf-16-le", "utf-16-be"} else (2, 10)
    assert (place.line, place.column) == expected


def test_a_false_mark_hides_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": b"\xff\xfe" + b"x = " + token() + b"\n"})
    assert places(look(tmp_path)) == ["a.txt:1"]


def test_archives_of_a_tree_are_opened_small_and_large(tmp_path: Path) -> None:
    import zipfile

    for name, padding in (("small.zip", 10), ("large.zip", 2 * BATCH)):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("x.bin", random.Random(1).randbytes(padding))
            archive.writestr("in/y.py", b"\n" + token() + b"\n")
    assert places(look(tmp_path)) == ["large.zip!in/y.py:2", "small.zip!in/y.py:2"]


def test_one_file_of_nothing_but_tokens_is_cut_and_says_so(tmp_path: Path) -> None:
    small, large = (b"".join(token(n % 99) + b"\n" for n in range(count * MOST_SIGHTINGS)) for count in (1, 6))
    write(tmp_path, {"a.txt": small, "b.txt": large})
    report = look(tmp_path)
    assert set(skipped(report)) == {"a.txt", "b.txt"}
    assert len(places(report)) == places_of(len(small)) + MOST_SIGHTINGS


Feed = Callable[[bytes], None]


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Feed]:
    saved = os.dup(0)

    def feed(content: bytes) -> None:
        import tempfile

        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.seek(0)
            os.dup2(file.fileno(), 0)

    yield feed
    os.dup2(saved, 0)
    os.close(saved)


def test_standard_input_is_scanned_to_its_end(stdin: Feed) -> None:
    stdin(b"x" * (3 * BATCH) + b"\n" + token())
    report = look("-")
    assert places(report) == ["-:2"]
    assert report.source == "stdin"


def test_standard_input_may_be_an_archive(stdin: Feed) -> None:
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.py", token())
    stdin(out.getvalue())
    assert places(look("-")) == ["-!x.py:1"]


def test_standard_input_and_files_share_a_report(stdin: Feed, tmp_path: Path) -> None:
    stdin(token())
    write(tmp_path, {"a": token()})
    assert places(look(tmp_path, "-")) == ["-:1", "a:1"]


def test_empty_standard_input_is_clean(stdin: Feed) -> None:
    stdin(b"")
    assert look("-").exit_code == 0


def test_a_closed_standard_input_is_not_clean() -> None:
    saved = os.dup(0)
    os.close(0)
    try:
        assert look("-").exit_code == 5
    finally:
        os.dup2(saved, 0)
        os.close(saved)


def test_staged_content_is_that_of_the_index_not_of_the_disk(tmp_path: Path) -> None:
    repo = write(repository(tmp_path / "r"), {"a.py": b"x = " + token(1), "b.py": b"clean"})
    git(repo, "add", ".")
    write(repo, {"a.py": b"clean", "b.py": token(2)})
    report = look(repo, source="staged")
    assert places(report) == ["a.py:1"]
    assert report.source == "staged"


def test_staged_is_what_changes_against_the_last_commit(tmp_path: Path) -> None:
    repo = write(repository(tmp_path / "r"), {"old.py": token(1), "moved.py": token(2), "sub/x": b""})
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "one")
    assert look(repo, source="staged").stats.blobs == 0
    git(repo, "mv", "moved.py", "sub/there.py")
    git(repo, "rm", "-q", "old.py")
    write(repo, {"new.py": token(3), "later.py": token(4), "link": b""})
    (repo / "link").unlink()
    (repo / "link").symlink_to("https://user:" + token(5).decode() + "@host/")
    git(repo, "add", "new.py", "link")
    git(repo, "add", "-N", "later.py")
    assert places(look(repo / "sub", source="staged")) == ["link:1", "new.py:1"]  # a renamed file adds nothing
    assert places(look(repo, source="staged", exclude=("new.py",))) == ["link:1"]
    assert set(skipped(look(repo, source="staged", max_size=36))) == {"link"}


def test_the_baseline_of_the_scanned_root_counts_and_is_named(tmp_path: Path) -> None:
    from orchestra_creds.scanner.baseline.file import Baseline, accept, save
    from orchestra_creds.scanner.file_names import BASELINE_FILE
    from orchestra_creds.scanner.fingerprint import parse_key
    from tests.scanner.trees import NOW

    variables = {"ORCHESTRA_CREDS_FINGERPRINT_KEY": "ab" * 32}
    write(tmp_path, {"a.py": token(1), "b.py": token(2)})
    found = look(tmp_path, environment=variables).findings
    key = parse_key(b"ab" * 32, "test")
    accepted = accept(Baseline(key.id), found[:1], reason="a test", author="A", today=NOW.date())
    save(tmp_path / BASELINE_FILE, accepted)
    report = look(tmp_path, environment=variables)
    assert (report.accepted, len(report.findings)) == (1, 1)
    assert any(BASELINE_FILE in note for note in report.notes)
    assert look(tmp_path, environment=variables, baseline="").accepted == 0
    with pytest.raises(NotFoundError, match="baseline"):
        look(tmp_path, environment=variables, baseline=str(tmp_path / "gone.json"))


def test_the_same_tree_gives_the_same_report(tree: Path) -> None:
    variables = {"ORCHESTRA_CREDS_FINGERPRINT_KEY": "ab" * 32}
    one, two = (look(tree, environment=variables, jobs=jobs) for jobs in (1, 3))
    assert one.findings == two.findings
    assert one.skipped == two.skipped == ()


def test_nothing_that_a_scan_returns_or_raises_shows_material(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": b"x = " + token(1)})
    assert token(1).decode() not in repr(look(tmp_path))
    assert token(1).decode() not in repr(run_tree(tmp_path, 1))
    assert RULE.id in repr(look(tmp_path))
