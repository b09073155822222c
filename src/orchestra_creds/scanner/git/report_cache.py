"""The last report of a whole history, said again for as long as nothing has changed that it was made from.

A second look costs the start of the interpreter and a look at the status of some files. Guarantees: a report is said again
only when every file that it may depend on is the same: packs, refs, reflogs, the repository's settings and the fingerprint
keys by name, inode, size and times, folders of loose objects by inode and times, or where these are too young to tell, by the ids in
them, the scanner as in `engine/compiled_cache.py`. What is special (alternates,
linked working trees, reftables, files that add rules or accept findings), and what cannot be looked at, is left to the
scan. Only a complete report without notes is kept. As in every report there is no material in it, but masks and keyed
hashes, in a file that only we can have written (`private.py`).

Imports nothing that imports `typing`, until there is a report to say again.
"""

import marshal
import os
import time
import zlib

from orchestra_creds.scanner import private
from orchestra_creds.scanner.engine import compiled_cache
from orchestra_creds.scanner.file_names import SETTINGS_OF_A_SCAN
from orchestra_creds.scanner.git import process as git_process

TYPE_CHECKING = False  # typing's own costs 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestra_creds.scanner.finding import ScanReport

    Status = tuple[str, int, int, int, int]
    Fan = tuple[Status, bytes]

MAGIC = b"orchestra-creds/replay/2\n"
_SETTLED_NS = 3 * 10**9
"""Age of a folder's last change at which a later one has another time for certain: file systems tell times to two seconds or better."""
_PLAIN = 2
"""The version of marshal that writes the same bytes for the same values, whoever else holds them."""
SPECIAL = (
    "commondir",
    "worktrees",
    "reftable",
    "shallow",
    "config.worktree",
    "objects/info/alternates",
    "modules",
    "lfs",
)
"""Beside these a history depends on the files that are looked at here."""

_LENGTH = 8
"""Bytes of a length in the file."""
_SINGLE = ("HEAD", "config", "packed-refs")
_WHOLE = ("objects/pack", "refs", "logs")


class ReportCache:
    """A history as it is now, and the report that fits it."""

    def __init__(self, folder: str, cache: str, state: str) -> None:
        """Looks at the repository that holds `folder`: before a scan whose report is to be kept."""
        self._cache = cache
        self._keys = os.path.join(state, "keys")
        self._root, self._held = "", b""
        self._objects = ""
        self._fans: list[Fan] = []
        found = git_process.find(folder) if os.path.lexists(folder) else None
        if found is None or _is_special(found[0], found[1] or found[0]):
            return
        try:
            self._held, self._objects = _history_state(found[0]), os.path.join(found[0], "objects")
            self._fans = _fans(self._objects, time.time_ns())
        except OSError:
            return
        self._root = found[1] or found[0]

    def report(self, seconds: float) -> "ScanReport | None":
        """The kept report, as that of a scan that took `seconds` and knew every object; None when there is none that fits."""
        head = self._head()
        file = private.open_private(self._cache, self._name()) if head else None
        if file is None:
            return None
        with file:
            content = file.read()
        if not content.startswith(head):
            return None
        start = len(head) + _LENGTH
        end = start + int.from_bytes(content[len(head) : start], "big")
        fans: list[Fan] = marshal.loads(content[start:end])  # noqa: S302  only we can have written it
        if not self._has_same_fans(fans):
            return None
        if fans != self._fans:  # their times have become old enough to tell
            self._store(head, content[end:])
        return _load_report(content[end:], self._root, seconds)

    def keep(self, report: "ScanReport") -> None:
        """Keep the report of a scan that began after this was made."""
        if report.complete and not report.notes and (head := self._head()):
            self._store(head, _dump_report(report))

    def _store(self, head: bytes, report: bytes) -> None:
        fans = marshal.dumps(self._fans, _PLAIN)
        private.store(self._cache, self._name(), head, len(fans).to_bytes(_LENGTH, "big"), fans, report)

    def _has_same_fans(self, kept: "list[Fan]") -> bool:
        """Return whether the folders of loose objects hold the same as when the report was made."""
        if [status[0] for status, _ in kept] != [status[0] for status, _ in self._fans]:
            return False
        try:
            return all(
                names == (now or _ids(self._objects, status[0])) if names else before == status
                for (before, names), (status, now) in zip(kept, self._fans, strict=True)
            )
        except OSError:
            return False

    def _name(self) -> str:
        """Of the file; two repositories that share one take turns."""
        return f"history-{zlib.crc32(os.fsencode(self._root)):08x}.report"

    def _head(self) -> bytes:
        """What the report depends on. The keys are looked at late, for the first scan of a history makes one."""
        if not self._root:
            return b""
        try:
            known = marshal.dumps((self._root, self._held, compiled_cache.stamp(), sorted(_below(self._keys))), _PLAIN)
        except OSError:
            return b""
        return MAGIC + len(known).to_bytes(_LENGTH, "big") + known


