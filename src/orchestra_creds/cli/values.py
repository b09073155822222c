"""Where the value of a secret comes from: exactly one source, and never the command line itself."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

import typer

from orchestra_creds.cli.value_command import output_of
from orchestra_creds.core.material import Material
from orchestra_creds.core.values import random_value, without_final_newline
from orchestra_creds.errors import CancelledError, ConfigError

DEFAULT_RANDOM_BYTES = 32


@dataclass(frozen=True, slots=True)
class ValueSource:
    """What the options said about the source; at most one of them may be set."""

    stdin: bool = False
    generate: bool = False
    random_bytes: int = DEFAULT_RANDOM_BYTES
    encoding: str = "urlsafe-base64"
    from_env: str = ""
    from_cmd: str = ""
    from_secret: str = ""
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """The material, whether a final line break was taken off, and what the operator should know of the source."""

    material: Material
    stripped: bool = False
    note: str = ""


def read_value(source: ValueSource, *, name: str, other: Callable[[str], Material]) -> Value:
    """The value from its one source; without an option, a hidden prompt on a terminal and standard input off it.

    `other` reads a version of another secret.

    Raises:
        ConfigError: several sources were named, or the one has nothing.
        CancelledError: the two hidden entries differ.
    """
    named = [
        option
        for option, given in (
            ("--stdin", source.stdin),
            ("--generate", source.generate),
            ("--from-env", source.from_env),
            ("--from-cmd", source.from_cmd),
            ("--from-secret", source.from_secret),
        )
        if given
    ]
    if len(named) > 1:
        raise ConfigError(f"{named[0]} and {named[1]} exclude each other", hint="name one source for the value")
    if source.generate:
        return Value(random_value(os.urandom(source.random_bytes), source.encoding))
    if source.from_env:
        return _from_environment(source)
    if source.from_cmd:
        return _value_from_bytes(output_of(source.from_cmd), raw=source.raw)
    if source.from_secret:
        return Value(other(source.from_secret))
    if sys.stdin is None or source.stdin or not sys.stdin.isatty():  # None: the caller closed it before we started
        return _value_from_bytes(b"" if sys.stdin is None else sys.stdin.buffer.read(), raw=source.raw)
    first = typer.prompt(f"value for {name} (hidden)", hide_input=True, err=True)
    if first != typer.prompt("the same again", hide_input=True, err=True):
        raise CancelledError("the two entries differ: nothing was stored")
    return Value(Material(first.encode()))


def _from_environment(source: ValueSource) -> Value:
    value = (
        os.environb.get(source.from_env.encode())
        if os.supports_bytes_environ
        else os.environ.get(source.from_env, "").encode()
    )
    if not value:
        raise ConfigError(
            f"the environment variable {source.from_env} is not set",
            hint="nothing was stored; export it, or name another source",
        )
    return Value(Material(value), note=f"remove the variable when this is done: unset {source.from_env}")


def _value_from_bytes(data: bytes, *, raw: bool) -> Value:
    if raw:
        return Value(Material(data))
    bare, stripped = without_final_newline(data)
    return Value(Material(bare), stripped=stripped)
