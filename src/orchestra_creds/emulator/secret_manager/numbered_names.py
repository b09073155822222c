"""Names with project numbers: Secret Manager answers with `projects/NUMBER/…` however the caller wrote the project.

Requests may use the number that a project was given (store/project_numbers.py). Whoever compares names that were sent with names that
came back has to take both (external-secrets#5678 did not).
"""

import functools
import re
from collections.abc import Callable
from typing import Any

from orchestra_creds.emulator.protocol.errors import Code, EmuError
from orchestra_creds.emulator.protocol.service import Caller
from orchestra_creds.emulator.store import project_numbers
from orchestra_creds.emulator.store.store import Txn

Handler = Callable[[Any, Caller, Txn], Any]
_TOLD = re.compile(r"\[projects/([^/\]]*[^/\]0-9][^/\]]*)/")


def answer_with_numbers(handle: Handler) -> Handler:
    """Return the handler with project numbers in place of ids in its replies, and in the names that its refusals tell."""

    def answer(request: Any, caller: Caller, txn: Txn) -> Any:
        try:
            reply = handle(request, caller, txn)
        except EmuError as error:
            if error.code is Code.INVALID_ARGUMENT:  # it tells the name as it was asked for
                raise
            message = _TOLD.sub(lambda told: f"[projects/{project_numbers.number_of(txn, told[1])}/", error.message)
            raise EmuError(error.code, message, *error.details) from None
        number = functools.cache(lambda project: project_numbers.number_of(txn, project))
        return project_numbers.rewrite_names(reply, lambda name: _by_number(name, number))

    return answer


def _by_number(name: str, number: Callable[[str], str]) -> str:
    kind, _, rest = name.partition("/")
    project, slash, tail = rest.partition("/")
    return f"projects/{number(project)}{slash}{tail}" if kind == "projects" and project else name
