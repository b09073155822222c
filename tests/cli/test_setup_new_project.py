"""`setup` and `rotate` in a project whose APIs are off, as Google hands it out, and under organization policies that nobody may read."""

import json
from collections.abc import Sequence

import pytest
from google.cloud.iam_admin_v1 import ListServiceAccountKeysRequest, ServiceAccountKeyOrigin

from orchestra_creds.config.desired import NEEDED_SERVICES
from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.routes import IAM_ADMIN
from orchestra_creds.emulator.resource_manager import org_policy
from orchestra_creds.emulator.server import control
from orchestra_creds.emulator.server.dispatch import Emulator
from orchestra_creds.emulator.service_usage.services import TITLES
from orchestra_creds.emulator.store.store import Store
from tests.cli.cloud import PROJECT, arm, ask, disarm, document, state_of
from tests.cli.conftest import Operator, one_error
from tests.emulator.identities import Caller

MAIL = f"app-one@{PROJECT}.iam.gserviceaccount.com"
PRECONDITIONS = {"serviceusage.googleapis.com"}
EVERY_API = {*TITLES, "run.googleapis.com", "cloudscheduler.googleapis.com"}
FILE = """
schema = 1
[project]
id = "demo-project"
[environments.dev]
[service_accounts.app-one]
description = "Runs"
[service_accounts.creds-rotator]
description = "Rotates"
custom_roles = ["watcher"]
[custom_roles.watcher]
permissions = ["secretmanager.secrets.list"]
[secrets.db-pass]
environments = ["dev"]
consumers = ["app-one"]
accessors = "exact"
[github]
owner = "acme"
owner_id = 4242
[[github.repositories]]
name = "app"
id = 777
[[github.federation]]
env = "dev"
pool = "github-dev"
repositories = ["app"]
impersonates = ["app-one"]
[audit.data_access]
"secretmanager.googleapis.com" = ["DATA_READ"]
[state]
bucket = "demo-project-orchestra-creds"
location = "us-central1"
[schedule]
image = "us-central1-docker.pkg.dev/demo-project/ops/orchestra-creds@sha256:DIGEST"
identity = "creds-rotator"
region = "us-central1"
[alerts]
channels = ["email:ops@example.com"]
[credentials.app-key]
kind = "service-account-key"
account = "app-one@demo-project.iam.gserviceaccount.com"
every = "30d"
settle = "0s"
[credentials.maps-key]
kind = "api-key"
every = "30d"
api_key = { like = "maps" }
""".replace("DIGEST", "0" * 64)


def switch(operator: Operator, verb: str, services: Sequence[str]) -> None:
    state_of(operator).parent.mkdir(mode=0o700, exist_ok=True)
    store = Store(state_of(operator))
    try:
        owner = Caller(Emulator(store, control.SERVICES), "")
        for service in services:
            assert owner.rest("POST", f"/v1/projects/{PROJECT}/services/{service}:{verb}", {})[0] == 200
    finally:
        store.close()


@pytest.fixture
def founder(operator: Operator) -> Operator:
    """An operator with a file, in a project in which only what `setup` cannot do without is enabled."""
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local"}
    operator.write("orchestra-creds.toml", FILE)
    switch(operator, "disable", sorted(EVERY_API - PRECONDITIONS))
    return operator


def test_a_project_without_apis_is_brought_to_the_end_and_rotates(founder: Operator) -> None:
    planned = founder.call("setup", "--plan", "--format", "json")
    assert planned.code == 0, planned.stderr
    changes = {(change["action"], change["what"]) for change in document(planned.stdout)["changes"]}
    assert changes >= {("create", f"service {service}") for service in EVERY_API - PRECONDITIONS}
    assert changes >= {("create", "secret db-pass-dev"), ("create", "schedule us-central1/orchestra-creds-rotate")}
    assert "not looked at, because the API is not enabled yet" in founder.call("setup", "--plan").text
    assert founder.call("setup", "--check").code == 1
    done = founder.call("setup", "--yes", "--allow-widening", "--format", "json")
    endings = [(change["what"], change["ending"]) for change in document(done.stdout)["changes"]]
    assert {ending for _, ending in endings} == {"done"}, done.text
    assert done.code == 0
    assert {what for what, _ in endings} == {what for action, what in changes if action != "awaiting a value"}
    assert endings.index(("service run.googleapis.com", "done")) < endings.index(("secret db-pass-dev", "done"))
    assert founder.call("setup", "--check").code == 0
    rotated = founder.call("rotate", "app-key")
    assert rotated.code == 0, rotated.stderr
    key = json.loads(founder.call("secret", "get", "app-key").stdout)
    assert key["client_email"] == MAIL
    assert founder.call("status").code == 0


@pytest.mark.lenient  # it begins without a state; its first verb makes a strict one in which no API is on
def test_from_an_empty_strict_project_to_rotated_credentials_with_one_run_of_each_verb(operator: Operator) -> None:
    """Nothing is on but Service Usage; without lags, so that nothing waits (tests/setup waits on a clock of its own)."""
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local", "ORCHESTRA_CREDS_EMULATOR_STRICT": "1"}
    assert operator.call("setup", "init", "--project", PROJECT).code == 0
    assert operator.call("doctor").code == 1
    with control.change_state(state_of(operator)) as txn:
        for which in faults.Lag:
            faults.set_lag(txn, which, 0)
    applied = operator.call("setup", "--yes", "--allow-widening")
    assert applied.code == 0, applied.text + applied.stderr
    assert operator.call("setup", "--check").code == 0
    values = [f"{secret}-{env}" for secret in ("openai-api-key", "anthropic-api-key") for env in ("dev", "prod")]
    assert {operator.call("secret", "set", name, stdin=b"made-up-value-1").code for name in values} == {0}
    rotated = operator.call("rotate", "--all", "--format", "json")
    assert rotated.code == 0, rotated.text + rotated.stderr
    assert operator.call("doctor").code == 0
    assert operator.call("status", "--check").code == 0


