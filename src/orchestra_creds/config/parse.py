"""Text of orchestra-creds.toml -> typed tables, with errors that name the line.

Guarantees: an unknown key, a wrong type or a key that asks for a value is a ConfigError that names the file, the line and
the nearest known key, and never shows what was written there.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from orchestra_creds.config.credentials import unknown_kinds
from orchestra_creds.config.document import Document
from orchestra_creds.config.table import VALUE_KEYS, nearest_hint
from orchestra_creds.errors import ConfigError
from orchestra_creds.textfile import toml_error_line

_HEADER = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'))*)\s*=")
_PART = re.compile(r"[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'")

Path = tuple[str, ...]
"""The keys that lead to a place of the file."""


def parse(text: str, name: str) -> Document:
    """The document in `text`; `name` is what error messages call it.

    Raises:
        ConfigError: with the line and, for an unknown key, the nearest known one.
    """
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise ConfigError(
            f"{name}:{toml_error_line(text)}: this is not valid TOML",
            hint="check quotes, brackets and equal signs near that line",
        ) from None
    except RecursionError:
        raise ConfigError(f"{name}: arrays or tables are nested too deep", hint="look for brackets in a row") from None
    _refuse_values(tree, (), text, name)
    _refuse_unknown(tree, Document, (), text, name)
    for unknown in unknown_kinds(tree.get("credentials")):
        where = f"{name}:{line_of(unknown.path, text, unknown.occurrence)}"
        raise ConfigError(f"{where}: unknown kind {unknown.kind!r}", hint=nearest_hint(unknown.kind, unknown.known))
    try:
        return msgspec.convert(tree, Document)
    except msgspec.ValidationError as error:
        raise _config_error(str(error), tree, text, name) from None


def line_of(path: Path, text: str, occurrence: int = 1) -> int:
    """Return the 1-based line on which the last key of the path is written, or that of its table; 1 if it is not found.

    In an array of tables the path occurs once in each: `occurrence` counts from 1.
    """
    table: Path = ()
    best = 1
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.fullmatch(line):
            table = _keys(header[1])
        elif (key := _KEY.match(line)) and (*table, *_keys(key[1]))[: len(path)] == path:
            occurrence -= 1
            if not occurrence:
                return number
        if header and table[: len(path)] == path:
            return number
        if header and path[: len(table)] == table:
            best = number
    return best


def _keys(dotted: str) -> Path:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _refuse_values(tree: Mapping[str, Any], path: Path, text: str, name: str) -> None:
    for key, value in tree.items():
        here = (*path, key)
        if key in VALUE_KEYS and not isinstance(
            value, Mapping
        ):  # a table of that name is a secret's name, not its value
            raise ConfigError(
                f"{name}:{line_of(here, text)}: key {key!r} would hold a value, and values never stand in this file",
                hint="remove it; if it was real, revoke it: this file is meant to be committed",
            )
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Mapping):
                _refuse_values(item, here, text, name)


def _refuse_unknown(tree: Any, kind: Any, path: Path, text: str, name: str) -> None:
    """Walk tree and types together; msgspec says only the first unknown key, and not of which table."""
    if isinstance(tree, list):
        for item in tree:
            _refuse_unknown(item, (get_args(kind) or (None,))[0], path, text, name)
        return
    if not isinstance(tree, Mapping):
        return
    if get_origin(kind) is dict:
        for key, value in tree.items():
            _refuse_unknown(value, get_args(kind)[1], (*path, key), text, name)
        return
    table = _table_in(kind)
    if table is None:
        return
    known = get_type_hints(table)
    for key, value in tree.items():
        if key not in known:
            where = f"{name}:{line_of((*path, key), text)}"
            raise ConfigError(f"{where}: unknown key {key!r}", hint=nearest_hint(key, known))
        _refuse_unknown(value, known[key], (*path, key), text, name)


def _table_in(kind: Any) -> type[msgspec.Struct] | None:
    """The table among the types that a place may have."""
    kinds = (kind, *get_args(kind))
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, msgspec.Struct)), None)


def _config_error(message: str, tree: Mapping[str, Any], text: str, name: str) -> ConfigError:
    """Msgspec's message as ours: it names the path and the type, never the value."""
    what, _, place = message.partition(" - at ")
    path = _full_path(re.findall(r"[^.\[\]`$]+|\[[^\]]*\]", place), tree, Document)
    key = f"{path[-1]}: " if path else ""
    return ConfigError(f"{name}:{line_of(path, text)}: {key}{what[0].lower()}{what[1:]}", hint=_section_hint(path))


def _section_hint(path: Path) -> str:
    return f"see `{'.'.join(path)}` in docs/configuration.md" if path else "see docs/configuration.md"


def _full_path(steps: list[str], tree: Any, kind: Any) -> Path:
    """The path with the names that msgspec leaves out: it writes `[...]` for every entry of a table of tables."""
    path: Path = ()
    for step in steps:
        if step == "[...]" and isinstance(tree, Mapping):
            inner = (get_args(kind) or (None, None))[1]
            step = next((key for key, value in tree.items() if not _fits(value, inner)), "")  # noqa: PLW2901
            kind = inner
        elif step.startswith("["):
            kind, tree = (get_args(kind) or (None,))[0], (tree[int(step[1:-1])] if isinstance(tree, list) else None)
            continue
        else:
            table = _table_in(kind)
            kind = get_type_hints(table).get(step) if table else None
        tree = tree.get(step) if isinstance(tree, Mapping) else None
        path = (*path, step)
    return path


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True
