"""Which APIs are switched on in a project (Service Usage v1).

In strict mode every API but Service Usage is off until somebody enables it. Otherwise the APIs that are served here are on
from the start, but for Cloud Run and Cloud Scheduler, which a new project at Google has to enable too; all others are off.
A switch is remembered, and takes effect for other APIs after the API lag (service_usage/disabled_apis.py).
"""

from collections.abc import Callable

from orchestra_creds.emulator.protocol import faults, rest, strict
from orchestra_creds.emulator.protocol.errors import invalid_error, not_found_error
from orchestra_creds.emulator.protocol.service import Caller, RestCall, Route, Service
from orchestra_creds.emulator.service_usage.known_services import KNOWN_SERVICES
from orchestra_creds.emulator.store import project_numbers
from orchestra_creds.emulator.store.store import Txn

TITLES = {
    "apikeys.googleapis.com": "API Keys API",
    "cloudresourcemanager.googleapis.com": "Cloud Resource Manager API",
    "iam.googleapis.com": "Identity and Access Management (IAM) API",
    "iamcredentials.googleapis.com": "IAM Service Account Credentials API",
    "logging.googleapis.com": "Cloud Logging API",
    "monitoring.googleapis.com": "Cloud Monitoring API",
    "orgpolicy.googleapis.com": "Organization Policy API",
    "policyanalyzer.googleapis.com": "Policy Analyzer API",
    "secretmanager.googleapis.com": "Secret Manager API",
    "serviceusage.googleapis.com": "Service Usage API",
    "storage.googleapis.com": "Cloud Storage API",
    "sts.googleapis.com": "Security Token Service API",
}
"""What is on from the start, but in strict mode."""
SERVICE_USAGE = "serviceusage.googleapis.com"
"""What is on from the start in strict mode, too, for it enables the others."""

_SWITCH = "service_switch"
_SERVICE = "google.api.serviceusage.v1.ServiceUsage"
_SUFFIX = ".googleapis.com"
_MOST = 20
"""Services that one batchEnable may name (cloud.google.com/service-usage/docs/reference/rest)."""


def is_callable(txn: Txn, project: str, service: str) -> bool:
    """Return whether calls to an API reach it: it is enabled, or nobody has disabled it and the mode is not strict."""
    lag = faults.lag(txn, faults.Lag.API)
    switched = txn.get(_SWITCH, f"projects/{project}/services/{service}", lag=lag)
    if switched is None:
        return service == SERVICE_USAGE or not strict.is_strict(txn)
    return switched == b"ENABLED"


def enable(txn: Txn, project: str, *services: str) -> None:
    """Enable APIs in a project, for example all that are served: `enable(txn, "demo-project", *TITLES)`."""
    for service in services:
        _set_state(txn, project, service, "ENABLED")


def _document(txn: Txn, project: str, service: str) -> rest.Document:
    if not service.endswith(_SUFFIX) or service.removesuffix(_SUFFIX) not in KNOWN_SERVICES:
        raise not_found_error(f"Not found or permission denied for service(s): {service[:200]}.")
    switched = txn.get(_SWITCH, f"projects/{project}/services/{service}")
    started = service == SERVICE_USAGE or (service in TITLES and not strict.is_strict(txn))
    state = switched.decode() if switched is not None else "ENABLED" if started else "DISABLED"
    shown = project_numbers.number_of(txn, project)
    return {
        "name": f"projects/{shown}/services/{service}",
        "parent": f"projects/{shown}",
        "config": {"name": service, "title": TITLES.get(service, service)},
        "state": state,
    }


def _get(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    return _document(txn, rest.project_id(call, txn), call.path["service"])


def _batch_get(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    names = [name.rpartition("/")[2] for name in call.query.get("names", "").split(",") if name]
    return {"services": [_document(txn, rest.project_id(call, txn), name) for name in names]}


def _list(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    project = rest.project_id(call, txn)
    switched = {row.name.rpartition("/")[2] for row in txn.children(_SWITCH, f"projects/{project}")}
    found = [_document(txn, project, service) for service in sorted(switched | set(TITLES))]
    wanted = call.query.get("filter", "").partition(":")[2] or call.query.get("filter", "").partition("=")[2]
    shown, more = rest.page([d for d in found if not wanted or d["state"] == wanted.strip()], call)
    return {"services": shown, **more}


def _switch(state: str) -> Callable[[RestCall, Caller, Txn], rest.Document]:
    def switch(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
        document = _set_state(txn, rest.project_id(call, txn), call.path["service"], state)
        kind = f"google.api.serviceusage.v1.{state.title().removesuffix('d')}ServiceResponse"
        return rest.operation(txn, "", kind, {"service": document})

    return switch


def _batch_enable(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    names = rest.body(call).get("serviceIds", [])
    if not isinstance(names, list) or not 0 < len(names) <= _MOST:
        raise invalid_error(f"One to {_MOST} services can be enabled at once.", field="service_ids")
    services = [_set_state(txn, rest.project_id(call, txn), str(name), "ENABLED") for name in names]
    kind = "google.api.serviceusage.v1.BatchEnableServicesResponse"
    return rest.operation(txn, "", kind, {"services": services})


def _set_state(txn: Txn, project: str, service: str, state: str) -> rest.Document:
    _document(txn, project, service)
    name = f"projects/{project}/services/{service}"
    if txn.get(_SWITCH, name) != state.encode():  # a switch that changes nothing does not restart the lag
        txn.put(_SWITCH, name, state.encode(), parent=f"projects/{project}")
    return _document(txn, project, service)


_ALL = "/v1/projects/{project}/services"
_ONE = f"{_ALL}/{{service}}"
_PREFIX = "serviceusage.services"

SERVICE = Service(
    routes=(
        Route("GET", _ALL, f"{_SERVICE}/ListServices", _list, f"{_PREFIX}.list", rest.project),
        Route("GET", f"{_ALL}:batchGet", f"{_SERVICE}/BatchGetServices", _batch_get, f"{_PREFIX}.list", rest.project),
        Route("GET", _ONE, f"{_SERVICE}/GetService", _get, f"{_PREFIX}.get", rest.project),
        Route("POST", f"{_ONE}:enable", f"{_SERVICE}/EnableService", _switch("ENABLED"), f"{_PREFIX}.enable", rest.project,
              mutates=True),
        Route("POST", f"{_ONE}:disable", f"{_SERVICE}/DisableService", _switch("DISABLED"), f"{_PREFIX}.disable",
              rest.project, mutates=True),
        Route("POST", f"{_ALL}:batchEnable", f"{_SERVICE}/BatchEnableServices", _batch_enable, f"{_PREFIX}.enable",
              rest.project, mutates=True),
    )
)  # fmt: skip
