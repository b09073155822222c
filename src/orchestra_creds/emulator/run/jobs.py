"""Cloud Run jobs (Admin API v2): kept, changed under their etag, with their IAM policy; a run is recorded and starts nothing.

An update replaces the job as a whole, as at Google. A job runs as an account, and writing it needs `iam.serviceAccounts.actAs` on that.
"""

import re
import secrets
import uuid
from typing import Any

import google.iam.v1.iam_policy_pb2 as iam_policy

from orchestra_creds.core.google import ACCOUNT_DOMAIN
from orchestra_creds.emulator.access import account_names, policies
from orchestra_creds.emulator.protocol import rest, strict
from orchestra_creds.emulator.protocol.errors import (
    aborted_error,
    already_exists_error,
    invalid_error,
    not_found_error,
)
from orchestra_creds.emulator.protocol.service import Caller, RestCall, Route, Service
from orchestra_creds.emulator.scheduler import locations as job_locations
from orchestra_creds.emulator.store import project_numbers
from orchestra_creds.emulator.store.store import Txn

KIND = "run_job"
_SERVICE = "google.cloud.run.v2.Jobs"
_ID = re.compile(r"[a-z]([a-z0-9-]{0,47}[a-z0-9])?")
_DURATION = re.compile(r"[0-9]+(\.[0-9]+)?s")
_LONGEST_TASK = 168 * 3600
_MOST_RETRIES = 10
"""Limits of a task (cloud.google.com/run/docs/configuring/task-timeout and max-retries)."""
_MUTABLE = frozenset({"labels", "annotations", "launchStage", "binaryAuthorization", "template", "client"})


def _load(call: RestCall, txn: Txn) -> rest.Document:
    return job_locations.load(KIND, call, txn)


def _create(call: RestCall, caller: Caller, txn: Txn) -> rest.Document:
    wanted, job_id = rest.body(call), call.query.get("jobId", "")
    if not _ID.fullmatch(job_id):
        raise invalid_error("A job id has less than 50 lower-case letters, digits and hyphens.", field="job_id")
    if wanted.get("name"):
        raise invalid_error("The name of a new job must be empty; its id goes into job_id.", field="job.name")
    job_locations.require_region(call)
    name = f"{job_locations.parent(call, txn)}/jobs/{job_id}"
    if txn.get(KIND, name) is not None:
        raise already_exists_error(f"Resource '{job_id}' already exists.")
    made = {"name": name, "uid": str(uuid.UUID(bytes=secrets.token_bytes(16), version=4)), "executionCount": 0}
    made["creator"] = caller.principal.partition(":")[2]
    return _write_job(call, txn, {**made, "createTime": rest.stamp(txn.now), "generation": "0"}, wanted)


