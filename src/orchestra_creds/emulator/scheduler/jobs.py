"""Cloud Scheduler (v1): jobs are kept, paused, resumed and run on request; none runs by itself.

A run is recorded in the audit log and on the job, and calls nobody. Making a job that acts as an account needs
`iam.serviceAccounts.actAs` on it.
"""

import re
import secrets
import zoneinfo
from collections.abc import Callable

from orchestra_creds.emulator.protocol import rest
from orchestra_creds.emulator.protocol.errors import already_exists_error, invalid_error, precondition_error
from orchestra_creds.emulator.protocol.service import Caller, RestCall, Route, Service
from orchestra_creds.emulator.scheduler import locations as job_locations
from orchestra_creds.emulator.store import project_numbers
from orchestra_creds.emulator.store.store import Txn

KIND = "schedule"
_SERVICE = "google.cloud.scheduler.v1.CloudScheduler"
_ID = re.compile(r"[A-Za-z0-9_-]{1,500}")
_FIELD = r"(\*|[0-9A-Za-z]+(-[0-9A-Za-z]+)?)(/[0-9]+)?"
_CRON = re.compile(rf"{_FIELD}(,{_FIELD})*( {_FIELD}(,{_FIELD})*){{4}}")
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
"""Minute, hour, day of the month, month, day of the week."""
_LONGEST_DESCRIPTION = 500
_TARGETS = ("httpTarget", "pubsubTarget", "appEngineHttpTarget")
_MUTABLE = frozenset({"description", "schedule", "timeZone", "attemptDeadline", "retryConfig", *_TARGETS})
_DEADLINE = (15, 1800)
"""Seconds that an attempt at a URL may take (cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs)."""
_MOST_RETRIES = 5
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def _load(call: RestCall, txn: Txn) -> rest.Document:
    return job_locations.load(KIND, call, txn)


