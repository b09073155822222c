"""The desired state as a Pulumi program in Python, over the package pulumi-gcp. Pure.

That package is generated from the provider of Terraform, so the same model serves; only classes, and the names of some lists, differ
(pulumi.com/registry/packages/gcp/api-docs). Everything of a name is written by `repr`: nothing of it can become code.
"""

from collections.abc import Mapping

from orchestra_creds.setup.terraform import CHANNEL, Block, Reference

CLASSES = {
    "google_project_service": "projects.Service",
    "google_project_iam_custom_role": "projects.IAMCustomRole",
    "google_project_iam_member": "projects.IAMMember",
    "google_project_iam_audit_config": "projects.IAMAuditConfig",
    "google_service_account": "serviceaccount.Account",
    "google_service_account_iam_member": "serviceaccount.IAMMember",
    "google_secret_manager_secret": "secretmanager.Secret",
    "google_secret_manager_secret_iam_member": "secretmanager.SecretIamMember",
    "google_iam_workload_identity_pool": "iam.WorkloadIdentityPool",
    "google_iam_workload_identity_pool_provider": "iam.WorkloadIdentityPoolProvider",
    "google_storage_bucket": "storage.Bucket",
    "google_logging_metric": "logging.Metric",
    CHANNEL: "monitoring.NotificationChannel",
    "google_monitoring_alert_policy": "monitoring.AlertPolicy",
    "google_cloud_run_v2_job": "cloudrunv2.Job",
    "google_cloud_run_v2_job_iam_member": "cloudrunv2.JobIamMember",
    "google_cloud_scheduler_job": "cloudscheduler.Job",
}
_PLURAL = {"audit_log_config": "audit_log_configs", "env": "envs"}
"""Lists that Pulumi names by more than one."""
_HEAD = '''"""Written by `orchestra-creds setup export --to pulumi-python`: what is there already is imported, and stays when this goes."""

import pulumi
import pulumi_gcp as gcp
'''


def program(found: list[Block]) -> str:
    """Its text; what has no identifier is made anew."""
    variables = {(b.kind, b.label): f"channel_{n}" for n, b in enumerate((b for b in found if b.kind == CHANNEL), 1)}

    def expression(value: object) -> str:
        match value:
            case Reference():
                return f"{variables[value.kind, value.label]}.{value.attribute}"
            case Mapping():
                return (
                    "{"
                    + ", ".join(f"{_property_name(k, item)!r}: {expression(item)}" for k, item in value.items())
                    + "}"
                )
            case list() | tuple():
                return "[" + ", ".join(expression(item) for item in value) + "]"
        return repr(value)

    lines = [_HEAD]
    for block in found:
        name = variables.get((block.kind, block.label))
        lines.append(f"{f'{name} = ' if name else ''}gcp.{CLASSES[block.kind]}(")
        lines.append(f"    {block.label!r},")
        lines += (f"    {_property_name(key, value)}={expression(value)}," for key, value in block.body.items())
        options = f"import_={block.identifier!r}, " if block.identifier else ""
        lines += [f"    opts=pulumi.ResourceOptions({options}retain_on_delete=True),", ")"]
    return "\n".join(lines) + "\n"


def _property_name(key: str, value: object) -> str:
    """Pulumi's name; a label or a variable of the same name is no list, and keeps it."""
    return _PLURAL.get(key, key) if isinstance(value, list) else key
