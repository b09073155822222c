"""Protobuf messages out of JSON as clients of Google's APIs write it: field masks either way, base64 checked."""

import re
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from orchestra_creds.emulator.protocol.errors import invalid_error

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")


def fill(message: Message, document: dict[str, Any]) -> None:
    """Set a message's fields from JSON as clients write it; INVALID_ARGUMENT when it does not fit."""
    try:
        json_format.ParseDict(_normalize(document, message.DESCRIPTOR), message)
    except (json_format.ParseError, RecursionError) as error:
        # NOTE: the error's text can quote a value of the request; only the path before it is passed on.
        raise invalid_error(f"Invalid JSON payload received. {_where(error)}") from None


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


def _where(error: Exception) -> str:
    found = re.search(r'no field named "([A-Za-z0-9_.$-]{1,64})"', str(error))
    if found:
        return f'Unknown name "{found[1]}": Cannot find field.'
    found = re.search(r"[Ff]ailed to parse ([A-Za-z0-9_.]{1,64}) field", str(error))
    return f'Invalid value at "{found[1]}".' if found else "A value has the wrong type."
