"""Google's discovery documents as a contract: which methods there are, and what a request and a reply may hold.

The documents come with google-api-python-client, so nothing is fetched. They are read when a service is first met. A problem is one
line of `METHOD: PLACE: WHAT IS WRONG`; it holds names and types, never a value.
"""

import base64
import binascii
import functools
import json
import re
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import googleapiclient

Schema = Mapping[str, Any]

DOCUMENTS = Path(googleapiclient.__file__).with_name("discovery_cache") / "documents"
SERVED = (
    "apikeys.v2", "cloudresourcemanager.v1", "cloudresourcemanager.v3", "cloudscheduler.v1", "iam.v1",
    "iamcredentials.v1", "logging.v2", "monitoring.v3", "orgpolicy.v2", "policyanalyzer.v1", "run.v2",
    "secretmanager.v1", "serviceusage.v1", "storage.v1", "sts.v1",
)  # fmt: skip
"""The documents of everything that the embedded cloud serves over REST, whatever the host is called."""

_SYSTEM_PARAMETERS = frozenset({"$alt", "userProject"})
"""Accepted by every API, and in no document (cloud.google.com/apis/docs/system-parameters)."""
_LARGEST_PAGE = re.compile(
    r"(?:maximum (?:page size )?(?:is|value is)|size cannot exceed|[Mm]ax limit is|maximum of) ([0-9][0-9,]*)"
    r"|Maximum ([0-9]+)\.|or ([0-9][0-9,]*) items, whichever is smaller|greater than ([0-9]+), it is capped"
)
"""The ways in which descriptions state the largest page."""
_PAGE_PARAMETERS = frozenset({"pageSize", "maxResults"})
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_DURATION = re.compile(r"-?\d+(\.\d{1,9})?s")
_INTEGER = re.compile(r"-?\d+")
_LONG = frozenset({"int64", "uint64"})


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """One version of one API."""

    schemas: Mapping[str, Schema]
    parameters: frozenset[str]
    """Query parameters that every method takes."""


@dataclass(frozen=True, slots=True, eq=False)
class ApiMethod:
    """One method of an API; `request` and `response` are names of schemas, or empty."""

    document: Document
    id: str
    verb: str
    path: re.Pattern[str]
    parameters: Mapping[str, Schema]
    request: str
    response: str

    @property
    def service(self) -> str:
        """The API's name, as `storage`."""
        return self.id.partition(".")[0]


@functools.cache
def load_methods(name: str) -> tuple[ApiMethod, ...]:
    """The methods of a document, as `iam.v1`; custom verbs first, for a path may also match without its verb.

    Nothing when there is no such document.
    """
    path = DOCUMENTS / f"{name}.json"
    if not path.is_file():
        return ()
    content = json.loads(path.read_text(encoding="utf-8"))
    document = Document(content["schemas"], frozenset(content["parameters"]))
    base = content.get("servicePath", "")
    items = sorted(_walk(content), key=lambda item: (":" not in item["path"], -len(item["path"])))
    return tuple(
        ApiMethod(
            document,
            item["id"],
            item["httpMethod"],
            _path_pattern(base + item["path"], item.get("parameters", {})),
            item.get("parameters", {}),
            item.get("request", {}).get("$ref", ""),
            item.get("response", {}).get("$ref", ""),
        )
        for item in items
    )


