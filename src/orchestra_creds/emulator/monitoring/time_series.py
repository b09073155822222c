"""Time series (Monitoring v3): one metric, how often the keys of service accounts authenticated.

A sample is visible when its ten minutes are over and the lag `usage` has passed: in strict mode three hours, the longest at Google. Served
are equalities joined by AND as filter, and the aligners that add up or count; other metrics and reducers are refused.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from orchestra_creds.emulator.iam import key_events
from orchestra_creds.emulator.protocol import faults, rest
from orchestra_creds.emulator.protocol.errors import EmuError, invalid_error, not_found_error
from orchestra_creds.emulator.protocol.service import Caller, RestCall, Route, Service
from orchestra_creds.emulator.store.store import Txn

METRIC = "iam.googleapis.com/service_account/key/authn_events_count"
RESOURCE = "iam_service_account"
_LARGEST_PAGE = 100_000
_SHORTEST_ALIGNMENT = 60
_ALIGNERS: Mapping[str, Callable[[list[int]], int]] = {"ALIGN_DELTA": sum, "ALIGN_SUM": sum, "ALIGN_COUNT": len}
"""Aligners whose result is an integer again; a period without a sample has no point."""
_RESTRICTION = re.compile(r'\s*([a-z_]+(?:\.[a-z_]+)+)\s*=\s*"([^"]*)"\s*')
_VIEWS = frozenset({"", "FULL", "HEADERS"})


def _list(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    project, query = rest.project_id(call, txn), call.query
    wanted = _restrictions(query.get("filter", ""))
    kind = wanted.pop("metric.type", "")
    if not kind:
        raise invalid_error('The filter must have a restriction on "metric.type".', field="filter")
    if kind != METRIC:
        raise not_found_error(f'Cannot find metric(s) that match type = "{kind[:200]}".')
    if query.get("view", "") not in _VIEWS:
        raise invalid_error("The view is FULL or HEADERS.", field="view")
    if query.get("aggregation.crossSeriesReducer", "REDUCE_NONE") != "REDUCE_NONE":
        raise invalid_error("The embedded cloud serves no reducer.", field="aggregation.cross_series_reducer")
    end = _moment(query, "interval.endTime")
    start = _moment(query, "interval.startTime") if "interval.startTime" in query else end
    if start > end:
        raise invalid_error("The start of the interval is after its end.", field="interval.start_time")
    visible = txn.now.timestamp() - faults.lag(txn, faults.Lag.USAGE)
    found: list[tuple[rest.Document, list[rest.Document]]] = []
    for events in key_events.of_project(txn, project):
        labels = {
            "resource.type": RESOURCE,
            "resource.labels.project_id": project,
            "resource.labels.unique_id": events.unique_id,
            "metric.labels.key_id": events.key_id,
        }
        if any(labels.get(name.replace(".label.", ".labels.")) != text for name, text in wanted.items()):
            continue
        counts = [(at, count) for at, count in events.counts if start < at <= end and at <= visible]
        points = _points(counts, end, query)
        if points:
            found.append((_header(project, events), points))
    return {**_page(found, call, headers=query.get("view") == "HEADERS"), "unit": "1"}


def _restrictions(text: str) -> dict[str, str]:
    """The equalities of a filter."""
    found: dict[str, str] = {}
    for part in re.split(r"\bAND\b", text):
        match = _RESTRICTION.fullmatch(part)
        if match is None:
            raise invalid_error(
                'Unparseable filter: the embedded cloud reads FIELD = "TEXT" joined by AND.', field="filter"
            )
        found[match[1]] = match[2]
    return found


def _moment(query: Any, name: str) -> float:
    try:
        return datetime.fromisoformat(query.get(name, "")).timestamp()
    except ValueError:
        raise invalid_error(f"Field {name} must be a time.", field=name) from None


def _points(counts: list[tuple[int, int]], end: float, query: Any) -> list[rest.Document]:
    """The points of a series, the last one first."""
    aligner = query.get("aggregation.perSeriesAligner", "ALIGN_NONE")
    if aligner == "ALIGN_NONE":
        return [_point(at - key_events.SAMPLED, at, count) for at, count in reversed(counts)]
    if aligner not in _ALIGNERS:
        raise invalid_error("The embedded cloud does not serve this aligner.", field="aggregation.per_series_aligner")
    period = _seconds(query.get("aggregation.alignmentPeriod", ""))
    periods: dict[int, list[int]] = {}
    for at, count in counts:
        periods.setdefault(math.floor((end - at) / period), []).append(count)
    align = _ALIGNERS[aligner]
    return [
        _point(end - (back + 1) * period, end - back * period, align(inside))
        for back, inside in sorted(periods.items())
    ]


def _seconds(text: str) -> int:
    match = re.fullmatch(r"([0-9]+)(\.0+)?s", text)
    if match is None or int(match[1]) < _SHORTEST_ALIGNMENT:
        raise _alignment_error()
    return int(match[1])


def _alignment_error() -> EmuError:
    return invalid_error(
        f"An aligner needs a period of at least {_SHORTEST_ALIGNMENT} seconds.", field="aggregation.alignment_period"
    )


def _point(start: float, end: float, count: int) -> rest.Document:
    return {"interval": {"startTime": _text(start), "endTime": _text(end)}, "value": {"int64Value": str(count)}}


def _text(seconds: float) -> str:
    return rest.stamp(datetime.fromtimestamp(seconds, UTC))


def _header(project: str, events: key_events.KeyEvents) -> rest.Document:
    return {
        "metric": {"type": METRIC, "labels": {"key_id": events.key_id}},
        "resource": {"type": RESOURCE, "labels": {"project_id": project, "unique_id": events.unique_id}},
        "metricKind": "DELTA",
        "valueType": "INT64",
    }


def _page(found: list[tuple[rest.Document, list[rest.Document]]], call: RestCall, *, headers: bool) -> rest.Document:
    """One page: of series with `headers`, else of points, so that a series may go on in the next page."""
    largest = {**call.query, "pageSize": str(min(int(call.query.get("pageSize") or 0) or _LARGEST_PAGE, _LARGEST_PAGE))}
    limited = RestCall(call.path, largest)
    if headers:
        shown, more = rest.page([header for header, _ in found], limited)
        return {"timeSeries": shown, **more}
    flat = [{"number": number, "point": point} for number, (_, points) in enumerate(found) for point in points]
    cut, more = rest.page(flat, limited)
    by_series: dict[int, list[Any]] = {}
    for one in cut:
        by_series.setdefault(one["number"], []).append(one["point"])
    return {"timeSeries": [{**found[number][0], "points": points} for number, points in by_series.items()], **more}


SERVICE = Service(
    routes=(
        Route(
            "GET",
            "/v3/projects/{project}/timeSeries",
            "google.monitoring.v3.MetricService/ListTimeSeries",
            _list,
            "monitoring.timeSeries.list",
            rest.project,
        ),
    )
)
