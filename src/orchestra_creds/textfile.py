"""A file that the operator named: missing is "not found", anything else that stops reading it is a wrong setting."""

from pathlib import Path

from orchestra_creds.core.text import os_error_text
from orchestra_creds.errors import ConfigError, NotFoundError


def read_bytes(path: Path, *, hint: str = "check the name") -> bytes:
    """The content.

    Raises:
        NotFoundError: there is no such file.
        ConfigError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"file not found: {path}", hint=hint) from None
    except OSError as error:
        reason = os_error_text(error)
        raise ConfigError(f"cannot read {path}: {reason}", hint=hint) from None


def read_text(path: Path, *, hint: str = "check the name", errors: str = "strict") -> str:
    """The content as UTF-8, with LF line breaks; `errors` as in `bytes.decode`.

    Raises:
        NotFoundError: there is no such file.
        ConfigError: it cannot be read, or is not UTF-8.
    """
    try:
        text = read_bytes(path, hint=hint).decode("utf-8", errors)
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text", hint=hint) from None
    return text.replace("\r\n", "\n")


def toml_error_line(text: str) -> int:
    """Return the 1-based line where the text stops being TOML, or its last line if tomlkit takes what tomllib refuses.

    tomllib gives the line only in words before Python 3.14; tomlkit has it in a field.
    """
    import tomlkit
    from tomlkit.exceptions import ParseError, TOMLKitError

    try:
        tomlkit.parse(text)
    except ParseError as error:
        return error.line
    except (TOMLKitError, RecursionError, ValueError):
        pass
    return text.count("\n") + 1
