"""What a scan finds in an archive is what it finds in the unpacked tree, whoever wrote the archive and however it arrives.

Random trees: 20 of them, and 300 with `--exhaustive`. Each is written by two writers, one archive inside of the other.
"""

import bz2
import gzip
import io
import lzma
import os
import random
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zstandard

from orchestra_creds.scanner.content import explore
from orchestra_creds.scanner.content.archives import ArchiveLimits
from tests.scanner.trees import ENGINE, git, look, places, repository, token, write

Files = dict[str, bytes]
Writer = Callable[[Path], bytes]
ALL, BY_DEFAULT = 300, 20
MOST_FILES, LARGEST = 3000, 1 << 20


def random_tree(chance: random.Random, *, most: int) -> Files:
    """Files of no byte to 1 MB, some with fake tokens: at the start, in the middle, at the end, or nothing else."""
    files = {}
    for number in range(chance.randint(1, most)):
        size = chance.choice((0, 1, 10, 511, 512, 513, 1000, 5000))
        if chance.random() < 3 / most:
            size = chance.randint(1, LARGEST)
        lines = chance.randbytes(size // 2).hex().encode()
        body = b"\n".join(lines[at : at + 60] for at in range(0, len(lines), 60))
        if chance.random() < max(0.02, 2 / most):
            at = chance.choice((0, len(body) // 2, len(body)))
            body = body[:at] + b"\n" + token(chance.randrange(1 << 30)) + b"\n" + body[at:]
        folder = chance.choice(("", "d/", "a folder/", "é/", "/".join(["deep"] * 30) + "/"))
        files[f"{folder}{number}.txt"] = body
    files["last/last.txt"] = b"\n" + token(chance.randrange(1 << 30))
    return files


def tar_by_python(layout: int) -> Writer:
    """Python's tarfile."""

    def pack(folder: Path) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=layout) as archive:
            for path in sorted(folder.iterdir()):
                archive.add(path, path.name)
        return out.getvalue()

    return pack


def tar_by_gnu(*options: str) -> Writer:
    """The program `tar`."""

    def pack(folder: Path) -> bytes:
        return subprocess.run(
            ["tar", "-c", *options, *sorted(os.listdir(folder))], cwd=folder, check=True, capture_output=True
        ).stdout

    return pack


def zip_by_python(how: int) -> Writer:
    """Python's zipfile."""

    def pack(folder: Path) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", how) as archive:
            for path in sorted(folder.rglob("*")):
                archive.write(path, path.relative_to(folder))
        return out.getvalue()

    return pack


def zip_by_program(*options: str) -> Writer:
    """The program `zip`, to a file or to a pipe."""

    def pack(folder: Path) -> bytes:
        # The program writes names as bytes, and says nothing of their encoding: names are not what is compared here.
        command = ["zip", "-qr", *options, "-", "."]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout

    return pack


def compressed(writer: Writer, compress: Callable[[bytes], bytes]) -> Writer:
    """A packed tar."""
    return lambda folder: compress(writer(folder))


def debian_package(folder: Path) -> bytes:
    """The program `dpkg-deb`."""
    root = folder.parent / "package"
    shutil.copytree(folder, root / "opt")
    (root / "DEBIAN").mkdir(mode=0o755)
    (root / "DEBIAN/control").write_text("Package: x\nVersion: 1\nArchitecture: all\nMaintainer: A\nDescription: x\n")
    out = folder.parent / "x.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zgzip", "-b", str(root), str(out)], check=True, capture_output=True
    )
    shutil.rmtree(root)
    return out.read_bytes()


GNU = tar_by_python(tarfile.GNU_FORMAT)
WRITERS: dict[str, Writer] = {
    "ustar": tar_by_python(tarfile.USTAR_FORMAT),
    "gnu": GNU,
    "pax": tar_by_python(tarfile.PAX_FORMAT),
    "zip": zip_by_python(zipfile.ZIP_DEFLATED),
    "stored zip": zip_by_python(zipfile.ZIP_STORED),
    "tar.gz": compressed(GNU, gzip.compress),
    "tar.bz2": compressed(GNU, bz2.compress),
    "tar.xz": compressed(GNU, lambda data: lzma.compress(data, preset=1)),
    "tar.zst": compressed(GNU, lambda data: zstandard.ZstdCompressor(level=3).compress(data)),
}
if shutil.which("tar"):
    WRITERS |= {"gnu by tar": tar_by_gnu("--format=gnu"), "pax by tar": tar_by_gnu("--format=posix", "--sparse")}
