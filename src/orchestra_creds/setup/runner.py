"""The daily run in the cloud, as `setup` shall bring it about: a Cloud Run job, a schedule that starts it, and the right to start it. Pure.

The job runs as an account that exists already, from an image that is named by its digest: a tag can be moved to other code, and whoever
moves it would have the account. Nothing of a credential is in the job: it reads what is due from the labels of the secrets.
"""

import re
from collections.abc import Sequence

from orchestra_creds.core.resources import Desired, Grant, Kind, Ref, Resource
from orchestra_creds.errors import ConfigError

INVOKER = "roles/run.invoker"
SERVICES = ("cloudscheduler.googleapis.com", "run.googleapis.com")
LABELS = {"managed-by": "orchestra-creds"}
TIMEOUT = 3600
"""Seconds that a run may take: as the unit of systemd allows."""
_IMAGE = re.compile(r"[a-z0-9][a-z0-9./_-]*(:[A-Za-z0-9._-]+)?@sha256:[0-9a-f]{64}")
_IDENTITY = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]@[a-z0-9.:-]+\.iam\.gserviceaccount\.com")
_REGION = re.compile(r"[a-z]+-[a-z]+[0-9]{1,2}")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,47}[a-z0-9]")


def cloud_run_job(
    project: str,
    *,
    image: str,
    identity: str,
    region: str,
    cron: str,
    arguments: Sequence[str],
    name: str = "orchestra-creds-rotate",
) -> Desired:
    """What the project shall hold; `cron` is five fields in UTC, `identity` a mail address.

    Raises:
        ConfigError: one of them cannot be.
    """
    if not _IMAGE.fullmatch(image):
        raise ConfigError(
            f"image {image!r} is not named by its digest",
            hint="REGISTRY/NAME@sha256:DIGEST, as `docker push` and the registry tell it: a tag can be moved to other code",
        )
    if not _IDENTITY.fullmatch(identity):
        raise ConfigError(f"identity {identity!r} is no service account", hint="name its mail address: --identity MAIL")
    if not _REGION.fullmatch(region):
        raise ConfigError(f"{region!r} is no region", hint="such as --region us-central1")
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no name of a job", hint="lower-case letters, digits and hyphens, at most 49")
    path = f"projects/{project}/locations/{region}/jobs/{name}"
    job = {
        "image": image,
        "identity": identity,
        "arguments": list(arguments),
        "environment": {},
        "labels": LABELS,
        "timeout": TIMEOUT,
        "retries": 0,
    }
    schedule = {
        "cron": cron,
        "zone": "Etc/UTC",
        "uri": f"https://run.googleapis.com/v2/{path}:run",
        "identity": identity,
        "description": "Daily rotation [orchestra-creds]",
        "deadline": 180,
        "retries": 1,
        "paused": False,
    }
    return Desired(
        project=project,
        resources=(
            *(Resource(Ref(Kind.SERVICE, service)) for service in SERVICES),
            Resource(Ref(Kind.JOB, f"{region}/{name}"), job),
            Resource(Ref(Kind.SCHEDULE, f"{region}/{name}"), schedule),
        ),
        grants=(Grant(path, INVOKER, f"serviceAccount:{identity}"),),
    )
