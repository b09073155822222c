"""The rules of PolicyStore."""

import pytest

from orchestra_creds.core.cloud_types import Binding, IamPolicy
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.emulator.protocol.faults import FaultPhase
from orchestra_creds.errors import AuthError, ConfigError, NotFoundError, PreconditionError, UnavailableError
from tests.contract.conftest import CloudUnderTest

ROLE = "roles/secretmanager.secretAccessor"


@pytest.fixture(params=["secret", "account", "project"])
def resource(request: pytest.FixtureRequest, world: CloudUnderTest) -> str:
    """A resource that carries a policy; of a real project only a secret of our own is changed."""
    if request.param != "secret" and world.kind == "live":
        pytest.skip("only policies of our own secrets are changed in a real project")
    if request.param == "account":
        return f"projects/{world.project}/serviceAccounts/{world.account('carrier')}"
    if request.param == "project":
        return f"projects/{world.project}"
    name = world.new_name()
    world.secrets.create_secret(name)
    return f"projects/{world.project}/secrets/{name}"


@pytest.fixture
def member(world: CloudUnderTest) -> str:
    return f"serviceAccount:{world.account('reader')}"


def test_a_policy_that_was_set_is_read_back_whole(world: CloudUnderTest, resource: str, member: str) -> None:
    policy = world.policies.get_policy(resource)
    always = Binding(ROLE, frozenset({member}))
    until = Binding(
        "roles/secretmanager.viewer",
        frozenset({member}),
        condition='request.time < timestamp("2100-01-01T00:00:00Z")',
        condition_title="for now",
        condition_description="said at length",
    )
    stored = world.policies.set_policy(resource, IamPolicy((*policy.bindings, always, until), policy.etag))
    read = world.policies.get_policy(resource)
    assert (set(read.bindings) >= {always, until}, stored.etag, read.etag != policy.etag) == (True, read.etag, True)


def test_a_policy_is_changed_under_its_etag(world: CloudUnderTest, resource: str, member: str) -> None:
    first = world.policies.get_policy(resource)
    theirs = IamPolicy((*first.bindings, Binding(ROLE, frozenset({member}))), first.etag)
    world.policies.set_policy(resource, theirs)
    with pytest.raises(PreconditionError, match="concurrent"):
        world.policies.set_policy(resource, IamPolicy((), first.etag))
    assert Binding(ROLE, frozenset({member})) in world.policies.get_policy(resource).bindings


def test_the_permissions_that_one_has_are_told(world: CloudUnderTest) -> None:
    wanted = ("secretmanager.secrets.list", "secretmanager.secrets.create")
    assert world.policies.test_permissions(f"projects/{world.project}", wanted) == frozenset(wanted)


def test_an_unknown_resource_is_told(world: CloudUnderTest) -> None:
    with pytest.raises(NotFoundError):
        world.policies.get_policy(f"projects/{world.project}/secrets/nowhere")
    for name in ("buckets/b", "projects/p/secrets/a/../b", "projects/p/secrets/x?y", ""):
        with pytest.raises(ConfigError):
            world.policies.get_policy(name)


def test_a_role_that_is_none_is_refused(world: CloudUnderTest, resource: str, member: str) -> None:
    policy = world.policies.get_policy(resource)
    with pytest.raises(ConfigError):
        world.policies.set_policy(resource, IamPolicy((Binding("no-role", frozenset({member})),), policy.etag))


def test_a_lost_reply_is_mended_when_reading_and_told_when_writing(world: CloudUnderTest, resource: str) -> None:
    world.arm("GetIamPolicy", FaultPhase.AFTER)
    policy = world.policies.get_policy(resource)
    world.arm("SetIamPolicy", FaultPhase.AFTER)
    before = world.calls("SetIamPolicy")
    with pytest.raises(UnavailableError):
        world.policies.set_policy(resource, policy)
    assert world.calls("SetIamPolicy") == before + 1


def test_a_missing_permission_is_named(guarded: CloudUnderTest) -> None:
    guarded.secrets.create_secret("db")
    other = guarded.open(impersonate=guarded.account("nobody-special"))
    theirs = type(guarded.policies)(other)
    for resource, permission in (
        (f"projects/{guarded.project}/secrets/db", "secretmanager.secrets.getIamPolicy"),
        (f"projects/{guarded.project}", "resourcemanager.projects.getIamPolicy"),
    ):
        with pytest.raises(AuthError, match=f"permission {permission} is missing"):
            theirs.get_policy(resource)
    assert (
        theirs.test_permissions(f"projects/{guarded.project}/secrets/db", ("secretmanager.versions.access",))
        == frozenset()
    )


def test_a_policy_that_a_used_up_quota_refused_is_set_a_little_later(world: CloudUnderTest, resource: str) -> None:
    policy = world.policies.get_policy(resource)
    before = world.calls("SetIamPolicy")
    world.arm("SetIamPolicy", FaultPhase.BEFORE, code=Code.RESOURCE_EXHAUSTED)
    world.policies.set_policy(resource, policy)
    assert world.calls("SetIamPolicy") == before + 2
