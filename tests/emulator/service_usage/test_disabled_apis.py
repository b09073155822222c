"""An API that was disabled in a project refuses every call there, as Google's does, until it is enabled again."""

import pytest
from google.rpc import error_details_pb2

from orchestra_creds.emulator.protocol.errors import Code, EmuError
from orchestra_creds.emulator.protocol.routes import IAM_ADMIN, IAM_CREDENTIALS, SECRET_MANAGER, rpcs
from orchestra_creds.emulator.store import project_numbers
from tests.emulator.conftest import Cloud
from tests.emulator.identities import PROJECT, Caller
from tests.strictness import switch_to_strict

PLACE = f"{PROJECT}/locations/us-central1"
CALLS = {
    "apikeys": ("GET", f"/v2/{PROJECT}/locations/global/keys"),
    "cloudresourcemanager": ("GET", f"/v3/{PROJECT}"),
    "cloudscheduler": ("GET", f"/v1/{PLACE}/jobs"),
    "iam": ("GET", f"/v1/{PROJECT}/serviceAccounts"),
    "logging": ("GET", f"/v2/{PROJECT}/metrics"),
    "monitoring": ("GET", f"/v3/{PROJECT}/alertPolicies"),
    "orgpolicy": ("GET", f"/v2/{PROJECT}/policies/iam.disableServiceAccountKeyUpload:getEffectivePolicy"),
    "policyanalyzer": (
        "GET",
        f"/v1/{PROJECT}/locations/global/activityTypes/serviceAccountKeyLastAuthentication/activities:query",
    ),
    "run": ("GET", f"/v2/{PLACE}/jobs"),
    "secretmanager": ("GET", f"/v1/{PROJECT}/secrets"),
    "serviceusage": ("GET", f"/v1/{PROJECT}/services"),
    "storage": ("GET", "/storage/v1/b?project=demo-project"),
}


@pytest.fixture
def boss(cloud: Cloud) -> Caller:
    return Caller(cloud.emulator, "")


def switch(boss: Caller, api: str, verb: str) -> None:
    assert boss.rest("POST", f"/v1/{PROJECT}/services/{api}.googleapis.com:{verb}", {})[0] == 200


@pytest.mark.parametrize("api", sorted(CALLS))
def test_a_disabled_api_refuses_with_googles_detail_until_it_is_enabled(boss: Caller, cloud: Cloud, api: str) -> None:
    verb, path = CALLS[api]
    switch(boss, api, "disable")
    status, refused = boss.rest(verb, path)
    assert status == 403
    assert refused["error"]["status"] == "PERMISSION_DENIED"
    with cloud.store.transaction() as txn:
        number = project_numbers.number_of(txn, "demo-project")
    (info,) = (detail for detail in refused["error"]["details"] if detail["@type"].endswith("ErrorInfo"))
    assert (info["reason"], info["domain"]) == ("SERVICE_DISABLED", "googleapis.com")
    assert info["metadata"]["service"] == f"{api}.googleapis.com"
    assert info["metadata"]["consumer"] == f"projects/{number}"
    assert f"has not been used in project {number} before or it is disabled" in refused["error"]["message"]
    switch(boss, api, "enable")
    assert boss.rest(verb, path)[0] == 200


def test_only_that_api_and_only_that_project_are_refused_however_it_is_named(boss: Caller, cloud: Cloud) -> None:
    with cloud.store.transaction() as txn:
        number = project_numbers.number_of(txn, "demo-project")
    switch_to_strict(cloud.store, "other-project")
    switch(boss, "secretmanager", "disable")
    assert boss.rest("GET", f"/v1/{PROJECT}/serviceAccounts")[0] == 200
    assert boss.rest("GET", "/v1/projects/other-project/secrets")[0] == 200
    switch(boss, "iam", "disable")
    assert boss.rest("GET", f"/v1/projects/{number}/serviceAccounts")[0] == 403


def test_a_bucket_is_refused_by_the_project_that_it_is_in(boss: Caller) -> None:
    assert boss.rest("POST", "/storage/v1/b?project=demo-project", {"name": "state-bucket"})[0] == 200
    switch(boss, "storage", "disable")
    assert boss.rest("GET", "/storage/v1/b/state-bucket")[0] == 403


@pytest.mark.parametrize(
    ("api", "method", "fields"),
    [
        ("secretmanager", f"{SECRET_MANAGER}/ListSecrets", {"parent": PROJECT}),
        ("iam", f"{IAM_ADMIN}/ListServiceAccounts", {"name": PROJECT}),
        (
            "iamcredentials",
            f"{IAM_CREDENTIALS}/GenerateAccessToken",
            {"name": "projects/-/serviceAccounts/rotator@demo-project.iam.gserviceaccount.com", "scope": ["s"]},
        ),
    ],
)
def test_an_rpc_is_refused_the_same_way(
    boss: Caller, cloud: Cloud, api: str, method: str, fields: dict[str, object]
) -> None:
    boss.account()
    switch(boss, api, "disable")
    with pytest.raises(EmuError) as caught:
        cloud.emulator.rpc(method, rpcs()[method].request(**fields), {})
    info = caught.value.details[0]
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert (caught.value.code, info.reason) == (Code.PERMISSION_DENIED, "SERVICE_DISABLED")
    assert info.metadata["service"] == f"{api}.googleapis.com"


@pytest.mark.parametrize(
    "service", ["aiplatfrom.googleapis.com", "iam", "iam.example.com", ".googleapis.com", "IAM.googleapis.com"]
)
def test_a_service_that_does_not_exist_cannot_be_enabled(boss: Caller, service: str) -> None:
    status, refused = boss.rest("POST", f"/v1/{PROJECT}/services/{service}:enable", {})
    assert (status, service in refused["error"]["message"]) == (404, True)
    several = {"serviceIds": ["aiplatform.googleapis.com", service]}
    assert boss.rest("POST", f"/v1/{PROJECT}/services:batchEnable", several)[0] == 404
    assert boss.rest("GET", f"/v1/{PROJECT}/services/aiplatform.googleapis.com")[1]["state"] == "DISABLED"
