"""docs/emulator.md: its Python and its shell run as they stand."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestra_creds.cli.app import app
from orchestra_creds.emulator.server import control

PAGE = Path(__file__).parents[2] / "docs" / "emulator.md"
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
PYTHON = [body for language, body in BLOCKS if language == "python"]
SHELL = [body for language, body in BLOCKS if not language]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    yield folder / "emulator.db"
    control.stop_daemon(folder / "emulator.db")


def environment(state: Path, variables: dict[str, str]) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ORCHESTRA_CREDS_", "CLOUDSDK_", "GOOGLE_"))}
    ours = str(Path(sys.executable).parent)
    return kept | variables | {"ORCHESTRA_CREDS_STATE_DIR": str(state.parent), "PATH": f"{ours}:{os.environ['PATH']}"}


def test_the_page_has_what_it_promises() -> None:
    assert (len(PYTHON), len(SHELL) > 5) == (4, True)


def test_every_python_example_runs(state: Path, tmp_path: Path) -> None:
    with control.start_in_process(state) as running:
        variables = environment(state, control.environment(state, running.endpoints))
        runs = [
            subprocess.Popen(
                [sys.executable, "-W", "error", "-c", code], env=variables, cwd=tmp_path, stderr=subprocess.PIPE
            )
            for code in PYTHON
        ]
        said = [run.communicate()[1].decode() for run in runs]
    assert [run.returncode for run in runs] == [0] * len(PYTHON), said


def test_every_command_of_ours_runs(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = [body for body in SHELL if "gcloud" not in body and "curl" not in body and "emulator start" not in body]
    lines = [line for body in bodies for line in body.splitlines()]
    assert len(lines) > 8
    with control.start_in_process(state) as running:
        for name, value in environment(state, control.environment(state, running.endpoints)).items():
            monkeypatch.setenv(name, value)
        for line in lines:
            program, *arguments = shlex.split(line, comments=True)
            ended = CliRunner().invoke(app, arguments)
            assert (program, ended.exit_code) == ("orchestra-creds", 0), (line, ended.output)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_other_languages_speak_rest(state: Path, tmp_path: Path) -> None:
    (body,) = [body for body in SHELL if body.startswith("curl")]
    with control.start_in_process(state) as running:
        variables = environment(state, control.environment(state, running.endpoints))
        run = subprocess.run(
            ["sh", "-ec", body], env=variables, cwd=tmp_path, capture_output=True, text=True, check=False
        )
    assert (run.returncode, run.stdout.count("secrets/by-curl")) == (0, 2), run.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_story_of_permissions_is_true(state: Path, tmp_path: Path) -> None:
    (story,) = [body for body in SHELL if "--auth" in body]
    account = (
        'curl -sf -X POST "$ORCHESTRA_CREDS_EMULATOR_HTTP/v1/projects/demo-project/serviceAccounts"'
        ' -H "authorization: Bearer $CLOUDSDK_AUTH_ACCESS_TOKEN" -H "content-type: application/json"'
        ' -d \'{"accountId": "app-one"}\' > account.json'
    )
    lines = [account if line.startswith("gcloud") else line for line in story.splitlines()]
    told = "\n".join(f'{line.partition("  #")[0]}\necho "ended $?" >&2' for line in lines)
    run = subprocess.run(
        ["sh", "-c", told], env=environment(state, {}), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    codes = [int(line.split()[1]) for line in run.stderr.splitlines() if line.startswith("ended")]
    assert codes == [3 if "# exit 3" in line else 0 for line in lines], run.stderr
    assert run.stdout.split()[-2:] == ["43", "43"]
    assert "secretmanager.versions.access is missing" in run.stderr
