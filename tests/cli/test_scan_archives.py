"""An archive is read whole, or the scan names it, is incomplete and ends with 5: wherever the archive comes from."""

import base64
import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable

import pytest
import zstandard

from orchestra_creds.scanner.buffers import MAGICS
from orchestra_creds.scanner.content.formats import ArchiveKind
from tests.cli.conftest import Ended, Operator

NEWC = b"070701" + b"%08x" % 7 * 13 + b"a.txt\0"
UNREAD = {
    "7z": b"7z\xbc\xaf'\x1c\0\4" + b"\x55" * 40,
    "rar": b"Rar!\x1a\x07\1\0" + b"\x55" * 40,
    "lz4": b'\x04"M\x18' + b"\x55" * 40,
    "cab": b"MSCF\0\0\0\0" + b"\x55" * 40,
    "rpm": b"\xed\xab\xee\xdb\3\0" + b"\x55" * 120,
    "cpio": NEWC,
    "compress": b"\x1f\x9d\x90" + b"\x55" * 40,
    "lzip": b"LZIP\1" + b"\x55" * 40,
    "lzop": b"\x89LZO\0\r\n\x1a\n" + b"\x55" * 40,
    "arj": b"`\xea\x29\0\x1e\x0b\1\0\0\0\2" + b"\0" * 40,
    "lha": b"\x24\x55-lh5-" + b"\x55" * 20 + b"\0" * 20,
    "xar": b"xar!\0\x1c\0\1" + b"\x55" * 40,
    "squashfs": b"hsqs" + b"\x55" * 24 + b"\4\0\0\0" + b"\x55" * 40,
    "wim": b"MSWIM\0\0\0" + b"\x55" * 40,
    "lrzip": b"LRZI\0\6" + b"\x55" * 40,
    "bzip3": b"BZ3v1" + b"\x55" * 40,
    "snappy": b"\xff\x06\0\0sNaPpY" + b"\x55" * 40,
    "szdd": b"SZDD\x88\xf0'3A" + b"\x55" * 40,
    "stuffit": b"StuffIt (c)1997-2002" + b"\x55" * 80,
    "android-backup": b"ANDROID BACKUP\n5\n1\nnone\n" + b"\x55" * 40,
    "keepass": b"\x03\xd9\xa2\x9ag\xfbK\xb5" + b"\x55" * 40,
    "luks": b"LUKS\xba\xbe\0\2" + b"\x55" * 40,
}
"""The start of a file of each format that has no reader."""

ORDINARY = {
    "image.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 4,
    "font.woff2": b"wOF2\0\1\0\0" + bytes(range(256)) * 4,
    "program": b"\x7fELF\2\1\1" + bytes(range(256)) * 4,
    "program.exe": b"MZ\x90\0\3\0\0\0" + bytes(range(256)) * 4,
    "objects.pack": b"PACK\0\0\0\2\0\0\0\1" + bytes(range(256)) * 4,
    "index.idx": b"\xfftOc\0\0\0\2" + bytes(range(256)) * 4,
    "paper.pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "dates.txt": b"070701 first of July\n070707 the seventh\n",
    "list.json": b'["Rar! and MSCF and LZIP"]\n',
    "Readme": b"Rarely!\n",
    "lzip.txt": b"LZIP is a program.\n",
    "module.pyc": b"\xcb\r\r\n\0\0\0\0" + bytes(range(256)) * 4,
    "base.sqlite": b"SQLite format 3\0" + bytes(range(256)) * 4,
}
"""Files of formats that are no archives, or that look a little like one."""


def reasons(ended: Ended) -> dict[str, str]:
    """Path to reason of what the scan did not look at."""
    return {item["path"]: item["reason"] for item in json.loads(ended.stdout)["skipped"]}


def places(ended: Ended) -> list[str]:
    """Path and line of everything that was found."""
    found = json.loads(ended.stdout)["findings"]
    return sorted(f"{place['path']}:{place['line']}" for finding in found for place in finding["places"])


