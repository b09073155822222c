"""Project numbers: Google names a project by its number in most answers, however the caller wrote the project."""

import hashlib
import re
from collections.abc import Callable
from typing import Any

from orchestra_creds.emulator.store.store import Txn

KIND = "project_number"
_BY_NUMBER = re.compile(r"projects/([0-9]+)(/.*)?")
_NAME_FIELDS = ("name", "parent", "resource")
_NESTED = ("secret", "secrets", "versions")


def number_of(txn: Txn, project: str) -> str:
    """The number of a project: twelve digits, the same on every machine; from now on it stands for the project."""
    digest = int.from_bytes(hashlib.sha256(project.encode()).digest()[:8], "big")
    number = str(100_000_000_000 + digest % 900_000_000_000)
    if txn.get(KIND, number) is None:
        txn.put(KIND, number, project.encode())
    return number


def id_of(txn: Txn, project: str) -> str:
    """The project's id, however it was named: by its id or by a number that has been given out."""
    found = txn.get(KIND, project) if project.isdecimal() else None
    return project if found is None else found.decode()


def use_ids(request: Any, txn: Txn) -> Any:
    """The request with project ids in place of the numbers that have been given out."""
    return rewrite_names(request, lambda name: _by_id(name, txn))


def rewrite_names(message: Any, rename: Callable[[str], str]) -> Any:
    """A copy of the message with every name in it renamed; the message itself where that changes nothing."""
    changes = [
        (number, field, name)
        for number, owner in enumerate((message, *_parts(message)))
        for field in _NAME_FIELDS
        if field in owner.DESCRIPTOR.fields_by_name and (name := rename(getattr(owner, field))) != getattr(owner, field)
    ]
    if not changes:
        return message
    copy = type(message)()
    copy.CopyFrom(message)
    owners = (copy, *_parts(copy))
    for number, field, name in changes:
        setattr(owners[number], field, name)
    return copy


def _parts(message: Any) -> list[Any]:
    parts: list[Any] = []
    for name in _NESTED:
        field = message.DESCRIPTOR.fields_by_name.get(name)
        if field is not None and field.message_type is not None:
            value = getattr(message, name)
            parts += value if field.is_repeated else [value] if message.HasField(name) else []
    return parts


def _by_id(name: str, txn: Txn) -> str:
    match = _BY_NUMBER.fullmatch(name)
    project = txn.get(KIND, match[1]) if match else None
    return name if match is None or project is None else f"projects/{project.decode()}{match[2] or ''}"
