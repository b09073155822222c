"""Which commit brought a blob to which path: for the few blobs that hold something.

One `git log --raw` over all refs, the stash and every reflog, and one `git ls-tree` of what is checked out, run beside
the scan and are read after it. Merges are shown with what differs from all parents, so content that came in with a merge
alone is attributed too. Objects that no commit reaches have no path; the report calls them `<unreachable>`.
"""

import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from orchestra_creds.scanner.checks.verdict import Buffer
from orchestra_creds.scanner.git.repository import Repository, Spool

_ENTRY = re.compile(rb"\x01([0-9a-f]+)|:([^\0]*)\0([^\0]*)\0")
"""The id of a commit, or what changed (modes, ids, status) and its path."""

_BLOB = len(b"100644 blob ")
_PERSON = re.compile(rb"^(?:author|tagger) (.*?) ?<[^>\n]*> (-?[0-9]+) [+-][0-9]+$", re.MULTILINE)


class BlobOrigin(NamedTuple):
    """Where a blob came in: `order` rises with the age of the commit."""

    order: int
    commit: str
    path: bytes


class CommitAuthor(NamedTuple):
    """Who wrote a commit, by name only, and when (RFC 3339, UTC)."""

    author: str
    date: str


class CommitLog:
    """A running `git log` and `git ls-tree`; ask them once, when the scan is through."""

    def __init__(self, repository: Repository, *revisions: str) -> None:
        self._repository = repository
        self._revisions = revisions or ("--all", "--reflog")
        self._log: Spool | None = None
        self._head: Spool | None = None

    def start(self) -> None:
        """Starts the processes, once: as soon as there is something that will want a commit."""
        if self._log is not None:
            return
        self._log = self._repository.spool(
            "log",
            "--date-order",
            "-c",
            "--raw",
            "-z",
            "--no-abbrev",
            "--no-renames",
            "--no-ext-diff",
            "--no-textconv",
            "--format=format:%x01%H",
            *self._revisions,
            "--",
        )
        self._head = self._list_head()

    def _list_head(self) -> Spool:
        return self._repository.spool("ls-tree", "-r", "-z", "--full-tree", "HEAD")

    def origins(self, oids: Collection[bytes]) -> tuple[dict[bytes, list[BlobOrigin]], bool]:
        """For each of the blobs (hex ids) every path it came to, with the commit that brought it, oldest first.

        False says that git could not walk all of the history: a commit or tree is missing or damaged.
        """
        if not oids:
            return {}, True
        self.start()
        spool, self._log = self._log, None
        data, whole = (b"", False) if spool is None else spool.read()
        return _origins(data, frozenset(oids)), whole

    def in_head(self, files: Iterable[tuple[bytes, bytes]]) -> frozenset[tuple[bytes, bytes]]:
        """Those of the files, (hex id, path), that the commit holds that is checked out; none before the first commit."""
        wanted = {b"%s\t%s" % file: file for file in files}
        if not wanted:
            return frozenset()
        spool, self._head = self._head or self._list_head(), None
        entries = bytes(spool.read()[0])
        return frozenset(wanted[name] for entry in entries.split(b"\0") if (name := entry[_BLOB:]) in wanted)

    def close(self) -> None:
        """Ends the processes that nobody asked."""
        for spool in (self._log, self._head):
            if spool is not None:
                spool.kill()
        self._log = self._head = None


def _origins(data: Buffer, oids: frozenset[bytes]) -> dict[bytes, list[BlobOrigin]]:
    found: dict[bytes, dict[bytes, BlobOrigin]] = {}
    width = len(next(iter(oids), b""))
    commit = b""
    order = 0
    for entry in _ENTRY.finditer(data):
        change = entry[2]
        if change is None:
            commit = entry[1]
            order -= 1
            continue
        end = change.rfind(b" ")
        oid = change[end - width : end]
        if oid in oids:
            # the log goes back in time: the last word is the oldest
            found.setdefault(oid, {})[entry[3]] = BlobOrigin(order, commit.decode(), entry[3])
    return {oid: sorted(paths.values()) for oid, paths in found.items()}


def commit_author(text: bytes) -> CommitAuthor:
    """Author and date that the text of a commit or a tag names; empty where it names none."""
    found = _PERSON.search(text.partition(b"\n\n")[0])
    if not found:
        return CommitAuthor("", "")
    try:
        moment = datetime.fromtimestamp(int(found[2]), UTC)
    except (OverflowError, ValueError, OSError):  # a date that no calendar has
        return CommitAuthor(found[1].decode("utf-8", "replace"), "")
    return CommitAuthor(found[1].decode("utf-8", "replace"), moment.strftime("%Y-%m-%dT%H:%M:%SZ"))
