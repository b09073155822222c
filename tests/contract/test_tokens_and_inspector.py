"""The rules of TokenIssuer and ProjectInspector, and who a session is."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestra_creds.core.material import Material
from orchestra_creds.emulator.protocol.faults import FaultPhase
from orchestra_creds.emulator.server import control
from orchestra_creds.errors import AuthError, ConfigError, NotFoundError, UnavailableError
from orchestra_creds.gcp.project import RestProjectInspector
from orchestra_creds.gcp.secrets import SecretManagerStore
from orchestra_creds.gcp.session import ApiSession, Endpoints
from orchestra_creds.gcp.tokens import KeyTokenIssuer
from tests.contract.conftest import CloudUnderTest, on


def edited(key_file: Material, **fields: object) -> Material:
    return Material(json.dumps({**json.loads(key_file.reveal()), **fields}).encode())


def test_a_live_key_authenticates_and_a_dead_one_does_not(world: CloudUnderTest) -> None:
    account = world.account()
    new = world.keys.create_key(account)
    token = world.tokens.mint(new.material)
    assert len(token.material) > 20
    assert timedelta(minutes=30) < token.expires - datetime.now(UTC) <= timedelta(hours=1, minutes=1)
    world.keys.disable_key(account, new.key.id)
    with pytest.raises(AuthError, match=f"cannot authenticate as {account}: .*invalid_grant"):
        world.tokens.mint(new.material)
    world.keys.enable_key(account, new.key.id)
    world.tokens.mint(new.material)
    world.keys.delete_key(account, new.key.id)
    with pytest.raises(AuthError):
        world.tokens.mint(new.material)


def test_a_key_authenticates_after_the_clock_was_moved(world: CloudUnderTest) -> None:
    world.emulator.store.advance(timedelta(days=80))
    world.tokens.mint(world.keys.create_key(world.account()).material)


def test_another_keys_signature_is_refused(world: CloudUnderTest) -> None:
    account = world.account()
    one, two = world.keys.create_key(account), world.keys.create_key(account)
    with pytest.raises(AuthError):
        world.tokens.mint(edited(one.material, private_key_id=two.key.id))


@pytest.mark.parametrize(
    "fields",
    [
        {"token_uri": "https://token.example.com/token"},
        {"token_uri": "http://127.0.0.1.example.com:1/token"},
        {"token_uri": "https://oauth2.googleapis.com/token", "universe_domain": "example.com"},
        {"private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"},
        {"type": "authorized_user"},
        {"client_email": None},
    ],
    ids=range(6),
)
def test_a_file_that_would_lead_elsewhere_or_is_none_is_refused_without_a_call(
    world: CloudUnderTest, fields: dict[str, object]
) -> None:
    key_file = world.keys.create_key(world.account()).material
    if world.kind != "live":
        before = world.calls("Token")
    with pytest.raises(ConfigError) as caught:
        world.tokens.mint(edited(key_file, **fields))
    assert "BEGIN" not in str(caught.value)
    if world.kind != "live":
        assert world.calls("Token") == before


@pytest.mark.parametrize("content", [b"", b"no json", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_no_key_file_is_told(world: CloudUnderTest, content: bytes) -> None:
    with pytest.raises(ConfigError, match="not a service-account key file"):
        world.tokens.mint(Material(content))


def test_a_silent_token_endpoint_is_no_refusal(running: control.InProcessEmulator) -> None:
    world = on("direct", running)
    new = world.keys.create_key(world.account())
    world.arm("Token", FaultPhase.BEFORE, times=0)
    with pytest.raises(UnavailableError, match="no answer from the token endpoint"):
        world.tokens.mint(new.material)


def test_facts_of_the_project_are_told(world: CloudUnderTest) -> None:
    assert world.inspector.is_api_enabled("secretmanager.googleapis.com")
    assert world.inspector.is_constraint_enforced("iam.disableServiceAccountKeyUpload") in {True, False}
    assert abs(world.inspector.server_time() - datetime.now(UTC)) < timedelta(minutes=2)


def test_a_constraint_in_force_is_told(world: CloudUnderTest) -> None:
    constraint = "iam.disableServiceAccountKeyCreation"
    assert not world.inspector.is_constraint_enforced(constraint) or world.kind == "live"
    world.emulator  # noqa: B018  # an organization policy of a real project is not ours to change
    policy = {"name": f"projects/{world.project}/policies/{constraint}", "spec": {"rules": [{"enforce": True}]}}
    world.session.rest("set", "POST", "orgpolicy", f"v2/projects/{world.project}/policies", body=policy)
    assert world.inspector.is_constraint_enforced(constraint)


def test_lost_replies_about_facts_are_mended(world: CloudUnderTest) -> None:
    for method in ("GetService", "GetEffectivePolicy"):
        world.arm(method, FaultPhase.AFTER)
    assert world.inspector.is_api_enabled("secretmanager.googleapis.com")
    assert not world.inspector.is_constraint_enforced("iam.disableServiceAccountKeyCreation")


def test_a_closed_port_is_told_over_http_as_well() -> None:
    session = ApiSession("demo-project", endpoints=Endpoints("127.0.0.1:1", "http://127.0.0.1:1"), environment={})
    inspector = RestProjectInspector(session)
    for attempt in (inspector.server_time, lambda: inspector.is_api_enabled("x")):
        with pytest.raises(UnavailableError):
            attempt()
    session.close()


def test_the_owner_the_account_of_a_key_file_and_an_impersonated_one_are_told(
    guarded: CloudUnderTest, tmp_path: Path
) -> None:
    account, other = guarded.account("app-one"), guarded.account("app-two")
    assert guarded.tokens.whoami() == "owner@local.invalid"
    path = tmp_path / "key.json"
    path.write_bytes(guarded.keys.create_key(account).material.reveal())
    by_file = guarded.open(environment={"GOOGLE_APPLICATION_CREDENTIALS": str(path)})
    assert KeyTokenIssuer(by_file).whoami() == account
    assert KeyTokenIssuer(guarded.open(impersonate=other)).whoami() == other
    token = guarded.tokens.mint(guarded.keys.create_key(other).material).material.reveal().decode()
    assert KeyTokenIssuer(guarded.open(environment={"ORCHESTRA_CREDS_ACCESS_TOKEN": token})).whoami() == other
    gcloud = {"CLOUDSDK_AUTH_ACCESS_TOKEN": token}
    assert KeyTokenIssuer(guarded.open(environment=gcloud, owner_token="")).whoami() == "anonymous"
    gcloud["ORCHESTRA_CREDS_EMULATOR_GRPC"] = "127.0.0.1:1"
    assert KeyTokenIssuer(guarded.open(environment=gcloud)).whoami() == other


def test_an_impersonation_that_is_not_allowed_names_the_permission(guarded: CloudUnderTest, tmp_path: Path) -> None:
    one, two = guarded.account("app-one"), guarded.account("app-two")
    path = tmp_path / "key.json"
    path.write_bytes(guarded.keys.create_key(one).material.reveal())
    session = guarded.open(environment={"GOOGLE_APPLICATION_CREDENTIALS": str(path)}, impersonate=two)
    with pytest.raises(AuthError, match=r"cannot act as .*iam.serviceAccounts.getAccessToken is missing"):
        SecretManagerStore(session).get_secret("db")


def test_a_dead_key_file_is_a_refusal_and_not_an_outage(guarded: CloudUnderTest, tmp_path: Path) -> None:
    account = guarded.account("app-one")
    new = guarded.keys.create_key(account)
    path = tmp_path / "key.json"
    path.write_bytes(new.material.reveal())
    guarded.keys.disable_key(account, new.key.id)
    session = guarded.open(environment={"GOOGLE_APPLICATION_CREDENTIALS": str(path)})
    with pytest.raises(AuthError, match="invalid_grant"):
        SecretManagerStore(session).get_secret("db")


def test_credentials_of_google_are_not_shown_to_the_embedded_cloud(world: CloudUnderTest, tmp_path: Path) -> None:
    world.emulator  # noqa: B018  # the other way round they are the credentials
    path = tmp_path / "adc.json"
    google = {"token_uri": "https://oauth2.googleapis.com/token"}
    files = [
        json.dumps({"type": "authorized_user", "refresh_token": "x"}).encode(),
        edited(world.keys.create_key(world.account()).material, **google).reveal(),
    ]
    for content in files:
        path.write_bytes(content)
        session = world.open(environment={"GOOGLE_APPLICATION_CREDENTIALS": str(path)})
        assert session.credentials is None
    missing = world.open(environment={"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "none.json")})
    with pytest.raises(NotFoundError, match=r"none\.json"):
        missing.call("try", lambda **_: None, None, repeatable=False)
