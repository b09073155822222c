"""ApiKeyStore over the API Keys API (v2, REST)."""

import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from orchestra_creds.core.credential import ApiKeyFacts
from orchestra_creds.core.material import Material
from orchestra_creds.errors import ConfigError, NotFoundError, UnavailableError
from orchestra_creds.gcp.session import Session

_ID = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?|[0-9a-f-]{36}")
POLLS = 10
POLL_SECONDS = 1.0
"""How long an operation is waited for; making a key takes a second or two."""


class RestApiKeyStore:
    """API keys of one project. `sleep` waits so many seconds."""

    def __init__(self, session: Session, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._session = session
        self._sleep = sleep
        self._parent = f"v2/projects/{session.project}/locations/global"

    def find(self, key_id: str) -> ApiKeyFacts | None:
        """See ApiKeyStore."""
        try:
            item = self._call(f"read API key {key_id}", "GET", self._path(key_id), repeatable=True)
        except NotFoundError:
            return None
        return ApiKeyFacts(
            id=str(item["name"]).rpartition("/")[2],
            display_name=str(item.get("displayName", "")),
            created=datetime.fromisoformat(item["createTime"]),
            restrictions=dict(item.get("restrictions", {})),
            deleted="deleteTime" in item,
        )

    def create(self, key_id: str, *, display_name: str, restrictions: Mapping[str, object]) -> None:
        """See ApiKeyStore."""
        self._path(key_id)
        body = {"displayName": display_name, **({"restrictions": dict(restrictions)} if restrictions else {})}
        doing = f"create API key {key_id}"
        self._finished(doing, self._call(doing, "POST", f"{self._parent}/keys", body=body, query={"keyId": key_id}))

    def material(self, key_id: str) -> Material:
        """See ApiKeyStore."""
        doing = f"read the string of API key {key_id}"
        reply = self._call(doing, "GET", f"{self._path(key_id)}/keyString", repeatable=True)
        return Material(str(reply["keyString"]).encode())

    def owner(self, material: Material) -> str:
        """See ApiKeyStore."""
        query = {"keyString": material.reveal().decode("ascii", "replace")}
        reply = self._call("look up an API key", "GET", "v2/keys:lookupKey", query=query, repeatable=True)
        return str(reply.get("name", "")).rpartition("/")[2]

    def delete(self, key_id: str) -> None:
        """See ApiKeyStore."""
        doing = f"delete API key {key_id}"
        self._finished(doing, self._call(doing, "DELETE", self._path(key_id)))

    def _call(self, doing: str, verb: str, path: str, **options: Any) -> dict[str, Any]:
        return self._session.rest(doing, verb, "apikeys", path, **options)

    def _finished(self, doing: str, operation: Mapping[str, Any]) -> None:
        for _ in range(POLLS):
            if operation.get("done", False):
                return
            self._sleep(POLL_SECONDS)
            operation = self._call(doing, "GET", f"v2/{operation['name']}", repeatable=True)
        raise UnavailableError(f"cannot {doing}: it is not finished yet", hint="look, then try again")

    def _path(self, key_id: str) -> str:
        if not _ID.fullmatch(key_id):
            raise ConfigError(f"{key_id!r} is not the id of an API key", hint="lower-case letters, digits and hyphens")
        return f"{self._parent}/keys/{key_id}"
