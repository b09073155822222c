"""What a gcloud story is made of; the stories stand in test_gcloud_*.py."""

import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LIMIT = 60.0
"""Seconds for one step; an idle machine needs about 1.2."""


@dataclass(frozen=True, slots=True)
class Step:
    """One gcloud command line (without `gcloud`), and a pattern of what it says on stdout or stderr.

    `{NAME}` in the command is what an earlier step kept under that name. `keep` names what this step prints.
    """

    command: str
    says: str = ""
    fails: bool = False
    stdin: str = ""
    keep: str = ""


def play(steps: tuple[Step, ...], environment: Mapping[str, str], folder: Path) -> None:
    """Run the steps in order in `folder`; stops at the first that does not do as expected."""
    kept: dict[str, str] = {}
    # A proxy that is not there: whatever does not go to this machine fails.
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
    for number, step in enumerate(steps, 1):
        arguments = [_filled(word, kept) for word in shlex.split(step.command)]
        done = subprocess.run(
            ["gcloud", *arguments],
            input=step.stdin,
            capture_output=True,
            text=True,
            cwd=folder,
            env={**os.environ, **nowhere, **environment},
            timeout=LIMIT,
            check=False,
        )
        said = done.stdout + done.stderr
        assert (done.returncode != 0) == step.fails, f"step {number}: {step.command}\n{said}"
        assert re.search(step.says, said), f"step {number}: {step.command}\n{said}"
        if step.keep:
            kept[step.keep] = done.stdout.strip()


def _filled(word: str, kept: Mapping[str, str]) -> str:
    for name, value in kept.items():
        word = word.replace(f"{{{name}}}", value)
    return word
