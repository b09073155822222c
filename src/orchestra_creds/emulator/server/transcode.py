"""HTTP/JSON to RPC and back, by the rules of google.api.http.

Accepts what real clients send: snake_case and camelCase field masks, `True`/`False`, dotted query parameters,
`$alt=json;enum-encoding=int`. Everything that cannot be understood is 400 in Google's error document; a path that
nothing serves is 404 and named.
"""

import functools
import json
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from orchestra_creds.emulator.protocol.enums import name_enums
from orchestra_creds.emulator.protocol.errors import Code, EmuError, invalid_error
from orchestra_creds.emulator.protocol.json_messages import fill, find_field
from orchestra_creds.emulator.protocol.routes import HttpRule, Rpc, pattern, rpcs
from orchestra_creds.emulator.protocol.service import RestCall, RestReply, Route
from orchestra_creds.emulator.server.dispatch import Emulator

JSON_TYPE = "application/json; charset=UTF-8"
_FORM_TYPE = "application/x-www-form-urlencoded"
_STORAGE = "/storage/"
"""Beginning of the paths of Cloud Storage, whose errors have a list of reasons."""
_SYSTEM_PARAMETERS = frozenset(
    {
        "$alt",
        "$.xgafv",
        "$prettyPrint",
        "$fields",
        "$userProject",
        "access_token",
        "alt",
        "callback",
        "fields",
        "key",
        "oauth_token",
        "prettyPrint",
        "quotaUser",
        "uploadType",
        "upload_protocol",
        "userProject",
    }
)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it came: verb, target (path and query), header names in lower case, body."""

    verb: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What goes back."""

    status: int
    body: bytes
    content_type: str = JSON_TYPE


@dataclass(frozen=True, slots=True)
class _PathBinding:
    verb: str
    pattern: re.Pattern[str]
    target: Route | tuple[Rpc, HttpRule]


class Gateway:
    """REST in front of one emulator."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def now(self) -> datetime:
        """The time that handlers see."""
        return self._emulator.store.now()

    def answer(self, request: HttpRequest) -> HttpReply:
        """The reply to any request; refusals are replies too."""
        url = urllib.parse.urlsplit(request.target)
        path = urllib.parse.unquote(url.path)
        query = urllib.parse.parse_qsl(url.query, keep_blank_values=True)
        try:
            for binding, caught in self._matches(request.verb, path):
                if isinstance(binding.target, Route):
                    return self._answer_route(binding.target, caught, query, request)
                return self._answer_rpc(*binding.target, caught, query, request)
        except EmuError as error:
            storage = path.startswith(_STORAGE)
            return _json(error.code.http, error.storage_document() if storage else error.document())
        return _json(404, _unknown_path_error(request.verb, path).document())

    @functools.cached_property
    def _bindings(self) -> list[_PathBinding]:
        """Every path that is served; made at the first request, for most runs only speak gRPC."""
        bindings = [_PathBinding(route.http, pattern(route.template), route) for route in self._emulator.routes]
        for rpc in rpcs().values():
            bindings += [_PathBinding(rule.verb, pattern(rule.template), (rpc, rule)) for rule in rpc.http]
        return bindings

    def _matches(self, verb: str, path: str) -> Iterator[tuple[_PathBinding, dict[str, str]]]:
        for binding in self._bindings:
            if binding.verb == verb:
                match = binding.pattern.fullmatch(path)
                if match is not None:
                    yield binding, match.groupdict()

    def _answer_route(
        self, route: Route, caught: dict[str, str], query: list[tuple[str, str]], request: HttpRequest
    ) -> HttpReply:
        form: dict[str, str] = {}
        body = None
        if request.headers.get("content-type", "").startswith(_FORM_TYPE):
            form = dict(urllib.parse.parse_qsl(_text(request.body), keep_blank_values=True))
        elif request.body:
            body = name_enums(_parse_json(request.body))
        reply = self._emulator.rest(route, RestCall(caught, _join_query(query), body, form, request.headers))
        if not isinstance(reply, RestReply):
            return _json(200, reply)
        if isinstance(reply.body, bytes):
            return HttpReply(reply.status, reply.body, reply.content_type)
        return HttpReply(reply.status, json.dumps(reply.body).encode(), reply.content_type)

    def _answer_rpc(
        self, rpc: Rpc, rule: HttpRule, caught: dict[str, str], query: list[tuple[str, str]], request: HttpRequest
    ) -> HttpReply:
        document: dict[str, Any] = {}
        if rule.body and request.body:
            body = _parse_json(request.body)
            if rule.body == "*":
                if not isinstance(body, dict):
                    raise invalid_error("Invalid JSON payload received. Expected an object.")
                document = body
            else:
                document[rule.body] = body
        descriptor = rpc.request.DESCRIPTOR
        for key, value in query:
            if key not in _SYSTEM_PARAMETERS:
                _place(document, descriptor, key.split("."), value)
        message = rpc.request()
        fill(message, document)
        for variable, value in caught.items():
            _assign(message, variable.split("__"), value)
        reply = self._emulator.rpc(rpc.name, message, request.headers)
        integers = any("enum-encoding=int" in value for key, value in query if key in {"$alt", "alt"})
        return _json(200, json_format.MessageToDict(reply, use_integers_for_enums=integers))


def _join_query(query: list[tuple[str, str]]) -> dict[str, str]:
    """The query as a mapping; what is given several times stands there with commas."""
    joined: dict[str, str] = {}
    for key, value in query:
        joined[key] = f"{joined[key]},{value}" if key in joined else value
    return joined


def _place(document: dict[str, Any], descriptor: Descriptor, path: list[str], value: str) -> None:
    """Put one query parameter where it belongs in the request document."""
    field = find_field(descriptor, path[0])
    if field is None or (len(path) > 1 and field.message_type is None):
        raise invalid_error(f'Invalid JSON payload received. Unknown name "{path[0]}": Cannot bind query parameter.')
    name = field.json_name
    if len(path) > 1:
        nested = document.setdefault(name, {})
        if not isinstance(nested, dict):
            raise invalid_error(f'Invalid JSON payload received. "{path[0]}" is given twice.')
        _place(nested, field.message_type, path[1:], value)
        return
    converted: Any = value
    if field.type == FieldDescriptor.TYPE_BOOL:
        converted = {"true": True, "false": False, "1": True, "0": False}.get(value.lower(), value)
    if field.is_repeated:
        document.setdefault(name, []).append(converted)
    else:
        document[name] = converted


def _assign(message: Message, path: list[str], value: str) -> None:
    for name in path[:-1]:
        message = getattr(message, name)
    setattr(message, path[-1], value)


def _parse_json(body: bytes) -> Any:
    try:
        document = json.loads(body)
        if b"\\ud" in body.lower():
            json.dumps(document, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        raise invalid_error("Invalid JSON payload received. Unable to parse.") from None
    return document


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise invalid_error("The form is not UTF-8.") from None


def _unknown_path_error(verb: str, path: str) -> EmuError:
    return EmuError(Code.NOT_FOUND, f"{verb} {path} is not a method of the embedded cloud.")


def _json(status: int, document: Any) -> HttpReply:
    return HttpReply(status, json.dumps(document).encode())
