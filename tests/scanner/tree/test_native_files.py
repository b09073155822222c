"""The compiled way to list folders and to read small files reports what the Python way does."""

import os
import random
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.scanner.buffers import SEPARATOR
from orchestra_creds.scanner.finding import ScanReport
from orchestra_creds.scanner.tree import batch_scan, inventory
from tests.scanner.trees import look, take_inventory, token, write

try:
    from orchestra_creds.scanner import _files as native
    from orchestra_creds.scanner._files import fill, walk
except ImportError:
    native = None  # type: ignore[assignment]

COMPILED = pytest.mark.skipif(native is None, reason="the C extension was not built here, or this is no Linux")
ROOM = 4096


@pytest.fixture
def mean(tmp_path: Path) -> Path:
    """A tree with everything in it that is no plain small file."""
    root = tmp_path / "tree"
    rng = random.Random(7)
    plain = {f"d{n % 9}/e{n % 5}/f{n}.txt": rng.randbytes(3).hex().encode() * n + b" " + token(n) for n in range(120)}
    write(root, plain)
    write(
        root,
        {
            "empty": b"",
            "wide.txt": ("k = " + token(200).decode()).encode("utf-16"),
            "zeros.bin": b"\0" * 900 + token(201),
            "zeros-behind.bin": b"x" * 1100 + b"\0\0 " + token(202),
            "large.txt": b"line\n" * 300_000 + token(203),
            "almost.txt": b"y" * (batch_scan.BATCH - 60) + b" " + token(204),
            "P": b"P " + token(205),
            "broken.zip": b"PK\3\4" + b"?" * 40 + token(206),
            "self.pyz": b"#!python\n" + token(207) + b"PK\5\6" + bytes(18),
            ".git/config": token(208),
            "a/.git/x": token(209),
            "a/.gitignore": b"*",
            "odd\n\x1b name": token(210),
        },
    )
    (root / "link").symlink_to("empty")
    (root / "d1" / "out").symlink_to("/etc")
    (root / "gone").symlink_to(token(211).decode())
    os.mkfifo(root / "pipe")
    deep = root
    for _ in range(70):
        deep /= "n"
    write(deep, {"bottom": token(212), "m/lower": token(213)})
    return root


def places(report: ScanReport) -> list[object]:
    return [(one.rule, one.places, one.decoded) for one in report.findings]


@COMPILED
def test_both_ways_report_the_same(mean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(mean / "s"))
        for more in ({}, {"jobs": 2}, {"max_size": 900}, {"exclude": ("d1", "*.zip")}):
            compiled = look(mean, **more)
            with monkeypatch.context() as patched:
                patched.setattr(batch_scan, "fill", None)
                patched.setattr(inventory, "walk", None)
                plain = look(mean, **more)
            assert places(plain) == places(compiled)
            assert plain.skipped == compiled.skipped
            assert (plain.stats.blobs, plain.stats.bytes) == (compiled.stats.blobs, compiled.stats.bytes)
            assert len(compiled.findings) > 90 or more


@COMPILED
def test_both_ways_list_the_same(mean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def listed(path: Path) -> object:
        found = take_inventory(path, all_files=True)
        return found.files, sorted((one.path, one.reason) for one in found.skipped)

    for path in (mean, mean / "d1", mean / "n" / "n"):
        compiled = listed(path)
        with monkeypatch.context() as patched:
            patched.setattr(inventory, "walk", None)
            assert listed(path) == compiled


@COMPILED
def test_a_listing_leaves_what_is_too_deep_or_closed_to_the_caller(mean: Path) -> None:
    fd = os.open(mean, os.O_RDONLY)
    try:
        files, left, odd = walk(fd, b"top/")
        assert left == [b"top" + b"/n" * 65]
        assert odd == [b"top/pipe"]
        assert b"top/d1/out" in files
        assert not any(b".git/" in path for path in files)
    finally:
        os.close(fd)


@COMPILED
@given(st.lists(st.integers(0, 1500), min_size=1, max_size=12), st.integers(0, 900))
def test_files_are_read_one_behind_the_other_as_far_as_there_is_room(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], at: int
) -> None:
    root = tmp_path_factory.mktemp("files")
    contents = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    write(root, {f"{number}": content for number, content in enumerate(contents)})
    paths = [f"{number}".encode() for number in range(len(sizes))]
    buffer = bytearray(b"?" * (ROOM + len(SEPARATOR)))
    fd = os.open(root, os.O_RDONLY)
    try:
        following, end, spans, kept, odd = fill(fd, paths, 0, len(paths), buffer, at, ROOM, 1200)
    finally:
        os.close(fd)
    read = iter(zip(spans, kept, strict=True))
    for path, content in zip(paths[:following], contents, strict=False):
        if path in odd:
            assert len(content) > 1200 or content[:1] == b"B"  # as a bzip2 archive begins
            continue
        (start, stop), name = next(read)
        assert (name, bytes(buffer[start:stop]), bytes(buffer[stop : stop + 3])) == (path, content, SEPARATOR)
        assert start == at
        at = stop + len(SEPARATOR)
    assert (next(read, None), at) == (None, end)
    assert following == len(paths) or len(contents[following]) > ROOM - at


@COMPILED
@pytest.mark.parametrize("wrong", [{"stop": 2}, {"first": -1}, {"at": -1}, {"end": ROOM + 1}])
def test_nothing_outside_of_the_paths_or_the_buffer_is_touched(wrong: dict[str, int], tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    arguments = {"first": 0, "stop": 1, "at": 0, "end": ROOM} | wrong
    first, stop, at, end = arguments.values()
    try:
        with pytest.raises(ValueError, match="outside"):
            fill(fd, [b"x"], first, stop, bytearray(ROOM + len(SEPARATOR)), at, end, ROOM)
    finally:
        os.close(fd)


@COMPILED
@pytest.mark.parametrize("path", [b"../secret", b"/etc/passwd", b"link/file", b"to", b"missing", b""])
def test_a_path_that_leaves_the_folder_is_not_opened(path: bytes, tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(root, {"in/file": b"x"})
    write(tmp_path, {"secret": b"x"})
    (root / "link").symlink_to("in")
    (root / "to").symlink_to("in/file")
    fd = os.open(root, os.O_RDONLY)
    try:
        assert fill(fd, [path], 0, 1, bytearray(ROOM), 0, 100, 100)[2:] == ([], [], [path])
    finally:
        os.close(fd)
