"""Where regional secrets and replicas may live, and the Locations mixin that lists it."""

from typing import Any

from google.cloud.location import locations_pb2

from orchestra_creds.emulator.protocol.errors import not_found_error
from orchestra_creds.emulator.protocol.routes import LOCATIONS
from orchestra_creds.emulator.protocol.service import Caller, Method, Service
from orchestra_creds.emulator.store.store import Txn

REGIONS = (
    "africa-south1",
    "asia-east1",
    "asia-east2",
    "asia-northeast1",
    "asia-northeast2",
    "asia-northeast3",
    "asia-south1",
    "asia-south2",
    "asia-southeast1",
    "asia-southeast2",
    "australia-southeast1",
    "australia-southeast2",
    "europe-central2",
    "europe-north1",
    "europe-southwest1",
    "europe-west1",
    "europe-west10",
    "europe-west12",
    "europe-west2",
    "europe-west3",
    "europe-west4",
    "europe-west6",
    "europe-west8",
    "europe-west9",
    "me-central1",
    "me-central2",
    "me-west1",
    "northamerica-northeast1",
    "northamerica-northeast2",
    "southamerica-east1",
    "southamerica-west1",
    "us-central1",
    "us-east1",
    "us-east4",
    "us-east5",
    "us-south1",
    "us-west1",
    "us-west2",
    "us-west3",
    "us-west4",
)


def list_locations(request: Any, _caller: Caller, _txn: Txn) -> Any:
    """ListLocations: every region; page size and token are honoured."""
    start = int(request.page_token) if request.page_token.isdecimal() else 0
    size = request.page_size if request.page_size > 0 else len(REGIONS)
    shown = REGIONS[start : start + size]
    following = start + size
    return locations_pb2.ListLocationsResponse(
        locations=[_location(request.name, region) for region in shown],
        next_page_token=str(following) if following < len(REGIONS) else "",
    )


def get_location(request: Any, _caller: Caller, _txn: Txn) -> Any:
    """GetLocation."""
    project, _, region = request.name.partition("/locations/")
    if region not in REGIONS:
        raise not_found_error(f"Location [{request.name}] not found.")
    return _location(project, region)


def _location(project: str, region: str) -> Any:
    return locations_pb2.Location(
        name=f"{project}/locations/{region}", location_id=region, labels={"cloud.googleapis.com/region": region}
    )


def _name_of(request: Any) -> str:
    return str(request.name)


SERVICE = Service(
    methods={
        f"{LOCATIONS}/ListLocations": Method(list_locations, "secretmanager.locations.list", _name_of),
        f"{LOCATIONS}/GetLocation": Method(get_location, "secretmanager.locations.get", _name_of),
    }
)
