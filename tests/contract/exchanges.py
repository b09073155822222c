"""Every REST exchange of the test suite, checked against Google's discovery documents.

Requests are taken where the product's adapters make them, whatever answers; replies where the embedded cloud gives them, whoever asks.
They are kept while a test runs and compared when it ends. Commands in processes of their own are not seen.
"""

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any
from unittest import mock

from orchestra_creds.emulator.server.transcode import Gateway, HttpReply, HttpRequest
from orchestra_creds.gcp.session import ApiSession
from tests.contract import discovery

FEWEST_METHODS = 70
"""API methods that the product calls in the whole suite, at least: a check that sees nothing passes."""

ALLOWED: Mapping[str, str] = {}
"""Problems that stand, each with its reason."""


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request of the product: the service's host, the path without a leading slash, and what goes along."""

    service: str
    verb: str
    path: str
    query: Mapping[str, Any]
    body: object


@dataclass(frozen=True, slots=True)
class GivenReply:
    """A reply of the embedded cloud, and what was asked."""

    verb: str
    target: str
    status: int
    body: bytes


class ExchangeLog:
    """The exchanges since the last look, and the methods and numbers of all."""

    def __init__(self) -> None:
        self._requests: list[SentRequest] = []
        self._replies: list[GivenReply] = []
        self.methods: set[str] = set()
        self.counts: Counter[str] = Counter()

    def add_request(self, request: SentRequest) -> None:
        """Keep a request for the next look."""
        self._requests.append(request)

    def add_reply(self, reply: GivenReply) -> None:
        """Keep a reply for the next look."""
        self._replies.append(reply)

    def take_problems(self) -> list[str]:
        """What is wrong with the exchanges since the last look and not allowed, each once, sorted."""
        requests, self._requests = self._requests, []
        replies, self._replies = self._replies, []
        problems = {problem for request in requests for problem in self._request_problems(request)}
        problems |= {problem for reply in replies for problem in self._reply_problems(reply)}
        return sorted(problems - ALLOWED.keys())

    def export(self) -> dict[str, Any]:
        """What was seen, as pytest-xdist carries it from a worker to its controller."""
        return {"methods": sorted(self.methods), "counts": dict(self.counts)}

    def merge(self, seen: Mapping[str, Any]) -> None:
        """Add what a worker exported."""
        self.methods |= set(seen["methods"])
        self.counts.update(seen["counts"])

    def shortfall(self) -> str:
        """Why so few methods were seen is a failure of the whole suite, or empty."""
        seen = len(self.methods)
        return (
            "" if seen >= FEWEST_METHODS else f"only {seen} API methods were called, at least {FEWEST_METHODS} before"
        )

    @contextlib.contextmanager
    def checked(self) -> Iterator[None]:
        """Fail after the block when one of its exchanges is not what the documents say."""
        yield
        problems = self.take_problems()
        assert not problems, "not as in Google's discovery documents:\n" + "\n".join(problems)

    def _request_problems(self, request: SentRequest) -> list[str]:
        documents = (discovery.document_of(request.service, request.path),)
        found = discovery.find_methods(documents, request.verb, request.path)
        if not found:
            return [f"{documents[0]}: request {request.verb} {request.path}: no such method"]
        self.methods.add(found[0].id)
        self.counts["requests"] += 1
        query = [
            (name, str(value))
            for name, values in request.query.items()
            for value in (values if isinstance(values, list) else [values])
        ]
        return discovery.check_request(found[0], query, request.body)

    def _reply_problems(self, reply: GivenReply) -> list[str]:
        """The problems by the method that fits best: several APIs share some paths, and here they share a host."""
        path, query = discovery.split_target(reply.target)
        found = discovery.find_methods(discovery.SERVED, reply.verb, path)
        if not found:
            return []
        self.counts["replies"] += 1
        integers = "enum-encoding=int" in query.get("$alt", "") + query.get("alt", "")
        return min((discovery.check_reply(one, reply.status, reply.body, integers=integers) for one in found), key=len)


@contextlib.contextmanager
def keep_exchanges(log: ExchangeLog) -> Iterator[None]:
    """Write the exchanges of the block into the log."""
    ask, answer = ApiSession._rest, Gateway.answer

    def noted_rest(
        self: ApiSession, credentials: Any, doing: str, verb: str, service: str, path: str, **rest: Any
    ) -> Any:
        if not _is_asked_by_test(sys._getframe(1)):
            log.add_request(SentRequest(service, verb, path, rest.get("query") or {}, rest.get("body")))
        return ask(self, credentials, doing, verb, service, path, **rest)

    def noted_answer(self: Gateway, request: HttpRequest) -> HttpReply:
        reply = answer(self, request)
        log.add_reply(GivenReply(request.verb, request.target, reply.status, reply.body))
        return reply

    with mock.patch.object(ApiSession, "_rest", noted_rest), mock.patch.object(Gateway, "answer", noted_answer):
        yield


def _is_asked_by_test(frame: FrameType) -> bool:
    """Whether a test calls `ApiSession.rest` itself, which is what `frame` runs: that is no request of the product."""
    caller = frame.f_back
    return caller is not None and str(caller.f_globals.get("__name__", "")).startswith("tests.")
