"""scripts/container: what a hardened image must hold. No engine builds it here, so the file itself is held to the rules.

`--exhaustive` also runs the steps of the build stage in a throw-away folder, with each Python that a base may have.
"""

import glob
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import build_extension

FOLDER = Path(__file__).parents[1] / "scripts" / "container"
KNOWN = {"FROM", "ARG", "RUN", "WORKDIR", "COPY", "ENV", "USER", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}


@pytest.fixture(scope="module")
def stages() -> list[list[tuple[str, str]]]:
    """Each stage as (instruction, argument); what stands before the first FROM is stage 0."""
    text = (FOLDER / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found: list[list[tuple[str, str]]] = [[]]
    for line in joined.splitlines():
        instruction, _, argument = line.partition(" ")
        if instruction == "FROM":
            found.append([])
        found[-1].append((instruction, argument.strip()))
    return found


def every(stage: list[tuple[str, str]], instruction: str) -> list[str]:
    return [argument for name, argument in stage if name == instruction]


def test_a_linter_finds_nothing_in_it() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    ran = subprocess.run([linter, "--no-color", FOLDER / "Dockerfile"], capture_output=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, b"")


def test_every_instruction_is_known(stages: list[list[tuple[str, str]]]) -> None:
    assert {name for stage in stages for name, _ in stage} <= KNOWN


def test_the_base_is_named_by_whoever_builds_and_must_have_a_digest(stages: list[list[tuple[str, str]]]) -> None:
    before, build, run = stages
    assert before == [("ARG", "BASE")]  # no default: a tag can be moved
    assert every(build, "FROM") == ["${BASE} AS build"]
    assert every(run, "FROM") == ["${BASE} AS run"]
    assert "*@sha256:*) ;; *)" in every(build, "RUN")[0]
    assert "exit 1" in every(build, "RUN")[0]


def test_everything_installed_is_locked_by_hash_and_comes_as_a_wheel(stages: list[list[tuple[str, str]]]) -> None:
    commands = [part for stage in stages for run in every(stage, "RUN") for part in run.split("&&")]
    installs = [
        command for command in commands if re.search(r"\bpip\b.*\binstall\b", command) and "uninstall" not in command
    ]
    assert len(installs) == 3
    for command in installs:
        locked = "--require-hashes" in command and "--only-binary :all: -r requirements-image.lock" in command
        own = "--no-index wheels/*.whl" in command
        assert locked or own
        assert "--no-deps" in command
        assert "--no-cache-dir" in command


def test_the_last_stage_takes_the_installed_program_and_nothing_else(stages: list[list[tuple[str, str]]]) -> None:
    assert every(stages[2], "COPY") == ["--from=build /opt/orchestra-creds /opt/orchestra-creds"]
    assert "pip uninstall" in every(stages[2], "RUN")[1]
    assert "chmod a-s" in every(stages[2], "RUN")[1]


def test_it_runs_as_nobody_by_number_after_the_last_step_that_needs_root(stages: list[list[tuple[str, str]]]) -> None:
    names = [name for name, _ in stages[2]]
    (user,) = every(stages[2], "USER")
    uid, _, gid = user.partition(":")
    assert int(uid) >= 10_000  # Kubernetes can check runAsNonRoot by number only
    assert int(gid) >= 10_000
    assert max(index for index, name in enumerate(names) if name in {"RUN", "COPY"}) < names.index("USER")


def test_no_shell_stands_between_a_signal_and_the_program(stages: list[list[tuple[str, str]]]) -> None:
    assert every(stages[2], "ENTRYPOINT") == ['["/opt/orchestra-creds/bin/orchestra-creds"]']
    assert every(stages[2], "CMD") == ['["--help"]']
    assert every(stages[2], "STOPSIGNAL") == ["SIGTERM"]
    assert every(stages[2], "HEALTHCHECK") == ["NONE"]


def test_nothing_is_written_outside_of_tmp(stages: list[list[tuple[str, str]]]) -> None:
    (variables,) = every(stages[2], "ENV")
    settings = dict(pair.split("=", 1) for pair in variables.split())
    assert settings["PYTHONDONTWRITEBYTECODE"] == "1"
    assert settings["HOME"] == "/tmp"
    assert settings["ORCHESTRA_CREDS_STATE_DIR"].startswith("/tmp/")


def test_the_build_sees_only_what_it_copies(stages: list[list[tuple[str, str]]]) -> None:
    lines = [line for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {source for copy in every(stages[1], "COPY") for source in copy.split()[:-1]}
    assert allowed == copied
    assert all((FOLDER.parents[1] / name).exists() for name in copied)


def test_no_secret_is_a_build_argument_or_a_variable(stages: list[list[tuple[str, str]]]) -> None:
    said = " ".join(argument for stage in stages for name, argument in stage if name in {"ARG", "ENV"})
    assert not re.search(r"(?i)secret|token|password|credential(?!s)", said)


def test_m9_the_image_has_the_packages_of_every_kind_and_destination() -> None:
    locked = (FOLDER.parents[1] / "requirements-image.lock").read_text()
    assert {"psycopg", "psycopg-binary", "pynacl"} <= set(re.findall(r"^([a-z0-9-]+)==", locked, re.MULTILINE))


def test_m9_git_is_in_the_image_and_the_compiler_is_not(stages: list[list[tuple[str, str]]]) -> None:
    _, build, run = stages
    installed = [
        re.findall(r"apt-get install --yes --no-install-recommends ([a-z0-9 -]+?) &&", each)
        for each in every(build, "RUN")
    ]
    assert [each for each in installed if each] == [["gcc libc6-dev"]]
    assert any(re.search(r"apt-get install --yes --no-install-recommends git &&", each) for each in every(run, "RUN"))
    assert "ORCHESTRA_CREDS_NATIVE=1" in every(build, "ENV")


def test_m9_a_build_without_the_compiled_extensions_fails_where_they_are_demanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / build_extension.FOLDER
    folder.mkdir(parents=True)
    for source in build_extension.SOURCES:
        shutil.copy(FOLDER.parents[1] / source, tmp_path / source)
    hook = build_extension.CustomBuildHook(str(tmp_path), {}, None, None, "", "wheel")  # type: ignore[arg-type]
    monkeypatch.setenv("CC", "/nowhere/cc")
    monkeypatch.setenv("ORCHESTRA_CREDS_NATIVE", "1")
    with pytest.raises(RuntimeError, match="the C extensions cannot be built"):
        hook.initialize("standard", {"artifacts": []})


def interpreter(version: str) -> str:
    """The path of a Python of this version, of pyenv (whose command on PATH may only say that it is there) or of the machine; or empty."""
    found = sorted(glob.glob(os.path.expanduser(f"~/.pyenv/versions/{version}.*/bin/python3")))
    return found[-1] if found else shutil.which(f"python{version}") or ""


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_m9_the_steps_of_the_build_make_a_program_that_does_everything(
    version: str, stages: list[list[tuple[str, str]]], tmp_path: Path, exhaustive: bool
) -> None:
    if not exhaustive:
        pytest.skip("takes a minute; --exhaustive runs it")
    python = interpreter(version)
    if not python:
        pytest.skip(f"there is no Python {version} here")
    place, work = tmp_path / "opt", tmp_path / "build"
    work.mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text(f'#!/bin/sh\nexec {python} "$@"\n')
    (tmp_path / "bin" / "python").chmod(0o755)
    environment = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    environment |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REQUESTS_"))}
    for instruction, argument in stages[1]:
        if instruction == "COPY":
            *sources, target = argument.split()
            for source in sources:
                copy_into(FOLDER.parents[1] / source, work / (source if target != "./" else Path(source).name))
        elif instruction == "ENV":
            environment |= dict([argument.split("=", 1)])
        elif instruction == "RUN" and "apt-get" not in argument and "case" not in argument:
            step = argument.replace("/opt/orchestra-creds", str(place))
            done = subprocess.run(
                ["/bin/sh", "-ec", step], cwd=work, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (settings,) = every(stages[2], "ENV")
    inside = dict(pair.split("=", 1) for pair in settings.split()) | {"PATH": "/usr/bin:/bin"}
    inside |= {"HOME": str(tmp_path / "home"), "ORCHESTRA_CREDS_STATE_DIR": str(tmp_path / "state")}
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "orchestra-creds.toml").write_text(EVERY_KIND)

    def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(place / "bin" / "orchestra-creds"), *arguments]
        return subprocess.run(command, cwd=tmp_path / "home", env=inside, capture_output=True, text=True, check=False)

    assert call("--version").returncode == 0
    stored = subprocess.run(
        [str(place / "bin" / "orchestra-creds"), "secret", "set", "pg-admin", "--stdin", "--backend", "local"],
        cwd=tmp_path / "home",
        env=inside,
        input="postgresql://admin@127.0.0.1:1/postgres?sslmode=disable",
        capture_output=True,
        text=True,
        check=False,
    )
    assert stored.returncode == 0, stored.stderr
    rotated = call("rotate", "--all", "--backend", "local", "--project", "demo-project")
    assert "is not installed" not in rotated.stdout + rotated.stderr
    assert "no answer from PostgreSQL" in rotated.stdout + rotated.stderr
    subprocess.run(["git", "init", "-q", str(tmp_path / "home")], check=True)
    assert call("scan", "--history").returncode == 0


EVERY_KIND = """schema = 1
[credentials.pg]
kind = "postgres"
[credentials.pg.postgres]
users = ["a", "b"]
admin_secret = "pg-admin"
host = "127.0.0.1"
port = 1
sslmode = "disable"
"""


def copy_into(source: Path, target: Path) -> None:
    """Copy what the build sees: without compiled files of another Python."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    else:
        shutil.copy(source, target)
