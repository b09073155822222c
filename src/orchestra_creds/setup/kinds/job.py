"""Cloud Run jobs; a name is `LOCATION/JOB`."""

from collections.abc import Mapping

from orchestra_creds.core import google
from orchestra_creds.core.resources import ResourceKind
from orchestra_creds.setup.kind import Body, KindEntry, PolicyForm, TerraformForm


def _arguments(name: str, fields: Body) -> Body:
    place, _, job = name.partition("/")
    environment = fields["environment"]
    variables = (
        [{"name": variable, "value": value} for variable, value in sorted(environment.items())]
        if isinstance(environment, Mapping)
        else []
    )
    container = {"image": fields["image"], "args": fields["arguments"], **({"env": variables} if variables else {})}
    task = {
        "service_account": fields["identity"],
        "timeout": f"{fields['timeout']}s",
        "max_retries": fields["retries"],
        "containers": [container],
    }
    return {"location": place, "name": job, "labels": fields["labels"], "template": {"template": task}}


def _policy_arguments(project: str, name: str, _holder: str) -> Body:
    place, _, job = name.partition("/")
    return {"project": project, "location": place, "name": job}


ENTRY = KindEntry(
    ResourceKind.JOB,
    part="schedule",
    terraform=TerraformForm("google_cloud_run_v2_job", _arguments, "projects/{project}/locations/{first}/jobs/{rest}"),
    pulumi="cloudrunv2.Job",
    policy=PolicyForm(
        "projects/{project}/locations/{first}/jobs/{rest}",
        terraform="google_cloud_run_v2_job_iam_member",
        pulumi="cloudrunv2.JobIamMember",
        arguments=_policy_arguments,
    ),
    grant_role=google.RUN_INVOKER,
    located=True,
    api="run.googleapis.com",
)
