"""IAM policies of secrets, service accounts, projects, buckets and Cloud Run jobs: one store, one etag rule, one set of handlers.

A resource without a policy has the empty one with a fixed etag. Setting with a stale etag is ABORTED; each set,
also one that changes nothing, gives a new etag. `version` 3 is kept when a binding has a condition.
"""

import base64
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import google.iam.v1.iam_policy_pb2 as iam_policy
from google.iam.v1.policy_pb2 import Policy
from google.protobuf import json_format

from orchestra_creds.emulator.access import access, strict_policies
from orchestra_creds.emulator.cel import language as cel
from orchestra_creds.emulator.cel.values import CelError
from orchestra_creds.emulator.protocol import faults, rest, strict
from orchestra_creds.emulator.protocol.errors import aborted_error, invalid_error, not_found_error
from orchestra_creds.emulator.protocol.json_messages import fill
from orchestra_creds.emulator.protocol.routes import IAM_POLICY
from orchestra_creds.emulator.protocol.service import Caller, Method, PermissionNeed, RestCall, Service
from orchestra_creds.emulator.store import project_numbers
from orchestra_creds.emulator.store.store import Txn

KIND = "policy"
NO_POLICY_ETAG = base64.b64decode("ACAB")
"""The etag that Google gives the policy of a resource that has none."""

_MEMBER = re.compile(
    r"allUsers|allAuthenticatedUsers"
    r"|(deleted:)?(user|group|serviceAccount|domain|projectOwner|projectEditor|projectViewer):\S+"
    r"|(deleted:)?(principal|principalSet)://\S+"
)
_ROLE = re.compile(r"roles/[A-Za-z0-9_.]+|(projects|organizations)/[^/]+/roles/[A-Za-z0-9_.]+")
_MOST_BINDINGS = 1500
_VERSION_QUERY = "options.requestedPolicyVersion"
"""Parameter of the services that read a policy with GET."""


@dataclass(frozen=True, slots=True)
class _PolicyResource:
    """A kind of resource that carries a policy: its name, the prefix of its permissions, where it is stored."""

    pattern: re.Pattern[str]
    prefix: str
    kind: str  # "" for projects, which always exist
    title: str = ""


_SHAPES = (
    _PolicyResource(
        re.compile(r"projects/[^/]+(/locations/[^/]+)?/secrets/[^/]+"), "secretmanager.secrets", "secret", "Secret"
    ),
    _PolicyResource(
        re.compile(r"projects/[^/]+/serviceAccounts/[^/]+"), "iam.serviceAccounts", "account", "Service account"
    ),
    _PolicyResource(re.compile(r"projects/[^/]+/buckets/[^/]+"), "storage.buckets", "bucket", "Bucket"),
    _PolicyResource(re.compile(r"projects/[^/]+/locations/[^/]+/jobs/[^/]+"), "run.jobs", "run_job", "Job"),
    _PolicyResource(re.compile(r"projects/[^/]+"), "resourcemanager.projects", ""),
)


def read_policy(txn: Txn, resource: str) -> Policy:
    """The policy as a reader sees it now (late by the IAM lag)."""
    return _parse_policy(txn.get(KIND, resource, lag=faults.lag(txn, faults.Lag.IAM)))


def write_policy(txn: Txn, resource: str, policy: Policy) -> Policy:
    """Replace the policy under the etag rule and return it as stored; its version is the one that the writer gave."""
    current = _parse_policy(txn.get(KIND, resource))
    if policy.etag and policy.etag != current.etag:
        raise aborted_error(
            "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff."
        )
    stored = Policy()
    stored.CopyFrom(policy)
    _check(stored)
    strict_policies.require_kept_version(stored, current)
    if strict.is_strict(txn):
        strict_policies.prepare_policy(txn, resource, stored)
    stored.version = 3 if any(binding.HasField("condition") for binding in stored.bindings) else 1
    stored.etag = secrets.token_bytes(8)
    txn.put(KIND, resource, stored.SerializeToString())
    return stored


def rename_member(txn: Txn, old: str, new: str) -> None:
    """Put another member in the place of one in every policy, as happens when an account is deleted or comes back."""
    for row in txn.children(KIND, ""):
        policy = Policy.FromString(row.body)
        found = [binding for binding in policy.bindings if old in binding.members]
        for binding in found:
            members = [new if member == old else member for member in binding.members]
            del binding.members[:]
            binding.members.extend(members)
        if found:
            txn.put(KIND, row.name, policy.SerializeToString())


def get_policy(request: iam_policy.GetIamPolicyRequest, _caller: Caller, txn: Txn) -> Policy:
    """GetIamPolicy on any resource that carries one."""
    _exists(txn, request.resource)
    return show_policy(txn, request.resource, request.options.requested_policy_version)


def show_policy(txn: Txn, resource: str, version: int) -> Policy:
    """The policy as a reader sees it who asks for a version; unless strict, everybody sees all of it."""
    policy = read_policy(txn, resource)
    return strict_policies.show_policy(policy, version) if strict.is_strict(txn) else policy


