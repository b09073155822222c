"""The cache as a whole: which files it holds, how much they take, and which of them go when they take too much.

Guarantees: only files with a name that a scan gives are looked at and removed; the file that was written last is kept, however large
it is. A file that cannot be removed costs room, never a result. The caller knows that nobody else may write to the folder.

Imports nothing that imports `typing`: the first look at staged changes pays for every module.
"""

import os
import time

from orchestra_creds.core.record import dataclass

TYPE_CHECKING = False  # typing's own costs 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST = 512 << 20
"""Bytes that all files of the cache may take together. What is remembered of a history of 400,000 loose objects takes 20 MB."""
_ABANDONED_AFTER = 3600.0
"""Seconds after which a file that was never moved to its place belongs to a process that died."""
COMPILED, SEEN, REPORT = "compiled rules", "what was seen of a history", "report of a history"
UNFINISHED = "unfinished"
_KINDS = {
    ("", "rulebook.kept"): COMPILED,
    ("", ".hsdb"): COMPILED,
    ("history-", ".json"): SEEN,
    ("history-", ".report"): REPORT,
}
"""What a file is, by the start and the end of its name."""


@dataclass(frozen=True, slots=True)
class CacheFile:
    """One file of the cache; `size` in bytes, `used_at` in seconds since the epoch: when it was written, or read on a later day."""

    name: str
    kind: str
    size: int
    used_at: float


def kind_of(name: str) -> str:
    """Return what the file of a name is; "" for one that no scan has written."""
    whole, _, process = name.removeprefix(".").rpartition(".")
    if name.startswith(".") and process.isdecimal():
        return UNFINISHED if kind_of(whole) else ""
    return next((kind for (start, end), kind in _KINDS.items() if name.startswith(start) and name.endswith(end)), "")


def list_files(folder: str) -> list[CacheFile]:
    """Return the files of the cache, the least recently used first."""
    return sorted(_files(folder), key=lambda one: (one.used_at, one.name))


def _files(folder: str) -> "Iterator[CacheFile]":
    with os.scandir(folder) as entries:
        for entry in entries:
            kind = kind_of(entry.name)
            if not kind or not entry.is_file(follow_symlinks=False):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # another scan has just replaced it
                continue
            yield CacheFile(entry.name, kind, status.st_size, status.st_mtime)


def trim(folder: str, written: str) -> None:
    """Remove files until the others fit into `LARGEST` bytes, least recently used first; `written` is kept."""
    try:
        files = list_files(folder)
    except OSError:
        return
    size, now = sum(one.size for one in files), time.time()
    for one in files:
        is_abandoned = one.kind == UNFINISHED and one.used_at < now - _ABANDONED_AFTER
        if is_abandoned or (size > LARGEST and one.name != written and one.kind != UNFINISHED):
            size -= one.size if remove(folder, one) else 0


def remove(folder: str, one: CacheFile) -> bool:
    """Remove a file; return whether it is gone."""
    try:
        os.unlink(os.path.join(folder, one.name))
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
