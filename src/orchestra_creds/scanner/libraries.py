"""The two compiled matchers, Hyperscan and RE2, loaded late and lightly.

Guarantees: nothing is imported before it is needed; the extension modules are loaded without the Python code around
them, which costs more than the matching of a small change (10 ms for RE2's wrapper alone); patterns are read as bytes.
"""

import importlib
import importlib.util
import sys
from functools import cache
from importlib.machinery import PathFinder
from mmap import mmap
from types import ModuleType
from typing import Any

from orchestra_creds.errors import ConfigError

Text = bytes | bytearray | memoryview | mmap
"""What a pattern is matched against."""

Spans = list[tuple[int, int]]
"""Start and end of the whole match and of each group; (-1, -1) for a group that took no part."""


def _extension(package: str, module: str) -> ModuleType:
    """The extension module `package.module`, loaded without running the package's own code."""
    name = f"{package}.{module}"
    if name in sys.modules:
        return sys.modules[name]
    parent = importlib.util.find_spec(package)
    places = None if parent is None else parent.submodule_search_locations
    spec = None if places is None else PathFinder.find_spec(name, list(places))
    if spec is None or spec.loader is None:
        return importlib.import_module(name)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    try:
        spec.loader.exec_module(loaded)
    except BaseException:
        del sys.modules[name]
        raise
    return loaded


@cache
def hyperscan() -> Any:
    """Hyperscan's extension module.

    Raises:
        ImportError: there is no wheel for this platform.
    """
    return _extension("hyperscan", "_hs_ext")


@cache
def re2() -> Any:
    """RE2's extension module."""
    return _extension("re2", "_re2")


def re2_options(*, max_mem: int = 8 << 20) -> Any:
    """Options that read patterns and text as bytes and stay silent; `max_mem` in bytes bounds one automaton."""
    options = re2().RE2.Options()
    options.encoding = options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = max_mem
    return options


def check(name: str, pattern: str) -> None:
    """Refuse a pattern that RE2 cannot read.

    Raises:
        ConfigError: it names the rule `name` and what is wrong.
    """
    try:
        Regex(pattern)
    except ConfigError as error:
        raise ConfigError(f"rule {name}: {error}", hint=error.hint) from None


class Regex:
    r"""One RE2 pattern over bytes, linear time on any input; `\b`, `^`, `$` see the bytes before `pos` and behind `end`."""

    __slots__ = ("_from_here", "_match", "_somewhere")

    def __init__(self, pattern: str, *, max_mem: int = 8 << 20) -> None:
        module = re2()
        compiled = module.RE2(pattern.encode("latin-1"), re2_options(max_mem=max_mem))
        if not compiled.ok():
            raise ConfigError(f"pattern is not valid: {compiled.error().decode()}", hint="rules use the syntax of RE2")
        self._match = compiled.Match
        self._somewhere = module.RE2.Anchor.UNANCHORED
        self._from_here = module.RE2.Anchor.ANCHOR_START

    def search(self, text: Text, pos: int, end: int) -> Spans | None:
        """The leftmost match that starts at `pos` or later and ends at `end` or before."""
        spans: Spans = self._match(self._somewhere, text, pos, end)
        return None if spans[0][0] < 0 else spans

    def match(self, text: Text, pos: int, end: int) -> Spans | None:
        """The match that starts at `pos` and ends at `end` or before."""
        spans: Spans = self._match(self._from_here, text, pos, end)
        return None if spans[0][0] < 0 else spans


class LazyRegex:
    """One RE2 pattern that is compiled when it is first needed; Python's `re` takes milliseconds for some, at every start."""

    __slots__ = ("_compiled", "_pattern")

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._compiled: Regex | None = None

    def search(self, text: bytes) -> Spans | None:
        """The leftmost match in `text`."""
        if self._compiled is None:
            self._compiled = Regex(self._pattern)
        return self._compiled.search(text, 0, len(text))

    def is_in(self, text: bytes) -> bool:
        """Whether the pattern matches somewhere in `text`."""
        return self.search(text) is not None
