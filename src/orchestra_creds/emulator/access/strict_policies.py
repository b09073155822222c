"""Policies in strict mode: what Google refuses in one, how it spells what it accepts, and how it shows conditions to old readers.

Sources: cloud.google.com/iam/docs/reference/rest/v1/Policy, cloud.google.com/iam/docs/principal-identifiers,
cloud.google.com/iam/docs/conditions-overview, cloud.google.com/iam/docs/troubleshooting-withcond.
"""

import hashlib
import re

from google.iam.v1.policy_pb2 import Binding, Policy

from orchestra_creds.emulator.access import known_names, role_records
from orchestra_creds.emulator.access.account_names import INDEX
from orchestra_creds.emulator.cel import language as cel
from orchestra_creds.emulator.protocol.errors import invalid_error
from orchestra_creds.emulator.store.store import Txn

WITH_CONDITIONS = 3
"""The policy version that has conditions."""

_PUBLIC = frozenset({"allUsers", "allAuthenticatedUsers"})
_BASIC_ROLES = frozenset({"roles/owner", "roles/editor", "roles/viewer"})
_PROJECT = re.compile(r"projects/[^/]+")
_ANY_CASE = frozenset({"user", "group", "domain", "serviceAccount"})
_DOMAIN = r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+"
_POOL = r"iam\.googleapis\.com/(projects/[0-9]+/locations/global/workloadIdentityPools|locations/global/workforcePools)/[a-z0-9-]+"
_NODE = r"cloudresourcemanager\.googleapis\.com/(projects|folders|organizations)/[0-9]+(/type/[A-Za-z]+)?"
_FORMS = {
    "user": re.compile(rf"[^\s@]+@{_DOMAIN}"),
    "group": re.compile(rf"[^\s@]+@{_DOMAIN}"),
    "domain": re.compile(_DOMAIN),
    "serviceAccount": re.compile(rf"[^\s@]+@{_DOMAIN}|[a-z0-9:.-]+\.svc\.id\.goog\[[a-z0-9-]+/[a-z0-9-]+\]"),
    "principal": re.compile(rf"//{_POOL}/subject/\S+|//goog/subject/\S+"),
    "principalSet": re.compile(rf"//{_POOL}/(\*|group/\S+|attribute\.[a-z0-9_]+/\S+)|//goog/\S+|//{_NODE}"),
}
_OWN_ACCOUNT = re.compile(r"[^@]+@(?!gcp-sa-)[a-z][a-z0-9-]+\.iam\.gserviceaccount\.com")
_FOREIGN_ACCOUNT = re.compile(r"[^@]+@([a-z0-9.-]+\.)?gserviceaccount\.com|.*\.svc\.id\.goog\[.*")
_CONDITION_ROOTS = frozenset({"request", "resource", "api", "destination", "principal"})


def prepare_policy(txn: Txn, resource: str, policy: Policy) -> None:
    """Refuse what Google refuses in the policy of a resource, then spell and merge the rest as Google does.

    The version in it is the one that the writer gave.
    """
    _check_version(policy)
    for binding in policy.bindings:
        if not known_names.is_role(binding.role) and not role_records.exists(txn, binding.role):
            raise invalid_error(
                f"Role {binding.role} is not supported for this resource.", field="policy.bindings.role"
            )
        for number, member in enumerate(binding.members):
            binding.members[number] = _spell(member)
        _check_members(txn, resource, binding)
        if binding.HasField("condition"):
            _check_condition(binding)
    _merge(policy)


def show_policy(policy: Policy, version: int) -> Policy:
    """Return the policy as a reader sees it who asks for a version; 0 and 1 see no condition, but a role of another name."""
    if version not in {0, 1, WITH_CONDITIONS}:
        raise invalid_error(
            f"Requested policy version ({version}) is not valid.", field="options.requested_policy_version"
        )
    if version == WITH_CONDITIONS or policy.version != WITH_CONDITIONS:
        return policy
    shown = Policy()
    shown.CopyFrom(policy)
    shown.version = 1
    for binding in shown.bindings:
        if binding.HasField("condition"):
            digest = hashlib.sha256(binding.condition.SerializeToString(deterministic=True)).hexdigest()[:20]
            binding.role = f"{binding.role}_withcond_{digest}"
            binding.ClearField("condition")
    return shown


