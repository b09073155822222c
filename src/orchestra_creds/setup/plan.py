"""What differs between what shall be and what is: a pure function.

Nothing is ever planned to be removed, but accessors of secrets that are declared `exact`.
"""

from collections.abc import Iterator, Mapping, Sequence

from orchestra_creds.core import federation
from orchestra_creds.core.cloud_types import IamPolicy
from orchestra_creds.core.google import SECRET_ACCESSOR
from orchestra_creds.core.policies import grant_key, has_grant
from orchestra_creds.core.resources import NUMBER, DesiredState, Grant, Ref, Resource, ResourceKind
from orchestra_creds.setup.change import Change, ChangeKind, Plan, Risk
from orchestra_creds.setup.drift import drifts
from orchestra_creds.setup.registry import ENTRIES
from orchestra_creds.setup.snapshot import Snapshot

MAPPING = "attributeMapping"
"""The field of a provider that makes the names of those who come through it."""


def plan(desired: DesiredState, seen: Snapshot) -> Plan:
    """The changes, in the order in which they can be made."""
    changes = [
        *_resources(desired, seen),
        *_policies(desired, seen),
        *_audit(desired, seen),
        *_awaited_values(desired, seen),
    ]
    secrets = sum(resource.ref.kind is ResourceKind.SECRET for resource in desired.resources)
    return Plan(desired.project, tuple(changes), drifts(desired, seen), secrets, seen.unread, tuple(sorted(seen.off)))


def _resources(desired: DesiredState, seen: Snapshot) -> Iterator[Change]:
    order = list(ResourceKind)
    for wanted in sorted(desired.resources, key=lambda resource: (order.index(resource.ref.kind), resource.ref.name)):
        live = seen.resources.get(wanted.ref)
        entry = ENTRIES[wanted.ref.kind]
        risk = Risk.WIDENING if entry.widens else Risk.LOW
        if live is None:
            yield Change(ChangeKind.CREATE, str(wanted.ref), risk, wanted.ref, wanted)
            continue
        if live.deleted:
            yield Change(ChangeKind.UNDELETE, str(wanted.ref), Risk.WIDENING, wanted.ref, wanted, live)
            continue
        fields = differing_fields(wanted, live)
        kept = dict(_kept_fields(wanted, live, fields, seen))
        for name, why in kept.items():
            yield Change(ChangeKind.REFUSED, str(wanted.ref), Risk.LOW, wanted.ref, wanted, live, (name,), reason=why)
        changeable = tuple(name for name in fields if name not in kept)
        if changeable:
            yield Change(
                ChangeKind.UPDATE,
                str(wanted.ref),
                _risk(wanted, live, changeable),
                wanted.ref,
                wanted,
                live,
                changeable,
            )


def _kept_fields(wanted: Resource, live: Resource, fields: Sequence[str], seen: Snapshot) -> Iterator[tuple[str, str]]:
    """Yield the fields that differ and stay as they are, with the reason."""
    immutable = ENTRIES[wanted.ref.kind].immutable
    if immutable in fields:
        before, after = _field_text(live, immutable), _field_text(wanted, immutable)
        yield immutable, f"{immutable} is fixed when it is made: {before}, not {after}"
    if MAPPING in fields and _subject(live) != _subject(wanted):
        lost = next(_subject_grants(wanted.ref.name.partition("/")[0], seen), None)
        if lost is not None:
            instead = "grant it to principalSet://.../attribute.repository_id/ID, then remove it"
            yield MAPPING, f"another subject would end {grant_text(lost)}: {instead}"


def _subject_grants(pool: str, seen: Snapshot) -> Iterator[Grant]:
    """Yield the grants to single subjects of a pool: they name what the mapping of its provider makes."""
    for holder, policy in sorted(seen.policies.items()):
        for binding in policy.bindings:
            for member in sorted(binding.members):
                if federation.is_subject_of(pool, seen.number, member):
                    yield Grant(holder, binding.role, member, binding.condition, binding.condition_title)


