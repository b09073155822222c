"""orchestra-creds.toml and the environment, as typed settings.

Guarantees: an unknown key, a wrong type or a key that asks for a value is a ConfigError that names the file, the line and
the nearest known key, and never shows what was written there. Precedence is flag > environment > file > default: flags and
their variables are Typer's, this module holds what the file says and where the program keeps its own files.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from orchestra_creds.errors import ConfigError
from orchestra_creds.textfile import read_text

FILE_NAME = "orchestra-creds.toml"
CONFIG_VARIABLE = "ORCHESTRA_CREDS_CONFIG"
VALUE_KEYS = frozenset({"value", "password", "token", "data", "private_key"})
"""Keys that would hold a secret: none of our sections has them, so writing one is a leak, not a typing error."""


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every table: immutable, and no key that we do not know."""


class Project(_Table, frozen=True):
    """`[project]`: which Google Cloud project is meant."""

    id: str = ""


class Naming(_Table, frozen=True):
    """`[naming]`: how the name of a secret is built from `{name}` and `{env}`."""

    secret: str = "{name}-{env}"  # noqa: S105  a pattern for names


class Environment(_Table, frozen=True):
    """`[environments.NAME]`: one of dev, staging, prod or the operator's own; that it stands there makes it known."""


class Scan(_Table, frozen=True):
    """`[scan]`: defaults of `orchestra-creds scan`; sizes in bytes."""

    exclude: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    severity: str = ""
    max_size: int | None = None
    archive_depth: int | None = None
    jobs: int | None = None
    gitleaks_config: str = ""


class Document(_Table, frozen=True):
    """The whole file."""

    schema: Literal[1] = 1
    project: Project = Project()
    naming: Naming = Naming()
    environments: dict[str, Environment] = {}
    scan: Scan = Scan()


class Settings(msgspec.Struct, frozen=True):
    """What the file says. `path` is None without a file; `named` tells whether the operator chose it."""

    document: Document = Document()
    path: Path | None = None
    named: bool = False


def load(
    named: Path | None = None, *, environment: Mapping[str, str] = os.environ, start: Path | None = None
) -> Settings:
    """Settings from the file named, else from `ORCHESTRA_CREDS_CONFIG`, else from the nearest one upward, else defaults.

    Raises:
        NotFoundError: the named file does not exist.
        ConfigError: the file is not what we understand; the message has its line.
    """
    chosen = named or (Path(environment[CONFIG_VARIABLE]) if environment.get(CONFIG_VARIABLE) else None)
    path = chosen or _nearest(start or Path.cwd())
    if path is None:
        return Settings()
    text = read_text(path, hint="check --config or ORCHESTRA_CREDS_CONFIG")
    return Settings(document=parse(text, str(path)), path=path, named=chosen is not None)


def parse(text: str, name: str) -> Document:
    """The document in `text`; `name` is what error messages call it.

    Raises:
        ConfigError: with the line and, for an unknown key, the nearest known one.
    """
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        line = place[1] if place else str(text.count("\n") + 1)
        raise ConfigError(
            f"{name}:{line}: this is not valid TOML", hint="check quotes, brackets and equal signs near that line"
        ) from None
    _refuse_values(tree, text, name)
    try:
        return msgspec.convert(tree, Document)
    except msgspec.ValidationError as error:
        raise _explained(str(error), text, name) from None


def _nearest(start: Path) -> Path | None:
    return next((f for folder in (start, *start.parents) if (f := folder / FILE_NAME).is_file()), None)


def _refuse_values(tree: Mapping[str, Any], text: str, name: str) -> None:
    for key, value in tree.items():
        if key in VALUE_KEYS:
            raise ConfigError(
                f"{name}:{_line_of(key, text)}: key {key!r} would hold a value, and values never stand in this file",
                hint="remove it; if it was real, revoke it: this file is meant to be committed",
            )
        if isinstance(value, Mapping):
            _refuse_values(value, text, name)


def _explained(message: str, text: str, name: str) -> ConfigError:
    """Msgspec's message as ours: it names the path and the type, never the value."""
    unknown = re.search(r"unknown field `([^`]*)`(?: - at `\$\.?([^`]*)`)?", message)
    if unknown is not None:
        key, table = unknown[1], unknown[2] or ""
        near = difflib.get_close_matches(key, _known_keys(table), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(_known_keys(table)) or 'nothing'}"
        return ConfigError(f"{name}:{_line_of(key, text)}: unknown key {key!r}", hint=hint)
    place = re.search(r"`\$\.?([^`]*)`$", message)
    key = re.split(r"[.\[]", place[1])[-1] if place and place[1] else ""
    return ConfigError(
        f"{name}:{_line_of(key, text)}: {message[0].lower()}{message[1:]}", hint="see docs/configuration.md"
    )


def _known_keys(table: str) -> list[str]:
    kinds: dict[str, type[msgspec.Struct]] = {"": Document, "project": Project, "naming": Naming, "scan": Scan}
    kind = kinds.get(table, Environment if table.startswith("environments") else Document)
    return sorted(kind.__struct_fields__)


def _line_of(key: str, text: str) -> int:
    """1-based line on which the key is written; 1 when it is not found as such."""
    pattern = re.compile(rf"^\s*(?:\[+[^\]]*\b{re.escape(key)}\b|[\"']?{re.escape(key)}[\"']?\s*[=.])") if key else None
    return next((n for n, line in enumerate(text.splitlines(), 1) if pattern and pattern.match(line)), 1)
