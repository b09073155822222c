"""The compiled Hyperscan database, kept between runs.

Compiling some hundred patterns takes a second, loading the result a millisecond. A compiled database is native code's
input: whoever writes it commands the process that loads it. Guarantees: a database is loaded only from a file that only we
can have written (`private.py`) and whose checksum is that of its header; anything else is ignored and compiled anew.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from orchestra_creds.errors import ConfigError
from orchestra_creds.scanner import private
from orchestra_creds.scanner.libraries import hyperscan

MAGIC = b"orchestra-creds/hyperscan/1\n"
CHECKSUM_BYTES = 32


NumberedPatterns = Sequence[tuple[int, str]]
"""Patterns with the numbers under which they are reported."""


RunCompiler = Callable[[Callable[[], bytes]], bytes]
"""Calls a function that compiles for seconds, and returns what it returns."""


def open_database(
    patterns: Callable[[], NumberedPatterns], key: bytes, cache: Path | None, run_compiler: RunCompiler
) -> Any:
    """The database of `patterns`, from `cache` when it holds a trustworthy one; `key` stands for the patterns.

    Raises:
        ConfigError: a pattern cannot be compiled.
    """
    if cache is None:
        return _load_compiled(run_compiler(lambda: _compile(patterns())))
    name = f"{_key(key)}.hsdb"
    content = _load(str(cache), name)
    if content is not None:
        try:
            return _load_compiled(content)
        except hyperscan().error:
            pass  # of another build of the library after all: compile
    content = run_compiler(lambda: _compile(patterns()))
    private.store(str(cache), name, MAGIC, hashlib.sha256(content).digest(), content)
    return _load_compiled(content)


def _load_compiled(content: bytes) -> Any:
    module = hyperscan()
    return module.loadb(content, module.HS_MODE_BLOCK)


def _compile(patterns: NumberedPatterns) -> bytes:
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
    compiled: bytes = module.dumpb(database)
    return compiled


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


def _load(folder: str, name: str) -> bytes | None:
    """The payload of a file that only we can have written, or None."""
    file = private.open_private(folder, name)
    if file is None:
        return None
    with file:
        head = file.read(len(MAGIC) + CHECKSUM_BYTES)
        content = file.readall()  # apart, for a slice of megabytes costs as much as reading them
    return content if head == MAGIC + hashlib.sha256(content).digest() else None
