"""Notification channels, by their display name."""

from orchestra_creds.core.resources import ResourceKind
from orchestra_creds.setup.kind import Body, KindEntry, TerraformForm


def _arguments(name: str, fields: Body) -> Body:
    body = {"type": fields["type"], "labels": fields["address"], "user_labels": fields["labels"]}
    return {"display_name": name, **body, "enabled": fields["enabled"]}


ENTRY = KindEntry(
    ResourceKind.CHANNEL,
    part="alerts",
    terraform=TerraformForm("google_monitoring_notification_channel", _arguments),
    pulumi="monitoring.NotificationChannel",
    api="monitoring.googleapis.com",
)
