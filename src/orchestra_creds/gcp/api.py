"""What the REST adapters share: paths of one API, pages, absence, and operations that take a while."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc

from orchestra_creds.errors import ConfigError, NotFoundError, UnavailableError
from orchestra_creds.gcp.errors import from_status
from orchestra_creds.gcp.session import ApiSession

PATIENCE = 120.0
"""Seconds that an operation is waited for; switching on an API takes the longest, up to a minute."""
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 8.0
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._-]*")
_CODES: Mapping[int, str] = {status.value[0]: status.name for status in grpc.StatusCode}

JsonObject = dict[str, Any]


class Api:
    """One version of one API, as `iam` and `v1`. `sleep` waits so many seconds."""

    def __init__(
        self, session: ApiSession, service: str, version: str, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.project = session.project
        self._session, self._service, self._version, self._sleep = session, service, version, sleep

    def call(self, doing: str, verb: str, path: str, **options: Any) -> JsonObject:
        """One call; see Session.rest."""
        return self._session.rest(doing, verb, self._service, f"{self._version}/{path}", **options)

    def get(self, doing: str, path: str, query: Mapping[str, str] | None = None) -> JsonObject:
        """Read one resource."""
        return self.call(doing, "GET", path, query=query, repeatable=True)

    def find(self, doing: str, path: str, query: Mapping[str, str] | None = None) -> JsonObject | None:
        """Read one resource, or None where there is none; a refusal is never taken for that."""
        try:
            return self.get(doing, path, query)
        except NotFoundError:
            return None

    def list_items(
        self, doing: str, path: str, key: str, query: Mapping[str, str] | None = None
    ) -> Iterator[JsonObject]:
        """Every item of a list, page by page."""
        token = ""
        while True:
            page = self.get(doing, path, {**(query or {}), **({"pageToken": token} if token else {})})
            yield from page.get(key, [])
            token = str(page.get("nextPageToken", ""))
            if not token:
                return

    def finish(self, doing: str, operation: Mapping[str, Any]) -> None:
        """Wait until a long-running operation is done.

        Raises:
            CredsError: it failed.    UnavailableError: it is not done after PATIENCE seconds.
        """
        waited, wait = 0.0, _FIRST_WAIT
        while not operation.get("done", False):
            if waited >= PATIENCE:
                raise UnavailableError(f"cannot {doing}: it is not finished yet", hint="look, then try again")
            self._sleep(wait)
            waited, wait = waited + wait, min(wait * 2, _LONGEST_WAIT)
            operation = self.get(doing, str(operation["name"]))
        error = operation.get("error")
        if error:
            raise from_status(_CODES.get(int(error.get("code", 2)), "UNKNOWN"), str(error.get("message", "")), doing)


def part(name: str, what: str) -> str:
    """The name, if it can stand in a path as one segment.

    Raises:
        ConfigError: it cannot.
    """
    if not _PART.fullmatch(name):
        raise ConfigError(f"{name!r} is no name of a {what}", hint="letters, digits, hyphens, underscores and periods")
    return name
