"""orchestra-creds: the whole life of a Google Cloud credential. Imports nothing until the library is asked for, so `--version` is free."""

__version__ = "0.1.0"

_LIBRARY = ("CredentialManager", "ServiceAccountKey", "get_credential_manager")


def __getattr__(name: str) -> object:
    """`from orchestra_creds import CredentialManager` loads the library; the commands load none of it."""
    if name in _LIBRARY:
        from orchestra_creds.library import manager

        return getattr(manager, name)
    if name == "AsyncCredentialManager":
        from orchestra_creds.library.aio import AsyncCredentialManager

        return AsyncCredentialManager
    raise AttributeError(f"module 'orchestra_creds' has no attribute {name!r}")
