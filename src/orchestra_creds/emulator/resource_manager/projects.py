"""Projects and their policies (Resource Manager v1 and v3).

Every well-formed project exists, for nothing here needs a project to be made first; a list shows those that were named
so far. A policy keeps its audit configs when it is set without naming them in the mask.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import google.iam.v1.iam_policy_pb2 as iam_policy

from orchestra_creds.emulator.access import policies
from orchestra_creds.emulator.protocol import rest
from orchestra_creds.emulator.protocol.errors import denied_error
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
        project = rest.project_id(call, txn)
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


_get_policy = policies.rest_handler(iam_policy.GetIamPolicyRequest, policies.get_policy, rest.stored_project)
_set_policy = policies.rest_handler(iam_policy.SetIamPolicyRequest, policies.set_policy, rest.stored_project)
_test = policies.rest_handler(iam_policy.TestIamPermissionsRequest, policies.test_permissions, rest.stored_project)


def _routes(version: str, shown: _Renderer) -> tuple[Route, ...]:
    one = f"/{version}/projects/{{project}}"
    prefix = "resourcemanager.projects"
    return (
        Route("GET", one, f"{_SERVICE}/GetProject", _get(shown), f"{prefix}.get", rest.project),
        Route("POST", f"{one}:getIamPolicy", f"{_SERVICE}/GetIamPolicy", _get_policy, f"{prefix}.getIamPolicy", rest.project),
        Route("POST", f"{one}:setIamPolicy", f"{_SERVICE}/SetIamPolicy", _set_policy, f"{prefix}.setIamPolicy", rest.project,
              mutates=True),
        Route("POST", f"{one}:testIamPermissions", f"{_SERVICE}/TestIamPermissions", _test, "", rest.project),
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
