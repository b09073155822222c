"""The error boundary and the way out, through the real entry point."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import orchestra_creds.cli.app
from orchestra_creds.cli.session import CredsGroup, report_error
from orchestra_creds.errors import ConfigError, CredsError, ExitCode

COMMAND = str(Path(sys.executable).with_name("orchestra-creds"))


def error_classes() -> list[type[CredsError]]:
    return [CredsError, *CredsError.__subclasses__()]


BUGGY = """
import sys, typer
import orchestra_creds.cli.app as app
def buggy(): raise RuntimeError("text with a " + "swordfish")
app.app.command("buggy")(buggy)
sys.argv = ["orchestra-creds", "buggy"]
from orchestra_creds.__main__ import main
main()
"""


def test_a_bug_exits_70_and_prints_only_its_type() -> None:
    run = subprocess.run([sys.executable, "-c", BUGGY], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (70, "")
    assert run.stderr == "internal error: RuntimeError; set ORCHESTRA_CREDS_DEBUG=1 for the traceback\n"


@pytest.mark.parametrize("redirection", ["2>too-large", "2>&-", "2>&1 | true; exit ${PIPESTATUS[0]}"])
@pytest.mark.parametrize(("verb", "code"), [("scan nothere", 4), ("scan --history nothere", 4), ("status --bogus", 2)])
def test_an_error_that_nobody_can_read_keeps_its_code(verb: str, code: int, redirection: str, tmp_path: Path) -> None:
    script = f"ulimit -f 0; {COMMAND} {verb} {redirection}"  # no file may hold a byte
    run = subprocess.run(["bash", "-c", script], cwd=tmp_path, check=False)
    assert run.returncode == code


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_every_error_ends_with_its_own_code_and_one_line(kind: type[CredsError]) -> None:
    import typer

    app = typer.Typer(cls=CredsGroup, rich_markup_mode=None)

    @app.callback()
    def root() -> None: ...

    @app.command()
    def fail() -> None:
        raise kind("the thing is wrong", hint="mend it")

    result = CliRunner().invoke(app, ["fail"])
    assert (result.exit_code, result.stdout) == (kind.exit_code, "")
    assert result.stderr == "error: the thing is wrong\nhint: mend it\n"


def test_errors_are_one_json_object_when_json_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    report_error(ConfigError("no", hint="yes"), as_json=True)
    body = json.loads(capsys.readouterr().err)
    assert body == {"error": {"code": "ConfigError", "message": "no", "hint": "yes", "exit_code": 2}}


def test_names_from_outside_cannot_hold_escape_sequences(capsys: pytest.CaptureFixture[str]) -> None:
    report_error(ConfigError("no file a\x1b[31mb\nc"))
    assert capsys.readouterr().err == "error: no file a\\x1b[31mb\\nc\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_line_and_not_clean() -> None:
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [COMMAND, "completion", "bash"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert run.returncode == ExitCode.INCOMPLETE
    assert run.stderr.splitlines()[0] == "error: cannot write the report to stdout: no space left on device"


def test_a_closed_stdout_is_one_line_and_not_clean() -> None:
    run = subprocess.run(
        ["/bin/sh", "-c", f"'{COMMAND}' completion bash >&-"], stderr=subprocess.PIPE, text=True, check=False
    )
    assert run.returncode == ExitCode.INCOMPLETE
    assert run.stderr.splitlines()[0] == "error: cannot write the report to stdout: it is closed"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_with_its_own_code(number: signal.Signals, code: int) -> None:
    slow = BUGGY.replace('raise RuntimeError("text with a " + "swordfish")', "print('ready', flush=True); input()")
    process = subprocess.Popen(
        [sys.executable, "-c", slow], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == code
    assert "Traceback" not in stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_prints_a_script_that_names_the_program(shell: str) -> None:
    result = CliRunner().invoke(orchestra_creds.cli.app.app, ["completion", shell])
    assert result.exit_code == 0
    assert "orchestra-creds" in result.stdout


def test_a_shell_is_answered_with_our_verbs() -> None:
    ask = {
        "_ORCHESTRA_CREDS_COMPLETE": "complete_bash",
        "COMP_WORDS": "orchestra-creds compl",
        "COMP_CWORD": "1",
        "PATH": "/usr/bin:/bin",
    }
    run = subprocess.run([COMMAND], env=ask, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["completion"]
