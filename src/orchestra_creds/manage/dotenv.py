"""A .env file as names and material: parsed by a real parser, never sourced, no variable of ours filled in."""

import io
from pathlib import Path

from orchestra_creds.core.material import Material
from orchestra_creds.errors import ConfigError
from orchestra_creds.textfile import read_text


def read_dotenv(path: Path) -> dict[str, Material]:
    """Variables in the order of the file; a name without `=` is left out.

    Raises:
        NotFoundError: there is no such file.
        ConfigError: it cannot be read, or a line is no assignment (its number is named, its text is not).
    """
    from dotenv.parser import parse_stream

    found: dict[str, Material] = {}
    for binding in parse_stream(io.StringIO(read_text(path))):
        if binding.error:
            raise ConfigError(
                f"{path}:{binding.original.line}: this is no assignment", hint="nothing was stored; mend the line"
            )
        if binding.key is not None and binding.value is not None:
            found[binding.key] = Material(binding.value.encode())
    if not found:
        raise ConfigError(f"{path} has no variables", hint="each line is NAME=value")
    return found
