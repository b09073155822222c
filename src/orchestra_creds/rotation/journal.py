"""The audit of a machine: one line of JSON for each step taken, each holding the hash of the line before it.

Guarantees: lines are only ever appended, by one process at a time; whoever changes, removes or inserts a line breaks the chain from
there on; a line that a dying process wrote in part stays as it is and is part of the chain; a line that a full disk cuts is taken
back; nothing of a material is in it, because an event holds none.
"""

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from orchestra_creds.rotation.outcome import Event

GENESIS = "0" * 64
"""What the first line holds in place of a hash."""
TAIL = 65_536
"""Bytes that are read from the end to find the last line; a line has a few hundred."""


class Journal:
    """One file, 0600; safe for several processes and threads."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def record(self, event: Event) -> None:
        """Append an event.

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
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            last, torn = _last_line(file)
            text = json.dumps({**entry, "before": _hash(last) if last else GENESIS}, separators=(",", ":"))
            _append(descriptor, b"\n" * torn + text.encode() + b"\n")

    def entries(self, credential: str = "") -> Iterator[dict[str, Any]]:
        """The entries, oldest first; torn lines are left out."""
        for line in self._lines():
            entry = _entry(line)
            if entry is not None and credential in {"", entry.get("credential")}:
                yield entry

    def verify(self) -> "JournalVerdict":
        """Whether the chain holds."""
        before, count, torn = GENESIS, 0, []
        for number, line in enumerate(self._lines(), 1):
            entry = _entry(line)
            if entry is None:
                torn.append(number)
            elif entry.get("before") != before:
                return JournalVerdict(count, tuple(torn), number)
            before, count = _hash(line), count + 1
        return JournalVerdict(count, tuple(torn), 0)

    def _lines(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                yield from (line.removesuffix(b"\n") for line in file)
        except FileNotFoundError:
            return


@dataclass(frozen=True, slots=True)
class JournalVerdict:
    """How many lines there are, which of them a dying process tore (1-based), and the first that breaks the chain (0: none)."""

    lines: int
    torn: tuple[int, ...]
    broken: int


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


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
