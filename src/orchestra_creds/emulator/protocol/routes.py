"""Which RPCs exist and where REST finds them, derived from the installed client packages.

The RPC table is read off the clients' gRPC transports (a recording channel stands in for the network), the REST
rules off their REST transports. Only google.iam.admin.v1 has no REST transport: its rules stand here as a table.
So a new client release brings its new RPCs by itself; they answer UNIMPLEMENTED until a service serves them.
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import google.iam.v1.iam_policy_pb2 as iam_policy
from google.cloud.iam_admin_v1.services.iam.transports.grpc import IAMGrpcTransport
from google.cloud.iam_credentials_v1.services.iam_credentials.transports.grpc import IAMCredentialsGrpcTransport
from google.cloud.iam_credentials_v1.services.iam_credentials.transports.rest_base import (
    _BaseIAMCredentialsRestTransport as IAMCredentialsRest,
)
from google.cloud.location import locations_pb2
from google.cloud.secretmanager_v1.services.secret_manager_service.transports.grpc import (
    SecretManagerServiceGrpcTransport,
)
from google.cloud.secretmanager_v1.services.secret_manager_service.transports.rest_base import (
    _BaseSecretManagerServiceRestTransport as SecretManagerRest,
)
from google.protobuf import message_factory
from google.protobuf.message import Message

SECRET_MANAGER = "google.cloud.secretmanager.v1.SecretManagerService"  # noqa: S105  # a service's name
IAM_ADMIN = "google.iam.admin.v1.IAM"
IAM_CREDENTIALS = "google.iam.credentials.v1.IAMCredentials"
IAM_POLICY = "google.iam.v1.IAMPolicy"
LOCATIONS = "google.cloud.location.Locations"


@dataclass(frozen=True, slots=True)
class HttpRule:
    """One REST binding of an RPC: verb, path template and which part of the request is the body ("*", a field, "")."""

    verb: str
    template: str
    body: str = ""


@dataclass(frozen=True, slots=True)
class Rpc:
    """One RPC by its full name `package.Service/Method`, with the raw protobuf classes of request and response."""

    name: str
    request: type[Message]
    response: type[Message]
    http: tuple[HttpRule, ...]


@functools.cache
def rpcs() -> Mapping[str, Rpc]:
    """Every RPC that the clients can call, by full name."""
    table = {}
    for transport in (SecretManagerServiceGrpcTransport, IAMGrpcTransport, IAMCredentialsGrpcTransport):
        for path, request, response in _record_stubs(transport):
            name = path.removeprefix("/")
            message = request or _request_class(name.rpartition("/")[2])
            if message is not None:
                table[name] = Rpc(name, message, response, _http_rules(name))
    for method, descriptor in iam_policy.DESCRIPTOR.services_by_name["IAMPolicy"].methods_by_name.items():
        name = f"{IAM_POLICY}/{method}"
        input_class = message_factory.GetMessageClass(descriptor.input_type)
        table[name] = Rpc(name, input_class, message_factory.GetMessageClass(descriptor.output_type), ())
    return table


def rpc_coverage(implemented: Iterable[str]) -> list[tuple[str, bool]]:
    """Every RPC and whether it is among `implemented`, sorted by name: the table of docs/emulator.md."""
    names = frozenset(implemented)
    return [(name, name in names) for name in sorted(rpcs())]


def pattern(template: str) -> re.Pattern[str]:
    """A path template as a regular expression; the variable `secret.name` becomes the group `secret__name`."""
    path, verb = _split_verb(template)
    parts = []
    for piece in re.split(r"({[^}]+})", path):
        if piece.startswith("{"):
            variable, _, shape = piece[1:-1].partition("=")
            parts.append(f"(?P<{variable.replace('.', '__')}>{_shape(shape or '*')})")
        else:
            parts.append(re.escape(piece))
    # The last segment holds no colon, or a custom verb would be taken for part of a name.
    whole = "".join(parts)
    if whole.endswith("[^/]+)"):
        whole = whole.removesuffix("[^/]+)") + "[^/:]+)"
    return re.compile(whole + (":" + re.escape(verb) if verb else ""))


def _split_verb(template: str) -> tuple[str, str]:
    """`/v1/{name=a/*}:access` is the path before the last colon outside braces and the verb after it."""
    match = re.fullmatch(r"(.*):([A-Za-z]+)", template)
    return (match[1], match[2]) if match else (template, "")


def _shape(shape: str) -> str:
    return "/".join(".+" if part == "**" else "[^/]+" if part == "*" else re.escape(part) for part in shape.split("/"))


class _Recorder:
    """A channel that writes down which method paths a transport asks it for."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, type[Message] | None, type[Message]]] = []

    def unary_unary(
        self, path: str, *, request_serializer: Callable[..., Any], response_deserializer: Callable[..., Any]
    ) -> str:
        """What a transport calls to make a stub; the name is fixed by grpc.Channel."""
        request = getattr(request_serializer, "__self__", None)
        response = getattr(response_deserializer, "__self__", None)
        self.seen.append((path, raw(request) if request is not None else None, raw(response)))
        return path


