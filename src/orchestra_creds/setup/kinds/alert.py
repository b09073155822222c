"""Alert policies, by their display name."""

import re
from collections.abc import Iterable

from orchestra_creds.core.resources import ResourceKind
from orchestra_creds.setup.kind import Body, KindEntry, TerraformForm

_METRIC = re.compile(r"logging\.googleapis\.com/user/([\w.-]+)")


def _arguments(name: str, fields: Body) -> Body:
    seconds = f"{fields['seconds']}s"
    condition: dict[str, object] = {"display_name": name}
    strategy: dict[str, object] = {}
    if fields["match"] == "log":
        condition["condition_matched_log"] = {"filter": fields["filter"]}
        strategy = {"alert_strategy": {"notification_rate_limit": {"period": seconds}}}
    else:
        steps = [{"alignment_period": "60s", "per_series_aligner": "ALIGN_DELTA"}]
        condition["condition_absent"] = {"filter": fields["filter"], "duration": seconds, "aggregations": steps}
    return {
        "display_name": name,
        "combiner": "OR",
        "conditions": [condition],
        **strategy,
        "notification_channels": fields["channels"],
        "documentation": {"content": fields["documentation"], "mime_type": "text/markdown"},
        "user_labels": fields["labels"],
        "enabled": fields["enabled"],
    }


def _channels_and_metrics(_name: str, fields: Body) -> Iterable[str]:
    channels = fields.get("channels", ())
    metrics = _METRIC.findall(str(fields.get("filter", "")))
    return [*(channels if isinstance(channels, list) else ()), *metrics]


ENTRY = KindEntry(
    ResourceKind.ALERT,
    part="alerts",
    terraform=TerraformForm("google_monitoring_alert_policy", _arguments),
    pulumi="monitoring.AlertPolicy",
    needs=_channels_and_metrics,
    references={"notification_channels": ResourceKind.CHANNEL},
    api="monitoring.googleapis.com",
)
