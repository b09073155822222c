"""A small pack that would fill the memory is named, neither inflated nor given to git."""

import os
import zlib
from pathlib import Path

import pytest

from tests.cli.conftest import Operator
from tests.cli.peak import scan_with_peak
from tests.scanner import packs
from tests.scanner.trees import git

BLOCK = 1 << 20
CLAIM = 512 << 20
"""Bytes of a delta that half a megabyte of a pack unfolds to."""

MOST_MEMORY = 450 << 20
"""Bytes that a scan may take: as many as a scan of a small repository, and some more."""


def compress_zeros(head: bytes, size: int) -> bytes:
    """A zlib stream of `head` and as many zeros as make `size` bytes."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = stream.compress(head + bytes(-len(head) % BLOCK)) + stream.flush(zlib.Z_FULL_FLUSH)
    block = stream.compress(bytes(BLOCK)) + stream.flush(zlib.Z_FULL_FLUSH)  # refers to nothing before it
    blocks = size // BLOCK - 1
    check = zlib.adler32(head + bytes(-len(head) % BLOCK))
    for _ in range(blocks):
        check = zlib.adler32(bytes(BLOCK), check)
    return b"\x78\xda" + start + blocks * block + stream.flush() + check.to_bytes(4, "big")


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """The stream of a delta that says that it makes 300 MB of 100 bytes."""
    return compress_zeros(packs.size_of(100) + packs.size_of(300 << 20), CLAIM)


def plant(folder: Path, entries: list[bytes], oids: list[bytes]) -> None:
    content, offsets = packs.pack(entries)
    target = folder / ".git/objects/pack"
    (target / "pack-bomb.pack").write_bytes(content)
    (target / "pack-bomb.idx").write_bytes(packs.index(oids, offsets, content[-20:]))


@pytest.mark.parametrize("kind", ["blob", "tree", "lost base"])
def test_a_delta_bomb_is_named_and_not_inflated(operator: Operator, token: str, bomb: bytes, kind: str) -> None:
    operator.write("a.env", f"TOKEN={token}\n")
    operator.commit("one")
    base = b"x" * 100
    tree = git(operator.folder, "rev-parse", "HEAD^{tree}").decode().strip()
    named = os.urandom(20) if kind != "tree" else bytes.fromhex(tree)
    root = packs.entry(packs.BLOB if kind != "tree" else packs.TREE, base)
    base_oid = packs.oid_of("blob", base) if kind != "lost base" else os.urandom(20)
    delta = packs.header(packs.REF_DELTA, CLAIM) + base_oid + bomb
    child = packs.entry(packs.REF_DELTA, packs.delta(300 << 20, [(0, 10)]), base=named)
    plant(operator.folder, [root, delta, child], [packs.oid_of("blob", base), named, os.urandom(20)])
    code, report, _, peak = scan_with_peak(operator, "--history")
    assert (code, report["complete"]) == (5, False)
    assert "objects/pack/pack-bomb.pack" in str(report["skipped"])
    if kind == "blob":
        assert f"object {named.hex()}" in str(report["skipped"])
    assert len(report["findings"]) == 1
    assert peak < MOST_MEMORY