def _create(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    wanted, parent = rest.body(call), job_locations.parent(call, txn)
    job_locations.require_region(call)
    rest.expect(wanted, {"name": str})
    name = wanted.get("name") or f"{parent}/jobs/{secrets.randbelow(10**19)}"
    own_parent, _, job_id = name.rpartition("/jobs/")
    given = own_parent.split("/")
    if len(given) > 1:
        own_parent = "/".join([given[0], project_numbers.id_of(txn, given[1]), *given[2:]])
    if own_parent != parent or not _ID.fullmatch(job_id):
        raise invalid_error(
            "Job name must be formatted: projects/PROJECT/locations/LOCATION/jobs/JOB.", field="job.name"
        )
    name = f"{parent}/jobs/{job_id}"
    if txn.get(KIND, name) is not None:
        raise already_exists_error(f"Job {name} already exists.")
    document = {field: wanted[field] for field in sorted(_MUTABLE) if field in wanted}
    return _save(txn, {"name": name, "state": "ENABLED", **document})


def _save(txn: Txn, job: rest.Document) -> rest.Document:
    checked = {**_validate_job(job), "userUpdateTime": rest.stamp(txn.now)}
    return rest.save(txn, KIND, job["name"], checked, parent=job["name"].rpartition("/jobs/")[0])


def _validate_job(job: rest.Document) -> rest.Document:
    rest.expect(job, {"description": str, "schedule": str, "timeZone": str, "attemptDeadline": str, "state": str})
    targets = [target for target in _TARGETS if target in job]
    if len(targets) != 1 or not isinstance(job[targets[0]], dict):
        raise invalid_error("Exactly one target must be set.", field="job.target")
    if len(job.get("description") or "") > _LONGEST_DESCRIPTION:
        raise invalid_error(f"A description has at most {_LONGEST_DESCRIPTION} characters.", field="job.description")
    cron = " ".join((job.get("schedule") or "").split())
    if not _CRON.fullmatch(cron) or not _is_in_range(cron):
        raise invalid_error("Schedule or time zone is invalid.", field="job.schedule")
    zone = job.get("timeZone") or "Etc/UTC"
    try:
        zoneinfo.ZoneInfo(zone)
    except (ValueError, zoneinfo.ZoneInfoNotFoundError, OSError):
        raise invalid_error("Schedule or time zone is invalid.", field="job.time_zone") from None
    job = {**job, "timeZone": zone}
    retries = job.get("retryConfig") or {}
    if not isinstance(retries, dict):
        raise invalid_error('Invalid value at "retry_config".', field="job.retry_config")
    count = retries.get("retryCount", 0)
    if not isinstance(count, int) or not 0 <= count <= _MOST_RETRIES:
        raise invalid_error(f"Retry count must be between 0 and {_MOST_RETRIES}.", field="job.retry_config.retry_count")
    return _validate_target(job) if "httpTarget" in job else job


def _is_in_range(cron: str) -> bool:
    """Whether the numbers of each field exist; names of months and days are not looked at."""
    for field, (least, most) in zip(cron.split(), _RANGES, strict=True):
        numbers = [int(number) for number in re.findall(r"(?<![/0-9])[0-9]+", field)]
        if any(not least <= number <= most for number in numbers):
            return False
    return True


def _validate_target(job: rest.Document) -> rest.Document:
    target = {"httpMethod": "POST", **job["httpTarget"]}
    rest.expect(target, {"uri": str, "httpMethod": str, "headers": dict, "body": str}, within="http_target.")
    if not re.fullmatch(r"https?://[^\s/]+[^\s]*", target.get("uri") or ""):
        raise invalid_error("The URI must begin with http:// or https://.", field="job.http_target.uri")
    tokens = [kind for kind in ("oauthToken", "oidcToken") if target.get(kind)]
    if len(tokens) > 1:
        raise invalid_error("Only one kind of token can be sent.", field="job.http_target")
    for kind in tokens:
        if not isinstance(target[kind], dict) or not target[kind].get("serviceAccountEmail"):
            raise invalid_error("A token needs a service account.", field=f"job.http_target.{kind}")
    if "oauthToken" in tokens:
        target["oauthToken"] = {"scope": _SCOPE, **target["oauthToken"]}
    deadline = job.get("attemptDeadline") or "180s"
    match = re.fullmatch(r"([0-9]+)(\.[0-9]+)?s", deadline)
    if match is None or not _DEADLINE[0] <= int(match[1]) <= _DEADLINE[1]:
        raise invalid_error(
            "The attempt deadline must be between 15 seconds and 30 minutes.", field="job.attempt_deadline"
        )
    return {**job, "httpTarget": target, "attemptDeadline": deadline}


def _patch(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    current = _load(call, txn)
    return _save(txn, rest.apply_mask(current, rest.body(call), call.query.get("updateMask", ""), _MUTABLE))


def _delete(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    txn.delete(KIND, _load(call, txn)["name"])
    return {}


def _switch(before: str, after: str) -> Callable[[RestCall, Caller, Txn], rest.Document]:
    def switch(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
        current = _load(call, txn)
        if current["state"] != before:
            raise precondition_error(f"Job must be {before} to become {after}; it is {current['state']}.")
        return _save(txn, {**current, "state": after})

    return switch


def _run(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    changed = {**_load(call, txn), "lastAttemptTime": rest.stamp(txn.now), "status": {}}
    return rest.save(txn, KIND, changed["name"], changed)


def _accounts(job: object) -> list[object]:
    target = job.get("httpTarget") if isinstance(job, dict) else None
    tokens = [target.get(kind) for kind in ("oauthToken", "oidcToken")] if isinstance(target, dict) else []
    return [token.get("serviceAccountEmail", "") for token in tokens if isinstance(token, dict)]


_ALL = "/v1/projects/{project}/locations/{location}/jobs"
_ONE = f"{_ALL}/{{job}}"
_PREFIX = "cloudscheduler.jobs"

SERVICE = Service(
    routes=(
        Route("POST", _ALL, f"{_SERVICE}/CreateJob", _create, "", rest.project, mutates=True,
              needs=job_locations.write_needs(f"{_PREFIX}.create", rest.project, _accounts)),
        Route("GET", _ALL, f"{_SERVICE}/ListJobs", job_locations.list_handler(KIND), f"{_PREFIX}.list", rest.project),
        Route("GET", _ONE, f"{_SERVICE}/GetJob", job_locations.get_handler(KIND), f"{_PREFIX}.get", rest.project),
        Route("PATCH", _ONE, f"{_SERVICE}/UpdateJob", _patch, "", rest.project, mutates=True,
              needs=job_locations.write_needs(f"{_PREFIX}.update", rest.project, _accounts)),
        Route("DELETE", _ONE, f"{_SERVICE}/DeleteJob", _delete, f"{_PREFIX}.delete", rest.project, mutates=True),
        Route("POST", f"{_ONE}:pause", f"{_SERVICE}/PauseJob", _switch("ENABLED", "PAUSED"), f"{_PREFIX}.pause",
              rest.project, mutates=True),
        Route("POST", f"{_ONE}:resume", f"{_SERVICE}/ResumeJob", _switch("PAUSED", "ENABLED"), f"{_PREFIX}.enable",
              rest.project, mutates=True),
        Route("POST", f"{_ONE}:run", f"{_SERVICE}/RunJob", _run, f"{_PREFIX}.run", rest.project, mutates=True),
    )
)  # fmt: skip
