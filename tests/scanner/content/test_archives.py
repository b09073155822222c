import bz2
import gzip
import io
import lzma
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_creds.scanner.content import tar
from orchestra_creds.scanner.content.archives import ArchiveLimits
from orchestra_creds.scanner.content.explore import Explorer, ExploreResult
from orchestra_creds.scanner.content.formats import ArchiveKind, kind_of
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.rule import Rule, Severity
from orchestra_creds.scanner.samples.sample import render

RULE = Rule("fake-token", "a test", r"tok_[0-9a-f]{32}", Severity.HIGH, "none", "none", ())
ENGINE = Engine.open([RULE])
TOKEN = render("tok_{hex:32}", seed=1).encode()
TEXT = b"# a comment\nkey = " + TOKEN + b"\n"


def explore(
    content: bytes, *, limits: ArchiveLimits | None = None, max_size: int = 0, path: str = "a"
) -> ExploreResult:
    explorer = Explorer(ENGINE, limits=limits or ArchiveLimits(), max_size=max_size)
    explorer.scan_bytes(content, path)
    return explorer.gathered


def places(gathered: ExploreResult) -> list[str]:
    return sorted(f"{s.place.path}:{s.place.line}" for s in gathered.sightings)


def zipped(*members: tuple[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, how)
    return out.getvalue()


def tarred(*members: tuple[str, bytes], layout: int = tarfile.GNU_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=layout) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda content: lzma.compress(content, format=lzma.FORMAT_ALONE),
    "zst": lambda content: zstandard.ZstdCompressor().compress(content),
}


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_member_is_reported_once_with_its_own_line(how: int) -> None:
    gathered = explore(zipped(("in/x.py", TEXT), ("y.py", b"none"), how=how), path="d/a.zip")
    assert places(gathered) == ["d/a.zip!in/x.py:2"]
    assert gathered.skipped == []
    assert gathered.blobs == 3


@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_member_is_found_also_behind_a_long_name(layout: int) -> None:
    long = "/".join(["folder-with-a-name"] * 8) + "/x.py"
    gathered = explore(tarred((long, TEXT), ("é.py", TEXT), layout=layout), path="a.tar")
    assert places(gathered) == sorted([f"a.tar!{long}:2", "a.tar!é.py:2"])


@pytest.mark.parametrize("kind", PACKERS)
def test_a_compressed_file_is_shown_by_its_name_without_the_suffix(kind: str) -> None:
    assert places(explore(PACKERS[kind](TEXT), path=f"d/log.txt.{kind}")) == [f"d/log.txt.{kind}!log.txt:2"]


@pytest.mark.parametrize("kind", PACKERS)
def test_the_members_of_a_packed_tar_are_those_of_the_file(kind: str) -> None:
    packed = PACKERS[kind](tarred(("x.py", TEXT)))
    assert places(explore(packed, path=f"a.tar.{kind}")) == [f"a.tar.{kind}!x.py:2"]
    assert places(explore(packed, path="a.tgz", limits=ArchiveLimits(depth=1))) == ["a.tgz!x.py:2"]


def test_archives_in_archives_are_opened_to_the_depth_asked_for() -> None:
    nested = zipped(("b.tar.gz", gzip.compress(tarred(("c.jar", zipped(("x.py", TEXT)))))))
    assert places(explore(nested, path="a.zip", limits=ArchiveLimits(depth=3))) == ["a.zip!b.tar.gz!c.jar!x.py:2"]
    shallow = explore(nested, path="a.zip", limits=ArchiveLimits(depth=2))
    assert shallow.sightings == []
    assert [(s.path, s.reason) for s in shallow.skipped] == [
        ("a.zip!b.tar.gz!c.jar", "archives nested more than 2 deep were not opened")
    ]


def test_depth_zero_reads_archives_as_bytes_and_says_nothing() -> None:
    stored = explore(zipped(("x.py", TEXT), how=zipfile.ZIP_STORED), path="a.zip", limits=ArchiveLimits(depth=0))
    assert [s.place.path for s in stored.sightings] == ["a.zip"]
    assert stored.skipped == []


def test_bytes_outside_of_any_member_are_scanned_too() -> None:
    out = io.BytesIO(zipped(("x.py", b"clean")))
    with zipfile.ZipFile(out, "a") as archive:
        archive.comment = TOKEN
    assert [s.place.path for s in explore(out.getvalue(), path="a.zip").sightings] == ["a.zip"]


