"""What loads when: measured by the list of imported modules, never by time."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"google", "grpc", "requests", "rich", "jinja2", "pydantic", "cryptography", "asyncio", "tomlkit"}
PROBE = """
import sys
sys.argv = ["orchestra-creds", *sys.argv[1:]]
from orchestra_creds import __main__
__main__.end = sys.exit
try:
    __main__.main()
except SystemExit:
    pass
print(*{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)
"""


def loaded_by(*arguments: str, cwd: Path | None = None) -> set[str]:
    run = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=True, cwd=cwd)
    return set(run.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--help"], ["completion", "bash"], ["scan", "--help"]])
def test_help_and_completion_load_nothing_heavy(arguments: list[str]) -> None:
    assert loaded_by(*arguments) & HEAVY == set()


def test_the_version_is_told_before_typer_is_loaded() -> None:
    assert loaded_by("--version") & (HEAVY | {"typer", "dataclasses"}) == set()


@pytest.mark.parametrize("arguments", [["scan", "file.txt"], ["scan", "file.txt", "--format", "json"]])
def test_a_scan_of_a_file_loads_no_cloud_and_no_renderer(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("nothing to see\n")
    assert loaded_by(*arguments, cwd=tmp_path) & HEAVY == set()
