"""The token endpoint, the public certificates, and who a request comes from.

A service account proves itself with a token that it signed with one of its keys: to `/token` for an access or ID
token, or as the bearer itself. Both are refused alike when the key is disabled, deleted, expired, not yet propagated
or somebody else's, and when account, audience or times are wrong. What `/token` refuses it refuses in OAuth's shape.
"""

import hmac
import re
from collections.abc import Mapping
from typing import Any

from orchestra_creds.emulator.iam import accounts, key_records, keys
from orchestra_creds.emulator.identity import tokens
from orchestra_creds.emulator.identity.jwt import ParsedJwt, parse_jwt, public_jwk
from orchestra_creds.emulator.protocol.errors import Code, EmuError, not_found_error, unauthenticated_error
from orchestra_creds.emulator.protocol.service import Caller, RestCall, RestReply, Route, Service
from orchestra_creds.emulator.store.store import Txn

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SERVICE_NAME = "google.oauth2.OAuth2"
LONGEST_ASSERTION = 3600
"""Seconds that an assertion may be valid for (developers.google.com/identity/protocols/oauth2/service-account)."""
CLOCK_SKEW = 300
"""Seconds that an assertion's time of issue may lie ahead."""

_GOOGLE_TOKEN_URIS = frozenset(
    {
        "https://oauth2.googleapis.com/token",
        "https://accounts.google.com/o/oauth2/token",
        "https://www.googleapis.com/oauth2/v4/token",
    }
)
_LOCAL_TOKEN_URI = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\])(?P<port>:[0-9]+)?/token")
_API_AUDIENCE = re.compile(
    r"https://([a-z0-9-]+\.)+googleapis\.com/?|https?://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?/?"
)
_ENOUGH = frozenset(
    {tokens.CLOUD_PLATFORM, "https://www.googleapis.com/auth/iam", "https://www.googleapis.com/auth/cloudiam"}
)


class _OAuthError(Exception):
    """What `/token` answers instead of a token."""

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        super().__init__(description)
        self.reply = RestReply(
            status,
            {"error": error, "error_description": description},
            code=Code.UNAUTHENTICATED if error == "invalid_grant" else Code.INVALID_ARGUMENT,
        )


def identify(headers: Mapping[str, str], txn: Txn) -> Caller:
    """The caller by the bearer of the request: the owner, an access token, or a token that the account itself signed."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not bearer:
        raise unauthenticated_error(
            "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or "
            "other valid authentication credential."
        )
    if _is_owners(bearer, txn):
        return Caller(owner=True)
    grant = tokens.look_up(txn, bearer)
    if grant is not None:
        if not _ENOUGH.intersection(grant.scopes):
            raise EmuError(Code.PERMISSION_DENIED, "Request had insufficient authentication scopes.")
        return grant.caller
    signed = parse_jwt(bearer)
    if signed is None:
        raise tokens.refusal()
    return _self_signed_caller(signed, txn)


def _is_owners(bearer: str, txn: Txn) -> bool:
    return hmac.compare_digest(bearer.encode(errors="replace"), txn.owner_token.encode())


def _self_signed_caller(signed: ParsedJwt, txn: Txn) -> Caller:
    try:
        account = _verify_assertion(signed, txn)
    except _OAuthError:
        raise tokens.refusal() from None
    named = "aud" in signed.claims  # who names scopes names no audience (google.aip.dev/auth/4111)
    if not (_API_AUDIENCE.fullmatch(signed.text("aud")) if named else _ENOUGH & set(signed.text("scope").split())):
        raise tokens.refusal()
    return Caller(f"serviceAccount:{account.email}")


def _verify_assertion(signed: ParsedJwt, txn: Txn) -> Any:
    """The account whose live key signed the token within its time."""
    email = signed.text("iss")
    account = accounts.find(txn, email)
    if account is None:
        raise _OAuthError("invalid_grant", "Invalid grant: account not found")
    if account.disabled:
        raise _OAuthError("invalid_grant", "Invalid grant: account disabled")
    if signed.text("sub") not in {"", email, account.unique_id}:
        raise _OAuthError("unauthorized_client", "Client is unauthorized to retrieve access tokens.", status=401)
    key = key_records.usable_key(txn, account, signed.key_id)
    if key is None or not signed.signed_by(key.public):
        raise _OAuthError("invalid_grant", "Invalid JWT Signature.")
    if not in_time(signed, txn, longest=LONGEST_ASSERTION + CLOCK_SKEW):
        raise _OAuthError(
            "invalid_grant",
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
            "Check your iat and exp values in the JWT claim.",
        )
    key_records.note_use(txn, account, key.id)
    return account


def in_time(signed: ParsedJwt, txn: Txn, *, longest: float) -> bool:
    """Whether a token from outside is valid now and for at most `longest` seconds.

    Whoever signed it may not know that the emulator's clock was moved, so the machine's own time counts as well.
    """
    issued, ends, now = signed.number("iat"), signed.number("exp"), txn.now.timestamp()
    if issued is None or ends is None or not 0 < ends - issued <= longest:
        return False
    return any(issued - CLOCK_SKEW <= moment < ends for moment in (now, now - txn.setting("clock_offset", 0.0)))


def _token(call: RestCall, _caller: Caller, txn: Txn) -> RestReply:
    try:
        return RestReply(200, _grant_token(_fields(call), call.headers.get("host", ""), txn))
    except _OAuthError as error:
        return error.reply


def _is_here(audience: str, host: str) -> bool:
    """Return whether an assertion is meant for this token endpoint: Google's, or the one that `host` says was called."""
    local = _LOCAL_TOKEN_URI.fullmatch(audience)
    if local is None:
        return audience in _GOOGLE_TOKEN_URIS
    return not host or host.endswith(local["port"] or ":80") or (not local["port"] and ":" not in host)


