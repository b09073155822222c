"""The real gcloud on accounts, keys, roles, federation, policies, API keys and services, and its own log-in.

One daemon that checks permissions serves all stories; each has a project and a gcloud configuration of its own.
"""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestra_creds.emulator.iam.key_records import new_private_key, pem, self_signed_certificate
from orchestra_creds.emulator.identity.jwt import public_jwk, write_jwt
from orchestra_creds.emulator.server import control
from orchestra_creds.emulator.store import project_numbers
from tests.emulator.gcloud import Step, tell

pytestmark = [
    pytest.mark.gcloud,
    pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed"),
]

READER = "reader@{PROJECT}.iam.gserviceaccount.com"
SA = "rotator@{PROJECT}.iam.gserviceaccount.com"
ACCOUNTS = (
    Step("iam service-accounts list", r"Listed 0 items"),
    Step("iam service-accounts create rotator --display-name=Rotator --description=turns", r"Created service account"),
    Step("iam service-accounts create rotator", r"already exists", fails=True),
    Step("iam service-accounts create x", r"6 to 30|INVALID_ARGUMENT|Bad value|between 6", fails=True),
    Step(f"iam service-accounts describe {SA}", r"(?s)description: turns.*displayName: Rotator"),
    Step(f"iam service-accounts describe {SA} --format=value(uniqueId)", r"^[0-9]{21}$", keep="UID"),
    Step("iam service-accounts describe {UID} --format=value(email)", r"^rotator@"),
    Step("iam service-accounts describe nobody@{PROJECT}.iam.gserviceaccount.com", r"NOT_FOUND", fails=True),
    Step(f"iam service-accounts update {SA} --display-name=Turner", r"displayName: Turner"),
    Step("iam service-accounts list --format=value(email,displayName)", r"^rotator@\S+\s+Turner"),
    Step(f"iam service-accounts disable {SA}", r"Disabled service account"),
    Step(f"iam service-accounts describe {SA} --format=value(disabled)", r"^True$"),
    Step(f"iam service-accounts enable {SA}", r"Enabled service account"),
    Step(f"iam service-accounts get-iam-policy {SA}", r"etag: ACAB"),
    Step(
        f"iam service-accounts add-iam-policy-binding {SA} --member=user:a@example.com"
        " --role=roles/iam.serviceAccountTokenCreator",
        r"user:a@example.com",
    ),
    Step(
        f"iam service-accounts remove-iam-policy-binding {SA} --member=user:a@example.com"
        " --role=roles/iam.serviceAccountTokenCreator",
        r"etag",
    ),
    Step(f"iam service-accounts delete {SA}", r"deleted service account"),
    Step(f"iam service-accounts delete {SA}", r"NOT_FOUND", fails=True),
    Step("beta iam service-accounts undelete {UID}", r"rotator@"),
    Step(f"iam service-accounts describe {SA} --format=value(uniqueId)", r"^{UID}$"),
)

KEYS = (
    Step("iam service-accounts create rotator", r"Created"),
    Step(f"iam service-accounts keys create key.json --iam-account={SA}", r"created key \[[0-9a-f]{40}\]"),
    Step(f"iam service-accounts keys create key.p12 --key-file-type=p12 --iam-account={SA}", r"created key"),
    Step(
        f"iam service-accounts keys list --iam-account={SA} --managed-by=user --sort-by=validAfterTime"
        " --format=value(name.basename()) --limit=1",
        r"^[0-9a-f]{40}$",
        keep="KEY",
    ),
    Step(
        f"iam service-accounts keys list --iam-account={SA} --managed-by=system --format=value(name)", r"^[0-9a-f]{40}"
    ),
    Step(f"iam service-accounts keys disable {{KEY}} --iam-account={SA}", r"Disabled key"),
    Step(f"iam service-accounts keys list --iam-account={SA} --managed-by=user", r"USER_INITIATED"),
    Step(f"iam service-accounts keys enable {{KEY}} --iam-account={SA}", r"Enabled key"),
    Step(
        f"beta iam service-accounts keys get-public-key {{KEY}} --iam-account={SA} --output-file=public.pem",
        r"written key",
    ),
    Step(f"iam service-accounts keys upload certificate.pem --iam-account={SA}", r"name: projects/"),
    Step(f"iam service-accounts keys upload broken.pem --iam-account={SA}", r"INVALID_ARGUMENT", fails=True),
    Step(f"iam service-accounts keys delete {{KEY}} --iam-account={SA}", r"deleted key"),
    Step(f"iam service-accounts keys delete {{KEY}} --iam-account={SA}", r"NOT_FOUND", fails=True),
    Step(f"iam service-accounts keys disable {{KEY}} --iam-account={SA}", r"NOT_FOUND", fails=True),
    Step("org-policies list --project={PROJECT}", r"Listed 0 items"),
    Step("org-policies set-policy policy.json", r"Created policy"),
    Step(f"iam service-accounts keys create no.json --iam-account={SA}", r"Key creation is not allowed", fails=True),
    Step(
        "org-policies describe iam.disableServiceAccountKeyCreation --effective --project={PROJECT}", r"enforce: true"
    ),
    Step("org-policies delete iam.disableServiceAccountKeyCreation --project={PROJECT}", r"Deleted policy"),
    Step(f"iam service-accounts keys create yes.json --iam-account={SA}", r"created key"),
)

