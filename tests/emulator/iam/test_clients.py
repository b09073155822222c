"""The official IAM clients, unmodified: gRPC and asyncio, and what Google's own libraries do with a key file."""

import asyncio
import json
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request
from google.cloud import iam_admin_v1, iam_credentials_v1
from google.cloud.iam_admin_v1.services.iam.transports import IAMGrpcAsyncIOTransport, IAMGrpcTransport
from google.cloud.iam_credentials_v1.services.iam_credentials.transports import IAMCredentialsGrpcTransport
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import SecretManagerServiceGrpcTransport
from google.oauth2 import service_account
from google.rpc import error_details_pb2

from orchestra_creds.emulator.protocol.routes import IAM_ADMIN, IAM_CREDENTIALS
from orchestra_creds.emulator.resource_manager import org_policy
from orchestra_creds.emulator.server import control
from tests.emulator.conftest import Cloud
from tests.emulator.identities import PROJECT, SCOPE, account_name, credentials, email, owner

KeyType = iam_admin_v1.ListServiceAccountKeysRequest.KeyType
Client = Any


@pytest.fixture
def iam(running: control.InProcessEmulator, cloud: Cloud) -> Any:
    with grpc.insecure_channel(running.endpoints.grpc) as channel:
        yield iam_admin_v1.IAMClient(transport=IAMGrpcTransport(channel=channel))


def test_every_rpc_of_iam_is_served() -> None:
    missing = [
        name for name, served in control.rpc_table() if not served and name.startswith((IAM_ADMIN, IAM_CREDENTIALS))
    ]
    assert missing == []


def test_an_account_and_its_keys_live_their_lives(iam: Client) -> None:
    account = iam.create_service_account(
        name=PROJECT, account_id="rotator", service_account={"display_name": "Rotator"}
    )
    with pytest.raises(exceptions.AlreadyExists):
        iam.create_service_account(name=PROJECT, account_id="rotator")
    assert [found.email for found in iam.list_service_accounts(name=PROJECT)] == [account.email]
    key = iam.create_service_account_key(name=account.name)
    assert json.loads(key.private_key_data)["client_email"] == account.email
    found = iam.list_service_account_keys(name=account.name, key_types=[KeyType.USER_MANAGED]).keys
    assert [one.name for one in found] == [key.name]
    iam.disable_service_account_key(name=key.name)
    assert iam.get_service_account_key(name=key.name).disabled
    iam.enable_service_account_key(name=key.name)
    iam.delete_service_account_key(name=key.name)
    with pytest.raises(exceptions.NotFound):
        iam.get_service_account_key(name=key.name)
    policy = iam.get_iam_policy(request={"resource": account.name})
    policy.bindings.add(role="roles/iam.serviceAccountUser", members=["user:a@example.com"])
    changed = iam.set_iam_policy(request={"resource": account.name, "policy": policy})
    with pytest.raises(exceptions.Aborted):
        iam.set_iam_policy(request={"resource": account.name, "policy": policy})
    assert changed.bindings[0].members == ["user:a@example.com"]
    asked = ["iam.serviceAccounts.get"]
    assert iam.test_iam_permissions(request={"resource": account.name, "permissions": asked}).permissions == asked
    iam.disable_service_account(request={"name": account.name})
    iam.enable_service_account(request={"name": account.name})
    iam.delete_service_account(name=account.name)
    request = {"name": f"projects/-/serviceAccounts/{account.unique_id}"}
    assert iam.undelete_service_account(request=request).restored_account.email == account.email
    assert iam.list_roles(request={"page_size": 5}).roles


def test_a_policys_no_reaches_the_client_with_its_details(iam: Client, cloud: Cloud) -> None:
    account = iam.create_service_account(name=PROJECT, account_id="rotator")
    with cloud.store.transaction() as txn:
        org_policy.set_rules(txn, "demo-project", org_policy.NO_KEY_CREATION[0], {"enforce": True})
    with pytest.raises(exceptions.FailedPrecondition) as caught:
        iam.create_service_account_key(name=account.name)
    [detail] = caught.value.details
    assert isinstance(detail, error_details_pb2.PreconditionFailure)
    assert detail.violations[0].type == "constraints/iam.disableServiceAccountKeyCreation"


