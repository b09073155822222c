"""The Security Token Service: an ID token of an outside issuer becomes an access token of a federated identity.

The token must be signed by a key of the provider's inline JWK set (there is no network to fetch one from), be meant
for the provider, be in its time, and satisfy the mapping and the condition. Everything else is refused as OAuth does.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from orchestra_creds.emulator.cel import language as cel
from orchestra_creds.emulator.cel.values import CelError
from orchestra_creds.emulator.identity import federation, jwt, oauth, tokens
from orchestra_creds.emulator.protocol import rest
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.emulator.protocol.service import Caller, RestCall, RestReply, Route, Service
from orchestra_creds.emulator.store import project_numbers
from orchestra_creds.emulator.store.store import Txn

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  # a type of token
ID_TOKENS = frozenset({"urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"})
LONGEST_TOKEN = 24 * 3600
"""Seconds that an outside token may be valid for (cloud.google.com/iam/docs/workload-identity-federation)."""
LONGEST_SUBJECT = 127
"""Bytes of google.subject."""

_AUDIENCE = re.compile(
    r"(?:https:)?//iam\.googleapis\.com/"
    r"(projects/(?P<project>[^/]+)/locations/global/workloadIdentityPools/(?P<pool>[^/]+)/providers/(?P<provider>[^/]+))"
)
_INVALID_TARGET = (
    'The target service indicated by the "audience" parameters is invalid. This might either be because the pool or '
    "provider is disabled or deleted or because it doesn't exist."
)


class _StsError(Exception):
    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        code = Code.PERMISSION_DENIED if error == "unauthorized_client" else Code.INVALID_ARGUMENT
        self.reply = RestReply(400, {"error": error, "error_description": description}, code=code)


def _exchange(call: RestCall, _caller: Caller, txn: Txn) -> RestReply:
    try:
        return RestReply(200, _exchange_token(_fields(call), txn))
    except _StsError as error:
        return error.reply


def _exchange_token(fields: Mapping[str, str], txn: Txn) -> dict[str, Any]:
    if fields.get("grant_type") != GRANT_TYPE:
        raise _StsError("unsupported_grant_type", "Invalid grant type.")
    if fields.get("requested_token_type") != ACCESS_TOKEN:
        raise _StsError("invalid_request", "Invalid requested token type.")
    scopes = tuple(fields.get("scope", "").split())
    if not scopes:
        raise _StsError("invalid_scope", "Invalid scope: at least one is needed.")
    provider, number = _provider(fields.get("audience", ""), txn)
    if fields.get("subject_token_type") not in ID_TOKENS or "oidc" not in provider:
        raise _StsError("invalid_request", "The embedded cloud exchanges OpenID Connect tokens only.")
    claims = _claims(fields.get("subject_token", ""), provider, number, txn)
    google, attributes = _map_claims(provider, claims)
    if not _is_admitted(provider, claims, google, attributes):
        raise _StsError("unauthorized_client", "The given credential is rejected by the attribute condition.")
    pool = provider["name"].partition("/providers/")[0]
    grant = _grant(txn, pool, number, google, attributes, scopes)
    return {
        "access_token": tokens.issue(txn, grant),
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": int(tokens.LIFETIME.total_seconds()),
    }


def _grant(
    txn: Txn, pool: str, number: str, google: rest.Document, attributes: Mapping[str, str], scopes: tuple[str, ...]
) -> tokens.TokenGrant:
    place = f"//iam.googleapis.com/projects/{number}/locations/global/workloadIdentityPools/{pool.rpartition('/')[2]}"
    sets = [f"principalSet:{place}/*"]
    sets += [f"principalSet:{place}/group/{group}" for group in google["groups"]]
    sets += [f"principalSet:{place}/attribute.{name}/{value}" for name, value in attributes.items()]
    expires = (txn.now + tokens.LIFETIME).timestamp()
    principal = f"principal:{place}/subject/{google['subject']}"
    return tokens.TokenGrant(principal, pool, "", scopes, expires, also=tuple(sets))


def _provider(audience: str, txn: Txn) -> tuple[rest.Document, str]:
    """The provider that the audience names, and its project's number."""
    match = _AUDIENCE.fullmatch(audience)
    if match is None:
        raise _StsError("invalid_request", 'Invalid value for "audience". This value should be the full resource name'
                        " of the Identity Provider.")  # fmt: skip
    project = project_numbers.id_of(txn, match["project"])
    pool_name = f"projects/{project}/locations/global/workloadIdentityPools/{match['pool']}"
    pool = txn.get(federation.POOL, pool_name)
    provider = txn.get(federation.PROVIDER, f"{pool_name}/providers/{match['provider']}")
    if pool is None or provider is None:
        raise _StsError("invalid_target", _INVALID_TARGET)
    document: rest.Document = json.loads(provider)
    if not federation.is_live(json.loads(pool)) or not federation.is_live(document):
        raise _StsError("invalid_target", _INVALID_TARGET)
    return document, project_numbers.number_of(txn, project)


