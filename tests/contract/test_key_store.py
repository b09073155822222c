"""The rules of KeyStore."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from orchestra_creds.core.cloud_types import Key, KeyOrigin
from orchestra_creds.emulator.iam import keys as emulated
from orchestra_creds.emulator.protocol.faults import FaultPhase
from orchestra_creds.errors import (
    AuthError,
    ConfigError,
    CredsError,
    NotFoundError,
    PreconditionError,
    UnavailableError,
)
from orchestra_creds.gcp.keys import IamKeyStore
from tests.contract.conftest import CloudUnderTest


@pytest.fixture
def account(world: CloudUnderTest) -> str:
    return world.account()


def certificate(days: int = 30) -> bytes:
    """A certificate of our own; its private half stays here."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "own")])
    begin = datetime.now(UTC) - timedelta(minutes=2)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(begin).not_valid_after(begin + timedelta(days=days))
    return builder.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def ours(world: CloudUnderTest, account: str) -> list[Key]:
    return [key for key in world.keys.list_keys(account) if key.origin is KeyOrigin.USER]


def test_a_created_key_is_a_key_file_and_is_listed(world: CloudUnderTest, account: str) -> None:
    new = world.keys.create_key(account)
    info = json.loads(new.material.reveal())
    assert (info["type"], info["client_email"], info["private_key_id"]) == ("service_account", account, new.key.id)
    assert (new.key.origin, new.key.disabled, new.key.uploaded, new.key.expires) == (KeyOrigin.USER, False, False, None)
    read = world.keys.get_key(account, new.key.id)
    assert (read, world.keys.find_key(account, new.key.id)) == (new.key, new.key)
    assert new.key in ours(world, account)
    world.keys.delete_key(account, new.key.id)
    assert world.keys.find_key(account, new.key.id) is None


def test_a_key_is_disabled_enabled_and_deleted(world: CloudUnderTest, account: str) -> None:
    key_id = world.keys.create_key(account).key.id
    for _ in range(2):  # twice is as good as once
        world.keys.disable_key(account, key_id)
        assert world.keys.get_key(account, key_id).disabled
    world.keys.enable_key(account, key_id)
    assert not world.keys.get_key(account, key_id).disabled
    world.keys.delete_key(account, key_id)
    with pytest.raises(NotFoundError):
        world.keys.delete_key(account, key_id)


def test_an_uploaded_certificate_is_a_key_with_its_end(world: CloudUnderTest, account: str) -> None:
    key = world.keys.upload_key(account, certificate(days=30))
    assert (key.uploaded, key.origin, key.disabled) == (True, KeyOrigin.USER, False)
    assert key.expires is not None
    assert timedelta(days=29) < key.expires - datetime.now(UTC) < timedelta(days=31)
    assert world.keys.get_key(account, key.id) == key
    world.keys.delete_key(account, key.id)


def test_a_public_half_is_that_of_the_certificate(world: CloudUnderTest, account: str) -> None:
    text = certificate(days=30)
    key = world.keys.upload_key(account, text)
    public = x509.load_pem_x509_certificate(text).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    assert world.keys.public_key(account, key.id) == public.public_bytes(serialization.Encoding.PEM, form)
    world.keys.delete_key(account, key.id)
    with pytest.raises(NotFoundError):
        world.keys.public_key(account, key.id)


def test_googles_own_keys_are_told_apart(world: CloudUnderTest, account: str) -> None:
    assert {key.origin for key in world.keys.list_keys(account)} <= {KeyOrigin.SYSTEM}


def test_keys_are_listed_oldest_first(world: CloudUnderTest, account: str) -> None:
    if world.kind == "live":
        pytest.skip("keys take room in a real account")
    made = []
    for _ in range(3):
        made.append(world.keys.create_key(account).key.id)
        world.emulator.store.advance(timedelta(seconds=2))
    assert [key.id for key in ours(world, account)] == made


def test_the_eleventh_key_is_refused(world: CloudUnderTest, account: str) -> None:
    world.emulator  # noqa: B018  # ten real keys are too many
    pem = certificate()
    for _ in range(10):
        world.keys.upload_key(account, pem) if not ours(world, account) else world.keys.create_key(account)
    with pytest.raises(PreconditionError):
        world.keys.create_key(account)
    assert len(ours(world, account)) == 10


