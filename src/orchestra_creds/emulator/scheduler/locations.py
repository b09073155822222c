"""What jobs of Cloud Scheduler and of Cloud Run share: names in a location, pages, and the right to act as an account."""

import json
from collections.abc import Callable, Iterable

from orchestra_creds.emulator.protocol import rest
from orchestra_creds.emulator.protocol.errors import not_found_error
from orchestra_creds.emulator.protocol.service import Caller, PermissionNeed, RestCall
from orchestra_creds.emulator.secret_manager.locations import REGIONS
from orchestra_creds.emulator.store.store import Txn

_Handler = Callable[[RestCall, Caller, Txn], rest.Document]


def parent(call: RestCall, txn: Txn) -> str:
    """The location that the path names, with the project by id."""
    return f"{rest.stored_project(call, txn)}/locations/{call.path['location']}"


def require_region(call: RestCall) -> None:
    """Refuse a location that is no region of Google's."""
    if call.path["location"] not in REGIONS:
        raise not_found_error(f"Location {call.path['location'][:64]} is not found or access is unauthorized.")


def name(call: RestCall, txn: Txn) -> str:
    """The job that the path names."""
    return f"{parent(call, txn)}/jobs/{call.path['job']}"


def load(kind: str, call: RestCall, txn: Txn) -> rest.Document:
    """The stored job, or NOT_FOUND."""
    return rest.load(txn, kind, name(call, txn), what="Job")


def get_handler(kind: str) -> _Handler:
    """Return the handler that answers the job that the path names."""
    return lambda call, _caller, txn: load(kind, call, txn)


def list_handler(kind: str) -> _Handler:
    """Return the handler that answers one page of the location's jobs, by name."""

    def list_jobs(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
        stored = (json.loads(row.body) for row in txn.children(kind, parent(call, txn)))
        shown, more = rest.page(sorted(stored, key=lambda one: str(one["name"])), call)
        return {"jobs": shown, **more}

    return list_jobs


def write_needs(
    permission: str, resource: Callable[[RestCall], str], accounts: Callable[[object], Iterable[object]]
) -> Callable[[RestCall], tuple[PermissionNeed, ...]]:
    """What it takes to write a job: the permission, and to act as the accounts that its body names."""

    def needs(call: RestCall) -> tuple[PermissionNeed, ...]:
        named = [f"projects/-/serviceAccounts/{account}" for account in accounts(call.body)]
        return PermissionNeed(permission, resource(call)), *(
            PermissionNeed("iam.serviceAccounts.actAs", account) for account in named
        )

    return needs