def _is_special(git_dir: str, root: str) -> bool:
    places = [os.path.join(git_dir, name) for name in SPECIAL]
    return any(
        map(os.path.lexists, places + [os.path.join(root, name) for name in (*SETTINGS_OF_A_SCAN, ".gitmodules")])
    )


def _history_state(git_dir: str) -> bytes:
    """What tells the history from any other state of it, beside its loose objects."""
    return marshal.dumps(
        (
            [_status(name, os.lstat(path)) for name in _SINGLE if os.path.lexists(path := os.path.join(git_dir, name))],
            [sorted(_below(os.path.join(git_dir, name))) for name in _WHOLE],
        ),
        _PLAIN,
    )


def _fans(objects: str, now: int) -> "list[Fan]":
    """Return the status of each folder of loose objects, and the ids in it if it changed too shortly before `now` (ns)."""
    found = []
    for name in sorted(name for name in os.listdir(objects) if len(name) == 2):
        status = _status(name, os.stat(os.path.join(objects, name)))
        is_settled = max(status[3:]) < now - _SETTLED_NS
        found.append((status, b"" if is_settled else _ids(objects, name)))
    return found


def _ids(objects: str, fan: str) -> bytes:
    """Return the names in a folder of loose objects as one text, which is never empty."""
    return os.fsencode("/" + "/".join(sorted(os.listdir(os.path.join(objects, fan)))))


def _below(folder: str) -> "Iterator[Status]":
    """The status of every file below a folder; nothing when there is no folder. No link is followed."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path)
        else:
            yield _status(entry.path, entry.stat(follow_symlinks=False))


def _status(name: str, status: os.stat_result) -> "Status":
    return name, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _dump_report(report: "ScanReport") -> bytes:
    findings = [
        (
            (one.rule, one.description, int(one.severity), int(one.confidence)),
            (one.fingerprint, one.credential, one.mask),
            [tuple(getattr(place, name) for name in place.__match_args__) for place in one.places],
            (one.decoded, one.note, one.remedy, one.tags),
        )
        for one in report.findings
    ]
    return marshal.dumps((findings, report.allowed, report.stats.blobs + report.stats.cached))


def _load_report(data: bytes, root: str, seconds: float) -> "ScanReport":
    from orchestra_creds.scanner.finding import Finding, FindingPlace, ScanReport, ScanStats
    from orchestra_creds.scanner.rule import Confidence, Severity

    findings, allowed, objects = marshal.loads(data)  # noqa: S302  only we can have written it
    said = []
    for (rule, description, severity, confidence), (fingerprint, credential, shown), places, more in findings:
        sure, where = (Severity(severity), Confidence(confidence)), tuple(FindingPlace(*place) for place in places)
        said.append(Finding(rule, description, *sure, fingerprint, credential, shown, where, *more))
    return ScanReport(root, "history", tuple(said), allowed=allowed, stats=ScanStats(cached=objects, seconds=seconds))
