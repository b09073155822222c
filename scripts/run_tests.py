"""Run every test in two runs side by side, those of scanner and code and those of the cloud; arguments go to pytest.

Two processes, and not one with threads: the scanner forks workers, which a process with threads must not. What the local part prints comes
last. For root, the tests of owners and permissions follow, see `run_unprivileged`.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import run_unprivileged

ROOT = Path(__file__).resolve().parents[1]


def worst(codes: list[int]) -> int:
    """The exit code of several runs: of the first that failed; NOTHING_TO_RUN only if none had a test."""
    failed = [code for code in codes if code not in {0, run_unprivileged.NOTHING_TO_RUN}]
    return failed[0] if failed else min(codes)


def run_parts(arguments: list[str]) -> int:
    """Run both parts at once and print one after the other; return the exit code of both."""
    command = [sys.executable, "-m", "pytest"]
    with tempfile.TemporaryFile() as output:
        local = subprocess.Popen(
            [*command, "--part=local", "-p", "no:cacheprovider", *arguments],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            cloud = subprocess.run([*command, "--part=cloud", *arguments], cwd=ROOT, check=False).returncode
            code = local.wait()
        finally:
            local.kill()  # an interrupt ends both
        output.seek(0)
        sys.stdout.buffer.write(output.read())
        sys.stdout.flush()
    return worst([cloud, code])


def main() -> int:
    """Run the tests; return pytest's exit code."""
    code = run_parts(sys.argv[1:])
    if code not in {0, run_unprivileged.NOTHING_TO_RUN} or os.geteuid() != 0:
        return code
    return worst([code, run_unprivileged.main()])


if __name__ == "__main__":
    sys.exit(main())