POOL = "--location=global"
PROVIDER = f"{POOL} --workload-identity-pool=builds"
FEDERATION = (
    Step(f"iam workload-identity-pools list {POOL}", r"Listed 0 items"),
    Step(f"iam workload-identity-pools create builds {POOL} --display-name=Builds", r"Created workload identity pool"),
    Step(f"iam workload-identity-pools create builds {POOL}", r"ALREADY_EXISTS|already exists", fails=True),
    Step(f"iam workload-identity-pools create gcp-x {POOL}", r"INVALID_ARGUMENT", fails=True),
    Step(f"iam workload-identity-pools describe builds {POOL}", r"(?s)displayName: Builds.*state: ACTIVE"),
    Step(f"iam workload-identity-pools update builds {POOL} --description=ci", r"Updated workload identity pool"),
    Step(
        f"iam workload-identity-pools providers create-oidc forge {PROVIDER} --issuer-uri=https://forge.example.com"
        " --attribute-mapping=google.subject=assertion.sub,attribute.repository=assertion.repository"
        " --attribute-condition=\"assertion.owner=='acme'\" --jwk-json-path=jwks.json",
        r"Created workload identity pool provider",
    ),
    Step("auth login --cred-file=login.json", r"Authenticated with external account credentials", own=True),
    Step("auth print-access-token", r"^ya29\.", own=True),
    Step("secrets list", r"secretmanager.secrets.list", fails=True, own=True),
    Step(
        f"iam workload-identity-pools providers create-oidc bad1 {PROVIDER} --issuer-uri=https://forge.example.com"
        " --attribute-mapping=google.subject=assertion.sub --attribute-condition=assertion.owner==",
        r"INVALID_ARGUMENT",
        fails=True,
    ),
    Step(
        f"iam workload-identity-pools providers create-oidc bad2 {PROVIDER} --issuer-uri=http://forge.example.com"
        " --attribute-mapping=google.subject=assertion.sub",
        r"INVALID_ARGUMENT",
        fails=True,
    ),
    Step(
        f"iam workload-identity-pools providers create-aws cloud {PROVIDER} --account-id=123456789012",
        r"Created workload identity pool provider",
    ),
    Step(f"iam workload-identity-pools providers describe cloud {PROVIDER}", r"accountId: '123456789012'"),
    Step(f"iam workload-identity-pools providers list {PROVIDER} --format=value(name.basename())", r"forge\ncloud"),
    Step(
        f"iam workload-identity-pools providers update-oidc forge {PROVIDER} --allowed-audiences=urn:a,urn:b",
        r"Updated workload identity pool provider",
    ),
    Step(f"iam workload-identity-pools providers delete cloud {PROVIDER}", r"Deleted workload identity pool provider"),
    Step(f"iam workload-identity-pools providers undelete cloud {PROVIDER}", r"state: ACTIVE"),
    Step(f"iam workload-identity-pools delete builds {POOL}", r"Deleted workload identity pool"),
    Step(f"iam workload-identity-pools list {POOL} --show-deleted --format=value(state)", r"^DELETED$"),
    Step(f"iam workload-identity-pools update builds {POOL} --description=x", r"FAILED_PRECONDITION", fails=True),
    Step(f"iam workload-identity-pools undelete builds {POOL}", r"state: ACTIVE"),
    Step(
        "iam workload-identity-pools create-cred-config projects/1/locations/global/workloadIdentityPools/builds/"
        "providers/forge --credential-source-file=token --output-file=config.json",
        r"Created credential configuration file",
    ),
)

