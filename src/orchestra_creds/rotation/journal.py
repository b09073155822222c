"""The audit of a machine: one line of JSON for each step taken, each holding the hash of the line before it.

Guarantees: lines are only ever appended, by one process at a time; whoever changes, removes or inserts a line breaks the chain from
there on; a line that a dying process wrote in part stays as it is and is part of the chain; a line that a full disk cuts is taken
back; nothing of a material is in it, because an event holds none. Reading takes memory for what is asked for, however long it is.

There is a file for each year, and the chain goes on from one to the next. Versions before that wrote a single file; it is the
beginning of the chain where there is one.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, NamedTuple

from orchestra_creds.rotation.outcome import Event

GENESIS = "0" * 64
"""What the first line holds in place of a hash."""
TAIL = 65_536
"""Bytes that are read from the end to find the last line; a line has a few hundred."""
BLOCK = 1 << 20
"""Bytes that are read at a time from the end towards the beginning."""
CLOCKS_DIFFER = timedelta(days=1)
"""How much earlier a line may say it is than the one before it: the lines are in the order of their writing, by more than one clock."""


class Journal:
    """The files of one project, 0600; safe for several processes and threads.

    `path` is the single file of earlier versions, such as `rotations-PROJECT.jsonl`; `rotations-PROJECT.2026.jsonl` stands beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self) -> list[Path]:
        """Return the files that exist, in the order of the chain."""
        years = self._years()
        return [path for path in (self.path, *map(self.file_of, years)) if os.path.lexists(path)]

    def file_of(self, year: int) -> Path:
        """Return the path of the file of a year."""
        return self.path.with_name(f"{self.path.stem}.{year:04}{self.path.suffix}")

    def record(self, event: Event) -> None:
        """Append an event to the file of its year, or to a later one if there is one: the chain never goes back.

        Raises:
            OSError: the line could not be written; nothing of it is left.
        """
        entry = {
            "time": event.at.isoformat(timespec="milliseconds"),
            "run": event.run,
            "credential": event.credential,
            "generation": event.generation,
            "step": str(event.step.kind),
            "resource": event.step.resource,
            "outcome": str(event.stage),
            "note": event.note,
        }
        with self._lock():
            path = self.file_of(max(event.at.astimezone(UTC).year, *self._years(), 0))
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "r+b") as file:
                last, torn = _last_line(file)
                before = _hash(last) if last else self._hash_before(path)
                text = json.dumps({**entry, "before": before}, separators=(",", ":"))
                _append(descriptor, b"\n" * torn + text.encode() + b"\n")

    def entries(self, credential: str = "") -> Iterator[dict[str, Any]]:
        """The entries, oldest first; torn lines are left out."""
        for path in self.files():
            for line in _lines(path):
                entry = _entry(line)
                if entry is not None and credential in {"", entry.get("credential")}:
                    yield entry

    def latest(
        self, limit: int, credential: str = "", since: datetime | None = None
    ) -> tuple[list[dict[str, Any]], bool]:
        """Return the last entries, at most `limit` of them, oldest first, and whether there are more. Only these are read.

        credential  only those of this one; "" for all
        since       only those that are not older (aware)

        Raises:
            OSError: a file cannot be read.
        """
        found: list[dict[str, Any]] = []
        for entry in self._entries_backward(credential.encode(), since):
            if credential in {"", entry.get("credential")}:
                if len(found) == limit:
                    return found[::-1], True
                found.append(entry)
        return found[::-1], False

    def verify(self) -> "JournalVerdict":
        """Whether the chain holds, from the first line of the first file to the last of the last.

        Raises:
            OSError: a file cannot be read.
        """
        before, count, torn = GENESIS, 0, []
        for path in self.files():
            for number, line in enumerate(_lines(path), 1):
                entry = _entry(line)
                if entry is None:
                    torn.append(JournalLine(path.name, number))
                elif entry.get("before") != before:
                    return JournalVerdict(count, tuple(torn), JournalLine(path.name, number))
                before, count = _hash(line), count + 1
        return JournalVerdict(count, tuple(torn))

    def _years(self) -> list[int]:
        """Return the years that have a file, in order."""
        name = re.compile(rf"{re.escape(self.path.stem)}\.([0-9]{{4}}){re.escape(self.path.suffix)}")
        try:
            names = os.listdir(self.path.parent)
        except FileNotFoundError:
            return []
        return sorted(int(found[1]) for found in map(name.fullmatch, names) if found)

    def _hash_before(self, path: Path) -> str:
        """Return what the first line of a file holds: the hash of the last line before it."""
        files = self.files()
        for earlier in reversed(files[: files.index(path)]):
            with _open_file(earlier) as file:
                last, _ = _last_line(file)
            if last:
                return _hash(last)
        return GENESIS

    def _entries_backward(self, name: bytes, since: datetime | None) -> Iterator[dict[str, Any]]:
        """Yield the entries from the newest to the oldest of those wanted; `name` is somewhere in their lines."""
        for path in reversed(self.files()):
            for line in _lines_backward(path):
                if name not in line or (entry := _entry(line)) is None:
                    continue
                if since is not None:
                    at = _time(entry)
                    if at is not None and at < since - CLOCKS_DIFFER:
                        return
                    if at is None or at < since:
                        continue
                yield entry

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Keep other writers away: of all files, because a line may be the first of a new one."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        descriptor = os.open(self.path.with_suffix(".lock"), flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


class JournalLine(NamedTuple):
    """A line of the journal: the name of its file, and its number there, from 1."""

    file: str
    number: int


@dataclass(frozen=True, slots=True)
class JournalVerdict:
    """How many lines there are up to the first that breaks the chain (None: it holds), and which of them a dying process tore."""

    lines: int
    torn: tuple[JournalLine, ...] = ()
    broken: JournalLine | None = None


def _open_file(path: Path) -> IO[bytes]:
    """Open a file for reading.

    Raises:
        OSError: it cannot be read, or is no regular file: a pipe would never end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def _append(descriptor: int, line: bytes) -> None:
    """Write the whole line to the disk; cut the file to its old length if that fails."""
    length = os.fstat(descriptor).st_size
    try:
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, length)
        raise


def _last_line(file: IO[bytes]) -> tuple[bytes, bool]:
    """The last line without its end, and whether its end is missing."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - TAIL, 0))
    tail = file.read(TAIL)
    file.seek(0, os.SEEK_END)
    torn = bool(tail) and not tail.endswith(b"\n")
    return tail.removesuffix(b"\n").rpartition(b"\n")[2], torn


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file without their ends."""
    with _open_file(path) as file:
        yield from (line.removesuffix(b"\n") for line in file)


def _lines_backward(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file without their ends, the last one first."""
    with _open_file(path) as file:
        left, begun = file.seek(0, os.SEEK_END), b""
        while left:
            size = min(BLOCK, left)
            left -= size
            file.seek(left)
            lines = (file.read(size) + begun).split(b"\n")
            begun = lines[0]
            yield from reversed(lines[1:])
        yield begun


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _time(entry: dict[str, Any]) -> datetime | None:
    """Return the time of an entry, aware; None if it has none that can be read."""
    try:
        moment = datetime.fromisoformat(str(entry.get("time")))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
