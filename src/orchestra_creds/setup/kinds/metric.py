"""Log metrics."""

from orchestra_creds.core.resources import ResourceKind
from orchestra_creds.setup.kind import Body, KindEntry, TerraformForm


def _arguments(name: str, fields: Body) -> Body:
    return {"name": name, **fields, "metric_descriptor": {"metric_kind": "DELTA", "value_type": "INT64", "unit": "1"}}


ENTRY = KindEntry(
    ResourceKind.METRIC,
    part="alerts",
    terraform=TerraformForm("google_logging_metric", _arguments, "{name}"),
    pulumi="logging.Metric",
    api="logging.googleapis.com",
)