_BINDING = "--member=user:a@example.com --role=roles/viewer"
PROJECT = (
    Step("projects describe {PROJECT} --format=value(projectNumber)", r"^[0-9]{12}$", keep="NUMBER"),
    Step("projects list --format=value(projectId)", r"(?m)^{PROJECT}$"),
    Step("projects get-iam-policy {PROJECT}", r"etag: ACAB"),
    Step(f"projects add-iam-policy-binding {{PROJECT}} {_BINDING} --condition=None", r"user:a@example.com"),
    Step(
        "projects add-iam-policy-binding {PROJECT} --member=user:a@example.com --role=roles/secretmanager.viewer"
        " --condition='expression=request.time < timestamp(\"2099-01-01T00:00:00Z\"),title=until'",
        r"title: until",
    ),
    Step(f"projects remove-iam-policy-binding {{PROJECT}} {_BINDING} --all", r"etag"),
    Step(f"projects remove-iam-policy-binding {{PROJECT}} {_BINDING} --all", r"not found", fails=True),
    Step(
        "iam roles create rotor --project={PROJECT} --title=Rotor --permissions=secretmanager.versions.add", r"Created"
    ),
    Step("iam roles create rotor --project={PROJECT} --title=Rotor", r"already exists", fails=True),
    Step(
        "iam roles update rotor --project={PROJECT} --add-permissions=secretmanager.versions.access", r"versions.access"
    ),
    Step("iam roles describe rotor --project={PROJECT}", r"secretmanager.versions.add"),
    Step("iam roles list --project={PROJECT} --format=value(name)", r"rotor"),
    Step("iam roles delete rotor --project={PROJECT}", r"deleted: true"),
    Step("iam roles undelete rotor --project={PROJECT}", r"etag"),
    Step("iam roles describe roles/secretmanager.secretAccessor", r"secretmanager.versions.access"),
    Step("iam roles describe roles/nothing", r"not found", fails=True),
    Step("iam list-testable-permissions //cloudresourcemanager.googleapis.com/projects/{PROJECT}", r"iam.roles.create"),
    Step("iam list-grantable-roles //cloudresourcemanager.googleapis.com/projects/{PROJECT}", r"roles/owner"),
    Step("services list --enabled --format=value(config.name)", r"secretmanager.googleapis.com"),
    Step("services enable pubsub.googleapis.com", r"finished successfully|^$"),
    Step("services disable pubsub.googleapis.com", r"finished successfully|^$"),
    Step("services api-keys create --display-name=maps --key-id=maps", r'"keyString":"AIza'),
    Step("services api-keys list --format=value(displayName)", r"^maps$"),
    Step("services api-keys get-key-string maps --format=value(keyString)", r"^AIza[\w-]{35}$", keep="STRING"),
    Step("services api-keys lookup {STRING}", r"keys/maps"),
    Step("services api-keys lookup AIzaNothing", r"NOT_FOUND", fails=True),
    Step("services api-keys update maps --display-name=charts", r"charts"),
    Step("services api-keys delete maps", r"deleteTime|finished"),
    Step("services api-keys undelete maps", r"charts"),
    Step("services api-keys describe none", r"NOT_FOUND", fails=True),
)


