"""Project numbers: Secret Manager answers with `projects/NUMBER/…` however the caller wrote the project.

Requests may use the number that a project was given. Answers have it in strict mode or with `answer_with_numbers`, so
that code is found out which compares names it sent with names it got; else names as the caller gave them, which are
easier to read.
"""

import functools
import hashlib
import re
from collections.abc import Callable
from typing import Any

from orchestra_creds.emulator.store.store import STRICT, Txn

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
    return number_of(txn, project) if _answers_with_numbers(txn) else project


def answer_with_numbers(txn: Txn, *, on: bool) -> None:
    """Let Secret Manager answer as Google does, strict or not."""
    txn.set_setting("project_numbers", on or None)


def use_ids(request: Any, txn: Txn) -> Any:
    """The request with project ids in place of the numbers that have been given out."""
    return _rewrite_names(request, lambda name: _by_id(name, txn))


def use_numbers(reply: Any, txn: Txn) -> Any:
    """The reply with project numbers in place of ids, when that is wanted."""
    if not _answers_with_numbers(txn):
        return reply
    number = functools.cache(lambda project: number_of(txn, project))
    return _rewrite_names(reply, lambda name: _by_number(name, number))


def _answers_with_numbers(txn: Txn) -> bool:
    return bool(txn.setting("project_numbers", txn.setting(STRICT, False)))


def _by_id(name: str, txn: Txn) -> str:
    match = _BY_NUMBER.fullmatch(name)
    project = txn.get(KIND, match[1]) if match else None
    return name if match is None or project is None else f"projects/{project.decode()}{match[2] or ''}"


def _by_number(name: str, number: Callable[[str], str]) -> str:
    kind, _, rest = name.partition("/")
    project, slash, tail = rest.partition("/")
    return f"projects/{number(project)}{slash}{tail}" if kind == "projects" and project else name


def _rewrite_names(message: Any, rename: Callable[[str], str]) -> Any:
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
