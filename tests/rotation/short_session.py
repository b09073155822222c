"""A session whose calls go straight to the handlers of an embedded cloud, without Google's client libraries, unless they need a retry.

The tests of the engine make hundreds of thousands of calls, and the libraries take half of the time of each. What a call answers, what it
raises and how often it reaches the cloud is the same as with `DirectSession`: test_short_session.py compares the two.
"""

import json
import re
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import requests
from google.api_core import exceptions
from google.cloud import iam_admin_v1 as iam
from google.cloud import secretmanager_v1 as sm

from orchestra_creds.emulator.protocol.errors import Code, EmuError
from orchestra_creds.emulator.protocol.routes import IAM_ADMIN, SECRET_MANAGER, rpcs
from orchestra_creds.emulator.server.transcode import Gateway, HttpRequest
from orchestra_creds.gcp.errors import KnownRefusal
from tests.contract.direct import DirectError, DirectSession

_REPLIES: Mapping[str, tuple[str, Any]] = {
    "get_secret": (f"{SECRET_MANAGER}/GetSecret", sm.Secret),
    "create_secret": (f"{SECRET_MANAGER}/CreateSecret", sm.Secret),
    "update_secret": (f"{SECRET_MANAGER}/UpdateSecret", sm.Secret),
    "delete_secret": (f"{SECRET_MANAGER}/DeleteSecret", None),
    "add_secret_version": (f"{SECRET_MANAGER}/AddSecretVersion", sm.SecretVersion),
    "get_secret_version": (f"{SECRET_MANAGER}/GetSecretVersion", sm.SecretVersion),
    "access_secret_version": (f"{SECRET_MANAGER}/AccessSecretVersion", sm.AccessSecretVersionResponse),
    "enable_secret_version": (f"{SECRET_MANAGER}/EnableSecretVersion", sm.SecretVersion),
    "disable_secret_version": (f"{SECRET_MANAGER}/DisableSecretVersion", sm.SecretVersion),
    "destroy_secret_version": (f"{SECRET_MANAGER}/DestroySecretVersion", sm.SecretVersion),
    "list_secrets": (f"{SECRET_MANAGER}/ListSecrets", sm.ListSecretsResponse),
    "list_secret_versions": (f"{SECRET_MANAGER}/ListSecretVersions", sm.ListSecretVersionsResponse),
    "create_service_account_key": (f"{IAM_ADMIN}/CreateServiceAccountKey", iam.ServiceAccountKey),
    "upload_service_account_key": (f"{IAM_ADMIN}/UploadServiceAccountKey", iam.ServiceAccountKey),
    "disable_service_account_key": (f"{IAM_ADMIN}/DisableServiceAccountKey", None),
    "enable_service_account_key": (f"{IAM_ADMIN}/EnableServiceAccountKey", None),
    "delete_service_account_key": (f"{IAM_ADMIN}/DeleteServiceAccountKey", None),
}
"""Method of a client -> the full name of its RPC, and the class of its reply; None for an empty one."""
_PAGED = {"list_secrets": "secrets", "list_secret_versions": "versions"}
"""Methods that answer in pages, and the field of a page."""
_PLAIN = re.compile(r"[A-Za-z0-9/_@:.-]+")
_LOST = frozenset({Code.UNAVAILABLE})
"""Codes that a call which may be repeated is tried again for."""


def _is_tried_again(code: Code, *, repeatable: bool) -> bool:
    return code is Code.RESOURCE_EXHAUSTED or (repeatable and code in _LOST)


class ShortSession(DirectSession):
    """A session of its own for one embedded cloud without logins."""

    def call(
        self,
        doing: str,
        method: Any,
        request: Any,
        *,
        repeatable: bool,
        refusals: Sequence[KnownRefusal] = (),
        deadline: float | None = None,
    ) -> Any:
        """See ApiSession."""
        name, reply_class = _REPLIES.get(method.__name__, ("", None))
        if name and self.credentials is None and not self.reason:
            with self._translate(None, doing, refusals):
                try:
                    reply = self._answer(name, request, reply_class)
                except EmuError as error:
                    if not _is_tried_again(error.code, repeatable=repeatable):
                        raise exceptions.from_grpc_error(DirectError(error)) from error
                else:
                    field = _PAGED.get(method.__name__)
                    return reply if field is None else self._pages(doing, method, request, reply, field)
        return super().call(doing, method, request, repeatable=repeatable, refusals=refusals, deadline=deadline)

    def _answer(self, name: str, request: Any, reply_class: Any) -> Any:
        message = rpcs()[name].request.FromString(type(request).serialize(request))
        reply = self._emulator.rpc(name, message, {})
        return None if reply_class is None else reply_class.deserialize(reply.SerializeToString())

    def _pages(self, doing: str, method: Any, request: Any, reply: Any, field: str) -> Iterator[Any]:
        yield from getattr(reply, field)
        if reply.next_page_token:
            further = type(request)(request)
            further.page_token = reply.next_page_token
            yield from self.call(doing, method, further, repeatable=True)

    @cached_property
    def _gateway(self) -> Gateway:
        return Gateway(self._emulator)

    def _rest(
        self,
        credentials: Any,
        doing: str,
        verb: str,
        service: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, str | list[str]] | None = None,
        repeatable: bool = False,
        refusals: Sequence[KnownRefusal] = (),
    ) -> dict[str, Any]:
        plain = _PLAIN.fullmatch(path) is not None and not {"", ".", ".."} & set(path.split("/"))
        if plain and credentials is None and not self.reason:
            text = json.dumps(body).encode() if body is not None else b""
            headers = {"content-type": "application/json"} if text else {}
            target = f"/{path}" + (f"?{urllib.parse.urlencode(query, doseq=True)}" if query else "")
            answer = self._gateway.answer(HttpRequest(verb, target, headers, text))
            if answer.status < 300:
                return dict(json.loads(answer.body)) if answer.body else {}
            if answer.status != 429 and not (repeatable and answer.status == 503):
                with self._translate(None, doing, refusals):
                    raise exceptions.from_http_status(answer.status, "", response=_response(answer, verb, target))
        return super()._rest(
            credentials,
            doing,
            verb,
            service,
            path,
            body=body,
            query=query,
            repeatable=repeatable,
            refusals=refusals,
        )


def _response(answer: Any, verb: str, target: str) -> requests.Response:
    """A refusal as requests would hand it out."""
    response = requests.Response()
    response.status_code, response._content, response.url = answer.status, answer.body, f"http://127.0.0.1:1{target}"
    response.headers["content-type"] = answer.content_type
    response.request = requests.Request(verb, response.url).prepare()
    return response
