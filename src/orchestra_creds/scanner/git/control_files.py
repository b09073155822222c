"""The files that git reads before it answers anything, checked before git is started.

A pipe in the place of such a file blocks whoever opens it, a device may never end, and git reads a file whole however large
it is. Guarantees: `special_files` opens nothing but lists of alternates that are regular files, and looks at no object;
`read_regular` opens regular files only, and reads no more of them than it was told.

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

LARGEST = 16 << 20
"""Bytes of a file that git reads whole."""

_LARGEST = {"index": 1 << 30, "packed-refs": 256 << 20, "alternates": 64 << 10, "commondir": 64 << 10}
"""Bytes of files that may be larger, or must be smaller: the index of a million files has 100 MB, and each line of a list of
alternates costs a look at the disk."""

_LARGEST_LOG = 256 << 20
"""Bytes of a reflog, to which every commit adds a line."""

_WHOLE = frozenset(
    [
        "config",
        "config.worktree",
        "commondir",
        "gitdir",
        "packed-refs",
        "shallow",
        "index",
        "exclude",
        "attributes",
        "grafts",
        "sparse-checkout",
        "alternates",
        "commit-graph-chain",
    ]
)
"""Names of files that git reads whole, beside those whose name ends with HEAD and all refs and reflogs."""

_MONITOR = "fsmonitor--daemon.ipc"
"""The socket of git's own file monitor; `process.OVERRIDES` switches the monitor off."""

_MOST_BORROWED = 5
"""How many alternates deep git follows."""


class SpecialFileError(PreconditionError):
    """A file that git would read is no regular file, or too large: `path` is where it stands, `reason` says what it is."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"git was not started: {visible(path)} is {reason}", hint="remove it or put the file back, then try again"
        )
        self.path = path
        self.reason = reason


def read_regular(path: str, most: int = LARGEST) -> bytes:
    """Return the content of a regular file of at most `most` bytes, without waiting for anything else.

    Raises:
        OSError: there is no regular file, it is larger, or it cannot be read.
    """
    fd = os.open(path, _FLAGS | getattr(os, "O_BINARY", 0))
    with open(fd, "rb") as stream:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        content = stream.read(min(status.st_size, most) + 1)  # memory for the file, not for the largest one
        if len(content) > status.st_size:  # it grew
            content += stream.read(most + 1 - len(content))
        if len(content) > most:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
        return content


def special_files(git_dir: str, common_dir: str) -> "Iterator[tuple[str, str]]":
    """Yield each file that git must not read, links followed, and why: pipes, sockets, devices, and what is too large."""
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
    """Raise SpecialFileError if a pipe, socket, device or too large a file stands at the path, links followed."""
    if reason := _fault(path, LARGEST):
        raise SpecialFileError(path, reason)


def check_control_files(git_dir: str, common_dir: str) -> None:
    """Raise SpecialFileError for the first of `special_files`."""
    for path, reason in special_files(git_dir, common_dir):
        raise SpecialFileError(path, reason)


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
                alternates = os.path.join(folder, "info", "alternates")
                lines = read_regular(alternates, _LARGEST["alternates"]).split(b"\n")
            except OSError:
                continue
            named = (os.fsdecode(line) for line in lines if line and not line.startswith(b"#"))
            following += [os.path.realpath(os.path.join(folder, name)) for name in named]
        level = following


def _special_in(folder: str, seen: set[tuple[int, int]], *, deep: bool = True) -> "Iterator[tuple[str, str]]":
    """The special files of one folder; `seen` holds the targets of links, so that no loop of links is followed."""
    waiting = [folder]
    while waiting:
        for entry in _entries(waiting.pop()):
            if entry.name == _MONITOR:
                continue
            most = _largest(entry.name, os.path.basename(folder))
            if entry.is_file(follow_symlinks=False):
                if most and entry.stat(follow_symlinks=False).st_size > most:
                    yield entry.path, _too_large(most)
            elif entry.is_dir(follow_symlinks=False):
                waiting += [entry.path] if deep else []
            elif reason := _fault(entry.path, most):
                yield entry.path, reason
            elif deep and os.path.isdir(entry.path) and (place := _place(entry.path)) not in seen:
                seen.add(place)
                waiting.append(entry.path)


def _place(folder: str) -> tuple[int, int]:
    """What tells a folder from every other, whatever links lead to it."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _fault(path: str, most: int) -> str:
    """Why git must not read what stands at the path; "" for a folder, nothing, and a file of at most `most` bytes (0: any)."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        return "a link in a loop" if isinstance(error, OSError) and error.errno == errno.ELOOP else ""
    if stat.S_ISREG(status.st_mode):
        return _too_large(most) if 0 < most < status.st_size else ""
    if stat.S_ISDIR(status.st_mode):
        return ""
    from orchestra_creds.scanner.safe_open import not_a_file

    return not_a_file(status.st_mode)


def _too_large(most: int) -> str:
    return f"larger than {most:,} bytes, which git would read whole"


def _largest(name: str, top: str) -> int:
    """How many bytes a file may have in `top` or below it, so that git may read it; 0 for any number."""
    if top == "logs":
        return _LARGEST_LOG
    if top == "refs" or name in _WHOLE or name.endswith("HEAD"):
        return _LARGEST.get(name, LARGEST)
    return 0


def _entries(folder: str) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _folders(folder: str) -> list[str]:
    return [entry.path for entry in _entries(folder) if os.path.isdir(entry.path)]  # DirEntry's own raises for a loop
