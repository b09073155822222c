"""The same for asyncio: reads run in threads of our own, so neither the event loop nor its executor waits for Google."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from orchestra_creds.errors import AuthError
from orchestra_creds.library.manager import CredentialManager, ServiceAccountKey, decode_json, decode_key, decode_text

T = TypeVar("T")


class AsyncCredentialManager:
    """See CredentialManager; every method that may read is awaited."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.manager = CredentialManager(*args, **options)

    def __repr__(self) -> str:
        return f"Async{self.manager!r}"

    async def get_bytes(self, name: str) -> bytes:
        """See CredentialManager."""
        return (await self.manager.get_material(name)).reveal()

    async def get_secret(self, name: str) -> str:
        """See CredentialManager."""
        return decode_text(name, await self.manager.get_material(name))

    async def get_json_secret(self, name: str) -> Any:
        """See CredentialManager."""
        return decode_json(name, await self.manager.get_material(name))

    async def get_service_account_key(self, name: str) -> ServiceAccountKey:
        """See CredentialManager."""
        return decode_key(f"{name}-key", await self.manager.get_material(f"{name}-key"))

    async def refresh(self, *names: str) -> None:
        """See CredentialManager."""
        await self.manager.refresh_async(*names)

    def invalidate(self, name: str) -> None:
        """See CredentialManager."""
        self.manager.invalidate(name)

    async def on_auth_failure(
        self, name: str, attempt: Callable[[str], Awaitable[T]], refused: type[Exception] = AuthError
    ) -> T:
        """See CredentialManager; `attempt` is awaited."""
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
        """See CredentialManager."""
        await asyncio.to_thread(self.manager.close)
