"""The token endpoint and the identity of callers: only a live key of a live account proves anything."""

import json
import urllib.parse
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from orchestra_creds.emulator.iam.key_records import new_private_key, pem, self_signed_certificate
from orchestra_creds.emulator.identity import jwt, oauth
from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.emulator.server import control
from tests.emulator.conftest import refused, state_files
from tests.emulator.identities import PROJECT, SCOPE, Caller, account_name, email, owner

Break = Callable[[Caller, str], object]


@pytest.fixture
def boss(guarded: control.InProcessEmulator) -> Caller:
    guarded.emulator.store.reset()
    boss = owner(guarded.emulator.store, guarded.emulator)
    boss.account()
    boss.bind(PROJECT, "roles/secretmanager.viewer", f"serviceAccount:{email('rotator')}")
    return boss


def private_of(fields: dict[str, Any]) -> rsa.RSAPrivateKey:
    loaded = serialization.load_pem_private_key(fields["private_key"].encode(), None)
    assert isinstance(loaded, rsa.RSAPrivateKey)
    return loaded


def assertion(fields: dict[str, Any], private: rsa.RSAPrivateKey | None = None, **claims: Any) -> str:
    now = int(datetime.now(UTC).timestamp())
    base = {
        "iss": fields["client_email"],
        "aud": fields["token_uri"],
        "iat": now,
        "exp": now + 3600,
        "scope": SCOPE,
        **claims,
    }
    base = {name: value for name, value in base.items() if value is not None}
    return jwt.write_jwt(base, private or private_of(fields), fields["private_key_id"])


def ask(boss: Caller, text: str) -> tuple[int, Any]:
    return Caller(boss.emulator, "").form("/token", grant_type=oauth.GRANT_TYPE, assertion=text)


def works(boss: Caller, bearer: str) -> bool:
    status, _document = Caller(boss.emulator, bearer).rest("GET", f"/v1/{PROJECT}/secrets")
    assert status in {200, 401}
    return status == 200


def bearer(fields: dict[str, Any], **claims: Any) -> str:
    """A token that the account signed for itself, as the official clients send it."""
    mine = {"aud": "https://secretmanager.googleapis.com/", "sub": fields["client_email"], "scope": None}
    return assertion(fields, **{**mine, **claims})


def test_a_live_key_gets_a_token_that_works(boss: Caller) -> None:
    _name, fields = boss.key()
    status, reply = ask(boss, assertion(fields))
    assert (status, reply["token_type"]) == (200, "Bearer")
    assert 3500 < reply["expires_in"] <= 3600
    assert works(boss, reply["access_token"])
    assert works(boss, bearer(fields))


DEATHS: dict[str, Break] = {
    "disabled": lambda boss, name: boss.call("DisableServiceAccountKey", name=name),
    "deleted": lambda boss, name: boss.call("DeleteServiceAccountKey", name=name),
    "account-disabled": lambda boss, _name: boss.call("DisableServiceAccount", name=account_name("rotator")),
    "account-deleted": lambda boss, _name: boss.call("DeleteServiceAccount", name=account_name("rotator")),
}


@pytest.mark.parametrize("death", DEATHS)
def test_a_dead_key_is_refused_by_the_endpoint_and_as_a_bearer(boss: Caller, death: str) -> None:
    name, fields = boss.key()
    DEATHS[death](boss, name)
    status, reply = ask(boss, assertion(fields))
    assert (status, reply["error"]) == (400, "invalid_grant")
    assert not works(boss, bearer(fields))


def test_a_key_works_again_when_it_is_enabled_again(boss: Caller) -> None:
    name, fields = boss.key()
    boss.call("DisableServiceAccountKey", name=name)
    boss.call("EnableServiceAccountKey", name=name)
    assert ask(boss, assertion(fields))[0] == 200


def test_a_key_that_has_not_spread_yet_is_refused(boss: Caller) -> None:
    with boss.emulator.store.transaction() as txn:
        faults.set_lag(txn, faults.Lag.IAM, 60)
    _name, fields = boss.key()
    assert ask(boss, assertion(fields))[1]["error_description"] == "Invalid JWT Signature."
    assert not works(boss, bearer(fields))
    boss.emulator.store.advance(timedelta(seconds=61))
    assert ask(boss, assertion(fields))[0] == 200


