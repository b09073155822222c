"""Acting as an account: tokens and signatures for who may, through delegates only where each may."""

import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from orchestra_creds.emulator.identity import jwt
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.emulator.protocol.routes import IAM_CREDENTIALS
from orchestra_creds.emulator.resource_manager import org_policy
from orchestra_creds.emulator.server import control
from tests.emulator.conftest import refused
from tests.emulator.identities import PROJECT, SCOPE, Caller, account_name, acting_as, email, owner

CREATOR = "roles/iam.serviceAccountTokenCreator"


@pytest.fixture
def boss(guarded: control.InProcessEmulator) -> Caller:
    """The owner of a project with the accounts `rotator`, `middle` and `target`."""
    guarded.emulator.store.reset()
    boss = owner(guarded.emulator.store, guarded.emulator)
    for account_id in ("rotator", "middle", "target"):
        boss.account(f"{account_id}-1")
    return boss


def caller(boss: Caller, account_id: str) -> Caller:
    return acting_as(boss.emulator, boss.call("GetServiceAccount", name=account_name(account_id)))


def token(who: Caller, account_id: str, **fields: Any) -> Any:
    base = {"name": account_name(account_id), "scope": [SCOPE]}
    return who.call("GenerateAccessToken", IAM_CREDENTIALS, **{**base, **fields})


def published(boss: Caller, account_id: str, key_id: str) -> rsa.RSAPublicKey:
    certificates = boss.rest("GET", f"/robot/v1/metadata/x509/{email(account_id)}")[1]
    key = x509.load_pem_x509_certificate(certificates[key_id].encode()).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    return key


def test_a_token_acts_with_the_accounts_own_permissions(boss: Caller) -> None:
    boss.bind(account_name("target-1"), CREATOR, f"serviceAccount:{email('rotator-1')}")
    boss.bind(PROJECT, "roles/secretmanager.viewer", f"serviceAccount:{email('target-1')}")
    rotator = caller(boss, "rotator-1")
    with refused(Code.PERMISSION_DENIED, "secretmanager.secrets.list"):
        rotator.secret("ListSecrets", parent=PROJECT)
    Caller(boss.emulator, token(rotator, "target-1").access_token).secret("ListSecrets", parent=PROJECT)


def test_a_token_lives_as_long_as_asked_but_an_hour_at_most(boss: Caller) -> None:
    short = token(boss, "target-1", lifetime={"seconds": 300})
    until = short.expire_time.seconds - boss.emulator.store.now().timestamp()
    assert 290 < until <= 300
    for seconds in (-1, 3601):
        with refused(Code.INVALID_ARGUMENT):
            token(boss, "target-1", lifetime={"seconds": seconds})
    with boss.emulator.store.transaction() as txn:
        allowed = {"values": {"allowedValues": [email("target-1")]}}
        org_policy.set_rules(txn, "demo-project", org_policy.LIFETIME_EXTENSION, allowed)
    token(boss, "target-1", lifetime={"seconds": 12 * 3600})
    with refused(Code.INVALID_ARGUMENT):
        token(boss, "middle-1", lifetime={"seconds": 12 * 3600})
    with refused(Code.INVALID_ARGUMENT):
        token(boss, "target-1", scope=[])


def test_delegates_are_needed_step_by_step(boss: Caller) -> None:
    rotator = caller(boss, "rotator-1")
    chain = [account_name("middle-1")]
    boss.bind(account_name("middle-1"), CREATOR, f"serviceAccount:{email('rotator-1')}")
    with refused(Code.PERMISSION_DENIED):
        token(rotator, "target-1")
    with refused(Code.PERMISSION_DENIED):
        token(rotator, "target-1", delegates=chain)
    boss.bind(account_name("target-1"), CREATOR, f"serviceAccount:{email('middle-1')}")
    assert token(rotator, "target-1", delegates=chain).access_token
    with refused(Code.PERMISSION_DENIED):
        token(rotator, "target-1")


def test_nobody_acts_as_a_disabled_or_unknown_account(boss: Caller) -> None:
    boss.call("DisableServiceAccount", name=account_name("target-1"))
    with refused(Code.FAILED_PRECONDITION, "disabled"):
        token(boss, "target-1")
    with refused(Code.NOT_FOUND):
        token(boss, "nobody")


