"""Keys: real, shown once, limited, under organization policy, uploaded with checks, switched off for a reason."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from google.cloud import iam_admin_v1
from google.rpc import error_details_pb2

from orchestra_creds.emulator.iam import keys
from orchestra_creds.emulator.iam.key_records import new_private_key, pem, self_signed_certificate
from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.errors import Code, EmuError
from orchestra_creds.emulator.resource_manager import org_policy
from orchestra_creds.emulator.server import control
from tests.emulator.conftest import Cloud, refused, state_files
from tests.emulator.identities import Caller, KeyType, account_name, email

PUBLIC = iam_admin_v1.ServiceAccountPublicKeyType


@pytest.fixture
def iam(cloud: Cloud) -> Caller:
    caller = Caller(cloud.emulator, "")
    caller.account()
    return caller


@pytest.fixture(scope="module")
def private() -> rsa.RSAPrivateKey:
    return new_private_key()


@pytest.fixture
def certificate(private: rsa.RSAPrivateKey) -> Callable[..., bytes]:
    def make(key: Any = None, *, days: int = 30) -> bytes:
        now = datetime.now(UTC)
        made = self_signed_certificate(key or private, "mine", now - timedelta(days=60), now + timedelta(days=days))
        return pem(made).encode()

    return make


def user_keys(iam: Caller) -> list[Any]:
    found = iam.call("ListServiceAccountKeys", name=account_name("rotator"), key_types=[KeyType.USER_MANAGED])
    return list(found.keys)


def test_a_key_file_is_what_googles_libraries_read(iam: Caller, cloud: Cloud) -> None:
    name, fields = iam.key()
    assert fields["type"] == "service_account"
    assert (fields["client_email"], fields["project_id"]) == (email("rotator"), "demo-project")
    assert name.endswith(f"/keys/{fields['private_key_id']}")
    assert fields["token_uri"].startswith("http://127.0.0.1:")
    loaded = serialization.load_pem_private_key(fields["private_key"].encode(), None)
    assert isinstance(loaded, rsa.RSAPrivateKey)
    assert loaded.key_size == 2048


def test_the_private_half_is_nowhere_in_the_state(iam: Caller, cloud: Cloud) -> None:
    _name, fields = iam.key()
    private = serialization.load_pem_private_key(fields["private_key"].encode(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    everything = state_files(cloud.store.path)
    numbers = private.private_numbers()
    for number in (numbers.d, numbers.p, numbers.q):
        assert number.to_bytes((number.bit_length() + 7) // 8)[:16] not in everything
    # The public half stands at the beginning of the encoded key.
    assert "".join(fields["private_key"].splitlines()[1:-1])[500:530].encode() not in everything
    assert b"PRIVATE KEY" not in everything


def test_a_pkcs12_key_opens_with_the_known_password(iam: Caller) -> None:
    made = iam.call(
        "CreateServiceAccountKey",
        name=account_name("rotator"),
        private_key_type=iam_admin_v1.ServiceAccountPrivateKeyType.TYPE_PKCS12_FILE,
    )
    private, certificate, _more = pkcs12.load_key_and_certificates(made.private_key_data, keys.PKCS12_PASSWORD)
    assert certificate is not None
    assert isinstance(private, rsa.RSAPrivateKey)
    assert private.public_key() == certificate.public_key()


def test_keys_of_1024_bits_are_refused(iam: Caller) -> None:
    with refused(Code.INVALID_ARGUMENT):
        iam.call("CreateServiceAccountKey", name=account_name("rotator"), key_algorithm=1)


def test_the_list_tells_googles_own_key_from_the_users(iam: Caller) -> None:
    name, _fields = iam.key()
    found = iam.call("ListServiceAccountKeys", name=account_name("rotator")).keys
    assert {key.key_type for key in found} == {KeyType.SYSTEM_MANAGED, KeyType.USER_MANAGED}
    assert [key.name for key in user_keys(iam)] == [name]
    system = next(key for key in found if key.key_type == KeyType.SYSTEM_MANAGED)
    for method in ("Disable", "Enable", "Delete"):
        with refused(Code.FAILED_PRECONDITION):
            iam.call(f"{method}ServiceAccountKey", name=system.name)


def test_the_public_half_is_shown_when_asked_for(iam: Caller) -> None:
    name, fields = iam.key()
    private = serialization.load_pem_private_key(fields["private_key"].encode(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    assert iam.call("GetServiceAccountKey", name=name).public_key_data == b""
    found = iam.call("GetServiceAccountKey", name=name, public_key_type=PUBLIC.TYPE_X509_PEM_FILE).public_key_data
    assert x509.load_pem_x509_certificate(found).public_key() == private.public_key()
    found = iam.call("GetServiceAccountKey", name=name, public_key_type=PUBLIC.TYPE_RAW_PUBLIC_KEY).public_key_data
    assert serialization.load_pem_public_key(found) == private.public_key()


def test_the_eleventh_key_is_refused_however_the_ten_came(iam: Caller, certificate: Callable[..., bytes]) -> None:
    iam.call("UploadServiceAccountKey", name=account_name("rotator"), public_key_data=certificate())
    for _ in range(keys.MOST_KEYS - 1):
        name, _fields = iam.key()
    iam.call("DisableServiceAccountKey", name=name)
    with refused(Code.FAILED_PRECONDITION, "Precondition check failed."):
        iam.key()
    with refused(Code.FAILED_PRECONDITION):
        iam.call(
            "UploadServiceAccountKey", name=account_name("rotator"), public_key_data=certificate(new_private_key())
        )
    iam.call("DeleteServiceAccountKey", name=name)
    iam.key()


@pytest.mark.parametrize("constraint", org_policy.NO_KEY_CREATION)
def test_policy_can_forbid_new_keys(iam: Caller, cloud: Cloud, constraint: str) -> None:
    with cloud.store.transaction() as txn:
        org_policy.set_rules(txn, "demo-project", constraint, {"enforce": True})
    with pytest.raises(EmuError) as caught:
        iam.key()
    assert caught.value.code is Code.FAILED_PRECONDITION
    detail = caught.value.details[0]
    if ".managed." in constraint:
        assert isinstance(detail, error_details_pb2.ErrorInfo)
        assert detail.reason == "CUSTOM_ORG_POLICY_VIOLATION"
        assert detail.metadata["customConstraints"] == f"constraints/{constraint}"
    else:
        assert str(caught.value) == "Key creation is not allowed on this service account."
        assert isinstance(detail, error_details_pb2.PreconditionFailure)
        assert detail.violations[0].type == f"constraints/{constraint}"
    with cloud.store.transaction() as txn:
        org_policy.set_rules(txn, "demo-project", constraint, {"enforce": False})
    iam.key()


def test_policy_can_forbid_uploads_alone(iam: Caller, cloud: Cloud, certificate: Callable[..., bytes]) -> None:
    with cloud.store.transaction() as txn:
        org_policy.set_rules(txn, "demo-project", org_policy.NO_KEY_UPLOAD[0], {"enforce": True})
    with refused(Code.FAILED_PRECONDITION, "Key upload is not allowed"):
        iam.call("UploadServiceAccountKey", name=account_name("rotator"), public_key_data=certificate())
    iam.key()


def test_policy_can_give_new_keys_an_end(iam: Caller, cloud: Cloud) -> None:
    with cloud.store.transaction() as txn:
        org_policy.set_rules(txn, "demo-project", org_policy.KEY_EXPIRY, {"values": {"allowedValues": ["8h"]}})
    name, _fields = iam.key()
    key = iam.call("GetServiceAccountKey", name=name)
    assert key.valid_before_time.seconds - key.valid_after_time.seconds in {8 * 3600, 8 * 3600 + 1}


def test_a_disabled_account_gets_no_key(iam: Caller) -> None:
    iam.call("DisableServiceAccount", name=account_name("rotator"))
    with refused(Code.FAILED_PRECONDITION):
        iam.key()


def test_an_uploaded_certificate_ends_when_it_says(iam: Caller, certificate: Callable[..., bytes]) -> None:
    data = certificate(days=3)
    made = iam.call("UploadServiceAccountKey", name=account_name("rotator"), public_key_data=data)
    assert made.key_origin == iam_admin_v1.ServiceAccountKeyOrigin.USER_PROVIDED
    ends = x509.load_pem_x509_certificate(data).not_valid_after_utc
    assert made.valid_before_time.ToDatetime(tzinfo=UTC) == ends
    with refused(Code.ALREADY_EXISTS):
        iam.call("UploadServiceAccountKey", name=account_name("rotator"), public_key_data=data)


def _of_another_kind(_private: rsa.RSAPrivateKey) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    return pem(builder.sign(key, hashes.SHA256())).encode()


def _too_short(_private: rsa.RSAPrivateKey) -> bytes:
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505  # that is the point
    return pem(self_signed_certificate(key, "x", datetime.now(UTC), datetime.now(UTC) + timedelta(days=1))).encode()


def _bare(private: rsa.RSAPrivateKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return private.public_key().public_bytes(serialization.Encoding.PEM, form)


def _twice(private: rsa.RSAPrivateKey) -> bytes:
    return (
        2
        * pem(self_signed_certificate(private, "x", datetime.now(UTC), datetime.now(UTC) + timedelta(days=1))).encode()
    )


def _expired(private: rsa.RSAPrivateKey) -> bytes:
    now = datetime.now(UTC)
    return pem(self_signed_certificate(private, "x", now - timedelta(days=2), now - timedelta(days=1))).encode()


def _der(private: rsa.RSAPrivateKey) -> bytes:
    now = datetime.now(UTC)
    return self_signed_certificate(private, "x", now, now + timedelta(days=1)).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    "make",
    [
        lambda _private: b"",
        lambda _private: b"not a certificate",
        lambda _private: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        lambda _private: b"x" * 30_000,
        _of_another_kind, _too_short, _bare, _twice, _expired, _der,
    ],
    ids=["empty", "text", "broken", "long", "elliptic", "short", "bare key", "two", "expired", "der"],
)  # fmt: skip
def test_an_upload_must_be_one_live_pem_certificate_with_rsa(
    iam: Caller, private: rsa.RSAPrivateKey, make: Callable[[rsa.RSAPrivateKey], bytes]
) -> None:
    with refused(Code.INVALID_ARGUMENT):
        iam.call("UploadServiceAccountKey", name=account_name("rotator"), public_key_data=make(private))
    assert user_keys(iam) == []


def test_disable_enable_and_delete(iam: Caller) -> None:
    name, _fields = iam.key()
    for method, disabled in (("Disable", True), ("Disable", True), ("Enable", False)):
        iam.call(f"{method}ServiceAccountKey", name=name)
        assert [key.disabled for key in user_keys(iam)] == [disabled]
    iam.call("DeleteServiceAccountKey", name=name)
    assert user_keys(iam) == []
    for method in ("Get", "Disable", "Enable", "Delete"):
        with refused(Code.NOT_FOUND):
            iam.call(f"{method}ServiceAccountKey", name=name)


def test_keys_are_found_through_the_wildcard_and_the_unique_id(iam: Caller) -> None:
    name, fields = iam.key()
    for who in (email("rotator"), fields["client_id"]):
        wild = f"projects/-/serviceAccounts/{who}/keys/{fields['private_key_id']}"
        assert iam.call("GetServiceAccountKey", name=wild).name == name


def test_keys_die_with_their_account_and_come_back_with_it(iam: Caller) -> None:
    name, fields = iam.key()
    iam.call("DeleteServiceAccount", name=account_name("rotator"))
    iam.account()
    assert user_keys(iam) == []
    iam.call("DeleteServiceAccount", name=account_name("rotator"))
    iam.call("UndeleteServiceAccount", name=f"projects/-/serviceAccounts/{fields['client_id']}")
    assert [key.name for key in user_keys(iam)] == [name]


def test_rest_alone_tells_why_a_key_is_disabled(iam: Caller) -> None:
    name, _fields = iam.key()
    assert "disableReason" not in iam.rest("GET", f"/v1/{name}")[1]
    iam.rest("POST", f"/v1/{name}:disable", {})
    _status, key = iam.rest("GET", f"/v1/{name}")
    assert key["disableReason"] == "SERVICE_ACCOUNT_KEY_DISABLE_REASON_USER_INITIATED"
    iam.rest("POST", f"/v1/{name}:enable", {})
    assert "disableReason" not in iam.rest("GET", f"/v1/{name}")[1]
    status, _ = iam.rest("POST", f"/v1/{name}:disable", {"serviceAccountKeyDisableReason": "BOREDOM"})
    assert status == 400


def test_a_key_found_in_public_is_disabled_and_marked_for_good(iam: Caller, cloud: Cloud) -> None:
    name, _fields = iam.key()
    with cloud.store.transaction() as txn:
        keys.expose(txn, name, "https://example.com/leak")
    _status, listed = iam.rest("GET", f"/v1/{account_name('rotator')}/keys?keyTypes=USER_MANAGED")
    [key] = listed["keys"]
    mark = {"key": "SERVICE_ACCOUNT_KEY_EXTENDED_STATUS_KEY_EXPOSED", "value": "https://example.com/leak"}
    assert (key["disabled"], key["extendedStatus"]) == (True, [mark])
    assert key["disableReason"] == "SERVICE_ACCOUNT_KEY_DISABLE_REASON_EXPOSED"
    iam.call("EnableServiceAccountKey", name=name)
    assert iam.rest("GET", f"/v1/{name}")[1]["extendedStatus"] == [mark]


def test_policy_can_leave_an_exposed_key_enabled(iam: Caller, cloud: Cloud) -> None:
    name, _fields = iam.key()
    with cloud.store.transaction() as txn:
        rules = {"values": {"allowedValues": ["WAIT_FOR_ABUSE"]}}
        org_policy.set_rules(txn, "demo-project", org_policy.KEY_EXPOSURE, rules)
        keys.expose(txn, name, "https://example.com/leak")
    key = iam.rest("GET", f"/v1/{name}")[1]
    assert ("disabled" in key, len(key["extendedStatus"])) == (False, 1)


def test_new_keys_and_states_are_seen_late_when_asked_for(iam: Caller, cloud: Cloud) -> None:
    cloud.lag(faults.Lag.IAM, 60)
    name, _fields = iam.key()
    assert user_keys(iam) == []
    cloud.store.advance(timedelta(seconds=61))
    iam.call("DisableServiceAccountKey", name=name)
    assert [key.disabled for key in user_keys(iam)] == [False]
    cloud.store.advance(timedelta(seconds=61))
    assert [key.disabled for key in user_keys(iam)] == [True]


def test_the_list_over_rest_refuses_an_unknown_type(iam: Caller) -> None:
    status, document = iam.rest("GET", f"/v1/{account_name('rotator')}/keys?keyTypes=MINE")
    assert (status, document["error"]["status"]) == (400, "INVALID_ARGUMENT")
    status, document = iam.rest(
        "GET", f"/v1/{account_name('rotator')}/keys?keyTypes=USER_MANAGED&keyTypes=SYSTEM_MANAGED"
    )
    assert (status, len(document["keys"])) == (200, 1)


def test_create_over_rest_answers_the_file_in_base64(iam: Caller) -> None:
    import base64

    status, document = iam.rest("POST", f"/v1/{account_name('rotator')}/keys", {})
    assert status == 200
    assert json.loads(base64.b64decode(document["privateKeyData"]))["type"] == "service_account"


def test_a_key_can_be_exposed_from_outside_of_the_server(iam: Caller, cloud: Cloud) -> None:
    name, fields = iam.key()
    control.expose_key(cloud.store.path, email("rotator"), fields["private_key_id"], "https://example.com/leak")
    assert iam.rest("GET", f"/v1/{name}")[1]["disabled"]
    assert control.owner_token(cloud.store.path) == cloud.store.owner_token