def _record_stubs(transport: type[Any]) -> list[tuple[str, type[Message] | None, type[Message]]]:
    """Path, request class (None when only the method's name tells) and response class of every stub."""
    recorder = _Recorder()
    bare = object.__new__(transport)
    bare._stubs = {}
    bare._grpc_channel = bare._logged_channel = recorder
    for name, value in vars(transport).items():
        if isinstance(value, property) and name not in {"grpc_channel", "host", "kind"}:
            getattr(bare, name)
    return recorder.seen


def raw(cls: Any) -> type[Message]:
    """The protobuf class behind a proto-plus class, or the class itself."""
    raw: type[Message] = cls._meta.pb if hasattr(cls, "_meta") else cls
    return raw


def _request_class(method: str) -> type[Message] | None:
    """The request class of a mixin's method, whose serializer does not tell."""
    for module in (iam_policy, locations_pb2):
        found: type[Message] | None = getattr(module, f"{method}Request", None)
        if found is not None:
            return found
    return None


def _http_rules(name: str) -> tuple[HttpRule, ...]:
    service, _, method = name.partition("/")
    if service == IAM_ADMIN:
        return _IAM_RULES.get(method, ())
    base = IAMCredentialsRest if service == IAM_CREDENTIALS else SecretManagerRest
    options = getattr(base, f"_Base{method}")._get_http_options()  # noqa: SLF001  # where the rules stand
    return tuple(HttpRule(option["method"].upper(), option["uri"], option.get("body", "")) for option in options)


_ACCOUNT = "/v1/{name=projects/*/serviceAccounts/*}"
_KEY = "/v1/{name=projects/*/serviceAccounts/*/keys/*}"
_POLICY = "/v1/{resource=projects/*/serviceAccounts/*}"


def _on(verb: str, *templates: str, body: str = "") -> tuple[HttpRule, ...]:
    return tuple(HttpRule(verb, template, body) for template in templates)


def _roles(verb: str, suffix: str = "", body: str = "") -> tuple[HttpRule, ...]:
    return _on(
        verb, f"/v1/{{name=organizations/*/roles/*}}{suffix}", f"/v1/{{name=projects/*/roles/*}}{suffix}", body=body
    )


_IAM_RULES: Mapping[str, tuple[HttpRule, ...]] = {
    "ListServiceAccounts": _on("GET", "/v1/{name=projects/*}/serviceAccounts"),
    "GetServiceAccount": _on("GET", _ACCOUNT),
    "CreateServiceAccount": _on("POST", "/v1/{name=projects/*}/serviceAccounts", body="*"),
    "UpdateServiceAccount": _on("PUT", _ACCOUNT, body="*"),
    "PatchServiceAccount": _on("PATCH", "/v1/{service_account.name=projects/*/serviceAccounts/*}", body="*"),
    "DeleteServiceAccount": _on("DELETE", _ACCOUNT),
    "UndeleteServiceAccount": _on("POST", f"{_ACCOUNT}:undelete", body="*"),
    "EnableServiceAccount": _on("POST", f"{_ACCOUNT}:enable", body="*"),
    "DisableServiceAccount": _on("POST", f"{_ACCOUNT}:disable", body="*"),
    "ListServiceAccountKeys": _on("GET", f"{_ACCOUNT}/keys"),
    "GetServiceAccountKey": _on("GET", _KEY),
    "CreateServiceAccountKey": _on("POST", f"{_ACCOUNT}/keys", body="*"),
    "UploadServiceAccountKey": _on("POST", f"{_ACCOUNT}/keys:upload", body="*"),
    "DeleteServiceAccountKey": _on("DELETE", _KEY),
    "DisableServiceAccountKey": _on("POST", f"{_KEY}:disable", body="*"),
    "EnableServiceAccountKey": _on("POST", f"{_KEY}:enable", body="*"),
    # The same paths belong to IAMCredentials, which replaced these two; on one port its version is the one served.
    "SignBlob": (),
    "SignJwt": (),
    "GetIamPolicy": _on("POST", f"{_POLICY}:getIamPolicy"),
    "SetIamPolicy": _on("POST", f"{_POLICY}:setIamPolicy", body="*"),
    "TestIamPermissions": _on("POST", f"{_POLICY}:testIamPermissions", body="*"),
    "QueryGrantableRoles": _on("POST", "/v1/roles:queryGrantableRoles", body="*"),
    "ListRoles": _on("GET", "/v1/roles", "/v1/{parent=organizations/*}/roles", "/v1/{parent=projects/*}/roles"),
    "GetRole": (*_on("GET", "/v1/{name=roles/*}"), *_roles("GET")),
    "CreateRole": _on("POST", "/v1/{parent=organizations/*}/roles", "/v1/{parent=projects/*}/roles", body="*"),
    "UpdateRole": _roles("PATCH", body="role"),
    "DeleteRole": _roles("DELETE"),
    "UndeleteRole": _roles("POST", ":undelete", body="*"),
    "QueryTestablePermissions": _on("POST", "/v1/permissions:queryTestablePermissions", body="*"),
    "QueryAuditableServices": _on("POST", "/v1/iamPolicies:queryAuditableServices", body="*"),
    "LintPolicy": _on("POST", "/v1/iamPolicies:lintPolicy", body="*"),
}
