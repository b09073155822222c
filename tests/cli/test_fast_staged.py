"""`scan --staged` before Typer is loaded says what the verb says: same bytes, same exit code."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestra_creds.cli import fast
from orchestra_creds.scanner import engine, quick
from orchestra_creds.scanner.sample import render
from tests.scanner.trees import git, repository, write

PROBE = """
import sys
sys.argv = ["orchestra-creds", *sys.argv[1:]]
from orchestra_creds.__main__ import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
TOKEN = render("ghp_{crc62:30}", seed=7).encode()
MASKED = b'key = "' + b"AIza" + b"X" * 35 + b'"\n'  # the first pass reports it, the engine refuses it
CONTENTS = {
    "nothing": {},
    "clean": {"a.py": b"x = 1\n", "b.py": b"y = 2\n"},
    "refuted": {"a.py": MASKED},
    "finding": {"a.py": b"x = 1\n", "b.py": b"\ntoken = '" + TOKEN + b"'\n"},
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    folder.chmod(0o700)
    first = repository(tmp_path_factory.mktemp("first"))
    assert run(first, folder)[0] == 0  # compiles the rules
    return folder


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    repo = write(repository(tmp_path / "r"), {"old.txt": b"old\n"})
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "one")
    return repo


def run(repo: Path, cache: Path, *arguments: str, typer: bool = False) -> tuple[int, str, set[str]]:
    """Exit code, standard output with the seconds taken out, and the modules that were loaded."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRA_CREDS")}
    env |= {"ORCHESTRA_CREDS_CACHE_DIR": str(cache), "ORCHESTRA_CREDS_STATE_DIR": str(repo.parent / "state")}
    more = ["--jobs", "0"] if typer else []  # changes nothing but the way
    command = [sys.executable, "-c", PROBE, "scan", "--staged", *arguments, *more]
    done = subprocess.run(command, cwd=repo, env=env, capture_output=True, text=True, check=False)
    text = re.sub(r"\b[0-9.]+ s\b", "N s", done.stdout)
    return done.returncode, re.sub(r'"seconds": [0-9.e-]+', '"seconds": N', text), set(done.stderr.split())


@pytest.mark.parametrize(
    ("content", "arguments"),
    [
        *((content, []) for content in CONTENTS),
        ("clean", ["--format", "json"]),
        ("finding", ["-f", "json", "--quiet"]),
        ("finding", ["--format=github"]),
    ],
)
def test_the_fast_way_says_what_the_verb_says(content: str, arguments: list[str], repo: Path, cache: Path) -> None:
    write(repo, CONTENTS[content])
    git(repo, "add", ".")
    slow = run(repo, cache, *arguments, typer=True)
    quickly = run(repo, cache, *arguments)
    assert quickly[:2] == slow[:2]
    assert slow[0] == (1 if content == "finding" else 0)
    assert "typer" in slow[2]
    assert "typer" not in quickly[2]


@pytest.mark.parametrize(
    ("content", "absent"), [("clean", "dataclasses"), ("refuted", "orchestra_creds.scanner.pipeline")]
)
def test_what_finds_nothing_loads_little(content: str, absent: str, repo: Path, cache: Path) -> None:
    write(repo, CONTENTS[content])
    git(repo, "add", ".")
    code, text, modules = run(repo, cache)
    assert (code, text[:20]) == (0, "no credentials found")
    assert {absent, "typer", "rich", "subprocess", "google"} & modules == set()
    assert "orchestra_creds.scanner.quick" in modules


@pytest.mark.parametrize(
    "files",
    [
        {"a.txt": "key = '".encode("utf-16") + TOKEN.decode().encode("utf-16-le")},
        {".gitleaksignore": b"a.txt:x:1\n", "a.txt": b"x = 1\n"},
        {"orchestra-creds.toml": b"", "a.txt": b"x = 1\n"},
    ],
    ids=["utf-16", "ignores of the tree", "settings"],
)
def test_what_is_special_is_left_to_the_scan(files: dict[str, bytes], repo: Path, cache: Path) -> None:
    write(repo, files)
    git(repo, "add", ".")
    slow, quickly = run(repo, cache, typer=True), run(repo, cache)
    assert quickly[:2] == slow[:2]


def test_an_archive_is_left_to_the_scan(repo: Path, cache: Path) -> None:
    import zipfile

    with zipfile.ZipFile(repo / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.py", b"token = '" + TOKEN + b"'")
    git(repo, "add", ".")
    code, text, _ = run(repo, cache)
    assert code == 1
    assert "a.zip!x.py" in text


@pytest.mark.parametrize(
    "arguments", [["--staged", "--bogus"], ["--staged", "--format", "bogus"], ["--staged", "--format"]]
)
def test_wrong_arguments_are_refused_by_the_verb(arguments: list[str], repo: Path, cache: Path) -> None:
    assert run(repo, cache, *arguments[1:])[0] == 2


def test_outside_of_a_repository_the_verb_says_so(tmp_path: Path, cache: Path) -> None:
    here = tmp_path / "r"
    here.mkdir()
    assert run(here, cache)[0] == 4


@pytest.mark.parametrize(
    ("arguments", "format_"),
    [
        (["scan", "--staged"], "table"),
        (["scan", "--quiet", "--staged", "-f", "json"], "json"),
        (["scan", "--staged", "--format=html", "--no-color", "-q"], "html"),
        (["scan", "--staged", "."], None),
        (["scan", "--staged", "--history"], None),
        (["scan", "--staged", "-o", "x"], None),
        (["scan", "rules", "--staged"], None),
        (["--verbose", "scan", "--staged"], None),
        (["scan", "--staged", "--format", "yaml"], None),
        (["scan"], None),
    ],
)
def test_only_plain_arguments_go_the_fast_way(
    arguments: list[str], format_: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fast._plain(arguments) == format_


@pytest.mark.parametrize("name", ["ORCHESTRA_CREDS_CONFIG", "ORCHESTRA_CREDS_FORMAT", "_ORCHESTRA_CREDS_COMPLETE"])
def test_settings_in_the_environment_go_to_the_verb(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for key in [key for key in os.environ if key.startswith("ORCHESTRA_CREDS")]:
        monkeypatch.delenv(key)
    assert not fast._has_settings()
    monkeypatch.setenv(name, "x")
    assert fast._has_settings()


def test_the_cache_is_trusted_only_when_it_is_ours_alone(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)

    def keep() -> None:
        quick.remember(str(folder), lambda: b"compiled", [])

    def kept() -> object:
        return quick._recall(str(folder))

    keep()
    assert kept() == (b"compiled", [])
    file = folder / quick.NAME
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    assert kept() is None
    file.chmod(0o600)
    folder.chmod(0o755)
    assert kept() is None
    folder.chmod(0o700)
    os.link(file, tmp_path / "other")
    assert kept() is None
    (tmp_path / "other").unlink()
    assert kept() is not None
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert kept() is None
    file.rename(tmp_path / "real")
    file.symlink_to(tmp_path / "real")
    with pytest.raises(OSError, match="symbolic"):
        kept()


def test_a_changed_scanner_makes_the_cache_worthless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    quick.remember(str(tmp_path), lambda: b"compiled", [])
    assert quick._recall(str(tmp_path)) is not None
    monkeypatch.setattr(quick, "__version__", "other")
    assert quick._recall(str(tmp_path)) is None


def test_texts_are_kept_apart_as_the_engine_wants_it() -> None:
    assert quick.SEPARATOR == engine.SEPARATOR
