"""Which orchestra-creds.toml counts, and what it says.

Precedence is flag > environment > file > default: flags and their variables are Typer's, this module finds the file.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from orchestra_creds.config.document import Document
from orchestra_creds.config.parse import parse
from orchestra_creds.textfile import read_text

FILE_NAME = "orchestra-creds.toml"
CONFIG_VARIABLE = "ORCHESTRA_CREDS_CONFIG"


class Settings(msgspec.Struct, frozen=True):
    """What the file says. `path` is None without a file; `named` tells whether the operator chose it."""

    document: Document = Document()
    path: Path | None = None
    named: bool = False


def load(
    named: Path | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    start: Path | None = None,
    most: int = 0,
) -> Settings:
    """Settings from the file named, else from `ORCHESTRA_CREDS_CONFIG`, else from the nearest one upward, else defaults.

    `most` is how many bytes a file may have that nobody named; 0 sets no limit.

    Raises:
        NotFoundError: the named file does not exist.
        ConfigError: the file is not what we understand; the message has its line.
    """
    chosen = named or (Path(environment[CONFIG_VARIABLE]) if environment.get(CONFIG_VARIABLE) else None)
    path = chosen or _nearest(start or Path.cwd())
    if path is None:
        return Settings()
    text = read_text(path, hint="check --config or ORCHESTRA_CREDS_CONFIG", most=0 if chosen else most)
    return Settings(document=parse(text, str(path)), path=path, named=chosen is not None)


def _nearest(start: Path) -> Path | None:
    return next((f for folder in (start, *start.parents) if (f := folder / FILE_NAME).is_file()), None)
