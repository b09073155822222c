"""A project as it is: one look at everything that a plan speaks of, with as few calls as Google's APIs allow.

Resources are listed, a call a page. Policies have no list at Google: one call for the project, and one for each secret and account that
the file names and that exists. Whether a latest version is a placeholder shows in its value alone: it is read, one call for each secret,
when the caller may read values in the whole project, compared and forgotten.

Where an API is not enabled yet and the file enables it, there is nothing behind it: its kinds count as absent.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto
from functools import partial
from typing import TypeVar

from orchestra_creds.core.cloud_types import IamPolicy, KeyOrigin, SecretResource
from orchestra_creds.core.google import STATE_ANNOTATION
from orchestra_creds.core.ports import KeyStore, PolicyStore, SecretStore
from orchestra_creds.core.resources import DesiredState, ProjectStore, Ref, Resource, ResourceKind, ResourceStore
from orchestra_creds.core.values import is_placeholder
from orchestra_creds.errors import (
    ApiDisabledError,
    ApiNotReadyError,
    AuthError,
    ConfigError,
    NotFoundError,
    PreconditionError,
)
from orchestra_creds.parallel import CALLS_AT_ONCE, call_both, map_in_order
from orchestra_creds.setup.registry import holder_ref

_T = TypeVar("_T")
ACCESS = "secretmanager.versions.access"
_NO_AUDIT: Mapping[str, frozenset[str]] = {}


class LatestVersion(Enum):
    """What the latest version of a secret is."""

    NONE = auto()
    CLOSED = auto()
    PLACEHOLDER = auto()
    VALUE = auto()


@dataclass(frozen=True, slots=True)
class ExistingParts:
    """What the project holds of the desired state: resources, and services whose calls are logged."""

    resources: Collection[Ref]
    audited: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was seen. `policies` by holder; `user_keys` of accounts that shall have none.

    `empty` secrets have no version, the latest one of `placeholders` is no value; `unread` tells that values could not be looked at.
    `off` are the APIs that are not enabled and that the file enables: nothing behind them was seen.
    """

    number: str
    resources: Mapping[Ref, Resource]
    policies: Mapping[str, IamPolicy]
    audit: Mapping[str, frozenset[str]] = field(default_factory=dict)
    user_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    empty: frozenset[str] = frozenset()
    placeholders: frozenset[str] = frozenset()
    unread: bool = False
    off: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ProjectPorts:
    """The ports that `setup` works on; up to `at_once` calls are under way at a time."""

    project: str
    secrets: SecretStore
    keys: KeyStore
    policies: PolicyStore
    itself: ProjectStore
    stores: Mapping[ResourceKind, ResourceStore]
    at_once: int = CALLS_AT_ONCE


class SecretResourceStore:
    """Secrets as resources; see ResourceStore. Never touches a value."""

    def __init__(self, secrets: SecretStore) -> None:
        self._secrets = secrets

    def every(self) -> Iterator[Resource]:
        """See ResourceStore."""
        return (resource_of(secret) for secret in self._secrets.list_secrets())

    def find(self, ref: Ref) -> Resource | None:
        """See ResourceStore."""
        secret = self._secrets.find_secret(ref.name)
        return resource_of(secret) if secret is not None else None

    def create(self, wanted: Resource) -> None:
        """See ResourceStore."""
        self._secrets.create_secret(
            wanted.ref.name,
            labels=_labels(wanted),
            destroy_ttl=_ttl(wanted),
            replicas=_replication(wanted),
        )

    def update(self, wanted: Resource, fields: Sequence[str], etag: str) -> None:
        """See ResourceStore: labels of others stay."""
        secret = self._secrets.get_secret(wanted.ref.name)
        if secret.etag != etag:
            raise PreconditionError(f"secret {wanted.ref.name} was changed in between")
        self._secrets.update_secret(
            secret,
            labels={**secret.labels, **_labels(wanted)} if "labels" in fields else None,
            destroy_ttl=_ttl(wanted) if "destroyTtl" in fields else None,
        )

    def undelete(self, ref: Ref) -> None:
        """See ResourceStore: a deleted secret is gone."""


