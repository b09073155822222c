"""A text that would take hours to examine is named with its rule, and the scan is incomplete; it is never called clean."""

import gzip
import json

import pytest

from tests.cli.conftest import Operator

DENSE = b"AIza" * (64 << 10)


@pytest.mark.parametrize("size", [256 << 10, 2 << 20])
def test_a_file_of_nothing_but_anchors_is_named(operator: Operator, size: int) -> None:
    (operator.folder / "dense.txt").write_bytes(b"AIza" * (size // 4))
    ended = operator.run("scan", "--format", "json")
    report = json.loads(ended.stdout)
    assert (ended.code, report["complete"]) == (5, False)
    assert [one["path"] for one in report["skipped"]] == ["dense.txt"]
    assert "rule google-" in report["skipped"][0]["reason"]


def test_so_is_one_in_an_archive_and_one_that_is_staged(operator: Operator) -> None:
    (operator.folder / "dense.txt.gz").write_bytes(gzip.compress(DENSE))
    ended = operator.run("scan", "--format", "json")
    assert [one["path"] for one in json.loads(ended.stdout)["skipped"]] == ["dense.txt.gz!dense.txt"]
    assert ended.code == 5
    operator.git("init", "-q")
    (operator.folder / "dense.txt").write_bytes(DENSE)
    operator.git("add", "dense.txt")
    assert operator.run("scan", "--staged").code == 5


def test_so_is_one_in_the_history(operator: Operator) -> None:
    operator.write("dense.txt", DENSE.decode())
    operator.commit("dense")
    operator.write("dense.txt", "clean\n")
    operator.commit("clean")
    operator.git("repack", "-adfq")
    for _ in range(2):  # the second scan knows every object
        ended = operator.run("scan", "--history", "--format", "json")
        report = json.loads(ended.stdout)
        assert ended.code == 5
        assert ["rule google-" in one["reason"] for one in report["skipped"]] == [True]


def test_a_file_of_many_credentials_is_read_whole(operator: Operator, token: str) -> None:
    operator.write("many.txt", "".join(f"TOKEN_{number}={token}\n" for number in range(300)))
    ended = operator.run("scan", "--format", "json")
    report = json.loads(ended.stdout)
    assert (ended.code, report["complete"]) == (1, True)
