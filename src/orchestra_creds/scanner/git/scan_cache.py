"""What an earlier scan of a history saw, so that the next one looks at new objects only.

One file for each repository and set of rules, that only we can have written (`private.py`). It names packs and loose
objects that were looked at in full, and where something was found: object, offsets, line, rule. It holds no credential and
nothing computed from one; what is reported again is read again from the repository. A file that is damaged, foreign, or of
another version counts as none. A scan that could not read everything is never remembered.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from orchestra_creds import __version__
from orchestra_creds.core.record import dataclass, field
from orchestra_creds.scanner import private
from orchestra_creds.scanner.decoding.decode import CARRIERS
from orchestra_creds.scanner.rule import Rule

SCHEMA = 4


class StoredGroup(NamedTuple):
    """What is written the same way in many places, named by one object that holds it; `inner` is the way into an archive."""

    oid: str
    rule: str
    start: int
    end: int
    inner: str


class StoredSpan(NamedTuple):
    """One place in an object: the number of its group, and a `collect.TextSpan` without its digest."""

    group: int
    start: int
    end: int
    line: int
    end_line: int
    column: int
    inner: str


class StoredReport(NamedTuple):
    """One place that was reported; `span` is a `StoredSpan`."""

    oid: str
    path: str
    commit: str
    author: str
    date: str
    in_head: bool
    span: StoredSpan


@dataclass(slots=True)
class ScanCache:
    """What was looked at, and what was found there. Ids are hexadecimal, paths are bytes read as Latin-1.

    Attributes:
        packs: Names that change with the content, see `pack_key`.
        loose: Ids of loose objects.
        refs: The digest of all refs and of HEAD.
        groups: What was found, each text of a credential once.
        spans: Where it was found, by the id of the object.
        kinds: The kind of each object in `spans` that is no blob, by its id.
        reported_spans: What was reported.
        pointers: Size in bytes of each large file that a pointer of Git LFS stands for, by the id of the file.
        whole: Whether git could walk all of the history.
        objects: How many objects were looked at.
    """

    packs: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)
    refs: str = ""
    groups: list[StoredGroup] = field(default_factory=list)
    spans: dict[str, list[StoredSpan]] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    reported_spans: list[StoredReport] = field(default_factory=list)
    pointers: dict[str, int] = field(default_factory=dict)
    whole: bool = True
    objects: int = 0


def file_name(repository: Path, rules: Sequence[Rule], *more: object) -> str:
    """The name of the file for this repository, these rules and whatever else a result depends on."""
    digest = hashlib.sha256(os.fsencode(repository.resolve()))
    digest.update(repr((SCHEMA, __version__, *more, CARRIERS)).encode())
    for rule in rules:
        parts = (rule.id, rule.pattern, rule.check, rule.group, rule.longest, rule.entropy, int(rule.confidence))
        digest.update(repr(parts).encode())
    return f"history-{digest.hexdigest()[:32]}.json"


def pack_key(index: Path, width: int) -> str:
    """A name for a pack and its index that no other content has: sizes, times, and the check sum at the pack's end."""
    parts = [index.stem]
    for path in (index, index.with_suffix(".pack")):
        status = path.stat()
        parts.append(f"{status.st_size}:{status.st_mtime_ns}")
    with index.with_suffix(".pack").open("rb") as file:
        file.seek(-width, os.SEEK_END)
        parts.append(file.read().hex())
    return "/".join(parts)


def load(folder: Path, name: str) -> ScanCache | None:
    """What was remembered; None when there is nothing to trust."""
    file = private.open_private(str(folder), name)
    if file is None:
        return None
    with file:
        content = file.read()
    head, _, body = content.partition(b"\n")
    if head != hashlib.sha256(body).hexdigest().encode():
        return None
    try:
        return _parse_cache(json.loads(body))
    except (ValueError, TypeError, RecursionError):
        return None


def _parse_cache(fields: dict[str, Any]) -> ScanCache:
    """Return the cache that JSON holds as plain lists.

    Raises:
        TypeError, ValueError: it is none.
    """
    cache = ScanCache(**fields)
    cache.groups = [StoredGroup(*row) for row in cache.groups]
    cache.spans = {oid: [StoredSpan(*row) for row in rows] for oid, rows in cache.spans.items()}
    reported = [StoredReport(*row) for row in cache.reported_spans]
    cache.reported_spans = [one._replace(span=StoredSpan(*one.span)) for one in reported]
    return cache


def store(folder: Path, name: str, seen: ScanCache) -> None:
    """Remember it."""
    body = json.dumps({name: getattr(seen, name) for name in ScanCache.__match_args__}, separators=(",", ":")).encode()
    private.store(str(folder), name, hashlib.sha256(body).hexdigest().encode(), b"\n", body)


def refs_digest(lines: Iterable[bytes]) -> str:
    """Of all refs and HEAD: the same digest means that commits lead to the same paths as before."""
    return hashlib.sha256(b"\n".join(lines)).hexdigest()
