"""Organization policies: which constraints hold in a project, over REST (Org Policy v2) and for the other services.

Two kinds of rule are known: `enforce` (on or off) and `values` (`allowedValues`, `deniedValues`). What a project does
not set is the constraint's default: nothing is enforced, and exposed keys are disabled, as at Google.
"""

import json
import re
import secrets
from collections.abc import Iterable
from datetime import UTC
from typing import Any

from google.rpc import error_details_pb2

from orchestra_creds.emulator.protocol import rest
from orchestra_creds.emulator.protocol.errors import (
    Code,
    EmuError,
    aborted_error,
    already_exists_error,
    invalid_error,
    not_found_error,
    precondition_error,
)
from orchestra_creds.emulator.protocol.service import Caller, RestCall, Route, Service
from orchestra_creds.emulator.store.store import Txn

POLICY = "orgpolicy"
NO_KEY_CREATION = ("iam.disableServiceAccountKeyCreation", "iam.managed.disableServiceAccountKeyCreation")
"""Either of the two forbids new keys; both are looked at (cloud.google.com/iam/docs/troubleshoot-org-policies)."""
NO_KEY_UPLOAD = ("iam.disableServiceAccountKeyUpload", "iam.managed.disableServiceAccountKeyUpload")
NO_NEW_ACCOUNTS = ("iam.disableServiceAccountCreation", "iam.managed.disableServiceAccountCreation")
LOCATIONS = "gcp.resourceLocations"
"""Holds locations, `global`, and groups such as `in:us-locations`."""
KEY_EXPIRY = "iam.serviceAccountKeyExpiryHours"
LIFETIME_EXTENSION = "iam.allowServiceAccountCredentialLifetimeExtension"
KEY_EXPOSURE = "iam.serviceAccountKeyExposureResponse"

CONSTRAINTS = {
    NO_KEY_CREATION[0]: ("Disable service account key creation", True),
    NO_KEY_CREATION[1]: ("Disable service account key creation (managed)", True),
    NO_KEY_UPLOAD[0]: ("Disable service account key upload", True),
    NO_KEY_UPLOAD[1]: ("Disable service account key upload (managed)", True),
    NO_NEW_ACCOUNTS[0]: ("Disable service account creation", True),
    NO_NEW_ACCOUNTS[1]: ("Disable service account creation (managed)", True),
    LOCATIONS: ("Google Cloud Platform - Resource Location Restriction", False),
    KEY_EXPIRY: ("Service account key expiry duration in hours", False),
    KEY_EXPOSURE: ("Service account key exposure response", False),
    LIFETIME_EXTENSION: ("Allow extending lifetime of OAuth 2.0 access tokens to up to 12 hours", False),
}
"""What can be set: its title, and whether it is on or off (else it holds values)."""

_CONSTRAINT = re.compile(r"[A-Za-z][A-Za-z0-9_.]{2,127}")
_SERVICE = "google.cloud.orgpolicy.v2.OrgPolicy"
_DEFAULTS: dict[str, Any] = {KEY_EXPOSURE: {"values": {"allowedValues": ["DISABLE_KEY"]}}}


def enforced_constraint(txn: Txn, project: str, constraints: tuple[str, ...]) -> str:
    """The first of the constraints that is in force in the project, or ""."""
    for constraint in constraints:
        if any(rule.get("enforce") is True for rule in _rules(txn, project, constraint)):
            return constraint
    return ""


def refuse(txn: Txn, project: str, constraints: tuple[str, ...], message: str, subject: str) -> None:
    """Raise FAILED_PRECONDITION with the constraint's name when one of them is in force.

    Google names a managed constraint in an ErrorInfo detail, an older one in a PreconditionFailure.
    """
    constraint = enforced_constraint(txn, project, constraints)
    if ".managed." in constraint:
        name, place = f"constraints/{constraint}", subject.partition("?")[0]
        told = f'Operation denied by org policy on resource \'{place}\': ["{name}": "{CONSTRAINTS[constraint][0]}"].'
        facts = {"customConstraints": name, "resource": place}
        raise EmuError(
            Code.FAILED_PRECONDITION,
            told,
            error_details_pb2.ErrorInfo(reason="CUSTOM_ORG_POLICY_VIOLATION", domain="googleapis.com", metadata=facts),
        )
    if constraint:
        raise precondition_error(message, kind=f"constraints/{constraint}", subject=subject)


def require_locations(txn: Txn, project: str, locations: Iterable[str], what: str) -> None:
    """FAILED_PRECONDITION when what is to be made, `a secret`, would be in a location that the project may not use."""
    allowed = allowed_values(txn, project, LOCATIONS)
    groups = tuple(v.removeprefix("in:").removesuffix("locations") for v in allowed if v.startswith("in:"))
    for location in locations:
        if allowed and location not in allowed and not location.startswith(groups or ("\0",)):
            raise precondition_error(
                f"Constraint constraints/{LOCATIONS} violated for [orgpolicy:projects/{project}] attempting to create {what} in [{location}].",
                kind=f"constraints/{LOCATIONS}",
                subject=f"orgpolicy:projects/{project}",
            )


def allowed_values(txn: Txn, project: str, constraint: str) -> list[str]:
    """The values that a list constraint allows; empty when it is not set."""
    return [
        value
        for rule in _rules(txn, project, constraint)
        for value in rule.get("values", {}).get("allowedValues") or []
    ]


