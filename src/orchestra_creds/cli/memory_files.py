"""Material as files that never touch a disk, for as long as a program runs."""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestra_creds.core.material import Material
from orchestra_creds.core.text import os_error_text
from orchestra_creds.errors import PreconditionError

MOUNTS = Path("/proc/self/mountinfo")
"""See proc_pid_mountinfo(5): field 5 is the mount point, the first field after the hyphen its type."""
IN_MEMORY = frozenset({"tmpfs", "ramfs"})


@contextlib.contextmanager
def memory_files(material: Mapping[str, Material]) -> Iterator[dict[str, str]]:
    """NAME_FILE -> the path of a 0600 file in a 0700 folder in memory; all are removed at the end.

    Raises:
        PreconditionError: no file system of this machine is known to be in memory, or it is full.
    """
    memory = memory_folder(MOUNTS)
    with contextlib.ExitStack() as stack:
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="orchestra-creds-", dir=memory)))
            for name, value in material.items():
                with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(value.reveal())
        except OSError as error:
            raise PreconditionError(
                f"cannot write files in {memory}: {os_error_text(error)}",
                hint="nothing was started, and no file is left",
            ) from None
        yield {f"{name}_FILE": str(folder / name) for name in material}


def memory_folder(mounts: Path) -> str:
    """The first of XDG_RUNTIME_DIR and /dev/shm that is in memory, by the table of mounts, and may be written to.

    Raises:
        PreconditionError: there is none.
    """
    types = _mount_types(mounts)
    for place in (os.environ.get("XDG_RUNTIME_DIR", ""), "/dev/shm"):  # noqa: S108  memory, and private below
        if place and os.access(place, os.W_OK) and _type_at(os.path.realpath(place), types) in IN_MEMORY:
            return place
    raise PreconditionError(
        "no folder in memory: neither XDG_RUNTIME_DIR nor /dev/shm is one that can be written to",
        hint="nothing was started; mount a tmpfs there, or pass variables: run without --as-files",
    )


def _mount_types(mounts: Path) -> dict[str, str]:
    """Mount point -> type; of several mounts at one point the last counts."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # no Linux
        return {}
    found = {}
    for line in lines:
        before, _, after = line.partition(" - ")
        place = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), before.split(" ")[4])
        found[place] = after.split(" ")[0]
    return found


def _type_at(path: str, types: Mapping[str, str]) -> str:
    """The type of the file system that holds a path: that of the nearest mount point above it."""
    place = Path(path)
    return next((types[str(one)] for one in (place, *place.parents) if str(one) in types), "")
