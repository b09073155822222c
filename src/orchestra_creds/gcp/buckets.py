"""Storage buckets as ResourceStore (JSON API v1); `etag` is the metageneration.

Fields: `location` (upper case, fixed once made), `labels`, `versioning`, `uniformAccess`, `publicAccessPrevention` (`enforced` or
`inherited`). A patch merges, so labels and settings of others stay.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestra_creds.core.resources import Ref, Resource, ResourceKind
from orchestra_creds.gcp.api import Api, JsonObject, part
from orchestra_creds.gcp.session import ApiSession


class Buckets:
    """Buckets of one project. A name is unique in the world: one that is somebody else's is refused, never absent."""

    def __init__(self, session: ApiSession) -> None:
        self._api = Api(session, "storage", "storage/v1")
        self._project = {"project": session.project}

    def every(self) -> Iterator[Resource]:
        """See ResourceStore."""
        return (_resource(item) for item in self._api.list_items("list the buckets", "b", "items", self._project))

    def find(self, ref: Ref) -> Resource | None:
        """See ResourceStore."""
        item = self._api.find(f"read bucket {ref.name}", _path(ref))
        return None if item is None else _resource(item)

    def create(self, wanted: Resource) -> None:
        """See ResourceStore."""
        body = {"name": part(wanted.ref.name, "bucket"), "location": wanted.fields["location"], **_body(wanted.fields)}
        self._api.call(f"create bucket {wanted.ref.name}", "POST", "b", body=body, query=self._project)

    def update(self, wanted: Resource, fields: Sequence[str], etag: str) -> None:
        """See ResourceStore."""
        body = _body({name: wanted.fields[name] for name in fields})
        query = {"ifMetagenerationMatch": etag}
        self._api.call(f"change bucket {wanted.ref.name}", "PATCH", _path(wanted.ref), body=body, query=query)

    def undelete(self, ref: Ref) -> None:
        """See ResourceStore: a deleted bucket is gone."""


def _path(ref: Ref) -> str:
    return f"b/{part(ref.name, 'bucket')}"


def _resource(item: Mapping[str, Any]) -> Resource:
    access = item.get("iamConfiguration", {})
    fields = {
        "location": item["location"],
        "labels": dict(item.get("labels", {})),
        "versioning": bool(item.get("versioning", {}).get("enabled", False)),
        "uniformAccess": bool(access.get("uniformBucketLevelAccess", {}).get("enabled", False)),
        "publicAccessPrevention": access.get("publicAccessPrevention", "inherited"),
    }
    return Resource(Ref(ResourceKind.BUCKET, str(item["name"])), fields, str(item["metageneration"]))


def _body(fields: Mapping[str, object]) -> JsonObject:
    body: JsonObject = {"labels": fields["labels"]} if "labels" in fields else {}
    if "versioning" in fields:
        body["versioning"] = {"enabled": fields["versioning"]}
    access: JsonObject = {}
    if "uniformAccess" in fields:
        access["uniformBucketLevelAccess"] = {"enabled": fields["uniformAccess"]}
    if "publicAccessPrevention" in fields:
        access["publicAccessPrevention"] = fields["publicAccessPrevention"]
    return {**body, "iamConfiguration": access} if access else body