def _update(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    current, wanted = _load(call, txn), rest.body(call)
    _check_etag(wanted.get("etag", ""), current)
    return _write_job(call, txn, {field: value for field, value in current.items() if field not in _MUTABLE}, wanted)


def _write_job(call: RestCall, txn: Txn, kept: rest.Document, wanted: rest.Document) -> rest.Document:
    job = {
        "launchStage": "GA",
        **kept,
        **{field: wanted[field] for field in sorted(_MUTABLE) if field in wanted},
        "template": _template(wanted.get("template"), txn, call),
        "generation": str(int(kept["generation"]) + 1),
        "updateTime": rest.stamp(txn.now),
        "etag": f'"{secrets.token_urlsafe(12)}"',
        "reconciling": False,
        "observedGeneration": str(int(kept["generation"]) + 1),
        "conditions": [],
        "terminalCondition": {"type": "Ready", "state": "CONDITION_SUCCEEDED"},
    }
    rest.expect(job, {"labels": dict, "annotations": dict, "launchStage": str})
    return _operation(call, txn, "Job", rest.save(txn, KIND, job["name"], job, parent=job_locations.parent(call, txn)))


def _template(template: Any, txn: Txn, call: RestCall) -> rest.Document:
    task = template.get("template") if isinstance(template, dict) else None
    containers = task.get("containers") if isinstance(task, dict) else None
    if not isinstance(task, dict) or not isinstance(containers, list) or not containers:
        raise invalid_error("A job needs a container.", field="job.template.template.containers")
    if not all(isinstance(one, dict) for one in containers):
        raise invalid_error("A job needs a container.", field="job.template.template.containers")
    for container in containers:
        if not isinstance(container.get("image"), str) or not container["image"]:
            raise invalid_error("A container needs an image.", field="job.template.template.containers.image")
        rest.expect(container, {"args": list, "command": list}, within="containers.")
        _check_environment(container.get("env", []))
    number = project_numbers.number_of(txn, rest.project_id(call, txn))
    whole = {
        "timeout": "600s",
        "maxRetries": 3,
        "serviceAccount": f"{number}-compute@developer.gserviceaccount.com",
        "executionEnvironment": "EXECUTION_ENVIRONMENT_GEN2",
        **task,
    }
    rest.expect(whole, {"timeout": str, "maxRetries": int, "serviceAccount": str}, within="template.")
    if not _DURATION.fullmatch(whole["timeout"]) or not float(whole["timeout"].removesuffix("s")) <= _LONGEST_TASK:
        raise invalid_error(
            f"The timeout of a task is 0 to {_LONGEST_TASK} seconds.", field="job.template.template.timeout"
        )
    if not 0 <= whole["maxRetries"] <= _MOST_RETRIES:
        raise invalid_error(
            f"A task is tried again 0 to {_MOST_RETRIES} times.", field="job.template.template.max_retries"
        )
    if strict.is_strict(txn):
        _require_account(txn, whole["serviceAccount"])
    return {"taskCount": 1, **template, "template": whole}


def _require_account(txn: Txn, address: str) -> None:
    if address.endswith(ACCOUNT_DOMAIN) and txn.get(account_names.INDEX, address) is None:
        raise not_found_error(f"Service account {address} does not exist.")


def _check_environment(variables: Any) -> None:
    if not isinstance(variables, list) or not all(isinstance(one, dict) and one.get("name") for one in variables):
        raise invalid_error("A variable needs a name.", field="job.template.template.containers.env")
    names = [one["name"] for one in variables]
    if len(set(names)) < len(names):
        raise invalid_error("A variable may be set once.", field="job.template.template.containers.env")


def _delete(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    current = _load(call, txn)
    _check_etag(call.query.get("etag", ""), current)
    txn.delete(KIND, current["name"])
    txn.delete(policies.KIND, current["name"])
    return _operation(call, txn, "Job", {**current, "deleteTime": rest.stamp(txn.now)})


def _run(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    current = _load(call, txn)
    _check_etag(rest.body(call).get("etag", ""), current)
    execution = {
        "name": f"{current['name'].rpartition('/')[2]}-{secrets.token_hex(3)}",
        "createTime": rest.stamp(txn.now),
    }
    changed = {**current, "executionCount": current["executionCount"] + 1, "latestCreatedExecution": execution}
    rest.save(txn, KIND, current["name"], changed)
    shown = {**execution, "name": f"{current['name']}/executions/{execution['name']}", "job": current["name"]}
    return _operation(call, txn, "Execution", shown)


def _check_etag(given: Any, current: rest.Document) -> None:
    if given and given != current["etag"]:
        raise aborted_error(f"Conflict for resource '{current['name']}': the etag is not the current one.")


def _operation(call: RestCall, txn: Txn, message: str, response: rest.Document) -> rest.Document:
    name = f"{job_locations.parent(call, txn)}/operations/{secrets.token_hex(16)}"
    return rest.operation(txn, name, f"google.cloud.run.v2.{message}", response)


def _job(call: RestCall) -> str:
    return f"{rest.project(call)}/locations/{call.path['location']}/jobs/{call.path['job']}"


def _accounts(job: object) -> list[object]:
    found = job
    for step in ("template", "template", "serviceAccount"):
        found = found.get(step) if isinstance(found, dict) else None
    return [found] if found else []


_ALL = "/v2/projects/{project}/locations/{location}/jobs"
_ONE = f"{_ALL}/{{job}}"
_PREFIX = "run.jobs"

SERVICE = Service(
    routes=(
        Route("POST", _ALL, f"{_SERVICE}/CreateJob", _create, "", rest.project, mutates=True,
              needs=job_locations.write_needs(f"{_PREFIX}.create", rest.project, _accounts)),
        Route("GET", _ALL, f"{_SERVICE}/ListJobs", job_locations.list_handler(KIND), f"{_PREFIX}.list", rest.project),
        Route("GET", f"{_ONE}:getIamPolicy", f"{_SERVICE}/GetIamPolicy",
              policies.rest_handler(iam_policy.GetIamPolicyRequest, policies.get_policy, job_locations.name),
              f"{_PREFIX}.getIamPolicy", _job),
        Route("POST", f"{_ONE}:setIamPolicy", f"{_SERVICE}/SetIamPolicy",
              policies.rest_handler(iam_policy.SetIamPolicyRequest, policies.set_policy, job_locations.name),
              f"{_PREFIX}.setIamPolicy", _job,
              mutates=True),
        Route("POST", f"{_ONE}:testIamPermissions", f"{_SERVICE}/TestIamPermissions",
              policies.rest_handler(iam_policy.TestIamPermissionsRequest, policies.test_permissions, job_locations.name),
              "", _job),
        Route("GET", _ONE, f"{_SERVICE}/GetJob", job_locations.get_handler(KIND), f"{_PREFIX}.get", _job),
        Route("PATCH", _ONE, f"{_SERVICE}/UpdateJob", _update, "", _job, mutates=True,
              needs=job_locations.write_needs(f"{_PREFIX}.update", _job, _accounts)),
        Route("DELETE", _ONE, f"{_SERVICE}/DeleteJob", _delete, f"{_PREFIX}.delete", _job, mutates=True),
        Route("POST", f"{_ONE}:run", f"{_SERVICE}/RunJob", _run, f"{_PREFIX}.run", _job, mutates=True),
        Route("GET", "/v2/{name=projects/*/locations/*/operations/*}", "google.longrunning.Operations/GetOperation",
              rest.get_operation, "run.operations.get", lambda call: "/".join(call.path["name"].split("/")[:2])),
    )
)  # fmt: skip
