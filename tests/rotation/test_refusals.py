"""A refusal that is not about the credential is no proof against it: the attempt ends, and nothing is begun."""

import random
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from google.auth.exceptions import RefreshError
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from pytest_mock import MockerFixture

from orchestra_creds.core.cloud_types import VersionState
from orchestra_creds.core.credential import Credential, CredentialKind, Strategy
from orchestra_creds.core.material import Material
from orchestra_creds.emulator.protocol.errors import Code, EmuError
from orchestra_creds.errors import (
    AuthError,
    CredentialRefusedError,
    CredsError,
    ExitCode,
    NotLoggedInError,
    PreconditionError,
)
from orchestra_creds.gcp.errors import proving, translate_errors
from orchestra_creds.rotation.issuers.generated import GeneratedValues
from orchestra_creds.rotation.issuers.manual import ManualIssuer
from orchestra_creds.rotation.outcome import Ending
from orchestra_creds.rotation.run_clock import seconds_since_boot
from orchestra_creds.rotation.situation import StepKind
from orchestra_creds.rotation.state import ANNOTATION, OrphanWindow, encode
from orchestra_creds.rotation.timing import SWEEP_AFTER
from tests.rotation.world import POLICY, Died, World, service_account_key


def info(reason: str) -> Message:
    return error_details_pb2.ErrorInfo(
        reason=reason, domain="googleapis.com", metadata={"service": "secretmanager.googleapis.com"}
    )