def test_the_asyncio_client_does_the_same(running: control.InProcessEmulator, cloud: Cloud) -> None:
    async def life() -> int:
        async with grpc.aio.insecure_channel(running.endpoints.grpc) as channel:
            client: Client = iam_admin_v1.IAMAsyncClient(transport=IAMGrpcAsyncIOTransport(channel=channel))
            account = await client.create_service_account(name=PROJECT, account_id="rotator")
            keys = [await client.create_service_account_key(name=account.name) for _ in range(3)]
            await asyncio.gather(*(client.disable_service_account_key(name=key.name) for key in keys))
            found = await client.list_service_account_keys(name=account.name, key_types=[KeyType.USER_MANAGED])
            return sum(key.disabled for key in found.keys)

    assert asyncio.run(life()) == 3


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_the_credentials_client_signs_and_impersonates(
    running: control.InProcessEmulator, cloud: Cloud, protocol: str
) -> None:
    cloud.call("CreateServiceAccount", IAM_ADMIN, name=PROJECT, account_id="rotator")
    client: Client
    if protocol == "grpc":
        channel = grpc.insecure_channel(running.endpoints.grpc)
        transport = IAMCredentialsGrpcTransport(channel=channel)
        client = iam_credentials_v1.IAMCredentialsClient(transport=transport)
    else:
        options = {"api_endpoint": running.endpoints.http}
        anybody = AnonymousCredentials()
        client = iam_credentials_v1.IAMCredentialsClient(transport="rest", client_options=options, credentials=anybody)
    name = f"projects/-/serviceAccounts/{email('rotator')}"
    assert client.generate_access_token(name=name, scope=[SCOPE]).access_token.startswith("ya29.")
    assert client.generate_id_token(name=name, audience="x").token.count(".") == 2
    assert client.sign_blob(name=name, payload=b"data").signed_blob
    assert client.sign_jwt(name=name, payload="{}").signed_jwt.count(".") == 2
    with pytest.raises(exceptions.NotFound):
        client.sign_blob(name=account_name("nobody"), payload=b"data")
    if protocol == "grpc":
        channel.close()


def test_googles_credentials_refresh_with_a_live_key_and_no_other(
    running: control.InProcessEmulator, cloud: Cloud
) -> None:
    cloud.call("CreateServiceAccount", IAM_ADMIN, name=PROJECT, account_id="rotator")
    made = cloud.call("CreateServiceAccountKey", IAM_ADMIN, name=account_name("rotator"))
    proof = credentials(json.loads(made.private_key_data))
    proof.refresh(Request())
    assert proof.token
    for method, works in (("Disable", False), ("Enable", True), ("Delete", False)):
        cloud.call(f"{method}ServiceAccountKey", IAM_ADMIN, name=made.name)
        if works:
            proof.refresh(Request())
            continue
        with pytest.raises(RefreshError, match=r"invalid_grant: Invalid JWT Signature.") as caught:
            proof.refresh(Request())
        assert not caught.value.retryable


class _Bearer(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]  # grpc ships no types
    """Sends what the credentials sign for themselves, as clients without scopes do."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        self._source._create_self_signed_jwt("https://secretmanager.googleapis.com/")
        self._source.refresh(None)
        metadata = [*(details.metadata or ()), ("authorization", f"Bearer {self._source.token}")]
        return continuation(details._replace(metadata=metadata), request)


def test_a_self_signed_token_of_googles_library_is_checked_like_any_other(guarded: control.InProcessEmulator) -> None:
    guarded.emulator.store.reset()
    boss = owner(guarded.emulator.store, guarded.emulator)
    boss.account()
    name, fields = boss.key()
    boss.bind(PROJECT, "roles/secretmanager.viewer", f"serviceAccount:{email('rotator')}")
    source = service_account.Credentials.from_service_account_info(fields, always_use_jwt_access=True)
    with grpc.insecure_channel(guarded.endpoints.grpc) as channel:
        signed = grpc.intercept_channel(channel, _Bearer(source))
        client: Client = SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=signed))
        assert list(client.list_secrets(parent=PROJECT)) == []
        with pytest.raises(exceptions.PermissionDenied, match=r"Permission 'secretmanager.secrets.create' denied"):
            client.create_secret(parent=PROJECT, secret_id="x", secret={"replication": {"automatic": {}}})
        boss.call("DisableServiceAccountKey", name=name)
        with pytest.raises(exceptions.Unauthenticated):
            list(client.list_secrets(parent=PROJECT))
