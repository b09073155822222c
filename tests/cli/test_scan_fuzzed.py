"""Inputs that a fuzzer found: each scan ends with a report."""

from pathlib import Path

from tests.cli.conftest import Operator

CORPUS = Path(__file__).parents[1] / "fuzz"


def test_a_zip_with_damaged_lzma_options_is_named(operator: Operator) -> None:
    ended = operator.run("scan", str(CORPUS / "zip" / "lzma-options"))
    assert (ended.code, "internal error" in ended.stderr) == (5, False)