def test_a_disabled_key_lives_on_until_that_has_spread(boss: Caller) -> None:
    name, fields = boss.key()
    boss.emulator.store.advance(timedelta(hours=1))
    with boss.emulator.store.transaction() as txn:
        faults.set_lag(txn, faults.Lag.IAM, 60)
    boss.call("DisableServiceAccountKey", name=name)
    assert ask(boss, assertion(fields))[0] == 200
    boss.emulator.store.advance(timedelta(seconds=61))
    assert ask(boss, assertion(fields))[0] == 400


def test_an_uploaded_key_authenticates_until_its_certificate_ends(boss: Caller) -> None:
    private = new_private_key()
    now = datetime.now(UTC)
    made = boss.call(
        "UploadServiceAccountKey",
        name=account_name("rotator"),
        public_key_data=pem(
            self_signed_certificate(private, "mine", now - timedelta(minutes=2), now + timedelta(days=1))
        ).encode(),
    )
    fields = {
        "client_email": email("rotator"),
        "token_uri": "https://oauth2.googleapis.com/token",
        "private_key_id": made.name.rpartition("/")[2],
    }
    assert ask(boss, assertion(fields, private))[0] == 200
    boss.emulator.store.advance(timedelta(days=1, minutes=1))
    status, reply = ask(boss, assertion(fields, private))
    assert (status, reply["error_description"]) == (400, "Invalid JWT Signature.")


def _later(seconds: int) -> int:
    return int(datetime.now(UTC).timestamp()) + seconds


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"aud": "https://example.com/token"}, "invalid_grant"),
        ({"aud": None}, "invalid_grant"),
        ({"iss": "nobody@demo-project.iam.gserviceaccount.com"}, "invalid_grant"),
        ({"iss": None}, "invalid_grant"),
        ({"sub": "user@example.com"}, "unauthorized_client"),
        ({"exp": 1, "iat": 0}, "invalid_grant"),
        ({"exp": None}, "invalid_grant"),
        ({"iat": None}, "invalid_grant"),
        ({"iat": "now"}, "invalid_grant"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "everything"}, "invalid_scope"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_claim_is_refused(boss: Caller, claims: dict[str, Any], error: str) -> None:
    _name, fields = boss.key()
    status, reply = ask(boss, assertion(fields, **claims))
    assert (status >= 400, reply["error"]) == (True, error)


def test_an_assertion_for_too_long_or_from_the_future_is_refused(boss: Caller) -> None:
    _name, fields = boss.key()
    assert ask(boss, assertion(fields, exp=_later(2 * 3600)))[1]["error"] == "invalid_grant"
    assert ask(boss, assertion(fields, iat=_later(1200), exp=_later(1800)))[1]["error"] == "invalid_grant"


def test_a_foreign_signature_is_refused(boss: Caller) -> None:
    _name, fields = boss.key()
    other = new_private_key()
    assert ask(boss, assertion(fields, other))[1]["error_description"] == "Invalid JWT Signature."
    boss.account("another")
    _name, theirs = boss.key("another")
    borrowed = {**fields, "client_email": theirs["client_email"]}
    assert ask(boss, assertion(borrowed))[1]["error"] == "invalid_grant"


def _tampered(text: str, **claims: Any) -> str:
    head, _body, signature = text.split(".")
    return f"{head}.{jwt.encode_base64url(json.dumps(claims).encode())}.{signature}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "a.b",
        "a.b.c",
        "é.é.é",
        "." * 5,
        "x" * 20_000,
        f"{jwt.encode_base64url(b'[]')}.{jwt.encode_base64url(b'{}')}.x",
    ],
    ids=["empty", "x", "two", "three", "accents", "dots", "long", "list"],
)
def test_garbage_is_refused_as_oauth_does(boss: Caller, text: str) -> None:
    status, reply = ask(boss, text)
    assert (status, reply["error"]) == (400, "invalid_grant")


