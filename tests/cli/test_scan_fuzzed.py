"""Inputs that the fuzzer found, and its corpus."""

from pathlib import Path

from tests.cli.conftest import Operator

CORPUS = Path(__file__).parents[1] / "fuzz"
DAMAGED_OPTIONS = bytes.fromhex(
    "504b0304140000000800920b815dd189d2420a0000006400000005002100612e747874cb48cdc9c1cfa02d0100504b010214"
    "03140000000e00920b815dd189d2420a00000064000000050000000000000000000000800100000000612e747874504b0506"
    "0000000001000100330000002d0000000000"
)
"""A zip whose member has impossible LZMA options."""


def test_a_member_with_damaged_lzma_options_is_named(operator: Operator) -> None:
    (operator.folder / "damaged.zip").write_bytes(DAMAGED_OPTIONS)
    ended = operator.run("scan", "damaged.zip")
    assert (ended.code, b"a.txt" in ended.stdout) == (5, True)


def test_the_corpus_is_scanned_whole(operator: Operator) -> None:
    assert operator.run("scan", str(CORPUS)).code == 0
