"""Policy Analyzer: when keys and accounts authenticated last, to the day.

A day runs from 07:00Z to 07:00Z, as Google counts it. What happened is told at once; Google may take two days.
"""

import re
from datetime import datetime, timedelta

from orchestra_creds.emulator.iam import accounts, key_records
from orchestra_creds.emulator.protocol import rest
from orchestra_creds.emulator.protocol.errors import invalid_error
from orchestra_creds.emulator.protocol.service import Caller, PermissionNeed, RestCall, Route, Service
from orchestra_creds.emulator.store import project_numbers
from orchestra_creds.emulator.store.store import Txn

OF_KEYS = "serviceAccountKeyLastAuthentication"
OF_ACCOUNTS = "serviceAccountLastAuthentication"
DAY_STARTS = timedelta(hours=7)
OBSERVED = timedelta(days=90)
"""How far back activities are observed."""


def _query(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    kind = call.path["type"]
    if kind not in {OF_KEYS, OF_ACCOUNTS}:
        raise invalid_error(f"The activity type {kind[:64]} is not known.", field="parent")
    project = rest.project_id(call, txn)
    wanted = set(re.findall(r'"([^"]+)"', call.query.get("filter", "")))
    found: list[rest.Document] = []
    for row in txn.children(accounts.ACCOUNT, f"projects/{project}")[::-1]:
        account = accounts.ServiceAccount.FromString(row.body)
        keys = key_records.every(txn, account)
        uses = {key.id: key_records.last_use(txn, account, key.id) for key in keys}
        facts = {"projectNumber": project_numbers.number_of(txn, project), "serviceAccountId": account.unique_id}
        if kind == OF_ACCOUNTS:
            last = max((use for use in uses.values() if use is not None), default=None)
            found.append(_activity(txn, kind, row.name, "serviceAccount", facts, last))
            continue
        found += [
            _activity(txn, kind, f"{row.name}/keys/{key.id}", "serviceAccountKey", facts, uses[key.id])
            for key in keys
            if not key.system
        ]
    found = [activity for activity in found if not wanted or activity["fullResourceName"] in wanted]
    shown, more = rest.page(found, call, default=100)
    return {"activities": shown, **more}


def _activity(txn: Txn, kind: str, name: str, what: str, facts: rest.Document, last: datetime | None) -> rest.Document:
    full = f"//iam.googleapis.com/{name}"
    activity: rest.Document = {what: {**facts, "fullResourceName": full}}
    if last is not None:
        activity["lastAuthenticatedTime"] = _day(last)
    period = {"startTime": _day(txn.now - OBSERVED), "endTime": _day(txn.now)}
    return {"fullResourceName": full, "activityType": kind, "observationPeriod": period, "activity": activity}


def _day(moment: datetime) -> str:
    start = (moment - DAY_STARTS).replace(hour=0, minute=0, second=0, microsecond=0) + DAY_STARTS
    return start.strftime("%Y-%m-%dT%H:%M:%SZ")


def _needs(call: RestCall) -> tuple[PermissionNeed, ...]:
    kind = call.path["type"] if call.path["type"] in {OF_KEYS, OF_ACCOUNTS} else OF_KEYS
    return (PermissionNeed(f"policyanalyzer.{kind}Activities.query", rest.project(call)),)


SERVICE = Service(
    routes=(
        Route(
            "GET",
            "/v1/projects/{project}/locations/{location}/activityTypes/{type}/activities:query",
            "google.cloud.policyanalyzer.v1.PolicyAnalyzer/QueryActivity",
            _query,
            resource=rest.project,
            needs=_needs,
        ),
    )
)
