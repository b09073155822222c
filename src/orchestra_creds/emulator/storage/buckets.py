"""Storage buckets (JSON API v1): made, listed, changed under their metageneration, with their IAM policy; objects are not served.

Errors have this API's own shape where clients look at it: 412 `conditionNotMet`. A patch merges, null takes away. Public access
prevention is a matter of the policy too, so changing it needs `storage.buckets.setIamPolicy`, as at Google.
"""

import re
from collections.abc import Mapping
from typing import Any

from google.iam.v1 import iam_policy_pb2
from google.iam.v1.policy_pb2 import Policy
from google.protobuf import json_format

from orchestra_creds.emulator.access import policies
from orchestra_creds.emulator.access.bucket_names import INDEX, stored_bucket_name
from orchestra_creds.emulator.protocol import rest, strict
from orchestra_creds.emulator.protocol.errors import (
    Code,
    EmuError,
    already_exists_error,
    invalid_error,
    not_found_error,
)
from orchestra_creds.emulator.protocol.json_messages import fill
from orchestra_creds.emulator.protocol.service import Caller, PermissionNeed, RestCall, RestReply, Route, Service
from orchestra_creds.emulator.secret_manager.locations import REGIONS
from orchestra_creds.emulator.store import project_numbers
from orchestra_creds.emulator.store.store import Txn

KIND = "bucket"
_SERVICE = "google.storage.Buckets"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_MUTABLE = frozenset({"labels", "versioning", "iamConfiguration", "lifecycle", "storageClass", "softDeletePolicy"})
_LOCATIONS = {
    "region": frozenset(region.upper() for region in REGIONS),
    "multi-region": frozenset({"ASIA", "EU", "US"}),
    "dual-region": frozenset({"ASIA1", "EUR4", "EUR5", "EUR7", "EUR8", "NAM4"}),
}
"""Types of location and what is of them (cloud.google.com/storage/docs/locations)."""
_SOFT_DELETE_SECONDS = "604800"
"""Default of softDeletePolicy (cloud.google.com/storage/docs/soft-delete)."""
_PREVENTION = frozenset({"enforced", "inherited"})
_PAGE = 1000


def _bucket(call: RestCall) -> str:
    return f"projects/_/buckets/{call.path['bucket']}"


def _load(call: RestCall, txn: Txn) -> rest.Document:
    name = stored_bucket_name(txn, _bucket(call))
    if txn.get(KIND, name) is None:
        raise not_found_error("The specified bucket does not exist.")
    return rest.load(txn, KIND, name)


def _project(call: RestCall) -> str:
    return f"projects/{call.query.get('project', '')}"


