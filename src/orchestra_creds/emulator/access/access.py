"""Who may do what: bindings at secret, service-account and project level against the permission a call needs.

A caller holds a permission on a resource when a binding on it, or on what it stands in, has a role with the
permission, names the caller, and has no condition or one that is true. A condition that cannot be evaluated is false.
"""

import re
from collections.abc import Iterator, Sequence

from google.iam.v1.policy_pb2 import Binding, Policy

from orchestra_creds.emulator.access import bucket_names, role_records
from orchestra_creds.emulator.access.account_names import stored_account_name
from orchestra_creds.emulator.cel import language as cel
from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.errors import denied_error
from orchestra_creds.emulator.protocol.service import Caller, PermissionNeed
from orchestra_creds.emulator.store import project_numbers
from orchestra_creds.emulator.store.store import Txn

POLICY = "policy"
GROUPS = "groups"
"""Setting: group address -> members (`user:…`, `serviceAccount:…`)."""

_CARRIER = re.compile(
    r"(?P<project>projects/[^/]+)"
    r"(?P<own>(?:/locations/[^/]+)?/secrets/[^/]+|/serviceAccounts/[^/]+|/locations/global/workloadIdentityPools/[^/]+|/buckets/[^/]+|/locations/[^/]+/jobs/[^/]+)?"
    r"(?:/.*)?"
)
_BASIC = {"projectOwner": "roles/owner", "projectEditor": "roles/editor", "projectViewer": "roles/viewer"}
_TYPES = (
    ("/versions/", "secretmanager.googleapis.com/SecretVersion"),
    ("/secrets/", "secretmanager.googleapis.com/Secret"),
    ("/keys/", "iam.googleapis.com/ServiceAccountKey"),
    ("/serviceAccounts/", "iam.googleapis.com/ServiceAccount"),
    ("/buckets/", "storage.googleapis.com/Bucket"),
    ("/jobs/", "run.googleapis.com/Job"),
    ("projects/", "cloudresourcemanager.googleapis.com/Project"),
)


def holds(caller: Caller, need: PermissionNeed, txn: Txn) -> bool:
    """Whether the caller has the permission on the resource."""
    if caller.owner:
        return True
    resource = _by_id(txn, bucket_names.stored_bucket_name(txn, stored_account_name(txn, need.resource)))
    if resource.startswith(bucket_names.OF_NOBODY):
        return True  # Cloud Storage says "not found" to everybody: a bucket that is not there has no policy to ask
    return any(
        need.permission in role_records.permissions(txn, binding.role)
        and _names(txn, binding.members, caller)
        and _applies(txn, binding, resource)
        for binding in _bindings(txn, resource)
    )


def authorize(caller: Caller, needs: Sequence[PermissionNeed], txn: Txn) -> None:
    """Raise PERMISSION_DENIED for the first need that the caller does not hold."""
    for need in needs:
        if not holds(caller, need, txn):
            raise denied_error([need.permission], need.resource)


def set_group(txn: Txn, address: str, members: Sequence[str]) -> None:
    """Say who is in a group; nobody dissolves it."""
    groups = {**txn.setting(GROUPS, {}), address: list(members)}
    txn.set_setting(GROUPS, {name: found for name, found in groups.items() if found} or None)


def _bindings(txn: Txn, resource: str) -> Iterator[Binding]:
    match = _CARRIER.fullmatch(resource)
    if match is None:
        return
    own = match["own"] or ""
    lag = faults.lag(txn, faults.Lag.IAM)
    for name in dict.fromkeys((match["project"] + own, match["project"])):
        body = txn.get(POLICY, name, lag=lag)
        if body is not None:
            yield from Policy.FromString(body).bindings


def _names(txn: Txn, members: Sequence[str], caller: Caller) -> bool:
    return any(_is(txn, member, caller) for member in members)


def _is(txn: Txn, member: str, caller: Caller) -> bool:
    if member in {"allUsers", "allAuthenticatedUsers", caller.principal} or member in caller.also:
        return True
    kind, _, value = member.partition(":")
    if kind == "group":
        return caller.principal in txn.setting(GROUPS, {}).get(value, ())
    if kind == "domain":
        return caller.principal.startswith("user:") and caller.principal.endswith(f"@{value}")
    if kind in _BASIC:
        # The convenience members mean whoever has the basic role on the project itself.
        return any(
            binding.role == _BASIC[kind] and caller.principal in binding.members
            for binding in _bindings(txn, f"projects/{value}")
        )
    return False


def _applies(txn: Txn, binding: Binding, resource: str) -> bool:
    if not binding.HasField("condition"):
        return True
    return cel.holds(binding.condition.expression, _variables(txn, resource))


def _variables(txn: Txn, resource: str) -> dict[str, object]:
    """What a condition may look at; names hold the project's number, as Google documents it for conditions."""
    kind, _, rest = resource.partition("/")
    project, slash, tail = rest.partition("/")
    name = f"{kind}/{project_numbers.number_of(txn, project)}{slash}{tail}" if kind == "projects" else resource
    typed = next((label for part, label in _TYPES if part in resource), "")
    facts = {"name": name, "type": typed, "service": typed.partition("/")[0]}
    return {"resource": facts, "request": {"time": txn.now}}


def _by_id(txn: Txn, resource: str) -> str:
    """The resource with its project by id."""
    kind, _, rest = resource.partition("/")
    project, slash, tail = rest.partition("/")
    return f"{kind}/{project_numbers.id_of(txn, project)}{slash}{tail}" if kind == "projects" else resource
