"""The desired state in the resources of the provider hashicorp/google, ordered for a first apply, with imports. Pure.

Names, arguments and identifiers are those of the provider's documentation (registry.terraform.io/providers/hashicorp/google). Written as JSON
syntax, where quoting is JSON's and `${` and `%{` are escaped (developer.hashicorp.com/terraform/language/syntax/json): nothing of a name
can become code. What only the service can name, channels and alerts, has no identifier: it is made anew, or imported by hand.
Terraform refuses to import what is not there, so only resources that were seen have an import.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from orchestra_creds.core.resources import DesiredState, Grant, Ref, Resource, ResourceKind
from orchestra_creds.setup.kind import Body
from orchestra_creds.setup.plan import fill_number
from orchestra_creds.setup.registry import ENTRIES, holder_ref
from orchestra_creds.setup.snapshot import ExistingParts

PROJECT_MEMBER = "google_project_iam_member"
AUDIT = "google_project_iam_audit_config"
PROJECT_API = "cloudresourcemanager.googleapis.com"
"""The API of policies and audit settings of projects."""
TERRAFORM_VERSION = ">= 1.5"
"""The first version with import blocks."""
PROVIDER = {"source": "hashicorp/google", "version": ">= 6.0, < 8.0"}
_POOL = re.compile(r"/workloadIdentityPools/([^/]+)/")


@dataclass(frozen=True, slots=True)
class Reference:
    """An attribute of another block, known when that is made."""

    kind: str
    label: str
    attribute: str


@dataclass(frozen=True, slots=True)
class Block:
    """One resource: its type, a label that no other of that type has, its arguments, what imports it, or "", and what it depends on.

    `needs` holds type and label of each block that must be applied before.
    """

    kind: str
    label: str
    body: Body
    identifier: str = ""
    needs: tuple[tuple[str, str], ...] = ()


def blocks(wanted: DesiredState, number: str, existing: ExistingParts) -> list[Block]:
    """Every resource and grant of the desired state, in the order in which `setup` brings them about; only what exists is imported."""
    found: list[Block] = []
    taken: set[tuple[str, str]] = set()
    references: dict[Ref, Reference] = {}

    def add(kind: str, name: str, body: Body, identifier: str, needs: Collection[Ref]) -> str:
        label = _label(name)
        while (kind, label) in taken:
            label += "_"
        taken.add((kind, label))
        places = [(there.kind, there.label) for ref in needs if (there := references.get(ref)) is not None]
        found.append(Block(kind, label, body, identifier, tuple(dict.fromkeys(places))))
        return label

    for resource in wanted.resources:
        name, entry = resource.ref.name, ENTRIES[resource.ref.kind]
        form = entry.terraform
        first, _, rest = name.partition("/")
        body: dict[str, object] = {"project": wanted.project, **form.arguments(name, resource.fields)}
        for argument, kind in entry.references.items():
            named = body.get(argument)
            if isinstance(named, list):
                body[argument] = [references.get(Ref(kind, one), one) for one in named]
        identifier = ""
        if resource.ref in existing.resources:
            identifier = form.identifier.format(project=wanted.project, name=name, first=first, rest=rest)
        label = add(form.type, name, body, identifier, _needs_of_resource(resource))
        references[resource.ref] = Reference(form.type, label, "name")
    for grant in (fill_number(each, number) for each in wanted.grants):
        kind_name, given = _member(grant, wanted.project)
        holder, role, who = (
            grant.holder.rpartition("/")[2],
            grant.role.rpartition("/")[2],
            grant.member.rpartition(":")[2],
        )
        add(kind_name, f"{holder}_{role}_{who}{grant.title}", given, "", _needs_of_grant(grant))
    for service, kinds in sorted(wanted.audit.items()):
        logged = [{"log_type": one} for one in sorted(kinds)]
        audited = {"project": wanted.project, "service": service, "audit_log_config": logged}
        identifier = f"{wanted.project} {service}" if service in existing.audited else ""
        add(AUDIT, service, audited, identifier, [Ref(ResourceKind.SERVICE, PROJECT_API)])
    return found


def _needs_of_resource(resource: Resource) -> list[Ref]:
    """Return what must be applied before a resource: its API, what its kind needs, and the account that it runs as."""
    entry, fields = ENTRIES[resource.ref.kind], resource.fields
    needs = [Ref(ResourceKind.SERVICE, entry.api)] if entry.api else []
    named = list(entry.needs(resource.ref.name, fields))
    needs += [Ref(kind, name) for name in named for kind in ResourceKind if kind is not ResourceKind.SERVICE]
    needs += [Ref(ResourceKind.ACCOUNT, str(fields["identity"]))] if "identity" in fields else []
    return [ref for ref in needs if ref != resource.ref]


def _needs_of_grant(grant: Grant) -> list[Ref]:
    """Return what must be applied before a grant: what has the policy, the role, the member, and the API of the policy."""
    holder = holder_ref(grant.holder)
    api = ENTRIES[holder.kind].api if holder is not None else PROJECT_API
    needs = [Ref(ResourceKind.SERVICE, api), *([holder] if holder is not None else [])]
    if grant.role.startswith("projects/"):
        needs.append(Ref(ResourceKind.ROLE, grant.role.rpartition("/")[2]))
    kind, _, member = grant.member.partition(":")
    if kind == "serviceAccount":
        needs.append(Ref(ResourceKind.ACCOUNT, member))
    if pool := _POOL.search(grant.member):
        needs.append(Ref(ResourceKind.POOL, pool[1]))
    return needs


def document(found: list[Block], project: str) -> dict[str, object]:
    """The provider, its version, resources and import blocks, as JSON syntax."""
    resources: dict[str, dict[str, object]] = {}
    for block in found:
        order = {"depends_on": [f"{kind}.{label}" for kind, label in block.needs]} if block.needs else {}
        resources.setdefault(block.kind, {})[block.label] = {**_escape_body(block.body), **order}
    imports = [{"to": f"{b.kind}.{b.label}", "id": _escape(b.identifier)} for b in found if b.identifier]
    head: dict[str, object] = {
        "terraform": {"required_version": TERRAFORM_VERSION, "required_providers": {"google": PROVIDER}},
        "provider": {"google": {"project": _escape(project)}},
        "resource": resources,
    }
    return head | ({"import": imports} if imports else {})


def _escape_body(body: Body) -> dict[str, object]:
    return {key: _escape(item) for key, item in body.items()}


def _escape(value: object) -> object:
    match value:
        case str():
            return value.replace("${", "$${").replace("%{", "%%{")
        case Reference():
            return f"${{{value.kind}.{value.label}.{value.attribute}}}"
        case Mapping():
            return {key: _escape(item) for key, item in value.items()}
        case list() | tuple():
            return [_escape(item) for item in value]
    return value


def _member(grant: Grant, project: str) -> tuple[str, Body]:
    body: dict[str, object] = {"role": grant.role, "member": grant.member}
    if grant.condition:
        body["condition"] = {"title": grant.title, "expression": grant.condition}
    ref = holder_ref(grant.holder)
    policy = ENTRIES[ref.kind].policy if ref is not None else None
    if ref is not None and policy is not None and policy.terraform:
        return policy.terraform, {**policy.arguments(project, ref.name, grant.holder), **body}
    return PROJECT_MEMBER, {"project": project, **body}


def _label(text: str) -> str:
    """A name that Terraform takes."""
    label = re.sub(r"[^A-Za-z0-9_]", "_", text)
    return label if label[:1].isalpha() else f"r_{label}"