def test_a_token_that_says_it_needs_no_signature_is_refused(boss: Caller) -> None:
    _name, fields = boss.key()
    good = assertion(fields)
    head = jwt.encode_base64url(json.dumps({"alg": "none", "kid": fields["private_key_id"]}).encode())
    assert ask(boss, f"{head}.{good.split('.')[1]}.")[0] == 400
    assert ask(boss, _tampered(good, iss=fields["client_email"]))[0] == 400


@pytest.mark.parametrize("grant", ["", "refresh_token", "authorization_code"])
def test_other_grants_are_not_offered(boss: Caller, grant: str) -> None:
    status, reply = boss.form("/token", grant_type=grant)
    assert (status, reply["error"]) == (400, "unsupported_grant_type")


def test_a_self_signed_bearer_must_be_meant_for_an_api(boss: Caller) -> None:
    _name, fields = boss.key()
    assert not works(boss, bearer(fields, aud="https://example.com/"))
    assert not works(boss, bearer(fields, aud=None))
    assert works(boss, bearer(fields, aud=None, scope=SCOPE))
    assert not works(boss, bearer(fields, exp=1, iat=0))
    assert not works(boss, bearer(fields, iss=email("nobody")))


def test_id_tokens_verify_against_the_published_keys(boss: Caller) -> None:
    _name, fields = boss.key()
    status, reply = ask(boss, assertion(fields, scope=None, target_audience="https://run.example.com"))
    assert status == 200
    token = jwt.parse_jwt(reply["id_token"])
    assert token is not None
    assert (token.text("aud"), token.text("email")) == ("https://run.example.com", email("rotator"))
    certificates = boss.rest("GET", "/oauth2/v1/certs")[1]
    public = x509.load_pem_x509_certificate(certificates[token.key_id].encode()).public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    assert token.signed_by(public)
    assert boss.rest("GET", "/oauth2/v3/certs")[1]["keys"][0]["kid"] == token.key_id


def test_tokens_end_with_the_emulators_clock(boss: Caller) -> None:
    _name, fields = boss.key()
    token = ask(boss, assertion(fields))[1]["access_token"]
    boss.emulator.store.advance(timedelta(minutes=59))
    assert works(boss, token)
    boss.emulator.store.advance(timedelta(minutes=2))
    assert not works(boss, token)
    # A client that does not know of the moved clock can still log in.
    assert ask(boss, assertion(fields))[0] == 200


def test_deleting_a_key_leaves_its_tokens_and_disabling_the_account_ends_them(boss: Caller) -> None:
    name, fields = boss.key()
    token = ask(boss, assertion(fields))[1]["access_token"]
    boss.call("DeleteServiceAccountKey", name=name)
    assert works(boss, token)
    boss.call("DisableServiceAccount", name=account_name("rotator"))
    assert not works(boss, token)
    boss.call("EnableServiceAccount", name=account_name("rotator"))
    assert works(boss, token)
    boss.call("DeleteServiceAccount", name=account_name("rotator"))
    boss.account()
    assert not works(boss, token)


def test_a_token_with_too_little_scope_is_denied(boss: Caller) -> None:
    _name, fields = boss.key()
    token = ask(boss, assertion(fields, scope="https://www.googleapis.com/auth/drive"))[1]["access_token"]
    status, document = Caller(boss.emulator, token).rest("GET", f"/v1/{PROJECT}/secrets")
    assert (status, document["error"]["message"]) == (403, "Request had insufficient authentication scopes.")


def test_token_info_tells_whose_token_it_is(boss: Caller) -> None:
    _name, fields = boss.key()
    token = ask(boss, assertion(fields))[1]["access_token"]
    nobody = Caller(boss.emulator, "")
    told = [
        Caller(boss.emulator, token).rest("POST", "/tokeninfo")[1],
        nobody.rest("GET", f"/tokeninfo?access_token={urllib.parse.quote(token)}")[1],
        nobody.form("/tokeninfo", access_token=token)[1],
    ]
    assert [reply["email"] for reply in told] == [email("rotator")] * 3
    assert Caller(boss.emulator, token).rest("GET", "/userinfo")[1]["email"] == email("rotator")
    assert boss.rest("GET", "/tokeninfo")[1]["email"] == "owner@local.invalid"
    assert nobody.rest("GET", "/tokeninfo")[0] == 400
    assert nobody.rest("GET", "/userinfo")[0] == 401


