"""The manager for asyncio: reads run in threads of our own, so neither the event loop nor its executor waits for Google.

A value that is in memory is returned without any thread.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from orchestra_creds.core.google import key_secret
from orchestra_creds.errors import AuthError
from orchestra_creds.library.decoding import ServiceAccountKey, decode_json, decode_key, decode_text
from orchestra_creds.library.manager import CredentialManager
from orchestra_creds.library.refusals import Refused

T = TypeVar("T")


class AsyncCredentialManager:
    """A CredentialManager whose reading methods are coroutines; it takes the same arguments.

    Every reading method raises what the method of the same name of CredentialManager raises.
    `manager` is that CredentialManager: `version`, `subscribe`, `connector`, `inject` and the rest are used as they are.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self.manager = CredentialManager(*args, **options)

    def __repr__(self) -> str:
        return f"Async{self.manager!r}"

    async def get_bytes(self, name: str, version: int | str = "latest", *, max_age: float | None = None) -> bytes:
        """Return the value of a secret, in this environment."""
        return (await self.manager.get_material(name, version, max_age=max_age)).reveal()

    async def get_secret(self, name: str, version: int | str = "latest", *, max_age: float | None = None) -> str:
        """Return the value as text."""
        return decode_text(name, await self.manager.get_material(name, version, max_age=max_age))

    async def get_json_secret(self, name: str, version: int | str = "latest", *, max_age: float | None = None) -> Any:
        """Return the value, parsed as JSON."""
        return decode_json(name, await self.manager.get_material(name, version, max_age=max_age))

    async def get_service_account_key(self, name: str, version: int | str = "latest") -> ServiceAccountKey:
        """Return the key of the account called `name`, from the secret `NAME-key`."""
        return decode_key(key_secret(name), await self.manager.get_key_material(name, version))

    async def refresh(self, *names: str) -> None:
        """Read these secrets again, or all in memory; raise one error at the end."""
        await self.manager.refresh_async(*names)

    def invalidate(self, name: str) -> None:
        """Forget the value: the next call reads it."""
        self.manager.invalidate(name)

    async def on_auth_failure(
        self,
        name: str,
        attempt: Callable[[Any], Awaitable[T]],
        refused: Refused = AuthError,
        *,
        kind: str = "text",
        min_age: float | None = None,
    ) -> T:
        """Await `attempt` with the value; when it is refused, read the value anew and try once more with another one."""
        return await self.manager.on_auth_failure_async(name, attempt, refused, kind=kind, min_age=min_age)

    async def close(self) -> None:
        """End the connection."""
        await asyncio.to_thread(self.manager.close)
