"""Workload identity pools and their providers: who may come in from outside, and as whom.

Both are soft-deleted: for 30 days they can be brought back, let nobody in, and keep their ids taken. Mappings and
conditions are compiled when they are set, so a provider that stands can be evaluated.
"""

import json
import re
from collections.abc import Callable
from datetime import timedelta

from orchestra_creds.emulator.cel import language as cel
from orchestra_creds.emulator.cel.values import CelError
from orchestra_creds.emulator.protocol import rest, strict
from orchestra_creds.emulator.protocol.errors import already_exists_error, invalid_error, precondition_error
from orchestra_creds.emulator.protocol.service import Caller, RestCall, Route, Service
from orchestra_creds.emulator.store import project_numbers
from orchestra_creds.emulator.store.store import Txn

POOL = "pool"
PROVIDER = "provider"
UNDELETE_WITHIN = timedelta(days=30)

_ID = re.compile(r"(?!gcp-)[a-z0-9-]{4,32}")
_MAPPED = re.compile(r"google\.(subject|groups)|attribute\.[a-z_][a-z0-9_]{0,99}")
_ISSUER = re.compile(r"https://[^\s/?#]+[^\s?#]*")
_AWS_ACCOUNT = re.compile(r"[0-9]{12}")
_POOL_SHAPES = {"displayName": str, "description": str, "disabled": bool, "sessionDuration": str}
_PROVIDER_SHAPES = {
    "displayName": str,
    "description": str,
    "disabled": bool,
    "attributeMapping": dict,
    "attributeCondition": str,
}
_KIND_SHAPES: dict[str, dict[str, type]] = {
    "oidc": {"issuerUri": str, "allowedAudiences": list, "jwksJson": str},
    "aws": {"accountId": str},
    "saml": {"idpMetadataXml": str},
}
_POOL_FIELDS = frozenset(_POOL_SHAPES)
_PROVIDER_FIELDS = frozenset(_PROVIDER_SHAPES) | frozenset(_KIND_SHAPES)
_AWS_MAPPING = {
    "google.subject": "assertion.arn",
    "attribute.aws_role": "assertion.arn.contains('assumed-role') ? assertion.arn.extract('{account_arn}assumed-role/')"
    " + 'assumed-role/' + assertion.arn.extract('assumed-role/{role_name}/') : assertion.arn",
}
_LONGEST_TITLE = 32
_LONGEST_DESCRIPTION = 256
_MOST_ATTRIBUTES = 50
_LONGEST_MAPPING = 2048
_LONGEST_AUDIENCE = 256
"""Limits of attributeMapping and oidc.allowedAudiences (iam.v1 discovery document)."""
_SHARED_ISSUERS = frozenset(
    {"https://token.actions.githubusercontent.com", "https://gitlab.com", "https://app.terraform.io"}
)
"""Issuers of everybody's tokens, for which a condition must look at the token
(cloud.google.com/iam/docs/workload-identity-federation-with-deployment-pipelines#conditions)."""
_CLAIMS = frozenset({"assertion", "attribute", "google"})


def is_live(document: rest.Document) -> bool:
    """Whether a pool or provider lets anybody in."""
    return document["state"] == "ACTIVE" and not document.get("disabled", False)


def _pools(call: RestCall, txn: Txn) -> str:
    return f"{rest.stored_project(call, txn)}/locations/global/workloadIdentityPools"


def _pool_name(call: RestCall, txn: Txn) -> str:
    return f"{_pools(call, txn)}/{call.path['pool']}"


def _provider_name(call: RestCall, txn: Txn) -> str:
    return f"{_pool_name(call, txn)}/providers/{call.path['provider']}"


