"""Which commit brought a blob to which path: for the few blobs that hold something.

One `git log --raw` over all refs, the stash and every reflog runs beside the scan and is read after it. Merges are shown with what differs from all parents, so content that came in with a
merge alone is attributed too. Objects that no commit reaches have no path; the report calls them `<unreachable>`.
"""

import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import NamedTuple

from orchestra_creds.scanner.git import Repository, Spool
from orchestra_creds.scanner.verdict import Buffer

_ENTRY = re.compile(
    rb"\x01([0-9a-f]{40,64})|:[0-7: ]+ (?:[0-9a-f]{40,64} )*([0-9a-f]{40,64}) [A-Z]+[0-9]*\0([^\0]*)\0", re.DOTALL
)
_PERSON = re.compile(rb"^(?:author|tagger) (.*?) ?<[^>\n]*> (-?[0-9]+) [+-][0-9]+$", re.MULTILINE)


class Origin(NamedTuple):
    """Where a blob came in: `order` rises with the age of the commit."""

    order: int
    commit: str
    path: bytes


class Person(NamedTuple):
    """Who wrote a commit, by name only, and when (RFC 3339, UTC)."""

    author: str
    date: str


class Log:
    """A running `git log`; ask it once, when the scan is through."""

    def __init__(self, repository: Repository, *revisions: str) -> None:
        self._repository = repository
        self._revisions = revisions or ("--all", "--reflog")
        self._spool: Spool | None = None

    def start(self) -> None:
        """Starts the process, once: as soon as there is something that will want a commit."""
        if self._spool is None:
            self._spool = self._repository.spool(
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

    def origins(self, oids: Collection[bytes]) -> tuple[dict[bytes, list[Origin]], bool]:
        """For each of the blobs (hex ids) every path it came to, with the commit that brought it, oldest first.

        False says that git could not walk all of the history: a commit or tree is missing or damaged.
        """
        if not oids:
            return {}, True
        self.start()
        spool, self._spool = self._spool, None
        data, whole = (b"", False) if spool is None else spool.read()
        return _origins(data, frozenset(oids)), whole

    def close(self) -> None:
        """Ends the process when nobody asked."""
        if self._spool is not None:
            self._spool.kill()
            self._spool = None


def _origins(data: Buffer, oids: frozenset[bytes]) -> dict[bytes, list[Origin]]:
    found: dict[bytes, dict[bytes, Origin]] = {}
    commit = b""
    order = 0
    for entry in _ENTRY.finditer(data):
        oid = entry[2]
        if oid is None:
            commit = entry[1]
            order -= 1
        elif oid in oids:
            # the log goes back in time: the last word is the oldest
            found.setdefault(oid, {})[entry[3]] = Origin(order, commit.decode(), entry[3])
    return {oid: sorted(paths.values()) for oid, paths in found.items()}


def person(text: bytes) -> Person:
    """Author and date that the text of a commit or a tag names; empty where it names none."""
    found = _PERSON.search(text.partition(b"\n\n")[0])
    if not found:
        return Person("", "")
    try:
        moment = datetime.fromtimestamp(int(found[2]), UTC)
    except (OverflowError, ValueError, OSError):  # a date that no calendar has
        return Person(found[1].decode("utf-8", "replace"), "")
    return Person(found[1].decode("utf-8", "replace"), moment.strftime("%Y-%m-%dT%H:%M:%SZ"))


def in_head(repository: Repository) -> frozenset[tuple[bytes, bytes]]:
    """(hex id, path) of every blob of the commit that is checked out."""
    if repository.head() is None:
        return frozenset()
    entries = repository.run("ls-tree", "-r", "-z", "--full-tree", "HEAD").split(b"\0")
    found = set()
    for entry in entries:
        meta, tab, path = entry.partition(b"\t")
        if tab:
            found.add((meta.split(b" ")[2], path))
    return frozenset(found)