def set_rules(txn: Txn, project: str, constraint: str, *rules: dict[str, Any]) -> dict[str, Any]:
    """Set a constraint in a project, for example to `{"enforce": True}`; without rules it is unset."""
    name = f"projects/{project}/policies/{constraint}"
    if not rules:
        txn.delete(POLICY, name)
        return {}
    return _store(txn, name, {"spec": {"rules": list(rules)}})


def _rules(txn: Txn, project: str, constraint: str) -> list[dict[str, Any]]:
    stored = txn.get(POLICY, f"projects/{project}/policies/{constraint}")
    if stored is None:
        return [_DEFAULTS[constraint]] if constraint in _DEFAULTS else []
    rules: list[dict[str, Any]] = json.loads(stored).get("spec", {}).get("rules", [])
    return rules


def _store(txn: Txn, name: str, policy: dict[str, Any]) -> dict[str, Any]:
    spec = policy.get("spec")
    rules = spec.get("rules") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise invalid_error("An organization policy needs a spec with rules.", field="policy.spec")
    for rule in rules:
        rest.expect(rule, {"enforce": bool})
        if not isinstance(rule.get("values", {}), dict):
            raise invalid_error('Invalid value at "values".', field="policy.spec.rules")
        rest.expect(rule.get("values", {}), {"allowedValues": list, "deniedValues": list}, within="values.")
    stamp = {"etag": secrets.token_hex(8), "updateTime": txn.now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
    stored = {"name": name, "spec": {**spec, **stamp}, "etag": stamp["etag"]}
    txn.put(POLICY, name, json.dumps(stored).encode(), parent=name.rpartition("/policies/")[0])
    return stored


def _name(call: RestCall, txn: Txn) -> str:
    return f"{rest.stored_project(call, txn)}/policies/{call.path['constraint']}"


def _get(call: RestCall, _caller: Caller, txn: Txn) -> dict[str, Any]:
    stored = txn.get(POLICY, _name(call, txn))
    if stored is None:
        raise not_found_error(f"Requested entity was not found: {_name(call, txn)}.")
    found: dict[str, Any] = json.loads(stored)
    return found


def _effective(call: RestCall, _caller: Caller, txn: Txn) -> dict[str, Any]:
    rules = _rules(txn, rest.project_id(call, txn), call.path["constraint"])
    return {"name": _name(call, txn), "spec": {"rules": rules or [{"enforce": False}]}}


def _list(call: RestCall, _caller: Caller, txn: Txn) -> dict[str, Any]:
    rows = txn.children(POLICY, rest.stored_project(call, txn))
    return {"policies": [json.loads(row.body) for row in rows]}


def _constraints(call: RestCall, _caller: Caller, txn: Txn) -> dict[str, Any]:
    place = rest.stored_project(call, txn)
    return {
        "constraints": [
            {
                "name": f"{place}/constraints/{name}",
                "displayName": title,
                "constraintDefault": "ALLOW",
                **({"booleanConstraint": {}} if boolean else {"listConstraint": {}}),
            }
            for name, (title, boolean) in CONSTRAINTS.items()
        ]
    }


def _create(call: RestCall, _caller: Caller, txn: Txn) -> dict[str, Any]:
    policy = rest.body(call)
    constraint = str(policy.get("name", "")).rpartition("/policies/")[2]
    name = f"{rest.stored_project(call, txn)}/policies/{constraint}"
    if not _CONSTRAINT.fullmatch(constraint):
        raise invalid_error("The policy needs the name of a constraint.", field="policy.name")
    if txn.get(POLICY, name) is not None:
        raise already_exists_error(f"Requested entity already exists: {name}.")
    return _store(txn, name, policy)


def _update(call: RestCall, _caller: Caller, txn: Txn) -> dict[str, Any]:
    current = _get(call, _caller, txn)
    policy = rest.body(call)
    spec = policy.get("spec")
    given = policy.get("etag") or (spec.get("etag") if isinstance(spec, dict) else None)
    if given and given != current["etag"]:
        raise aborted_error("The policy was changed in between. Please read it again and retry.")
    return _store(txn, _name(call, txn), policy)


def _delete(call: RestCall, _caller: Caller, txn: Txn) -> dict[str, Any]:
    _get(call, _caller, txn)
    txn.delete(POLICY, _name(call, txn))
    return {}


_ALL = "/v2/projects/{project}/policies"
_ONE = "/v2/projects/{project}/policies/{constraint}"

SERVICE = Service(
    routes=(
        Route("GET", f"{_ONE}:getEffectivePolicy", f"{_SERVICE}/GetEffectivePolicy", _effective,
              "orgpolicy.policy.get", rest.project),
        Route("GET", "/v2/projects/{project}/constraints", f"{_SERVICE}/ListConstraints", _constraints,
              "orgpolicy.constraints.list", rest.project),
        Route("GET", _ALL, f"{_SERVICE}/ListPolicies", _list, "orgpolicy.policies.list", rest.project),
        Route("GET", _ONE, f"{_SERVICE}/GetPolicy", _get, "orgpolicy.policy.get", rest.project),
        Route("POST", _ALL, f"{_SERVICE}/CreatePolicy", _create, "orgpolicy.policies.create", rest.project, mutates=True),
        Route("PATCH", _ONE, f"{_SERVICE}/UpdatePolicy", _update, "orgpolicy.policies.update", rest.project, mutates=True),
        Route("DELETE", _ONE, f"{_SERVICE}/DeletePolicy", _delete, "orgpolicy.policies.delete", rest.project, mutates=True),
    )
)  # fmt: skip