def _subject(provider: Resource) -> object:
    mapping = provider.fields.get(MAPPING)
    return mapping.get(federation.SUBJECT) if isinstance(mapping, Mapping) else None


def differing_fields(wanted: Resource, live: Resource) -> tuple[str, ...]:
    """The fields that are not as they shall be; of labels, those that the file names."""
    merged = ENTRIES[wanted.ref.kind].merged
    return tuple(
        name
        for name, value in wanted.fields.items()
        if not _is_same(value, live.fields.get(name), merged=name in merged)
    )


def _is_same(wanted: object, live: object, *, merged: bool) -> bool:
    if merged and isinstance(wanted, Mapping) and isinstance(live, Mapping):
        return all(live.get(key) == value for key, value in wanted.items())
    return wanted == live


def _risk(wanted: Resource, live: Resource, fields: tuple[str, ...]) -> Risk:
    if ENTRIES[wanted.ref.kind].widens or "disabled" in fields:
        return Risk.WIDENING
    if "includedPermissions" in fields:
        before, after = live.fields["includedPermissions"], wanted.fields["includedPermissions"]
        if isinstance(before, list) and isinstance(after, list):
            return Risk.WIDENING if set(after) - set(before) else Risk.NARROWING
    return Risk.LOW


def _policies(desired: DesiredState, seen: Snapshot) -> Iterator[Change]:
    wanted: dict[str, list[Grant]] = {holder: [] for holder in sorted(desired.exact)}
    for grant in desired.grants:
        wanted.setdefault(grant.holder, []).append(fill_number(grant, seen.number))
    for holder, grants in sorted(wanted.items()):
        policy = seen.policies.get(holder)
        for grant in grants:
            if policy is not None and has_grant(policy, grant):
                continue
            yield Change(ChangeKind.GRANT, grant_text(grant), Risk.WIDENING, grants=(grant,))
        if holder in desired.exact and policy is not None:
            for grant in other_accessors(policy, grants, holder):
                yield Change(ChangeKind.REVOKE, grant_text(grant), Risk.NARROWING, revoked=(grant,), kept=tuple(grants))


def fill_number(grant: Grant, number: str) -> Grant:
    """The grant with the project's number in its member."""
    return Grant(grant.holder, grant.role, grant.member.replace(NUMBER, number), grant.condition, grant.title)


def other_accessors(policy: IamPolicy, grants: list[Grant], holder: str) -> list[Grant]:
    """Accessors that the file does not name."""
    mine = {grant_key(grant) for grant in grants}
    there = (
        Grant(holder, binding.role, member, binding.condition, binding.condition_title)
        for binding in policy.bindings
        if binding.role == SECRET_ACCESSOR
        for member in binding.members
    )
    return sorted(grant for grant in there if grant_key(grant) not in mine)


def grant_text(grant: Grant) -> str:
    """A grant in words."""
    holder = grant.holder.split("/", 2)[2] if grant.holder.count("/") > 1 else "the project"
    return f"{grant.role} on {holder} to {grant.member}" + (f" {grant.title}" if grant.title else "")


def _audit(desired: DesiredState, seen: Snapshot) -> Iterator[Change]:
    missing = {
        service: kinds - seen.audit.get(service, frozenset())
        for service, kinds in desired.audit.items()
        if kinds - seen.audit.get(service, frozenset())
    }
    if missing:
        what = "; ".join(f"{service} {' '.join(sorted(kinds))}" for service, kinds in sorted(missing.items()))
        yield Change(ChangeKind.AUDIT, what, audit=missing)


def _awaited_values(desired: DesiredState, seen: Snapshot) -> Iterator[Change]:
    for name in sorted(desired.waiting):
        ref = Ref(ResourceKind.SECRET, name)
        if ref not in seen.resources or name in seen.empty:
            yield Change(ChangeKind.AWAITING, str(ref), ref=ref, reason=f"orchestra-creds secret set {name}")


def _field_text(resource: Resource, name: str) -> str:
    value = resource.fields.get(name)
    return ", ".join(str(item) for item in value) or "automatic" if isinstance(value, list) else str(value)
