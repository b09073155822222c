"""One read-merge-write of a policy: what passes is tried again, what forbids the call is not."""

from collections.abc import Sequence

import pytest

from orchestra_creds.core.cloud_types import Binding, IamPolicy
from orchestra_creds.core.policies import change_policy, merged_policy
from orchestra_creds.core.resources import Grant
from orchestra_creds.errors import (
    ApiDisabledError,
    ConstraintError,
    CredsError,
    MissingMemberError,
    PreconditionError,
)

HOLDER = "projects/p/secrets/s"
GRANT = Grant(HOLDER, "roles/viewer", "user:a@example.com")


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


def test_a_deleted_member_goes_where_its_successor_comes_and_bindings_of_one_role_become_one() -> None:
    gone = f"deleted:{GRANT.member}?uid=1"
    policy = IamPolicy(
        (Binding(GRANT.role, frozenset({gone})), Binding(GRANT.role, frozenset({"user:b@example.com"}))), "1"
    )
    (binding,) = merged_policy(policy, (GRANT,)).bindings
    assert binding.members == {GRANT.member, "user:b@example.com"}