def test_an_api_that_is_enabled_and_does_not_answer_yet_is_no_absence(founder: Operator) -> None:
    assert founder.call("setup", "--yes", "--allow-widening").code == 0
    switch(founder, "disable", ["run.googleapis.com"])
    with control.change_state(state_of(founder)) as txn:
        faults.set_lag(txn, faults.Lag.API, 3600)
    with control.change_state(state_of(founder)) as txn:
        txn.set_setting("clock_offset", 7200.0)
    switch(founder, "enable", ["run.googleapis.com"])
    for options in ("--plan", "--check"):
        refused = founder.call("setup", options)
        assert refused.code == 4
        assert "run.googleapis.com is not enabled in the project, although Service Usage says that it is" in one_error(
            refused
        )


def test_the_services_can_be_enabled_alone(founder: Operator) -> None:
    assert founder.call("setup", "--yes", "--only", "services").code == 0
    assert founder.call("setup", "--check", "--only", "services").code == 0


def test_what_an_api_that_was_off_had_hidden_is_never_changed_unseen(founder: Operator) -> None:
    """The role is there already and differs: the plan that was agreed to said "create", so a second run is asked for."""
    switch(founder, "enable", sorted(EVERY_API))
    assert founder.call("setup", "--yes", "--allow-widening").code == 0
    founder.write("orchestra-creds.toml", FILE.replace("secrets.list", "secrets.get"))
    switch(founder, "disable", ["iam.googleapis.com"])
    ended = founder.call("setup", "--yes", "--allow-widening", "--format", "json")
    endings = {(one["action"], one["what"]): one["ending"] for one in document(ended.stdout)["changes"]}
    assert ended.code == 5
    assert endings.get(("update", "role watcher")) == "skipped"
    assert set(endings.values()) == {"done", "skipped"}
    assert founder.call("setup", "--yes", "--allow-widening").code == 0
    assert founder.call("setup", "--check").code == 0


@pytest.mark.parametrize("service", sorted(PRECONDITIONS))
def test_what_setup_cannot_do_without_is_named_by_setup_and_by_doctor(founder: Operator, service: str) -> None:
    switch(founder, "disable", [service])
    refused = founder.call("setup", "--plan")
    assert (refused.code, f"{service} is not enabled" in one_error(refused)) == (4, True)
    assert f"gcloud services enable {service}" in refused.stderr
    ended = founder.call("doctor", "--format", "json")
    found = {check["name"]: check for check in document(ended.stdout)["checks"]}
    assert (ended.code, found[f"API {service}"]["health"]) == (1, "fail")


def test_an_api_that_the_part_does_not_enable_is_an_error_and_not_absence(founder: Operator) -> None:
    refused = founder.call("setup", "--plan", "--only", "secrets")
    assert (refused.code, "is not enabled in the project" in one_error(refused)) == (4, True)


def test_doctor_fails_for_every_api_that_a_verb_needs(founder: Operator) -> None:
    ended = founder.call("doctor", "--format", "json")
    failed = {check["name"] for check in document(ended.stdout)["checks"] if check["health"] == "fail"}
    assert ended.code == 1
    assert failed == {f"API {service}" for service in EVERY_API - PRECONDITIONS}
    assert {f"API {service}" for service in set(NEEDED_SERVICES) - PRECONDITIONS} <= failed
    assert founder.call("setup", "--yes", "--allow-widening").code == 0
    assert founder.call("doctor").code == 0


@pytest.mark.parametrize("forbidden", [False, True])
def test_a_policy_that_nobody_may_read_stops_no_rotation(founder: Operator, *, forbidden: bool) -> None:
    assert founder.call("setup", "--yes", "--allow-widening").code == 0
    with control.change_state(state_of(founder)) as txn:
        org_policy.set_rules(txn, PROJECT, "iam.disableServiceAccountKeyUpload", {"enforce": forbidden})
    arm(founder, "GetEffectivePolicy", "before", code="PERMISSION_DENIED")
    assert founder.call("rotate", "app-key").code == 0
    disarm(founder)
    switch(founder, "disable", ["orgpolicy.googleapis.com"])
    for options in (["--force"], ["--leaked"]):
        ended = founder.call("rotate", "app-key", *options)
        assert ended.code == 0, ended.text + ended.stderr
    keys = ask(founder, f"{IAM_ADMIN}/ListServiceAccountKeys", name=f"projects/-/serviceAccounts/{MAIL}").keys
    made = {key.key_origin for key in keys if key.key_type == ListServiceAccountKeysRequest.KeyType.USER_MANAGED}
    assert made == {ServiceAccountKeyOrigin.GOOGLE_PROVIDED if forbidden else ServiceAccountKeyOrigin.USER_PROVIDED}
