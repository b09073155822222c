"""Everything that the embedded cloud serves, module by module."""

from orchestra_creds.emulator.access import policies
from orchestra_creds.emulator.api_keys import keys as api_keys
from orchestra_creds.emulator.iam import accounts, analyzer, keys, roles
from orchestra_creds.emulator.identity import credentials, federation, oauth, sts
from orchestra_creds.emulator.logging import metrics as log_metrics
from orchestra_creds.emulator.monitoring import alerts as monitoring
from orchestra_creds.emulator.monitoring import time_series
from orchestra_creds.emulator.protocol import rest
from orchestra_creds.emulator.protocol.service import Service
from orchestra_creds.emulator.resource_manager import org_policy, projects
from orchestra_creds.emulator.run import jobs as run_jobs
from orchestra_creds.emulator.scheduler import jobs as scheduler_jobs
from orchestra_creds.emulator.secret_manager import locations, secrets
from orchestra_creds.emulator.service_usage import services as api_services
from orchestra_creds.emulator.storage import buckets

SERVICES: tuple[Service, ...] = tuple(
    module.SERVICE
    for module in (
        secrets, locations, policies, accounts, keys, roles, credentials, oauth, federation, sts, projects,
        api_services, analyzer, api_keys, org_policy, buckets, scheduler_jobs, run_jobs, log_metrics, monitoring, time_series,
        rest,
    )
)  # fmt: skip
"""The services, in the order in which paths are tried."""