def tarred(**members: bytes) -> bytes:
    """Return a tar of these members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def test_every_format_without_a_reader_has_an_example() -> None:
    assert set(UNREAD) == {kind.value for kind in ArchiveKind if kind.unread_reason}
    assert set(MAGICS.values()) <= {kind.value for kind in ArchiveKind}


def test_an_archive_that_cannot_be_read_is_named_and_the_scan_is_incomplete(operator: Operator) -> None:
    """In a tree, in another archive, in a history and among staged files."""
    for name, content in UNREAD.items():
        (operator.folder / name).write_bytes(content)
    (operator.folder / "all.tar.gz").write_bytes(gzip.compress(tarred(**UNREAD)))
    expected = set(UNREAD) | {f"all.tar.gz!{name}" for name in UNREAD}

    tree = operator.run("scan", ".", "--format", "json")
    assert (tree.code, set(reasons(tree))) == (5, expected)
    operator.git("init", "--quiet", "--initial-branch=main")
    operator.git("add", "--all")
    staged = operator.run("scan", "--staged", "--format", "json")
    assert (staged.code, set(reasons(staged))) == (5, expected)
    operator.commit()
    history = operator.run("scan", "--history", "--format", "json")
    assert history.code == 5
    assert len(reasons(history)) == len(expected)
    assert operator.run("scan", "--quiet").code == 5


@pytest.mark.parametrize("name", ["7z", "lha", "keepass"])
def test_an_archive_that_cannot_be_read_is_named_on_standard_input(operator: Operator, name: str) -> None:
    ended = operator.run("scan", "-", "--format", "json", stdin=UNREAD[name])
    assert (ended.code, list(reasons(ended))) == (5, ["-"])


def test_ordinary_binary_files_leave_a_scan_complete(operator: Operator) -> None:
    for name, content in ORDINARY.items():
        (operator.folder / name).write_bytes(content)
    (operator.folder / "all.tar").write_bytes(tarred(**ORDINARY))
    operator.commit()
    for source in (".", "--history"):
        ended = operator.run("scan", source, "--format", "json")
        assert (reasons(ended), ended.code) == ({}, 0)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda content: lzma.compress(content, format=lzma.FORMAT_ALONE),
    "zst": lambda content: zstandard.ZstdCompressor(level=3).compress(content),
}


@pytest.mark.parametrize("suffix", PACKERS)
def test_compressed_streams_in_a_row_are_all_read(operator: Operator, token: str, suffix: str) -> None:
    pack = PACKERS[suffix]
    (operator.folder / f"a.{suffix}").write_bytes(pack(b"one\n") + pack(b"two\n") + pack(f"{token}\n".encode()))
    ended = operator.run("scan", ".", "--format", "json")
    assert (ended.code, places(ended)) == (1, [f"a.{suffix}!a:3"])


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_cut_stream_or_data_after_its_end_makes_the_scan_incomplete(operator: Operator, suffix: str) -> None:
    content = PACKERS[suffix](base64.b64encode(bytes(range(256)) * 300))
    (operator.folder / f"cut.{suffix}").write_bytes(content[:-20])
    (operator.folder / f"longer.{suffix}").write_bytes(content + b"something else")
    (operator.folder / f"whole.{suffix}").write_bytes(content)
    ended = operator.run("scan", ".", "--format", "json")
    assert ended.code == 5
    assert set(reasons(ended)) == {f"cut.{suffix}!cut", f"longer.{suffix}!longer"}


def debian_archive(**members: bytes) -> bytes:
    """Return an ar archive as dpkg-deb writes it."""
    out = b"!<arch>\n"
    for name, content in members.items():
        out += f"{name.replace('_', '.'):<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        out += content + b"\n" * (len(content) % 2)
    return out


def test_a_debian_package_is_read_and_a_cut_one_is_named(operator: Operator, token: str) -> None:
    jar = io.BytesIO()
    with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in.txt", token)
    data = lzma.compress(tarred(**{"a.conf": f"# odd\n{token}".encode(), "x.jar": jar.getvalue()}))
    package = debian_archive(
        debian_binary=b"2.0\n", control_tar_gz=gzip.compress(tarred(control=b"x")), data_tar_xz=data
    )
    (operator.folder / "a.deb").write_bytes(package)
    ended = operator.run("scan", ".", "--format", "json")
    assert ended.code == 1
    assert places(ended) == ["a.deb!data.tar.xz!a.conf:2", "a.deb!data.tar.xz!x.jar!in.txt:1"]
    for cut in (package[:-9], package + b"!", package[:100]):
        assert operator.run("scan", "-", "--quiet", stdin=cut).code == 5


def test_a_frame_of_zstd_that_is_to_be_passed_over_hides_nothing(operator: Operator, token: str) -> None:
    frame = b"\x5f*M\x18" + (40).to_bytes(4, "little") + b"x" * 40
    content = frame + PACKERS["zst"](tarred(a=token.encode())) + frame
    ended = operator.run("scan", "-", "--format", "json", stdin=content)
    assert (ended.code, places(ended)) == (1, ["-!a:1"])


def zipped(**members: str) -> bytes:
    """Return a zip of these members, compressed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def unlisted(hidden: bytes) -> dict[str, bytes]:
    """Zips with a member that their directory does not list: at the front, at the end, in the middle."""
    member = hidden[: hidden.index(b"PK\1\2")]
    whole = zipped(a="first", b="second")
    middle = whole.index(b"PK\3\4", 4)
    between = bytearray(whole[:middle] + member + whole[middle:])
    entry = between.index(b"PK\1\2", between.index(b"PK\1\2") + 4)
    offset = int.from_bytes(between[entry + 42 : entry + 46], "little") + len(member)
    between[entry + 42 : entry + 46] = offset.to_bytes(4, "little")
    at = between.rindex(b"PK\5\6") + 16
    between[at : at + 4] = (int.from_bytes(between[at : at + 4], "little") + len(member)).to_bytes(4, "little")
    return {"front.zip": member + whole, "between.zip": bytes(between), "two.zip": hidden + whole}


