"""The official clients, unmodified, on every RPC of Secret Manager: gRPC, REST and asyncio."""

import asyncio
from typing import Any

import google_crc32c
import grpc
import pytest
from google.api_core import exceptions
from google.api_core.retry import Retry, if_exception_type
from google.cloud.secretmanager_v1 import SecretManagerServiceAsyncClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports.grpc_asyncio import (
    SecretManagerServiceGrpcAsyncIOTransport,
)
from google.cloud.secretmanager_v1.types import Secret, SecretVersion
from google.rpc import error_details_pb2

from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.emulator.protocol.faults import Fault, FaultPhase
from orchestra_creds.emulator.protocol.routes import SECRET_MANAGER, rpcs
from orchestra_creds.emulator.secret_manager.secrets import SERVICE
from orchestra_creds.emulator.server import control
from tests.emulator.conftest import AUTOMATIC, PROJECT, Cloud

Client = Any
"""A client as its users write it, with dictionaries for messages."""

DATA = b"\x00not text\xff"
MASK = {"paths": ["version_aliases"]}


@pytest.fixture(params=["grpc_client", "rest_client"])
def client(request: pytest.FixtureRequest, cloud: Cloud) -> Client:
    return request.getfixturevalue(request.param)


def test_a_secret_lives_its_life(client: Client) -> None:
    made = client.create_secret(parent=PROJECT, secret_id="db", secret={**AUTOMATIC, "labels": {"env": "prod"}})
    with pytest.raises(exceptions.Conflict):
        client.create_secret(parent=PROJECT, secret_id="db", secret=AUTOMATIC)
    payload = {"data": DATA, "data_crc32c": google_crc32c.value(DATA)}
    version = client.add_secret_version(parent=made.name, payload=payload)
    assert (f"{made.name}/versions/1", True) == (version.name, version.client_specified_payload_checksum)
    aliased = client.update_secret(secret={"name": made.name, "version_aliases": {"current": 1}}, update_mask=MASK)
    assert dict(aliased.version_aliases) == {"current": 1}
    for named in ("1", "current", "latest"):
        reply = client.access_secret_version(name=f"{made.name}/versions/{named}")
        assert (version.name, DATA) == (reply.name, reply.payload.data)
        assert google_crc32c.value(DATA) == reply.payload.data_crc32c
    assert aliased.etag == client.get_secret(name=made.name).etag
    assert version == client.get_secret_version(name=f"{made.name}/versions/current")
    assert [aliased] == list(client.list_secrets(request={"parent": PROJECT, "filter": "labels.env=prod"}))
    assert [version] == list(client.list_secret_versions(parent=made.name))
    disabled = client.disable_secret_version(request={"name": version.name, "etag": version.etag})
    assert disabled.state == SecretVersion.State.DISABLED
    assert client.enable_secret_version(name=version.name).state == SecretVersion.State.ENABLED
    assert client.destroy_secret_version(name=version.name).state == SecretVersion.State.DESTROYED
    client.delete_secret(request={"name": made.name, "etag": aliased.etag})
    with pytest.raises(exceptions.NotFound, match="not found"):
        client.get_secret(name=made.name)


def test_a_regional_secret_lives_its_life(client: Client) -> None:
    parent = f"{PROJECT}/locations/europe-west3"
    made = client.create_secret(parent=parent, secret_id="db", secret={})
    client.add_secret_version(parent=made.name, payload={"data": DATA})
    assert client.access_secret_version(name=f"{made.name}/versions/latest").payload.data == DATA
    assert client.destroy_secret_version(name=f"{made.name}/versions/1").state == SecretVersion.State.DESTROYED
    assert [made.name] == [secret.name for secret in client.list_secrets(parent=parent)]
    client.delete_secret(name=made.name)


def test_policies_and_locations_are_served(client: Client, cloud: Cloud) -> None:
    name = cloud.secret("db")
    policy = client.get_iam_policy(request={"resource": name, "options": {"requested_policy_version": 3}})
    policy.bindings.add(role="roles/secretmanager.secretAccessor", members=["user:a@example.com"])
    stored = client.set_iam_policy(request={"resource": name, "policy": policy})
    assert stored == client.get_iam_policy(request={"resource": name})
    with pytest.raises(exceptions.Conflict):  # gRPC: Aborted, which is a Conflict
        client.set_iam_policy(request={"resource": name, "policy": policy})
    asked = ["secretmanager.versions.access", "secretmanager.versions.add"]
    assert asked == list(client.test_iam_permissions(request={"resource": name, "permissions": asked}).permissions)
    assert len(client.list_locations({"name": PROJECT}).locations) == 40
    assert client.get_location({"name": f"{PROJECT}/locations/us-east1"}).location_id == "us-east1"


def test_pages_follow_each_other(client: Client, cloud: Cloud) -> None:
    name = cloud.secret("db", *[b"x"] * 11)
    pager = client.list_secret_versions(request={"parent": name, "page_size": 4})
    pages = list(pager.pages)
    assert [len(page.versions) for page in pages] == [4, 4, 3]
    assert [page.total_size for page in pages] == [11] * 3
    assert [str(n) for n in range(11, 0, -1)] == [v.name.rpartition("/")[2] for page in pages for v in page.versions]


