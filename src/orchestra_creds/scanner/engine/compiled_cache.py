"""The rulebook as the last scan compiled it: rules as plain data, and Hyperscan's database, in one file of the cache.

Reading it takes 4 ms where the rulebook and a database by its key take 15. It holds for one version of the scanner: for as
long as none of its files has changed. What it says is trusted like the compiled rules themselves (`private.py`); anything
else counts as nothing kept.

Imports nothing that imports `typing`: the first look at staged changes pays for every module.
"""

import marshal
import os
import sys
import zlib

from orchestra_creds import __version__
from orchestra_creds.scanner import private

TYPE_CHECKING = False  # typing's own costs 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from io import FileIO
    from typing import Any

    from orchestra_creds.scanner.rule import Rule

MAGIC = b"orchestra-creds/kept/3\n"
NAME = "rulebook.kept"
_SCANNER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_HEAD = len(MAGIC) + 8
_TEXTS = ("examples", "counter_examples")


class CompiledRules:
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


def recall(cache: str) -> "CompiledRules | None":
    """What was kept; None when there is nothing to trust."""
    file = private.open_private(cache, NAME)
    if file is None:
        return None
    with file:
        return _read_rules(file)


def _read_rules(file: "FileIO") -> "CompiledRules | None":
    """What the file holds, part by part: every megabyte that is copied once more costs 2 ms."""
    size = os.fstat(file.fileno()).st_size
    head = file.read(_HEAD)
    check, length = (int.from_bytes(head[at : at + 4], "big") for at in (_HEAD - 8, _HEAD - 4))
    if head[: len(MAGIC)] != MAGIC or length > size:
        return None
    table = file.read(length)
    if zlib.crc32(table) != check:
        return None
    made_from, rest, widest, plain = marshal.loads(table)  # noqa: S302  only we can have written it
    if made_from != stamp() or _HEAD + length + rest != size:
        return None
    return CompiledRules(file.read(rest), widest, plain)  # Hyperscan's own check sum is in it


def remember(cache: str, database: "Callable[[], bytes | None]", widest: int, rules: "Sequence[Rule]") -> None:
    """Keep the compiled rules for the scans to come."""
    compiled = database()
    try:
        made_from = stamp()
    except OSError:
        return
    if compiled is not None:
        table = marshal.dumps((made_from, len(compiled), widest, [_plain(rule) for rule in rules]))
        check, length = zlib.crc32(table).to_bytes(4, "big"), len(table).to_bytes(4, "big")
        private.store(cache, NAME, MAGIC, check, length, table, compiled)


def _plain(rule: "Rule") -> "tuple[int, int, dict[str, Any]]":
    """A rule as plain data, what it was without; examples stay behind."""
    left_out = {"severity", "confidence", *_TEXTS}
    fields = {str(name): getattr(rule, name) for name in rule.__match_args__ if name not in left_out}
    return int(rule.severity), int(rule.confidence), fields


def stamp(folder: str = _SCANNER) -> "list[tuple[str, int, int]]":
    """Return what the scanner is made of: the version, and name, time and size of every file below its folder.

    Raises:
        OSError: it was installed in a way that has no files.
    """
    files = [(f"{__version__} {sys.version}", 0, 0)]
    folders = [folder]
    for one in folders:  # grows while it is read
        with os.scandir(one) as entries:
            for entry in entries:
                if entry.name.endswith((".py", ".so")):
                    status = entry.stat()
                    files.append((entry.path, status.st_mtime_ns, status.st_size))
                elif entry.is_dir() and entry.name != "__pycache__":
                    folders.append(entry.path)
    return sorted(files)
