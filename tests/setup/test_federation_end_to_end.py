"""From the file to a build of GitHub's that reads exactly its secrets; and everybody else stays out.

Tokens have GitHub's shape and an issuer of our own making: the provider that `setup` made is given its public keys, for the embedded
cloud fetches none.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from orchestra_creds.config.desired import desired_state
from orchestra_creds.config.parse import parse
from orchestra_creds.core import federation
from orchestra_creds.core.material import Material
from orchestra_creds.core.resources import ResourceKind, ResourceStore
from orchestra_creds.emulator.cel import language as cel
from orchestra_creds.emulator.iam.key_records import new_private_key
from orchestra_creds.emulator.identity import jwt, sts
from orchestra_creds.emulator.server import control
from orchestra_creds.emulator.store import project_numbers
from orchestra_creds.gcp import resources
from orchestra_creds.gcp.keys import IamKeyStore
from orchestra_creds.gcp.policies import RestPolicyStore
from orchestra_creds.gcp.secrets import SecretManagerStore
from orchestra_creds.gcp.session import ApiSession, Endpoints
from orchestra_creds.setup.apply import apply
from orchestra_creds.setup.plan import plan
from orchestra_creds.setup.snapshot import ProjectPorts, SecretResourceStore, take_snapshot
from tests.emulator.identities import SCOPE, Caller
from tests.strictness import switch_to_strict

PROJECT = "demo-project"
FILE = f"""
schema = 1
[project]
id = "{PROJECT}"
[environments.dev]
[environments.prod]
[service_accounts.deploy-dev]
[service_accounts.deploy-prod]
[secrets.token]
environments = ["dev", "prod"]
consumers = [{{ member = "deploy-dev", only = ["dev"] }}, {{ member = "deploy-prod", only = ["prod"] }}]
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
impersonates = ["deploy-dev"]
[[github.federation]]
env = "prod"
pool = "github-prod"
repositories = ["app"]
github_environment = "production"
impersonates = ["deploy-prod"]
"""
PRIVATE = new_private_key()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.InProcessEmulator]:
    """A project that `setup` has brought about, in a cloud that checks permissions."""
    with control.start_in_process(tmp_path_factory.mktemp("federation") / "emulator.db", auth=True) as running:
        switch_to_strict(running.emulator.store)
        ends = Endpoints(running.endpoints.grpc, running.endpoints.http)
        session = ApiSession(PROJECT, endpoints=ends, environment={}, owner_token=running.emulator.store.owner_token)
        secrets = SecretManagerStore(session)
        stores: dict[ResourceKind, ResourceStore] = {
            ResourceKind.SERVICE: resources.Services(session),
            ResourceKind.ROLE: resources.Roles(session),
            ResourceKind.ACCOUNT: resources.Accounts(session),
            ResourceKind.SECRET: SecretResourceStore(secrets),
            ResourceKind.POOL: resources.Pools(session),
            ResourceKind.PROVIDER: resources.Providers(session),
        }
        project = ProjectPorts(
            PROJECT,
            secrets,
            IamKeyStore(session),
            RestPolicyStore(session),
            resources.RestProjectStore(session),
            stores,
        )
        wanted = desired_state(parse(FILE, "test.toml"), PROJECT)
        planned = plan(wanted, take_snapshot(project, wanted))
        endings = list(apply(planned, project, lambda _seconds: None, lambda: planned))
        assert {one.ending for one in endings} == {"done"}
        keys = {"oidc": {"jwksJson": json.dumps({"keys": [jwt.public_jwk(PRIVATE.public_key(), "k1")]})}}
        for pool in ("github-dev", "github-prod"):
            path = f"v1/projects/{PROJECT}/locations/global/workloadIdentityPools/{pool}/providers/github-provider"
            session.rest("give it keys", "PATCH", "iam", path, body=keys, query={"updateMask": "oidc.jwksJson"})
            secrets.add_version(f"token-{pool.removeprefix('github-')}", Material(b"for " + pool.encode()))
        yield running
        session.close()


def number_of(running: control.InProcessEmulator) -> str:
    with running.emulator.store.transaction() as txn:
        return project_numbers.number_of(txn, PROJECT)


def token(running: control.InProcessEmulator, pool: str, key: Any = PRIVATE, **claims: Any) -> str:
    now = int(datetime.now(UTC).timestamp())
    number = number_of(running)
    audience = f"https://iam.googleapis.com/projects/{number}/locations/global/workloadIdentityPools/{pool}/providers/github-provider"
    base = {
        "iss": federation.ISSUER,
        "aud": audience,
        "sub": "repo:acme@4242/app@777:ref:refs/heads/main",
        "actor_id": "1",
        "event_name": "push",
        "job_workflow_ref": "acme/app/.github/workflows/deploy.yml@refs/heads/main",
        "ref": "refs/heads/main",
        "repository": "acme/app",
        "repository_id": "777",
        "repository_owner_id": "4242",
        "iat": now,
        "exp": now + 300,
        **({"environment": "production"} if pool == "github-prod" else {}),
        **claims,
    }
    return jwt.write_jwt({name: value for name, value in base.items() if value is not None}, key, "k1")


def let_in(running: control.InProcessEmulator, pool: str, subject_token: str) -> str:
    """An access token of the federated principal; empty when it is refused."""
    number = number_of(running)
    status, body = Caller(running.emulator, "").form(
        "/v1/token",
        grant_type=sts.GRANT_TYPE,
        audience=f"//iam.googleapis.com/projects/{number}/locations/global/workloadIdentityPools/{pool}/providers/github-provider",
        scope=SCOPE,
        requested_token_type=sts.ACCESS_TOKEN,
        subject_token=subject_token,
        subject_token_type="urn:ietf:params:oauth:token-type:jwt",
    )
    return str(body["access_token"]) if status == 200 else ""


def acting_as(running: control.InProcessEmulator, access_token: str, account: str) -> Caller | None:
    path = f"/v1/projects/-/serviceAccounts/{account}@{PROJECT}.iam.gserviceaccount.com:generateAccessToken"
    status, body = Caller(running.emulator, access_token).rest("POST", path, {"scope": [SCOPE]})
    return Caller(running.emulator, body["accessToken"]) if status == 200 else None


def reads(caller: Caller, secret: str) -> bool:
    return caller.rest("GET", f"/v1/projects/{PROJECT}/secrets/{secret}/versions/latest:access")[0] == 200


@pytest.mark.parametrize("env", ["dev", "prod"])
def test_the_right_build_gets_in_and_reads_exactly_its_secrets(cloud: control.InProcessEmulator, env: str) -> None:
    other = "prod" if env == "dev" else "dev"
    access_token = let_in(cloud, f"github-{env}", token(cloud, f"github-{env}"))
    assert access_token
    deployer = acting_as(cloud, access_token, f"deploy-{env}")
    assert deployer is not None
    assert reads(deployer, f"token-{env}")
    assert not reads(deployer, f"token-{other}")
    assert acting_as(cloud, access_token, f"deploy-{other}") is None
    assert not reads(Caller(cloud.emulator, access_token), f"token-{env}")


LONGEST = {"owner": "o" * 39, "repository": "r" * 100, "repository_id": "8" * 20}
"""A user's name, a repository's name and numbers as long as GitHub allows, with room for numbers yet to come."""
SUFFIXES = ("ref:refs/heads/main", "environment:" + "e" * 255, "ref:refs/heads/" + "b" * 240, "pull_request")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("immutable", [False, True])
def test_no_legal_repository_is_locked_out_by_the_length_of_its_subject(
    cloud: control.InProcessEmulator, suffix: str, *, immutable: bool
) -> None:
    owner, repository = LONGEST["owner"], LONGEST["repository"]
    names = f"{owner}@4242/{repository}@777" if immutable else f"{owner}/{repository}"
    workflow = f"{owner}/{repository}/.github/workflows/deploy.yml@refs/heads/main"
    claims = {"sub": f"repo:{names}:{suffix}", "repository": f"{owner}/{repository}", "job_workflow_ref": workflow}
    assert let_in(cloud, "github-dev", token(cloud, "github-dev", **claims))


def test_the_subject_of_the_largest_number_fits() -> None:
    claims = {"repository_id": LONGEST["repository_id"]}
    subject = cel.compile_expression(federation.MAPPING["google.subject"])({"assertion": claims})
    assert len(str(subject).encode()) <= sts.LONGEST_SUBJECT


@pytest.mark.parametrize(
    ("pool", "claims"),
    [
        ("github-dev", {"repository_id": "778", "repository": "eve/app"}),  # a fork
        ("github-dev", {"repository_owner_id": "666"}),
        ("github-dev", {"repository_id": None}),
        ("github-dev", {"ref": "refs/heads/feature"}),
        ("github-dev", {"ref": "refs/pull/7/merge", "event_name": "pull_request"}),
        ("github-dev", {"event_name": "pull_request_target"}),
        ("github-dev", {"environment": "production"}),  # it belongs into the other pool
        ("github-prod", {"environment": None}),
        ("github-prod", {"environment": "staging"}),
        ("github-prod", {"ref": "refs/heads/develop"}),
        ("github-dev", {"exp": 1}),
        ("github-dev", {"iss": "https://token.actions.example.com"}),
        ("github-dev", {"aud": "https://github.com/acme"}),
    ],
)
def test_everybody_else_stays_out(cloud: control.InProcessEmulator, pool: str, claims: dict[str, Any]) -> None:
    assert let_in(cloud, pool, token(cloud, pool, **claims)) == ""


def test_a_foreign_signature_stays_out(cloud: control.InProcessEmulator) -> None:
    assert let_in(cloud, "github-dev", token(cloud, "github-dev", new_private_key())) == ""


def test_a_token_for_one_pool_does_not_open_the_other(cloud: control.InProcessEmulator) -> None:
    assert let_in(cloud, "github-prod", token(cloud, "github-dev", environment="production")) == ""