def test_a_refusal_keeps_its_message(client: Client, cloud: Cloud) -> None:
    name = cloud.secret("db", b"x")
    cloud.call("DisableSecretVersion", name=f"{name}/versions/1")
    with pytest.raises(exceptions.GoogleAPICallError, match=r"Secret Version \[.*\] is in DISABLED state"):
        client.access_secret_version(name=f"{name}/versions/1")
    with pytest.raises(exceptions.GoogleAPICallError, match="65536"):
        client.add_secret_version(parent=name, payload={"data": b"x" * 65_537})
    wrong = {"data": b"x", "data_crc32c": google_crc32c.value(b"x") ^ 1}
    with pytest.raises(exceptions.GoogleAPICallError, match="CRC32C"):
        client.add_secret_version(parent=name, payload=wrong)


def test_what_is_not_served_answers_unimplemented_by_name(client: Client) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match="SecretManagerService/RotateSecret"):
        client.rotate_secret(request={"parent": f"{PROJECT}/secrets/db"})
    with pytest.raises(exceptions.MethodNotImplemented, match="SecretManagerService/EnableManagedRotation"):
        client.enable_managed_rotation(request={"parent": f"{PROJECT}/secrets/db"})


def test_every_method_of_the_client_is_served_or_named(grpc_client: Client) -> None:
    named = {"RotateSecret", "EnableManagedRotation"}
    listed = {name.partition("/")[2] for name in rpcs() if name.startswith(SECRET_MANAGER)}
    served = {name.partition("/")[2] for name in SERVICE.methods if name.startswith(SECRET_MANAGER)}
    assert named == listed - served


def test_grpc_keeps_codes_and_details(grpc_client: Client, cloud: Cloud) -> None:
    name = cloud.secret("db", b"x")
    with pytest.raises(exceptions.FailedPrecondition) as caught:
        grpc_client.delete_secret(request={"name": name, "etag": '"stale"'})
    failure = error_details_pb2.PreconditionFailure.Violation(type="ETAG", description=caught.value.message)
    assert [failure] == list(caught.value.details[0].violations)
    with pytest.raises(exceptions.AlreadyExists):
        grpc_client.create_secret(parent=PROJECT, secret_id="db", secret=AUTOMATIC)
    with pytest.raises(exceptions.InvalidArgument):
        grpc_client.get_secret(name="nonsense")


def test_a_lost_reply_of_an_add_leaves_one_version_more(grpc_client: Client, cloud: Cloud) -> None:
    name = cloud.secret("db")
    cloud.arm(Fault("*/AddSecretVersion", Code.UNAVAILABLE, FaultPhase.AFTER))
    with pytest.raises(exceptions.ServiceUnavailable):
        grpc_client.add_secret_version(parent=name, payload={"data": b"x"})
    assert grpc_client.list_secret_versions(parent=name).total_size == 1


def test_the_client_retries_an_access_by_itself(grpc_client: Client, cloud: Cloud) -> None:
    name = cloud.secret("db", b"x")
    cloud.arm(Fault("*/AccessSecretVersion", Code.UNAVAILABLE, times=1))
    retry = Retry(if_exception_type(exceptions.ServiceUnavailable), initial=0.001, maximum=0.002, timeout=5)
    reply = grpc_client.access_secret_version(name=f"{name}/versions/1", retry=retry)
    assert reply.payload.data == b"x"


def test_the_asyncio_client_lives_through_everything(running: control.InProcessEmulator, cloud: Cloud) -> None:
    async def life() -> None:
        async with grpc.aio.insecure_channel(running.endpoints.grpc) as channel:
            transport = SecretManagerServiceGrpcAsyncIOTransport(channel=channel)
            client: Any = SecretManagerServiceAsyncClient(transport=transport)
            made: Secret = await client.create_secret(parent=PROJECT, secret_id="db", secret=AUTOMATIC)
            added = await asyncio.gather(
                *(client.add_secret_version(parent=made.name, payload={"data": b"%d" % n}) for n in range(50))
            )
            assert {f"{made.name}/versions/{n}" for n in range(1, 51)} == {version.name for version in added}
            await client.update_secret(secret={"name": made.name, "version_aliases": {"current": 7}}, update_mask=MASK)
            reply = await client.access_secret_version(name=f"{made.name}/versions/current")
            assert f"{made.name}/versions/7" == reply.name
            assert len([version async for version in await client.list_secret_versions(parent=made.name)]) == 50
            assert len([secret async for secret in await client.list_secrets(parent=PROJECT)]) == 1
            name = f"{made.name}/versions/1"
            assert (await client.disable_secret_version(name=name)).state == SecretVersion.State.DISABLED
            assert (await client.enable_secret_version(name=name)).state == SecretVersion.State.ENABLED
            assert (await client.destroy_secret_version(name=name)).state == SecretVersion.State.DESTROYED
            assert name == (await client.get_secret_version(name=name)).name
            policy = await client.get_iam_policy(request={"resource": made.name})
            await client.set_iam_policy(request={"resource": made.name, "policy": policy})
            asked = {"resource": made.name, "permissions": ["secretmanager.secrets.get"]}
            assert len((await client.test_iam_permissions(request=asked)).permissions) == 1
            assert len((await client.list_locations({"name": PROJECT})).locations) == 40
            assert (await client.get_location({"name": f"{PROJECT}/locations/us-east1"})).location_id == "us-east1"
            assert made.name == (await client.get_secret(name=made.name)).name
            await client.delete_secret(name=made.name)
            with pytest.raises(exceptions.NotFound):
                await client.get_secret(name=made.name)
            with pytest.raises(exceptions.MethodNotImplemented):
                await client.rotate_secret(request={"parent": made.name})

    asyncio.run(life())
