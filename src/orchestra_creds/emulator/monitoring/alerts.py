"""Alert policies and notification channels (Monitoring v3): kept and checked, never told to anybody.

Checked is what Google refuses: an alert on log entries without a notification rate limit, a channel that is not there, an absence
outside of 2 minutes to 23.5 hours, a channel without an address, and deleting a channel that an alert names, unless forced.
"""

import json
import re
import secrets
from collections.abc import Callable

from orchestra_creds.emulator.logging import log_filters, metrics
from orchestra_creds.emulator.protocol import rest, strict
from orchestra_creds.emulator.protocol.errors import invalid_error, not_found_error, precondition_error
from orchestra_creds.emulator.protocol.service import Caller, RestCall, Route, Service
from orchestra_creds.emulator.store.store import Txn

ALERTS = "alertPolicies"
CHANNELS = "notificationChannels"
_ADDRESS = {
    "email": "email_address",
    "pubsub": "topic",
    "sms": "number",
    "webhook_tokenauth": "url",
    "slack": "channel_name",
}
"""Types of channels and the label that each needs (cloud.google.com/monitoring/api/ref_v3, channel descriptors)."""
_KINDS = frozenset(
    {
        "conditionThreshold", "conditionAbsent", "conditionMatchedLog", "conditionMonitoringQueryLanguage",
        "conditionPrometheusQueryLanguage", "conditionSql",
    }
)  # fmt: skip
_EMAIL = re.compile(r"[^\s@]+@[^\s@.]+(\.[^\s@.]+)+")
_COMBINERS = frozenset({"AND", "OR", "AND_WITH_MATCHING_RESOURCE"})
_MOST_CONDITIONS = 6
_ABSENCE = (120, 84_600)
"""Seconds an absence may last (cloud.google.com/monitoring/alerts/concepts-indepth)."""
_MUTABLE = {
    ALERTS: frozenset(
        {
            "displayName", "documentation", "userLabels", "conditions", "combiner", "enabled", "notificationChannels",
            "alertStrategy", "severity",
        }
    ),
    CHANNELS: frozenset({"type", "displayName", "description", "labels", "userLabels", "enabled"}),
}  # fmt: skip
_SHAPES = {
    ALERTS: {"displayName": str, "userLabels": dict, "combiner": str, "enabled": bool, "notificationChannels": list},
    CHANNELS: {
        "type": str,
        "displayName": str,
        "description": str,
        "labels": dict,
        "userLabels": dict,
        "enabled": bool,
    },
}
_Handler = Callable[[RestCall, Caller, Txn], rest.Document]


def _load(kind: str, call: RestCall, txn: Txn) -> rest.Document:
    return rest.load(txn, kind, f"{rest.stored_project(call, txn)}/{kind}/{call.path['id']}")


def _create(kind: str) -> _Handler:
    def create(call: RestCall, caller: Caller, txn: Txn) -> rest.Document:
        wanted, parent = rest.body(call), rest.stored_project(call, txn)
        name = f"{parent}/{kind}/{10**18 + secrets.randbelow(9 * 10**18)}"
        made = {"mutateTime": rest.stamp(txn.now), "mutatedBy": caller.principal.partition(":")[2]}
        document = {field: wanted[field] for field in sorted(_MUTABLE[kind]) if field in wanted}
        return _save(kind, txn, parent, {"enabled": True, **document, "name": name, "creationRecord": made})

    return create


def _save(kind: str, txn: Txn, parent: str, document: rest.Document) -> rest.Document:
    rest.expect(document, _SHAPES[kind])
    checked = _alert(txn, document) if kind == ALERTS else _channel(document)
    return rest.save(txn, kind, document["name"], checked, parent=parent)


def _channel(channel: rest.Document) -> rest.Document:
    if channel.get("type") not in _ADDRESS:
        raise invalid_error(f"Unknown type of channel: {str(channel.get('type', ''))[:64]}.", field="type")
    needed = _ADDRESS[channel["type"]]
    if not channel.get("labels", {}).get(needed):
        raise invalid_error(f"A channel of type {channel['type']} needs the label {needed}.", field="labels")
    if channel["type"] == "email" and not _EMAIL.fullmatch(channel["labels"][needed]):
        raise invalid_error(f"The label {needed} is no mail address.", field="labels")
    return channel


def _alert(txn: Txn, alert: rest.Document) -> rest.Document:
    conditions = alert.get("conditions")
    if not alert.get("displayName"):
        raise invalid_error("An alert policy needs a display name.", field="alert_policy.display_name")
    if alert.get("combiner") not in _COMBINERS:
        raise invalid_error("An alert policy needs a combiner.", field="alert_policy.combiner")
    if not isinstance(conditions, list) or not 0 < len(conditions) <= _MOST_CONDITIONS:
        raise invalid_error(f"An alert policy has 1 to {_MOST_CONDITIONS} conditions.", field="alert_policy.conditions")
    for name in alert.get("notificationChannels", []):
        if txn.get(CHANNELS, name) is None:
            raise invalid_error(
                f"Notification channel {name} does not exist.", field="alert_policy.notification_channels"
            )
    checked = [_condition(txn, alert, condition) for condition in conditions]
    if len(checked) > 1 and any("conditionMatchedLog" in one for one in checked):
        raise invalid_error("A condition on log entries stands alone.", field="alert_policy.conditions")
    return {**alert, "conditions": checked}


