"""The one place that runs the operator's programs: hooks, probes, destinations and the `command` kind.

Guarantees: an argument list, never a shell; material on standard input only, never in arguments or environment; an environment of
names and numbers; output bounded and never quoted in an error; a program that takes too long is killed with all that it started.
"""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from datetime import timedelta

from orchestra_creds.core.material import Material
from orchestra_creds.core.text import os_error_text
from orchestra_creds.errors import ConfigError, PreconditionError, UnavailableError

PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "LOGNAME", "SSL_CERT_FILE", "XDG_RUNTIME_DIR")
"""What a program gets of our own environment: nothing that may hold a credential."""
LONGEST_OUTPUT = 1_048_576
"""Bytes of output that are read; more is an error."""


def check(argv: Sequence[str], what: str) -> None:
    """Refuse a program that cannot be started.

    Raises:
        ConfigError: it is not there, or may not be run.
    """
    if not argv or shutil.which(argv[0]) is None:
        raise ConfigError(
            f"{what}: program {argv[0] if argv else ''!r} cannot be run", hint="name it by its path; is it executable?"
        )


NOT_RUN = 126
"""A shell ends with this and higher codes if it cannot run a command, or if a signal ended the command (POSIX, 2.8.2)."""


class ProgramFailedError(PreconditionError):
    """A program ended with another exit code than 0. `answered` is False if it could not do its work at all."""

    def __init__(self, message: str, *, hint: str, answered: bool) -> None:
        super().__init__(message, hint=hint)
        self.answered = answered


def run(
    argv: Sequence[str],
    what: str,
    *,
    material: Material | None = None,
    variables: Mapping[str, str] | None = None,
    timeout: timedelta = timedelta(seconds=60),
) -> bytes:
    """Run a program, and return its output. `what` names it in errors; `variables` are added to its environment.

    Raises:
        ConfigError: it cannot be started.    PreconditionError: it failed.    UnavailableError: it took too long; nobody knows.
    """
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | dict(variables or {})
    try:
        program = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise ConfigError(
            f"{what}: cannot start {argv[0]!r}: {os_error_text(error)}",
            hint="name the program by its path",
        ) from None
    try:
        output, _ = program.communicate(material.reveal() if material else b"", timeout.total_seconds())
    except subprocess.TimeoutExpired:
        _kill(program)
        raise UnavailableError(
            f"{what}: {argv[0]!r} took longer than {timeout.total_seconds():.0f} s",
            hint="it was stopped; whether it did its work is not known",
        ) from None
    except BaseException:
        _kill(program)
        raise
    if len(output) > LONGEST_OUTPUT:
        raise PreconditionError(f"{what}: {argv[0]!r} wrote more than {LONGEST_OUTPUT} bytes")
    if program.returncode:
        raise ProgramFailedError(
            f"{what}: {argv[0]!r} ended with {program.returncode}",
            hint="run it by hand to see why; its output is not shown, for it may hold material",
            answered=0 < program.returncode < NOT_RUN,
        )
    return output


def _kill(program: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, signal.SIGKILL)
    program.communicate()
