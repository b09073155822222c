"""Cloud Run jobs as RemovableStore (Run Admin API v2); a name is `LOCATION/JOB`.

Fields: `image`, `identity` (a mail address), `arguments`, `environment` (plain settings, never a secret), `labels`, `timeout` (seconds),
`retries`. The API replaces a job as a whole: what is not ours is read and sent back, under the etag.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from orchestra_creds.core.resources import Ref, Resource, ResourceKind
from orchestra_creds.gcp.api import Api, JsonObject, part
from orchestra_creds.gcp.session import ApiSession

_WRITABLE = ("labels", "annotations", "launchStage", "binaryAuthorization", "template")
"""What an update may hold; everything else only the service sets (cloud.google.com/run/docs/reference/rest/v2/projects.locations.jobs)."""


class RunJobs:
    """Jobs of one project in these locations."""

    def __init__(
        self, session: ApiSession, locations: Sequence[str] = (), *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._api = Api(session, "run", "v2", sleep=sleep)
        self._project = f"projects/{session.project}"
        self._locations = locations

    def every(self) -> Iterator[Resource]:
        """See ResourceStore."""
        for location in self._locations:
            path = f"{self._project}/locations/{part(location, 'location')}/jobs"
            yield from map(_resource, self._api.list_items("list the Cloud Run jobs", path, "jobs"))

    def find(self, ref: Ref) -> Resource | None:
        """See ResourceStore."""
        item = self._api.find(f"read {ref}", self._path(ref))
        return None if item is None else _resource(item)

    def create(self, wanted: Resource) -> None:
        """See ResourceStore: needs `iam.serviceAccounts.actAs` on its identity."""
        doing = f"create {wanted.ref}"
        parent, _, name = self._path(wanted.ref).rpartition("/")
        body = _updated_job({}, wanted.fields)
        self._api.finish(doing, self._api.call(doing, "POST", parent, body=body, query={"jobId": name}))

    def update(self, wanted: Resource, fields: Sequence[str], etag: str) -> None:
        """See ResourceStore."""
        doing = f"change {wanted.ref}"
        there = self._api.get(doing, self._path(wanted.ref))
        kept = {name: there[name] for name in _WRITABLE if name in there}
        body = {**_updated_job(kept, {name: wanted.fields[name] for name in fields}), "etag": etag}
        self._api.finish(doing, self._api.call(doing, "PATCH", self._path(wanted.ref), body=body))

    def undelete(self, ref: Ref) -> None:
        """See ResourceStore: a deleted job is gone."""

    def delete(self, ref: Ref, etag: str) -> None:
        """See RemovableStore: its policy goes with it."""
        doing = f"delete {ref}"
        query = {"etag": etag} if etag else None
        self._api.finish(doing, self._api.call(doing, "DELETE", self._path(ref), query=query))

    def run(self, ref: Ref) -> None:
        """Start an execution; it is not waited for. Not idempotent."""
        self._api.call(f"run {ref}", "POST", f"{self._path(ref)}:run", body={})

    def _path(self, ref: Ref) -> str:
        location, _, name = ref.name.partition("/")
        return f"{self._project}/locations/{part(location, 'location')}/jobs/{part(name, 'Cloud Run job')}"


def _resource(item: Mapping[str, Any]) -> Resource:
    parts = str(item["name"]).split("/")
    task = item["template"]["template"]
    container = task["containers"][0]
    fields = {
        "image": container["image"],
        "identity": task.get("serviceAccount", ""),
        "arguments": list(container.get("args", [])),
        "environment": {
            one["name"]: one.get("value", "") for one in container.get("env", []) if "valueSource" not in one
        },
        "labels": dict(item.get("labels", {})),
        "timeout": int(float(str(task.get("timeout", "600s")).removesuffix("s"))),
        "retries": int(task.get("maxRetries", 0)),
    }
    return Resource(Ref(ResourceKind.JOB, f"{parts[3]}/{parts[5]}"), fields, str(item.get("etag", "")))


def _updated_job(job: JsonObject, fields: Mapping[str, Any]) -> JsonObject:
    """The job with these fields; other labels, containers, volumes and references to secrets stay."""
    task = dict(job.get("template", {}).get("template", {}))
    container, *others = task.get("containers", [{}])
    container = dict(container)
    for ours, theirs in (("image", "image"), ("arguments", "args")):
        if ours in fields:
            container[theirs] = fields[ours]
    if "environment" in fields:
        plain = [{"name": name, "value": value} for name, value in sorted(fields["environment"].items())]
        container["env"] = plain + [one for one in container.get("env", []) if "valueSource" in one]
    if "identity" in fields:
        task["serviceAccount"] = fields["identity"]
    if "timeout" in fields:
        task["timeout"] = f"{fields['timeout']}s"
    if "retries" in fields:
        task["maxRetries"] = fields["retries"]
    task["containers"] = [container, *others]
    labels = {**job.get("labels", {}), **fields.get("labels", {})}
    return {**job, "labels": labels, "template": {**job.get("template", {}), "template": task}}