def test_a_program_that_unpacks_itself_is_opened() -> None:
    content = b"#!/usr/bin/env python3\n" + zipped(("x.py", TEXT))
    assert places(explore(content, path="tool.pyz")) == ["tool.pyz!x.py:2"]


def test_several_gzip_streams_in_a_row_are_one_and_padding_is_none() -> None:
    content = gzip.compress(b"one\n") + gzip.compress(TEXT) + b"\0" * 1000
    assert places(explore(content, path="a.gz")) == ["a.gz!a:3"]


def test_what_stands_behind_the_last_stream_does_not_hide_it_and_is_named() -> None:
    gathered = explore(gzip.compress(TEXT) + b"trailing words", path="a.gz")
    assert places(gathered) == ["a.gz!a:2"]
    assert [(s.path, s.reason) for s in gathered.skipped] == [("a.gz!a", "data follows the end of the compressed data")]


def test_a_member_behind_a_password_is_named() -> None:
    content = bytearray(zipped(("x.py", TEXT), ("y.py", TEXT)))
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(mark) + at] |= 1  # the flag of the first member
    gathered = explore(bytes(content), path="a.zip")
    assert [(s.path, s.reason) for s in gathered.skipped] == [("a.zip!x.py", "protected by a password")]
    assert places(gathered) == ["a.zip!y.py:2"]


def test_an_unknown_compression_is_named() -> None:
    content = bytearray(zipped(("x.py", TEXT)))
    for mark, at in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        content[content.index(mark) + at] = 93
    assert [s.reason for s in explore(bytes(content), path="a.zip").skipped] == [
        "compressed in a way that is not supported"
    ]


@pytest.mark.parametrize("kind", PACKERS)
def test_a_truncated_stream_is_named_and_its_beginning_scanned(kind: str) -> None:
    body = TEXT + bytes(render("{b64of:90000}", seed=3), "ascii")
    gathered = explore(PACKERS[kind](body)[:-30000], path=f"a.{kind}")
    assert [s.path for s in gathered.skipped] == [f"a.{kind}!a"]
    assert kind != "gz" or places(gathered) == ["a.gz!a:2"]


def test_a_damaged_member_does_not_hide_the_next() -> None:
    content = bytearray(zipped(("x.py", b"x" * 500), ("y.py", TEXT)))
    content[content.index(b"x.py") + 6] ^= 0xFF
    gathered = explore(bytes(content), path="a.zip")
    assert [s.path for s in gathered.skipped] == ["a.zip!x.py"]
    assert places(gathered) == ["a.zip!y.py:2"]


def test_a_damaged_directory_is_named() -> None:
    content = zipped(("x.py", TEXT))
    assert [s.reason for s in explore(content[:-10], path="a.zip").skipped] == ["the zip's directory is damaged"]


def test_a_damaged_tar_is_named_and_what_stood_before_is_found() -> None:
    content = bytearray(tarred(("x.py", TEXT), ("y.py", TEXT)))
    content[1024] ^= 0xFF
    gathered = explore(bytes(content), path="a.tar")
    assert "a.tar!x.py:2" in places(gathered)
    assert [s.reason for s in gathered.skipped] == ["a tar header is damaged"]


def test_a_member_larger_than_asked_for_is_named() -> None:
    gathered = explore(zipped(("big", b"\n" * 5000), ("x.py", TEXT)), path="a.zip", max_size=1000)
    assert [(s.path, s.reason) for s in gathered.skipped] == [("a.zip!big", "larger than 1,000 bytes")]
    assert places(gathered) == ["a.zip!x.py:2"]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (ArchiveLimits(total=1 << 20), "decompresses to more than 1 MB"),
        (ArchiveLimits(floor=1 << 20, ratio=100), "decompresses to more than 100 times its size"),
    ],
)
def test_a_bomb_ends_at_the_limit_and_is_named(limits: ArchiveLimits, reason: str) -> None:
    bomb = gzip.compress(b"\0" * (8 << 20))
    assert explore(bomb, path="bomb.gz").skipped == []  # the control: it does unfold
    gathered = explore(bomb, path="bomb.gz", limits=limits)
    assert [(s.path, s.reason) for s in gathered.skipped] == [("bomb.gz", reason)]
    assert gathered.size < 4 << 20


def test_a_bomb_of_zstd_needs_no_more_memory_than_a_small_piece_of_it_unfolds_to() -> None:
    bomb = zstandard.ZstdCompressor().compress(b"\0" * (64 << 20))
    tracemalloc.start()
    try:
        gathered = explore(bomb, path="a.zst", limits=ArchiveLimits(ratio=1 << 20))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert gathered.size > 64 << 20
    assert most < 100 << 20


