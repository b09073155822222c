from pathlib import Path

import pytest

from orchestra_creds.scanner.git.attribution import BlobOrigin, CommitAuthor, CommitLog, commit_author
from orchestra_creds.scanner.git.repository import Repository
from tests.scanner.trees import git, repository, write


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"author Ada <ada@example.invalid> 1000000000 +0200", CommitAuthor("Ada", "2001-09-09T01:46:40Z")),
        (b"tagger A. B <x> 0 -0000", CommitAuthor("A. B", "1970-01-01T00:00:00Z")),
        (b"author  <x> 1 +0000", CommitAuthor("", "1970-01-01T00:00:01Z")),
        (b"author \xff <x> 1 +0000", CommitAuthor("\ufffd", "1970-01-01T00:00:01Z")),
        (b"author Ada <x> 99999999999999999 +0000", CommitAuthor("Ada", "")),
        (b"author nonsense", CommitAuthor("", "")),
        (b"", CommitAuthor("", "")),
    ],
)
def test_author_and_date_are_read_and_no_mail(line: bytes, expected: CommitAuthor) -> None:
    assert commit_author(b"tree 0\n" + line + b"\ncommitter B <b> 5 +0000\n\nauthor Eve <e> 9 +0000\n") == expected


def test_every_path_of_a_blob_is_named_with_the_commit_that_brought_it(tmp_path: Path) -> None:
    folder = repository(tmp_path / "one")
    commits = []
    for files in ({"a": b"x"}, {"b": b"x", "a": b"y"}, {"a": b"x"}, {"d/c": b"x"}):
        write(folder, files)
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", "m")
        commits.append(git(folder, "rev-parse", "HEAD").decode().strip())
    found = Repository.discover(folder)
    assert found is not None
    oid = git(folder, "rev-parse", "HEAD:a").strip()
    origins, whole = CommitLog(found).origins({oid})
    assert whole
    assert [(one.path, one.commit) for one in origins[oid]] == [
        (b"a", commits[0]),
        (b"b", commits[1]),
        (b"d/c", commits[3]),
    ]
    assert all(isinstance(one, BlobOrigin) for one in origins[oid])
    there = {(oid, path) for path in (b"a", b"b", b"d/c")}
    assert CommitLog(found).in_head([*there, (oid, b"c"), (commits[0].encode(), b"a")]) == there


def test_nothing_runs_when_nothing_was_found(tmp_path: Path) -> None:
    found = Repository.discover(repository(tmp_path / "one"))
    assert found is not None
    log = CommitLog(found)
    assert log.origins(set()) == ({}, True)
    log.close()
    assert log.in_head([]) == frozenset()
    assert log.in_head([(b"0" * 40, b"a")]) == frozenset()


def test_a_history_that_cannot_be_walked_is_said(tmp_path: Path) -> None:
    folder = repository(tmp_path / "one")
    for content in (b"x", b"y"):
        write(folder, {"a": content})
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", "m")
    tree = git(folder, "rev-parse", "HEAD~1^{tree}").decode().strip()
    (folder / f".git/objects/{tree[:2]}/{tree[2:]}").unlink()
    found = Repository.discover(folder)
    assert found is not None
    assert not CommitLog(found).origins({b"0" * 40})[1]