def _create(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    wanted, project = rest.body(call), project_numbers.id_of(txn, call.query.get("project", ""))
    name = wanted.get("name")
    if not project:
        raise invalid_error("Required parameter: project")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or "google" in name or name.startswith("goog"):
        raise invalid_error(f"Invalid bucket name: '{str(name)[:80]}'")
    taken = txn.get(INDEX, name)
    if taken is not None:
        own = taken.decode().startswith(f"projects/{project}/")
        raise already_exists_error(
            "Your previous request to create the named bucket succeeded and you already own it."
            if own
            else "The requested bucket name is not available. Please select a different name and try again."
        )
    rest.expect(wanted, {"location": str, "storageClass": str})
    location = str(wanted.get("location") or "US").upper()
    kind = next((kind for kind, found in _LOCATIONS.items() if location in found), "")
    if not kind:
        raise invalid_error(f"The specified location constraint is not valid: {location[:64]}.", field="location")
    if "." in name and strict.is_strict(txn):
        raise EmuError(Code.PERMISSION_DENIED, "The bucket you tried to create requires domain ownership verification.")
    made = rest.stamp(txn.now)
    document = {
        "kind": "storage#bucket",
        "id": name,
        "name": name,
        "projectNumber": project_numbers.number_of(txn, project),
        "location": location,
        "locationType": kind,
        "softDeletePolicy": {"retentionDurationSeconds": _SOFT_DELETE_SECONDS, "effectiveTime": made},
        "storageClass": wanted.get("storageClass") or "STANDARD",
        "timeCreated": made,
        **{field: wanted[field] for field in sorted(_MUTABLE) if field in wanted and field != "storageClass"},
    }
    stored = f"projects/{project}/buckets/{name}"
    txn.put(INDEX, name, stored.encode())
    return _save(txn, stored, document, 1)


def _save(txn: Txn, stored: str, document: rest.Document, generation: int) -> rest.Document:
    rest.expect(document, {"labels": dict, "storageClass": str})
    if not all(_LABEL.fullmatch(key) for key in document.get("labels", {})):
        raise invalid_error("Invalid label key.", field="labels")
    access = {"publicAccessPrevention": "inherited", **_section(document, "iamConfiguration")}
    if access["publicAccessPrevention"] not in _PREVENTION:
        raise invalid_error(
            "Invalid value for public access prevention.", field="iamConfiguration.publicAccessPrevention"
        )
    uniform = _section(access, "uniformBucketLevelAccess")
    access["uniformBucketLevelAccess"] = {"enabled": False, **uniform}
    versioning = {"enabled": False, **_section(document, "versioning")}
    for owner in (versioning, access["uniformBucketLevelAccess"]):
        rest.expect(owner, {"enabled": bool})
    whole = {
        **document,
        "iamConfiguration": access,
        "versioning": versioning,
        "metageneration": str(generation),
        "etag": f"CA{generation}=",
        "updated": rest.stamp(txn.now),
    }
    return rest.save(txn, KIND, stored, whole, parent=stored.rpartition("/buckets/")[0])


def _section(document: Mapping[str, Any], name: str) -> rest.Document:
    found = {} if document.get(name) is None else document[name]
    if not isinstance(found, dict):
        raise invalid_error(f'Invalid value at "{name}".', field=name)
    return found


def _get(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    return _load(call, txn)


def _list(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    rows = txn.children(KIND, f"projects/{project_numbers.id_of(txn, call.query.get('project', ''))}")
    found = sorted((rest.load(txn, KIND, row.name) for row in rows), key=lambda bucket: str(bucket["name"]))
    kept = [bucket for bucket in found if bucket["name"].startswith(call.query.get("prefix", ""))]
    size = call.query.get("maxResults", "")
    shown, more = rest.page(kept, call, default=int(size) if size.isdecimal() and int(size) else _PAGE)
    return {"kind": "storage#buckets", "items": shown, **more}


def _patch(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document | RestReply:
    current, wanted = _load(call, txn), rest.body(call)
    if _is_stale(call, current):
        return _NOT_MET
    fixed = sorted(set(wanted) & {"name", "location", "projectNumber"})
    if fixed and any(wanted[field] != current[field] for field in fixed):
        raise invalid_error(f"The {fixed[0]} of a bucket cannot be changed.", field=fixed[0])
    changed = _merge_patch(current, {name: value for name, value in wanted.items() if name in _MUTABLE})
    return _save(txn, stored_bucket_name(txn, _bucket(call)), changed, int(current["metageneration"]) + 1)


def _merge_patch(document: rest.Document, patch: Mapping[str, Any]) -> rest.Document:
    merged = dict(document)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict) and isinstance(merged.get(name), dict):
            merged[name] = _merge_patch(merged[name], value)
        else:
            merged[name] = _merge_patch({}, value) if isinstance(value, dict) else value
    return merged


def _delete(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document | RestReply:
    current = _load(call, txn)
    if _is_stale(call, current):
        return _NOT_MET
    name = stored_bucket_name(txn, _bucket(call))
    txn.delete(KIND, name)
    txn.delete(INDEX, current["name"])
    txn.delete(policies.KIND, name)
    return {}


def _is_stale(call: RestCall, current: rest.Document) -> bool:
    """Whether a precondition of the query is not met."""
    match, other = call.query.get("ifMetagenerationMatch", ""), call.query.get("ifMetagenerationNotMatch", "")
    now = current["metageneration"]
    return (bool(match) and match != now) or (bool(other) and other == now)


_NOT_MET = RestReply(
    412,
    {
        "error": {
            "code": 412,
            "message": "At least one of the pre-conditions you specified did not hold.",
            "errors": [
                {
                    "message": "At least one of the pre-conditions you specified did not hold.",
                    "domain": "global",
                    "reason": "conditionNotMet",
                    "locationType": "header",
                    "location": "If-Match",
                }
            ],
        }
    },
    code=Code.FAILED_PRECONDITION,
)


def _get_policy(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    _load(call, txn)
    version = call.query.get("optionsRequestedPolicyVersion", "0")
    if not version.isdecimal():
        raise invalid_error("Invalid value for the policy version.", field="optionsRequestedPolicyVersion")
    return _policy_document(call, policies.show_policy(txn, stored_bucket_name(txn, _bucket(call)), int(version)))


def _set_policy(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document | RestReply:
    _load(call, txn)
    name = stored_bucket_name(txn, _bucket(call))
    wanted = Policy()
    known = {"version", "etag", "bindings"}
    fill(wanted, {field: value for field, value in rest.body(call).items() if field in known})
    if wanted.etag and wanted.etag != policies.read_policy(txn, name).etag:
        return _NOT_MET
    return _policy_document(call, policies.write_policy(txn, name, wanted))


def _test(call: RestCall, caller: Caller, txn: Txn) -> rest.Document:
    name = stored_bucket_name(txn, _bucket(call))
    asked = [one for one in call.query.get("permissions", "").split(",") if one]
    request = iam_policy_pb2.TestIamPermissionsRequest(resource=name, permissions=asked)
    held = list(policies.test_permissions(request, caller, txn).permissions)
    return {"kind": "storage#testIamPermissionsResponse", **({"permissions": held} if held else {})}


def _policy_document(call: RestCall, policy: Policy) -> rest.Document:
    document: rest.Document = json_format.MessageToDict(policy)
    return {"kind": "storage#policy", "resourceId": _bucket(call), **document}


def _patch_needs(call: RestCall) -> tuple[PermissionNeed, ...]:
    access = call.body.get("iamConfiguration") if isinstance(call.body, dict) else None
    also = isinstance(access, dict) and "publicAccessPrevention" in access
    verbs = ("update", "setIamPolicy") if also else ("update",)
    return tuple(PermissionNeed(f"storage.buckets.{verb}", _bucket(call)) for verb in verbs)


_ALL = "/storage/v1/b"
_ONE = f"{_ALL}/{{bucket}}"
_IAM = f"{_ONE}/iam"
_PREFIX = "storage.buckets"

SERVICE = Service(
    routes=(
        Route("POST", _ALL, f"{_SERVICE}/InsertBucket", _create, f"{_PREFIX}.create", _project, mutates=True),
        Route("GET", _ALL, f"{_SERVICE}/ListBuckets", _list, f"{_PREFIX}.list", _project),
        Route("GET", _ONE, f"{_SERVICE}/GetBucket", _get, f"{_PREFIX}.get", _bucket),
        Route("PATCH", _ONE, f"{_SERVICE}/PatchBucket", _patch, "", _bucket, mutates=True, needs=_patch_needs),
        Route("DELETE", _ONE, f"{_SERVICE}/DeleteBucket", _delete, f"{_PREFIX}.delete", _bucket, mutates=True),
        Route("GET", f"{_IAM}/testPermissions", f"{_SERVICE}/TestIamPermissions", _test, "", _bucket),
        Route("GET", _IAM, f"{_SERVICE}/GetIamPolicy", _get_policy, f"{_PREFIX}.getIamPolicy", _bucket),
        Route("PUT", _IAM, f"{_SERVICE}/SetIamPolicy", _set_policy, f"{_PREFIX}.setIamPolicy", _bucket, mutates=True),
    )
)  # fmt: skip
