"""The staging secret protects its copy of a successor as the credential's own secret protects the successor."""

import pytest

from orchestra_creds.core.cloud_types import SecretResource
from orchestra_creds.rotation.outcome import Ending
from orchestra_creds.rotation.situation import RunRequest
from orchestra_creds.rotation.state import STAGING_SUFFIX
from tests.rotation.world import World, service_account_key

KMS_KEY = "projects/p/locations/{}/keyRings/r/cryptoKeys/k"
PLACES = ("europe-west3", "us-east1")


def staging_of(
    world: World, replicas: tuple[str, ...], kms_keys: tuple[str, ...]
) -> tuple[SecretResource, SecretResource]:
    credential = service_account_key(world.account())
    secret = world.secrets.create_secret(credential.secret, replicas=replicas, kms_keys=kms_keys)
    assert world.rotate(credential).ending is Ending.ROTATED
    return secret, world.secrets.get_secret(credential.secret + STAGING_SUFFIX)


@pytest.mark.parametrize(("replicas", "places"), [((), ("global",)), (PLACES, PLACES)])
def test_the_staging_secret_has_the_keys_and_places_of_the_secret(
    world: World, replicas: tuple[str, ...], places: tuple[str, ...]
) -> None:
    keys = tuple(KMS_KEY.format(place) for place in places)
    secret, staging = staging_of(world, replicas, keys)
    assert (staging.replicas, staging.kms_keys) == (secret.replicas, secret.kms_keys) == (replicas, keys)


def test_a_run_that_goes_on_makes_it_likewise(world: World) -> None:
    """The run that made the state is dead, and the staging secret with it: what goes on must look at the secret."""
    credential = service_account_key(world.account())
    key = KMS_KEY.format("global")
    world.secrets.create_secret(credential.secret, kms_keys=[key])
    world.rotate(credential)
    world.secrets.delete_secret(credential.secret + STAGING_SUFFIX)
    assert world.rotate(credential, RunRequest(force=True)).ending is Ending.ROTATED
    assert world.secrets.get_secret(credential.secret + STAGING_SUFFIX).kms_keys == (key,)
