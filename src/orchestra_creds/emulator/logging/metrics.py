"""Log metrics (Logging v2): kept, not counted. An update makes a metric that is not there, as at Google."""

import json
import re

from orchestra_creds.emulator.logging import log_filters
from orchestra_creds.emulator.protocol import faults, rest
from orchestra_creds.emulator.protocol.errors import already_exists_error, invalid_error
from orchestra_creds.emulator.protocol.service import Caller, RestCall, Route, Service
from orchestra_creds.emulator.store.store import Txn

KIND = "log_metric"
_SERVICE = "google.logging.v2.MetricsServiceV2"
_ID = re.compile(r"[A-Za-z0-9_.,+!*'()%-]{1,100}")
_PREFIX_OF_USERS = "logging.googleapis.com/user/"
_LONGEST_FILTER = 20_000
_SHAPES = {"name": str, "description": str, "filter": str, "disabled": bool, "labelExtractors": dict}
_KEPT = frozenset({"description", "filter", "disabled", "labelExtractors", "metricDescriptor", "valueExtractor"})


def is_visible(txn: Txn, parent: str, kind: str) -> bool:
    """Return whether alerts of a project see the metric of a kind, `logging.googleapis.com/user/NAME`; others are all seen."""
    prefix, _, name = kind.partition(_PREFIX_OF_USERS)
    lag = faults.lag(txn, faults.Lag.METRIC)
    return bool(prefix) or txn.get(KIND, f"{parent}/metrics/{name}", lag=lag) is not None


def _load(call: RestCall, txn: Txn) -> rest.Document:
    return rest.load(txn, KIND, f"{rest.stored_project(call, txn)}/metrics/{call.path['metric']}", what="Metric")


def _create(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    wanted = rest.body(call)
    if txn.get(KIND, f"{rest.stored_project(call, txn)}/metrics/{wanted.get('name')}") is not None:
        raise already_exists_error(f"Metric {wanted['name']} already exists.")
    return _save(call, txn, wanted, rest.stamp(txn.now))


def _update(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    wanted, name = rest.body(call), call.path["metric"]
    stored = txn.get(KIND, f"{rest.stored_project(call, txn)}/metrics/{name}")
    if wanted.get("name", name) != name:
        raise invalid_error("The metric's name must be that of the request.", field="metric.name")
    made = rest.stamp(txn.now) if stored is None else json.loads(stored)["createTime"]
    return _save(call, txn, {**wanted, "name": name}, made)


def _save(call: RestCall, txn: Txn, wanted: rest.Document, made: str) -> rest.Document:
    rest.expect(wanted, _SHAPES)
    name, parent = wanted.get("name") or "", rest.stored_project(call, txn)
    if not _ID.fullmatch(name):
        raise invalid_error("A metric needs a name of at most 100 characters.", field="metric.name")
    if not wanted.get("filter") or len(wanted["filter"]) > _LONGEST_FILTER:
        raise invalid_error("A metric needs a filter of at most 20,000 characters.", field="metric.filter")
    log_filters.require_readable(wanted["filter"], "metric.filter")
    own = wanted.get("metricDescriptor") or {}
    if not isinstance(own, dict):
        raise invalid_error('Invalid value at "metric_descriptor".', field="metric.metric_descriptor")
    kind = f"{_PREFIX_OF_USERS}{name}"
    descriptor = {"metricKind": "DELTA", "valueType": "INT64", "unit": "1", **own, "type": kind}
    document = {
        **{field: wanted[field] for field in sorted(_KEPT) if field in wanted},
        "name": name,
        "metricDescriptor": {**descriptor, "name": f"{parent}/metricDescriptors/{kind}"},
        "createTime": made,
        "updateTime": rest.stamp(txn.now),
    }
    return rest.save(txn, KIND, f"{parent}/metrics/{name}", document, parent=parent)


def _get(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    return _load(call, txn)


def _list(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    rows = txn.children(KIND, rest.stored_project(call, txn))
    found = sorted((json.loads(row.body) for row in rows), key=lambda metric: str(metric["name"]))
    shown, more = rest.page(found, call)
    return {"metrics": shown, **more}


def _delete(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    txn.delete(KIND, f"{rest.stored_project(call, txn)}/metrics/{_load(call, txn)['name']}")
    return {}


_ALL = "/v2/projects/{project}/metrics"
_ONE = f"{_ALL}/{{metric}}"
_PREFIX = "logging.logMetrics"

SERVICE = Service(
    routes=(
        Route("POST", _ALL, f"{_SERVICE}/CreateLogMetric", _create, f"{_PREFIX}.create", rest.project, mutates=True),
        Route("GET", _ALL, f"{_SERVICE}/ListLogMetrics", _list, f"{_PREFIX}.list", rest.project),
        Route("GET", _ONE, f"{_SERVICE}/GetLogMetric", _get, f"{_PREFIX}.get", rest.project),
        Route("PUT", _ONE, f"{_SERVICE}/UpdateLogMetric", _update, f"{_PREFIX}.update", rest.project, mutates=True),
        Route("DELETE", _ONE, f"{_SERVICE}/DeleteLogMetric", _delete, f"{_PREFIX}.delete", rest.project, mutates=True),
    )
)
