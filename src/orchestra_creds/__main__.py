"""The entry point: fast paths first, then Typer; whatever escapes both is a bug and exits 70."""

import gc
import os
import signal
import sys
from types import FrameType

from orchestra_creds.cli.core_dumps import forbid_core_dumps
from orchestra_creds.cli.stderr import install_patient_stderr
from orchestra_creds.errors import ExitCode


def _handle_sigterm(_signal: int, _frame: FrameType | None) -> None:
    """SIGTERM unwinds like an exception, so that `finally` blocks run: no child and no half report stays behind."""
    raise SystemExit(ExitCode.TERMINATED)


def end(code: int) -> None:
    """Leave as we are: all is written and no child is left, and to take the modules apart would cost some milliseconds."""
    sys.stderr.flush()
    os._exit(code)


_GARBAGE = 20_000
"""New objects after which a scan looks for cycles among them: loading itself, it makes many, and none in cycles."""


def main() -> None:
    """Run the command line in `sys.argv` and exit with its code."""
    signal.signal(signal.SIGTERM, _handle_sigterm)
    install_patient_stderr()
    forbid_core_dumps()
    try:
        if sys.argv[1:] == ["--version"]:
            from orchestra_creds.cli.version import version_line

            sys.stdout.write(version_line() + "\n")
            return
        if sys.argv[1:2] == ["scan"]:
            from orchestra_creds.cli import fast_scan

            gc.set_threshold(_GARBAGE)
            if (code := fast_scan.scan(sys.argv[1:])) is not None:
                end(code)
        from orchestra_creds.cli.app import run

        run()
    except KeyboardInterrupt:  # before or after a verb, which says the same
        sys.stderr.write("cancelled\n")
        sys.exit(ExitCode.CANCELLED)
    except Exception as error:  # the outermost boundary: everything foreseen was turned into an exit already
        if os.environ.get("ORCHESTRA_CREDS_DEBUG"):
            raise
        name = type(error).__name__  # the type only: the text of an unforeseen error may hold material
        sys.stderr.write(f"internal error: {name}; set ORCHESTRA_CREDS_DEBUG=1 for the traceback\n")
        sys.exit(ExitCode.BUG)


if __name__ == "__main__":
    main()
