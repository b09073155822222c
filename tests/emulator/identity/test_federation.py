"""Workload identity: pools and providers, the exchange of outside tokens, and acting as accounts from there."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import identity_pool
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request

from orchestra_creds.emulator.iam.key_records import new_private_key
from orchestra_creds.emulator.identity import jwt, sts
from orchestra_creds.emulator.server import control
from orchestra_creds.emulator.store import project_numbers
from tests.emulator.identities import PROJECT, SCOPE, Caller, account_name, email, owner

POOLS = f"/v1/{PROJECT}/locations/global/workloadIdentityPools"
POOL = f"{POOLS}/builds"
PROVIDER = f"{POOL}/providers/forge"
ISSUER = "https://forge.example.com"
MAPPING = {
    "google.subject": "assertion.sub",
    "google.groups": "assertion.groups",
    "attribute.repository": "assertion.repository",
    "attribute.owner": "assertion.repository.extract('{owner}/')",
}


@pytest.fixture(scope="module")
def private() -> rsa.RSAPrivateKey:
    return new_private_key()


@pytest.fixture
def oidc(private: rsa.RSAPrivateKey) -> dict[str, Any]:
    return {"issuerUri": ISSUER, "jwksJson": json.dumps({"keys": [jwt.public_jwk(private.public_key(), "k1")]})}


@pytest.fixture
def boss(guarded: control.InProcessEmulator, oidc: dict[str, Any]) -> Caller:
    """The owner of a project with the pool `builds` and its provider `forge`."""
    guarded.emulator.store.reset()
    boss = owner(guarded.emulator.store, guarded.emulator)
    assert boss.rest("POST", f"{POOLS}?workloadIdentityPoolId=builds", {"displayName": "Builds"})[0] == 200
    body = {"attributeMapping": MAPPING, "attributeCondition": "attribute.owner == 'acme'", "oidc": oidc}
    assert boss.rest("POST", f"{POOL}/providers?workloadIdentityPoolProviderId=forge", body)[0] == 200
    return boss


def number(boss: Caller) -> str:
    with boss.emulator.store.transaction() as txn:
        return project_numbers.number_of(txn, "demo-project")


def audience(boss: Caller) -> str:
    return f"//iam.googleapis.com/projects/{number(boss)}{PROVIDER.removeprefix('/v1/' + PROJECT)}"


@pytest.fixture
def subject(boss: Caller, private: rsa.RSAPrivateKey) -> Callable[..., str]:
    """Makes an outside token; claims can be replaced, or left out with None."""

    def make(key: rsa.RSAPrivateKey = private, /, key_id: str = "k1", **claims: Any) -> str:
        now = int(datetime.now(UTC).timestamp())
        base = {
            "iss": ISSUER,
            "aud": f"https:{audience(boss)}",
            "sub": "repo:acme/site",
            "repository": "acme/site",
            "groups": ["admins"],
            "iat": now,
            "exp": now + 600,
            **claims,
        }
        return jwt.write_jwt({name: value for name, value in base.items() if value is not None}, key, key_id)

    return make


def exchange(boss: Caller, token: str, **fields: str) -> tuple[int, Any]:
    base = {
        "grant_type": sts.GRANT_TYPE,
        "audience": audience(boss),
        "scope": SCOPE,
        "requested_token_type": sts.ACCESS_TOKEN,
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    }
    return Caller(boss.emulator, "").form("/v1/token", **{**base, **fields})


def principal(boss: Caller, tail: str, kind: str = "principal") -> str:
    return f"{kind}://iam.googleapis.com/projects/{number(boss)}/locations/global/workloadIdentityPools/builds/{tail}"


def test_a_pool_is_made_read_changed_deleted_and_brought_back(boss: Caller) -> None:
    status, found = boss.rest("GET", POOL)
    assert (status, found["state"], found["displayName"]) == (200, "ACTIVE", "Builds")
    assert found["name"] == f"projects/{number(boss)}{POOL.removeprefix('/v1/' + PROJECT)}"
    boss.rest("PATCH", f"{POOL}?updateMask=description", {"description": "ci", "displayName": "no"})
    found = boss.rest("GET", POOL)[1]
    assert (found["description"], found["displayName"]) == ("ci", "Builds")
    status, operation = boss.rest("DELETE", POOL)
    assert (operation["done"], boss.rest("GET", f"/v1/{operation['name']}")[1]) == (True, operation)
    assert boss.rest("GET", POOL)[1]["state"] == "DELETED"
    assert boss.rest("GET", POOLS)[1] == {"workloadIdentityPools": []}
    assert len(boss.rest("GET", f"{POOLS}?showDeleted=true")[1]["workloadIdentityPools"]) == 1
    assert boss.rest("PATCH", f"{POOL}?updateMask=description", {})[0] == 400
    assert boss.rest("POST", f"{POOLS}?workloadIdentityPoolId=builds", {})[0] == 409
    assert boss.rest("POST", f"{POOL}:undelete", {})[0] == 200
    assert boss.rest("POST", f"{POOL}:undelete", {})[0] == 400
    assert boss.rest("GET", POOL)[1]["state"] == "ACTIVE"


def test_after_30_days_a_deleted_pool_is_gone_with_its_providers(boss: Caller) -> None:
    boss.rest("DELETE", POOL)
    boss.emulator.store.advance(timedelta(days=31))
    assert boss.rest("GET", POOL)[0] == 404
    assert boss.rest("GET", PROVIDER)[0] == 404
    assert boss.rest("POST", f"{POOLS}?workloadIdentityPoolId=builds", {})[0] == 200


def test_a_provider_is_changed_in_parts_deleted_and_brought_back(boss: Caller) -> None:
    body = {"oidc": {"allowedAudiences": ["urn:a"]}}
    assert boss.rest("PATCH", f"{PROVIDER}?updateMask=oidc.allowed_audiences", body)[0] == 200
    found = boss.rest("GET", PROVIDER)[1]
    assert (found["oidc"]["issuerUri"], found["oidc"]["allowedAudiences"]) == (ISSUER, ["urn:a"])
    assert boss.rest("PATCH", f"{PROVIDER}?updateMask=state", {"state": "DELETED"})[0] == 400
    assert boss.rest("DELETE", PROVIDER)[0] == 200
    assert boss.rest("GET", f"{POOL}/providers")[1] == {"workloadIdentityPoolProviders": []}
    assert boss.rest("POST", f"{PROVIDER}:undelete", {})[0] == 200
    boss.rest("DELETE", PROVIDER)
    boss.emulator.store.advance(timedelta(days=31))
    assert boss.rest("GET", PROVIDER)[0] == 404


def test_an_aws_provider_gets_googles_mapping(boss: Caller) -> None:
    body = {"aws": {"accountId": "123456789012"}}
    status, operation = boss.rest("POST", f"{POOL}/providers?workloadIdentityPoolProviderId=cloud", body)
    assert (status, operation["response"]["attributeMapping"]["google.subject"]) == (200, "assertion.arn")


@pytest.mark.parametrize("pool_id", ["", "abc", "gcp-pool", "Upper", "a" * 33, "under_score"])
def test_a_pool_id_has_4_to_32_characters_and_no_reserved_prefix(boss: Caller, pool_id: str) -> None:
    assert boss.rest("POST", f"{POOLS}?workloadIdentityPoolId={pool_id}", {})[0] == 400


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"attributeMapping": MAPPING},
        {"attributeMapping": MAPPING, "oidc": {"issuerUri": "http://plain.example.com"}},
        {"attributeMapping": MAPPING, "oidc": {"issuerUri": ISSUER}, "aws": {"accountId": "123456789012"}},
        {"attributeMapping": {}, "oidc": {"issuerUri": ISSUER}},
        {"attributeMapping": {"attribute.x": "assertion.x"}, "oidc": {"issuerUri": ISSUER}},
        {"attributeMapping": {**MAPPING, "google.other": "assertion.x"}, "oidc": {"issuerUri": ISSUER}},
        {"attributeMapping": {**MAPPING, "attribute.X": "assertion.x"}, "oidc": {"issuerUri": ISSUER}},
        {"attributeMapping": {**MAPPING, "attribute.x": "assertion."}, "oidc": {"issuerUri": ISSUER}},
        {"attributeMapping": MAPPING, "attributeCondition": "1 +", "oidc": {"issuerUri": ISSUER}},
        {"attributeMapping": MAPPING, "oidc": {"issuerUri": ISSUER, "jwksJson": "{}"}},
        {"attributeMapping": MAPPING, "oidc": {"issuerUri": ISSUER, "allowedAudiences": ["a"] * 11}},
        {"aws": {"accountId": "12"}},
        {"attributeMapping": MAPPING, "displayName": "x" * 33, "oidc": {"issuerUri": ISSUER}},
    ],
)
def test_a_provider_that_could_not_work_is_refused(boss: Caller, body: dict[str, Any]) -> None:
    status, document = boss.rest("POST", f"{POOL}/providers?workloadIdentityPoolProviderId=other", body)
    assert (status, document["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_an_outside_token_becomes_an_identity_with_its_own_permissions(
    boss: Caller, subject: Callable[..., str]
) -> None:
    status, reply = exchange(boss, subject())
    assert (status, reply["token_type"], reply["expires_in"]) == (200, "Bearer", 3600)
    guest = Caller(boss.emulator, reply["access_token"])
    assert guest.rest("GET", f"/v1/{PROJECT}/secrets")[0] == 403
    boss.bind(PROJECT, "roles/secretmanager.viewer", principal(boss, "subject/repo:acme/site"))
    assert guest.rest("GET", f"/v1/{PROJECT}/secrets")[0] == 200


@pytest.mark.parametrize("tail", ["*", "group/admins", "attribute.repository/acme/site", "attribute.owner/acme"])
def test_sets_of_identities_can_be_bound(boss: Caller, subject: Callable[..., str], tail: str) -> None:
    guest = Caller(boss.emulator, exchange(boss, subject())[1]["access_token"])
    boss.bind(PROJECT, "roles/secretmanager.viewer", principal(boss, tail, "principalSet"))
    assert guest.rest("GET", f"/v1/{PROJECT}/secrets")[0] == 200


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"aud": "https://example.com"}, "invalid_grant"),
        ({"aud": None}, "invalid_grant"),
        ({"iss": "https://other.example.com"}, "invalid_grant"),
        ({"exp": 2, "iat": 1}, "invalid_grant"),
        ({"exp": None}, "invalid_grant"),
        ({"sub": None}, "invalid_grant"),
        ({"sub": 5}, "invalid_grant"),
        ({"sub": "x" * 128}, "invalid_request"),
        ({"groups": "admins"}, "invalid_grant"),
        ({"repository": "evil/site"}, "unauthorized_client"),
        ({"repository": None}, "unauthorized_client"),
        ({"key_id": "other"}, "invalid_grant"),
    ],
    ids=str,
)
def test_a_token_that_does_not_fit_is_refused(
    boss: Caller, subject: Callable[..., str], claims: dict[str, Any], error: str
) -> None:
    status, reply = exchange(boss, subject(**claims))
    assert (status, reply["error"]) == (400, error)


def test_a_foreign_signature_is_refused(boss: Caller, subject: Callable[..., str]) -> None:
    assert exchange(boss, subject(new_private_key()))[1]["error_description"] == "Invalid signature for ID token."
    assert exchange(boss, "a.b.c")[1]["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"requested_token_type": "x"}, "invalid_request"),
        ({"scope": ""}, "invalid_scope"),
        ({"audience": "//example.com/x"}, "invalid_request"),
        ({"audience": f"//iam.googleapis.com{PROVIDER.removeprefix('/v1')}x"}, "invalid_target"),
        ({"subject_token_type": "urn:ietf:params:aws:token-type:aws4_request"}, "invalid_request"),
    ],
    ids=str,
)
def test_a_request_that_does_not_fit_is_refused(
    boss: Caller, subject: Callable[..., str], fields: dict[str, str], error: str
) -> None:
    status, reply = exchange(boss, subject(), **fields)
    assert (status, reply["error"]) == (400, error)


@pytest.mark.parametrize("what", [POOL, PROVIDER])
@pytest.mark.parametrize("how", ["disable", "delete"])
def test_nobody_comes_in_through_what_is_off_or_deleted(
    boss: Caller, subject: Callable[..., str], what: str, how: str
) -> None:
    if how == "disable":
        boss.rest("PATCH", f"{what}?updateMask=disabled", {"disabled": True})
    else:
        boss.rest("DELETE", what)
    assert exchange(boss, subject())[1]["error"] == "invalid_target"


def test_disabling_the_pool_ends_the_tokens_it_gave(boss: Caller, subject: Callable[..., str]) -> None:
    guest = Caller(boss.emulator, exchange(boss, subject())[1]["access_token"])
    boss.rest("PATCH", f"{POOL}?updateMask=disabled", {"disabled": True})
    assert guest.rest("GET", f"/v1/{PROJECT}/secrets")[0] == 401


def test_without_inline_keys_nothing_is_fetched_and_that_is_said(boss: Caller, subject: Callable[..., str]) -> None:
    boss.rest("PATCH", f"{PROVIDER}?updateMask=oidc.jwks_json", {"oidc": {}})
    assert "no network" in exchange(boss, subject())[1]["error_description"]


def test_named_audiences_replace_the_default_one(boss: Caller, subject: Callable[..., str]) -> None:
    boss.rest("PATCH", f"{PROVIDER}?updateMask=oidc.allowedAudiences", {"oidc": {"allowedAudiences": ["urn:a"]}})
    assert exchange(boss, subject())[0] == 400
    assert exchange(boss, subject(aud=["urn:b", "urn:a"]))[0] == 200


def test_the_exchange_takes_json_too(boss: Caller, subject: Callable[..., str]) -> None:
    body = {
        "grantType": sts.GRANT_TYPE,
        "audience": audience(boss),
        "scope": SCOPE,
        "requestedTokenType": sts.ACCESS_TOKEN,
        "subjectToken": subject(),
        "subjectTokenType": "urn:ietf:params:oauth:token-type:id_token",
    }
    status, reply = boss.rest("POST", "/v1/token", body)
    assert status == 200
    told = boss.form("/v1/introspect", token=reply["access_token"])[1]
    assert (told["active"], told["username"].rpartition("/subject/")[2]) == (True, "repo:acme/site")
    assert boss.form("/v1/introspect", token="none")[1] == {"active": False}


def test_gcloud_saves_a_federated_login_in_its_own_folder(
    boss: Caller, subject: Callable[..., str], tmp_path: Path
) -> None:
    """gcloud joins its folder and the name that introspection tells, without the colons, and writes a credential there."""
    told = boss.form("/v1/introspect", token=exchange(boss, subject())[1]["access_token"])[1]
    saved = Path(os.path.normpath(os.path.join(tmp_path, "legacy_credentials", told["username"].replace(":", ""))))
    assert saved.is_relative_to(tmp_path / "legacy_credentials")
    assert told["username"].startswith("principal://iam.googleapis.com/projects/")


def _config(guarded: control.InProcessEmulator, boss: Caller, file: Path, *, acting_as: str = "") -> dict[str, Any]:
    http = guarded.endpoints.http
    config: dict[str, Any] = {
        "type": "external_account",
        "audience": audience(boss),
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{http}/v1/token",
        "credential_source": {"file": str(file)},
    }
    if acting_as:
        config["service_account_impersonation_url"] = (
            f"{http}/v1/projects/-/serviceAccounts/{acting_as}:generateAccessToken"
        )
    return config


def test_googles_own_credentials_exchange_and_impersonate(
    guarded: control.InProcessEmulator, boss: Caller, subject: Callable[..., str], tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(subject())
    direct = identity_pool.Credentials.from_info(_config(guarded, boss, file), scopes=[SCOPE])
    direct.refresh(Request())
    assert Caller(boss.emulator, direct.token).rest("GET", f"/v1/{PROJECT}/secrets")[0] == 403

    boss.account()
    config = _config(guarded, boss, file, acting_as=email("rotator"))
    acting = identity_pool.Credentials.from_info(config, scopes=[SCOPE])
    with pytest.raises(RefreshError, match=r"iam.serviceAccounts.getAccessToken"):
        acting.refresh(Request())
    member = principal(boss, "attribute.repository/acme/site", "principalSet")
    boss.bind(account_name("rotator"), "roles/iam.workloadIdentityUser", member)
    boss.bind(PROJECT, "roles/secretmanager.viewer", f"serviceAccount:{email('rotator')}")
    acting.refresh(Request())
    assert Caller(boss.emulator, acting.token).rest("GET", f"/v1/{PROJECT}/secrets")[0] == 200