def require_kept_version(policy: Policy, current: Policy) -> None:
    """Refuse to lose conditions to a writer who knows none; without an etag they are lost, as the reference of Policy warns."""
    if policy.version < current.version == WITH_CONDITIONS and policy.etag:
        raise invalid_error(
            f"Specified policy version ({policy.version}) cannot be less than the existing policy version ({current.version}).",
            field="policy.version",
        )


def _check_version(policy: Policy) -> None:
    if policy.version not in {0, 1, WITH_CONDITIONS}:
        raise invalid_error(f"Policy version ({policy.version}) is not valid.", field="policy.version")
    if policy.version != WITH_CONDITIONS and any(binding.HasField("condition") for binding in policy.bindings):
        raise invalid_error(
            f"The policy version must be {WITH_CONDITIONS} for a policy with conditional role bindings.",
            field="policy.version",
        )


def _spell(member: str) -> str:
    """The member as Google answers it: addresses and domains in lower case, principals as they were sent."""
    kind, colon, value = member.partition(":")
    if kind == "deleted":
        kind, _, value = value.partition(":")
        address, mark, uid = value.partition("?")
        return f"deleted:{kind}:{address.lower()}{mark}{uid}" if kind in _ANY_CASE else member
    return f"{kind}{colon}{value.lower()}" if kind in _ANY_CASE and not value.endswith("]") else member


def _check_members(txn: Txn, resource: str, binding: Binding) -> None:
    for member in binding.members:
        kind, _, value = member.partition(":")
        if member in _PUBLIC and (_PROJECT.fullmatch(resource) or binding.HasField("condition")):
            raise invalid_error(f"Members of type {member} are not allowed here.", field="policy.bindings.members")
        if kind in _FORMS and not _FORMS[kind].fullmatch(value):
            raise invalid_error(f"Invalid member {member}: {kind} names none.", field="policy.bindings.members")
        if kind == "serviceAccount" and not _is_account(txn, value):
            raise invalid_error(f"Service account {value} does not exist.", field="policy.bindings.members")


def _is_account(txn: Txn, address: str) -> bool:
    """Whether there is such an account; accounts that Google makes are taken to be there."""
    if _OWN_ACCOUNT.fullmatch(address):
        return txn.get(INDEX, address) is not None
    return _FOREIGN_ACCOUNT.fullmatch(address) is not None


def _check_condition(binding: Binding) -> None:
    field = "policy.bindings.condition"
    if not binding.condition.title:
        raise invalid_error("A condition needs a title.", field=f"{field}.title")
    if binding.role in _BASIC_ROLES:
        raise invalid_error("Conditions cannot be set on basic roles.", field=field)
    unknown = sorted(cel.variables(binding.condition.expression) - _CONDITION_ROOTS)
    if unknown:
        raise invalid_error(f"undeclared reference to '{unknown[0]}' in the condition.", field=f"{field}.expression")


def _merge(policy: Policy) -> None:
    """One binding for each role and condition, in the order given, each member once."""
    merged: dict[tuple[str, bytes], Binding] = {}
    for binding in policy.bindings:
        key = binding.role, binding.condition.SerializeToString(deterministic=True)
        if key in merged:
            merged[key].members.extend(binding.members)
        else:
            merged[key] = binding
    for binding in merged.values():
        members = list(dict.fromkeys(binding.members))
        del binding.members[:]
        binding.members.extend(members)
    kept = [Binding.FromString(binding.SerializeToString()) for binding in merged.values()]
    del policy.bindings[:]
    policy.bindings.extend(kept)
