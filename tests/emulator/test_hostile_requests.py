"""Whatever a program sends to a REST-only call or a token endpoint, it gets an answer in the right shape."""

import json
import re
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestra_creds.emulator.protocol.service import Route
from orchestra_creds.emulator.server import control
from orchestra_creds.emulator.server.transcode import Gateway, HttpRequest
from tests.emulator.identities import PROJECT, Caller

ROUTES = [route for service in control.SERVICES for route in service.routes]
WORDS = st.sampled_from(
    ["displayName", "disabled", "attributeMapping", "attributeCondition", "oidc", "aws", "saml", "issuerUri", "jwksJson",
     "allowedAudiences", "accountId", "google.subject", "assertion.sub", "https://x.example.com", "123456789012", "spec",
     "rules", "enforce", "values", "allowedValues", "name", "policy", "bindings", "role", "members", "etag", "etag",
     "restrictions", "serviceIds", "permissions", "options", "requestedPolicyVersion", "condition", "expression",
     "grant_type", "subject_token", "audience", "assertion", "token", '{"keys": [{"kty": "RSA", "n": 5}]}']
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | WORDS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=12,
)
QUERY = st.dictionaries(
    st.sampled_from(["updateMask", "pageSize", "pageToken", "filter", "showDeleted", "keyId", "workloadIdentityPoolId",
                     "workloadIdentityPoolProviderId", "keyTypes", "publicKeyType", "keyString", "etag", "names"]),
    st.sampled_from(["oidc.issuerUri", "displayName", "oidc", "-1", "5", "x", "", "builds", "state:ENABLED", "a,b", "true"]),
    max_size=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def furnished(running: control.InProcessEmulator) -> Gateway:
    """A cloud where the paths below lead somewhere."""
    running.emulator.store.reset()
    boss = Caller(running.emulator, "")
    boss.account()
    pools = f"/v1/{PROJECT}/locations/global/workloadIdentityPools"
    boss.rest("POST", f"{pools}?workloadIdentityPoolId=builds", {})
    oidc = {"oidc": {"issuerUri": "https://x.example.com"}, "attributeMapping": {"google.subject": "assertion.sub"}}
    boss.rest("POST", f"{pools}/builds/providers?workloadIdentityPoolProviderId=forge", oidc)
    boss.rest("POST", f"/v2/{PROJECT}/locations/global/keys?keyId=maps", {})
    return Gateway(running.emulator)


def _path(route: Route) -> str:
    known = {"project": "demo-project", "pool": "builds", "provider": "forge", "key": "maps", "account": "rotator"}
    return re.sub(
        r"\{([a-z]+)(?:=([^}]+))?\}",
        lambda found: (found[2] or "*").replace("*", known.get(found[1], "iam.disableServiceAccountKeyCreation")),
        route.template,
    )


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(ROUTES), QUERY, JSON, st.booleans())
def test_any_body_and_query_have_an_answer(
    furnished: Gateway, route: Route, query: dict[str, str], body: Any, form: bool
) -> None:
    target = f"{quote(_path(route), safe='/:.')}?{urlencode(query)}"
    if form and isinstance(body, dict):
        headers = {"content-type": "application/x-www-form-urlencoded"}
        data = urlencode({key: str(value) for key, value in body.items()}).encode()
    else:
        headers, data = {}, json.dumps(body).encode()
    reply = furnished.answer(HttpRequest(route.http, target, headers, data))
    assert reply.status < 500
    assert isinstance(json.loads(reply.body), dict)


_POOLS = f"/v1/{PROJECT}/locations/global/workloadIdentityPools"
_FORGE = f"{_POOLS}/builds/providers/forge?updateMask="
_ISSUER = {"issuerUri": "https://x.example.com"}
_HOURS = f"{PROJECT}/policies/iam.serviceAccountKeyExpiryHours"


@pytest.mark.parametrize(
    ("verb", "target", "body"),
    [
        ("PATCH", f"{_FORGE}attributeMapping", {"attributeMapping": ["google.subject"]}),
        ("PATCH", f"{_FORGE}attributeMapping", {"attributeMapping": {"google.subject": 5}}),
        ("PATCH", f"{_FORGE}attributeCondition", {"attributeCondition": [1]}),
        ("PATCH", f"{_FORGE}oidc", {"oidc": {**_ISSUER, "jwksJson": 5}}),
        ("PATCH", f"{_FORGE}oidc", {"oidc": {**_ISSUER, "jwksJson": "[1]"}}),
        ("PATCH", f"{_FORGE}oidc", {"oidc": {**_ISSUER, "allowedAudiences": [[1]]}}),
        ("PATCH", f"{_FORGE}oidc", {"oidc": None}),
        ("PATCH", f"{_FORGE}oidc.issuer_uri.x", {"oidc": _ISSUER}),
        ("PATCH", f"{_FORGE}displayName", {"displayName": {"a": 1}}),
        ("PATCH", f"{_POOLS}/builds?updateMask=disabled", {"disabled": "yes"}),
        ("POST", f"/v2/{PROJECT}/policies", {"name": 5, "spec": {"rules": []}}),
        ("POST", f"/v2/{PROJECT}/policies", {"name": f"{PROJECT}/policies/\ud800", "spec": {"rules": []}}),
        ("POST", f"/v2/{PROJECT}/policies", {"name": _HOURS, "spec": {"rules": [{"values": 5}]}}),
        ("POST", f"/v2/{PROJECT}/policies", {"name": _HOURS, "spec": {"rules": [{"values": {"allowedValues": 5}}]}}),
        ("POST", f"/v2/{PROJECT}/policies", {"name": _HOURS, "spec": {"rules": [{"enforce": "yes"}]}}),
        ("POST", f"/v2/{PROJECT}/locations/global/keys", {"displayName": [1]}),
        ("POST", f"/v2/{PROJECT}/locations/global/keys?keyId=a%2Fb", {}),
        ("POST", f"/v1/{PROJECT}/services:batchEnable", {"serviceIds": "abc"}),
        ("POST", "/v1/token", {"subjectToken": {"a": 1}, "audience": [1]}),
        ("POST", "/token", {"assertion": [1], "grant_type": "\ud800"}),
    ],
)
def test_fields_of_the_wrong_type_are_refused(furnished: Gateway, verb: str, target: str, body: Any) -> None:
    reply = furnished.answer(HttpRequest(verb, target, {}, json.dumps(body).encode()))
    assert reply.status == 400
    assert json.loads(reply.body)["error"]


@pytest.mark.parametrize(
    "header", ["", "Basic x", "Bearer", "Bearer ", "Bearer é", "Bearer \udcff", "Bearer " + "a." * 5000, "Bearer a.b.c"]
)
def test_any_authorization_header_has_an_answer(guarded: control.InProcessEmulator, header: str) -> None:
    gateway = Gateway(guarded.emulator)
    for path in (f"/v1/{PROJECT}/secrets", "/userinfo"):
        assert gateway.answer(HttpRequest("GET", path, {"authorization": header})).status == 401
    assert gateway.answer(HttpRequest("GET", "/tokeninfo", {"authorization": header})).status == 400
