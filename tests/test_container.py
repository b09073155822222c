"""scripts/container: what a hardened image must hold. No engine builds it here, so the file itself is held to the rules."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

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
