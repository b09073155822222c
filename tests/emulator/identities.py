"""What tests of identities and permissions share: accounts, keys, and callers of an embedded cloud that checks them."""

import json
import urllib.parse
from typing import Any

from google.cloud import iam_admin_v1
from google.oauth2 import service_account

from orchestra_creds.emulator.identity import tokens
from orchestra_creds.emulator.protocol.routes import IAM_ADMIN, SECRET_MANAGER, rpcs
from orchestra_creds.emulator.server.dispatch import Emulator
from orchestra_creds.emulator.server.transcode import Gateway, HttpRequest
from orchestra_creds.emulator.store.store import Store

PROJECT = "projects/demo-project"
SCOPE = tokens.CLOUD_PLATFORM
KeyType = iam_admin_v1.ListServiceAccountKeysRequest.KeyType


def email(account_id: str) -> str:
    """The mail address of an account in the test project."""
    return f"{account_id}@demo-project.iam.gserviceaccount.com"


def account_name(account_id: str) -> str:
    """The resource name of an account in the test project."""
    return f"{PROJECT}/serviceAccounts/{email(account_id)}"


class Caller:
    """Somebody who calls an emulator with a bearer token; "" is nobody."""

    def __init__(self, emulator: Emulator, token: str) -> None:
        self.emulator = emulator
        self.token = token

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"} if self.token else {}

    def call(self, method: str, service: str = IAM_ADMIN, /, **fields: Any) -> Any:
        """Call an RPC with the fields of its request."""
        name = f"{service}/{method}"
        return self.emulator.rpc(name, rpcs()[name].request(**fields), self.headers)

    def secret(self, method: str, /, **fields: Any) -> Any:
        """Call an RPC of Secret Manager."""
        return self.call(method, SECRET_MANAGER, **fields)

    def rest(self, verb: str, target: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Send a REST request; returns status and document."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        reply = Gateway(self.emulator).answer(HttpRequest(verb, target, {**self.headers, **headers}, data))
        return reply.status, json.loads(reply.body)

    def form(self, target: str, **fields: str) -> tuple[int, Any]:
        """Send a form."""
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return self.rest("POST", target, urllib.parse.urlencode(fields).encode(), **kind)

    def account(self, account_id: str = "rotator") -> Any:
        """A new service account."""
        return self.call("CreateServiceAccount", name=PROJECT, account_id=account_id)

    def key(self, account_id: str = "rotator") -> tuple[str, dict[str, Any]]:
        """A new key of an account: its name and its file."""
        made = self.call("CreateServiceAccountKey", name=account_name(account_id))
        return made.name, json.loads(made.private_key_data)

    def bind(self, resource: str, role: str, *members: str, condition: str = "") -> None:
        """Add a binding to the policy of a resource."""
        policy = self.call("GetIamPolicy", "google.iam.v1.IAMPolicy", resource=resource)
        binding = policy.bindings.add(role=role, members=members)
        if condition:
            binding.condition.expression = condition
        self.call("SetIamPolicy", "google.iam.v1.IAMPolicy", resource=resource, policy=policy)


def owner(store: Store, emulator: Emulator) -> Caller:
    """Who may do everything."""
    return Caller(emulator, store.owner_token)


def acting_as(emulator: Emulator, account: Any) -> Caller:
    """A caller with a fresh access token of a service account."""
    with emulator.store.transaction() as txn:
        return Caller(emulator, tokens.for_account(txn, account, (SCOPE,))[0])


def federated(emulator: Emulator, principal: str, *also: str) -> Caller:
    """A caller with an access token of anybody who is not a service account."""
    with emulator.store.transaction() as txn:
        expires = (txn.now + tokens.LIFETIME).timestamp()
        txn.put("pool", "x", b'{"state": "ACTIVE"}')
        return Caller(emulator, tokens.issue(txn, tokens.TokenGrant(principal, "x", "", (SCOPE,), expires, also=also)))


def credentials(key_file: dict[str, Any]) -> service_account.Credentials:
    """The official credentials of a key file."""
    found: service_account.Credentials = service_account.Credentials.from_service_account_info(key_file, scopes=[SCOPE])
    return found
