"""The role that an operator is told to ask for has the permission, and none that is smaller does."""

import re
from pathlib import Path

import pytest

from orchestra_creds.config.parse import parse
from orchestra_creds.core.permissions import least_role
from orchestra_creds.emulator.access.role_catalog import PREDEFINED
from orchestra_creds.manage import doctor
from orchestra_creds.setup.example import example

PAGE = (Path(__file__).parents[2] / "docs" / "setup.md").read_text(encoding="utf-8")
NAMED = {
    line for block in re.findall(r"^```text\n\w+\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE) for line in block.split()
}
ROTATOR = parse(example("acme-dev"), "example.toml").custom_roles["orchestraCredsRotator"].permissions
MORE = (
    "storage.buckets.create",
    "run.jobs.setIamPolicy",
    "cloudscheduler.jobs.delete",
    "monitoring.alertPolicies.list",
)


@pytest.mark.parametrize("permission", sorted(NAMED | set(ROTATOR) | set(doctor.PERMISSIONS) | set(MORE)))
def test_the_role_has_it_and_no_smaller_one_does(permission: str) -> None:
    chosen = PREDEFINED[least_role(permission)]
    spelled = permission.replace("iam.googleapis.com/", "iam.")
    assert spelled in chosen.permissions
    smaller = [r.name for r in PREDEFINED.values() if spelled in r.permissions and r.permissions < chosen.permissions]
    assert smaller == []


def test_both_spellings_and_what_nobody_knows() -> None:
    assert least_role("iam.googleapis.com/workloadIdentityPools.create") == least_role(
        "iam.workloadIdentityPools.create"
    )
    assert least_role("bigquery.tables.get") == ""
