"""Opens files below a folder, and nothing else: no symlink is followed, no path climbs, nothing blocks.

Guarantees: every component of a path is opened relative to the one above it without following links (where the system
can: POSIX), so that not even a folder that turns into a link while it is read leads out of the tree; named pipes and
devices open without waiting; at most `MOST_OPEN` folders are open at a time, however deep the tree is.
"""

import errno
import os
import stat

TYPE_CHECKING = False  # typing's own costs 3 ms
if TYPE_CHECKING:
    from collections.abc import Collection

MOST_OPEN = 64
FILE_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
FOLDER_FLAGS = FILE_FLAGS | getattr(os, "O_DIRECTORY", 0)
RELATIVE = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
"""Whether this system opens relative to a folder; without it links are looked for before a file is opened."""

_ABOVE = frozenset((b"", b".", b".."))


class TreeOpener:
    """The way down from `root`, which the operator named and which may be reached through links."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._names: list[bytes] = []
        self._fds: list[int] = []
        self._folder: bytes | None = None
        self._fd = -1
        self._deep = -1

    def open(self, path: bytes) -> int:
        """A descriptor of the file at `path` (relative, slashes); OSError when there is none, ELOOP for a link."""
        folder, _, name = path.rpartition(b"/")
        if name in _ABOVE:
            raise OSError(errno.ELOOP, "leaves the tree")
        if not RELATIVE:
            return self._open_by_path(path)
        fd = self._fd if folder == self._folder else self.folder(folder)
        return os.open(name, FILE_FLAGS, dir_fd=fd)

    def readlink(self, path: bytes) -> bytes:
        """Where the link at `path` points, as text; it is not followed."""
        folder, _, name = path.rpartition(b"/")
        if not RELATIVE:
            return os.fsencode(os.readlink(os.path.join(self._root, path)))
        return os.readlink(name, dir_fd=self.folder(folder))

    def mode(self, path: bytes) -> int:
        """What stands at `path`, as `st_mode`."""
        folder, _, name = path.rpartition(b"/")
        if not RELATIVE:
            return os.lstat(os.path.join(self._root, path)).st_mode
        return os.stat(name, dir_fd=self.folder(folder), follow_symlinks=False).st_mode

    def folder(self, folder: bytes) -> int:  # POSIX only
        """A descriptor of the folder; it stays valid until the next call."""
        if folder == self._folder:
            return self._fd
        names = folder.split(b"/") if folder else []
        if not _ABOVE.isdisjoint(names):
            raise OSError(errno.ELOOP, "leaves the tree")
        self._folder = None
        if not self._fds:
            self._fds.append(os.open(self._root or b".", FOLDER_FLAGS & ~getattr(os, "O_NOFOLLOW", 0)))
        shared = 0
        while shared < min(len(names), len(self._names)) and names[shared] == self._names[shared]:
            shared += 1
        self._close_below(shared)
        for name in names[shared:MOST_OPEN]:
            self._fds.append(os.open(name, FOLDER_FLAGS, dir_fd=self._fds[-1]))
            self._names.append(name)
        self._fd = self._fds[-1]
        for name in names[MOST_OPEN:]:
            below = os.open(name, FOLDER_FLAGS, dir_fd=self._fd)
            if self._deep >= 0:
                os.close(self._deep)
            self._deep = self._fd = below
        self._folder = folder
        return self._fd

    def listable(self, folder: bytes) -> int | bytes:
        """What `os.scandir` takes to list the folder."""
        if RELATIVE:
            return self.folder(folder)
        path = os.path.join(self._root, folder)
        if folder and stat.S_ISLNK(os.lstat(path).st_mode):
            raise OSError(errno.ELOOP, "a link")
        return path

    def close(self) -> None:
        """Close what is open; the object can be used again."""
        self._close_below(0)
        while self._fds:
            os.close(self._fds.pop())
        self._folder = None

    def _close_below(self, depth: int) -> None:
        if self._deep >= 0:
            os.close(self._deep)
            self._deep = -1
        while len(self._names) > depth:
            self._names.pop()
            os.close(self._fds.pop())

    def _open_by_path(self, path: bytes) -> int:
        here = self._root
        for name in path.split(b"/"):
            if name in _ABOVE:
                raise OSError(errno.ELOOP, "leaves the tree")
            here = os.path.join(here, name)
            if stat.S_ISLNK(os.lstat(here).st_mode):
                raise OSError(errno.ELOOP, "a link")
        return os.open(here, FILE_FLAGS)


class FileOpener:
    """Opens files below a root without following links, but for those that the operator named."""

    def __init__(self, root: bytes, named: "Collection[bytes]") -> None:
        self._root = root
        self._named = named
        self.below = TreeOpener(root)

    def open(self, path: bytes) -> int:
        """Return a descriptor, which the caller closes."""
        if path in self._named:
            return os.open(os.path.join(self._root, path), FILE_FLAGS & ~getattr(os, "O_NOFOLLOW", 0))
        return self.below.open(path)

    def close(self) -> None:
        """Close the folders that are open."""
        self.below.close()


def not_a_file(mode: int) -> str:
    """What something is that is no regular file."""
    if stat.S_ISFIFO(mode):
        return "a named pipe, not a file"
    if stat.S_ISSOCK(mode):
        return "a socket, not a file"
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return "a device, not a file"
    if stat.S_ISDIR(mode):
        return "a folder where git knows a file"
    return "not a file"
