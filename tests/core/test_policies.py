"""One read-merge-write of a policy: what passes is tried again, what forbids the call is not; members compared as Google does."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_creds.core.cloud_types import Binding, IamPolicy
from orchestra_creds.core.policies import change_policy, distinct_grants, has_grant, merged_policy
from orchestra_creds.core.resources import Grant
from orchestra_creds.errors import (
    ApiDisabledError,
    ConstraintError,
    CredsError,
    MissingMemberError,
    PreconditionError,
)

HOLDER = "projects/p/secrets/s"
ROLE = "roles/viewer"
GRANT = Grant(HOLDER, ROLE, "user:a@example.com")


class OnePolicy:
    """A policy store whose writes fail with these errors, then succeed."""

    def __init__(self, *errors: CredsError) -> None:
        self.errors, self.policy, self.writes = list(errors), IamPolicy((), "1"), 0

    def get_policy(self, resource: str) -> IamPolicy:
        assert resource == HOLDER
        return self.policy

    def set_policy(self, resource: str, policy: IamPolicy) -> IamPolicy:
        assert resource == HOLDER
        self.writes += 1
        if self.errors:
            raise self.errors.pop(0)
        self.policy = policy
        return policy

    def test_permissions(self, resource: str, permissions: Sequence[str]) -> frozenset[str]:
        raise AssertionError((resource, permissions))


def test_a_change_in_between_is_tried_again_and_each_wait_knows_its_attempt() -> None:
    store, waits = OnePolicy(PreconditionError("changed"), PreconditionError("changed")), list[int]()
    assert change_policy(store, HOLDER, (GRANT,), tries=3, wait=waits.append)
    assert (store.writes, waits) == (3, [0, 1])
    assert not change_policy(store, HOLDER, (GRANT,), tries=3)
    assert change_policy(store, HOLDER, (), (GRANT,), tries=3)
    assert store.policy.bindings == ()


@pytest.mark.parametrize(
    ("error", "writes"),
    [
        (PreconditionError("changed"), 3),
        (ConstraintError("forbidden"), 1),
        (ApiDisabledError("off", service="x"), 1),
        (MissingMemberError("unknown"), 1),
    ],
)
def test_the_last_error_is_raised_and_a_refusal_is_not_repeated(error: CredsError, writes: int) -> None:
    store = OnePolicy(*[error] * 3)
    with pytest.raises(type(error)):
        change_policy(store, HOLDER, (GRANT,), tries=3)
    assert store.writes == writes


def test_a_caller_says_what_passes() -> None:
    store = OnePolicy(MissingMemberError("unknown"))
    assert change_policy(store, HOLDER, (GRANT,), tries=2, passing=(MissingMemberError,))


def test_a_deleted_member_stays_beside_its_successor_and_bindings_of_one_role_become_one() -> None:
    gone = f"deleted:{GRANT.member}?uid=1"
    policy = IamPolicy(
        (Binding(GRANT.role, frozenset({gone})), Binding(GRANT.role, frozenset({"user:b@example.com"}))), "1"
    )
    (binding,) = merged_policy(policy, (GRANT,)).bindings
    assert binding.members == {gone, GRANT.member, "user:b@example.com"}


NAMES = st.text(st.characters(codec="utf-8", exclude_characters=":"), min_size=1, max_size=20)
KINDS = st.sampled_from(["user", "group", "serviceAccount", "domain", "projectOwner", "deleted:user", "deleted:group"])


@given(KINDS, NAMES)
@settings(deadline=None)
def test_two_spellings_of_a_member_are_one(kind: str, name: str) -> None:
    ascii_upper = "".join(letter.upper() if letter.isascii() else letter for letter in name)
    spelled = f"{kind}:{ascii_upper}"
    policy = IamPolicy((Binding(ROLE, frozenset({spelled})),), "1")
    wanted = Grant(HOLDER, ROLE, f"{kind}:{name}")
    assert has_grant(policy, wanted)
    assert merged_policy(policy, (wanted,)).bindings == policy.bindings
    assert merged_policy(policy, (), (wanted,)).bindings == ()
    assert len(distinct_grants((wanted, Grant(HOLDER, ROLE, spelled)))) == 1


@pytest.mark.parametrize("kind", ["principal", "principalSet", "principalHierarchy"])
@pytest.mark.parametrize("prefix", ["", "deleted:"])
def test_a_principal_is_exact(prefix: str, kind: str) -> None:
    member = f"{prefix}{kind}://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/subject/Build"
    policy = IamPolicy((Binding(ROLE, frozenset({member.replace("Build", "build")})),), "1")
    assert not has_grant(policy, Grant(HOLDER, ROLE, member))


def test_a_letter_that_only_looks_like_ascii_is_another() -> None:
    policy = IamPolicy((Binding(ROLE, frozenset({"user:al\N{KELVIN SIGN}@example.com"})),), "1")
    assert not has_grant(policy, Grant(HOLDER, ROLE, "user:alk@example.com"))


def test_a_deleted_member_is_no_spelling_of_its_successor() -> None:
    gone = "deleted:user:ada@example.com?uid=1"
    policy = IamPolicy((Binding(ROLE, frozenset({gone})),), "1")
    grant = Grant(HOLDER, ROLE, "user:Ada@Example.com")
    assert not has_grant(policy, grant)
    (granted,) = merged_policy(policy, (grant,)).bindings
    assert granted.members == {gone, "user:Ada@Example.com"}
    (revoked,) = merged_policy(IamPolicy((granted,), "2"), (), (grant,)).bindings
    assert revoked.members == {gone}
