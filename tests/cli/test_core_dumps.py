"""No start of the program leaves its memory in a core file, whatever the limit of the shell is."""

import os
import resource
import signal
import subprocess
import sys

import pytest

from tests.cli.conftest import Operator

PROBE = """
import os, resource, sys
from orchestra_creds import __main__
sys.argv = ["orchestra-creds", *sys.argv[1:]]
__main__.end = sys.exit
try:
    __main__.main()
except SystemExit:
    pass
print(*resource.getrlimit(resource.RLIMIT_CORE), file=sys.stderr)
os.abort()
"""
SMALLEST = 4096
"""Bytes of the smallest core that Linux writes (ELF_EXEC_PAGESIZE)."""


def allow_core_dumps() -> None:
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


@pytest.mark.parametrize(
    "arguments", [["scan", "-"], ["scan", "."], ["scan", ".", "-f", "html"], ["secret", "list"], ["--version"]]
)
def test_a_start_leaves_no_core_file(arguments: list[str], operator: Operator, token: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        cwd=operator.folder,
        env={**operator.environment, "ORCHESTRA_CREDS_BACKEND": "local"}
        if arguments[0] == "secret"
        else operator.environment,
        input=f"token: {token}\n".encode(),
        capture_output=True,
        check=False,
        preexec_fn=allow_core_dumps,
    )
    assert done.returncode == -signal.SIGABRT
    soft, _hard = done.stderr.split()[-2:]
    assert 0 <= int(soft) < SMALLEST
    assert [path for path in operator.folder.rglob("core*") if path.is_file()] == []
    assert os.listdir(operator.folder) == []
