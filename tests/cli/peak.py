"""Runs a scan that must end soon, and tells how much memory it and all that it started took."""

import json
import os
import signal
import subprocess
import sys
from typing import Any, NamedTuple

import pytest

from tests.cli.conftest import COMMAND, Operator

PATIENCE = 10
"""Seconds until a scan counts as one that hangs."""

_PROGRAM = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
sys.stdout.buffer.write(done.stdout)
print(f"\\n{done.returncode} {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}", file=sys.stderr)
"""


class MeasuredScan(NamedTuple):
    """How a scan ended: its exit code, its report in JSON if it made one, its errors, and the peak in bytes."""

    code: int
    report: Any
    stderr: str
    peak: int


def scan_with_peak(operator: Operator, *arguments: str) -> MeasuredScan:
    """Run `scan --format json`."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, COMMAND, "scan", *arguments, "--format", "json"],
        cwd=operator.folder, env=operator.environment, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        stdout, stderr = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        pytest.fail("the scan hangs")
    *said, last = stderr.decode().splitlines()
    code, peak = last.split()
    report = json.loads(stdout) if stdout.strip() else None
    return MeasuredScan(int(code), report, "\n".join(said), int(peak) << 10)
