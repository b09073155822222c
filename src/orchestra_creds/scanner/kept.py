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
    content = _read(cache)
    if content is None:
        return None
    check, size = (int.from_bytes(content[at : at + 4], "big") for at in (_HEAD - 8, _HEAD - 4))
    table = content[_HEAD : _HEAD + size]
    if content[: len(MAGIC)] != MAGIC or zlib.crc32(table) != check:
        return None
    stamp, length, widest, plain = marshal.loads(table)  # noqa: S302  only we can have written it
    database = content[_HEAD + size :]  # Hyperscan's own check sum is in it
    return Kept(database, widest, plain) if stamp == _stamp() and len(database) == length else None


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


def _read(cache: str) -> "bytes | None":
    """The content of a file that only we can have written, or None."""
    if not hasattr(os, "geteuid") or not _ours(os.lstat(cache), stat.S_IFDIR):
        return None
    try:
        handle = os.open(os.path.join(cache, NAME), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with open(handle, "rb", buffering=0) as file:
        status = os.fstat(handle)
        if not _ours(status, stat.S_IFREG) or status.st_nlink != 1:
            return None
        return file.readall()


def _ours(status: os.stat_result, kind: int) -> bool:
    return stat.S_IFMT(status.st_mode) == kind and status.st_uid == os.geteuid() and not status.st_mode & 0o077