@pytest.mark.parametrize("pem", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(world: CloudUnderTest, account: str, pem: bytes) -> None:
    with pytest.raises(ConfigError):
        world.keys.upload_key(account, pem)
    assert ours(world, account) == []


def test_whether_an_account_is_disabled_is_told(world: CloudUnderTest, account: str) -> None:
    assert not world.keys.is_account_disabled(account)
    with pytest.raises(NotFoundError):
        world.keys.is_account_disabled("nobody@" + account.partition("@")[2])
    world.emulator  # noqa: B018  the account of a real project stays enabled
    world.rpc("DisableServiceAccount", name=f"projects/-/serviceAccounts/{account}")
    assert world.keys.is_account_disabled(account)


def test_why_google_disabled_a_key_is_told(world: CloudUnderTest, account: str) -> None:
    key_id = world.keys.create_key(account).key.id
    with world.emulator.store.transaction() as txn:
        emulated.expose(txn, f"projects/-/serviceAccounts/{account}/keys/{key_id}", "https://example.com/repo")
    key = world.keys.get_key(account, key_id)
    assert (key.disabled, key.disabled_for_leak, key.exposed, len(key.status)) == (True, True, True, 1)


def test_last_uses_are_those_of_the_accounts_keys(world: CloudUnderTest, account: str) -> None:
    if world.kind == "live":
        pytest.skip("Policy Analyzer takes two days to know")
    used, idle = world.keys.create_key(account), world.keys.create_key(account)
    world.tokens.mint(used.material)
    uses = world.keys.last_uses(account)
    assert used.key.id in uses
    assert idle.key.id not in uses
    assert timedelta(days=-1) < datetime.now(UTC) - uses[used.key.id] < timedelta(days=2)


NO_KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("attempt", "error"),
    [
        (lambda k, a: k.get_key(a, NO_KEY), NotFoundError),
        (lambda k, a: k.disable_key(a, NO_KEY), NotFoundError),
        (lambda k, a: k.delete_key(a, NO_KEY), NotFoundError),
        (lambda k, a: k.create_key("nobody@" + a.partition("@")[2]), NotFoundError),
        (lambda k, a: list(k.list_keys("nobody@" + a.partition("@")[2])), NotFoundError),
        (lambda k, a: list(k.list_keys("no-mail")), ConfigError),
        (lambda k, a: list(k.list_keys(f"{a}/keys/../..")), ConfigError),
        (lambda k, a: k.get_key(a, "../../x"), ConfigError),
        (lambda k, a: k.get_key(a, "x?y"), ConfigError),
    ],
    ids=range(9),
)
def test_bad_input_is_told_in_our_words(
    world: CloudUnderTest, account: str, attempt: Callable[[IamKeyStore, str], object], error: type[CredsError]
) -> None:
    with pytest.raises(error) as caught:
        attempt(world.keys, account)
    assert caught.value.hint != ""


@pytest.mark.parametrize("phase", [FaultPhase.BEFORE, FaultPhase.AFTER])
@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("CreateServiceAccountKey", lambda k, a, i: k.create_key(a)),
        ("UploadServiceAccountKey", lambda k, a, i: k.upload_key(a, certificate())),
        ("DeleteServiceAccountKey", lambda k, a, i: k.delete_key(a, i)),
    ],
    ids=["create", "upload", "delete"],
)
def test_a_lost_reply_of_a_call_that_must_not_be_repeated_is_told_and_not_repeated(
    world: CloudUnderTest, account: str, method: str, call: Callable[[IamKeyStore, str, str], object], phase: FaultPhase
) -> None:
    key_id = world.keys.create_key(account).key.id
    before = world.calls(method)
    world.arm(method, phase)
    with pytest.raises(UnavailableError):
        call(world.keys, account, key_id)
    assert world.calls(method) == before + 1


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("ListServiceAccountKeys", lambda k, a, i: list(k.list_keys(a))),
        ("GetServiceAccountKey", lambda k, a, i: k.get_key(a, i)),
        ("DisableServiceAccountKey", lambda k, a, i: k.disable_key(a, i)),
        ("EnableServiceAccountKey", lambda k, a, i: k.enable_key(a, i)),
        ("QueryActivity", lambda k, a, i: k.last_uses(a)),
    ],
    ids=["list", "get", "disable", "enable", "activities"],
)
def test_a_lost_reply_of_a_call_that_may_be_repeated_is_mended(
    world: CloudUnderTest, account: str, method: str, call: Callable[[IamKeyStore, str, str], object]
) -> None:
    key_id = world.keys.create_key(account).key.id
    before = world.calls(method)
    world.arm(method, FaultPhase.AFTER)
    call(world.keys, account, key_id)
    assert world.calls(method) == before + 2


def test_a_missing_permission_is_named_over_both_protocols(guarded: CloudUnderTest) -> None:
    account, other = guarded.account("rotated"), guarded.account("nobody-special")
    stranger = IamKeyStore(guarded.open(impersonate=other))
    for attempt, permission in (
        (lambda: stranger.create_key(account), "iam.serviceAccountKeys.create"),
        (lambda: list(stranger.list_keys(account)), "iam.serviceAccountKeys.list"),
        (lambda: stranger.find_key(account, NO_KEY), "iam.serviceAccountKeys.get"),
    ):
        with pytest.raises(AuthError, match=f"permission {permission} is missing"):
            attempt()