REFUSALS: dict[str, tuple[Code, str, tuple[Message, ...]]] = {
    "permission": (
        Code.PERMISSION_DENIED,
        "Permission 'secretmanager.versions.access' denied for resource (or it may not exist).",
        (info("IAM_PERMISSION_DENIED"),),
    ),
    "perimeter": (
        Code.PERMISSION_DENIED,
        "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: QmVlbg",
        (info("SECURITY_POLICY_VIOLATED"),),
    ),
    "organization policy": (
        Code.PERMISSION_DENIED,
        "Request is disallowed by organization's constraints/gcp.restrictServiceUsage constraint for projects/1.",
        (info("ORG_RESTRICTION_VIOLATION"),),
    ),
    "service disabled": (
        Code.PERMISSION_DENIED,
        "Secret Manager API has not been used in project 1 before or it is disabled. Enable it, then retry.",
        (info("SERVICE_DISABLED"),),
    ),
    "quota project": (
        Code.PERMISSION_DENIED,
        (
            "Your application is authenticating by using local Application Default Credentials. "
            "The secretmanager.googleapis.com API requires a quota project, which is not set by default."
        ),
        (),
    ),
    "quota project denied": (
        Code.PERMISSION_DENIED,
        "Caller does not have required access to use project quota-1. Grant the caller a role.",
        (info("USER_PROJECT_DENIED"),),
    ),
    "scope": (
        Code.PERMISSION_DENIED,
        "Request had insufficient authentication scopes.",
        (info("ACCESS_TOKEN_SCOPE_INSUFFICIENT"),),
    ),
    "expired login": (
        Code.UNAUTHENTICATED,
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid one.",
        (info("ACCESS_TOKEN_EXPIRED"),),
    ),
    "billing": (
        Code.PERMISSION_DENIED,
        "This API method requires billing to be enabled. Please enable billing on project #1.",
        (info("BILLING_DISABLED"),),
    ),
    "encryption key": (
        Code.FAILED_PRECONDITION,
        "projects/1/locations/global/keyRings/r/cryptoKeys/k is not enabled, current state is: DISABLED.",
        (),
    ),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_that_is_not_about_the_credential_begins_nothing(world: World, refusal: str) -> None:
    account = world.account()
    credential = service_account_key(account, strategy=Strategy.UPLOAD)
    world.rotate(credential)
    world.pass_time(POLICY.every)
    world.rotate(credential)
    world.pass_time(POLICY.grace)
    keys, versions = world.enabled_keys(account), world.versions()
    code, text, details = REFUSALS[refusal]

    def refuse(name: str) -> None:
        if name.endswith("/AccessSecretVersion"):
            raise EmuError(code, text, *details)

    world.emulator.before = refuse
    outcome = world.rotate(credential)
    world.emulator.before = lambda _name: None
    assert (outcome.ending, outcome.steps) == (Ending.FAILED, ())
    assert isinstance(outcome.error, AuthError | PreconditionError)
    assert not isinstance(outcome.error, CredentialRefusedError)
    assert (world.enabled_keys(account), world.versions()) == (keys, versions)
    assert world.rotate(credential).ending is Ending.RETIRED


@pytest.mark.parametrize("end", ["disabled", "deleted", "account disabled"])
def test_a_refusal_of_the_key_itself_is_typed(world: World, end: str) -> None:
    account = world.account()
    made = world.keys.create_key(account)
    issuer = world.issuer(service_account_key(account))
    issuer.verify(made.material)
    match end:
        case "disabled":
            world.keys.disable_key(account, made.key.id)
        case "deleted":
            world.keys.delete_key(account, made.key.id)
        case _:
            world.rpc("DisableServiceAccount", name=f"projects/-/serviceAccounts/{account}")
    with pytest.raises(CredentialRefusedError):
        issuer.verify(made.material)


@pytest.mark.parametrize("end", ["disabled", "deleted", "account disabled"])
def test_a_refusal_of_the_key_itself_begins_a_rotation(world: World, end: str) -> None:
    account = world.account()
    credential = service_account_key(account, strategy=Strategy.UPLOAD)
    world.rotate(credential)
    world.pass_time(POLICY.every)
    key_id = world.rotate(credential).identifier
    world.pass_time(POLICY.grace)
    match end:
        case "disabled":
            world.keys.disable_key(account, key_id)
        case "deleted":
            world.keys.delete_key(account, key_id)
        case _:
            world.rpc("DisableServiceAccount", name=f"projects/-/serviceAccounts/{account}")
    steps = {step.kind: step.detail for step in world.rotate(credential).steps}
    assert steps[StepKind.BEGIN].startswith("the current one does not authenticate")


def test_a_version_that_somebody_destroyed_is_replaced(world: World) -> None:
    credential = service_account_key(world.account())
    world.rotate(credential)
    world.pass_time(POLICY.every)
    world.rotate(credential)
    world.pass_time(POLICY.grace)
    world.secrets.destroy_version("db-key", 2)
    outcome = world.rotate(credential)
    assert StepKind.BEGIN in {step.kind for step in outcome.steps}
    assert world.versions()[3] is VersionState.ENABLED


@pytest.mark.parametrize(
    ("code", "description", "retryable", "meant"),
    [
        ("invalid_grant", "Invalid JWT Signature.", False, CredentialRefusedError),
        ("invalid_grant", "Invalid grant: account not found", False, CredentialRefusedError),
        ("invalid_grant", "", False, CredentialRefusedError),
        ("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes).", False, AuthError),
        ("invalid_grant", "Invalid JWT: Failed audience check.", False, AuthError),
        ("invalid_scope", "Invalid OAuth scope or ID token audience provided.", False, NotLoggedInError),
        ("unauthorized_client", "Client is unauthorized to retrieve access tokens.", False, NotLoggedInError),
        ("internal_failure", "", True, CredsError),
    ],
)
def test_only_a_refused_grant_is_about_the_key(
    code: str, description: str, *, retryable: bool, meant: type[CredsError]
) -> None:
    answer = {"error": code, "error_description": description}

    def ask() -> None:
        raise RefreshError(f"{code}: {description}", answer, retryable=retryable)

    with pytest.raises(CredsError) as refused, proving("authenticate"):
        ask()
    assert isinstance(refused.value, meant)
    assert isinstance(refused.value, CredentialRefusedError) is (meant is CredentialRefusedError)
    with pytest.raises(CredsError) as login, translate_errors("read secret x"):
        ask()
    assert not isinstance(login.value, CredentialRefusedError)
    assert login.value.exit_code == (6 if retryable else 3)


def test_a_denied_look_at_a_young_key_gives_nothing_up(world: World) -> None:
    credential = service_account_key(world.account())
    attempt = world.attempt(credential)
    attempt.advance()
    world.emulator.before = refuse_tokens
    outcome = world.finish(attempt)
    world.emulator.before = lambda _name: None
    assert outcome.ending is Ending.FAILED
    world.pass_time(timedelta(minutes=1))
    assert world.rotate(credential).ending is Ending.ROTATED


def refuse_tokens(name: str) -> None:
    if "token" in name.lower():
        raise EmuError(Code.PERMISSION_DENIED, "Request is prohibited by organization's policy.")


def test_annotations_of_others_that_leave_no_room_are_refused_before_anything_is_changed(world: World) -> None:
    credential = service_account_key(world.account())
    world.rotate(credential)
    secret = world.secrets.get_secret("db-key")
    world.secrets.update_secret(secret, annotations={**secret.annotations, "of-others": "x" * 15_000})
    world.pass_time(POLICY.every)
    before = len(world.emulator.mutations)
    outcome = world.rotate(credential)
    assert (outcome.ending, "no room for the state" in outcome.message) == (Ending.FAILED, True), outcome.message
    assert len(world.emulator.mutations) == before
    assert world.state().lease is None


def test_a_sweep_that_finds_no_orphan_claims_none(world: World) -> None:
    credential = service_account_key(world.account(), strategy=Strategy.CREATE)
    world.rotate(credential)
    secret, state = world.secrets.get_secret("db-key"), world.state()
    window = OrphanWindow(state.valid_ids, world.clock, world.clock)
    written = {**secret.annotations, ANNOTATION: encode(replace(state, unresolved=(window,)))}
    world.secrets.update_secret(secret, annotations=written)
    world.pass_time(SWEEP_AFTER)
    outcome = world.rotate(credential)
    assert (outcome.ending, "claim" in outcome.message) == (Ending.NOTHING, False), outcome.message
    assert world.state().unresolved == ()


def test_the_stopwatch_of_a_lease_goes_on_while_the_host_is_suspended(mocker: MockerFixture) -> None:
    mocker.patch("time.clock_gettime", side_effect=lambda clock: 90.0 if clock == time.CLOCK_BOOTTIME else 1.0)
    mocker.patch("time.monotonic", return_value=1.0)
    assert seconds_since_boot() == 90.0


def test_a_version_by_hand_that_nobody_can_read_is_not_recorded(world: World) -> None:
    """Whoever takes a damaged state off must not be told that all is well when readers get nothing."""
    credential = Credential("hand", CredentialKind.MANUAL, "hand", POLICY)
    world.secrets.create_secret("hand")
    world.secrets.add_version("hand", Material(b"by hand"))
    world.secrets.disable_version("hand", 1)
    outcome = world.rotate(credential, issuer=ManualIssuer(credential))
    assert (outcome.ending, outcome.code) == (Ending.ATTENTION, ExitCode.ATTENTION), outcome.message
    assert world.state("hand").current is None


def test_a_version_by_hand_that_is_due_when_it_is_recorded_is_told(world: World) -> None:
    credential = Credential("hand", CredentialKind.MANUAL, "hand", POLICY)
    world.secrets.create_secret("hand")
    world.secrets.add_version("hand", Material(b"by hand"))
    world.pass_time(POLICY.every)
    outcome = world.rotate(credential, issuer=ManualIssuer(credential))
    assert world.state("hand").current is not None
    assert (outcome.ending, outcome.code) == (Ending.ATTENTION, ExitCode.ATTENTION), outcome.message
    assert "it is due" in outcome.message


def test_a_value_by_hand_that_is_due_when_it_is_recorded_gets_its_successor_in_the_same_run(world: World) -> None:
    credential = Credential("value", CredentialKind.GENERATED, "value", POLICY)
    issuer = GeneratedValues(credential, random.Random(1).randbytes)
    world.rotate(credential, issuer=issuer)
    world.secrets.add_version("value", Material(b"by hand"))
    world.pass_time(POLICY.every)
    outcome = world.rotate(credential, issuer=issuer)
    assert (outcome.ending, outcome.code) == (Ending.ROTATED, ExitCode.OK), outcome.message
    state = world.state("value")
    assert (state.generation, state.current is not None and state.current.version) == (3, 3)
    assert [entry.id for entry in state.retiring] == [state.retiring[0].id, "v2"]


def test_a_version_that_covers_what_a_dead_run_published_is_looked_at_in_the_same_run(world: World) -> None:
    credential = Credential("value", CredentialKind.GENERATED, "value", POLICY)
    issuer = GeneratedValues(credential, random.Random(1).randbytes)
    world.rotate(credential, issuer=issuer)
    world.pass_time(POLICY.every)
    calls = len(world.emulator.calls)
    world.emulator.after = lambda name, _mutates: (
        stop() if name.endswith("AddSecretVersion") and len(world.versions("value")) == 2 else None
    )

    def stop() -> None:
        raise Died

    with pytest.raises(Died):
        world.rotate(credential, issuer=issuer)
    assert len(world.emulator.calls) > calls
    world.emulator.after = lambda _name, _mutates: None
    world.secrets.add_version("value", Material(b"by hand"))
    world.pass_time(timedelta(minutes=20))
    outcome = world.rotate(credential, issuer=issuer)
    assert (outcome.ending, outcome.code) == (Ending.ROTATED, ExitCode.OK), outcome.message
    state = world.state("value")
    assert (state.generation, state.current is not None and state.current.version) == (3, 3)
