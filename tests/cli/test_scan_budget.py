"""A text that would take hours to examine is named with its rule, and the scan is incomplete; it is never called clean."""

import gzip
import json

import pytest

from orchestra_creds.scanner.engine import confirm
from orchestra_creds.scanner.engine.bounded_regex import BoundedRegex
from orchestra_creds.scanner.engine.budget import places_of
from orchestra_creds.scanner.engine.confirm import STRETCH
from tests.cli.conftest import Operator

ATTACKS = {"AIza": "google-", "ya29.": "google-oauth-access-token"}
"""What is repeated, and how the rule begins that names the file."""

DENSE = b"AIza" * (16 << 10)


@pytest.mark.parametrize("anchor", sorted(ATTACKS))
def test_the_work_on_a_file_of_anchors_is_bounded_by_its_size(
    anchor: str, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """512 KiB of one anchor took seconds, for each of its starts was examined; the file was called clean."""
    counted = {"judged": 0, "searched": 0}
    judge, search = confirm._judge, BoundedRegex.search

    def count_judged(*arguments: object) -> object:
        counted["judged"] += 1
        return judge(*arguments)  # type: ignore[arg-type]

    def count_searched(self: BoundedRegex, *arguments: object) -> object:
        counted["searched"] += 1
        return search(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(confirm, "_judge", count_judged)
    monkeypatch.setattr(BoundedRegex, "search", count_searched)
    size = 512 << 10
    (operator.folder / "dense.txt").write_bytes((anchor.encode() * (size // len(anchor) + 1))[:size])
    ended = operator.call("scan", "--jobs", "1", "--format", "json")
    report = json.loads(ended.stdout)
    assert 0 < counted["judged"] <= places_of(size)
    assert counted["searched"] <= places_of(size) + 20 * size / STRETCH
    assert (ended.code, report["complete"]) == (5, False)
    assert [one["path"] for one in report["skipped"]] == ["dense.txt"]
    assert f"rule {ATTACKS[anchor]}" in report["skipped"][0]["reason"]


def test_what_was_found_before_stays_reported(operator: Operator, token: str) -> None:
    operator.write("dense.txt", f"TOKEN={token}\n{DENSE.decode()}\n")
    operator.write("other.txt", f"TOKEN={token}\n")
    ended = operator.run("scan", "--format", "json")
    report = json.loads(ended.stdout)
    places = [place["path"] for one in report["findings"] for place in one["places"]]
    assert sorted(places) == ["dense.txt", "other.txt"]
    assert ended.code == 5
    assert "rule google-" in report["skipped"][0]["reason"]


def test_a_large_file_an_archive_and_a_staged_file_are_named_too(operator: Operator) -> None:
    (operator.folder / "dense.txt.gz").write_bytes(gzip.compress(DENSE))
    (operator.folder / "large.txt").write_bytes(b"\n" * (2 << 20) + DENSE * 4)
    ended = operator.run("scan", "--format", "json")
    named = [one["path"] for one in json.loads(ended.stdout)["skipped"]]
    assert sorted(named) == ["dense.txt.gz!dense.txt", "large.txt"]
    assert ended.code == 5
    operator.git("init", "-q")
    (operator.folder / "dense.txt").write_bytes(DENSE)
    operator.git("add", "dense.txt")
    assert operator.run("scan", "--staged").code == 5


def test_a_version_in_the_history_is_named_however_git_stores_it(operator: Operator) -> None:
    for number, text in enumerate(("clean\n" * 3000, "clean\n" * 3000 + DENSE.decode(), "clean\n" * 2999)):
        operator.write("dense.txt", text)
        operator.commit(str(number))
    operator.git("repack", "-adfq")
    for _ in range(2):  # the second scan knows every object
        ended = operator.run("scan", "--history", "--format", "json")
        report = json.loads(ended.stdout)
        assert ended.code == 5
        assert ["rule google-" in one["reason"] for one in report["skipped"]] == [True]


def test_a_file_of_many_credentials_is_read_whole(operator: Operator, token: str) -> None:
    operator.write("many.txt", "".join(f"TOKEN_{number}={token}\n" for number in range(300)))
    ended = operator.run("scan", "--format", "json")
    assert (ended.code, json.loads(ended.stdout)["complete"]) == (1, True)
