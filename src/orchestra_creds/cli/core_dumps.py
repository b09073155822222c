"""Keep the memory of this process, which may hold material, out of core files and away from debuggers.

Imports next to nothing: every start pays for it.
"""

import sys

if sys.platform != "win32":
    import resource

_NO_PIPED_CORE = 1
"""A soft limit of one byte: Linux writes no file, and does not start a program that `core_pattern` names (see core(5) and
Linux, do_coredump). A limit of 0 does not stop such a program."""
_PR_SET_DUMPABLE = 4
"""See prctl(2)."""


def forbid_core_dumps() -> None:
    """Let no crash of this process, or of one that it starts, leave its memory in a file."""
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if sys.platform != "linux":
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    elif soft != _NO_PIPED_CORE and hard != 0:
        resource.setrlimit(resource.RLIMIT_CORE, (_NO_PIPED_CORE, hard))


def forbid_attaching() -> None:
    """Let no other process of this user read the memory of this one (Linux); it also leaves no core."""
    forbid_core_dumps()
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
