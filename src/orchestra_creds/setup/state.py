"""The project's private bucket: versioned, uniform access, never public. Pure."""

import re
from collections.abc import Iterator

from orchestra_creds.core.google import MANAGED_LABELS
from orchestra_creds.core.resources import Ref, Resource, ResourceKind
from orchestra_creds.errors import ConfigError

SERVICE = "storage.googleapis.com"
_BUCKET = re.compile(r"(?!goog)[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_LOCATION = re.compile(r"[A-Za-z]+[A-Za-z0-9-]*")


def bucket(name: str, location: str) -> Iterator[Resource]:
    """The bucket and the API that it needs.

    Raises:
        ConfigError: name or location cannot be.
    """
    if not _BUCKET.fullmatch(name) or "google" in name:
        raise ConfigError(
            f"state: {name!r} is no name of a bucket", hint="3 to 63 lower-case letters, digits and hyphens"
        )
    if not _LOCATION.fullmatch(location):
        raise ConfigError(f"state: {location!r} is no location", hint='location = "us-central1"')
    yield Resource(Ref(ResourceKind.SERVICE, SERVICE))
    fields = {
        "location": location.upper(),
        "labels": MANAGED_LABELS,
        "versioning": True,
        "uniformAccess": True,
        "publicAccessPrevention": "enforced",
    }
    yield Resource(Ref(ResourceKind.BUCKET, name), fields)