def resource_of(secret: SecretResource) -> Resource:
    """A secret as a resource."""
    fields: dict[str, object] = {
        "labels": dict(secret.labels),
        "replication": sorted(secret.replicas),
        "rotated": STATE_ANNOTATION in secret.annotations,
    }
    if secret.destroy_ttl is not None:
        fields["destroyTtl"] = int(secret.destroy_ttl.total_seconds())
    return Resource(Ref(ResourceKind.SECRET, secret.name), fields, secret.etag)


def take_snapshot(project: ProjectPorts, wanted: DesiredState) -> Snapshot:
    """See everything that the file speaks of.

    Raises:
        ConfigError: the number in the file is that of another project.
    """
    number = project.itself.number()
    if wanted.number and wanted.number != number:
        raise ConfigError(
            f"project {wanted.project} has number {number}, the file says {wanted.number}",
            hint="is it the right project? correct project.id or project.number",
        )
    holders = sorted({f"projects/{project.project}", *(grant.holder for grant in wanted.grants), *wanted.exact})
    kinds = {resource.ref.kind for resource in wanted.resources} | {ResourceKind.POOL, ResourceKind.PROVIDER}
    kinds |= {ref.kind for holder in holders if (ref := holder_ref(holder)) is not None}
    kinds |= {ResourceKind.ACCOUNT} if wanted.keyless else set()
    gate = _ApiGate(project, wanted)
    each = partial(map_in_order, at_once=project.at_once)
    resources = _list_kinds(project, gate, [kind for kind in ResourceKind if kind in kinds])
    there = {holder for holder in holders if _exists(holder, resources)}
    named = sorted(r.ref.name for r in wanted.resources if r.ref.kind is ResourceKind.SECRET and r.ref in resources)
    itself = f"projects/{project.project}"
    access, audit = call_both(
        lambda: gate.look(lambda: project.policies.test_permissions(itself, [ACCESS]), frozenset[str]()),
        lambda: gate.look(project.itself.audit, _NO_AUDIT),
        at_once=project.at_once,
    )
    readable = named if access else []
    values = dict(zip(readable, each(partial(_latest, project), readable), strict=True))
    waiting = wanted.waiting - set(values)
    policies: dict[str, IamPolicy] = {}
    for holder, policy in each(
        lambda holder: (holder, gate.look(partial(_policy, project, holder), None)), sorted(there)
    ):
        policies |= {holder: policy} if policy is not None else {}
    keyless = [mail for mail in wanted.keyless if Ref(ResourceKind.ACCOUNT, mail) in resources]
    empty = each(lambda name: _is_empty(project, name, resources), sorted(waiting))
    return Snapshot(
        number=number,
        resources=resources,
        policies=policies,
        audit=audit,
        user_keys=dict(zip(keyless, each(partial(_user_keys, project), keyless), strict=True)),
        empty=frozenset(
            {name for name, is_empty in zip(sorted(waiting), empty, strict=True) if is_empty}
            | {name for name, found in values.items() if found is LatestVersion.NONE}
        ),
        placeholders=frozenset(name for name, found in values.items() if found is LatestVersion.PLACEHOLDER),
        unread=bool(named) and not access,
        off=frozenset(gate.off),
    )


class _ApiGate:
    """Takes for absent what an API hides that is not enabled yet and that the file enables; `off` are those APIs."""

    def __init__(self, project: ProjectPorts, wanted: DesiredState) -> None:
        self._project = project
        self._services = {resource.ref for resource in wanted.resources if resource.ref.kind is ResourceKind.SERVICE}
        self.off: set[str] = set()

    def look(self, call: Callable[[], _T], absent: _T) -> _T:
        """Return what a call returns, or `absent` if its API is off.

        Raises:
            ApiDisabledError: it is off, and the file does not enable it.
            ApiNotReadyError: it is enabled, and refuses all the same.
        """
        try:
            return call()
        except ApiDisabledError as error:
            service = Ref(ResourceKind.SERVICE, error.service)
            if self._project.stores[ResourceKind.SERVICE].find(service) is not None:
                raise ApiNotReadyError(
                    f"{error}, although Service Usage says that it is",
                    service=error.service,
                    hint="a new API is known everywhere after a few minutes: try again then",
                ) from error
            if service not in self._services:
                raise
            self.off.add(error.service)
            return absent


