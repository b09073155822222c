"""The files that git reads before it answers anything, checked before git is started.

A pipe in the place of such a file blocks whoever opens it, and a device may never end. Guarantees: `special_files` opens
nothing but lists of alternates that are regular files, and looks at no object; `read_regular` opens regular files only.

Imports nothing that costs time: the first look at staged changes pays for every module.
"""

import errno
import os
import stat

from orchestra_creds.core.text import visible
from orchestra_creds.errors import PreconditionError

TYPE_CHECKING = False  # typing's own costs 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterator

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_CLOEXEC", 0)
_DEEP = ("info", "refs", "logs", "reftable")
"""Folders of a git folder that git reads at every depth."""

_MONITOR = "fsmonitor--daemon.ipc"
"""The socket of git's own file monitor; `process.OVERRIDES` switches the monitor off."""

_MOST_BORROWED = 5
"""How many alternates deep git follows."""


class SpecialFileError(PreconditionError):
    """A file that git would read is no regular file: `path` is where it stands, `reason` says what it is."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"git was not started: {visible(path)} is {reason}", hint="remove it or put the file back, then try again"
        )
        self.path = path
        self.reason = reason


def read_regular(path: str) -> bytes:
    """Return the content of a regular file, without waiting for anything else.

    Raises:
        OSError: there is no regular file, or it cannot be read.
    """
    fd = os.open(path, _FLAGS | getattr(os, "O_BINARY", 0))
    with open(fd, "rb") as stream:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        return stream.read()


def special_files(git_dir: str, common_dir: str) -> "Iterator[tuple[str, int]]":
    """Yield path and mode of every pipe, socket and device among the files that git reads, links followed."""
    seen: set[tuple[int, int]] = set()
    tops = dict.fromkeys((git_dir, common_dir))
    for top in (*tops, *_folders(os.path.join(common_dir, "worktrees"))):
        yield from _special_in(top, seen, deep=False)
        for name in _DEEP:
            yield from _special_in(os.path.join(top, name), seen)
    for objects in object_folders(os.path.join(common_dir, "objects")):
        yield from _special_in(os.path.join(objects, "info"), seen)
        yield from _special_in(os.path.join(objects, "pack"), seen, deep=False)


def check_regular(path: str) -> None:
    """Raise SpecialFileError if a pipe, socket or device stands at the path, links followed."""
    if mode := _special_mode(path):
        raise _error(path, mode)


def check_control_files(git_dir: str, common_dir: str) -> None:
    """Raise SpecialFileError for the first pipe, socket or device among the files that git reads."""
    for path, mode in special_files(git_dir, common_dir):
        raise _error(path, mode)


def object_folders(objects: str) -> "Iterator[str]":
    """Yield the objects folder and those it borrows from, each once, as deep as git follows them."""
    seen: set[str] = set()
    level = [os.path.realpath(objects)]
    for _ in range(_MOST_BORROWED + 1):
        following: list[str] = []
        for folder in level:
            if folder in seen or not os.path.isdir(folder):
                continue
            seen.add(folder)
            yield folder
            try:
                lines = read_regular(os.path.join(folder, "info", "alternates")).split(b"\n")
            except OSError:
                continue
            named = (os.fsdecode(line) for line in lines if line and not line.startswith(b"#"))
            following += [os.path.realpath(os.path.join(folder, name)) for name in named]
        level = following


def _error(path: str, mode: int) -> SpecialFileError:
    from orchestra_creds.scanner.safe_open import not_a_file

    return SpecialFileError(path, not_a_file(mode))


def _special_in(folder: str, seen: set[tuple[int, int]], *, deep: bool = True) -> "Iterator[tuple[str, int]]":
    """The special files of one folder; `seen` holds the targets of links, so that no loop of links is followed."""
    waiting = [folder]
    while waiting:
        for entry in _entries(waiting.pop()):
            if entry.is_file(follow_symlinks=False) or entry.name == _MONITOR:
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting += [entry.path] if deep else []
            elif mode := _special_mode(entry.path):
                yield entry.path, mode
            elif deep and entry.is_dir() and (place := _place(entry.path)) not in seen:
                seen.add(place)
                waiting.append(entry.path)


def _place(folder: str) -> tuple[int, int]:
    """What tells a folder from every other, whatever links lead to it."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _special_mode(path: str) -> int:
    """The mode of a pipe, socket or device; 0 for all else."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return 0
    return 0 if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else mode


def _entries(folder: str) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _folders(folder: str) -> list[str]:
    return [entry.path for entry in _entries(folder) if entry.is_dir()]
