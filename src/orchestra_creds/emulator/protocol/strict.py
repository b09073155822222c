"""Strict mode: the embedded cloud refuses and delays what Google refuses and delays.

The mode is one setting of the state file, so the daemon, the verbs that run a cloud of their own, and tests share it.
"""

from orchestra_creds.emulator.store.store import STRICT, Txn


def is_strict(txn: Txn) -> bool:
    """Return whether the state is in strict mode."""
    return bool(txn.setting(STRICT, False))


def set_strict(txn: Txn, *, on: bool) -> None:
    """Switch strict mode on or off; what was stored before stays as it is."""
    txn.set_setting(STRICT, on or None)
