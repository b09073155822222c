"""The roles of docs/setup.md suffice for their verbs, and each permission is needed for something."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra_creds.core.cloud_types import Binding, IamPolicy, VersionState
from orchestra_creds.core.material import Material
from orchestra_creds.emulator.access import access
from orchestra_creds.emulator.identity import oauth, tokens
from orchestra_creds.emulator.server.dispatch import allow_all, identify_owner
from orchestra_creds.errors import CredsError
from orchestra_creds.gcp.keys import IamKeyStore
from orchestra_creds.gcp.policies import RestPolicyStore
from orchestra_creds.gcp.secrets import SecretManagerStore
from orchestra_creds.manage import keys as manage_keys
from orchestra_creds.manage import secrets as manage_secrets
from orchestra_creds.render import setup as show
from tests.contract.direct import DirectSession
from tests.rotation.world import PROJECT
from tests.setup.stage import FULL, SMALL, Stage

PAGE = (Path(__file__).parents[2] / "docs" / "setup.md").read_text(encoding="utf-8")


def permissions(name: str) -> tuple[str, ...]:
    """The permissions that the page gives a role."""
    block = re.search(rf"^```text\n{name}\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert block is not None, name
    return tuple(block[1].split())


READER, SETUP = permissions("reader"), permissions("setup")
MORE_READER, MORE_SETUP = permissions("operations_reader"), permissions("operations_setup")
RESPONDER, DESTROYER = permissions("responder"), permissions("destroyer")
DEPLOYER = f"deployer@{PROJECT}.iam.gserviceaccount.com"


class Acting(Stage):
    """A stage whose owner has gone: calls are those of an account with these permissions."""

    def __init__(self, granted: tuple[str, ...], *, applied: bool, text: str = SMALL) -> None:
        super().__init__(text)
        world = self.world
        if applied:
            assert {one.ending for one in self.apply()} == {"done"}
            self.key = world.keys.create_key(DEPLOYER).key.id
            world.secrets.add_version("api-key-dev", Material(b"a value"))
        actor = world.rpc("CreateServiceAccount", name=f"projects/{PROJECT}", account_id="the-actor")
        role = {"roleId": "acting", "role": {"title": "acting", "includedPermissions": list(granted), "stage": "GA"}}
        world.session.rest("make the role", "POST", "iam", f"v1/projects/{PROJECT}/roles", body=role)
        there = self.policies.get_policy(f"projects/{PROJECT}")
        bound = Binding(f"projects/{PROJECT}/roles/acting", frozenset({f"serviceAccount:{actor.email}"}))
        self.policies.set_policy(f"projects/{PROJECT}", IamPolicy((*there.bindings, bound), there.etag))
        world.emulator._identify, world.emulator._authorize = oauth.identify, access.authorize
        with world.store.transaction() as txn:
            token, _ = tokens.for_account(txn, actor, (tokens.CLOUD_PLATFORM,))
        world.session = DirectSession(PROJECT, world.emulator, environment={"ORCHESTRA_CREDS_ACCESS_TOKEN": token})
        world.secrets, world.keys = SecretManagerStore(world.session), IamKeyStore(world.session)
        self.policies = RestPolicyStore(world.session)

    @contextlib.contextmanager
    def as_owner(self) -> Iterator[None]:
        """Let somebody else prepare what is done next."""
        emulator = self.world.emulator
        asked = emulator._identify, emulator._authorize
        emulator._identify, emulator._authorize = identify_owner, allow_all
        yield
        emulator._identify, emulator._authorize = asked


def planned(granted: tuple[str, ...], text: str = SMALL) -> str:
    """What a plan is refused, or empty."""
    stage = Acting(granted, applied=True, text=text)
    try:
        assert stage.plan().work == ()
    except CredsError as error:
        return str(error)
    finally:
        stage.close()
    return ""


def applied(granted: tuple[str, ...], text: str = SMALL) -> list[str]:
    """What an apply is refused."""
    stage = Acting(granted, applied=False, text=text)
    try:
        return [one.message for one in stage.apply() if one.ending == "failed"]
    except CredsError as error:
        return [str(error)]
    finally:
        stage.close()


def test_the_reader_can_plan() -> None:
    assert planned(READER) == ""


def test_the_plan_says_that_the_reader_could_not_look_for_placeholders() -> None:
    reads_values = "secretmanager.versions.access"
    for granted, unread in ((READER, True), ((*READER, reads_values), False)):
        stage = Acting(granted, applied=True)
        found = stage.plan()
        stage.close()
        assert found.unread == unread
        assert (reads_values in " ".join(show.plan(found).lines)) == unread


@pytest.mark.parametrize("permission", READER)
def test_each_permission_of_the_reader_is_needed(permission: str) -> None:
    told = planned(without(READER, permission))
    assert permission.replace("iam.googleapis.com/", "iam.") in told.replace("iam.googleapis.com/", "iam.")


def test_setup_can_apply() -> None:
    assert applied(READER + SETUP) == []


@pytest.mark.parametrize("permission", SETUP)
def test_each_permission_of_setup_is_needed(permission: str) -> None:
    told = applied(READER + without(SETUP, permission))
    assert any(permission.rpartition("/")[2] in line.replace("googleapis.com/", "") for line in told), told[:3]


def without(granted: tuple[str, ...], permission: str) -> tuple[str, ...]:
    return tuple(each for each in granted if each != permission)


def test_with_bucket_schedule_and_alerts_the_longer_lists_suffice() -> None:
    assert planned(READER + MORE_READER, FULL) == ""
    assert applied(READER + MORE_READER + SETUP + MORE_SETUP, FULL) == []


@pytest.mark.parametrize("permission", MORE_READER)
def test_each_permission_to_plan_operations_is_needed(permission: str) -> None:
    assert permission in planned(without(READER + MORE_READER, permission), FULL)


@pytest.mark.parametrize("permission", MORE_SETUP)
def test_each_permission_to_apply_operations_is_needed(permission: str) -> None:
    told = applied(without(READER + MORE_READER + SETUP + MORE_SETUP, permission), FULL)
    assert any(permission in line for line in told), told[:3]


def responded(stage: Acting) -> None:
    assert manage_keys.disable(stage.world.keys, DEPLOYER, stage.key).disabled
    assert len(list(stage.world.keys.list_keys(DEPLOYER))) > 0
    stage.world.keys.last_uses(DEPLOYER)
    manage_secrets.disable(stage.world.secrets, "api-key-dev", "1")


def destroyed(stage: Acting) -> None:
    with stage.as_owner():
        responded(stage)
    manage_keys.check_deletable(stage.world.keys, DEPLOYER, stage.key)
    stage.world.keys.delete_key(DEPLOYER, stage.key)
    version = manage_secrets.check_destroyable(stage.world.secrets, "api-key-dev", "1")
    manage_secrets.destroy(stage.world.secrets, version)
    secret = stage.world.secrets.get_secret("api-key-dev")
    assert all(version.state is VersionState.DESTROYED for version in stage.world.secrets.list_versions("api-key-dev"))
    stage.world.secrets.delete_secret("api-key-dev", etag=secret.etag)


VERBS = {"responder": (RESPONDER, responded), "destroyer": (DESTROYER, destroyed)}


def refused(name: str, without: str = "") -> str:
    """What the verbs of a role are refused, or empty."""
    granted, verbs = VERBS[name]
    stage = Acting(tuple(each for each in granted if each != without), applied=True)
    try:
        verbs(stage)
    except CredsError as error:
        return str(error)
    finally:
        stage.close()
    return ""


@pytest.mark.parametrize("name", VERBS)
def test_who_responds_and_who_destroys_can_do_just_that(name: str) -> None:
    assert refused(name) == ""


@pytest.mark.parametrize(("name", "permission"), [(name, each) for name, (every, _) in VERBS.items() for each in every])
def test_each_of_their_permissions_is_needed(name: str, permission: str) -> None:
    assert permission in refused(name, permission)


def test_who_responds_can_do_nothing_that_cannot_be_undone() -> None:
    assert not any(
        word in permission for permission in RESPONDER for word in ("delete", "destroy", "create", "add", "access")
    )


def test_neither_reads_a_value_nor_makes_a_key() -> None:
    both = {*READER, *SETUP}
    assert not both & {"secretmanager.versions.access", "iam.serviceAccountKeys.create", "secretmanager.secrets.delete"}
