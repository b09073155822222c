"""`scan` before Typer is loaded says what the verb says: same bytes, same exit code."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestra_creds.cli import fast_scan, scan
from orchestra_creds.core.record import replace
from orchestra_creds.render.formats import FORMATS
from orchestra_creds.scanner.engine.compiled_cache import NAME, CompiledRules, recall, remember
from orchestra_creds.scanner.rulebook.catalog import all_rules
from orchestra_creds.scanner.samples.sample import render
from tests.scanner.trees import git, repository, write

PROBE = """
import sys
sys.argv = ["orchestra-creds", *sys.argv[1:]]
from orchestra_creds import __main__
__main__.end = sys.exit
try:
    __main__.main()
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
    more = ["--engine", "auto"] if typer else []  # changes nothing but the way
    command = [sys.executable, "-c", PROBE, "scan", *(arguments or ["--staged"]), *more]
    done = subprocess.run(command, cwd=repo, env=env, capture_output=True, text=True, check=False)
    text = re.sub(r"\b[0-9.]+ s\b", "N s", done.stdout)
    return done.returncode, re.sub(r'"seconds": [0-9.e-]+', '"seconds": N', text), set(done.stderr.split())


@pytest.mark.parametrize(
    ("content", "arguments"),
    [
        *((content, []) for content in CONTENTS),
        ("clean", ["--staged", "--format", "json"]),
        ("finding", ["--staged", "-f", "json", "--quiet"]),
        ("finding", ["--staged", "--format=github"]),
        ("finding", ["."]),
        ("finding", ["--all-files", "-j", "2", "--format", "json"]),
        ("finding", ["--history", "--no-cache"]),
        ("finding", ["--since", "HEAD"]),
        ("finding", ["--pre-commit", "a.py", "b.py"]),
        ("finding", ["--pre-commit", "old.txt", "b.py"]),
    ],
)
def test_the_fast_way_says_what_the_verb_says(content: str, arguments: list[str], repo: Path, cache: Path) -> None:
    write(repo, CONTENTS[content])
    git(repo, "add", ".")
    slow = run(repo, cache, *arguments, typer=True)
    quickly = run(repo, cache, *arguments)
    assert quickly[:2] == slow[:2]
    assert slow[0] == (1 if content == "finding" and "--since" not in arguments else 0)
    assert "typer" in slow[2]
    assert "typer" not in quickly[2]


@pytest.mark.parametrize("format_", ["table", "json", "sarif"])
@pytest.mark.parametrize("content", ["nothing", "finding"])
def test_a_history_without_news_is_told_again_and_not_scanned(
    content: str, format_: str, repo: Path, cache: Path
) -> None:
    write(repo, CONTENTS[content])
    git(repo, "add", ".")
    git(repo, "commit", "--allow-empty", "-qm", "two")
    arguments = ["--history", "--format", format_]
    first = run(repo, cache, *arguments)
    slow, again = run(repo, cache, *arguments, typer=True), run(repo, cache, *arguments)
    assert again[:2] == slow[:2]
    assert again[0] == first[0] == (1 if content == "finding" else 0)
    assert "orchestra_creds.scanner.engine.engine" in first[2]
    assert {"orchestra_creds.scanner.engine.engine", "orchestra_creds.scanner.pipeline", "pathlib"} & again[2] == set()
    write(repo, {"new.txt": b"token = '" + TOKEN + b"'\n"})
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "three")
    assert run(repo, cache, *arguments)[0] == 1


@pytest.mark.parametrize(
    ("content", "absent"), [("clean", "dataclasses"), ("refuted", "orchestra_creds.scanner.pipeline")]
)
def test_what_finds_nothing_loads_little(content: str, absent: str, repo: Path, cache: Path) -> None:
    write(repo, CONTENTS[content])
    git(repo, "add", ".")
    code, text, modules = run(repo, cache)
    assert (code, text[:20]) == (0, "no credentials found")
    assert {absent, "typer", "rich", "subprocess", "google"} & modules == set()
    assert "orchestra_creds.scanner.git.staged_precheck" in modules
    if content == "clean":
        tables = {"orchestra_creds.render.formats", "orchestra_creds.scanner.opened_source"}
        assert tables & modules == set()
        assert "orchestra_creds.scanner.source" in modules


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
    ("arguments", "code"),
    [
        (["--staged", "--bogus"], 2),
        (["--staged", "--format", "bogus"], 2),
        (["--staged", "--format"], 2),
        (["--staged", "--history"], 2),
        (["--since", ""], 2),
        (["--since", "nowhere", "--format", "json"], 4),
        (["gone.txt"], 4),
    ],
)
def test_wrong_arguments_end_as_with_the_verb(arguments: list[str], code: int, repo: Path, cache: Path) -> None:
    slow, quickly = run(repo, cache, "--quiet", *arguments, typer=True), run(repo, cache, "--quiet", *arguments)
    assert quickly[:2] == slow[:2]
    assert quickly[0] == code


