"""The tables of RPCs and routes."""

import itertools

import pytest

from orchestra_creds.emulator.protocol.routes import IAM_ADMIN, SECRET_MANAGER, pattern, rpc_coverage, rpcs
from orchestra_creds.emulator.server import control


def test_every_rpc_of_the_clients_is_in_the_table() -> None:
    services = [name.partition("/")[0] for name in rpcs()]
    assert {service: services.count(service) for service in services} == {
        SECRET_MANAGER: 17,
        IAM_ADMIN: 31,
        "google.cloud.location.Locations": 2,
        "google.iam.credentials.v1.IAMCredentials": 4,
        "google.iam.v1.IAMPolicy": 3,
    }


def test_every_rpc_has_its_messages() -> None:
    rpc = rpcs()[f"{SECRET_MANAGER}/AddSecretVersion"]
    assert (
        rpc.request.DESCRIPTOR.full_name,
        rpc.response.DESCRIPTOR.full_name,
    ) == ("google.cloud.secretmanager.v1.AddSecretVersionRequest", "google.cloud.secretmanager.v1.SecretVersion")
    policy = rpcs()[f"{IAM_ADMIN}/GetIamPolicy"]
    assert policy.request.DESCRIPTOR.full_name == "google.iam.v1.GetIamPolicyRequest"


def test_every_rpc_of_the_two_services_has_a_rest_path() -> None:
    without = {name for name, rpc in rpcs().items() if name.startswith((SECRET_MANAGER, IAM_ADMIN)) and not rpc.http}
    assert {f"{IAM_ADMIN}/SignBlob", f"{IAM_ADMIN}/SignJwt"} == without


def test_no_two_rest_paths_are_the_same() -> None:
    bindings = [(rule.verb, pattern(rule.template).pattern, name) for name, rpc in rpcs().items() for rule in rpc.http]
    for one, two in itertools.combinations(bindings, 2):
        assert one[:2] != two[:2], (one, two)


def test_everything_served_is_known_and_everything_known_is_listed() -> None:
    implemented = {name for service in control.SERVICES for name in service.methods}
    assert implemented <= rpcs().keys()
    listed = control.rpc_table()
    assert listed == rpc_coverage(implemented)
    assert len(rpcs()) == len(listed)
    assert implemented == {name for name, is_served in listed if is_served}


@pytest.mark.parametrize(
    ("template", "path", "caught"),
    [
        ("/v1/{name=a/*/b/*}", "/v1/a/1/b/2", {"name": "a/1/b/2"}),
        ("/v1/{name=a/*/b/*}", "/v1/a/1/b/2:verb", None),
        ("/v1/{name=a/*/b/*}", "/v1/a/1/b/", None),
        ("/v1/{name=a/*/b/*}", "/v1/a/1/b/2/c", None),
        ("/v1/{name=a/*/b/*}:verb", "/v1/a/1/b/2:verb", {"name": "a/1/b/2"}),
        ("/v1/{name=a/*/b/*}:verb", "/v1/a/1/b/2:other", None),
        ("/v1/{x.name=a/*}", "/v1/a/1", {"x__name": "a/1"}),
        ("/v1/{name=a/*}/things", "/v1/a/domain.com:p/things", {"name": "a/domain.com:p"}),
        ("/v1/a/{one}/b/{two}", "/v1/a/1/b/2", {"one": "1", "two": "2"}),
        ("/v1/{name=a/**}", "/v1/a/1/2/3", {"name": "a/1/2/3"}),
        ("/v1/a.b", "/v1/aXb", None),
    ],
)
def test_a_template_catches_its_paths(template: str, path: str, caught: dict[str, str] | None) -> None:
    match = pattern(template).fullmatch(path)
    assert caught == (match.groupdict() if match else None)
