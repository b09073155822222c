"""ApiKeyStore over the API Keys API (v2, REST)."""

import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime

from orchestra_creds.core.cloud_types import ApiKeyFacts
from orchestra_creds.core.material import Material
from orchestra_creds.errors import ConfigError
from orchestra_creds.gcp.api import Api
from orchestra_creds.gcp.session import ApiSession

_ID = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?|[0-9a-f-]{36}")


class RestApiKeyStore:
    """API keys of one project. `sleep` waits so many seconds."""

    def __init__(self, session: ApiSession, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._api = Api(session, "apikeys", "v2", sleep=sleep)
        self._parent = f"projects/{session.project}/locations/global"

    def find(self, key_id: str) -> ApiKeyFacts | None:
        """See ApiKeyStore."""
        item = self._api.find(f"read API key {key_id}", self._path(key_id))
        if item is None:
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
        self._api.finish(
            doing, self._api.call(doing, "POST", f"{self._parent}/keys", body=body, query={"keyId": key_id})
        )

    def material(self, key_id: str) -> Material:
        """See ApiKeyStore."""
        doing = f"read the string of API key {key_id}"
        reply = self._api.get(doing, f"{self._path(key_id)}/keyString")
        return Material(str(reply["keyString"]).encode())

    def owner(self, material: Material) -> str:
        """See ApiKeyStore."""
        query = {"keyString": material.reveal().decode("ascii", "replace")}
        reply = self._api.get("look up an API key", "keys:lookupKey", query)
        return str(reply.get("name", "")).rpartition("/")[2]

    def delete(self, key_id: str) -> None:
        """See ApiKeyStore."""
        doing = f"delete API key {key_id}"
        self._api.finish(doing, self._api.call(doing, "DELETE", self._path(key_id)))

    def _path(self, key_id: str) -> str:
        if not _ID.fullmatch(key_id):
            raise ConfigError(f"{key_id!r} is not the id of an API key", hint="lower-case letters, digits and hyphens")
        return f"{self._parent}/keys/{key_id}"
