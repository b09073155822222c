"""Changes of IAM policies: what a policy gives, grants added and taken away, and one read-merge-write under its etag.

Members are compared as Google compares them, because it answers a member in its own spelling: groups in lower case, users as they
registered. Only a `principal` is exact.
"""

import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from orchestra_creds.core.cloud_types import Binding, IamPolicy
from orchestra_creds.core.ports import PolicyStore
from orchestra_creds.core.resources import Grant
from orchestra_creds.errors import ApiDisabledError, ConstraintError, CredsError, IncompleteError, PreconditionError

_EXACT = ("principal:", "principalSet:", "principalHierarchy:")
_DELETED = "deleted:"
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def member_key(member: str) -> str:
    """Return what two spellings of one member have in common: the part after its type in lower case, `principal` as it is.

    Only ASCII letters change: no other letter may stand for one of them.
    """
    prefix = _DELETED if member.startswith(_DELETED) else ""
    kind, colon, name = member.removeprefix(prefix).partition(":")
    return member if kind + colon in _EXACT else f"{prefix}{kind}{colon}{name.translate(_LOWER)}"


def grant_key(grant: Grant) -> tuple[str, str, str, str]:
    """Return what makes a grant the same as another: holder, role, condition and member, however the member is spelled."""
    return grant.holder, grant.role, grant.condition, member_key(grant.member)


def distinct_grants(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """Return the grants in order, each once, however its member is spelled."""
    return tuple({grant_key(grant): grant for grant in sorted(grants)}.values())


def has_grant(policy: IamPolicy, grant: Grant) -> bool:
    """Return whether the policy gives it already, under the same condition."""
    key = member_key(grant.member)
    return any(
        binding.role == grant.role and binding.condition == grant.condition and key in map(member_key, binding.members)
        for binding in policy.bindings
    )


def is_applied(policy: IamPolicy, grants: Sequence[Grant], revoked: Sequence[Grant] = ()) -> bool:
    """Return whether the policy gives all of the grants and none of those that are revoked."""
    return all(has_grant(policy, grant) for grant in grants) and not any(has_grant(policy, grant) for grant in revoked)


def merged_policy(policy: IamPolicy, grants: Sequence[Grant], revoked: Sequence[Grant] = ()) -> IamPolicy:
    """Return the policy with grants added and others taken away.

    A member that was deleted stays beside its namesake: the grant applies to the new one, and a deleted one that was taken out does not
    come back when it is undeleted (docs.cloud.google.com/iam/docs/allow-policies#handle-deleted-members).
    """
    bindings: dict[tuple[str, str], Binding] = {}
    for binding in policy.bindings:  # Google may hold a role in several bindings
        before = bindings.setdefault((binding.role, binding.condition), binding)
        bindings[binding.role, binding.condition] = replace(before, members=before.members | binding.members)
    for grant in grants:
        key = grant.role, grant.condition
        there = bindings.get(key, Binding(grant.role, frozenset(), grant.condition, grant.title))
        known = member_key(grant.member) in map(member_key, there.members)
        bindings[key] = there if known else replace(there, members=there.members | {grant.member})
    for grant in revoked:
        key = grant.role, grant.condition
        if key in bindings:
            spelled = {member for member in bindings[key].members if member_key(member) == member_key(grant.member)}
            bindings[key] = replace(bindings[key], members=bindings[key].members - spelled)
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
    kept: Sequence[Grant] = (),
) -> bool:
    """Read, merge and write a policy under its etag; return False if there was nothing to change.

    An error of the `passing` classes is tried again, up to `tries` times in all; `wait` gets the number of the attempt, from 0.
    An API that is off and an organization policy do not pass. Nothing is written to a policy that lacks one of the `kept` grants.

    Raises:
        IncompleteError: the policy lacks one of the `kept` grants.
        CredsError: that of the last attempt.
    """
    for attempt in range(tries):
        try:
            policy = store.get_policy(holder)
            if is_applied(policy, grants, revoked):
                return False
            for grant in kept:
                if not has_grant(policy, grant):
                    raise IncompleteError(
                        f"{grant.member} has no access to {holder}, so nobody else loses theirs",
                        hint="run setup again: it plans anew",
                    )
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
