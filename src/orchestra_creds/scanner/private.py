"""Files of the cache that only we can have written: what is read from one is trusted like code.

Guarantees: a file is opened only when it is a regular one that we own, that nobody else may read or write, that has no
other name, in a folder of which the same holds; anything else is no file. It is replaced in one step, and nothing is left
beside it. A cache that cannot be read or written costs time, never a result. Where files have no owners there is no cache. What is
not read any more makes room for what is written (`cache_files.py`).

Imports nothing that imports `typing`: the first look at staged changes pays for every module.
"""

import os
import stat
import time
from contextlib import suppress

from orchestra_creds.scanner import cache_files

TYPE_CHECKING = False  # typing's own costs 3 ms
if TYPE_CHECKING:
    from io import FileIO

DAY = 86_400.0
"""Seconds after which reading a file counts as a use of it: its time is set then, and at most once a day."""


def open_private(folder: str, name: str) -> "FileIO | None":
    """The file, to be read and closed by the caller; None when there is none to trust."""
    if not hasattr(os, "geteuid"):
        return None
    try:
        if not _ours(os.lstat(folder), stat.S_IFDIR):
            return None
        handle = os.open(os.path.join(folder, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    status = os.fstat(handle)
    if _ours(status, stat.S_IFREG) and status.st_nlink == 1:
        if not 0 <= time.time() - status.st_mtime < DAY:
            with suppress(OSError):
                os.utime(handle)
        return open(handle, "rb", buffering=0)
    os.close(handle)
    return None


def store(folder: str, name: str, *parts: bytes) -> None:
    """Write the file beside its place and move it there."""
    if not hasattr(os, "geteuid"):
        return
    aside = os.path.join(folder, f".{name}.{os.getpid()}")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if not _ours(os.lstat(folder), stat.S_IFDIR):
            return
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    try:
        with open(handle, "wb") as file:
            file.writelines(parts)
        os.replace(aside, os.path.join(folder, name))
    except OSError:
        with suppress(OSError):
            os.unlink(aside)
        return
    cache_files.trim(folder, name)


def _ours(status: os.stat_result, kind: int) -> bool:
    return stat.S_IFMT(status.st_mode) == kind and status.st_uid == os.geteuid() and not status.st_mode & 0o077