def _require_metric(txn: Txn, project: str, text: str, field: str) -> None:
    """Refuse a filter without a kind of resource, or on a log metric that is not there or not seen yet."""
    named = log_filters.restrictions(text)
    if "resource.type" not in named:
        raise invalid_error(
            f'Field {field} had an invalid value of "{text[:200]}": must specify a restriction on "resource.type" in the'
            ' filter; see "https://cloud.google.com/monitoring/api/resources" for a list of available resource types.',
            field=field,
        )
    kind = named.get("metric.type", "")
    if not metrics.is_visible(txn, project, kind):
        raise not_found_error(
            f'Cannot find metric(s) that match type = "{kind}". If a metric was created recently, it could take up to 10'
            " minutes to become available. Please try again soon."
        )


def _condition(txn: Txn, alert: rest.Document, condition: rest.Document) -> rest.Document:
    kinds = [kind for kind in _KINDS if isinstance(condition, dict) and kind in condition]
    if len(kinds) != 1 or not isinstance(condition[kinds[0]], dict):
        raise invalid_error("A condition is of exactly one kind.", field="alert_policy.conditions")
    inner, where = condition[kinds[0]], "alert_policy.conditions"
    if kinds[0] in {"conditionMatchedLog", "conditionAbsent", "conditionThreshold"} and not inner.get("filter"):
        raise invalid_error("A condition needs a filter.", field=f"{where}.filter")
    if isinstance(inner.get("filter"), str):
        log_filters.require_readable(inner["filter"], f"{where}.filter")
        if kinds[0] != "conditionMatchedLog" and strict.is_strict(txn):
            _require_metric(txn, alert["name"].rpartition(f"/{ALERTS}/")[0], inner["filter"], f"{where}.filter")
    if kinds[0] == "conditionMatchedLog":
        limit = (alert.get("alertStrategy") or {}).get("notificationRateLimit") or {}
        if not _seconds(limit.get("period")):
            raise invalid_error(
                "An alert on log entries needs a notification rate limit.", field="alert_policy.alert_strategy"
            )
    if kinds[0] == "conditionAbsent":
        window = _seconds(inner.get("duration"))
        if not _ABSENCE[0] <= window <= _ABSENCE[1] or window % 60:
            raise invalid_error("An absence lasts whole minutes, 2 minutes to 23.5 hours.", field=f"{where}.duration")
    return {"name": f"{alert['name']}/conditions/{10**18 + secrets.randbelow(9 * 10**18)}", **condition}


def _seconds(duration: object) -> int:
    """A duration in whole seconds; 0 for what is none."""
    match = re.fullmatch(r"([0-9]+)(\.0+)?s", duration) if isinstance(duration, str) else None
    return int(match[1]) if match else 0


def _get(kind: str) -> _Handler:
    return lambda call, _caller, txn: _load(kind, call, txn)


def _list(kind: str) -> _Handler:
    def every(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
        found = [json.loads(row.body) for row in txn.children(kind, rest.stored_project(call, txn))[::-1]]
        shown, more = rest.page(found, call)
        return {kind: shown, "totalSize": len(found), **more}

    return every


def _patch(kind: str) -> _Handler:
    def patch(call: RestCall, caller: Caller, txn: Txn) -> rest.Document:
        changed = rest.apply_mask(
            _load(kind, call, txn), rest.body(call), call.query.get("updateMask", ""), _MUTABLE[kind]
        )
        record = {"mutateTime": rest.stamp(txn.now), "mutatedBy": caller.principal.partition(":")[2]}
        records = {"mutationRecord": record} if kind == ALERTS else {"mutationRecords": [record]}
        return _save(kind, txn, rest.stored_project(call, txn), {**changed, **records})

    return patch


def _delete_alert(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    txn.delete(ALERTS, _load(ALERTS, call, txn)["name"])
    return {}


def _delete_channel(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    name = _load(CHANNELS, call, txn)["name"]
    users = [json.loads(row.body) for row in txn.children(ALERTS, rest.stored_project(call, txn))]
    users = [alert for alert in users if name in alert.get("notificationChannels", [])]
    if users and not rest.flag(call, "force"):
        raise precondition_error(f"Channel {name} is used by alert policy {users[0]['name']}.")
    for alert in users:
        kept = [channel for channel in alert["notificationChannels"] if channel != name]
        rest.save(txn, ALERTS, alert["name"], {**alert, "notificationChannels": kept})
    txn.delete(CHANNELS, name)
    return {}


def _routes(kind: str, service: str, noun: str, plural: str, delete: _Handler) -> tuple[Route, ...]:
    every, one = f"/v3/projects/{{project}}/{kind}", f"/v3/projects/{{project}}/{kind}/{{id}}"
    full, prefix = f"google.monitoring.v3.{service}", f"monitoring.{kind}"
    return (
        Route("POST", every, f"{full}/Create{noun}", _create(kind), f"{prefix}.create", rest.project, mutates=True),
        Route("GET", every, f"{full}/List{plural}", _list(kind), f"{prefix}.list", rest.project),
        Route("GET", one, f"{full}/Get{noun}", _get(kind), f"{prefix}.get", rest.project),
        Route("PATCH", one, f"{full}/Update{noun}", _patch(kind), f"{prefix}.update", rest.project, mutates=True),
        Route("DELETE", one, f"{full}/Delete{noun}", delete, f"{prefix}.delete", rest.project, mutates=True),
    )


SERVICE = Service(
    routes=(
        *_routes(ALERTS, "AlertPolicyService", "AlertPolicy", "AlertPolicies", _delete_alert),
        *_routes(
            CHANNELS, "NotificationChannelService", "NotificationChannel", "NotificationChannels", _delete_channel
        ),
    )
)
