"""Cloud Scheduler jobs; a name is `LOCATION/JOB`."""

from collections.abc import Iterable

from orchestra_creds.core.resources import ResourceKind
from orchestra_creds.setup.kind import Body, KindEntry, TerraformForm


def _arguments(name: str, fields: Body) -> Body:
    place, _, job = name.partition("/")
    token = {"service_account_email": fields["identity"]}
    return {
        "region": place,
        "name": job,
        "schedule": fields["cron"],
        "time_zone": fields["zone"],
        "description": fields["description"],
        "attempt_deadline": f"{fields['deadline']}s",
        "paused": fields["paused"],
        "retry_config": {"retry_count": fields["retries"]},
        "http_target": {"http_method": "POST", "uri": fields["uri"], "oauth_token": token},
    }


def _job(name: str, _fields: Body) -> Iterable[str]:
    return (name,)


ENTRY = KindEntry(
    ResourceKind.SCHEDULE,
    part="schedule",
    terraform=TerraformForm(
        "google_cloud_scheduler_job", _arguments, "projects/{project}/locations/{first}/jobs/{rest}"
    ),
    pulumi="cloudscheduler.Job",
    located=True,
    needs=_job,
    api="cloudscheduler.googleapis.com",
)
