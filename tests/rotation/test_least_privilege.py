"""The rotator's role of the example suffices for a whole life, and each of its permissions but one is needed for something."""

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestra_creds.config.parse import parse
from orchestra_creds.core.cloud_types import Binding, IamPolicy
from orchestra_creds.core.credential import Credential, CredentialKind, Strategy
from orchestra_creds.emulator.access import access
from orchestra_creds.emulator.identity import oauth, tokens
from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.emulator.server.dispatch import allow_all, identify_owner
from orchestra_creds.errors import AuthError, CredsError
from orchestra_creds.gcp.keys import IamKeyStore
from orchestra_creds.gcp.policies import RestPolicyStore
from orchestra_creds.gcp.secrets import SecretManagerStore
from orchestra_creds.gcp.tokens import KeyTokenIssuer
from orchestra_creds.rotation.issuers.generated import GeneratedValues
from orchestra_creds.rotation.outcome import Ending
from orchestra_creds.rotation.situation import RunRequest
from orchestra_creds.setup.example import example
from tests.contract.direct import DirectSession
from tests.rotation.test_issuers import Counting
from tests.rotation.world import POLICY, PROJECT, World, service_account_key

ROLE = "orchestraCredsRotator"
PERMISSIONS = parse(example(PROJECT), "example").custom_roles[ROLE].permissions
POLICY_READER = "orgpolicy.policy.get"
"""Tells beforehand whether uploads are forbidden; without it an upload is tried."""
ACCOUNT_READER = "iam.serviceAccounts.get"
"""Tells whether an account is disabled; without it `rotate` tries the key itself, and `status` says that nobody looked."""
UNUSED = replace(POLICY, require_unused=timedelta(hours=1))


class Guarded(World):
    """A world that asks who calls; the engine is the rotator, with these permissions and no others."""

    def __init__(self, permissions: tuple[str, ...]) -> None:
        super().__init__()
        self.target = self.account("app-one")
        rotator = self.rpc("CreateServiceAccount", name=f"projects/{PROJECT}", account_id="creds-rotator")
        role = {"roleId": ROLE, "role": {"title": ROLE, "includedPermissions": list(permissions), "stage": "GA"}}
        self.session.rest("make the role", "POST", "iam", f"v1/projects/{PROJECT}/roles", body=role)
        policies = RestPolicyStore(self.session)
        there = policies.get_policy(f"projects/{PROJECT}")
        member = frozenset({f"serviceAccount:{rotator.email}"})
        bound = Binding(f"projects/{PROJECT}/roles/{ROLE}", member)
        policies.set_policy(f"projects/{PROJECT}", IamPolicy((*there.bindings, bound), there.etag))
        self._rotator = rotator
        self.emulator._identify, self.emulator._authorize = oauth.identify, access.authorize
        self.log_in()

    def log_in(self) -> None:
        """A fresh token: they last an hour."""
        with self.store.transaction() as txn:
            token, _ = tokens.for_account(txn, self._rotator, (tokens.CLOUD_PLATFORM,))
        self.session = DirectSession(PROJECT, self.emulator, environment={"ORCHESTRA_CREDS_ACCESS_TOKEN": token})
        self.secrets, self.keys = SecretManagerStore(self.session), IamKeyStore(self.session)
        self.tokens = KeyTokenIssuer(self.session)

    def close(self) -> None:
        self.emulator._identify, self.emulator._authorize = identify_owner, allow_all
        super().close()


def whole_life(world: Guarded) -> list[str]:
    """Every verb of a rotator: issue, rotate, lose a reply, retire, roll back, for a key and for a value; what was refused."""
    refused: list[str] = []
    key = service_account_key(world.target, strategy=Strategy.AUTO, policy=UNUSED)
    value = Credential("value", CredentialKind.GENERATED, "value", POLICY)

    def run(credential: Credential, want: RunRequest, step: timedelta) -> None:
        world.pass_time(step)
        world.log_in()
        issuer = world.issuer(key) if credential is key else GeneratedValues(value, Counting())
        outcome = world.rotate(credential, want, issuer=issuer)
        if outcome.ending not in {Ending.ROTATED, Ending.RETIRED, Ending.NOTHING}:
            refused.append(outcome.message)
        refused.extend(note for note in outcome.notes if "permission" in note)

    plain, back = RunRequest(), RunRequest(back=True)
    for credential in (key, value):
        run(credential, plain, timedelta(0))
        world.arm("UploadServiceAccountKey", Code.INTERNAL, phase=faults.FaultPhase.AFTER, times=1)
        run(credential, plain, POLICY.every + timedelta(hours=1))
        run(credential, plain, POLICY.grace)
        run(credential, back, timedelta(hours=1))
        run(credential, plain, POLICY.every)
        run(credential, plain, POLICY.grace)
        run(credential, plain, POLICY.soak)
    try:
        world.log_in()
        list(world.secrets.list_secrets())
    except CredsError as error:
        refused.append(str(error))
    return refused


def test_the_role_suffices_for_everything_a_rotator_does() -> None:
    world = Guarded(PERMISSIONS)
    try:
        assert whole_life(world) == []
    finally:
        world.close()


def test_a_rotator_that_may_not_read_organization_policies_is_refused_nothing() -> None:
    world = Guarded(tuple(each for each in PERMISSIONS if each != POLICY_READER))
    try:
        with pytest.raises(AuthError, match=POLICY_READER):
            world.inspector.is_constraint_enforced("iam.disableServiceAccountKeyUpload")
        assert whole_life(world) == []
    finally:
        world.close()


@pytest.mark.parametrize("permission", sorted(set(PERMISSIONS) - {POLICY_READER, ACCOUNT_READER}))
def test_each_permission_is_needed_and_named_when_it_is_missing(permission: str) -> None:
    world = Guarded(tuple(each for each in PERMISSIONS if each != permission))
    try:
        told = whole_life(world)
    finally:
        world.close()
    assert told, f"{permission} is never needed"
    assert any(permission in line for line in told), told[:3]


def test_a_rotator_may_not_reach_beyond() -> None:
    world = Guarded(PERMISSIONS)
    try:
        for attempt in (
            lambda: world.secrets.delete_secret("value"),
            lambda: RestPolicyStore(world.session).get_policy(f"projects/{PROJECT}"),
            lambda: world.session.rest("list", "GET", "iam", f"v1/projects/{PROJECT}/roles"),
        ):
            with pytest.raises(AuthError):
                attempt()
    finally:
        world.close()
