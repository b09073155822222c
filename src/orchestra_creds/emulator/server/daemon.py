"""The daemon's entry point, started by `control.start_daemon`: serve until SIGTERM or SIGINT.

What goes wrong before the ports are open is one line on stderr, which is the daemon's log.
"""

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path

from orchestra_creds.emulator.server.control import run_daemon
from orchestra_creds.errors import CredsError


def main() -> int:
    """Parse, serve, and end with the exit code of the error if there is one."""
    parser = argparse.ArgumentParser(prog="python -m orchestra_creds.emulator.server.daemon")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--grpc-port", type=int, required=True)
    parser.add_argument("--http-port", type=int, required=True)
    parser.add_argument("--auth", action="store_true")
    parser.add_argument("--strict", action=argparse.BooleanOptionalAction)
    options = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(name)s %(message)s")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        run_daemon(
            options.state,
            auth=options.auth,
            strict=options.strict,
            host=options.host,
            grpc_port=options.grpc_port,
            http_port=options.http_port,
            wait=ended.wait,
        )
    except CredsError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  # stderr is the log
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
