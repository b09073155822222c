"""Files that we write for operators: whole or not at all, and for them alone.

A file appears under its name in one step, with mode 0600 unless told otherwise; when the disk is full nothing is left. A symbolic link is
replaced and never followed, even to a device or a FIFO, because a scanned tree may have planted it. Only links that the
system made, those below /dev and /proc, are followed: /dev/stdout is one. A device or a FIFO under the very name is opened in
place and never replaced. `-` is no file: the caller writes it to stdout.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from orchestra_creds.core.text import os_error_text
from orchestra_creds.errors import ConfigError, CredsError, IncompleteError

_IN_PLACE = ("/dev/", "/proc/")
_AT_ONCE = 1 << 16
"""Characters that are encoded and written at a time, about."""
_FOR_ANYONE = ("/dev/shm/", "/dev/mqueue/")  # noqa: S108  nothing is made there
"""Folders below /dev where any user may make files and links."""


def check(target: str, *, new: bool = False) -> None:
    """Refuse at once a target that cannot be written, before a long scan.

    Raises:
        ConfigError: its folder is missing or may not be written, it is a folder itself, or it is `new` and exists.
    """
    path = Path(target)
    if path.is_dir():
        raise ConfigError(f"{target} is a folder", hint="name a file in it")
    if new and os.path.lexists(path) and not _in_place(path):
        raise ConfigError(f"{target} exists, and is not overwritten", hint="name a new file, or move the old one away")
    if not _in_place(path) and not os.access(path.parent, os.W_OK | os.X_OK):
        reason = "its folder cannot be written" if path.parent.is_dir() else "its folder does not exist"
        raise ConfigError(f"cannot write {target}: {reason}", hint="make the folder, or name another place")


Content = str | bytes | Iterable[str]
"""What is written: texts are UTF-8, and parts follow one another."""


def write(target: str, content: Content, *, mode: int = 0o600, new: bool = False) -> None:
    """Write a report or a value to a file, a device or a FIFO; a `new` file replaces nothing.

    Raises:
        ConfigError: the target cannot be opened, or is `new` and exists.
        IncompleteError: the report could not be written whole; no part of it is left in a file.
    """
    path = Path(target)
    check(target, new=new)
    parts = encode(content)
    try:
        if _in_place(path):
            _pour(os.open(path, os.O_WRONLY), parts, sync=False)
        else:
            _replace(path, parts, mode, new=new)
    except OSError as error:
        raise _error(target, error) from None


def append(target: str, content: str) -> None:
    """Add to the end of a file that others add to as well; mode 0600 when it is new.

    Raises:
        ConfigError: the target cannot be opened.
        IncompleteError: the content could not be written whole.
    """
    try:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        _pour(os.open(target, flags, 0o600), encode(content), sync=False)
    except OSError as error:
        raise _error(target, error) from None


def encode(content: Content) -> Iterator[bytes]:
    """Yield the bytes of a content; parts are put together until they are worth a write."""
    if isinstance(content, bytes):
        yield content
        return
    waiting, size = [], 0
    for part in (content,) if isinstance(content, str) else content:
        waiting.append(part)
        size += len(part)
        if size >= _AT_ONCE:
            yield "".join(waiting).encode("utf-8", "backslashreplace")
            waiting, size = [], 0
    yield "".join(waiting).encode("utf-8", "backslashreplace")


def _in_place(path: Path) -> bool:
    """Return whether a target is opened as it is: a name below /dev or /proc, or a device, FIFO or socket that is no link."""
    absolute = os.path.abspath(path)  # as written: /dev/stdout is a link
    if absolute.startswith(_IN_PLACE) and not absolute.startswith(_FOR_ANYONE):
        return True
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISLNK(mode)


def _replace(path: Path, parts: Iterable[bytes], mode: int, *, new: bool) -> None:
    aside = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        _pour(os.open(aside, flags, 0o600), parts, sync=True)
        aside.chmod(mode)
        if new:
            os.close(os.open(path, flags, 0o600))
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _pour(descriptor: int, parts: Iterable[bytes], *, sync: bool) -> None:
    try:
        for part in parts:
            rest = memoryview(part)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _error(target: str, error: OSError) -> CredsError:
    reason = os_error_text(error)
    if isinstance(
        error, PermissionError | FileExistsError | FileNotFoundError | IsADirectoryError | NotADirectoryError
    ):
        return ConfigError(f"cannot write {target}: {reason}", hint="name a place that you may write")
    return IncompleteError(
        f"cannot write {target}: {reason}", hint="nothing of the report is left: free the place, run again"
    )
