"""Projects and their policies (Resource Manager v1 and v3).

Every well-formed project exists, for nothing here needs a project to be made first; a list shows those that were named
so far. A policy keeps its audit configs when it is set without naming them in the mask.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import google.iam.v1.iam_policy_pb2 as iam_policy
from google.protobuf import json_format

from orchestra_creds.emulator.access import policies
from orchestra_creds.emulator.protocol import rest
from orchestra_creds.emulator.protocol.errors import denied_error
from orchestra_creds.emulator.protocol.json_messages import fill
from orchestra_creds.emulator.protocol.service import Caller, RestCall, Route, Service
from orchestra_creds.emulator.store import project_numbers
from orchestra_creds.emulator.store.store import Txn

_SERVICE = "google.cloud.resourcemanager.v3.Projects"
_PROJECT_ID = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]|[0-9]+|[a-z0-9.-]+:[a-z][a-z0-9-]+")
_BORN = datetime(2026, 1, 1, tzinfo=UTC)


def _v3(txn: Txn, project: str) -> rest.Document:
    return {
        "name": f"projects/{project_numbers.number_of(txn, project)}",
        "projectId": project,
        "displayName": project,
        "state": "ACTIVE",
        "createTime": rest.stamp(_BORN),
        "etag": 'W/"1"',
    }


def _v1(txn: Txn, project: str) -> rest.Document:
    return {
        "projectNumber": project_numbers.number_of(txn, project),
        "projectId": project,
        "lifecycleState": "ACTIVE",
        "name": project,
        "createTime": rest.stamp(_BORN),
    }


_Renderer = Callable[[Txn, str], rest.Document]


def _get(shown: _Renderer) -> Callable[[RestCall, Caller, Txn], rest.Document]:
    def get(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
        project = project_numbers.id_of(txn, call.path["project"])
        if not _PROJECT_ID.fullmatch(project) or project.isdecimal():
            # Google does not tell whether a project exists.
            raise denied_error(["resourcemanager.projects.get"], f"projects/{call.path['project']}")
        return shown(txn, project)

    return get


def _list(shown: _Renderer) -> Callable[[RestCall, Caller, Txn], rest.Document]:
    def every(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
        known = sorted(row.body.decode() for row in txn.children(project_numbers.KIND, ""))
        found, more = rest.page([shown(txn, project) for project in known], call)
        return {"projects": found, **more}

    return every


def _name(call: RestCall) -> str:
    return f"projects/{call.path['project']}"


def _request(call: RestCall, txn: Txn, message: Any) -> Any:
    fill(message, rest.body(call))
    message.resource = f"projects/{project_numbers.id_of(txn, call.path['project'])}"
    return message


def _get_policy(call: RestCall, caller: Caller, txn: Txn) -> rest.Document:
    return _policy(policies.get_policy(_request(call, txn, iam_policy.GetIamPolicyRequest()), caller, txn))


def _set_policy(call: RestCall, caller: Caller, txn: Txn) -> rest.Document:
    return _policy(policies.set_policy(_request(call, txn, iam_policy.SetIamPolicyRequest()), caller, txn))


def _test(call: RestCall, caller: Caller, txn: Txn) -> rest.Document:
    request = _request(call, txn, iam_policy.TestIamPermissionsRequest())
    return _policy(policies.test_permissions(request, caller, txn))


def _policy(message: Any) -> rest.Document:
    document: rest.Document = json_format.MessageToDict(message)
    return document


def _routes(version: str, shown: _Renderer) -> tuple[Route, ...]:
    one = f"/{version}/projects/{{project}}"
    prefix = "resourcemanager.projects"
    return (
        Route("GET", one, f"{_SERVICE}/GetProject", _get(shown), f"{prefix}.get", _name),
        Route("POST", f"{one}:getIamPolicy", f"{_SERVICE}/GetIamPolicy", _get_policy, f"{prefix}.getIamPolicy", _name),
        Route("POST", f"{one}:setIamPolicy", f"{_SERVICE}/SetIamPolicy", _set_policy, f"{prefix}.setIamPolicy", _name,
              mutates=True),
        Route("POST", f"{one}:testIamPermissions", f"{_SERVICE}/TestIamPermissions", _test, "", _name),
    )  # fmt: skip


SERVICE = Service(
    routes=(
        *_routes("v1", _v1),
        *_routes("v3", _v3),
        Route("GET", "/v1/projects", f"{_SERVICE}/ListProjects", _list(_v1)),
        Route("GET", "/v3/projects", f"{_SERVICE}/ListProjects", _list(_v3)),
        Route("GET", "/v3/projects:search", f"{_SERVICE}/SearchProjects", _list(_v3)),
    )
)
