"""What is dangerous in a project whether the file speaks of it or not. Each rule has a page in docs/runbooks.md. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping

from orchestra_creds.core import federation, google
from orchestra_creds.core.resources import PROJECT_WIDE, DesiredState, ResourceKind
from orchestra_creds.setup.change import Drift
from orchestra_creds.setup.snapshot import Snapshot

SEVERE = frozenset({google.SECRET_ADMIN, google.ACCOUNT_KEY_ADMIN})
"""Of the roles that are project-wide, those that a person is not to have either."""
_BY_NUMBER = re.compile(r"assertion\.repository(?:_owner)?_id\b")
_BY_ACTOR = re.compile(r"assertion\.actor\b")
_OPEN_MEMBER = re.compile(r"principalSet://iam\.googleapis\.com/.*/workloadIdentityPools/[^/]+/\*")
_NAME_MEMBER = re.compile(r"principalSet://iam\.googleapis\.com/.*/attribute\.(?:repository|actor|repository_owner)/")


def drifts(desired: DesiredState, seen: Snapshot) -> tuple[Drift, ...]:
    """Everything that a rule names, in a fixed order."""
    return tuple(drift for rule in RULES.values() for drift in rule(desired, seen))


def _providers(seen: Snapshot) -> Iterator[tuple[str, Mapping[str, object]]]:
    for ref, resource in sorted(seen.resources.items()):
        if ref.kind is ResourceKind.PROVIDER and not resource.deleted:
            yield ref.name, resource.fields


def _github(fields: Mapping[str, object]) -> bool:
    return "githubusercontent" in str(fields["issuerUri"])


def _no_condition(_desired: DesiredState, seen: Snapshot) -> Iterator[Drift]:
    for name, fields in _providers(seen):
        if _github(fields) and not fields["attributeCondition"]:
            yield Drift("federation.no-condition", name, "every repository on GitHub gets in")


def _by_name(_desired: DesiredState, seen: Snapshot) -> Iterator[Drift]:
    for name, fields in _providers(seen):
        text = str(fields["attributeCondition"])
        if _github(fields) and text and not _BY_NUMBER.search(text):
            yield Drift("federation.by-name", name, "names can be taken over; numbers cannot")
        if _BY_ACTOR.search(text):
            yield Drift("federation.by-actor", name, "an actor's name is no gate")


def _unsafe_event(_desired: DesiredState, seen: Snapshot) -> Iterator[Drift]:
    for name, fields in _providers(seen):
        for event in sorted(federation.UNSAFE_EVENTS):
            if event in str(fields["attributeCondition"]):
                yield Drift("federation.unsafe-event", name, event)


def _second_provider(desired: DesiredState, seen: Snapshot) -> Iterator[Drift]:
    mine = {resource.ref.name for resource in desired.resources if resource.ref.kind is ResourceKind.PROVIDER}
    pools = {name.partition("/")[0] for name in mine}
    for name, fields in _providers(seen):
        if name.partition("/")[0] in pools and name not in mine and not fields["disabled"]:
            yield Drift("federation.second-provider", name, "it lets others into a pool of ours")


def _issuer(desired: DesiredState, seen: Snapshot) -> Iterator[Drift]:
    mine = {resource.ref.name for resource in desired.resources if resource.ref.kind is ResourceKind.PROVIDER}
    for name, fields in _providers(seen):
        if name in mine and fields["issuerUri"] != federation.ISSUER:
            yield Drift("federation.foreign-issuer", name, str(fields["issuerUri"]))


def _members(_desired: DesiredState, seen: Snapshot) -> Iterator[Drift]:
    for holder, policy in sorted(seen.policies.items()):
        for binding in policy.bindings:
            for member in sorted(binding.members):
                if member in google.EVERYONE:
                    yield Drift("access.everybody", holder, f"{binding.role} to {member}")
                if _OPEN_MEMBER.fullmatch(member):
                    yield Drift("federation.open-member", holder, f"{binding.role} to everything in a pool")
                if _NAME_MEMBER.match(member):
                    yield Drift(
                        "federation.name-member", holder, f"{binding.role} to {member.rpartition('attribute.')[2]}"
                    )


def _project_wide(_desired: DesiredState, seen: Snapshot) -> Iterator[Drift]:
    for holder, policy in sorted(seen.policies.items()):
        if holder.count("/") > 1:
            continue
        for binding in policy.bindings:
            accounts = sorted(member for member in binding.members if member.startswith("serviceAccount:"))
            if binding.role in SEVERE or (binding.role in PROJECT_WIDE and accounts):
                told = accounts if binding.role not in SEVERE else sorted(binding.members)
                yield from (Drift("access.project-wide", member, binding.role) for member in told)


def _user_keys(_desired: DesiredState, seen: Snapshot) -> Iterator[Drift]:
    for account, keys in sorted(seen.user_keys.items()):
        for key in keys:
            yield Drift("keys.forbidden", account, key)


def _placeholders(_desired: DesiredState, seen: Snapshot) -> Iterator[Drift]:
    for name in sorted(seen.placeholders):
        yield Drift("values.placeholder", name, "its latest version only fills the space")


RULES: Mapping[str, Callable[[DesiredState, Snapshot], Iterator[Drift]]] = {
    "federation.no-condition": _no_condition,
    "federation.by-name": _by_name,
    "federation.unsafe-event": _unsafe_event,
    "federation.second-provider": _second_provider,
    "federation.foreign-issuer": _issuer,
    "access.members": _members,
    "access.project-wide": _project_wide,
    "keys.forbidden": _user_keys,
    "values.placeholder": _placeholders,
}
