"""Project numbers: Secret Manager answers with `projects/NUMBER/…` however the caller wrote the project.

Off by default, for names as the caller gave them are easier to read; with `answer_with_numbers` requests may use
the numbers too, and code that compares names it sent with names it got is found out.
"""

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


def reply_name(txn: Txn, project: str) -> str:
    """The project as answers name it: by id, or by number where that is wanted."""
    return number_of(txn, project) if txn.setting("project_numbers", False) else project


def answer_with_numbers(txn: Txn, *, on: bool) -> None:
    """Let Secret Manager answer as Google does."""
    txn.set_setting("project_numbers", on or None)


def use_ids(request: Any, txn: Txn) -> Any:
    """The request with project ids in place of the numbers that have been given out."""
    return _rewrite_names(request, lambda name: _by_id(name, txn)) if txn.setting("project_numbers", False) else request


def use_numbers(reply: Any, txn: Txn) -> Any:
    """The reply with project numbers in place of ids, when that is wanted."""
    return _rewrite_names(reply, lambda name: _by_number(name, txn)) if txn.setting("project_numbers", False) else reply


def _by_id(name: str, txn: Txn) -> str:
    match = _BY_NUMBER.fullmatch(name)
    project = txn.get(KIND, match[1]) if match else None
    return name if match is None or project is None else f"projects/{project.decode()}{match[2] or ''}"


def _by_number(name: str, txn: Txn) -> str:
    kind, _, rest = name.partition("/")
    project, slash, tail = rest.partition("/")
    return f"projects/{number_of(txn, project)}{slash}{tail}" if kind == "projects" and project else name


def _rewrite_names(message: Any, rename: Callable[[str], str]) -> Any:
    """A copy of the message with every name in it renamed."""
    copy = type(message)()
    copy.CopyFrom(message)
    for owner in (copy, *_parts(copy)):
        for field in _NAME_FIELDS:
            if field in owner.DESCRIPTOR.fields_by_name and getattr(owner, field):
                setattr(owner, field, rename(getattr(owner, field)))
    return copy


def _parts(message: Any) -> list[Any]:
    parts: list[Any] = []
    for name in _NESTED:
        field = message.DESCRIPTOR.fields_by_name.get(name)
        if field is not None and field.message_type is not None:
            value = getattr(message, name)
            parts += value if field.is_repeated else [value] if message.HasField(name) else []
    return parts
