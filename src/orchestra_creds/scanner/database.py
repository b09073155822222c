"""The compiled Hyperscan database, kept between runs.

Compiling some hundred patterns takes a second, loading the result a millisecond. A compiled database is native code's
input: whoever writes it commands the process that loads it. Guarantees: a database is loaded only from a file that we
own, that nobody else may write or read, that has no other name, in a folder of which the same holds, and whose checksum
is that of its header; anything else is ignored and compiled anew. Files are replaced in one step. A cache that cannot be
written costs time, never a result.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from orchestra_creds.errors import ConfigError
from orchestra_creds.scanner.libraries import hyperscan

MAGIC = b"orchestra-creds/hyperscan/1\n"
CHECKSUM_BYTES = 32


Numbered = Sequence[tuple[int, str]]
"""Patterns with the numbers under which they are reported."""


def open_database(patterns: Callable[[], Numbered], key: bytes, cache: Path | None) -> Any:
    """The database of `patterns`, from `cache` when it holds a trustworthy one; `key` stands for the patterns.

    Raises:
        ConfigError: a pattern cannot be compiled.
    """
    if cache is None:
        return _compile(patterns())
    name = f"{_key(key)}.hsdb"
    payload = _load(cache, name)
    if payload is not None:
        module = hyperscan()
        try:
            return module.loadb(payload, module.HS_MODE_BLOCK)
        except module.error:
            pass  # of another build of the library after all: compile
    database = _compile(patterns())
    _store(cache, name, hyperscan().dumpb(database))
    return database


def _compile(patterns: Numbered) -> Any:
    module = hyperscan()
    numbers = [number for number, _ in patterns]
    sources = [source.encode("latin-1") for _, source in patterns]
    database = module.Database(mode=module.HS_MODE_BLOCK)
    try:
        database.compile(sources, ids=numbers, flags=[module.HS_FLAG_MULTILINE] * len(sources))
    except module.error:
        flags = [_flags_alone(source) for source in sources]
        database = module.Database(mode=module.HS_MODE_BLOCK)
        try:
            database.compile(sources, ids=numbers, flags=flags)
        except module.error as error:
            raise ConfigError(f"the rules together are too large: {error}", hint="choose fewer with --only") from error
    return database


def _flags_alone(source: bytes) -> int:
    """The flags under which one pattern compiles: as it is, or loosened by Hyperscan where it is too large."""
    module = hyperscan()
    plain: int = module.HS_FLAG_MULTILINE
    for flags in (plain, plain | module.HS_FLAG_PREFILTER):
        try:
            module.Database(mode=module.HS_MODE_BLOCK).compile([source], ids=[0], flags=[flags])
        except module.error as error:
            problem = str(error)
        else:
            return flags
    raise ConfigError(f"pattern cannot be compiled: {problem}", hint="rules use the syntax of RE2")


def _key(patterns: bytes) -> str:
    """Of everything a compiled database depends on: patterns, library version, features of this processor."""
    module = hyperscan()
    probe = module.Database(mode=module.HS_MODE_BLOCK)
    probe.compile([b"probe"], ids=[0], flags=[0])
    return hashlib.sha256(MAGIC + probe.info() + patterns).hexdigest()[:32]


def _private(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & 0o077


def _load(folder: Path, name: str) -> bytes | None:
    """The payload of a file that only we can have written, or None."""
    if not hasattr(os, "geteuid"):
        return None  # no owners to compare: compile every time
    try:
        around = os.lstat(folder)
        handle = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(handle, "rb", buffering=0) as file:
        status = os.fstat(handle)
        trusted = stat.S_ISDIR(around.st_mode) and stat.S_ISREG(status.st_mode) and status.st_nlink == 1
        if not (trusted and _private(around) and _private(status)):
            return None
        head = file.read(len(MAGIC) + CHECKSUM_BYTES)
        payload = file.readall()  # apart, for a slice of megabytes costs as much as reading them
    return payload if head == MAGIC + hashlib.sha256(payload).digest() else None


def _store(folder: Path, name: str, payload: bytes) -> None:
    """Write the file beside its place and move it there; a cache that cannot be written is none."""
    if not hasattr(os, "geteuid"):
        return
    temporary = folder / f".{name}.{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        around = os.lstat(folder)
        if not (stat.S_ISDIR(around.st_mode) and _private(around)):
            return
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(MAGIC + hashlib.sha256(payload).digest() + payload)
            os.replace(temporary, folder / name)
        except OSError:
            temporary.unlink(missing_ok=True)
    except OSError:
        return
