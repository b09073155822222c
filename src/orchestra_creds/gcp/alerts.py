"""Log metrics (Logging v2), notification channels and alert policies (Monitoring v3) as ResourceStores. None has an etag.

A metric counts the entries that its `filter` finds. Channels and alerts have ids that only the service knows, so they are found by their
display name; of two with the same name the first is taken. An alert has one condition:

    match     `log`: an entry that the `filter` finds, told at most every `seconds`; or `absence`: nothing for so many `seconds`
    channels  display names of the channels that are told
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestra_creds.core.resources import Ref, Resource, ResourceKind
from orchestra_creds.errors import MissingMetricError, NotFoundError
from orchestra_creds.gcp.api import Api, JsonObject, part
from orchestra_creds.gcp.errors import KnownRefusal
from orchestra_creds.gcp.session import ApiSession

_ALIGNMENT = "60s"
_METRIC_NOT_FOUND = KnownRefusal(
    "NOT_FOUND", re.compile("Cannot find metric"), MissingMetricError, hint="a new log metric is known after 10 minutes"
)
"""Google's answer to an alert on a metric that was made a moment ago."""
_TIMES = frozenset({"createTime", "updateTime"})
"""Fields of a metric that only the service sets (cloud.google.com/logging/docs/reference/v2/rest/v2/projects.metrics)."""


class Metrics:
    """Log metrics of one project; fields `filter`, `description`, `disabled`."""

    def __init__(self, session: ApiSession) -> None:
        self._api = Api(session, "logging", "v2")
        self._path = f"projects/{session.project}/metrics"

    def every(self) -> Iterator[Resource]:
        """See ResourceStore."""
        return map(_metric, self._api.list_items("list the log metrics", self._path, "metrics"))

    def find(self, ref: Ref) -> Resource | None:
        """See ResourceStore."""
        item = self._api.find(f"read {ref}", self._metric_path(ref))
        return None if item is None else _metric(item)

    def create(self, wanted: Resource) -> None:
        """See ResourceStore."""
        counter = {"metricKind": "DELTA", "valueType": "INT64", "unit": "1"}
        body = {"name": part(wanted.ref.name, "log metric"), "metricDescriptor": counter, **wanted.fields}
        self._api.call(f"create {wanted.ref}", "POST", self._path, body=body)

    def update(self, wanted: Resource, fields: Sequence[str], etag: str) -> None:  # noqa: ARG002  metrics have none
        """See ResourceStore: the API replaces a metric as a whole, so the rest of it is sent back."""
        doing = f"change {wanted.ref}"
        there = self._api.get(doing, self._metric_path(wanted.ref))
        kept = {name: value for name, value in there.items() if name not in _TIMES}
        body = {**kept, **{name: wanted.fields[name] for name in fields}}
        self._api.call(doing, "PUT", self._metric_path(wanted.ref), body=body)

    def undelete(self, ref: Ref) -> None:
        """See ResourceStore: a deleted metric is gone."""

    def _metric_path(self, ref: Ref) -> str:
        return f"{self._path}/{part(ref.name, 'log metric')}"


class _DisplayNameStore:
    """What is found by its display name."""

    kind = ResourceKind.CHANNEL
    collection = "notificationChannels"

    def __init__(self, session: ApiSession) -> None:
        self._session = session
        self._api = Api(session, "monitoring", "v3")
        self._path = f"projects/{session.project}/{self.collection}"

    def every(self) -> Iterator[Resource]:
        """See ResourceStore."""
        seen = set()
        for item in self.items():
            name = str(item.get("displayName", ""))
            if name not in seen:
                seen.add(name)
                yield Resource(Ref(self.kind, name), self._fields(item))

    def find(self, ref: Ref) -> Resource | None:
        """See ResourceStore."""
        return next((found for found in self.every() if found.ref == ref), None)

    def create(self, wanted: Resource) -> None:
        """See ResourceStore."""
        body = {"displayName": wanted.ref.name, **self._body(wanted, tuple(wanted.fields), {})}
        self._api.call(f"create {wanted.ref}", "POST", self._path, body=body, refusals=[_METRIC_NOT_FOUND])

    def update(self, wanted: Resource, fields: Sequence[str], etag: str) -> None:  # noqa: ARG002  there are none
        """See ResourceStore."""
        item = next((found for found in self.items() if found.get("displayName") == wanted.ref.name), None)
        if item is None:
            raise NotFoundError(f"{wanted.ref} is not there any more")
        body = self._body(wanted, fields, item)
        query = {"updateMask": ",".join(sorted(body))}
        doing = f"change {wanted.ref}"
        self._api.call(doing, "PATCH", str(item["name"]), body=body, query=query, refusals=[_METRIC_NOT_FOUND])

    def undelete(self, ref: Ref) -> None:
        """See ResourceStore: what is deleted is gone."""

    def items(self) -> Iterator[JsonObject]:
        """Each as the API shows it."""
        return self._api.list_items(f"list the {self.kind}s", self._path, self.collection, {"pageSize": "200"})

    def _fields(self, item: Mapping[str, Any]) -> JsonObject:
        return {"type": item["type"], "address": dict(item.get("labels", {})), **_marks(item)}

    def _body(self, wanted: Resource, fields: Sequence[str], there: Mapping[str, Any]) -> JsonObject:
        body: JsonObject = {name: wanted.fields[name] for name in ("type", "enabled") if name in fields}
        if "address" in fields:
            body["labels"] = wanted.fields["address"]
        return {**body, **_labels(wanted, fields, there)}


