"""The daily run in the cloud: a Cloud Run job, a schedule that starts it, and the right to start it; made by `setup`, removed here.

The job runs as an account that exists already, from an image that is named by its digest: a tag can be moved to other code, and whoever
moves it would have the account. Nothing of a credential is in the job: it reads what is due from the labels of the secrets.
"""

import re
from collections.abc import Mapping, Sequence

from orchestra_creds.core.accounts import require_identity
from orchestra_creds.core.google import MANAGED_LABELS, RUN_INVOKER
from orchestra_creds.core.resources import DesiredState, Grant, Ref, RemovableStore, Resource, ResourceKind
from orchestra_creds.errors import ConfigError, NotFoundError, PreconditionError, UnavailableError

NAME = "orchestra-creds-rotate"
MARK = "[orchestra-creds]"
"""Stands in the description of a schedule that is ours: schedules have no labels."""
SERVICES = ("cloudscheduler.googleapis.com", "run.googleapis.com")
TIMEOUT = 3600
"""Seconds that a run may take: as the unit of systemd allows."""
_IMAGE = re.compile(r"[a-z0-9][a-z0-9./_-]*(:[A-Za-z0-9._-]+)?@sha256:[0-9a-f]{64}")
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
    name: str = NAME,
) -> DesiredState:
    """What the project shall hold; `cron` is five fields in UTC, `identity` a mail address.

    Raises:
        ConfigError: one of them cannot be.
    """
    if not _IMAGE.fullmatch(image):
        raise ConfigError(
            f"image {image!r} is not named by its digest",
            hint="REGISTRY/NAME@sha256:DIGEST, as `docker push` and the registry tell it: a tag can be moved to other code",
        )
    require_identity(identity)
    _require_region(region)
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no name of a job", hint="lower-case letters, digits and hyphens, at most 49")
    path = f"projects/{project}/locations/{region}/jobs/{name}"
    job = {
        "image": image,
        "identity": identity,
        "arguments": list(arguments),
        "environment": {},
        "labels": MANAGED_LABELS,
        "timeout": TIMEOUT,
        "retries": 0,
    }
    schedule = {
        "cron": cron,
        "zone": "Etc/UTC",
        "uri": f"https://run.googleapis.com/v2/{path}:run",
        "identity": identity,
        "description": f"Daily rotation {MARK}",
        "deadline": 180,
        "retries": 1,
        "paused": False,
    }
    return DesiredState(
        project=project,
        resources=(
            *(Resource(Ref(ResourceKind.SERVICE, service)) for service in SERVICES),
            Resource(Ref(ResourceKind.JOB, f"{region}/{name}"), job),
            Resource(Ref(ResourceKind.SCHEDULE, f"{region}/{name}"), schedule),
        ),
        grants=(Grant(path, RUN_INVOKER, f"serviceAccount:{identity}"),),
    )


def existing_resources(stores: Mapping[ResourceKind, RemovableStore], region: str) -> list[Resource]:
    """What of it is there: the schedule first, for then nothing starts the job any more."""
    _require_region(region)
    found = (stores[kind].find(Ref(kind, f"{region}/{NAME}")) for kind in (ResourceKind.SCHEDULE, ResourceKind.JOB))
    return [resource for resource in found if resource is not None]


def remove(stores: Mapping[ResourceKind, RemovableStore], found: Sequence[Resource]) -> None:
    """Delete these, in this order; one that is gone by now is none to delete, and a lost reply is looked up.

    Raises:
        PreconditionError: one of them was not made by us, and nothing was deleted; or it was changed since it was looked at.
    """
    for resource in found:
        labels = resource.fields.get("labels")
        labelled = isinstance(labels, Mapping) and labels.items() >= MANAGED_LABELS.items()
        if not labelled and MARK not in str(resource.fields.get("description", "")):
            raise PreconditionError(f"{resource.ref} was not made by orchestra-creds", hint="nothing was deleted")
    for resource in found:
        store = stores[resource.ref.kind]
        try:
            store.delete(resource.ref, resource.etag)
        except NotFoundError:
            continue
        except UnavailableError:
            if store.find(resource.ref) is not None:
                raise


def _require_region(region: str) -> None:
    if not _REGION.fullmatch(region):
        raise ConfigError(f"{region!r} is no region", hint="such as --region us-central1")
