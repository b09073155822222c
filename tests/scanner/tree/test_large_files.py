"""A large file that several workers share: the same findings as one worker has, wherever the parts begin."""

import itertools
import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_creds.scanner.content import blobscan
from orchestra_creds.scanner.content.blobscan import AFTER_PART, BEFORE_PART, BlobScan
from orchestra_creds.scanner.detection import Sighting
from orchestra_creds.scanner.parallel import workers
from orchestra_creds.scanner.tree import large_files
from orchestra_creds.scanner.tree.large_files import FilePart, PartResult, merge_parts, plan_parts, scan_part
from tests.scanner.trees import ENGINE, look, places, skipped, token

LEAST = BEFORE_PART + AFTER_PART
SIZE = 6 * LEAST
FILLERS = (
    b"plain words and more of them\n",
    "größer — naïve…\n".encode(),
    b"\xef\xbb\xbfmarked\n",
    b"\0" * 40 + b"\n",
    b"\x80\x81\n",
)


def told(sightings: list[Sighting]) -> list[object]:
    return [(one.detection, one.place, one.line, one.match, one.allow) for one in sightings]


def whole(data: bytes) -> list[Sighting]:
    scan = BlobScan(ENGINE, "f")
    scan.feed(data)
    return scan.finish()


def in_parts(data: bytes, cuts: list[int]) -> list[Sighting]:
    edges = [0, *cuts, len(data)]
    parts = [FilePart(b"f", low, high, high == len(data)) for low, high in itertools.pairwise(edges)]
    results = [scan_part(ENGINE, part, lambda size, at: data[at : at + size], lambda _size: None) for part in parts]
    assert sum(result.size for result in results) == len(data)
    return merge_parts("f", results, ENGINE).sightings


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(1, 40))
def test_parts_find_what_one_scan_finds(draw: int, number: int, credentials: int) -> None:
    rng = random.Random(draw)
    lines: list[bytes] = []
    while (size := sum(map(len, lines))) < SIZE:
        lines.append(rng.choice(FILLERS) * rng.randrange(1, 4000 if size else 2))
    text = bytearray(b"".join(lines))
    starts = [at + 1 for at in range(LEAST, len(text) - LEAST) if text[at] == 10 and text[at + 1] & 0xC0 != 0x80]
    cuts: list[int] = []
    for cut in sorted(rng.sample(starts, min(number, len(starts)))):
        if not cuts or cut - cuts[-1] > LEAST:
            cuts.append(cut)
    for seed in range(credentials):
        value = b" " + token(seed) + rng.choice([b" ", b"\n", b" # orchestra-creds: allow=a test\n"])
        near = rng.randrange(len(text))
        if cuts and rng.random() < 0.8:  # where two parts see the same text
            near = rng.choice(cuts) + rng.randrange(-60, LEAST + 60)
        at = min(max(near, 0), len(text) - len(value))
        if not any(at < cut <= at + len(value) for cut in cuts):  # the line ends that the parts begin behind stay
            text[at : at + len(value)] = value
    data = bytes(text)
    assert told(in_parts(data, cuts)) == told(whole(data))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Files of a megabyte are shared, in parts of 300 KB; the numbers of the parts that were planned."""
    planned: list[int] = []
    plan = large_files.plan_parts

    def count(path: bytes, fd: int) -> list[FilePart]:
        parts = plan(path, fd)
        planned.append(len(parts))
        return parts

    monkeypatch.setattr(large_files, "SHARED_FROM", 1 << 20)
    monkeypatch.setattr(large_files, "PART", 300_000)
    monkeypatch.setattr("orchestra_creds.scanner.tree.tree_scan.plan_parts", count)
    return planned


def large_text(credentials: int) -> bytes:
    lines = [b"line %d of a log that goes on and on, with nothing in it\n" % number for number in range(60_000)]
    for seed in range(credentials):
        lines[seed * (60_000 // credentials)] += b"key = " + token(seed) + b"\n"
    return b"".join(lines)


@pytest.mark.parametrize("forks", [True, False], ids=["processes", "threads"])
def test_a_shared_file_has_the_report_of_one_worker(
    forks: bool, tmp_path: Path, small_parts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "large.log").write_bytes(large_text(30))
    (tmp_path / "small.txt").write_bytes(token(99) + b"\n")
    alone = look(tmp_path, jobs=1)
    assert small_parts == []
    if not forks:
        monkeypatch.setattr(workers, "can_fork", lambda: False)
    shared = look(tmp_path, jobs=2)
    assert sum(small_parts) > 5
    assert [one.places for one in shared.findings] == [one.places for one in alone.findings]
    assert len(shared.findings) == 31
    assert (shared.stats.blobs, shared.stats.bytes, shared.skipped) == (alone.stats.blobs, alone.stats.bytes, ())


@pytest.mark.parametrize("head", ["wide", "archive", "one line"])
def test_what_has_no_parts_is_scanned_as_before(head: str, tmp_path: Path, small_parts: list[int]) -> None:
    text = large_text(5)
    content = {
        "wide": text.decode().encode("utf-16"),
        "archive": b"\x1f\x8b\x08" + text,
        "one line": text.replace(b"\n", b" "),
    }[head]
    (tmp_path / "large").write_bytes(content)
    alone, shared = look(tmp_path, jobs=1), look(tmp_path, jobs=2)
    assert (places(shared), skipped(shared)) == (places(alone), skipped(alone))
    assert small_parts == ([1] if head == "one line" else [])


def test_too_many_matches_are_cut_and_told_as_before(
    tmp_path: Path, small_parts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobscan, "MOST_SIGHTINGS", 40)
    monkeypatch.setattr(large_files, "MOST_SIGHTINGS", 40)
    (tmp_path / "large.log").write_bytes(large_text(100))
    alone, shared = look(tmp_path, jobs=1), look(tmp_path, jobs=2)
    assert len(places(shared)) == 40
    assert (places(shared), skipped(shared)) == (places(alone), skipped(alone))
    assert skipped(shared) == {"large.log": blobscan.TOO_MANY}


def test_a_worker_that_dies_leaves_no_clean_report(
    tmp_path: Path, small_parts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "large.log").write_bytes(large_text(30))

    def die(_self: object, number: int, _answer: object) -> PartResult:
        os._exit(9)

    monkeypatch.setattr(large_files.PartScanner, "_serve_part", die)
    report = look(tmp_path, jobs=2)
    assert skipped(report) == {"large.log": "the process that read a part of it failed"}
    assert report.exit_code == 5


def test_a_file_that_shrinks_while_it_is_read_ends_there() -> None:
    data = large_text(10)
    part = FilePart(b"f", 0, len(data), is_last=True)
    half = data[: len(data) // 2]
    found = scan_part(ENGINE, part, lambda size, at: half[at : at + size], lambda _size: None)
    assert found.size == len(half)
    assert len(merge_parts("f", [found], ENGINE).sightings) == sum(half.count(token(seed)) for seed in range(10))


def test_parts_begin_at_lines_and_cover_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_files, "PART", 4 * LEAST)
    path = tmp_path / "f"
    path.write_bytes(large_text(1))
    fd = os.open(path, os.O_RDONLY)
    parts = plan_parts(b"f", fd)
    os.close(fd)
    data = path.read_bytes()
    assert [part.start for part in parts[1:]] == [part.stop for part in parts[:-1]]
    assert (parts[0].start, parts[-1].stop, parts[-1].is_last) == (0, len(data), True)
    assert len(parts) > 3
    assert all(data[part.start - 1 : part.start] == b"\n" for part in parts[1:])
