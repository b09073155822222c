"""A file that the operator named: missing is "not found", anything else that stops reading it is a wrong setting."""

from pathlib import Path

from orchestra_creds.core.text import os_error_text
from orchestra_creds.errors import ConfigError, NotFoundError

_EXPLAINED = 128 << 10
"""Characters of TOML that are parsed a second time to tell where it is wrong."""


def read_bytes(path: Path, *, hint: str = "check the name", most: int = 0) -> bytes:
    """The content; with `most`, of a file of at most so many bytes.

    Raises:
        NotFoundError: there is no such file.
        ConfigError: it cannot be read, or is larger.
    """
    try:
        if not most:
            return path.read_bytes()
        with path.open("rb") as stream:
            content = stream.read(most + 1)
    except FileNotFoundError:
        raise NotFoundError(f"file not found: {path}", hint=hint) from None
    except OSError as error:
        reason = os_error_text(error)
        raise ConfigError(f"cannot read {path}: {reason}", hint=hint) from None
    if len(content) > most:
        raise ConfigError(f"{path} is larger than {most:,} bytes", hint="name it with its option to read all of it")
    return content


def read_text(path: Path, *, hint: str = "check the name", errors: str = "strict", most: int = 0) -> str:
    """The content as UTF-8, with LF line breaks; `errors` as in `bytes.decode`, `most` as in `read_bytes`.

    Raises:
        NotFoundError: there is no such file.
        ConfigError: it cannot be read, is larger, or is not UTF-8.
    """
    try:
        text = read_bytes(path, hint=hint, most=most).decode("utf-8", errors)
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text", hint=hint) from None
    return text.replace("\r\n", "\n")


def toml_error_line(text: str) -> int:
    """Return the 1-based line where the text stops being TOML, or its last line if the text is long or tomlkit takes it.

    tomllib gives the line only in words before Python 3.14; tomlkit has it in a field, but takes seconds for 200 KiB
    and a minute for a megabyte.
    """
    if len(text) > _EXPLAINED:
        return text.count("\n") + 1
    import tomlkit
    from tomlkit.exceptions import ParseError, TOMLKitError

    try:
        tomlkit.parse(text)
    except ParseError as error:
        return error.line
    except (TOMLKitError, RecursionError, ValueError):
        pass
    return text.count("\n") + 1