def take_partial_snapshot(project: ProjectPorts, wanted: DesiredState) -> Snapshot:
    """See what is named and nothing else: for a part that stands alone, whose caller may see no more."""
    gate = _ApiGate(project, wanted)
    refs = [resource.ref for resource in wanted.resources]
    found = map_in_order(
        lambda ref: gate.look(partial(project.stores[ref.kind].find, ref), None), refs, at_once=project.at_once
    )
    resources = {ref: resource for ref, resource in zip(refs, found, strict=True) if resource is not None}
    holders = sorted({grant.holder for grant in wanted.grants if _exists(grant.holder, resources)})
    policies = map_in_order(project.policies.get_policy, holders, at_once=project.at_once)
    return Snapshot("", resources, dict(zip(holders, policies, strict=True)), off=frozenset(gate.off))


def find_existing(project: ProjectPorts, wanted: DesiredState) -> ExistingParts:
    """See which resources of the file exist, and what is audited: one list call a kind and page. No policy and no value is read."""
    gate = _ApiGate(project, wanted)
    kinds = {resource.ref.kind for resource in wanted.resources}
    found = _list_kinds(project, gate, [kind for kind in ResourceKind if kind in kinds])
    refs = {ref for ref, resource in found.items() if not resource.deleted}
    audited = gate.look(project.itself.audit, _NO_AUDIT) if wanted.audit else _NO_AUDIT
    return ExistingParts(refs, frozenset(audited))


def _list_kinds(project: ProjectPorts, gate: _ApiGate, kinds: Sequence[ResourceKind]) -> dict[Ref, Resource]:
    """Return all resources of these kinds."""
    nothing: dict[Ref, Resource] = {}
    found = map_in_order(
        lambda kind: gate.look(partial(_list_all, project, kind), nothing), kinds, at_once=project.at_once
    )
    return {ref: resource for listed in found for ref, resource in listed.items()}


def _list_all(project: ProjectPorts, kind: ResourceKind) -> dict[Ref, Resource]:
    return {resource.ref: resource for resource in project.stores[kind].every()}


def _policy(project: ProjectPorts, holder: str) -> IamPolicy | None:
    return project.policies.get_policy(holder)


def _exists(holder: str, resources: Mapping[Ref, Resource]) -> bool:
    ref = holder_ref(holder)
    return ref is None or ref in resources


def _user_keys(project: ProjectPorts, mail: str) -> tuple[str, ...]:
    return tuple(key.id for key in project.keys.list_keys(mail) if key.origin is KeyOrigin.USER)


def _latest(project: ProjectPorts, name: str) -> LatestVersion:
    """What the latest version of a secret is; one that cannot be read is nobody's value now, and no placeholder."""
    try:
        version = project.secrets.access(name, "latest")
    except NotFoundError:
        return LatestVersion.NONE
    except (PreconditionError, AuthError):
        return LatestVersion.CLOSED
    return LatestVersion.PLACEHOLDER if is_placeholder(version.material, name=name) else LatestVersion.VALUE


def _is_empty(project: ProjectPorts, name: str, resources: Mapping[Ref, Resource]) -> bool:
    found = resources.get(Ref(ResourceKind.SECRET, name))
    if found is None or found.fields.get("rotated"):
        return False
    try:
        project.secrets.get_version(name, "latest")
    except NotFoundError:
        return True
    return False


def _labels(wanted: Resource) -> dict[str, str]:
    labels = wanted.fields.get("labels", {})
    return {str(key): str(value) for key, value in labels.items()} if isinstance(labels, Mapping) else {}


def _ttl(wanted: Resource) -> timedelta | None:
    seconds = wanted.fields.get("destroyTtl")
    return timedelta(seconds=seconds) if isinstance(seconds, int) else None


def _replication(wanted: Resource) -> tuple[str, ...]:
    replicas = wanted.fields.get("replication", ())
    return tuple(str(place) for place in replicas) if isinstance(replicas, list | tuple) else ()
