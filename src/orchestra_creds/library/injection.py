"""Decorators that give a function its secrets as keyword arguments, each time it is called."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar, cast

from orchestra_creds.core.material import Material
from orchestra_creds.errors import ConfigError
from orchestra_creds.library.decoding import decode_json, decode_text

T = TypeVar("T")


class SecretReader(Protocol):
    """The part of CredentialManager that reads a value, for callers in a thread and in an event loop."""

    def get_bytes(self, name: str) -> bytes:
        """Return the value of a secret."""
        ...

    async def get_material(self, name: str) -> Material:
        """Return the value of a secret without blocking the event loop."""
        ...


class SecretInjector:
    """A decorator that adds keyword arguments to a function each time it is called; a coroutine function stays one.

    `secrets` is argument -> name of a secret, `make` makes the argument from its name and the value.
    """

    def __init__(self, reader: SecretReader, secrets: Mapping[str, str], make: Callable[[str, Material], Any]) -> None:
        self._reader, self._secrets, self._make = reader, secrets, make

    def __call__(self, function: Callable[..., T]) -> Callable[..., T]:
        """Return the function with its arguments added, but for those that its caller gives."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def call_async(*arguments: Any, **options: Any) -> Any:
                missing = [name for name in self._secrets if name not in options]
                found = {name: await self._reader.get_material(self._secrets[name]) for name in missing}
                added = {name: self._make(name, material) for name, material in found.items()}
                return await function(*arguments, **options, **added)

            return cast("Callable[..., T]", call_async)

        @functools.wraps(function)
        def call(*arguments: Any, **options: Any) -> T:
            missing = [name for name in self._secrets if name not in options]
            added = {name: self._make(name, Material(self._reader.get_bytes(self._secrets[name]))) for name in missing}
            return function(*arguments, **options, **added)

        return call


def text_injector(reader: SecretReader, secrets: Mapping[str, str]) -> SecretInjector:
    """Return a decorator that adds texts: argument -> name of a secret."""
    return SecretInjector(reader, secrets, lambda argument, material: decode_text(secrets[argument], material))


def json_injector(reader: SecretReader, name: str, parts: Mapping[str, str]) -> SecretInjector:
    """Return a decorator that adds parts of a secret that is JSON: argument -> key."""

    def make(argument: str, material: Material) -> Any:
        found = decode_json(name, material)
        if not isinstance(found, dict) or parts[argument] not in found:
            raise ConfigError(f"the value of {name} has no key {parts[argument]!r}")
        return found[parts[argument]]

    return SecretInjector(reader, dict.fromkeys(parts, name), make)
