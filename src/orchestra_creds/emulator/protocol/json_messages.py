"""Protobuf messages out of JSON as clients of Google's APIs write it: field masks either way, base64 checked."""

import re
from typing import Any

from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from orchestra_creds.emulator.protocol.errors import invalid_error

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_NAME = re.compile(r"[A-Za-z0-9_.$-]{1,64}")
"""Unknown names that a reply may quote."""
_REFUSED = "Invalid JSON payload received."
_UNNAMED = "A value has the wrong type."


def fill(message: Message, document: dict[str, Any]) -> None:
    """Set a message's fields from JSON as clients write it; INVALID_ARGUMENT when it does not fit."""
    try:
        document = _normalize(document, message.DESCRIPTOR)
        json_format.ParseDict(document, message)
    except RecursionError:
        raise invalid_error(f"{_REFUSED} {_UNNAMED}") from None
    except json_format.ParseError:
        # NOTE: the error's text can quote a value of the request, so nothing of it is passed on.
        raise invalid_error(f"{_REFUSED} {_describe_misfit(document, message.DESCRIPTOR)}") from None


def find_field(descriptor: Descriptor, name: str) -> FieldDescriptor | None:
    """Return the field of that name, in snake_case or camelCase; None when the message has none."""
    found = descriptor.fields_by_name.get(name) or descriptor.fields_by_camelcase_name.get(name)
    return found if found is None or isinstance(found, FieldDescriptor) else None


def _normalize(document: Any, descriptor: Descriptor) -> Any:
    """The document as json_format reads it: field masks in camelCase, and no base64 that it would repair silently."""
    if isinstance(document, list):
        return [_normalize(item, descriptor) for item in document]
    if not isinstance(document, dict):
        return document
    return {name: _normalize_value(value, find_field(descriptor, name)) for name, value in document.items()}


def _normalize_value(value: Any, field: FieldDescriptor | None) -> Any:
    if field is None:
        return value
    nested = field.message_type
    if nested is not None and nested.full_name == "google.protobuf.FieldMask" and isinstance(value, str):
        return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), value)
    if nested is not None and not nested.GetOptions().map_entry:
        return _normalize(value, nested)
    if field.type == FieldDescriptor.TYPE_BYTES and isinstance(value, str) and not _BASE64.fullmatch(value):
        raise invalid_error(f'Invalid value at "{field.name}" (TYPE_BYTES), Base64 decoding failed.')
    return value


def _describe_misfit(document: dict[str, Any], descriptor: Descriptor) -> str:
    """Return the sentence on a document that does not fit: the unknown name, or the outermost field of the unfit value."""
    unknown = _find_unknown_name(document, descriptor)
    if unknown is not None and _NAME.fullmatch(unknown):
        return f'Unknown name "{unknown}": Cannot find field.'
    name = _find_misfit(document, descriptor)
    return _UNNAMED if name is None or find_field(descriptor, name) is None else f'Invalid value at "{name}".'


def _find_unknown_name(document: dict[str, Any], descriptor: Descriptor) -> str | None:
    """Return the name that its message lacks; None when the first thing that does not fit is another one."""
    name = _find_misfit(document, descriptor)
    field = find_field(descriptor, name or "")
    if name is None or field is None:
        return name
    value, nested = document[name], field.message_type
    if nested is None or nested.GetOptions().map_entry or nested.file.package == "google.protobuf":
        return None
    if field.is_repeated != isinstance(value, list):
        return None
    for item in value if field.is_repeated else [value]:
        if not isinstance(item, dict):
            return None
        if _find_misfit(item, nested) is not None:
            return _find_unknown_name(item, nested)
    return None


def _find_misfit(document: dict[str, Any], descriptor: Descriptor) -> str | None:
    """Return the first name with which the document stops to fit; None when all of it fits."""
    message_class = message_factory.GetMessageClass(descriptor)
    taken: dict[str, Any] = {}
    for name, value in document.items():
        taken[name] = value
        try:
            json_format.ParseDict(taken, message_class())
        except json_format.ParseError:
            return name
    return None
