"""UsageSource over the two records that Google keeps of the use of keys: Cloud Monitoring, which counts, and Policy Analyzer.

Neither knows all. Policy Analyzer does not see calls of APIs outside of Google Cloud, such as those of Google Workspace; neither sees HMAC
keys of Cloud Storage (cloud.google.com/policy-intelligence/docs/service-account-usage-tools).
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestra_creds.core.key_usage import ProjectUsage, SourceUsage
from orchestra_creds.errors import UnavailableError
from orchestra_creds.gcp.session import ApiSession

MONITORING, ANALYZER = "Cloud Monitoring", "Policy Analyzer"
METRIC = "iam.googleapis.com/service_account/key/authn_events_count"
"""Authentications of a key: DELTA, INT64; resource `iam_service_account`, label `key_id` (cloud.google.com/monitoring/api/metrics_gcp_i_o)."""
SAMPLED = timedelta(seconds=600)
"""How often the metric is sampled."""
VISIBLE_AFTER = timedelta(seconds=10_800)
"""How long after a sample its data may be invisible."""
ALIGNED = timedelta(hours=1)
"""Counts are added up over so long, so that a month of a busy project fits into few pages."""
POINTS = 100_000
"""Points asked for at once; the API's largest page."""
ACTIVITY = "serviceAccountKeyLastAuthentication"
PAGE = 1000
"""Activities asked for at once; the API's largest page."""
DAY = timedelta(days=1)
"""Policy Analyzer tells the day of a use, which begins at 07:00 UTC."""


class MonitoringUsage:
    """Counts of authentications, by Cloud Monitoring."""

    def __init__(self, session: ApiSession) -> None:
        self._session = session

    def read_usage(self, project: str, since: datetime, now: datetime) -> ProjectUsage:
        """See UsageSource."""
        end = now - VISIBLE_AFTER - SAMPLED
        start = since - VISIBLE_AFTER - SAMPLED - ALIGNED
        last: dict[str, datetime] = {}
        for series in self._series(project, start, now):
            key_id = str(series.get("metric", {}).get("labels", {}).get("key_id", ""))
            for point in series.get("points", []):
                if _count(point.get("value", {})):
                    used = _time(point["interval"]["endTime"])
                    last[key_id] = max(used, last.get(key_id, used))
        by_key = {
            name: SourceUsage(MONITORING, start, end, used - ALIGNED - SAMPLED, used) for name, used in last.items()
        }
        return ProjectUsage(by_key, SourceUsage(MONITORING, start, end))

    def _series(self, project: str, start: datetime, end: datetime) -> Iterator[Mapping[str, Any]]:
        doing = f"ask Cloud Monitoring when keys of {project} were used"
        query = {
            "filter": f'metric.type = "{METRIC}" AND resource.type = "iam_service_account"',
            "interval.startTime": _text(start),
            "interval.endTime": _text(end),
            "aggregation.alignmentPeriod": f"{ALIGNED.total_seconds():.0f}s",
            "aggregation.perSeriesAligner": "ALIGN_SUM",
            "view": "FULL",
            "pageSize": str(POINTS),
        }
        while True:
            path = f"v3/projects/{project}/timeSeries"
            reply = self._session.rest(doing, "GET", "monitoring", path, query=query, repeatable=True)
            if reply.get("executionErrors") or reply.get("unreachable"):
                raise UnavailableError(f"cannot {doing}: the answer is not complete", hint="run it again")
            yield from reply.get("timeSeries", [])
            token = str(reply.get("nextPageToken", ""))
            if not token:
                return
            query = {**query, "pageToken": token}


class AnalyzerUsage:
    """Last authentications to the day, by Policy Analyzer; it has a period of observation for each key."""

    def __init__(self, session: ApiSession) -> None:
        self._session = session

    def read_usage(self, project: str, since: datetime, now: datetime) -> ProjectUsage:  # noqa: ARG002  it has one answer for all times
        """See UsageSource."""
        return ProjectUsage(dict(self._activities(project)), SourceUsage(ANALYZER))

    def last_uses(self, project: str) -> dict[str, datetime]:
        """Return the last authentication of each key of a project that was used, by key id; to the day (UTC)."""
        return {key_id: usage.earliest for key_id, usage in self._activities(project) if usage.earliest is not None}

    def _activities(self, project: str) -> Iterator[tuple[str, SourceUsage]]:
        doing = f"ask Policy Analyzer when keys of {project} were used"
        path = f"v1/projects/{project}/locations/global/activityTypes/{ACTIVITY}/activities:query"
        page = ""
        while True:
            query = {"pageSize": str(PAGE)} | ({"pageToken": page} if page else {})
            reply = self._session.rest(doing, "GET", "policyanalyzer", path, query=query, repeatable=True)
            for item in reply.get("activities", []):
                yield str(item.get("fullResourceName", "")).rpartition("/")[2], _activity(item)
            page = str(reply.get("nextPageToken", ""))
            if not page:
                return


def _activity(item: Mapping[str, Any]) -> SourceUsage:
    period, last = item.get("observationPeriod", {}), item.get("activity", {}).get("lastAuthenticatedTime", "")
    start, end = (_time(period[name]) if period.get(name) else None for name in ("startTime", "endTime"))
    if not last:
        return SourceUsage(ANALYZER, start, end)
    return SourceUsage(ANALYZER, start, end, _time(last), _time(last) + DAY)


def _count(value: Mapping[str, Any]) -> float:
    """Return the number of a point, which JSON writes as a text if it is an integer."""
    return float(value.get("int64Value", value.get("doubleValue", 0)))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
