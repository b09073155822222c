"""The cache of scans, for people and for programs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from orchestra_creds.core.result import Result
from orchestra_creds.render.numbers import count, size
from orchestra_creds.render.times import time_text

SCHEMA = "orchestra-creds/cache/1"


class StoredFile(Protocol):
    """A file of the cache: `size` in bytes, `used_at` in seconds since the epoch."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def used_at(self) -> float: ...  # noqa: D102


def listing(folder: str, files: Sequence[StoredFile], largest: int) -> Result:
    """One row a file, the least recently used first, which goes first when there are more than `largest` bytes."""
    total = sum(one.size for one in files)
    return Result(
        SCHEMA,
        {
            "folder": folder,
            "bytes": total,
            "most_bytes": largest,
            "files": [
                {"name": one.name, "kind": one.kind, "bytes": one.size, "used": _time_of_use(one)} for one in files
            ],
        },
        ("file", "holds", "size", "used"),
        tuple((one.name, one.kind, size(one.size), _time_of_use(one)) for one in files),
        (f"{count(len(files), 'file')} in {folder}, {size(total)} of at most {size(largest)}",),
    )


def removal(folder: str, files: Sequence[StoredFile]) -> Result:
    """What was removed."""
    total = sum(one.size for one in files)
    return Result(
        "orchestra-creds/cache-clear/1",
        {"folder": folder, "bytes": total, "files": len(files)},
        lines=(f"removed {count(len(files), 'file')} from {folder}, {size(total)}",),
    )


def _time_of_use(one: StoredFile) -> str:
    return time_text(datetime.fromtimestamp(one.used_at, UTC))
