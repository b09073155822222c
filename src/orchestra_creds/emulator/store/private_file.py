"""Files beside the state that only its owner reads: a key, and where the daemon listens."""

import os
import stat
from pathlib import Path

from orchestra_creds.core.text import os_error_text
from orchestra_creds.errors import ConfigError

_MODE = 0o600
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def read_private_file(path: Path) -> bytes:
    """Return the content of a regular file, and take from others the right to read it.

    Nothing is waited for: a named pipe in its place is refused.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: it is a link, a pipe or a device, cannot be read, or others may read it and its mode cannot be changed.
    """
    try:
        with open(os.open(path, _FLAGS), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _refusal(path, "is not a regular file")
            if os.name == "posix" and stat.S_IMODE(status.st_mode) & ~_MODE:
                os.fchmod(file.fileno(), _MODE)
            return file.read()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _refusal(path, f"cannot be read as a private file: {os_error_text(error)}") from None


def require_regular_file(path: Path) -> None:
    """Refuse a path that is about to be opened for writing, if anything but a regular file is there.

    Raises:
        ConfigError: there is a link, a pipe, a device or a folder.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise _refusal(path, "is not a regular file")


def _refusal(path: Path, reason: str) -> ConfigError:
    return ConfigError(f"{path} {reason}", hint="remove it, or choose another state path")
