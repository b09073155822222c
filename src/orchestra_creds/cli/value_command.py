"""Programs that the operator names, run without a shell: their output may be material and is never shown."""

import shlex
import subprocess

from orchestra_creds.errors import ConfigError, PreconditionError

DEADLINE = 60.0
"""Seconds a value command may take: long enough for a person to unlock a password store."""


def output_of(command: str) -> bytes:
    """Standard output of a command line, split as a shell splits words; its standard error goes to ours.

    Raises:
        ConfigError: it is empty or badly quoted, or there is no such program.
        PreconditionError: it failed, or took too long; what it printed is not repeated.
    """
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if not words:
        raise ConfigError(
            "--from-cmd needs a command line", hint="quote it: --from-cmd 'op read op://vault/item/field'"
        )
    try:
        run = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=DEADLINE, check=False)
    except (FileNotFoundError, PermissionError):
        raise ConfigError(f"cannot run {words[0]}: no such program", hint="check --from-cmd") from None
    except subprocess.TimeoutExpired:
        raise PreconditionError(f"{words[0]} did not end within {DEADLINE:.0f} s", hint="nothing was stored") from None
    if run.returncode != 0:
        raise PreconditionError(
            f"{words[0]} ended with {run.returncode}", hint="nothing was stored; run it by hand to see why"
        )
    return run.stdout
