"""How secrets and versions are kept: their records, names, etags and events. Shared by secret_manager/secrets.py and secret_manager/versions.py."""

import re
import secrets
from collections.abc import Callable
from typing import Any

from google.cloud.secretmanager_v1 import types

from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.errors import invalid_error, not_found_error, precondition_error
from orchestra_creds.emulator.protocol.filters import compile_filter
from orchestra_creds.emulator.protocol.paging import page
from orchestra_creds.emulator.protocol.routes import raw
from orchestra_creds.emulator.store.store import AuditEntry, ResourceRow, Txn

SECRET = "secret"  # noqa: S105  # a kind of resource
VERSION = "version"
EVENTS = "service:secretmanager.googleapis.com"
"""Who stands as the caller of events in the audit log: what Pub/Sub topics would be told."""

Secret = raw(types.Secret)
SecretVersion = raw(types.SecretVersion)

PARENT_NAME = re.compile(r"projects/[^/]+(?:/locations/(?P<region>[^/]+))?")
SECRET_NAME = re.compile(rf"(?P<parent>{PARENT_NAME.pattern})/secrets/[^/]+")
VERSION_NAME = re.compile(rf"(?P<secret>{SECRET_NAME.pattern})/versions/(?P<version>[^/]+)")


def load_secret(txn: Txn, name: str) -> Any:
    """The secret called `name`; NOT_FOUND, or INVALID_ARGUMENT when that is no name of a secret."""
    if not SECRET_NAME.fullmatch(name):
        raise invalid_error(f"Invalid resource field value in the request: [{name[:512]}].", field="name")
    body = txn.get(SECRET, name)
    if body is None:
        raise not_found_error(f"Secret [{name}] not found.")
    return Secret.FromString(body)


def new_etag() -> str:
    """An etag as the service writes it, quotes included."""
    return f'"{secrets.token_hex(7)}"'


def check_etag(given: str, stored: str) -> None:
    """Refuse a stale etag; an empty one is not checked."""
    if given and given != stored:
        raise precondition_error("The etag provided does not match the current etag of the resource.", kind="ETAG")


def number_counter(secret: str) -> str:
    """The counter that numbers the versions of a secret."""
    return f"versions:{secret}"


def is_settled(txn: Txn, row: ResourceRow) -> bool:
    """Whether lists show the row already."""
    return row.created <= txn.now.timestamp() - faults.lag(txn, faults.Lag.LIST)


def list_page(
    txn: Txn, kind: str, parent: str, request: Any, parse: Callable[[ResourceRow], Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return one page of what lists show and the request's filter accepts, newest first, and the reply's other fields.

    `total_size` is 0 when a filter is given.
    """
    matches = compile_filter(request.filter)
    rows, token = page(
        txn,
        kind,
        parent,
        size=request.page_size,
        token=request.page_token,
        text=request.filter,
        keep=lambda row: is_settled(txn, row) and matches(parse(row)),
    )
    total = 0 if request.filter else txn.count(kind, parent)
    return [parse(row) for row in rows], {"next_page_token": token, "total_size": total}


def publish(txn: Txn, secret: Any, event: str, resource: str) -> None:
    """What Pub/Sub topics would be told stands in the audit log."""
    if secret.topics:
        txn.record(AuditEntry(txn.now, f"event/{event}", resource, EVENTS, "OK", mutating=False))
