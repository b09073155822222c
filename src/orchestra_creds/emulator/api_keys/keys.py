"""API keys (v2): made, restricted, read back, found by their string, deleted and brought back within 30 days.

The key string is sealed like a payload and answered by the operation of the creation and `getKeyString` only; `lookupKey` finds a
key by a digest of its string.
"""

import hashlib
import re
import secrets
import string
import uuid
from datetime import timedelta

from orchestra_creds.emulator.access import access
from orchestra_creds.emulator.protocol import rest
from orchestra_creds.emulator.protocol.errors import (
    aborted_error,
    already_exists_error,
    invalid_error,
    not_found_error,
    precondition_error,
)
from orchestra_creds.emulator.protocol.service import Caller, PermissionNeed, RestCall, Route, Service
from orchestra_creds.emulator.store import project_numbers
from orchestra_creds.emulator.store.store import Txn

API_KEY = "apikey"
UNDELETE_WITHIN = timedelta(days=30)
_BY_STRING = "apikey_string"
_TYPE = "google.api.apikeys.v2.Key"
_SERVICE = "google.api.apikeys.v2.ApiKeys"
_MUTABLE = frozenset({"displayName", "restrictions", "annotations"})
_KEY_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_ALPHABET = string.ascii_letters + string.digits + "-_"
_RESTRICTIONS = frozenset(
    {"browserKeyRestrictions", "serverKeyRestrictions", "androidKeyRestrictions", "iosKeyRestrictions"}
)


def _name(call: RestCall, txn: Txn) -> str:
    return f"{rest.stored_project(call, txn)}/locations/global/keys/{call.path['key']}"


