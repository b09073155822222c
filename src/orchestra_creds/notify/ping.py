"""A dead man's switch: a service that raises the alarm when it has not heard of a run for too long (healthchecks.io and its like).

It is told at the start, and at the end with the exit code. Guarantees: nothing of a credential but names goes there; a ping that fails
changes nothing; only HTTPS, or this machine.
"""

import re
import urllib.error
import urllib.request
from collections.abc import Callable

from orchestra_creds.errors import ConfigError

DEADLINE = 5.0
"""Seconds one attempt may take."""
TRIES = 3
LONGEST_BODY = 10_000
"""Bytes; what healthchecks.io keeps (healthchecks.io/docs/http_api)."""
_URL = re.compile(
    r"https://[^\s/?#@]+(?:/[^\s?#]*)?|http://(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]+)?(?:/[^\s?#]*)?"
)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: object) -> None:
        """Follow none: the next address was not given by the operator."""


class Ping:
    """One run's pings. `say` is told about those that failed."""

    def __init__(self, url: str, run: str, say: Callable[[str], None]) -> None:
        if not _URL.fullmatch(url):
            raise ConfigError("--ping-url must be an https address without query", hint="https://hc-ping.com/UUID")
        self._url, self._run, self._say = url.rstrip("/"), run, say
        self._opener = urllib.request.build_opener(_NoRedirect)

    def start(self) -> None:
        """The run begins."""
        self._send("start", "")

    def end(self, code: int, text: str) -> None:
        """The run is over; `text` holds names and endings."""
        self._send(str(code), text)

    def _send(self, what: str, text: str) -> None:
        body = text.encode("utf-8", "replace")[:LONGEST_BODY]
        request = urllib.request.Request(  # noqa: S310  the address was checked
            f"{self._url}/{what}?rid={self._run}", data=body, method="POST"
        )
        for _ in range(TRIES):
            try:
                with self._opener.open(request, timeout=DEADLINE):
                    return
            except (OSError, urllib.error.HTTPError):
                continue
        self._say(f"the dead man's switch did not answer ({what}); the run itself is not affected")
