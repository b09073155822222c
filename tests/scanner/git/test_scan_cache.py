from pathlib import Path

import pytest

from orchestra_creds.scanner.git import scan_cache
from orchestra_creds.scanner.git.scan_cache import ScanCache, StoredGroup, StoredReport, StoredSpan

SPAN = StoredSpan(0, 1, 2, 3, 4, 5, "!a")


def test_what_was_seen_comes_back_with_its_types(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    seen = ScanCache(
        groups=[StoredGroup("aa", "rule", 1, 2, "!a")],
        spans={"aa": [SPAN]},
        reported_spans=[StoredReport("aa", "path", "commit", "author", "date", True, SPAN)],
    )
    scan_cache.store(tmp_path, "name", seen)
    back = scan_cache.load(tmp_path, "name")
    assert back == seen
    assert isinstance(back.reported_spans[0].span, StoredSpan)


@pytest.mark.parametrize(
    "damaged",
    [
        ScanCache(groups=[("aa", "rule", 1, 2)]),  # type: ignore[list-item]
        ScanCache(spans={"aa": [(1,)]}),  # type: ignore[list-item]
        ScanCache(reported_spans=[(0, "aa", "path", "commit", "author", "date", True)]),  # type: ignore[list-item]
    ],
    ids=["group", "span", "report"],
)
def test_rows_of_another_shape_count_as_nothing_seen(damaged: ScanCache, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    scan_cache.store(tmp_path, "name", damaged)
    assert scan_cache.load(tmp_path, "name") is None