def _create_pool(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    pool_id = call.query.get("workloadIdentityPoolId", "")
    name = f"{_pools(call, txn)}/{pool_id}"
    _check_new(txn, POOL, name, pool_id)
    wanted = _select_fields(rest.body(call), _POOL_FIELDS)
    document = _validate_pool({"name": name, "state": "ACTIVE", **wanted})
    rest.save(txn, POOL, name, document, parent=name.rpartition("/")[0])
    return _finish_operation(txn, POOL, document)


def _create_provider(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
    pool = _existing(txn, POOL, _pool_name(call, txn))
    provider_id = call.query.get("workloadIdentityPoolProviderId", "")
    name = f"{pool['name']}/providers/{provider_id}"
    _check_new(txn, PROVIDER, name, provider_id)
    document = _validate_provider(
        txn, {"name": name, "state": "ACTIVE", **_select_fields(rest.body(call), _PROVIDER_FIELDS)}
    )
    rest.save(txn, PROVIDER, name, document, parent=pool["name"])
    return _finish_operation(txn, PROVIDER, document)


def _get(kind: str, name: Callable[[RestCall, Txn], str]) -> Callable[[RestCall, Caller, Txn], rest.Document]:
    def get(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
        return _reply_document(txn, rest.load(txn, kind, name(call, txn), what=_TITLES[kind]))

    return get


def _list(kind: str, parent: Callable[[RestCall, Txn], str]) -> Callable[[RestCall, Caller, Txn], rest.Document]:
    def every(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
        found = [json.loads(row.body) for row in txn.children(kind, parent(call, txn))[::-1]]
        kept = [_reply_document(txn, d) for d in found if d["state"] == "ACTIVE" or rest.flag(call, "showDeleted")]
        shown, more = rest.page(kept, call)
        return {_LISTS[kind]: shown, **more}

    return every


def _update(kind: str, name: Callable[[RestCall, Txn], str]) -> Callable[[RestCall, Caller, Txn], rest.Document]:
    def update(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
        current = _existing(txn, kind, name(call, txn))
        fields = _POOL_FIELDS if kind == POOL else _PROVIDER_FIELDS
        changed = rest.apply_mask(current, rest.body(call), call.query.get("updateMask", ""), fields)
        changed = _validate_pool(changed) if kind == POOL else _validate_provider(txn, changed)
        return _finish_operation(txn, kind, rest.save(txn, kind, current["name"], changed))

    return update


def _delete(kind: str, name: Callable[[RestCall, Txn], str]) -> Callable[[RestCall, Caller, Txn], rest.Document]:
    def delete(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
        current = _existing(txn, kind, name(call, txn))
        ends = txn.now + UNDELETE_WITHIN
        changed = {**current, "state": "DELETED", "expireTime": rest.stamp(ends)}
        txn.schedule(kind, current["name"], ends)
        return _finish_operation(txn, kind, rest.save(txn, kind, current["name"], changed))

    return delete


def _undelete(kind: str, name: Callable[[RestCall, Txn], str]) -> Callable[[RestCall, Caller, Txn], rest.Document]:
    def undelete(call: RestCall, _caller: Caller, txn: Txn) -> rest.Document:
        current = rest.load(txn, kind, name(call, txn), what=_TITLES[kind])
        if current["state"] != "DELETED":
            raise precondition_error(f"{current['name']} is not deleted.")
        txn.unschedule(kind, current["name"])
        changed = {field: value for field, value in current.items() if field != "expireTime"} | {"state": "ACTIVE"}
        return _finish_operation(txn, kind, rest.save(txn, kind, current["name"], changed))

    return undelete


def _existing(txn: Txn, kind: str, name: str) -> rest.Document:
    """A pool or provider that is not deleted."""
    document = rest.load(txn, kind, name, what=_TITLES[kind])
    if document["state"] == "DELETED":
        raise precondition_error(f"{name} is deleted; it can be brought back with undelete.")
    return document


def _check_new(txn: Txn, kind: str, name: str, new_id: str) -> None:
    if not _ID.fullmatch(new_id):
        raise invalid_error("The id must be 4 to 32 lower-case letters, digits and hyphens, not beginning with gcp-.")
    if txn.get(kind, name) is not None:
        raise already_exists_error("Requested entity already exists.")


def _select_fields(document: rest.Document, fields: frozenset[str]) -> rest.Document:
    return {name: value for name, value in document.items() if name in fields}


def _check_titles(document: rest.Document) -> None:
    long = len(document.get("displayName") or "") > _LONGEST_TITLE
    if long or len(document.get("description") or "") > _LONGEST_DESCRIPTION:
        raise invalid_error(
            f"A display name has at most {_LONGEST_TITLE} characters, a description {_LONGEST_DESCRIPTION}."
        )


def _validate_pool(pool: rest.Document) -> rest.Document:
    rest.expect(pool, _POOL_SHAPES)
    _check_titles(pool)
    return pool


def _validate_provider(txn: Txn, provider: rest.Document) -> rest.Document:
    """The provider with what Google fills in; INVALID_ARGUMENT when it cannot work."""
    rest.expect(provider, _PROVIDER_SHAPES)
    _check_titles(provider)
    kinds = [kind for kind in _KIND_SHAPES if kind in provider]
    if len(kinds) != 1 or not isinstance(provider[kinds[0]], dict):
        raise invalid_error("A provider is exactly one of oidc, aws and saml.")
    rest.expect(provider[kinds[0]], _KIND_SHAPES[kinds[0]], within=f"{kinds[0]}.")
    if "aws" in provider and not _AWS_ACCOUNT.fullmatch(provider["aws"].get("accountId") or ""):
        raise invalid_error("An AWS account id has 12 digits.", field="aws.account_id")
    if "oidc" in provider:
        _check_oidc(provider["oidc"])
    mapping = provider.get("attributeMapping") or (_AWS_MAPPING if "aws" in provider else {})
    if "google.subject" not in mapping:
        raise invalid_error("The attribute mapping must give google.subject.", field="attribute_mapping")
    if sum(target.startswith("attribute.") for target in mapping) > _MOST_ATTRIBUTES:
        raise invalid_error(f"At most {_MOST_ATTRIBUTES} custom attributes can be mapped.", field="attribute_mapping")
    for target, expression in mapping.items():
        if not _MAPPED.fullmatch(target) or len(expression) > _LONGEST_MAPPING:
            raise invalid_error(
                f"{target[:128]} cannot be mapped, or from so long an expression.", field="attribute_mapping"
            )
        _check_expression(expression, "attribute_mapping")
    if provider.get("attributeCondition"):
        _check_expression(provider["attributeCondition"], "attribute_condition")
    if strict.is_strict(txn) and (provider.get("oidc") or {}).get("issuerUri") in _SHARED_ISSUERS:
        _require_claim(provider.get("attributeCondition") or "true")
    return {**provider, "attributeMapping": dict(mapping)}


def _check_oidc(oidc: rest.Document) -> None:
    if not _ISSUER.fullmatch(oidc.get("issuerUri") or ""):
        raise invalid_error("The issuer must be a https URL.", field="oidc.issuer_uri")
    audiences = oidc.get("allowedAudiences") or ()
    if len(audiences) > 10 or any(len(audience) > _LONGEST_AUDIENCE for audience in audiences):
        raise invalid_error(
            f"A provider allows at most 10 audiences of at most {_LONGEST_AUDIENCE} characters.",
            field="oidc.allowed_audiences",
        )
    if oidc.get("jwksJson"):
        try:
            keys = json.loads(oidc["jwksJson"])["keys"]
        except (ValueError, TypeError, KeyError):
            keys = None
        if not isinstance(keys, list) or not keys:
            raise invalid_error("The JWK set is not valid.", field="oidc.jwks_json")


def _require_claim(condition: str) -> None:
    """Refuse a condition that every token of a shared issuer meets or fails alike."""
    if not cel.variables(condition) & _CLAIMS:
        raise invalid_error(
            "The attribute condition must reference one of the provider's claims. For more information, see"
            " https://cloud.google.com/iam/docs/workload-identity-federation-with-deployment-pipelines#conditions",
            field="attribute_condition",
        )


def _check_expression(expression: str, field: str) -> None:
    try:
        cel.compile_expression(expression)
    except CelError as error:
        raise invalid_error(f"The expression cannot be parsed: {error}.", field=field) from None


def _reply_document(txn: Txn, document: rest.Document) -> rest.Document:
    kind, project, *others = document["name"].split("/")
    # Google answers with the number here always, and audiences need it.
    return {**document, "name": "/".join([kind, project_numbers.number_of(txn, project), *others])}


def _finish_operation(txn: Txn, kind: str, document: rest.Document) -> rest.Document:
    shown = _reply_document(txn, document)
    serial = txn.next("federation operations")
    message = f"google.iam.v1.{'WorkloadIdentityPool' if kind == POOL else 'WorkloadIdentityPoolProvider'}"
    return rest.operation(txn, f"{shown['name']}/operations/{serial:020}", message, shown, metadata={})


def _purge_pool(name: str, txn: Txn) -> None:
    """The timer of a deleted pool, its providers with it."""
    for row in txn.children(PROVIDER, name):
        txn.delete(PROVIDER, row.name)
    txn.delete(POOL, name)


def _purge_provider(name: str, txn: Txn) -> None:
    txn.delete(PROVIDER, name)


_TITLES = {POOL: "Workload identity pool", PROVIDER: "Workload identity pool provider"}
_LISTS = {POOL: "workloadIdentityPools", PROVIDER: "workloadIdentityPoolProviders"}


def _routes(
    kind: str,
    template: str,
    variable: str,
    create: Callable[[RestCall, Caller, Txn], rest.Document],
    parent: Callable[[RestCall, Txn], str],
    name: Callable[[RestCall, Txn], str],
) -> tuple[Route, ...]:
    noun = "WorkloadIdentityPool" if kind == POOL else "WorkloadIdentityPoolProvider"
    permission = f"iam.workloadIdentityPool{'s' if kind == POOL else 'Providers'}"
    service = "google.iam.v1.WorkloadIdentityPools"
    one = f"{template}/{{{variable}}}"
    return (
        Route("POST", template, f"{service}/Create{noun}", create, f"{permission}.create", rest.project, mutates=True),
        Route("GET", template, f"{service}/List{noun}s", _list(kind, parent), f"{permission}.list", rest.project),
        Route("GET", one, f"{service}/Get{noun}", _get(kind, name), f"{permission}.get", rest.project),
        Route("PATCH", one, f"{service}/Update{noun}", _update(kind, name), f"{permission}.update", rest.project,
              mutates=True),
        Route("DELETE", one, f"{service}/Delete{noun}", _delete(kind, name), f"{permission}.delete", rest.project,
              mutates=True),
        Route("POST", f"{one}:undelete", f"{service}/Undelete{noun}", _undelete(kind, name), f"{permission}.undelete",
              rest.project, mutates=True),
    )  # fmt: skip


_ALL = "/v1/projects/{project}/locations/global/workloadIdentityPools"

SERVICE = Service(
    routes=(
        *_routes(POOL, _ALL, "pool", _create_pool, _pools, _pool_name),
        *_routes(PROVIDER, f"{_ALL}/{{pool}}/providers", "provider", _create_provider, _pool_name, _provider_name),
    ),
    timers={POOL: _purge_pool, PROVIDER: _purge_provider},
)