LOGIN = (
    Step("iam service-accounts create rotator", r"Created"),
    Step(f"iam service-accounts keys create key.json --iam-account={SA}", r"created key"),
    Step(
        f"iam service-accounts keys list --iam-account={SA} --managed-by=user --format=value(name.basename())",
        r"^[0-9a-f]{40}$",
        keep="KEY",
    ),
    Step("secrets create db --data-file=- --replication-policy=automatic", r"version \[1\]", stdin="one"),
    Step("secrets list", r"do not have|credentials|active account", fails=True, own=True),
    Step("auth activate-service-account --key-file=key.json", r"Activated service account credentials", own=True),
    Step("auth print-access-token", r"^ya29\.", own=True),
    Step("auth print-identity-token --audiences=https://run.example.com", r"^eyJ", own=True),
    Step("secrets versions add db --data-file=-", r"secretmanager.versions.add", fails=True, stdin="two", own=True),
    Step(
        f"secrets add-iam-policy-binding db --member=serviceAccount:{SA} --role=roles/secretmanager.secretVersionAdder",
        r"secretVersionAdder",
    ),
    Step("secrets versions add db --data-file=-", r"version \[2\]", stdin="two", own=True),
    Step("secrets versions access latest --secret=db", r"secretmanager.versions.access", fails=True, own=True),
    Step("secrets list", r"secretmanager.secrets.list", fails=True, own=True),
    Step("iam service-accounts create reader", r"Created"),
    Step(
        f"auth print-access-token --impersonate-service-account={READER}",
        r"iam.serviceAccounts.getAccessToken|Failed to impersonate",
        fails=True,
        own=True,
    ),
    Step(
        f"iam service-accounts add-iam-policy-binding {READER} --member=serviceAccount:{SA}"
        " --role=roles/iam.serviceAccountTokenCreator",
        r"serviceAccountTokenCreator",
    ),
    Step(
        f"secrets add-iam-policy-binding db --member=serviceAccount:{READER} --role=roles/secretmanager.secretAccessor",
        r"secretAccessor",
    ),
    Step(f"secrets versions access 2 --secret=db --impersonate-service-account={READER}", r"^two", own=True),
    Step(
        "policy-intelligence query-activity --activity-type=serviceAccountKeyLastAuthentication --project={PROJECT}",
        r"lastAuthenticatedTime: '?[0-9-]+T07:00:00Z",
    ),
    Step(f"iam service-accounts keys disable {{KEY}} --iam-account={SA}", r"Disabled key"),
    Step("auth activate-service-account --key-file=key.json", r"invalid_grant", fails=True, own=True),
    Step(f"iam service-accounts keys enable {{KEY}} --iam-account={SA}", r"Enabled key"),
    Step("auth activate-service-account --key-file=key.json", r"Activated service account credentials", own=True),
    Step(f"iam service-accounts disable {SA}", r"Disabled service account"),
    Step("secrets versions add db --data-file=-", r"UNAUTHENTICATED|account disabled", fails=True, own=True),
)

STORIES = {"login": LOGIN, "project": PROJECT, "keys": KEYS, "federation": FEDERATION, "accounts": ACCOUNTS}
BY_DEFAULT = ("federation",)
"""A command takes seconds: the other stories are told with `--exhaustive`."""


def prepare(folder: Path, state: Path, http: str, project: str) -> None:
    """Put the files that the stories name into a folder."""
    private = new_private_key()
    now = datetime.now(UTC)
    certificate = self_signed_certificate(private, "mine", now, now + timedelta(days=30))
    (folder / "certificate.pem").write_text(pem(certificate))
    (folder / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (folder / "jwks.json").write_text(json.dumps({"keys": [public_jwk(private.public_key(), "one")]}))
    rule = {"spec": {"rules": [{"enforce": True}]}}
    policy = {"name": f"projects/{project}/policies/iam.disableServiceAccountKeyCreation", **rule}
    (folder / "policy.json").write_text(json.dumps(policy))
    with control.change_state(state) as txn:
        number = project_numbers.number_of(txn, project)
    provider = f"//iam.googleapis.com/projects/{number}/locations/global/workloadIdentityPools/builds/providers/forge"
    claims = {"iss": "https://forge.example.com", "sub": "job", "owner": "acme", "repository": "acme/site"}
    times = {"iat": int(now.timestamp()), "exp": int(now.timestamp()) + 3600}
    (folder / "token").write_text(write_jwt({**claims, **times, "aud": f"https:{provider}"}, private, "one"))
    config = {
        "type": "external_account",
        "audience": provider,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{http}/v1/token",
        "credential_source": {"file": str(folder / "token")},
    }
    (folder / "login.json").write_text(json.dumps(config))


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    state = tmp_path_factory.mktemp("gcloud") / "emulator.db"
    control.start_daemon(state, auth=True)
    yield state
    control.stop_daemon(state)


def test_gcloud_does_with_identities_what_it_does_at_google(state: Path, tmp_path: Path, *, exhaustive: bool) -> None:
    told = STORIES if exhaustive else {name: STORIES[name] for name in BY_DEFAULT}
    tell(told, state, tmp_path, lambda folder, http, project: prepare(folder, state, http, project))
    logged_in = tmp_path / "federation" / "config" / "legacy_credentials" / "principal" / "iam.googleapis.com"
    assert logged_in.is_dir(), "gcloud saved the federated log-in somewhere else"


def test_there_are_enough_steps_for_and_against() -> None:
    steps = [step for story in STORIES.values() for step in story]
    assert len(steps) >= 100
    assert sum(step.fails for step in steps) >= 20
