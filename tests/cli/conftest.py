"""Runs the real command as an operator would: a process of its own, its own folders, no network, hostile surroundings."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestra_creds.cli.app import app
from orchestra_creds.scanner.samples.sample import render

STATE_FILE = "emulator.db"
COMMAND = str(Path(sys.executable).with_name("orchestra-creds"))


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout.decode()


class Operator:
    """Somebody at a shell in `folder`, whose state and cache lie beside it; the embedded cloud is strict unless told."""

    def __init__(self, home: Path, *, strict: bool = True) -> None:
        self.strict = strict
        self.folder = home / "work"
        self.folder.mkdir()
        self.home = home
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ORCHESTRA_CREDS_", "CLOUDSDK_", "GIT_", "GOOGLE_"))
        }
        self.environment = kept | {
            "ORCHESTRA_CREDS_STATE_DIR": str(home / "state"),
            "ORCHESTRA_CREDS_CACHE_DIR": os.environ.get("ORCHESTRA_CREDS_TEST_CACHE", str(home.parent / "cache")),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "HOME": str(home),
        }

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        variables: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> Ended:
        environment = self.environment | dict(variables or {})
        if opens_embedded_cloud(arguments, environment):
            self.prepare_cloud()
        done = subprocess.run(
            [COMMAND, *arguments],
            cwd=folder or self.folder,
            env=environment,
            input=stdin,
            capture_output=True,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr.decode())

    def call(self, *arguments: str, stdin: bytes = b"", variables: Mapping[str, str] | None = None) -> Ended:
        """The same inside this process: cheaper, for verbs whose clients take long to import."""
        foreign = {name: None for name in os.environ if name not in self.environment}
        if opens_embedded_cloud(arguments, self.environment | dict(variables or {})):
            self.prepare_cloud()
        with contextlib.chdir(self.folder):
            done = CliRunner().invoke(
                app, arguments, input=stdin, env={**foreign, **self.environment, **(variables or {})}
            )
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Ended(done.exit_code, done.stdout_bytes, done.stderr)

    def prepare_cloud(self) -> None:
        """Give the operator a state of the embedded cloud as `switch_to_strict` leaves it, unless there is one."""
        state = Path(self.environment["ORCHESTRA_CREDS_STATE_DIR"])
        if self.strict and not (state / STATE_FILE).exists():
            shutil.copytree(strict_state(self.home.parent), state, dirs_exist_ok=True)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def git(self, *arguments: str) -> None:
        author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
        subprocess.run(
            ["git", *author, *arguments], cwd=self.folder, env=self.environment, check=True, capture_output=True
        )

    def commit(self, message: str = "work") -> None:
        if not (self.folder / ".git").exists():
            self.git("init", "--quiet", "--initial-branch=main")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)


def opens_embedded_cloud(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether a command may make the state of the embedded cloud, if there is none."""
    if arguments[:1] == ("scan",):
        return False
    named = "--backend" in arguments and arguments[arguments.index("--backend") + 1] == "local"
    return named or arguments[:2] == ("emulator", "start") or environment.get("ORCHESTRA_CREDS_BACKEND") == "local"


def strict_state(folder: Path) -> Path:
    """Return a folder below `folder` with the state to start from: strict, nothing late, with the APIs on that a lenient cloud has on."""
    from orchestra_creds.emulator.service_usage.services import TITLES
    from orchestra_creds.emulator.store.store import Store
    from tests.strictness import switch_to_strict

    state = folder / "strict-state"
    if not state.exists():
        state.mkdir(mode=0o700)
        store = Store(state / STATE_FILE)
        switch_to_strict(store, apis=TITLES)
        store.close()
    return state


@pytest.fixture
def operator(tmp_path: Path, request: pytest.FixtureRequest) -> Operator:
    return Operator(tmp_path, strict=request.node.get_closest_marker("lenient") is None)


@pytest.fixture
def token() -> str:
    """A made-up GitHub token with a right checksum."""
    return render("gh" + "p_{crc62:30}")


def one_error(ended: Ended) -> str:
    """The one `error:` line of a run; there must be no other talk but a hint."""
    lines = ended.stderr.splitlines()
    assert [line for line in lines if not line.startswith(("error: ", "hint: "))] == []
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1
    return errors[0].removeprefix("error: ")


def appears(needles: Sequence[str], *haystacks: bytes | str) -> list[int]:
    """Which needles (by number, never by text) appear anywhere, in clear."""
    texts = [hay if isinstance(hay, bytes) else hay.encode() for hay in haystacks]
    return [number for number, needle in enumerate(needles) if any(needle.encode() in text for text in texts)]