def test_a_report_that_cannot_be_written_is_not_clean(repo: Path, cache: Path) -> None:
    env = {**os.environ, "ORCHESTRA_CREDS_CACHE_DIR": str(cache), "ORCHESTRA_CREDS_STATE_DIR": str(repo.parent / "s")}
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "orchestra_creds", "scan", "--staged"]
        done = subprocess.run(command, cwd=repo, env=env, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 5
    assert done.stderr.startswith(b"error: cannot write the report to stdout: no space left")


def test_outside_of_a_repository_the_verb_says_so(tmp_path: Path, cache: Path) -> None:
    here = tmp_path / "r"
    here.mkdir()
    assert run(here, cache)[0] == 4


@pytest.mark.parametrize(
    ("arguments", "source", "format_"),
    [
        (["scan", "--staged"], "staged", "table"),
        (["scan", "--quiet", "--staged", "-f", "json"], "staged", "json"),
        (["scan", "--staged", "--format=html", "--no-color", "-q"], "staged", "html"),
        (["scan"], "tree", "table"),
        (["scan", "a", "b", "--jobs=2"], "tree", "table"),
        (["scan", "--since", "HEAD~1", "."], "since", "table"),
    ],
)
def test_plain_arguments_go_the_fast_way(arguments: list[str], source: str, format_: str) -> None:
    plain = fast_scan._parse_arguments(arguments)
    assert plain is not None
    assert (plain.source.name, plain.format) == (source, format_)


@pytest.mark.parametrize(
    "arguments",
    [
        ["scan", "--staged", "--history"],
        ["scan", "--staged", "-o", "x"],
        ["scan", "rules"],
        ["scan", "baseline", "audit"],
        ["scan", "--help"],
        ["scan", "-"],
        ["scan", "--", "-x"],
        ["scan", "-qf", "json"],
        ["scan", "--staged=yes"],
        ["scan", "--jobs", "two"],
        ["scan", "--format", "yaml"],
        ["scan", "--severity", "high"],
        ["--verbose", "scan"],
        ["status"],
        [],
    ],
)
def test_all_other_arguments_go_to_the_verb(arguments: list[str]) -> None:
    assert fast_scan._parse_arguments(arguments) is None


@pytest.mark.parametrize("name", ["ORCHESTRA_CREDS_CONFIG", "ORCHESTRA_CREDS_FORMAT", "_ORCHESTRA_CREDS_COMPLETE"])
def test_settings_in_the_environment_go_to_the_verb(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for key in [key for key in os.environ if key.startswith("ORCHESTRA_CREDS")]:
        monkeypatch.delenv(key)
    assert not fast_scan._has_settings()
    monkeypatch.setenv(name, "x")
    assert fast_scan._has_settings()


def test_the_cache_is_trusted_only_when_it_is_ours_alone(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)

    def keep() -> None:
        remember(str(folder), lambda: b"compiled", 300, all_rules())

    def kept() -> CompiledRules | None:
        return recall(str(folder))

    keep()
    there = kept()
    assert there is not None
    assert (there.database, there.widest) == (b"compiled", 300)
    assert there.rules() == tuple(replace(rule, examples=(), counter_examples=()) for rule in all_rules())
    file = folder / NAME
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
    content = file.read_bytes()
    for damaged in (content[:-1], content + b"?", content[:40] + b"?" + content[41:], content[:9], b""):
        file.write_bytes(damaged)
        assert kept() is None
    file.write_bytes(content)
    file.rename(tmp_path / "real")
    file.symlink_to(tmp_path / "real")
    assert kept() is None
    assert [entry.name for entry in folder.iterdir()] == [NAME]


def test_a_cache_that_cannot_be_written_is_none_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / NAME / "in the way").mkdir(parents=True)
    remember(str(tmp_path), lambda: b"compiled", 300, all_rules())
    assert [entry.name for entry in tmp_path.iterdir()] == [NAME]
    assert recall(str(tmp_path)) is None


def test_a_changed_scanner_makes_the_cache_worthless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    remember(str(tmp_path), lambda: b"compiled", 300, all_rules())
    assert recall(str(tmp_path)) is not None
    monkeypatch.setattr("orchestra_creds.scanner.engine.compiled_cache.__version__", "other")
    assert recall(str(tmp_path)) is None


def test_the_default_format_is_that_of_the_verb() -> None:
    assert inspect.signature(scan.scan).parameters["format_"].default is FORMATS[fast_scan.DEFAULT_FORMAT]
