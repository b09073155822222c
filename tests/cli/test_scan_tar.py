"""A tar is read to its end, however it reaches the scan, and a tar that stops before its end is incomplete."""

import gzip
import io
import json
import tarfile

import pytest

from orchestra_creds.scanner.content.explore import PIECE
from tests.cli.conftest import Operator


def packed(*members: tuple[str, bytes]) -> bytes:
    """A tar of these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def filler(count: int, size: int) -> list[tuple[str, bytes]]:
    return [(f"{number}.txt", b"x" * size) for number in range(count)]


FILLERS = {"many empty files": filler(600, 0), "many small files": filler(300, 1000), "one file": filler(1, 2 * PIECE)}


def paths(report: bytes) -> list[str]:
    return [finding["path"] for finding in json.loads(report)["findings"]]


@pytest.mark.parametrize("before", FILLERS)
def test_the_last_member_of_a_tar_is_read(operator: Operator, token: str, before: str) -> None:
    # Compressed, so that the token is found only by opening the member.
    leak = gzip.compress(f"TOKEN={token}\n".encode())
    content = packed(*FILLERS[before], ("leak.gz", leak))
    assert len(content) > PIECE
    folder = operator.folder
    (folder / "a.tar").write_bytes(content)
    (folder / "b.tar.gz").write_bytes(gzip.compress(content))
    (folder / "c.tar").write_bytes(packed(("inner.tar", content)))
    expected = ["a.tar!leak.gz!leak", "b.tar.gz!leak.gz!leak", "c.tar!inner.tar!leak.gz!leak"]
    tree = operator.run("scan", "--format", "json")
    assert (tree.code, paths(tree.stdout)) == (1, expected)
    stdin = operator.run("scan", "-", "--format", "json", stdin=content)
    assert (stdin.code, paths(stdin.stdout)) == (1, ["-!leak.gz!leak"])
    operator.commit("archives")
    history = operator.run("scan", "--history", "--format", "json")
    assert (history.code, paths(history.stdout)) == (1, expected)


def test_a_tar_that_was_appended_to_another_is_read(operator: Operator, token: str) -> None:
    leak = packed(("leak.gz", gzip.compress(f"TOKEN={token}\n".encode())))
    ended = operator.run("scan", "-", "--format", "json", stdin=packed(*filler(3, 10)) + leak)
    assert (ended.code, paths(ended.stdout)) == (1, ["-!leak.gz!leak"])


@pytest.mark.parametrize("cut", ["at a header", "in a header", "in a member"])
def test_a_tar_that_stops_before_its_end_is_incomplete(operator: Operator, cut: str) -> None:
    content = packed(*filler(600, 512))
    end = 400 * 1024 + {"at a header": 0, "in a header": 100, "in a member": 600}[cut]
    (operator.folder / "a.tar").write_bytes(content[:end])
    (operator.folder / "b.tar.gz").write_bytes(gzip.compress(content[:end]))
    operator.commit("archives")
    for source in ([], ["--history"]):
        ended = operator.run("scan", *source, "--format", "json")
        report = json.loads(ended.stdout)
        assert (ended.code, report["complete"]) == (5, False)
        assert len(report["skipped"]) == 2
    ended = operator.run("scan", "-", "--quiet", stdin=content[:end])
    assert ended.code == 5
    assert "INCOMPLETE" in ended.text
