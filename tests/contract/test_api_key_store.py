"""ApiKeyStore on every implementation."""

import pytest

from orchestra_creds.core.material import Material
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.emulator.protocol.faults import FaultPhase
from orchestra_creds.errors import ConfigError, NotFoundError, PreconditionError, UnavailableError
from orchestra_creds.gcp.api_keys import RestApiKeyStore
from tests.contract.conftest import CloudUnderTest

LIMITS = {"apiTargets": [{"service": "vision.googleapis.com"}]}


@pytest.fixture
def store(world: CloudUnderTest) -> RestApiKeyStore:
    return RestApiKeyStore(world.session)


def test_a_key_is_what_was_asked_for_and_its_string_finds_it(store: RestApiKeyStore) -> None:
    store.create("maps-one", display_name="maps", restrictions=LIMITS)
    found = store.find("maps-one")
    assert found is not None
    assert (found.id, found.display_name, found.restrictions, found.deleted) == ("maps-one", "maps", LIMITS, False)
    material = store.material("maps-one")
    assert material == store.material("maps-one")
    assert store.owner(material) == "maps-one"


def test_what_is_not_there_is_none_or_not_found(store: RestApiKeyStore) -> None:
    assert store.find("nowhere") is None
    for attempt in (lambda: store.material("nowhere"), lambda: store.owner(Material(b"AIza" + b"y" * 35))):
        with pytest.raises(NotFoundError):
            attempt()


def test_an_id_is_used_once(store: RestApiKeyStore) -> None:
    store.create("once", display_name="", restrictions={})
    with pytest.raises(PreconditionError):
        store.create("once", display_name="", restrictions={})


def test_a_deleted_key_is_shown_as_such(store: RestApiKeyStore) -> None:
    store.create("gone", display_name="", restrictions={})
    store.delete("gone")
    found = store.find("gone")
    assert found is not None
    assert found.deleted
    with pytest.raises(PreconditionError):
        store.delete("gone")


@pytest.mark.parametrize("name", ["", "Upper", "a_b", "a/b", "x" * 64, "../keys"])
def test_a_name_that_is_none_is_refused_here(store: RestApiKeyStore, name: str) -> None:
    with pytest.raises(ConfigError, match="is not the id of an API key"):
        store.find(name)


def test_a_lost_reply_is_unavailable_and_is_not_repeated(store: RestApiKeyStore, world: CloudUnderTest) -> None:
    world.arm("CreateKey", FaultPhase.AFTER, code=Code.INTERNAL)
    with pytest.raises(UnavailableError):
        store.create("lost", display_name="", restrictions={})
    assert store.find("lost") is not None
    assert world.calls("CreateKey") == 1
