"""The manager for asyncio: reads run in threads of our own, so neither the event loop nor its executor waits for Google."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from orchestra_creds.core.google import key_secret
from orchestra_creds.errors import AuthError
from orchestra_creds.library.manager import CredentialManager, ServiceAccountKey, decode_json, decode_key, decode_text

T = TypeVar("T")


class AsyncCredentialManager:
    """A CredentialManager whose reading methods are coroutines; it takes the same arguments.

    Every reading method raises what the method of the same name of CredentialManager raises.
    `manager` is that CredentialManager: its `version` and `subscribe` are used as they are.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self.manager = CredentialManager(*args, **options)

    def __repr__(self) -> str:
        return f"Async{self.manager!r}"

    async def get_bytes(self, name: str) -> bytes:
        """Return the value of a secret, in this environment."""
        return (await self.manager.get_material(name)).reveal()

    async def get_secret(self, name: str) -> str:
        """Return the value as text."""
        return decode_text(name, await self.manager.get_material(name))

    async def get_json_secret(self, name: str) -> Any:
        """Return the value, parsed as JSON."""
        return decode_json(name, await self.manager.get_material(name))

    async def get_service_account_key(self, name: str) -> ServiceAccountKey:
        """Return the key of the account called `name`, from the secret `NAME-key`."""
        return decode_key(key_secret(name), await self.manager.get_material(key_secret(name)))

    async def refresh(self, *names: str) -> None:
        """Read these secrets again, or all that were read; raise one error at the end."""
        await self.manager.refresh_async(*names)

    def invalidate(self, name: str) -> None:
        """Forget the value: the next call reads it."""
        self.manager.invalidate(name)

    async def on_auth_failure(
        self, name: str, attempt: Callable[[str], Awaitable[T]], refused: type[Exception] = AuthError
    ) -> T:
        """Await `attempt` with the value; when it raises `refused`, read the value again and try once more."""
        value = await self.get_secret(name)
        try:
            return await attempt(value)
        except refused:
            await self.refresh(name)
            newer = await self.get_secret(name)
            if newer == value:
                raise
            return await attempt(newer)

    async def close(self) -> None:
        """End the connection."""
        await asyncio.to_thread(self.manager.close)