class Channels(_DisplayNameStore):
    """Notification channels; fields `type`, `address` (e.g. `email_address`), `labels`, `enabled`."""


class Alerts(_DisplayNameStore):
    """Alert policies; fields `match`, `filter`, `seconds`, `channels`, `documentation`, `labels`, `enabled`."""

    kind = ResourceKind.ALERT
    collection = "alertPolicies"

    def every(self) -> Iterator[Resource]:
        """See ResourceStore: one list of channels, one of alerts."""
        names = {name: shown for shown, name in self._channels().items()}
        for found in super().every():
            channels = sorted(names.get(name, name) for name in _channel_names(found.fields))
            yield Resource(found.ref, {**found.fields, "channels": channels})

    def _channels(self) -> dict[str, str]:
        """Display name -> resource name."""
        items = list(Channels(self._session).items())
        return {str(item.get("displayName", "")): str(item["name"]) for item in reversed(items)}

    def _fields(self, item: Mapping[str, Any]) -> JsonObject:
        condition = item.get("conditions", [{}])[0]
        pause = item.get("alertStrategy", {}).get("notificationRateLimit", {}).get("period", "0s")
        absent = condition.get("conditionAbsent", {})
        log = condition.get("conditionMatchedLog", {})
        return {
            "match": "log" if log else "absence" if absent else "other",
            "filter": (log or absent).get("filter", ""),
            "seconds": int(float(str(absent.get("duration", pause)).removesuffix("s"))),
            "channels": list(item.get("notificationChannels", [])),
            "documentation": item.get("documentation", {}).get("content", ""),
            **_marks(item),
        }

    def _body(self, wanted: Resource, fields: Sequence[str], there: Mapping[str, Any]) -> JsonObject:
        body: JsonObject = _labels(wanted, fields, there)
        if "enabled" in fields:
            body["enabled"] = wanted.fields["enabled"]
        if "documentation" in fields:
            body["documentation"] = {"content": wanted.fields["documentation"], "mimeType": "text/markdown"}
        if "channels" in fields:
            body["notificationChannels"] = self._resource_names(wanted)
        if {"match", "filter", "seconds"} & set(fields):
            body |= _condition(wanted)
        return body

    def _resource_names(self, wanted: Resource) -> list[str]:
        known, names = self._channels(), _channel_names(wanted.fields)
        missing = [name for name in names if name not in known]
        if missing:
            raise NotFoundError(f"{wanted.ref} names channel {missing[0]}, which is not there")
        return [known[name] for name in names]


def _channel_names(fields: Mapping[str, object]) -> list[str]:
    channels = fields["channels"]
    return [str(name) for name in channels] if isinstance(channels, list | tuple) else []


def _metric(item: Mapping[str, Any]) -> Resource:
    fields = {
        "filter": item["filter"],
        "description": item.get("description", ""),
        "disabled": bool(item.get("disabled", False)),
    }
    return Resource(Ref(ResourceKind.METRIC, str(item["name"])), fields)


def _marks(item: Mapping[str, Any]) -> JsonObject:
    return {"labels": dict(item.get("userLabels", {})), "enabled": bool(item.get("enabled", True))}


def _labels(wanted: Resource, fields: Sequence[str], there: Mapping[str, Any]) -> JsonObject:
    """Our labels, beside those of others."""
    mine = wanted.fields.get("labels", {})
    return (
        {"userLabels": {**there.get("userLabels", {}), **mine}}
        if "labels" in fields and isinstance(mine, Mapping)
        else {}
    )


def _condition(wanted: Resource) -> JsonObject:
    what, seconds = wanted.fields["filter"], f"{wanted.fields['seconds']}s"
    if wanted.fields["match"] == "log":
        condition = {"displayName": wanted.ref.name, "conditionMatchedLog": {"filter": what}}
        strategy: JsonObject = {"notificationRateLimit": {"period": seconds}}
    else:
        steps = [{"alignmentPeriod": _ALIGNMENT, "perSeriesAligner": "ALIGN_DELTA"}]
        absent = {"filter": what, "duration": seconds, "aggregations": steps}
        condition, strategy = {"displayName": wanted.ref.name, "conditionAbsent": absent}, {}
    return {"conditions": [condition], "combiner": "OR", "alertStrategy": strategy}
