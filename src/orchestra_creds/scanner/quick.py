"""The first look at staged changes, before anything heavy is loaded: does any rule match anything at all?

A pre-commit hook runs at every commit and nearly always finds nothing. `nothing_staged` needs git, the compiled rules and
30 ms where the first pass reports nothing; where it does, the engine, with rules from the cache, refutes it in 40 ms more;
only what may be a finding loads the whole scanner. Guarantees: it says "nothing" only where the scan would:
same objects, same engine, no archive, no UTF-16, no file that could add rules or notes; anything else, any doubt and any
error is None, and the scan decides. What it reads from the cache is trusted like the compiled rules themselves: only
when we alone can have written it, and only as long as no file of the scanner has changed since.

Until the first pass reports something nothing is imported that imports `dataclasses` or `typing`: those two cost as much
as the whole look.
"""

import marshal
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterable
from types import ModuleType

from orchestra_creds import __version__
from orchestra_creds.errors import CredsError
from orchestra_creds.scanner import gitcall

TYPE_CHECKING = False  # typing's own costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from orchestra_creds.scanner.rule import Rule

    _Plain = dict[str, Any]

MAGIC = b"orchestra-creds/quick/2\n"
NAME = "staged.quick"
BASELINE_FILE = ".orchestra-creds-baseline.json"
CONFIGURATIONS = (".gitleaks.toml", ".gitleaksignore", BASELINE_FILE)
"""Files of the scanned root that may change what a scan reports; a test compares them with the names their readers use."""

MOST_BYTES = 16 << 20
"""Staged content above this is no small change; the scan takes its time."""

SEPARATOR = b"\n\0\n"  # engine.SEPARATOR; a test compares them
_MAGIC_STARTS = frozenset(b"P\x1fB\xfd\xff\xfe")
_SNIFF = 1024
_ZIP_TAIL = 22


def nothing_staged(folder: str, cache: str) -> "tuple[str, int, int] | None":
    """The root, and how many files and bytes were looked at, when no rule may match in them; None: the scan must tell."""
    try:
        found = gitcall.find(folder)
        if found is None or any(os.path.lexists(os.path.join(found[1] or found[0], name)) for name in CONFIGURATIONS):
            return None
        compiled = _recall(cache)
        if compiled is None:
            return None
        database, rules = compiled
        git = gitcall.Git(found[0], work_tree=found[1], index=gitcall.index_of_the_hook(found[0]))
        extension, wanted = _hyperscan(), git.staged_ids()
        contents = _contents(git, wanted)
        if contents is None:
            return None
        texts = list(contents.values())
        if texts and _matches(extension, database, SEPARATOR.join(texts)) and not _refuted(texts, rules, cache):
            return None
        return found[1] or found[0], len(wanted), sum(len(contents[oid]) for oid in wanted.values())
    except (CredsError, OSError, ValueError, ImportError):
        return None


def remember(cache: str, compiled: Callable[[], bytes | None], rules: "Iterable[Rule]") -> None:
    """Keep the rules of a scan, compiled and as data, for the next first look; a cache that cannot be written costs time only."""
    aside = os.path.join(cache, f".{NAME}.{os.getpid()}")
    try:
        if not _ours(os.lstat(cache), stat.S_IFDIR) or _recall(cache) is not None or (database := compiled()) is None:
            return
        payload = marshal.dumps((_stamp(), database, [_plain(rule) for rule in rules]))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        with open(os.open(aside, flags, 0o600), "wb") as file:
            file.write(MAGIC + zlib.crc32(payload).to_bytes(4, "big") + payload)
        os.replace(aside, os.path.join(cache, NAME))
    except OSError:
        return


def _contents(git: gitcall.Git, wanted: "dict[bytes, str]") -> "dict[str, bytes] | None":
    """Object id to content of what is staged; None when something is missing, special or too large for a quick look."""
    contents: dict[str, bytes] = {}
    left = MOST_BYTES
    for oid, _, size, content in git.objects(wanted.values(), max_size=MOST_BYTES):
        left -= size
        if content is None or left < 0 or _is_special(content):
            return None
        contents[oid] = content
    return contents if contents.keys() == set(wanted.values()) else None


def _refuted(texts: "list[bytes]", rules: "list[_Plain]", cache: str) -> bool:
    """Whether nothing of what the first pass reports is a credential."""
    from pathlib import Path

    from orchestra_creds.scanner.engine import Engine
    from orchestra_creds.scanner.rule import Confidence, Rule, Severity

    made = [
        Rule(**{**plain, "severity": Severity(plain["severity"]), "confidence": Confidence(plain["confidence"])})
        for plain in rules
    ]
    engine = Engine.open(made, cache=Path(cache))
    return not any(engine.examine(text, engine.candidates(text)) for text in texts)


def _matches(extension: ModuleType, database: bytes, text: bytes) -> bool:
    """Whether the first pass of any rule reports anything."""
    found = False

    def report(*_: object) -> bool:
        nonlocal found
        found = True
        return True  # enough

    try:
        loaded = extension.loadb(database, extension.HS_MODE_BLOCK)
        loaded.scan(text, match_event_handler=report, scratch=extension.Scratch(loaded))
    except extension.error:
        return True  # another build of the library, or ended by the report
    return found


def _hyperscan() -> ModuleType:
    """The extension module alone, as `libraries` loads it."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    for entry in sys.path:
        spec = PathFinder.find_spec("hyperscan._hs_ext", [os.path.join(entry, "hyperscan")])
        if spec is not None and spec.loader is not None:
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise ImportError("hyperscan")


def _is_special(content: bytes) -> bool:
    """Whether a file may be more than its bytes: an archive, or text in another encoding."""
    return bool(content) and (
        content[0] in _MAGIC_STARTS or b"\0" in content[:_SNIFF] or content[-_ZIP_TAIL:].startswith(b"PK\5\6")
    )


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


def _plain(rule: "Rule") -> "_Plain":
    """A rule as plain data, without its examples."""
    plain = {name: getattr(rule, name) for name in rule.__slots__}
    return plain | {"severity": int(rule.severity), "confidence": int(rule.confidence), "examples": ()}


def _recall(cache: str) -> "tuple[bytes, list[_Plain]] | None":
    payload = _read(cache)
    if payload is None:
        return None
    stamp, database, rules = marshal.loads(payload)  # noqa: S302  only we can have written it
    return (database, rules) if stamp == _stamp() else None


def _read(cache: str) -> "bytes | None":
    """The payload of a file that only we can have written, or None."""
    if not hasattr(os, "geteuid") or not _ours(os.lstat(cache), stat.S_IFDIR):
        return None
    try:
        handle = os.open(os.path.join(cache, NAME), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with open(handle, "rb") as file:
        status = os.fstat(handle)
        if not _ours(status, stat.S_IFREG) or status.st_nlink != 1:
            return None
        content = file.read()
    head, payload = content[: len(MAGIC) + 4], content[len(MAGIC) + 4 :]
    return payload if head == MAGIC + zlib.crc32(payload).to_bytes(4, "big") else None


def _ours(status: os.stat_result, kind: int) -> bool:
    return stat.S_IFMT(status.st_mode) == kind and status.st_uid == os.geteuid() and not status.st_mode & 0o077
