"""orchestra-creds: the whole life of a Google Cloud credential. `__all__` is the public API; docs/library.md describes it.

Imports nothing until the library is asked for, so `--version` is free. Type checkers read `__init__.pyi`.
"""

__version__ = "0.1.0"

__all__ = [
    "AccessDeniedError",
    "AsyncCredentialManager",
    "Connector",
    "CredentialManager",
    "CredsError",
    "NoEnabledVersionError",
    "SecretNotFoundError",
    "ServiceAccountKey",
    "UnavailableError",
    "get_credential_manager",
    "set_credential_manager",
]


def __getattr__(name: str) -> object:
    """Load the library when one of its names is first used; the commands load none of it."""
    if name not in __all__:
        raise AttributeError(f"module 'orchestra_creds' has no attribute {name!r}")
    from orchestra_creds.library import aio, cache, manager

    return (vars(cache) | vars(manager) | vars(aio))[name]
