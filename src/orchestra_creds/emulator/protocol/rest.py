"""What the REST-only services share: bodies, field masks, times, pages, and long-running operations.

Their resources are JSON documents as Google answers them, so they are stored as they are.
"""

import json
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.errors import invalid_error, not_found_error
from orchestra_creds.emulator.protocol.service import Caller, RestCall, Route, Service
from orchestra_creds.emulator.store import project_numbers
from orchestra_creds.emulator.store.store import Txn

OPERATION = "operation"
OPERATIONS_KEPT = timedelta(days=1)
"""How long an operation can be asked for."""
_READY = "ready"
"""Field of a kept operation: the time at which it is seen to be done (Unix seconds)."""

Document = dict[str, Any]


def body(call: RestCall) -> Document:
    """The JSON object of the request; an absent body is the empty object."""
    if call.body is None:
        return {}
    if not isinstance(call.body, dict):
        raise invalid_error("Invalid JSON payload received. Expected an object.")
    return call.body


def expect(document: Document, shapes: Mapping[str, type], *, within: str = "") -> None:
    """INVALID_ARGUMENT when a field that is there is not of its type; `list` means of texts, `dict` of texts to texts."""
    for name, shape in shapes.items():
        value = document.get(name)
        if value is None:
            continue
        parts = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
        if not isinstance(value, shape) or not all(isinstance(part, str) for part in parts):
            raise invalid_error(f'Invalid value at "{within}{name}".', field=f"{within}{name}")


def load(txn: Txn, kind: str, name: str, *, what: str = "Resource") -> Document:
    """The document stored under a name, or NOT_FOUND."""
    stored = txn.get(kind, name)
    if stored is None:
        raise not_found_error(f"{what} {name} was not found.")
    document: Document = json.loads(stored)
    return document


def save(txn: Txn, kind: str, name: str, document: Document, *, parent: str = "") -> Document:
    """Store a document."""
    txn.put(kind, name, json.dumps(document).encode(), parent=parent)
    return document


def stamp(moment: datetime) -> str:
    """A time as JSON answers write it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def apply_mask(current: Document, wanted: Document, mask: str, mutable: frozenset[str]) -> Document:
    """The document with what the update mask names replaced; without a mask, the fields that are given.

    A path may lead into a field (`oidc.issuer_uri`), and its parts may be camelCase or snake_case.
    """
    paths = [_camel(path).split(".") for path in mask.split(",") if path] or [[n] for n in wanted if n in mutable]
    unknown = sorted({path[0] for path in paths} - mutable)
    if unknown:
        raise invalid_error(f"The field {unknown[0]} cannot be updated.", field="update_mask")
    changed: Document = json.loads(json.dumps(current))
    for path in paths:
        _replace(changed, wanted, path)
    return changed


def _replace(document: Document, wanted: Document, path: list[str]) -> None:
    """Put `wanted`'s value at a path into the document, or take it away where `wanted` has none."""
    for part in path[:-1]:
        inner, given = document.setdefault(part, {}), wanted.get(part, {})
        if not isinstance(inner, dict) or not isinstance(given, dict):
            raise invalid_error(f"The update mask leads into {part}, which holds no fields.", field="update_mask")
        document, wanted = inner, given
    document.pop(path[-1], None)
    if path[-1] in wanted:
        document[path[-1]] = wanted[path[-1]]


def page(found: list[Document], call: RestCall, *, default: int = 50) -> tuple[list[Document], Document]:
    """One page of a list, and the reply's part that tells how to go on."""
    token, size = call.query.get("pageToken", ""), call.query.get("pageSize", "")
    start = int(token) if token.isdecimal() else 0
    end = start + (int(size) if size.isdecimal() and int(size) else default)
    return found[start:end], {"nextPageToken": str(end)} if end < len(found) else {}


def project(call: RestCall) -> str:
    """Return `projects/PROJECT` as the caller wrote it: what permissions are looked for on."""
    return f"projects/{call.path['project']}"


def project_id(call: RestCall, txn: Txn) -> str:
    """Return the id of the project that the path names by its id or its number."""
    return project_numbers.id_of(txn, call.path["project"])


def stored_project(call: RestCall, txn: Txn) -> str:
    """Return `projects/ID`: the parent under which resources of the project are stored."""
    return f"projects/{project_id(call, txn)}"


def flag(call: RestCall, name: str) -> bool:
    """A query parameter that is true or false; clients write it in several ways."""
    return call.query.get(name, "").lower() in {"true", "1"}


def operation(
    txn: Txn,
    name: str,
    kind: str,
    response: Document | None,
    *,
    metadata: Document | None = None,
    sealed: Document | None = None,
) -> Document:
    """A long-running operation, done after the operation lag; it can be asked for by its name for a day.

    `sealed` are fields of the response that are secret, and kept like a payload.
    """
    done: Document = {
        "name": name or f"operations/{secrets.token_hex(12)}",
        "done": True,
        "response": {"@type": f"type.googleapis.com/{kind}", **(response or {})},
    }
    if metadata is not None:
        done["metadata"] = metadata
    if sealed is not None:
        txn.seal(done["name"], json.dumps(sealed).encode())
    txn.schedule(OPERATION, done["name"], txn.now + OPERATIONS_KEPT)
    ready = txn.now.timestamp() + faults.lag(txn, faults.Lag.OPERATION)
    return _show_operation(txn, save(txn, OPERATION, done["name"], {**done, _READY: ready}))


def get_operation(call: RestCall, _caller: Caller, txn: Txn) -> Document:
    """An operation by its name."""
    return _show_operation(txn, load(txn, OPERATION, call.path["name"], what="Operation"))


def _show_operation(txn: Txn, kept: Document) -> Document:
    if kept.get(_READY, 0) > txn.now.timestamp():
        return {name: value for name, value in kept.items() if name not in {_READY, "done", "response"}}
    sealed = txn.unseal(kept["name"])
    shown = {**kept, "response": {**kept["response"], **(json.loads(sealed) if sealed is not None else {})}}
    return {name: value for name, value in shown.items() if name != _READY}


def _forget(name: str, txn: Txn) -> None:
    txn.shred(name)
    txn.delete(OPERATION, name)


def _camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name.strip())


_POOL = "projects/*/locations/*/workloadIdentityPools/*"

SERVICE = Service(
    routes=tuple(
        Route(
            "GET",
            template,
            "google.longrunning.Operations/GetOperation",
            get_operation,
            resource=lambda c: c.path["name"],
        )
        for template in (
            "/v1/{name=operations/*}",
            "/v2/{name=operations/*}",
            "/v3/{name=operations/*}",
            f"/v1/{{name={_POOL}/operations/*}}",
            f"/v1/{{name={_POOL}/providers/*/operations/*}}",
        )
    ),
    timers={OPERATION: _forget},
)
