"""REST requests as real clients send them, and as they should not."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_creds.emulator.protocol.errors import Code, EmuError
from orchestra_creds.emulator.protocol.service import Caller, RestCall, RestReply, Route, Service
from orchestra_creds.emulator.server import control
from orchestra_creds.emulator.server.dispatch import Emulator
from orchestra_creds.emulator.server.transcode import Gateway, HttpRequest
from orchestra_creds.emulator.store.store import Txn
from tests.emulator.conftest import PROJECT, Cloud

SECRETS = f"/v1/{PROJECT}/secrets"


def echo(call: RestCall, caller: Caller, _txn: Txn) -> dict[str, Any]:
    return {"path": dict(call.path), "query": dict(call.query), "body": call.body, "form": dict(call.form)}


def tea(_call: RestCall, _caller: Caller, _txn: Txn) -> RestReply:
    return RestReply(418, b"short and stout", "text/plain", Code.FAILED_PRECONDITION)


def oauth(_call: RestCall, _caller: Caller, _txn: Txn) -> RestReply:
    return RestReply(400, {"error": "invalid_grant"}, code=Code.UNAUTHENTICATED)


ROUTES = Service(
    routes=(
        Route("POST", "/v1/projects/{project}/things/{thing}:poke", "test.Things/Poke", echo, mutates=True),
        Route("GET", "/v1/{name=projects/*/things/**}", "test.Things/Get", echo),
        Route("GET", "/tea", "test.Tea/Get", tea, public=True),
        Route("POST", "/test-token", "test.Token/Get", oauth, public=True),
    )
)


class Rest:
    """A gateway that answers (status, document)."""

    def __init__(self, emulator: Emulator) -> None:
        self._gateway = Gateway(emulator)

    def __call__(self, verb: str, target: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        reply = self._gateway.answer(HttpRequest(verb, target, headers, data))
        return reply.status, json.loads(reply.body) if "json" in reply.content_type else reply.body


@pytest.fixture
def rest(cloud: Cloud) -> Rest:
    return Rest(Emulator(cloud.store, [*control.SERVICES, ROUTES]))


def test_a_secret_is_created_by_query_and_body(rest: Rest) -> None:
    status, made = rest("POST", f"{SECRETS}?secretId=db&alt=json", {"replication": {"automatic": {}}})
    assert status == 200
    assert re.fullmatch(r"projects/[0-9]{12}/secrets/db", made["name"])
    assert {"name", "createTime", "etag", "replication"} == made.keys()


@pytest.mark.parametrize("mask", ["version_aliases", "versionAliases"])
def test_a_field_mask_may_be_written_either_way(rest: Rest, cloud: Cloud, mask: str) -> None:
    name = cloud.secret("db", b"x")
    status, updated = rest("PATCH", f"/v1/{name}?updateMask={mask}", {"versionAliases": {"current": "1"}})
    assert (status, updated["versionAliases"]) == (200, {"current": "1"})


def test_a_mask_in_a_body_may_be_written_either_way(rest: Rest, cloud: Cloud) -> None:
    name = cloud.secret()
    body = {"policy": {"auditConfigs": [{"service": "allServices"}]}, "updateMask": "bindings,audit_configs"}
    status, policy = rest("POST", f"/v1/{name}:setIamPolicy", body)
    assert (status, policy["auditConfigs"]) == (200, [{"service": "allServices"}])


def test_enums_are_words_unless_integers_are_asked_for(rest: Rest, cloud: Cloud) -> None:
    name = cloud.secret("db", b"x")
    assert rest("GET", f"/v1/{name}/versions/1")[1]["state"] == "ENABLED"
    assert rest("GET", f"/v1/{name}/versions/1?$alt=json;enum-encoding=int")[1]["state"] == 1


def test_nested_query_parameters_find_their_field(rest: Rest, cloud: Cloud) -> None:
    name = cloud.secret()
    assert rest("GET", f"/v1/{name}:getIamPolicy?options.requestedPolicyVersion=3")[0] == 200


def test_percent_encoded_names_are_decoded(rest: Rest, cloud: Cloud) -> None:
    cloud.secret("db")
    assert rest("GET", "/v1/projects%2Fdemo-project/secrets/db")[0] == 200


@pytest.mark.parametrize(
    ("verb", "target", "body", "message"),
    [
        ("POST", f"{SECRETS}?secretId=db", b"{", "Unable to parse"),
        ("POST", f"{SECRETS}?secretId=db", b"\xff\xfe", "Unable to parse"),
        ("POST", f"{SECRETS}?secretId=db", b"[" * 100_000, "Unable to parse"),
        ("POST", f"{SECRETS}?secretId=db", ["list"], "Invalid JSON payload"),
        ("POST", f"{SECRETS}?secretId=db", {"colour": "red"}, 'Unknown name "colour"'),
        ("POST", f"{SECRETS}?secretId=db", {"labels": "red"}, "Invalid JSON payload"),
        (
            "POST",
            f"{SECRETS}?secretId=db",
            {"rotation": {"colour": "red"}},
            'Unknown name "colour": Cannot find field.',
        ),
        ("POST", f"{SECRETS}?secretId=db", {"rotation": "colour"}, 'Invalid value at "secret".'),
        ("POST", f"{SECRETS}?secretId=db", {"topics": [{"name": "t"}, 5, {"colour": 1}]}, 'Invalid value at "secret".'),
        ("POST", f"{SECRETS}?secretId=db", {"topics": {"colour": 1}}, 'Invalid value at "secret".'),
        ("POST", f"{SECRETS}?secretId=db", {"ttl": {"colour": 1}}, 'Invalid value at "secret".'),
        ("POST", f"{SECRETS}?secretId=db", {"ttl": "never", "colour": "red"}, 'Invalid value at "secret".'),
        ("POST", f"{SECRETS}?secretId=db", {"a b": 1}, 'Invalid value at "secret".'),
        ("POST", f"{SECRETS}/db:addVersion", {"a b": 1}, "A value has the wrong type."),
        ("POST", f"{SECRETS}/db:addVersion", {"payload": ["colour"]}, 'Invalid value at "payload".'),
        ("POST", f"{SECRETS}?secret_colour=red", {}, 'Unknown name "secret_colour"'),
        ("POST", f"{SECRETS}?secretId.x=red", {}, "Cannot bind"),
        ("POST", f"{SECRETS}/db:addVersion", ["list"], "Expected an object"),
        ("POST", f"{SECRETS}/db:addVersion", {"payload": {"data": "%%%"}}, "Base64 decoding failed"),
        ("GET", f"{SECRETS}?pageSize=many", None, "Invalid JSON payload"),
    ],
)
def test_what_cannot_be_understood_is_400_and_says_why(
    rest: Rest, verb: str, target: str, body: Any, message: str
) -> None:
    status, document = rest(verb, target, body)
    assert (status, document["error"]["code"], document["error"]["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert message in document["error"]["message"]


def test_a_parse_error_never_quotes_the_payload(rest: Rest) -> None:
    canary = "canary" * 5
    for payload in ({"data": canary + "%"}, {"data": 5, canary: 1}, {"dataCrc32c": canary}, canary):
        _status, document = rest("POST", f"{SECRETS}/db:addVersion", {"payload": payload})
        if canary not in payload or isinstance(payload, str):
            assert canary not in json.dumps(document)


def test_an_unknown_path_is_404_and_named(rest: Rest) -> None:
    status, document = rest("GET", "/v1/nowhere?x=1")
    assert (status, document["error"]["message"]) == (404, "GET /v1/nowhere is not a method of the embedded cloud.")
    assert rest("DELETE", SECRETS)[0] == 404


def test_an_rpc_that_is_not_served_is_501_and_named(rest: Rest) -> None:
    status, document = rest("POST", f"{SECRETS}/db:rotateSecret", {})
    assert (status, document["error"]["status"]) == (501, "UNIMPLEMENTED")
    assert "RotateSecret" in document["error"]["message"]


def test_refusals_carry_their_details(rest: Rest, cloud: Cloud) -> None:
    name = cloud.secret()
    status, document = rest("DELETE", f"/v1/{name}?etag=%22stale%22")
    assert (status, document["error"]["status"]) == (400, "FAILED_PRECONDITION")
    assert document["error"]["details"][0]["@type"] == "type.googleapis.com/google.rpc.PreconditionFailure"


def test_own_routes_get_path_query_body_and_form(rest: Rest) -> None:
    assert rest("POST", "/v1/projects/p/things/t:poke?a=b", {"c": 1}) == (
        200,
        {"path": {"project": "p", "thing": "t"}, "query": {"a": "b"}, "body": {"c": 1}, "form": {}},
    )
    assert rest("GET", "/v1/projects/p/things/a/b")[1]["path"] == {"name": "projects/p/things/a/b"}
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert rest("POST", "/v1/projects/p/things/t:poke", b"grant=x+y", **form)[1]["form"] == {"grant": "x y"}
    assert rest("POST", "/v1/projects/p/things/t:poke", b"\xff=\xff", **form)[0] == 400


def test_own_routes_answer_in_their_own_shape(rest: Rest, cloud: Cloud) -> None:
    assert rest("GET", "/tea") == (418, b"short and stout")
    assert rest("POST", "/test-token") == (400, {"error": "invalid_grant"})
    with cloud.store.transaction() as txn:
        kept = [(entry.method, entry.status, entry.caller) for entry in txn.audit()]
    assert kept == [
        ("test.Tea/Get", "FAILED_PRECONDITION", "anonymous"),
        ("test.Token/Get", "UNAUTHENTICATED", "anonymous"),
    ]


def test_a_caller_is_identified_before_and_permitted_to_call(cloud: Cloud) -> None:
    def nobody(headers: Any, _txn: Txn) -> Caller:
        if headers.get("authorization") != "Bearer good":
            raise EmuError(Code.UNAUTHENTICATED, "No.")
        return Caller("user:a@example.com")

    def nothing(_caller: Caller, needs: Any, _txn: Txn) -> None:
        if needs:
            raise EmuError(Code.PERMISSION_DENIED, f"{needs[0].permission} on {needs[0].resource}")

    rest = Rest(Emulator(cloud.store, [*control.SERVICES, ROUTES], identify=nobody, authorize=nothing))
    assert rest("GET", SECRETS)[0] == 401
    assert rest("GET", "/tea") == (418, b"short and stout")
    status, document = rest("GET", SECRETS, authorization="Bearer good")
    assert (403, f"secretmanager.secrets.list on {PROJECT}") == (status, document["error"]["message"])


@settings(max_examples=100)
@given(
    st.sampled_from(["GET", "POST", "PATCH", "DELETE"]),
    st.text(alphabet="/v1projects{}secretsversions:access?&=%2F$.*", max_size=60),
    st.binary(max_size=30),
)
def test_any_request_has_an_answer(running: control.InProcessEmulator, verb: str, tail: str, body: bytes) -> None:
    reply = Gateway(running.emulator).answer(HttpRequest(verb, "/v1/projects/p/" + tail, {}, body))
    assert isinstance(json.loads(reply.body), dict)