def _create(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    project = rest.project_id(call, txn)
    uid = str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
    key_id = call.query.get("keyId", "") or uid
    if key_id != uid and not _KEY_ID.fullmatch(key_id):
        raise invalid_error(
            "A key id has lower-case letters, digits and hyphens, and starts with a letter.", field="key_id"
        )
    name = f"projects/{project}/locations/global/keys/{key_id}"
    if txn.get(API_KEY, name) is not None:
        raise already_exists_error(f"The key {name} already exists.")
    wanted = rest.body(call)
    _check(wanted)
    made = rest.stamp(txn.now)
    document = {
        "name": name,
        "uid": uid,
        "createTime": made,
        "updateTime": made,
        **{field: wanted[field] for field in sorted(_MUTABLE) if field in wanted},
    }
    text = "AIza" + "".join(secrets.choice(_ALPHABET) for _ in range(35))
    txn.seal(name, text.encode())
    txn.put(_BY_STRING, _digest(text), name.encode())
    stored = _save(txn, document, parent=f"projects/{project}")
    return _operation(txn, stored, key_string=text)


def _get(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    return _reply_document(txn, rest.load(txn, API_KEY, _name(call, txn), what="Key"))


def _list(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    rows = txn.children(API_KEY, rest.stored_project(call, txn))
    found = [rest.load(txn, API_KEY, row.name) for row in rows]
    kept = [_reply_document(txn, key) for key in found if "deleteTime" not in key or rest.flag(call, "showDeleted")]
    shown, more = rest.page(kept, call)
    return {"keys": shown, **more}


def _key_string(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    name = _name(call, txn)
    rest.load(txn, API_KEY, name, what="Key")
    text = txn.unseal(name)
    if text is None:
        raise not_found_error(f"Key {name} was not found.")
    return {"keyString": text.decode()}


def _update(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    current = _live(call, txn)
    wanted = rest.body(call)
    _check_etag(wanted.get("etag", ""), current)
    changed = rest.apply_mask(current, wanted, call.query.get("updateMask", ""), _MUTABLE)
    _check(changed)
    return _operation(txn, _save(txn, {**changed, "updateTime": rest.stamp(txn.now)}))


def _delete(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    current = _live(call, txn)
    _check_etag(call.query.get("etag", ""), current)
    txn.schedule(API_KEY, current["name"], txn.now + UNDELETE_WITHIN)
    return _operation(txn, _save(txn, {**current, "deleteTime": rest.stamp(txn.now)}))


def _undelete(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    current = rest.load(txn, API_KEY, _name(call, txn), what="Key")
    if "deleteTime" not in current:
        raise precondition_error(f"The key {current['name']} is not deleted.")
    del current["deleteTime"]
    txn.unschedule(API_KEY, current["name"])
    return _operation(txn, _save(txn, current))


def _look_up(call: RestCall, caller: Caller, txn: Txn) -> rest.Document:
    name = txn.get(_BY_STRING, _digest(call.query.get("keyString", "")))
    if name is None:
        raise not_found_error("Requested entity was not found.")
    access.authorize(caller, [PermissionNeed("apikeys.keys.lookup", name.decode())], txn)
    shown = _reply_document(txn, rest.load(txn, API_KEY, name.decode()))["name"]
    return {"parent": shown.partition("/keys/")[0], "name": shown}


def _live(call: RestCall, txn: Txn) -> rest.Document:
    current = rest.load(txn, API_KEY, _name(call, txn), what="Key")
    if "deleteTime" in current:
        raise precondition_error(f"The key {current['name']} is deleted.")
    return current


def _save(txn: Txn, document: rest.Document, *, parent: str = "") -> rest.Document:
    stored = {**document, "etag": f'W/"{secrets.token_urlsafe(12)}"'}
    return rest.save(txn, API_KEY, stored["name"], stored, parent=parent)


def _operation(txn: Txn, document: rest.Document, *, key_string: str = "") -> rest.Document:
    """The operation; that of a creation holds the key string (cloud.google.com/api-keys/docs/create-manage-api-keys)."""
    sealed = {"keyString": key_string} if key_string else None
    return rest.operation(txn, "", _TYPE, _reply_document(txn, document), sealed=sealed)


def _reply_document(txn: Txn, document: rest.Document) -> rest.Document:
    kind, project, *rest_of_name = document["name"].split("/")
    return {**document, "name": "/".join([kind, project_numbers.number_of(txn, project), *rest_of_name])}


def _check(document: rest.Document) -> None:
    rest.expect(document, {"displayName": str, "annotations": dict})
    restrictions = document.get("restrictions", {})
    if not isinstance(restrictions, dict) or len(_RESTRICTIONS.intersection(restrictions)) > 1:
        raise invalid_error(
            "A key is restricted to browsers, servers, Android or iOS, not to several.", field="restrictions"
        )


def _check_etag(given: str, current: rest.Document) -> None:
    if given and given != current["etag"]:
        raise aborted_error("The key was changed in between. Please read it again and retry.")


def _purge_key(name: str, txn: Txn) -> None:
    text = txn.unseal(name)
    if text is not None:
        txn.delete(_BY_STRING, _digest(text.decode()))
    txn.shred(name)
    txn.delete(API_KEY, name)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


_ALL = "/v2/projects/{project}/locations/global/keys"
_ONE = f"{_ALL}/{{key}}"
_KEYS = "apikeys.keys"

SERVICE = Service(
    routes=(
        Route("GET", "/v2/keys:lookupKey", f"{_SERVICE}/LookupKey", _look_up),
        Route("POST", _ALL, f"{_SERVICE}/CreateKey", _create, f"{_KEYS}.create", rest.project, mutates=True),
        Route("GET", _ALL, f"{_SERVICE}/ListKeys", _list, f"{_KEYS}.list", rest.project),
        Route("GET", f"{_ONE}/keyString", f"{_SERVICE}/GetKeyString", _key_string, f"{_KEYS}.getKeyString", rest.project),
        Route("GET", _ONE, f"{_SERVICE}/GetKey", _get, f"{_KEYS}.get", rest.project),
        Route("PATCH", _ONE, f"{_SERVICE}/UpdateKey", _update, f"{_KEYS}.update", rest.project, mutates=True),
        Route("DELETE", _ONE, f"{_SERVICE}/DeleteKey", _delete, f"{_KEYS}.delete", rest.project, mutates=True),
        Route("POST", f"{_ONE}:undelete", f"{_SERVICE}/UndeleteKey", _undelete, f"{_KEYS}.undelete", rest.project,
              mutates=True),
    ),
    timers={API_KEY: _purge_key},
)  # fmt: skip
