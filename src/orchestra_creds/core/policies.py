"""Changes of IAM policies: what a policy gives, grants added and taken away, and one read-merge-write under its etag."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from orchestra_creds.core.cloud_types import Binding, IamPolicy
from orchestra_creds.core.ports import PolicyStore
from orchestra_creds.core.resources import Grant
from orchestra_creds.errors import ApiDisabledError, ConstraintError, CredsError, PreconditionError


def has_grant(policy: IamPolicy, grant: Grant) -> bool:
    """Return whether the policy gives it already, under the same condition."""
    return any(
        binding.role == grant.role and binding.condition == grant.condition and grant.member in binding.members
        for binding in policy.bindings
    )


def is_applied(policy: IamPolicy, grants: Sequence[Grant], revoked: Sequence[Grant] = ()) -> bool:
    """Return whether the policy gives all of the grants and none of those that are revoked."""
    return all(has_grant(policy, grant) for grant in grants) and not any(has_grant(policy, grant) for grant in revoked)


def merged_policy(policy: IamPolicy, grants: Sequence[Grant], revoked: Sequence[Grant] = ()) -> IamPolicy:
    """Return the policy with grants added and others taken away.

    Members that were deleted go where their successor comes: a policy that names both is refused.
    """
    bindings: dict[tuple[str, str], Binding] = {}
    for binding in policy.bindings:  # Google may hold a role in several bindings
        before = bindings.setdefault((binding.role, binding.condition), binding)
        bindings[binding.role, binding.condition] = replace(before, members=before.members | binding.members)
    for grant in grants:
        key = grant.role, grant.condition
        there = bindings.get(key, Binding(grant.role, frozenset(), grant.condition, grant.title))
        gone = {member for member in there.members if member.startswith(f"deleted:{grant.member}?")}
        bindings[key] = replace(there, members=(there.members - gone) | {grant.member})
    for grant in revoked:
        key = grant.role, grant.condition
        if key in bindings:
            bindings[key] = replace(bindings[key], members=bindings[key].members - {grant.member})
    return IamPolicy(tuple(binding for binding in bindings.values() if binding.members), policy.etag)


def change_policy(
    store: PolicyStore,
    holder: str,
    grants: Sequence[Grant],
    revoked: Sequence[Grant] = (),
    *,
    tries: int,
    wait: Callable[[int], None] = lambda _attempt: None,
    passing: tuple[type[CredsError], ...] = (PreconditionError,),
) -> bool:
    """Read, merge and write a policy under its etag; return False if there was nothing to change.

    An error of the `passing` classes is tried again, up to `tries` times in all; `wait` gets the number of the attempt, from 0.
    An API that is off and an organization policy do not pass.

    Raises:
        CredsError: that of the last attempt.
    """
    for attempt in range(tries):
        try:
            policy = store.get_policy(holder)
            if is_applied(policy, grants, revoked):
                return False
            store.set_policy(holder, merged_policy(policy, grants, revoked))
        except (ApiDisabledError, ConstraintError):
            raise
        except passing:
            if attempt == tries - 1:
                raise
        else:
            return True
        wait(attempt)
    return False