def set_policy(request: iam_policy.SetIamPolicyRequest, _caller: Caller, txn: Txn) -> Policy:
    """SetIamPolicy; the update mask may name bindings, etag, version and audit configs."""
    _exists(txn, request.resource)
    wanted = Policy()
    paths = list(request.update_mask.paths) or ["bindings", "etag"]
    unknown = set(paths) - {"bindings", "etag", "version", "audit_configs"}
    if unknown:
        raise invalid_error(f"Invalid update mask: {min(unknown)}.", field="update_mask")
    wanted.CopyFrom(_parse_policy(txn.get(KIND, request.resource)))
    wanted.etag = request.policy.etag
    wanted.version = strict_policies.WITH_CONDITIONS
    if "bindings" in paths:
        wanted.version = request.policy.version
        del wanted.bindings[:]
        wanted.bindings.extend(request.policy.bindings)
    if "audit_configs" in paths:
        del wanted.audit_configs[:]
        wanted.audit_configs.extend(request.policy.audit_configs)
    return write_policy(txn, request.resource, wanted)


def test_permissions(
    request: iam_policy.TestIamPermissionsRequest, caller: Caller, txn: Txn
) -> iam_policy.TestIamPermissionsResponse:
    """TestIamPermissions: the subset that the caller holds; nothing at all on a resource that does not exist."""
    for permission in request.permissions:
        if "*" in permission or permission.count(".") < 2:
            raise invalid_error(f"Permission {permission} is not valid for this resource.", field="permissions")
    shape = _shape(request.resource)
    if shape.kind and txn.get(shape.kind, request.resource) is None:
        return iam_policy.TestIamPermissionsResponse()
    held = [p for p in request.permissions if access.holds(caller, PermissionNeed(p, request.resource), txn)]
    return iam_policy.TestIamPermissionsResponse(permissions=held)


def rest_handler(
    request_class: type[Any], handle: Callable[[Any, Caller, Txn], Any], resource: Callable[[RestCall, Txn], str]
) -> Callable[[RestCall, Caller, Txn], rest.Document]:
    """Return a method above as the handler of a REST route; `resource` is the stored name that the route's path names."""

    def answer(call: RestCall, caller: Caller, txn: Txn) -> rest.Document:
        request = request_class()
        version = call.query.get(_VERSION_QUERY)
        fill(request, {**rest.body(call), **({"options": {"requestedPolicyVersion": version}} if version else {})})
        request.resource = resource(call, txn)
        document: rest.Document = json_format.MessageToDict(handle(request, caller, txn))
        return document

    return answer


def _needs(
    verb: str,
) -> Callable[[iam_policy.GetIamPolicyRequest | iam_policy.SetIamPolicyRequest], tuple[PermissionNeed, ...]]:
    def needs(request: iam_policy.GetIamPolicyRequest | iam_policy.SetIamPolicyRequest) -> tuple[PermissionNeed, ...]:
        return (PermissionNeed(f"{_shape(request.resource).prefix}.{verb}", request.resource),)

    return needs


def _resource(
    request: iam_policy.GetIamPolicyRequest | iam_policy.SetIamPolicyRequest | iam_policy.TestIamPermissionsRequest,
) -> str:
    return str(request.resource)


GET = Method(get_policy, "", _resource, needs=_needs("getIamPolicy"))
SET = Method(set_policy, "", _resource, needs=_needs("setIamPolicy"), mutates=True)
TEST = Method(test_permissions, "", _resource)

SERVICE = Service(
    methods={
        f"{IAM_POLICY}/GetIamPolicy": replace(GET, inward=project_numbers.use_ids),
        f"{IAM_POLICY}/SetIamPolicy": replace(SET, inward=project_numbers.use_ids),
        f"{IAM_POLICY}/TestIamPermissions": replace(TEST, inward=project_numbers.use_ids),
    }
)


def _shape(resource: str) -> _PolicyResource:
    for shape in _SHAPES:
        if shape.pattern.fullmatch(resource):
            return shape
    raise invalid_error(f"{resource or 'The empty name'} is not a resource that carries a policy.", field="resource")


def _exists(txn: Txn, resource: str) -> None:
    shape = _shape(resource)
    if shape.kind and txn.get(shape.kind, resource) is None:
        raise not_found_error(f"{shape.title} [{resource}] not found.")


def _parse_policy(body: bytes | None) -> Policy:
    return Policy(etag=NO_POLICY_ETAG, version=1) if body is None else Policy.FromString(body)


def _check(policy: Policy) -> None:
    if len(policy.bindings) > _MOST_BINDINGS:
        raise invalid_error("The policy has too many bindings.", field="policy.bindings")
    for binding in policy.bindings:
        if not _ROLE.fullmatch(binding.role):
            raise invalid_error(f"Role ({binding.role}) is not a valid role name.", field="policy.bindings.role")
        if binding.HasField("condition"):
            _check_condition(binding.condition.expression)
        for member in binding.members:
            if not _MEMBER.fullmatch(member):
                raise invalid_error(
                    f"The member {member} is of an unknown type. Please set a valid type prefix for the member.",
                    field="policy.bindings.members",
                )
    # A binding without members is dropped, as Google does.
    kept = [binding for binding in policy.bindings if binding.members]
    del policy.bindings[:]
    policy.bindings.extend(kept)


def _check_condition(expression: str) -> None:
    try:
        cel.compile_expression(expression)
    except CelError as error:
        raise invalid_error(f"The condition cannot be parsed: {error}.", field="policy.bindings.condition") from None
