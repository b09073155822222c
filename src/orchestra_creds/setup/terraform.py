"""The desired state in the resources of the provider hashicorp/google, with the identifiers that import what is there. Pure.

Names, arguments and identifiers are those of the provider's documentation (registry.terraform.io/providers/hashicorp/google). Written as JSON
syntax, where quoting is JSON's and `${` and `%{` are escaped (developer.hashicorp.com/terraform/language/syntax/json): nothing of a name
can become code. What only the service can name, channels and alerts, has no identifier: it is made anew, or imported by hand.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orchestra_creds.core.resources import DesiredState, Grant, ResourceKind
from orchestra_creds.setup.plan import fill_number

Body = Mapping[str, object]


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


CHANNEL, TOLD = "google_monitoring_notification_channel", "notification_channels"


def blocks(wanted: DesiredState, number: str) -> list[Block]:
    """Every resource and grant of the desired state, in the order in which `setup` brings them about."""
    found: list[Block] = []
    taken: set[tuple[str, str]] = set()
    channels: dict[str, Reference] = {}

    def add(kind: str, name: str, body: Body, identifier: str) -> str:
        label = _label(name)
        while (kind, label) in taken:
            label += "_"
        taken.add((kind, label))
        found.append(Block(kind, label, body, identifier))
        return label

    for resource in wanted.resources:
        name, own = resource.ref.name, {"project": wanted.project}
        kind, arguments, identifier = _TYPES[resource.ref.kind]
        first, _, rest = name.partition("/")
        body: dict[str, object] = {**own, **arguments(name, resource.fields)}
        told = body.get(TOLD)
        if isinstance(told, list):
            body[TOLD] = [channels.get(one, one) for one in told]
        label = add(kind, name, body, identifier.format(**own, name=name, first=first, rest=rest))
        if kind == CHANNEL:
            channels[name] = Reference(kind, label, "name")
    for grant in (fill_number(each, number) for each in wanted.grants):
        kind, given = _member(grant, wanted.project)
        holder, role, who = (
            grant.holder.rpartition("/")[2],
            grant.role.rpartition("/")[2],
            grant.member.rpartition(":")[2],
        )
        add(kind, f"{holder}_{role}_{who}{grant.title}", given, "")
    for service, kinds in sorted(wanted.audit.items()):
        logged = [{"log_type": one} for one in sorted(kinds)]
        audited = {"project": wanted.project, "service": service, "audit_log_config": logged}
        add("google_project_iam_audit_config", service, audited, f"{wanted.project} {service}")
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


def _service(name: str, _fields: Body) -> Body:
    return {"service": name, "disable_on_destroy": False}


def _role(name: str, fields: Body) -> Body:
    told = {"title": fields["title"], "description": fields["description"]}
    return {"role_id": name, **told, "permissions": fields["includedPermissions"]}


def _account(name: str, fields: Body) -> Body:
    return {"account_id": name.partition("@")[0], **_display_fields(fields)}


def _display_fields(fields: Body) -> Body:
    return {"display_name": fields["displayName"], "description": fields["description"]}


def _secret(name: str, fields: Body) -> Body:
    places = fields["replication"]
    replication: dict[str, object] = {"auto": {}}
    if isinstance(places, list) and places:
        replication = {"user_managed": {"replicas": [{"location": place} for place in places]}}
    body = {"secret_id": name, "labels": fields["labels"], "replication": replication}
    return {**body, "version_destroy_ttl": f"{fields['destroyTtl']}s"} if "destroyTtl" in fields else body


def _pool(name: str, fields: Body) -> Body:
    return {"workload_identity_pool_id": name, **_display_fields(fields)}


def _provider(name: str, fields: Body) -> Body:
    pool, _, provider = name.partition("/")
    return {
        "workload_identity_pool_id": pool,
        "workload_identity_pool_provider_id": provider,
        "attribute_mapping": fields["attributeMapping"],
        "attribute_condition": fields["attributeCondition"],
        "oidc": {"issuer_uri": fields["issuerUri"]},
    }


def _bucket(name: str, fields: Body) -> Body:
    return {
        "name": name,
        "location": fields["location"],
        "labels": fields["labels"],
        "uniform_bucket_level_access": fields["uniformAccess"],
        "public_access_prevention": fields["publicAccessPrevention"],
        "versioning": {"enabled": fields["versioning"]},
    }


def _metric(name: str, fields: Body) -> Body:
    return {"name": name, **fields, "metric_descriptor": {"metric_kind": "DELTA", "value_type": "INT64", "unit": "1"}}


def _channel(name: str, fields: Body) -> Body:
    body = {"type": fields["type"], "labels": fields["address"], "user_labels": fields["labels"]}
    return {"display_name": name, **body, "enabled": fields["enabled"]}


def _alert(name: str, fields: Body) -> Body:
    seconds = f"{fields['seconds']}s"
    condition: dict[str, object] = {"display_name": name}
    strategy: dict[str, object] = {}
    if fields["match"] == "log":
        condition["condition_matched_log"] = {"filter": fields["filter"]}
        strategy = {"alert_strategy": {"notification_rate_limit": {"period": seconds}}}
    else:
        steps = [{"alignment_period": "60s", "per_series_aligner": "ALIGN_DELTA"}]
        condition["condition_absent"] = {"filter": fields["filter"], "duration": seconds, "aggregations": steps}
    return {
        "display_name": name,
        "combiner": "OR",
        "conditions": [condition],
        **strategy,
        TOLD: fields["channels"],
        "documentation": {"content": fields["documentation"], "mime_type": "text/markdown"},
        "user_labels": fields["labels"],
        "enabled": fields["enabled"],
    }


def _job(name: str, fields: Body) -> Body:
    place, _, job = name.partition("/")
    environment = fields["environment"]
    variables = (
        [{"name": variable, "value": value} for variable, value in sorted(environment.items())]
        if isinstance(environment, Mapping)
        else []
    )
    container = {"image": fields["image"], "args": fields["arguments"], **({"env": variables} if variables else {})}
    task = {
        "service_account": fields["identity"],
        "timeout": f"{fields['timeout']}s",
        "max_retries": fields["retries"],
        "containers": [container],
    }
    return {"location": place, "name": job, "labels": fields["labels"], "template": {"template": task}}


def _schedule(name: str, fields: Body) -> Body:
    place, _, job = name.partition("/")
    token = {"service_account_email": fields["identity"]}
    return {
        "region": place,
        "name": job,
        "schedule": fields["cron"],
        "time_zone": fields["zone"],
        "description": fields["description"],
        "attempt_deadline": f"{fields['deadline']}s",
        "paused": fields["paused"],
        "retry_config": {"retry_count": fields["retries"]},
        "http_target": {"http_method": "POST", "uri": fields["uri"], "oauth_token": token},
    }


_POOLS = "projects/{project}/locations/global/workloadIdentityPools"
_TYPES: Mapping[ResourceKind, tuple[str, Callable[[str, Body], Body], str]] = {
    ResourceKind.SERVICE: ("google_project_service", _service, "{project}/{name}"),
    ResourceKind.ROLE: ("google_project_iam_custom_role", _role, "projects/{project}/roles/{name}"),
    ResourceKind.ACCOUNT: ("google_service_account", _account, "projects/{project}/serviceAccounts/{name}"),
    ResourceKind.SECRET: ("google_secret_manager_secret", _secret, "projects/{project}/secrets/{name}"),
    ResourceKind.POOL: ("google_iam_workload_identity_pool", _pool, _POOLS + "/{name}"),
    ResourceKind.PROVIDER: (
        "google_iam_workload_identity_pool_provider",
        _provider,
        _POOLS + "/{first}/providers/{rest}",
    ),
    ResourceKind.BUCKET: ("google_storage_bucket", _bucket, "{name}"),
    ResourceKind.METRIC: ("google_logging_metric", _metric, "{name}"),
    ResourceKind.CHANNEL: (CHANNEL, _channel, ""),
    ResourceKind.ALERT: ("google_monitoring_alert_policy", _alert, ""),
    ResourceKind.JOB: ("google_cloud_run_v2_job", _job, "projects/{project}/locations/{first}/jobs/{rest}"),
    ResourceKind.SCHEDULE: (
        "google_cloud_scheduler_job",
        _schedule,
        "projects/{project}/locations/{first}/jobs/{rest}",
    ),
}
"""Kind -> type, arguments, and identifier; `first` and `rest` are the two parts of a name with a slash."""


def _member(grant: Grant, project: str) -> tuple[str, Body]:
    body: dict[str, object] = {"role": grant.role, "member": grant.member}
    if grant.condition:
        body["condition"] = {"title": grant.title, "expression": grant.condition}
    match grant.holder.split("/"):
        case [_, _, "secrets", name]:
            return "google_secret_manager_secret_iam_member", {"project": project, "secret_id": name, **body}
        case [_, _, "serviceAccounts", _]:
            return "google_service_account_iam_member", {"service_account_id": grant.holder, **body}
        case [_, _, "locations", place, "jobs", name]:
            return "google_cloud_run_v2_job_iam_member", {"project": project, "location": place, "name": name, **body}
    return "google_project_iam_member", {"project": project, **body}


def _label(text: str) -> str:
    """A name that Terraform takes."""
    label = re.sub(r"[^A-Za-z0-9_]", "_", text)
    return label if label[:1].isalpha() else f"r_{label}"
