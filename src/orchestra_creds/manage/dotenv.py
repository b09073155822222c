"""A .env file as names and material: parsed by a real parser, never sourced, no variable of ours filled in."""

import io
from pathlib import Path

from dotenv.parser import parse_stream

from orchestra_creds.core.material import Material
from orchestra_creds.errors import ConfigError
from orchestra_creds.textfile import read_text


def read_dotenv(path: Path) -> dict[str, Material]:
    """Return the variables in the order of the file; a name without `=` is left out.

    Raises:
        NotFoundError: there is no such file.
        ConfigError: it cannot be read, a line is no assignment, or a variable is set twice (lines are named, values are not).
    """
    found: dict[str, Material] = {}
    lines: dict[str, int] = {}
    for binding in parse_stream(io.StringIO(read_text(path))):
        text = binding.original.string
        line = binding.original.line + text.count("\n", 0, len(text) - len(text.lstrip()))
        if binding.error:
            raise ConfigError(f"{path}:{line}: this is no assignment", hint="nothing was stored; mend the line")
        if binding.key is None or binding.value is None:
            continue
        if binding.key in lines:
            raise ConfigError(
                f"{path}:{line}: {binding.key} is set a second time, after line {lines[binding.key]}",
                hint="nothing was stored; keep one of the two lines",
            )
        found[binding.key], lines[binding.key] = Material(binding.value.encode()), line
    if not found:
        raise ConfigError(f"{path} has no variables", hint="each line is NAME=value")
    return found