def test_a_member_that_the_directory_of_a_zip_does_not_list_makes_the_scan_incomplete(
    operator: Operator, token: str
) -> None:
    zips = unlisted(zipped(hidden=f"{token} " * 3))
    for name, content in zips.items():
        (operator.folder / name).write_bytes(content)
    ended = operator.run("scan", ".", "--format", "json")
    assert ended.code == 5
    assert reasons(ended) == dict.fromkeys(zips, "the zip holds a file that its directory does not list")


def test_members_of_a_zip_that_share_bytes_make_the_scan_incomplete(operator: Operator) -> None:
    content = bytearray(zipped(a="x" * 99, b="y" * 99))
    entry = content.index(b"PK\1\2", content.index(b"PK\1\2") + 4)
    content[entry + 42 : entry + 46] = bytes(4)
    ended = operator.run("scan", "-", "--format", "json", stdin=bytes(content))
    assert ended.code == 5
    assert any(item["reason"] == "members of the zip share bytes" for item in json.loads(ended.stdout)["skipped"])


def test_a_size_that_a_zip_claims_hides_nothing(operator: Operator, token: str) -> None:
    content = bytearray(zipped(a=f"nothing\n{token}\n"))
    for mark, at in ((b"PK\3\4", 14), (b"PK\1\2", 16)):  # checksum and size of the first line alone
        start = content.index(mark) + at
        content[start : start + 4] = zlib.crc32(b"nothing\n").to_bytes(4, "little")
        content[start + 8 : start + 12] = (8).to_bytes(4, "little")
    ended = operator.run("scan", "-", "--format", "json", stdin=bytes(content))
    assert (ended.code, list(reasons(ended))) == (5, ["-!a"])


def test_a_zip_behind_a_program_is_read_in_a_stream_too(operator: Operator, token: str) -> None:
    program = b"#!/bin/sh\nexit\n" + zipped(a=f"x\n{token}\n")
    stdin = operator.run("scan", "-", "--format", "json", stdin=program)
    assert (stdin.code, places(stdin), reasons(stdin)) == (1, ["-!a:2"], {})
    (operator.folder / "a.tar.gz").write_bytes(gzip.compress(tarred(tool=program)))
    tree = operator.run("scan", ".", "--format", "json")
    assert (tree.code, places(tree), reasons(tree)) == (1, ["a.tar.gz!tool!a:2"], {})


def test_data_after_the_end_of_a_tar_makes_the_scan_incomplete(operator: Operator) -> None:
    ended = operator.run("scan", "-", "--format", "json", stdin=tarred(a=b"x") + b"something else" * 99)
    assert (ended.code, reasons(ended)) == (5, {"-": "data follows the end of the archive"})
