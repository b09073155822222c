"""Standard streams that cannot be written: full, closed, or read by nobody.

Imports next to nothing: every start pays for it.
"""

import io
import os
import sys


class Stderr(io.TextIOWrapper):
    """Standard error: when it cannot be written, what is said is lost, and neither the work nor the exit code."""

    def write(self, text: str, /) -> int:
        """Write, or point the descriptor to nowhere."""
        try:
            return super().write(text)
        except OSError:
            redirect_to_null(2)
            return len(text)

    def flush(self) -> None:
        """The same for what was written and is still here."""
        try:
            super().flush()
        except OSError:
            redirect_to_null(2)


def install_patient_stderr() -> None:
    """Make `sys.stderr` one that never raises."""
    if sys.stderr is None:  # closed by the caller: the next file to be opened would take its place
        redirect_to_null(2)
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115  for as long as we live
    elif type(sys.stderr) is io.TextIOWrapper:
        sys.stderr = Stderr(sys.stderr.buffer, sys.stderr.encoding, sys.stderr.errors, line_buffering=True)


def redirect_to_null(descriptor: int) -> None:
    """Point a descriptor to nowhere, so that Python's own flush at its end does not complain a second time."""
    null = os.open(os.devnull, os.O_RDWR)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)
