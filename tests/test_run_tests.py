"""The exit code of `scripts/test`: green only if every run was."""

import pytest

import run_tests


@pytest.mark.parametrize(
    ("codes", "whole"), [([0, 0], 0), ([0, 5], 0), ([5, 0], 0), ([5, 5], 5), ([1, 0], 1), ([0, 2], 2), ([5, 1], 1)]
)
def test_one_red_run_makes_the_whole_red(codes: list[int], whole: int) -> None:
    assert run_tests.worst(codes) == whole
