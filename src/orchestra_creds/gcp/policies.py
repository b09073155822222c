"""PolicyStore over the IAM policies of secrets, service accounts and projects.

Policies are asked for in version 3, so that a condition is never dropped by a write. Secrets and accounts go over REST as projects
do: one shape for all three.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestra_creds.core.credential import Binding, Policy
from orchestra_creds.errors import ConfigError
from orchestra_creds.gcp.session import Session

VERSION = 3
"""The policy version that carries conditions (cloud.google.com/iam/docs/policies)."""


class RestPolicyStore:
    """Policies of one project's resources."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get_policy(self, resource: str) -> Policy:
        """See PolicyStore."""
        service, path = _where(resource)
        doing = f"read the policy of {resource}"
        verb = "GET" if service.startswith("secretmanager") else "POST"
        in_body = service == "cloudresourcemanager"
        reply = self._session.rest(
            doing,
            verb,
            service,
            f"{path}:getIamPolicy",
            body={"options": {"requestedPolicyVersion": VERSION}} if in_body else None,
            query=None if in_body else {"options.requestedPolicyVersion": str(VERSION)},
            repeatable=True,
        )
        return _policy(reply)

    def set_policy(self, resource: str, policy: Policy) -> Policy:
        """See PolicyStore."""
        service, path = _where(resource)
        body = {
            "policy": {
                "version": VERSION,
                "etag": policy.etag,
                "bindings": [_binding(binding) for binding in policy.bindings],
            }
        }
        return _policy(
            self._session.rest(f"change the policy of {resource}", "POST", service, f"{path}:setIamPolicy", body=body)
        )

    def test_permissions(self, resource: str, permissions: Sequence[str]) -> frozenset[str]:
        """See PolicyStore."""
        service, path = _where(resource)
        body = {"permissions": list(permissions)}
        reply = self._session.rest(
            f"test permissions on {resource}",
            "POST",
            service,
            f"{path}:testIamPermissions",
            body=body,
            repeatable=True,
        )
        return frozenset(reply.get("permissions", []))


def _where(resource: str) -> tuple[str, str]:
    """(service, path with the API's version) of a resource by its name."""
    parts = resource.split("/")
    match parts:
        case ["projects", _]:
            return "cloudresourcemanager", f"v3/{resource}"
        case ["projects", _, "serviceAccounts", _]:
            return "iam", f"v1/{resource}"
        case ["projects", _, "secrets", _]:
            return "secretmanager", f"v1/{resource}"
        case ["projects", _, "locations", location, "secrets", _]:
            return f"secretmanager.{location}.rep", f"v1/{resource}"
    raise ConfigError(f"{resource!r} has no policy that we know", hint="name a project, a secret or a service account")


def _policy(reply: Mapping[str, Any]) -> Policy:
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
    return Policy(bindings=tuple(bindings), etag=str(reply.get("etag", "")))


def _binding(binding: Binding) -> dict[str, object]:
    body: dict[str, object] = {"role": binding.role, "members": sorted(binding.members)}
    if binding.condition:
        body["condition"] = {
            "title": binding.condition_title,
            "description": binding.condition_description,
            "expression": binding.condition,
        }
    return body
