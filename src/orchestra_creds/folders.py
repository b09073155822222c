"""Where the program keeps its own files: state (keys, the embedded cloud) and cache (compiled rules, scanned blobs).

Guarantees: folders are the platform's usual ones unless `ORCHESTRA_CREDS_STATE_DIR` or `ORCHESTRA_CREDS_CACHE_DIR` names
others; `private` makes them 0700 and refuses one that others may write. Imports only `os` and `stat`: the staged scan uses it.
"""

import os
import stat
import sys
from collections.abc import Mapping

from orchestra_creds.core.text import os_error_text
from orchestra_creds.errors import ConfigError

PROGRAM = "orchestra-creds"
STATE_VARIABLE = "ORCHESTRA_CREDS_STATE_DIR"
_HINT = "set ORCHESTRA_CREDS_STATE_DIR and ORCHESTRA_CREDS_CACHE_DIR to folders that you may write"


def state_folder(environment: Mapping[str, str] = os.environ) -> str:
    """Path of the state folder; it may not exist yet.

    Raises:
        ConfigError: none is named, and the user has no home.
    """
    return environment.get("ORCHESTRA_CREDS_STATE_DIR") or _standard("state", environment)


def cache_folder(environment: Mapping[str, str] = os.environ) -> str:
    """Path of the cache folder; it may not exist yet, and may be deleted at any time.

    Raises:
        ConfigError: none is named, and the user has no home.
    """
    return environment.get("ORCHESTRA_CREDS_CACHE_DIR") or _standard("cache", environment)


def _standard(kind: str, environment: Mapping[str, str]) -> str:
    platform = str(sys.platform)  # a plain name: mypy takes sys.platform itself for a constant
    if platform == "linux":  # what platformdirs answers there (tested), without its 20 ms of imports
        base = environment.get(f"XDG_{kind.upper()}_HOME", "").strip()
        home = {"state": "~/.local/state", "cache": "~/.cache"}[kind]
        folder = os.path.join(base if os.path.isabs(base) else os.path.expanduser(home), PROGRAM)
    else:
        import platformdirs

        find = platformdirs.user_state_dir if kind == "state" else platformdirs.user_cache_dir
        folder = find(PROGRAM, appauthor=False)
    if not os.path.isabs(folder):  # a process without HOME whose user has no entry in the password database
        raise ConfigError(f"this user has no home folder for the {kind}", hint=_HINT)
    return folder


def make_private_folder(folder: str) -> str:
    """Make the folder (0700) where it is missing; returns its path.

    Raises:
        ConfigError: it belongs to somebody else, others may write to it, or it cannot be made.
    """
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        status = os.stat(folder)
    except OSError as error:
        raise ConfigError(
            f"cannot make the folder {folder}: {os_error_text(error)}",
            hint=_HINT,
        ) from None
    foreign = hasattr(os, "getuid") and status.st_uid != os.getuid()
    if foreign or (os.name == "posix" and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        raise ConfigError(f"folder {folder} can be written by others", hint=f"make it yours alone: chmod 700 {folder}")
    if os.name == "posix" and status.st_mode & 0o077:
        os.chmod(folder, 0o700)  # made by hand under a common umask: nothing in it is for others to read
    return folder
