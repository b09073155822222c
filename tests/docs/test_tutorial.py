"""docs/tutorial.md: its story runs as it stands, and prints what the page shows but for numbers, times and ids."""

import re
import subprocess
from pathlib import Path

from tests.cli.conftest import COMMAND, Operator

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
STORY = "".join(re.findall(r"^```console\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE))
CRONTAB = """#!/bin/sh
case $1 in -l) cat "$HOME/tab" 2>/dev/null || { echo "no crontab for you" >&2; exit 1; };; -) cat > "$HOME/tab";; esac
"""
"""The story must not reach the crontab of whoever runs the tests."""


def alike(line: str) -> str:
    """The line without what differs from run to run: digits, hexadecimal ids, and widths of columns."""
    return " ".join(re.sub(r"\b[0-9a-f]{8,}\b|\d+", "#", line).split())


def test_the_story_is_true(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    crontab = operator.write("bin/crontab", CRONTAB)
    crontab.chmod(0o755)
    path = f"{crontab.parent}:{Path(COMMAND).parent}:{operator.environment['PATH']}"
    steps = [step.split("\n") for step in re.split(r"^\$ ", STORY, flags=re.MULTILINE)[1:]]
    assert len(steps) > 25
    script = "\n".join(f"printf '\\036\\n'; {command}" for command, *_ in steps)
    ran = subprocess.run(
        ["sh", "-c", script],
        cwd=tmp_path,
        env={**operator.environment, "HOME": str(tmp_path), "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    for (command, *wanted), printed in zip(steps, ran.stdout.split("\036\n")[1:], strict=True):
        shown = [alike(line) for line in wanted if line]
        got = [alike(line) for line in printed.splitlines() if line.strip()]
        pattern = r"\n".join(r"(?:.*\n)*?.*" if line == "…" else re.escape(line) for line in shown)
        assert re.fullmatch(pattern, "\n".join(got)), f"$ {command}\n{printed}\n{ran.stderr[-2000:]}"
