"""The same desired state for other tools, with what it takes to import what is there already; no value of a secret is in it.

Terraform is written as JSON syntax (developer.hashicorp.com/terraform/language/syntax/json): quoting is JSON's, so nothing of a name can
become code. Its import blocks use the identifiers of the provider's documentation (registry hashicorp/google).
"""

import json
import re
from collections.abc import Mapping, Sequence

from orchestra_creds.core.resources import Desired, Grant, Kind, Resource
from orchestra_creds.errors import ConfigError

FORMATS = ("terraform", "gcloud")
_TYPES = {
    Kind.SERVICE: "google_project_service",
    Kind.ROLE: "google_project_iam_custom_role",
    Kind.ACCOUNT: "google_service_account",
    Kind.SECRET: "google_secret_manager_secret",
    Kind.POOL: "google_iam_workload_identity_pool",
    Kind.PROVIDER: "google_iam_workload_identity_pool_provider",
    Kind.BUCKET: "google_storage_bucket",
}


def export(wanted: Desired, number: str, form: str) -> str:
    """The document in a form.

    Raises:
        ConfigError: there is no such form.
    """
    if form == "terraform":
        return json.dumps(terraform(wanted, number), indent=2) + "\n"
    if form == "gcloud":
        return "".join(line + "\n" for line in gcloud(wanted, number))
    raise ConfigError(f"--to {form!r} is not known", hint=f"one of {', '.join(FORMATS)}")


def terraform(wanted: Desired, number: str) -> dict[str, object]:
    """Resources and import blocks."""
    resources: dict[str, dict[str, object]] = {}
    imports = []
    for resource in wanted.resources:
        kind = _TYPES.get(resource.ref.kind)
        if kind is None:
            continue
        label = _label(resource.ref.name)
        resources.setdefault(kind, {})[label] = _body(resource, wanted.project)
        imports.append({"to": f"{kind}.{label}", "id": _identifier(resource, wanted.project)})
    for grant in wanted.grants:
        member = grant.member.replace("{number}", number)
        kind, body = _member(grant, member, wanted.project)
        label = _label(
            f"{grant.holder.rpartition('/')[2]}_{grant.role.rpartition('/')[2]}_{member.rpartition(':')[2]}{grant.title}"
        )
        resources.setdefault(kind, {})[label] = body
    return {"resource": resources, "import": imports}


def _body(resource: Resource, project: str) -> dict[str, object]:
    name, fields = resource.ref.name, resource.fields
    match resource.ref.kind:
        case Kind.SERVICE:
            return {"project": project, "service": name, "disable_on_destroy": False}
        case Kind.ROLE:
            body = {
                "title": fields["title"],
                "description": fields["description"],
                "permissions": fields["includedPermissions"],
            }
            return {"project": project, "role_id": name, **body}
        case Kind.ACCOUNT:
            body = {"display_name": fields["displayName"], "description": fields["description"]}
            return {"project": project, "account_id": name.partition("@")[0], **body}
        case Kind.SECRET:
            return {"project": project, "secret_id": name, **_secret(fields)}
        case Kind.POOL:
            body = {"display_name": fields["displayName"], "description": fields["description"]}
            return {"project": project, "workload_identity_pool_id": name, **body}
        case Kind.PROVIDER:
            pool, _, provider = name.partition("/")
            return {
                "project": project,
                "workload_identity_pool_id": pool,
                "workload_identity_pool_provider_id": provider,
                "attribute_mapping": fields["attributeMapping"],
                "attribute_condition": fields["attributeCondition"],
                "oidc": {"issuer_uri": fields["issuerUri"]},
            }
    return {
        "project": project,
        "name": name,
        "location": fields["location"],
        "uniform_bucket_level_access": True,
        "public_access_prevention": "enforced",
        "versioning": {"enabled": True},
    }


def _secret(fields: Mapping[str, object]) -> dict[str, object]:
    places = fields["replication"]
    replication: dict[str, object] = {"auto": {}}
    if isinstance(places, list) and places:
        replication = {"user_managed": {"replicas": [{"location": place} for place in places]}}
    body = {"labels": fields["labels"], "replication": replication}
    return {**body, "version_destroy_ttl": f"{fields['destroyTtl']}s"} if "destroyTtl" in fields else body


def _identifier(resource: Resource, project: str) -> str:
    name = resource.ref.name
    match resource.ref.kind:
        case Kind.SERVICE:
            return f"{project}/{name}"
        case Kind.ROLE:
            return f"projects/{project}/roles/{name}"
        case Kind.ACCOUNT:
            return f"projects/{project}/serviceAccounts/{name}"
        case Kind.SECRET:
            return f"projects/{project}/secrets/{name}"
        case Kind.POOL:
            return f"projects/{project}/locations/global/workloadIdentityPools/{name}"
        case Kind.PROVIDER:
            pool, _, provider = name.partition("/")
            return f"projects/{project}/locations/global/workloadIdentityPools/{pool}/providers/{provider}"
    return name


def _member(grant: Grant, member: str, project: str) -> tuple[str, dict[str, object]]:
    holder = grant.holder.split("/")
    body: dict[str, object] = {"role": grant.role, "member": member}
    if grant.condition:
        body["condition"] = {"title": grant.title, "expression": grant.condition}
    match holder:
        case [_, _, "secrets", name]:
            return "google_secret_manager_secret_iam_member", {"project": project, "secret_id": name, **body}
        case [_, _, "serviceAccounts", _]:
            return "google_service_account_iam_member", {"service_account_id": grant.holder, **body}
        case [_, _, "locations", place, "jobs", name]:
            return "google_cloud_run_v2_job_iam_member", {"project": project, "location": place, "name": name, **body}
    return "google_project_iam_member", {"project": project, **body}


def gcloud(wanted: Desired, number: str) -> Sequence[str]:
    """Commands, for reading: what `setup` does is looked at first and made under an etag, these are not."""
    from shlex import join

    lines = []
    for resource in wanted.resources:
        name, project = resource.ref.name, f"--project={wanted.project}"
        match resource.ref.kind:
            case Kind.SERVICE:
                lines.append(join(["gcloud", "services", "enable", name, project]))
            case Kind.ACCOUNT:
                account = name.partition("@")[0]
                shown = f"--display-name={resource.fields['displayName']}"
                lines.append(join(["gcloud", "iam", "service-accounts", "create", account, shown, project]))
            case Kind.SECRET:
                lines.append(join(["gcloud", "secrets", "create", name, project]))
            case Kind.POOL:
                lines.append(
                    join(["gcloud", "iam", "workload-identity-pools", "create", name, "--location=global", project])
                )
    for grant in wanted.grants:
        member, condition = grant.member.replace("{number}", number), grant.condition
        told = f"--condition=expression={condition},title={grant.title}" if condition else "--condition=None"
        name = grant.holder.rpartition("/")[2]
        kinds = {"secrets": ["secrets"], "serviceAccounts": ["iam", "service-accounts"]}
        group = kinds.get(grant.holder.split("/")[2] if grant.holder.count("/") > 1 else "", ["projects"])
        arguments = [name, f"--member={member}", f"--role={grant.role}", told]
        lines.append(join(["gcloud", *group, "add-iam-policy-binding", *arguments]))
    return lines


def _label(text: str) -> str:
    """A name that Terraform takes."""
    label = re.sub(r"[^A-Za-z0-9_]", "_", text)
    return label if label[:1].isalpha() else f"r_{label}"
