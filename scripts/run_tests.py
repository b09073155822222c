"""Run every test, the parts of the suite side by side; arguments go to pytest.

Processes, and not one with threads: the scanner forks workers, which a process with threads must not. What the cloud part prints comes
first, while it runs. For root, the tests of owners and permissions follow, see `run_unprivileged`.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import run_unprivileged

ROOT = Path(__file__).resolve().parents[1]
OTHER_PARTS = ("verbs", "rotation", "local")
"""See `tests/parts.py`."""


def worst(codes: list[int]) -> int:
    """The exit code of several runs: of the first that failed; NOTHING_TO_RUN only if none had a test."""
    failed = [code for code in codes if code not in {0, run_unprivileged.NOTHING_TO_RUN}]
    return failed[0] if failed else min(codes)


def run_parts(arguments: list[str]) -> int:
    """Run all parts at once and print one after the other; return the exit code of all."""
    command = [sys.executable, "-m", "pytest"]
    with contextlib.ExitStack() as stack:
        beside = []
        for part in OTHER_PARTS:
            output = stack.enter_context(tempfile.TemporaryFile())
            options = [f"--part={part}", "-p", "no:cacheprovider", *arguments]
            process = subprocess.Popen([*command, *options], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
            stack.callback(process.kill)  # an interrupt ends all
            beside.append((process, output))
        codes = [subprocess.run([*command, "--part=cloud", *arguments], cwd=ROOT, check=False).returncode]
        for process, output in beside:
            codes.append(process.wait())
            output.seek(0)
            sys.stdout.buffer.write(output.read())
            sys.stdout.flush()
    return worst(codes)


def main() -> int:
    """Run the tests; return pytest's exit code."""
    code = run_parts(sys.argv[1:])
    if code not in {0, run_unprivileged.NOTHING_TO_RUN} or os.geteuid() != 0:
        return code
    return worst([code, run_unprivileged.main()])


if __name__ == "__main__":
    sys.exit(main())