def test_an_id_token_names_the_audience_and_the_mail_only_when_asked(boss: Caller) -> None:
    for included in (True, False):
        reply = boss.call(
            "GenerateIdToken",
            IAM_CREDENTIALS,
            name=f"projects/-/serviceAccounts/{email('target-1')}",
            audience="https://x.example.com",
            include_email=included,
        )
        read = jwt.parse_jwt(reply.token)
        assert read is not None
        assert (read.text("aud"), read.text("email")) == (
            "https://x.example.com",
            email("target-1") if included else "",
        )
    with refused(Code.INVALID_ARGUMENT):
        boss.call("GenerateIdToken", IAM_CREDENTIALS, name=account_name("target-1"))


def test_a_signed_blob_verifies_with_googles_own_key_of_the_account(boss: Caller) -> None:
    reply = boss.call("SignBlob", IAM_CREDENTIALS, name=account_name("target-1"), payload=b"data")
    key = published(boss, "target-1", reply.key_id)
    key.verify(reply.signed_blob, b"data", padding.PKCS1v15(), hashes.SHA256())
    old = boss.call("SignBlob", name=account_name("target-1"), bytes_to_sign=b"data")
    assert (old.key_id, old.signature) == (reply.key_id, reply.signed_blob)


def test_a_signed_jwt_is_the_accounts_own_proof(boss: Caller) -> None:
    now = int(boss.emulator.store.now().timestamp())
    claims = {"iss": email("target-1"), "sub": email("target-1"), "iat": now, "exp": now + 600, "scope": SCOPE}
    boss.bind(PROJECT, "roles/secretmanager.viewer", f"serviceAccount:{email('target-1')}")
    for reply in (
        boss.call("SignJwt", IAM_CREDENTIALS, name=account_name("target-1"), payload=json.dumps(claims)),
        boss.call("SignJwt", name=account_name("target-1"), payload=json.dumps(claims)),
    ):
        Caller(boss.emulator, reply.signed_jwt).secret("ListSecrets", parent=PROJECT)


@pytest.mark.parametrize("payload", ["", "[]", "{", '{"exp": 1}', '{"exp": 99999999999}', '{"exp": "soon"}'])
def test_a_payload_must_be_claims_that_end_within_12_hours(boss: Caller, payload: str) -> None:
    with refused(Code.INVALID_ARGUMENT):
        boss.call("SignJwt", IAM_CREDENTIALS, name=account_name("target-1"), payload=payload)


def test_signing_needs_its_own_permission(boss: Caller) -> None:
    boss.bind(account_name("target-1"), "roles/iam.workloadIdentityUser", f"serviceAccount:{email('rotator-1')}")
    rotator = caller(boss, "rotator-1")
    token(rotator, "target-1")
    with refused(Code.PERMISSION_DENIED, "iam.serviceAccounts.signBlob"):
        rotator.call("SignBlob", IAM_CREDENTIALS, name=account_name("target-1"), payload=b"x")
    with refused(Code.PERMISSION_DENIED, "iam.serviceAccounts.signJwt"):
        rotator.call("SignJwt", name=account_name("target-1"), payload="{}")


def test_the_system_keys_private_half_is_sealed(boss: Caller) -> None:
    boss.call("SignBlob", IAM_CREDENTIALS, name=account_name("target-1"), payload=b"data")
    assert b"PRIVATE KEY" not in boss.emulator.store.path.read_bytes()


def test_a_token_taken_through_another_account_outlives_only_what_google_lets_it(boss: Caller) -> None:
    boss.bind(PROJECT, "roles/secretmanager.viewer", f"serviceAccount:{email('target-1')}")
    text = token(boss, "target-1", lifetime={"seconds": 600}).access_token
    acting = Caller(boss.emulator, text)
    acting.secret("ListSecrets", parent=PROJECT)
    boss.emulator.store.advance(timedelta(seconds=601))
    with refused(Code.UNAUTHENTICATED):
        acting.secret("ListSecrets", parent=PROJECT)


def test_a_scope_that_is_none_is_refused(boss: Caller) -> None:
    with refused(Code.INVALID_ARGUMENT, "scope"):
        token(boss, "target-1", scope=["nonsense"])
