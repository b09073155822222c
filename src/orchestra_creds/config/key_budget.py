"""Whether the keys that the declared policies keep at once fit into their account, which has few places."""

from collections import defaultdict
from collections.abc import Iterable

from orchestra_creds.core.credential import Credential, CredentialKind
from orchestra_creds.core.durations import duration_text
from orchestra_creds.core.google import KEYS_OF_ACCOUNT
from orchestra_creds.errors import ConfigError

_SPARE = 2
"""Places that no policy may count on: one for the successor of a key that leaked, one for a predecessor that is retired late."""


def check_key_budget(credentials: Iterable[Credential]) -> None:
    """Refuse policies with which an account would run out of places for keys: its rotation would stop for want of room.

    Raises:
        ConfigError: with the account, what its credentials need, and what there is.
    """
    by_account = defaultdict(list)
    for one in credentials:
        if one.kind is CredentialKind.SERVICE_ACCOUNT_KEY:
            by_account[one.account].append(one)
    for account, sharing in by_account.items():
        needed = 1 + sum(_keys_between_rotations(one) for one in sharing)  # one of them is rotating
        if needed > KEYS_OF_ACCOUNT - _SPARE:
            names = ", ".join(f"{one.name} ({_keys_between_rotations(one)})" for one in sharing)
            raise ConfigError(
                f"{account} would need {needed} keys at once, and {KEYS_OF_ACCOUNT - _SPARE} is the most that is safe: {names}",
                hint=f"rotate less often, or shorten grace and soak: now {_lengths(sharing[0])}; or use more accounts",
            )


def _keys_between_rotations(credential: Credential) -> int:
    """The current one, and the predecessors in their grace or soak, which count until they are deleted."""
    policy = credential.policy
    return 1 - (-(policy.grace + policy.soak) // policy.every)


def _lengths(credential: Credential) -> str:
    policy = credential.policy
    lengths = {"every": policy.every, "grace": policy.grace, "soak": policy.soak}
    return ", ".join(f"{name} {duration_text(length)}" for name, length in lengths.items())
