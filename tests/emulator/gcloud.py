"""What a gcloud story is made of; the stories stand in test_gcloud_*.py."""

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from orchestra_creds.emulator.server import control

LIMIT = 60.0
"""Seconds for one step; an idle machine needs about 1.2."""


@dataclass(frozen=True, slots=True)
class Step:
    """One gcloud command line (without `gcloud`), and a pattern of what it says on stdout or stderr.

    `{NAME}` in the command is what an earlier step kept under that name. `keep` names what this step prints.
    `own` steps run as whoever gcloud has logged in, without the owner's token.
    """

    command: str
    says: str = ""
    fails: bool = False
    stdin: str = ""
    keep: str = ""
    own: bool = False


def nothing_to_prepare(_folder: Path, _http: str, _project: str) -> None:
    """The story needs no files."""


def tell(
    stories: Mapping[str, tuple[Step, ...]],
    state: Path,
    folder: Path,
    prepare: Callable[[Path, str, str], None] = nothing_to_prepare,
) -> None:
    """Play the stories against the daemon of a state, two at a time, each in a project and a folder of its own.

    `prepare(folder, http, project)` puts the files there that a story names.
    """
    daemon = control.find_daemon(state)
    assert daemon is not None
    token = control.owner_token(state) if daemon.auth else ""

    def one(name: str) -> None:
        own, project = folder / name, f"project-{name}"
        own.mkdir()
        prepare(own, daemon.endpoints.http, project)
        variables = control.environment(state, daemon.endpoints, project=project, access_token=token)
        play(stories[name], {**variables, "CLOUDSDK_CONFIG": str(own / "config")}, own, {"PROJECT": project})

    with ThreadPoolExecutor(2) as lanes:
        told = [lanes.submit(one, name) for name in stories]
    for story in told:
        story.result()


def play(
    steps: tuple[Step, ...],
    environment: Mapping[str, str],
    folder: Path,
    known: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Run the steps in order in `folder`; stops at the first that does not do as expected."""
    kept = dict(known)
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
            env={
                **os.environ,
                **nowhere,
                "HOME": str(folder),
                **(_without_token(environment) if step.own else environment),
            },
            timeout=LIMIT,
            check=False,
        )
        said = done.stdout + done.stderr
        assert (done.returncode != 0) == step.fails, f"step {number}: {step.command}\n{said}"
        assert re.search(_filled(step.says, kept), said), f"step {number}: {step.command}\n{said}"
        if step.keep:
            kept[step.keep] = done.stdout.strip()


def _without_token(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name != "CLOUDSDK_AUTH_ACCESS_TOKEN"}


def _filled(word: str, kept: Mapping[str, str]) -> str:
    for name, value in kept.items():
        word = word.replace(f"{{{name}}}", value)
    return word