def _grant_token(fields: Mapping[str, str], host: str, txn: Txn) -> dict[str, Any]:
    if fields.get("grant_type") != GRANT_TYPE:
        raise _OAuthError("unsupported_grant_type", "Invalid grant_type: the embedded cloud takes jwt-bearer only.")
    signed = parse_jwt(fields.get("assertion", ""))
    if signed is None:
        raise _OAuthError("invalid_grant", "Invalid JWT: the assertion cannot be read.")
    if not _is_here(signed.text("aud"), host):
        raise _OAuthError("invalid_grant", "Invalid JWT: Failed audience check.")
    account = _verify_assertion(signed, txn)
    wanted = signed.text("target_audience")
    if wanted:
        return {"id_token": tokens.id_token(txn, account, wanted, email=True)}
    scopes = tuple(signed.text("scope").split())
    if not scopes or not tokens.are_scopes(scopes):
        raise _OAuthError("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
    text, _ends = tokens.for_account(txn, account, scopes)
    return {
        "access_token": text,
        "expires_in": int(tokens.LIFETIME.total_seconds()) - 1,
        "token_type": "Bearer",
    }


def _fields(call: RestCall) -> Mapping[str, str]:
    body = {key: str(value) for key, value in call.body.items()} if isinstance(call.body, dict) else {}
    return {**call.query, **body, **call.form}


def _bearer(call: RestCall) -> str:
    fields = _fields(call)
    shown = fields.get("access_token") or fields.get("token") or ""
    return shown or call.headers.get("authorization", "").removeprefix("Bearer ").strip()


def _token_info(call: RestCall, _caller: Caller, txn: Txn) -> RestReply:
    text = _bearer(call)
    if _is_owners(text, txn):
        caller = Caller(owner=True)
        return RestReply(200, {"email": caller.principal.partition(":")[2], "scope": tokens.CLOUD_PLATFORM})
    grant = tokens.look_up(txn, text)
    if grant is None:
        return RestReply(
            400, {"error": "invalid_token", "error_description": "Invalid Value"}, code=Code.UNAUTHENTICATED
        )
    left = int(grant.expires - txn.now.timestamp())
    return RestReply(
        200,
        {
            "azp": grant.subject,
            "aud": grant.subject,
            "sub": grant.subject,
            "scope": " ".join(grant.scopes),
            "exp": str(int(grant.expires)),
            "expires_in": str(left),
            "access_type": "online",
            **({"email": grant.email, "email_verified": "true"} if grant.email else {}),
        },
    )


def _user_info(call: RestCall, _caller: Caller, txn: Txn) -> RestReply:
    text = _bearer(call)
    if _is_owners(text, txn):
        email = Caller(owner=True).principal.partition(":")[2]
        return RestReply(200, {"sub": "1", "id": "1", "email": email, "email_verified": True, "verified_email": True})
    grant = tokens.look_up(txn, text)
    if grant is None:
        raise tokens.refusal()
    verified = {"email_verified": True, "verified_email": True}
    return RestReply(200, {"sub": grant.subject, "id": grant.subject, "email": grant.email, **verified})


def _revoke(call: RestCall, _caller: Caller, txn: Txn) -> RestReply:
    if tokens.revoke(txn, _bearer(call)):
        return RestReply(200, {})
    problem = {"error": "invalid_token", "error_description": "Token expired or revoked"}
    return RestReply(400, problem, code=Code.INVALID_ARGUMENT)


def _live(call: RestCall, txn: Txn) -> list[key_records.KeyRecord]:
    account = accounts.find(txn, call.path["email"])
    if account is None:
        raise not_found_error("Requested entity was not found.")
    found = [] if account.disabled else key_records.every(txn, account)
    return [key for key in found if key.lives(txn.now)]


def _x509(call: RestCall, _caller: Caller, txn: Txn) -> dict[str, Any]:
    return {key.id: key.certificate for key in _live(call, txn)}


def _jwk(call: RestCall, _caller: Caller, txn: Txn) -> dict[str, Any]:
    return {"keys": [public_jwk(key.public, key.id) for key in _live(call, txn)]}


def _raw(call: RestCall, _caller: Caller, txn: Txn) -> dict[str, Any]:
    return {key.id: keys.public_pem(key) for key in _live(call, txn)}


def _signers(_call: RestCall, _caller: Caller, txn: Txn) -> dict[str, Any]:
    key_id, private = tokens.signer(txn)
    return {"keys": [public_jwk(private.public_key(), key_id)]}


def _signer_certificates(_call: RestCall, _caller: Caller, txn: Txn) -> dict[str, Any]:
    key_id, private = tokens.signer(txn)
    certificate = key_records.self_signed_certificate(private, "embedded cloud", txn.now, key_records.NEVER)
    return {key_id: key_records.pem(certificate)}


def _route(http: str, template: str, name: str, handle: Any, *, mutates: bool = False) -> Route:
    return Route(
        http,
        template,
        f"{SERVICE_NAME}/{name}",
        handle,
        resource=lambda call: call.path.get("email", ""),
        public=True,
        mutates=mutates,
        kind="token",
    )


SERVICE = Service(
    routes=(
        _route("POST", "/token", "Token", _token),
        _route("POST", "/oauth2/v4/token", "Token", _token),
        _route("POST", "/o/oauth2/token", "Token", _token),
        _route("GET", "/tokeninfo", "TokenInfo", _token_info),
        _route("POST", "/tokeninfo", "TokenInfo", _token_info),
        _route("GET", "/oauth2/v3/tokeninfo", "TokenInfo", _token_info),
        _route("POST", "/oauth2/v3/tokeninfo", "TokenInfo", _token_info),
        _route("POST", "/revoke", "Revoke", _revoke, mutates=True),
        _route("GET", "/userinfo", "UserInfo", _user_info),
        _route("GET", "/oauth2/v3/userinfo", "UserInfo", _user_info),
        _route("GET", "/robot/v1/metadata/x509/{email}", "Certificates", _x509),
        _route("GET", "/robot/v1/metadata/jwk/{email}", "JsonWebKeys", _jwk),
        _route("GET", "/robot/v1/metadata/raw/{email}", "PublicKeys", _raw),
        _route("GET", "/service_accounts/v1/metadata/x509/{email}", "Certificates", _x509),
        _route("GET", "/service_accounts/v1/jwk/{email}", "JsonWebKeys", _jwk),
        _route("GET", "/oauth2/v3/certs", "SignerKeys", _signers),
        _route("GET", "/oauth2/v1/certs", "SignerCertificates", _signer_certificates),
    ),
    timers={tokens.TOKEN: tokens.purge_token},
)
