"""What the key verbs do beyond one call of the store: Google's own keys are left alone, disabling comes before deleting.

Works on ports only. Guarantees: a SYSTEM key is never changed; a key is deleted only when it is disabled; a key that Google disabled
because it leaked is not enabled again.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from orchestra_creds.core import values
from orchestra_creds.core.cloud_types import Key, KeyOrigin, NewKey
from orchestra_creds.core.material import Material
from orchestra_creds.core.ports import KeyStore
from orchestra_creds.errors import (
    AuthError,
    ConfigError,
    IncompleteError,
    PreconditionError,
    UnavailableError,
)
from orchestra_creds.parallel import call_both
from orchestra_creds.textfile import read_bytes

MAX_KEYS = 10
"""User-managed keys that an account may have (cloud.google.com/iam/quotas)."""


def list_with_use(store: KeyStore, account: str) -> tuple[tuple[Key, ...], str]:
    """All keys with their last use, and why that is unknown (empty when it is known)."""

    def read_uses() -> tuple[Mapping[str, datetime], str]:
        try:
            return store.last_uses(account), ""
        except AuthError as error:
            return {}, str(error)

    keys, (uses, unknown) = call_both(lambda: tuple(store.list_keys(account)), read_uses)
    return tuple(replace(key, last_used=uses.get(key.id)) for key in keys), unknown


def _with_room(store: KeyStore, account: str) -> tuple[Key, ...]:
    """The keys of an account that has room for one more."""
    keys = tuple(store.list_keys(account))
    count = sum(key.origin is KeyOrigin.USER for key in keys)
    if count >= MAX_KEYS:
        raise PreconditionError(
            f"{account} has {count} keys, and {MAX_KEYS} is the limit",
            hint=f"delete one that is disabled: orchestra-creds key list {account}",
        )
    return keys


def create(store: KeyStore, account: str) -> NewKey:
    """A new key, if the account has room for it.

    Raises:
        PreconditionError: it has ten.
        IncompleteError: the reply was lost, and a key appeared whose private half nobody has; or somebody else's: it is only named.
    """
    before = {key.id for key in _with_room(store, account)}
    try:
        return store.create_key(account)
    except UnavailableError as error:
        orphans = [key.id for key in store.list_keys(account) if key.id not in before and key.origin is KeyOrigin.USER]
        if not orphans:
            raise
        raise IncompleteError(
            f"{error}; but {', '.join(orphans)} appeared meanwhile, and nobody may have its private half",
            hint=f"unless somebody else made it just now: orchestra-creds key disable {account} {orphans[0]}",
        ) from error


def upload(store: KeyStore, account: str, certificate: bytes) -> Key:
    """Make the public key of a certificate valid, if the account has room for it.

    Raises:
        PreconditionError: it has ten.
    """
    _with_room(store, account)
    return store.upload_key(account, certificate)


def disable(store: KeyStore, account: str, key_id: str) -> Key:
    """Disable a user-managed key; one that is disabled already stays so."""
    key = _user_key(store, account, key_id)
    if not key.disabled:
        store.disable_key(account, key_id)
        key = store.get_key(account, key_id)
    return key


def enable(store: KeyStore, account: str, key_id: str) -> Key:
    """Enable a user-managed key.

    Raises:
        PreconditionError: Google disabled it because it leaked.
    """
    key = _user_key(store, account, key_id)
    if key.disabled_for_leak:
        raise PreconditionError(
            f"key {key_id} was disabled by Google because it leaked", hint="make a new key, and delete this one"
        )
    if key.disabled:
        store.enable_key(account, key_id)
        key = store.get_key(account, key_id)
    return key


def check_deletable(store: KeyStore, account: str, key_id: str) -> Key:
    """The key that may be deleted.

    Raises:
        PreconditionError: it is enabled: disabling, which can be undone, comes first.
    """
    key = _user_key(store, account, key_id)
    if not key.disabled:
        raise PreconditionError(
            f"key {key_id} is enabled, and deleting cannot be undone",
            hint=f"disable it first and watch its users: orchestra-creds key disable {account} {key_id}",
        )
    return key


def _user_key(store: KeyStore, account: str, key_id: str) -> Key:
    key = store.get_key(account, key_id)
    if key.origin is KeyOrigin.SYSTEM:
        raise PreconditionError(f"key {key_id} is Google's own", hint="Google rotates it; leave it alone")
    return key


@contextmanager
def delete_on_failure(store: KeyStore, key: Key) -> Iterator[None]:
    """Keep a new key's private half in the block; when that fails for certain, the key is deleted: nobody could ever use it.

    Raises:
        IncompleteError: whether it was kept is unknown (a lost reply), so the key is left as it is, and named.
    """
    try:
        yield
    except UnavailableError as error:
        raise IncompleteError(
            f"key {key.id} was made, but whether it was stored is unknown: {error}",
            hint=f"look for it in the newest version; if it is not there: orchestra-creds key disable {key.account} {key.id}",
        ) from error
    except BaseException:
        store.delete_key(key.account, key.id)
        raise


def read_certificate(path: Path) -> bytes:
    """A PEM certificate from a file.

    Raises:
        NotFoundError: there is no such file.
        ConfigError: it is no certificate, or it holds a private key too.
    """
    pem = read_bytes(path)
    if b"PRIVATE KEY-----" in pem:
        raise ConfigError(
            f"{path} holds a private key", hint="only the certificate is uploaded; give a file without the key"
        )
    try:
        values.check(Material(pem), name=str(path), format_="pem")
    except ConfigError:
        raise ConfigError(
            f"{path} is not a PEM certificate", hint="X.509 v3 with an RSA key: openssl req -x509 -newkey rsa:2048 ..."
        ) from None
    return pem
