"""`completion SHELL`: prints the script that makes a shell complete our verbs and options; edits no rc file."""

import os
from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import (  # type: ignore[attr-defined]  # Typer re-exports them untyped
    completion_init,
    get_completion_script,
)

from orchestra_creds.cli.session import write_stdout

PROGRAM = "orchestra-creds"
COMPLETE_VARIABLE = "_ORCHESTRA_CREDS_COMPLETE"


class Shell(StrEnum):
    """The shells that Typer can complete for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


def completion(shell: Annotated[Shell, typer.Argument(help="The shell to print the script for.")]) -> None:
    """Print the completion script of a shell.

    Load it with: eval "$(orchestra-creds completion bash)"
    """
    write_stdout(get_completion_script(prog_name=PROGRAM, complete_var=COMPLETE_VARIABLE, shell=shell.value) + "\n")


def prepare() -> None:
    """Teach Typer the shells when a shell is asking; without its own --install-completion options it does not."""
    if COMPLETE_VARIABLE in os.environ:
        completion_init()
