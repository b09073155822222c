"""The rulebook as the last scan compiled it: rules as plain data, and Hyperscan's database, in one file of the cache.

Reading it takes 4 ms where the rulebook and a database by its key take 15. It holds for one version of the scanner: for as
long as none of its files has changed. What it says is trusted like the compiled rules themselves: the file and its folder
belong to us, and nobody else can read or write them (as in `database.py`). Guarantees: anything else counts as nothing
kept; the file is replaced in one step; a cache that cannot be written costs time only.

Imports nothing that imports `typing`: the first look at staged changes pays for every module.
"""

import marshal
import os
import stat
import sys
import zlib

from orchestra_creds import __version__

TYPE_CHECKING = False  # typing's own costs 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from io import FileIO
    from typing import Any

    from orchestra_creds.scanner.rule import Rule

MAGIC = b"orchestra-creds/kept/3\n"
NAME = "rulebook.kept"
_HEAD = len(MAGIC) + 8
_TEXTS = ("examples", "counter_examples")


class Kept:
    """The rules in their order, `database` for Hyperscan to load, and `widest` of `Engine`."""

    __slots__ = ("_plain", "database", "widest")

    def __init__(self, database: bytes, widest: int, plain: "list[tuple[Any, ...]]") -> None:
        self.database = database
        self.widest = widest
        self._plain = plain

    def rules(self) -> "tuple[Rule, ...]":
        """The rules, without their examples."""
        from orchestra_creds.scanner.rule import Confidence, Rule, Severity

        severities, confidences = {int(one): one for one in Severity}, {int(one): one for one in Confidence}
        return tuple(
            Rule(severity=severities[severity], confidence=confidences[confidence], examples=(), **fields)
            for severity, confidence, fields in self._plain
        )


def recall(cache: str) -> "Kept | None":
    """What was kept; None when there is nothing to trust.

    Raises:
        OSError: the cache is no folder, or the file is a link.
    """
    if not hasattr(os, "geteuid") or not _ours(os.lstat(cache), stat.S_IFDIR):
        return None
    try:
        handle = os.open(os.path.join(cache, NAME), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with open(handle, "rb", buffering=0) as file:
        status = os.fstat(handle)
        return _read(file, status.st_size) if _ours(status, stat.S_IFREG) and status.st_nlink == 1 else None


def _read(file: "FileIO", size: int) -> "Kept | None":
    """What the file holds, part by part: every megabyte that is copied once more costs 2 ms."""
    head = file.read(_HEAD)
    check, length = (int.from_bytes(head[at : at + 4], "big") for at in (_HEAD - 8, _HEAD - 4))
    if head[: len(MAGIC)] != MAGIC or length > size:
        return None
    table = file.read(length)
    if zlib.crc32(table) != check:
        return None
    stamp, rest, widest, plain = marshal.loads(table)  # noqa: S302  only we can have written it
    if stamp != _stamp() or _HEAD + length + rest != size:
        return None
    return Kept(file.read(rest), widest, plain)  # Hyperscan's own check sum is in it


def remember(cache: str, database: "Callable[[], bytes | None]", widest: int, rules: "Sequence[Rule]") -> None:
    """Keep the compiled rules for the scans to come."""
    aside = os.path.join(cache, f".{NAME}.{os.getpid()}")
    try:
        if not _ours(os.lstat(cache), stat.S_IFDIR) or (compiled := database()) is None:
            return
        table = marshal.dumps((_stamp(), len(compiled), widest, [_plain(rule) for rule in rules]))
        head = MAGIC + zlib.crc32(table).to_bytes(4, "big") + len(table).to_bytes(4, "big")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        with open(os.open(aside, flags, 0o600), "wb") as file:
            file.write(head + table + compiled)
        os.replace(aside, os.path.join(cache, NAME))
    except OSError:
        return


def _plain(rule: "Rule") -> "tuple[int, int, dict[str, Any]]":
    """A rule as plain data, what it was without; examples stay behind."""
    left_out = {"severity", "confidence", *_TEXTS}
    fields = {str(name): getattr(rule, name) for name in rule.__match_args__ if name not in left_out}
    return int(rule.severity), int(rule.confidence), fields


def _stamp() -> "list[tuple[str, int, int]]":
    """What the compiled rules depend on: the version, and every file of the scanner."""
    here = os.path.dirname(os.path.abspath(__file__))
    stamp = [(f"{__version__} {sys.version}", 0, 0)]
    for folder in (here, os.path.join(here, "rulebook")):
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    status = entry.stat()
                    stamp.append((entry.path, status.st_mtime_ns, status.st_size))
    return sorted(stamp)


def _ours(status: os.stat_result, kind: int) -> bool:
    return stat.S_IFMT(status.st_mode) == kind and status.st_uid == os.geteuid() and not status.st_mode & 0o077
