"""PolicyStore over the IAM policies of secrets, service accounts, projects, Cloud Run jobs and buckets.

Policies are asked for in version 3, so that a condition is never dropped by a write, and a write names what it replaces. All go over
REST in one shape, but for a bucket: its policy has a path and verbs of its own and no update mask.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestra_creds.core.cloud_types import Binding, IamPolicy
from orchestra_creds.errors import ConfigError, MissingMemberError
from orchestra_creds.gcp.errors import KnownRefusal
from orchestra_creds.gcp.session import ApiSession

VERSION = 3
"""The policy version that carries conditions (cloud.google.com/iam/docs/policies)."""
MASK = "bindings,etag"
"""What a write replaces: what is audited stays."""


_REFUSALS = (KnownRefusal("INVALID_ARGUMENT", re.compile("not exist"), MissingMemberError),)
"""An account or a role that was made a moment ago is not known everywhere yet; Google says so in words only."""


class RestPolicyStore:
    """Policies of one project's resources."""

    def __init__(self, session: ApiSession) -> None:
        self._session = session

    def get_policy(self, resource: str) -> IamPolicy:
        """See PolicyStore."""
        place = _policy_endpoint(resource)
        doing = f"read the policy of {resource}"
        wanted = str(VERSION)
        in_body = {"options": {"requestedPolicyVersion": VERSION}} if place.service == "cloudresourcemanager" else None
        query = {("optionsRequestedPolicyVersion" if place.bucket else "options.requestedPolicyVersion"): wanted}
        reply = self._session.rest(
            doing,
            place.reads_with,
            place.service,
            place.path if place.bucket else f"{place.path}:getIamPolicy",
            body=in_body,
            query=None if in_body else query,
            repeatable=True,
        )
        return _policy(reply)

    def set_policy(self, resource: str, policy: IamPolicy) -> IamPolicy:
        """See PolicyStore."""
        place = _policy_endpoint(resource)
        doing = f"change the policy of {resource}"
        bindings = [_binding(binding) for binding in policy.bindings]
        document = {"version": VERSION, "etag": policy.etag, "bindings": bindings}
        if place.bucket:
            written = self._session.rest(doing, "PUT", place.service, place.path, body=document, refusals=_REFUSALS)
            return _policy(written)
        # Cloud Run's method has no mask: it replaces bindings alone.
        body = {"policy": document, **({} if place.service == "run" else {"updateMask": MASK})}
        path = f"{place.path}:setIamPolicy"
        return _policy(self._session.rest(doing, "POST", place.service, path, body=body, refusals=_REFUSALS))

    def test_permissions(self, resource: str, permissions: Sequence[str]) -> frozenset[str]:
        """See PolicyStore."""
        place = _policy_endpoint(resource)
        doing = f"test permissions on {resource}"
        if place.bucket:
            path, query = f"{place.path}/testPermissions", {"permissions": list(permissions)}
            reply = self._session.rest(doing, "GET", place.service, path, query=query, repeatable=True)
        else:
            path, body = f"{place.path}:testIamPermissions", {"permissions": list(permissions)}
            reply = self._session.rest(doing, "POST", place.service, path, body=body, repeatable=True)
        return frozenset(reply.get("permissions", []))


@dataclass(frozen=True, slots=True)
class _PolicyEndpoint:
    """Where a resource's policy is: the service, the path with the API's version, and the verb that reads it."""

    service: str
    path: str
    reads_with: str = "POST"
    bucket: bool = False


def _policy_endpoint(resource: str) -> _PolicyEndpoint:
    """The place of a resource by its name."""
    match resource.split("/"):
        case ["projects", _]:
            return _PolicyEndpoint("cloudresourcemanager", f"v3/{resource}")
        case ["projects", _, "serviceAccounts", _]:
            return _PolicyEndpoint("iam", f"v1/{resource}")
        case ["projects", _, "secrets", _]:
            return _PolicyEndpoint("secretmanager", f"v1/{resource}", "GET")
        case ["projects", _, "locations", location, "secrets", _]:
            return _PolicyEndpoint(f"secretmanager.{location}.rep", f"v1/{resource}", "GET")
        case ["projects", _, "locations", _, "jobs", _]:
            return _PolicyEndpoint("run", f"v2/{resource}", "GET")
        case ["projects", "_", "buckets", name]:
            return _PolicyEndpoint("storage", f"storage/v1/b/{name}/iam", "GET", bucket=True)
    raise ConfigError(
        f"{resource!r} has no policy that we know",
        hint="name a project, a secret, a service account, a Cloud Run job or a bucket",
    )


def _policy(reply: Mapping[str, Any]) -> IamPolicy:
    bindings = (
        Binding(
            role=str(item["role"]),
            members=frozenset(item.get("members", [])),
            condition=str(item.get("condition", {}).get("expression", "")),
            condition_title=str(item.get("condition", {}).get("title", "")),
            condition_description=str(item.get("condition", {}).get("description", "")),
        )
        for item in reply.get("bindings", [])
    )
    return IamPolicy(bindings=tuple(bindings), etag=str(reply.get("etag", "")))


def _binding(binding: Binding) -> dict[str, object]:
    body: dict[str, object] = {"role": binding.role, "members": sorted(binding.members)}
    if binding.condition:
        body["condition"] = {
            "title": binding.condition_title,
            "description": binding.condition_description,
            "expression": binding.condition,
        }
    return body