def test_too_many_members_are_named() -> None:
    content = zipped(*((f"{number}", b"x") for number in range(20)))
    assert [s.reason for s in explore(content, limits=ArchiveLimits(members=10)).skipped] == [
        "holds more than 10 members"
    ]


def test_a_zip_in_a_stream_is_read_into_memory_only_up_to_the_limit() -> None:
    inner = zipped(("x.py", TEXT), ("pad", bytes(render("{b64of:3000}"), "ascii")))
    content = tarred(("in.zip", inner))
    assert places(explore(content, path="a.tar")) == ["a.tar!in.zip!x.py:2"]
    gathered = explore(content, path="a.tar", limits=ArchiveLimits(in_memory=1000))
    assert [s.path for s in gathered.skipped] == ["a.tar!in.zip"]


def test_an_extended_tar_header_cannot_ask_for_memory() -> None:
    header = bytearray(tarfile.TarInfo("x").tobuf())
    header[156:157] = b"x"
    header[124:136] = b"%011o\0" % (1 << 32)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    gathered = explore(gzip.compress(bytes(header) + b"\0" * (1 << 20)), path="a.tgz")
    assert [s.reason for s in gathered.skipped] == ["an extended tar header is larger than any name needs"]


def test_an_absurd_zip_directory_is_not_read() -> None:
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 60_000, 60_000, 32 << 20, 0, 0)
    gathered = explore(b"PK\3\4" + b"\0" * (32 << 20) + end, path="a.zip")
    assert len(gathered.skipped) == 1


@pytest.mark.parametrize("name", ["../../outside", "/outside", "a\x1b[2Jb", "a\nb"])
def test_names_of_members_are_data(name: str) -> None:
    assert [s.place.path for s in explore(zipped((name, TEXT)), path="a.zip").sightings] == [f"a.zip!{name}"]


LZMA = lzma.compress(b"", format=lzma.FORMAT_ALONE)[:14]


@given(st.binary(max_size=2000))
@settings(max_examples=150, deadline=None)
def test_no_input_is_more_than_a_skipped_item(content: bytes) -> None:
    for start in (
        b"PK\3\4",
        b"PK\5\6",
        b"\x1f\x8b\x08",
        b"BZh91AY&SY",
        b"\xfd7zXZ\0",
        b"!<arch>\n",
        LZMA,
        tarfile.TarInfo("x").tobuf(),
    ):
        gathered = explore(start + content)
        assert gathered.blobs >= 1


@given(st.integers(0, 3000), st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_no_changed_byte_is_more_than_a_skipped_item(at: int, value: int) -> None:
    for whole in (ZIP, TAR, TGZ):
        content = bytearray(whole)
        content[at % len(content)] = value
        assert explore(bytes(content)).blobs >= 1


ZIP, TAR = zipped(("x", TEXT), ("y", TEXT)), tarred(("x", TEXT), ("y" * 150, TEXT))
TGZ = gzip.compress(TAR)


@given(st.lists(st.tuples(st.text("ab/é", min_size=1, max_size=120), st.binary(max_size=1200)), max_size=4))
@settings(max_examples=80, deadline=None)
def test_the_tar_reader_agrees_with_the_standard_library(files: list[tuple[str, bytes]]) -> None:
    files = [(name.strip("/") or "x", content) for name, content in files]
    for layout in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        if layout == tarfile.USTAR_FORMAT and any(len(name.encode()) > 90 for name, _ in files):
            continue
        content = tarred(*files, layout=layout)
        read = [(m.name.decode(), m.read(1 << 20)) for m in tar.members(io.BytesIO(content))]
        assert read == [(name, body) for name, body in files]


def test_ordinary_files_are_no_archives() -> None:
    for content in (b"", b"PK", b"BZh9 is not a header", b"#!/bin/sh\n" * 100, b"P" * 600, b"\0" * 600, TEXT * 30):
        assert kind_of(content) is None


def test_a_tar_is_known_by_its_checksum_with_or_without_a_magic() -> None:
    header = bytearray(tarfile.TarInfo("x").tobuf())
    assert kind_of(bytes(header)) is ArchiveKind.TAR
    header[257:265] = b"\0" * 8
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    assert kind_of(bytes(header)) is ArchiveKind.TAR
    header[0] ^= 1
    assert kind_of(bytes(header)) is None
