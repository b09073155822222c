"""Parts of the desired state: what `setup --only PART` leaves of it. Pure."""

from dataclasses import replace

from orchestra_creds.core.resources import DesiredState, ResourceKind
from orchestra_creds.errors import ConfigError
from orchestra_creds.setup.registry import ENTRIES, PARTS

ACCESS, AUDIT = "access", "audit"
"""Parts that hold no resource: policies, and what is logged."""


def select_part(wanted: DesiredState, part: str) -> DesiredState:
    """Return one part of the desired state; all of it if `part` is empty.

    Raises:
        ConfigError: there is no such part.
    """
    if not part:
        return wanted
    if part == ACCESS:
        return replace(wanted, resources=(), audit={}, waiting=frozenset())
    if part == AUDIT:
        return replace(wanted, resources=(), grants=(), exact=frozenset(), waiting=frozenset())
    if part not in PARTS:
        raise ConfigError(f"--only {part!r} is not known", hint=f"one of {', '.join([*PARTS, ACCESS, AUDIT])}")
    kinds = PARTS[part]
    roles = {ENTRIES[kind].grant_role for kind in kinds}
    return replace(
        wanted,
        resources=tuple(resource for resource in wanted.resources if resource.ref.kind in kinds),
        grants=tuple(grant for grant in wanted.grants if grant.role in roles),
        exact=frozenset(),
        audit={},
        waiting=wanted.waiting if ResourceKind.SECRET in kinds else frozenset(),
    )


def locations(wanted: DesiredState) -> list[str]:
    """Return the locations of the resources that have one in their name, sorted."""
    refs = (resource.ref for resource in wanted.resources)
    return sorted({ref.name.partition("/")[0] for ref in refs if ENTRIES[ref.kind].located})
