"""Storage buckets."""

from orchestra_creds.core.resources import ResourceKind
from orchestra_creds.setup.kind import Body, KindEntry, PolicyForm, TerraformForm


def _arguments(name: str, fields: Body) -> Body:
    return {
        "name": name,
        "location": fields["location"],
        "labels": fields["labels"],
        "uniform_bucket_level_access": fields["uniformAccess"],
        "public_access_prevention": fields["publicAccessPrevention"],
        "versioning": {"enabled": fields["versioning"]},
    }


ENTRY = KindEntry(
    ResourceKind.BUCKET,
    part="state",
    terraform=TerraformForm("google_storage_bucket", _arguments, "{name}"),
    pulumi="storage.Bucket",
    policy=PolicyForm("projects/_/buckets/{name}"),
    immutable="location",
    api="storage.googleapis.com",
)