if shutil.which("zip"):
    WRITERS["zip by zip"] = zip_by_program()
if shutil.which("dpkg-deb"):
    WRITERS["deb"] = debian_package


def found_inside(found: list[str]) -> list[str]:
    """The file's own path and line of each finding, without the paths of the archives around it."""
    own = (one.rpartition("!")[2].removeprefix("./").removeprefix("opt/") for one in found)
    return sorted(one.replace("├⌐", "é") for one in own)  # UTF-8 as a zip without a mark has it


def nested(folder: Path, inner: str, outer: str) -> bytes:
    """The tree as one archive inside of another."""
    content = WRITERS[inner](write_once(folder))
    around = folder.parent / "around"
    write(around, {"in.bin": content})
    return WRITERS[outer](around)


def write_once(folder: Path) -> Path:
    """The folder itself, which must have files."""
    assert any(folder.iterdir())
    return folder


def found_in(content: bytes) -> tuple[list[str], list[str]]:
    """Places and reasons of what a scan of one file says."""
    explorer = explore.Explorer(ENGINE, limits=ArchiveLimits())
    explorer.scan_bytes(content, "a")
    gathered = explorer.gathered
    return [f"{s.place.path}:{s.place.line}" for s in gathered.sightings], [s.reason for s in gathered.skipped]


@contextmanager
def standard_input(content: bytes, file: Path) -> Iterator[None]:
    """Standard input that holds this content."""
    file.write_bytes(content)
    saved = os.dup(0)
    with file.open("rb") as source:
        os.dup2(source.fileno(), 0)
    try:
        yield
    finally:
        os.dup2(saved, 0)
        os.close(saved)


def test_findings_in_an_archive_are_those_of_the_unpacked_tree(exhaustive: bool, tmp_path: Path) -> None:
    names = sorted(WRITERS)
    for seed in range(ALL if exhaustive else BY_DEFAULT):
        chance = random.Random(seed)
        folder = tmp_path / str(seed) / "tree"
        write(folder, random_tree(chance, most=MOST_FILES if exhaustive and seed % 10 == 0 else 60))
        inner, outer = names[seed % len(names)], chance.choice(names)
        content = nested(folder, inner, outer)
        expected = places(look(folder))
        assert expected
        where = write(repository(tmp_path / str(seed) / "repository"), {"a.bin": content})
        git(where, "add", ".")
        git(where, "commit", "-qm", "one")
        with standard_input(content, tmp_path / "stdin"):
            arrived = look("-")
        for report in (look(where), arrived, look(where, source="history")):
            assert (seed, inner, outer, found_inside(places(report))) == (seed, inner, outer, sorted(expected))
            assert report.complete
        shutil.rmtree(tmp_path / str(seed))


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_is_read_whole(name: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "tree", random_tree(random.Random(name), most=300))
    found, reasons = found_in(WRITERS[name](folder))
    assert (found_inside(found), reasons) == (places(look(folder)), [])


def test_a_reader_that_ends_at_an_empty_request_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: with the fault of old, a tar of more than a piece is not what its tree is."""
    files = {f"{number:03}.txt": b"" for number in range(600)} | {"last.txt": token(1)}
    packed = gzip.compress(GNU(write(tmp_path / "tree", files)))
    assert found_inside(found_in(packed)[0]) == ["last.txt:1"]
    read = explore._Tee.read  # the fault stood here

    def ending(self: explore._Tee, size: int, /) -> bytes:
        if not size:
            self._ended = True
        return read(self, size)

    monkeypatch.setattr(explore._Tee, "read", ending)
    assert found_inside(found_in(packed)[0]) != ["last.txt:1"]
