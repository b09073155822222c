"""The desired state in the resources of the provider hashicorp/google, with the identifiers that import what is there. Pure.

Names, arguments and identifiers are those of the provider's documentation (registry.terraform.io/providers/hashicorp/google). Written as JSON
syntax, where quoting is JSON's and `${` and `%{` are escaped (developer.hashicorp.com/terraform/language/syntax/json): nothing of a name
can become code. What only the service can name, channels and alerts, has no identifier: it is made anew, or imported by hand.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from orchestra_creds.core.resources import DesiredState, Grant, Ref
from orchestra_creds.setup.kind import Body
from orchestra_creds.setup.plan import fill_number
from orchestra_creds.setup.registry import ENTRIES, holder_ref

PROJECT_MEMBER = "google_project_iam_member"
AUDIT = "google_project_iam_audit_config"


@dataclass(frozen=True, slots=True)
class Reference:
    """An attribute of another block, known when that is made."""

    kind: str
    label: str
    attribute: str


@dataclass(frozen=True, slots=True)
class Block:
    """One resource: its type, a label that no other of that type has, its arguments, and what imports it, or ""."""

    kind: str
    label: str
    body: Body
    identifier: str = ""


def blocks(wanted: DesiredState, number: str) -> list[Block]:
    """Every resource and grant of the desired state, in the order in which `setup` brings them about."""
    found: list[Block] = []
    taken: set[tuple[str, str]] = set()
    references: dict[Ref, Reference] = {}

    def add(kind: str, name: str, body: Body, identifier: str) -> str:
        label = _label(name)
        while (kind, label) in taken:
            label += "_"
        taken.add((kind, label))
        found.append(Block(kind, label, body, identifier))
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
        identifier = form.identifier.format(project=wanted.project, name=name, first=first, rest=rest)
        label = add(form.type, name, body, identifier)
        references[resource.ref] = Reference(form.type, label, "name")
    for grant in (fill_number(each, number) for each in wanted.grants):
        kind_name, given = _member(grant, wanted.project)
        holder, role, who = (
            grant.holder.rpartition("/")[2],
            grant.role.rpartition("/")[2],
            grant.member.rpartition(":")[2],
        )
        add(kind_name, f"{holder}_{role}_{who}{grant.title}", given, "")
    for service, kinds in sorted(wanted.audit.items()):
        logged = [{"log_type": one} for one in sorted(kinds)]
        audited = {"project": wanted.project, "service": service, "audit_log_config": logged}
        add(AUDIT, service, audited, f"{wanted.project} {service}")
    return found


def document(found: list[Block]) -> dict[str, object]:
    """Resources and import blocks, as JSON syntax."""
    resources: dict[str, dict[str, object]] = {}
    for block in found:
        resources.setdefault(block.kind, {})[block.label] = _escape(block.body)
    imports = [{"to": f"{b.kind}.{b.label}", "id": _escape(b.identifier)} for b in found if b.identifier]
    return {"resource": resources, "import": imports}


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
