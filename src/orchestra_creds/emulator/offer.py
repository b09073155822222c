"""Everything that the embedded cloud serves, module by module."""

from orchestra_creds.emulator import (
    accounts,
    analyzer,
    api_keys,
    buckets,
    credentials,
    federation,
    keys,
    locations,
    log_metrics,
    monitoring,
    oauth,
    org_policy,
    policies,
    resource_manager,
    rest,
    roles,
    run_jobs,
    scheduler,
    secrets,
    service_usage,
    sts,
)
from orchestra_creds.emulator.service import Service

SERVICES: tuple[Service, ...] = tuple(
    module.SERVICE
    for module in (
        secrets, locations, policies, accounts, keys, roles, credentials, oauth, federation, sts, resource_manager,
        service_usage, analyzer, api_keys, org_policy, buckets, scheduler, run_jobs, log_metrics, monitoring, rest,
    )
)  # fmt: skip
"""The services, in the order in which paths are tried."""
