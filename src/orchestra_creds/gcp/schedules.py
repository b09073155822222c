"""Cloud Scheduler jobs as RemovableStore (v1); a name is `LOCATION/JOB`. They have no etag.

Fields: `cron`, `zone`, `uri` (it is POSTed to), `identity` (whose OAuth token goes along), `description`, `deadline` (seconds), `retries`,
`paused`. Jobs for App Engine and Pub/Sub are left alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestra_creds.core.resources import Ref, Resource, ResourceKind
from orchestra_creds.gcp.api import Api, JsonObject, part
from orchestra_creds.gcp.session import ApiSession

_PATHS = {
    "cron": "schedule",
    "zone": "timeZone",
    "uri": "httpTarget.uri",
    "identity": "httpTarget.oauthToken",
    "description": "description",
    "deadline": "attemptDeadline",
    "retries": "retryConfig.retryCount",
}


class Schedules:
    """Schedules of one project in these locations."""

    def __init__(self, session: ApiSession, locations: Sequence[str] = ()) -> None:
        self._api = Api(session, "cloudscheduler", "v1")
        self._project = f"projects/{session.project}"
        self._locations = locations

    def every(self) -> Iterator[Resource]:
        """See ResourceStore."""
        for location in self._locations:
            path = f"{self._project}/locations/{part(location, 'location')}/jobs"
            for item in self._api.list_items("list the schedules", path, "jobs"):
                if "httpTarget" in item:
                    yield _resource(item)

    def find(self, ref: Ref) -> Resource | None:
        """See ResourceStore."""
        item = self._api.find(f"read {ref}", self._path(ref))
        return None if item is None else _resource(item)

    def create(self, wanted: Resource) -> None:
        """See ResourceStore: needs `iam.serviceAccounts.actAs` on its identity. It is made running, then paused if it shall be."""
        name = self._path(wanted.ref)
        body = {"name": name, **_body(wanted.fields)}
        self._api.call(f"create {wanted.ref}", "POST", name.rpartition("/")[0], body=body)
        if wanted.fields.get("paused", False):
            self._switch(wanted.ref, paused=True)

    def update(self, wanted: Resource, fields: Sequence[str], etag: str) -> None:  # noqa: ARG002  schedules have none
        """See ResourceStore."""
        paths = ",".join(_PATHS[name] for name in fields if name in _PATHS)
        if paths:
            body = _body(wanted.fields)
            self._api.call(
                f"change {wanted.ref}", "PATCH", self._path(wanted.ref), body=body, query={"updateMask": paths}
            )
        if "paused" in fields:
            self._switch(wanted.ref, paused=bool(wanted.fields["paused"]))

    def undelete(self, ref: Ref) -> None:
        """See ResourceStore: a deleted schedule is gone."""

    def delete(self, ref: Ref, etag: str) -> None:  # noqa: ARG002  schedules have none
        """See RemovableStore."""
        self._api.call(f"delete {ref}", "DELETE", self._path(ref))

    def _switch(self, ref: Ref, *, paused: bool) -> None:
        verb = "pause" if paused else "resume"
        self._api.call(f"{verb} {ref}", "POST", f"{self._path(ref)}:{verb}", body={})

    def _path(self, ref: Ref) -> str:
        location, _, name = ref.name.partition("/")
        return f"{self._project}/locations/{part(location, 'location')}/jobs/{part(name, 'schedule')}"


def _resource(item: Mapping[str, Any]) -> Resource:
    parts, target = str(item["name"]).split("/"), item["httpTarget"]
    fields = {
        "cron": item.get("schedule", ""),
        "zone": item.get("timeZone", ""),
        "uri": target.get("uri", ""),
        "identity": target.get("oauthToken", {}).get("serviceAccountEmail", ""),
        "description": item.get("description", ""),
        "deadline": int(float(str(item.get("attemptDeadline", "180s")).removesuffix("s"))),
        "retries": int(item.get("retryConfig", {}).get("retryCount", 0)),
        "paused": item.get("state") == "PAUSED",
    }
    return Resource(Ref(ResourceKind.SCHEDULE, f"{parts[3]}/{parts[5]}"), fields)


def _body(fields: Mapping[str, object]) -> JsonObject:
    target: JsonObject = {"httpMethod": "POST", "uri": fields["uri"]}
    if "identity" in fields:
        target["oauthToken"] = {"serviceAccountEmail": fields["identity"]}
    body: JsonObject = {"schedule": fields["cron"], "timeZone": fields.get("zone", "Etc/UTC"), "httpTarget": target}
    if "description" in fields:
        body["description"] = fields["description"]
    if "deadline" in fields:
        body["attemptDeadline"] = f"{fields['deadline']}s"
    if "retries" in fields:
        body["retryConfig"] = {"retryCount": fields["retries"]}
    return body
