from pathlib import Path

import pytest

from orchestra_creds.errors import NotFoundError
from orchestra_creds.scanner.baseline.service import baseline_root
from orchestra_creds.scanner.file_names import BASELINE_FILE
from tests.scanner.trees import repository, write


def test_a_baseline_belongs_to_its_repository_unless_the_folder_has_its_own(tmp_path: Path) -> None:
    repo = write(repository(tmp_path / "repo"), {"a/x": b"", "b/x": b"", f"b/{BASELINE_FILE}": b""})
    (tmp_path / "none").mkdir()
    assert baseline_root(repo / "a") == repo
    assert baseline_root(repo / "b") == repo / "b"
    assert baseline_root(tmp_path / "none") == tmp_path / "none"
    assert baseline_root(repo / "a", tmp_path / "named.json") == repo / "a"
    with pytest.raises(NotFoundError, match="no such folder"):
        baseline_root(repo / "gone")