def _walk(resource: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    yield from resource.get("methods", {}).values()
    for inner in resource.get("resources", {}).values():
        yield from _walk(inner)


def _path_pattern(template: str, parameters: Mapping[str, Schema]) -> re.Pattern[str]:
    whole = ""
    for piece in re.split(r"({[^}]+})", template):
        if piece.startswith("{"):
            name = piece.strip("{+}")
            shape = parameters[name].get("pattern", "^.+$" if piece.startswith("{+") else "^[^/]+$")
            whole += f"(?:{shape.removeprefix('^').removesuffix('$')})"
        else:
            whole += re.escape(piece)
    return re.compile(whole)


def document_of(service: str, path: str) -> str:
    """The document for a path of a service's host: `secretmanager.europe-west1.rep` and `v1/…` are `secretmanager.v1`."""
    version = next((part for part in path.split("/") if re.fullmatch(r"v\d+\w*", part)), "")
    return f"{service.partition('.')[0]}.{version}"


@functools.lru_cache(maxsize=4096)
def find_methods(documents: tuple[str, ...], verb: str, path: str) -> tuple[ApiMethod, ...]:
    """The first method of each document that answers this verb and path."""
    found = []
    for name in documents:
        hits = (one for one in load_methods(name) if one.verb == verb and one.path.fullmatch(path))
        found += [method for method in (next(hits, None),) if method is not None]
    return tuple(found)


class MessageCheck:
    """Compares messages with the schemas of one document, and keeps what is wrong.

    `sent` is for requests: nothing output only, and what is required is there unless `partial`, as in a patch. `integers` is for
    replies whose enumerations the caller asked for as numbers.
    """

    def __init__(
        self, schemas: Mapping[str, Schema], *, sent: bool, partial: bool = False, integers: bool = False
    ) -> None:
        self._schemas, self._sent, self._partial, self._integers = schemas, sent, partial, integers
        self.problems: list[str] = []

    def compare(self, schema: Schema, value: object, place: str) -> None:
        """Compare one value, and everything in it."""
        if self._sent and _is_output_only(schema):
            self._note(place, "output only")
            return
        while "$ref" in schema:
            schema = self._schemas[schema["$ref"]]
        kind = schema.get("type", "any")
        if kind == "object":
            self._object(schema, value, place)
        elif kind == "array":
            if not isinstance(value, list):
                self._note(place, f"{_kind(value)}, not an array")
                return
            for one in value:
                self.compare(schema["items"], one, f"{place}[]")
        elif kind == "string":
            self._string(schema, value, place)
        elif kind != "any" and not _is_plain(kind, value):
            self._note(place, f"{_kind(value)}, not of type {kind}")

    def mask(self, schema: Schema, mask: str, place: str) -> None:
        """Every path of a field mask must lead somewhere."""
        for path in mask.split(","):
            here = schema
            for part in path.split("."):
                while "$ref" in here:
                    here = self._schemas[here["$ref"]]
                if "additionalProperties" in here:
                    here = here["additionalProperties"]
                    continue
                inner = here.get("properties", {}).get(part)
                if inner is None:
                    self._note(place, f"mask names {path}, which is no field")
                    break
                here = inner

    def _note(self, place: str, what: str) -> None:
        self.problems.append(f"{place}: {what}")

    def _object(self, schema: Schema, value: object, place: str) -> None:
        if not isinstance(value, dict):
            self._note(place, f"{_kind(value)}, not an object")
            return
        fields, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, inner in value.items():
            if name in fields:
                self.compare(fields[name], inner, f"{place}.{name}")
            elif others is not None:
                self.compare(others, inner, f"{place}.*")
            else:
                self._note(f"{place}.{name}", "unknown field")
        if self._sent and not self._partial:
            for name in fields:
                if name not in value and _is_required(fields[name]):
                    self._note(f"{place}.{name}", "required, and missing")

    def _string(self, schema: Schema, value: object, place: str) -> None:
        form = schema.get("format", "")
        as_number = (self._sent and form in _LONG) or (self._integers and "enum" in schema)
        if as_number and _is_plain("integer", value):
            return
        if not isinstance(value, str):
            self._note(place, f"{_kind(value)}, not a string")
        elif "enum" in schema and value not in schema["enum"]:
            self._note(place, "not a value of the enumeration")
        elif not _has_form(form, value):
            self._note(place, f"not of format {form}")


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__


def _is_plain(kind: str, value: object) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    number = int if kind == "integer" else (int, float)
    return isinstance(value, number) and not isinstance(value, bool)


def _has_form(form: str, value: str) -> bool:
    if form in {"google-datetime", "date-time"}:
        return _TIME.fullmatch(value) is not None
    if form == "google-duration":
        return _DURATION.fullmatch(value) is not None
    if form == "google-fieldmask":
        return "_" not in value
    if form in _LONG:
        return _INTEGER.fullmatch(value) is not None
    if form == "byte":
        try:
            base64.b64decode(value.replace("-", "+").replace("_", "/"), validate=True)
        except binascii.Error:
            return False
    return True


def _is_output_only(schema: Schema) -> bool:
    return bool(schema.get("readOnly", False)) or schema.get("description", "").startswith("Output only")


def _is_required(schema: Schema) -> bool:
    return bool(schema.get("description", "").startswith("Required."))


def check_request(method: ApiMethod, query: Iterable[tuple[str, str]], body: object) -> list[str]:
    """What is wrong with a request for this method; `body` None is no body."""
    message = MessageCheck(method.document.schemas, sent=True, partial=method.verb == "PATCH")
    problems, seen = message.problems, set[str]()
    for name, value in query:
        parameter = method.parameters.get(name, {})
        if name in _SYSTEM_PARAMETERS or name in method.document.parameters:
            continue
        if parameter.get("location") != "query":
            problems.append(f"query {name}: unknown parameter")
            continue
        if name in seen and not parameter.get("repeated", False):
            problems.append(f"query {name}: given twice")
        seen.add(name)
        problems += _query_problems(name, parameter, value)
        if parameter.get("format") == "google-fieldmask" and method.request:
            message.mask({"$ref": method.request}, value, f"query {name}")
    problems += [
        f"query {name}: required, and missing"
        for name, parameter in method.parameters.items()
        if parameter.get("location") == "query"
        and name not in seen
        and (parameter.get("required", False) or _is_required(parameter))
    ]
    if body is not None and not method.request:
        problems.append("body: the method takes none")
    elif body is not None:
        message.compare({"$ref": method.request}, body, "body")
        _check_body_mask(method, message, body)
    return [f"{method.id}: request {problem}" for problem in problems]


def _check_body_mask(method: ApiMethod, message: MessageCheck, body: object) -> None:
    """A mask in the body is about the one message beside it."""
    fields = method.document.schemas[method.request].get("properties", {})
    beside = [field for field in fields.values() if "$ref" in field]
    if isinstance(body, dict) and isinstance(body.get("updateMask"), str) and len(beside) == 1:
        message.mask(beside[0], body["updateMask"], "body.updateMask")


def _query_problems(name: str, parameter: Schema, value: str) -> list[str]:
    kind, form = parameter["type"], parameter.get("format", "")
    problems = []
    if kind == "integer" and not _INTEGER.fullmatch(value):
        problems.append(f"query {name}: not an integer")
    elif name in _PAGE_PARAMETERS and int(value) > largest_page(parameter):
        problems.append(f"query {name}: above the maximum of {largest_page(parameter):.0f}")
    if kind == "boolean" and value not in {"true", "false"}:
        problems.append(f"query {name}: not a boolean")
    if "enum" in parameter and value not in parameter["enum"]:
        problems.append(f"query {name}: not a value of the enumeration")
    if kind == "string" and not _has_form(form, value):
        problems.append(f"query {name}: not of format {form}")
    return problems


def largest_page(parameter: Schema) -> float:
    """The largest page that the description of a parameter allows; infinite where it names none."""
    found = _LARGEST_PAGE.search(parameter.get("description", ""))
    return float(next(filter(None, found.groups())).replace(",", "")) if found else float("inf")


def check_reply(method: ApiMethod, status: int, reply: bytes, *, integers: bool = False) -> list[str]:
    """What is wrong with a reply of this method."""
    try:
        content = json.loads(reply) if reply else None
    except ValueError:
        return [f"{method.id}: reply {status}: not JSON"]
    if status >= 300:
        problems = _error_problems(method.service, status, content)
    elif not method.response:
        problems = [] if content in (None, {}) else ["the method returns nothing"]
    else:
        message = MessageCheck(method.document.schemas, sent=False, integers=integers)
        message.compare({"$ref": method.response}, content, method.response)
        problems = message.problems
    return [f"{method.id}: reply {status}: {problem}" for problem in problems]


def _error_problems(service: str, status: int, content: object) -> list[str]:
    error = content.get("error") if isinstance(content, dict) else None
    if service == "sts" and isinstance(error, str):  # OAuth's own form, RFC 6749 section 5.2
        return []
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return ["no error document"]
    problems = [] if error.get("code") == status else ["error.code is not the status"]
    if service == "storage":  # the older form, without a canonical status
        items = error.get("errors")
        whole = isinstance(items, list) and all({"domain", "reason", "message"} <= item.keys() for item in items)
        return problems if whole and items else [*problems, "error.errors: no domain, reason and message"]
    return problems if isinstance(error.get("status"), str) else [*problems, "error.status: missing"]


def split_target(target: str) -> tuple[str, dict[str, str]]:
    """The path of a request's target without the leading slash, unquoted, and its query."""
    url = urllib.parse.urlsplit(target)
    query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
    return urllib.parse.unquote(url.path).removeprefix("/"), query
