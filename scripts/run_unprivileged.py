"""Runs the tests that concern owners and permissions without the superuser's privileges; arguments go to pytest.

A file that nobody may read is readable for the superuser, so these tests prove nothing when root runs them. The run has another user's id
and a home of its own. Where that user cannot reach the interpreter or the tests, the run keeps its id and loses every capability: then the
permissions of files count for it as for anyone.
"""

import ctypes
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
USER = "nobody"
PR_CAPBSET_DROP = 24
"""See prctl(2)."""
LAST_CAPABILITY = 63
NOTHING_TO_RUN = 5
"""Pytest's exit code when the arguments choose none of these tests."""


def become(user: pwd.struct_passwd) -> None:
    """Take another user's id, for good."""
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def lose_capabilities() -> None:
    """Take every capability out of the bounding set: the program that is started next has none."""
    libc = ctypes.CDLL(None)
    for capability in range(LAST_CAPABILITY + 1):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def can_run(user: pwd.struct_passwd) -> bool:
    """Return whether that user can start this interpreter with the tests' libraries."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import pytest, orchestra_creds.cli.app"],
            cwd=ROOT,
            preexec_fn=lambda: become(user),
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0


def main() -> int:
    """Run them once; return pytest's exit code."""
    user = pwd.getpwnam(USER)
    drop: Callable[[], None] = lambda: become(user)  # noqa: E731  one of two
    with tempfile.TemporaryDirectory(prefix="unprivileged-") as home:
        if can_run(user):
            os.chown(home, user.pw_uid, user.pw_gid)
            print(f"as {USER}:", flush=True)
        else:
            drop = lose_capabilities
            print(f"{USER} cannot reach {sys.executable}; as root without capabilities:", flush=True)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--basetemp={home}/tests"]
        chosen = ["-m", "(permissions or unprivileged) and not live", *sys.argv[1:]]
        names = {"HOME": home, "HYPOTHESIS_STORAGE_DIRECTORY": f"{home}/hypothesis", "USER": USER, "LOGNAME": USER}
        done = subprocess.run([*command, *chosen], cwd=ROOT, env=os.environ | names, preexec_fn=drop, check=False)
    return done.returncode