def _claims(text: str, provider: rest.Document, number: str, txn: Txn) -> dict[str, Any]:
    """The claims of the outside token, proven."""
    oidc = provider["oidc"]
    token = jwt.parse_jwt(text)
    if token is None:
        raise _StsError("invalid_request", "Unable to parse the ID Token.")
    if not oidc.get("jwksJson"):
        raise _StsError(
            "invalid_grant", "Error connecting to the given credential's issuer: the embedded cloud has no network."
            " Give the provider its JWK set."
        )  # fmt: skip
    if token.text("iss") != oidc["issuerUri"]:
        raise _StsError("invalid_grant", "The issuer in ID Token does not match the expected ones.")
    if not any(token.signed_by(key) for key in _keys(oidc["jwksJson"], token.key_id)):
        raise _StsError("invalid_grant", "Invalid signature for ID token.")
    given = token.claims.get("aud")
    audiences = set(given) if isinstance(given, list) else {given}
    if not audiences & _expected_audiences(provider, number):
        raise _StsError("invalid_grant", "The audience in ID Token does not match the expected audience.")
    if not oauth.in_time(token, txn, longest=LONGEST_TOKEN):
        raise _StsError("invalid_grant", "ID Token is stale to sign-in, not valid yet, or valid for too long.")
    return token.claims


def _expected_audiences(provider: rest.Document, number: str) -> set[Any]:
    allowed = provider["oidc"].get("allowedAudiences")
    if allowed:
        return set(allowed)
    _, project, rest_of_name = provider["name"].split("/", 2)
    names = (f"projects/{one}/{rest_of_name}" for one in (number, project))
    return {f"{scheme}//iam.googleapis.com/{name}" for name in names for scheme in ("https:", "")}


def _keys(document: str, key_id: str) -> list[rsa.RSAPublicKey]:
    """The RSA keys of a JWK set that may have signed: the one that is named, or all when none is."""
    found = []
    for key in json.loads(document)["keys"]:
        if not isinstance(key, dict) or key.get("kty") != "RSA" or (key_id and key.get("kid", key_id) != key_id):
            continue
        modulus, exponent = jwt.decode_base64url(str(key.get("n", ""))), jwt.decode_base64url(str(key.get("e", "")))
        if modulus and exponent:
            numbers = rsa.RSAPublicNumbers(int.from_bytes(exponent), int.from_bytes(modulus))
            try:
                found.append(numbers.public_key())
            except ValueError:
                continue
    return found


def _map_claims(provider: rest.Document, claims: dict[str, Any]) -> tuple[rest.Document, dict[str, str]]:
    """google.* and attribute.* as the provider's mapping makes them of the claims."""
    google: rest.Document = {"groups": []}
    attributes: dict[str, str] = {}
    for target, expression in provider["attributeMapping"].items():
        kind, _, name = target.partition(".")
        try:
            value = cel.compile_expression(expression)({"assertion": claims})
        except CelError:
            if target == "google.subject":
                raise _StsError("invalid_grant", "The mapping of google.subject has no value.") from None
            continue  # an attribute that the token does not give is absent
        if target == "google.groups":
            if not isinstance(value, list) or not all(isinstance(group, str) for group in value):
                raise _StsError("invalid_grant", "The mapping of google.groups is not a list of text.")
            google["groups"] = value
        elif not isinstance(value, str) or not value:
            raise _StsError("invalid_grant", f"The mapping of {target} is not text.")
        elif kind == "attribute":
            attributes[name] = value
        else:
            google[name] = value
    if len(google["subject"].encode()) > LONGEST_SUBJECT:
        raise _StsError(
            "invalid_request",
            f"The size of mapped attribute google.subject exceeds the {LONGEST_SUBJECT} bytes limit. Either modify your"
            " attribute mapping or the incoming assertion to produce a mapped attribute that is less than"
            f" {LONGEST_SUBJECT} bytes.",
        )
    return google, attributes


def _is_admitted(
    provider: rest.Document, claims: dict[str, Any], google: rest.Document, attributes: dict[str, str]
) -> bool:
    condition = provider.get("attributeCondition", "")
    return not condition or cel.holds(condition, {"assertion": claims, "google": google, "attribute": attributes})


def _introspect(call: RestCall, _caller: Caller, txn: Txn) -> dict[str, Any]:
    """Tell whom a token stands for; a federated identity as `principal://iam.googleapis.com/...` (sts.v1, IntrospectToken).

    gcloud makes a folder of this name: without the scheme it would be an absolute path, outside of gcloud's own folder.
    """
    grant = tokens.look_up(txn, _fields(call).get("token", ""))
    if grant is None:
        return {"active": False}
    return {
        "active": True,
        "username": grant.principal,
        "scope": " ".join(grant.scopes),
        "exp": int(grant.expires),
        "client_id": grant.subject,
    }


def _fields(call: RestCall) -> dict[str, str]:
    """The fields in snake_case, from a form or from JSON."""
    given = {**(call.body if isinstance(call.body, dict) else {}), **call.form}
    return {re.sub(r"([A-Z])", lambda match: f"_{match[1].lower()}", name): str(value) for name, value in given.items()}


SERVICE = Service(
    routes=(
        Route("POST", "/v1/token", "google.identity.sts.v1.SecurityTokenService/ExchangeToken", _exchange, public=True,
              resource=lambda call: _fields(call).get("audience", ""), kind="token"),
        Route("POST", "/v1/introspect", "google.identity.sts.v1.SecurityTokenService/IntrospectToken", _introspect,
              public=True, kind="token"),
    )
)  # fmt: skip