def test_a_revoked_token_is_dead(boss: Caller) -> None:
    _name, fields = boss.key()
    token = ask(boss, assertion(fields))[1]["access_token"]
    assert boss.form("/revoke", token=token)[0] == 200
    assert not works(boss, token)
    assert boss.form("/revoke", token=token)[0] == 400


def test_the_published_certificates_are_those_of_live_keys(boss: Caller) -> None:
    name, fields = boss.key()
    path = f"/robot/v1/metadata/x509/{urllib.parse.quote(email('rotator'))}"
    key_id = fields["private_key_id"]
    found = x509.load_pem_x509_certificate(boss.rest("GET", path)[1][key_id].encode()).public_key()
    assert found == private_of(fields).public_key()
    jwks = boss.rest("GET", path.replace("x509", "jwk"))[1]["keys"]
    assert key_id in {key["kid"] for key in jwks}
    assert "BEGIN PUBLIC KEY" in boss.rest("GET", path.replace("x509", "raw"))[1][key_id]
    boss.call("DisableServiceAccountKey", name=name)
    assert key_id not in boss.rest("GET", path)[1]
    assert boss.rest("GET", "/robot/v1/metadata/x509/nobody")[0] == 404


def test_the_owner_token_outlives_a_reset_and_never_ends(boss: Caller) -> None:
    boss.emulator.store.advance(timedelta(days=400))
    boss.emulator.store.reset()
    boss.secret("ListSecrets", parent=PROJECT)
    with refused(Code.UNAUTHENTICATED):
        Caller(boss.emulator, boss.token[:-1]).secret("ListSecrets", parent=PROJECT)


def test_no_token_stands_in_the_state(boss: Caller) -> None:
    _name, fields = boss.key()
    token = ask(boss, assertion(fields))[1]["access_token"]
    everything = state_files(boss.emulator.store.path)
    assert token.encode() not in everything
    assert token[-30:].encode() not in everything
    assert boss.token.encode() not in everything


def test_refusals_quote_nothing_of_the_assertion(boss: Caller) -> None:
    _name, fields = boss.key()
    text = assertion(fields, new_private_key())
    reply = json.dumps(ask(boss, text)[1])
    assert all(part not in reply for part in text.split("."))
    with boss.emulator.store.transaction() as txn:
        kept = str(txn.audit())
    assert text.split(".")[1] not in kept


@pytest.mark.parametrize(
    "aud", ["https://evil.example", ["https://secretmanager.googleapis.com/"], 5, "http://127.0.0.1:1/token"]
)
def test_a_bearer_for_another_audience_is_refused_whatever_its_scope(boss: Caller, aud: object) -> None:
    _name, fields = boss.key()
    assert not works(boss, bearer(fields, aud=aud, scope=SCOPE))
    assert works(boss, bearer(fields, aud=None, scope=SCOPE))


def test_an_assertion_for_the_token_endpoint_of_another_port_is_refused(boss: Caller) -> None:
    _name, fields = boss.key()
    here = urllib.parse.urlsplit(fields["token_uri"])
    for aud, status in ((fields["token_uri"], 200), ("http://127.0.0.1:1/token", 400), ("http://localhost/token", 400)):
        body = urllib.parse.urlencode(
            {"grant_type": oauth.GRANT_TYPE, "assertion": assertion(fields, aud=aud)}
        ).encode()
        kind = {"content-type": "application/x-www-form-urlencoded", "host": here.netloc}
        assert (aud, Caller(boss.emulator, "").rest("POST", "/token", body, **kind)[0]) == (aud, status)


@pytest.mark.parametrize("moment", [10**400, float("inf"), float("nan"), -(10**400), 1e300])
def test_absurd_times_are_refused(boss: Caller, moment: float) -> None:
    _name, fields = boss.key()
    absurd: list[dict[str, Any]] = [{"exp": moment}, {"iat": moment}, {"exp": moment, "iat": moment}]
    for claims in absurd:
        assert ask(boss, assertion(fields, **claims))[1]["error"] == "invalid_grant"
        assert not works(boss, bearer(fields, **claims))
