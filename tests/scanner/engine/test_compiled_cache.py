"""The compiled rules hold for one state of the scanner's files, in whatever folder below it they lie."""

import shutil
from pathlib import Path

from orchestra_creds import scanner
from orchestra_creds.scanner.engine import compiled_cache, patterns

SCANNER = Path(scanner.__file__).parent


def test_an_edit_of_any_file_of_the_scanner_changes_the_stamp(tmp_path: Path) -> None:
    copy = tmp_path / "scanner"
    shutil.copytree(SCANNER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    sources = sorted(copy.rglob("*.py"))
    assert any(source.parent != copy for source in sources)
    for source in sources:
        before = compiled_cache.stamp(str(copy))
        source.write_bytes(source.read_bytes() + b"\n")
        assert compiled_cache.stamp(str(copy)) != before, source


def test_a_file_that_is_no_part_of_the_scanner_leaves_the_stamp(tmp_path: Path) -> None:
    (tmp_path / "rule.py").touch()
    before = compiled_cache.stamp(str(tmp_path))
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "rule.cpython-312.py").touch()
    (tmp_path / "notes.txt").touch()
    assert compiled_cache.stamp(str(tmp_path)) == before


def test_what_makes_the_patterns_is_there_to_be_hashed() -> None:
    assert all((patterns._SCANNER / name).is_file() for name in patterns._MAKERS)
