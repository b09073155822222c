"""ProjectInspector: facts about a project that decide whether our verbs can work there."""

import email.utils
from datetime import datetime

import requests

from orchestra_creds.errors import UnavailableError
from orchestra_creds.gcp.session import ApiSession


class RestProjectInspector:
    """Facts of one project, over REST."""

    def __init__(self, session: ApiSession) -> None:
        self._session = session

    def is_api_enabled(self, service: str) -> bool:
        """See ProjectInspector."""
        path = f"v1/projects/{self._session.project}/services/{service}"
        reply = self._session.rest(f"look whether {service} is enabled", "GET", "serviceusage", path, repeatable=True)
        return reply.get("state") == "ENABLED"

    def is_constraint_enforced(self, constraint: str) -> bool:
        """See ProjectInspector."""
        path = f"v2/projects/{self._session.project}/policies/{constraint}:getEffectivePolicy"
        doing = f"read the organization policy {constraint}"
        reply = self._session.rest(doing, "GET", "orgpolicy", path, repeatable=True)
        return any(rule.get("enforce", False) for rule in reply.get("spec", {}).get("rules", []))

    def server_time(self) -> datetime:
        """See ProjectInspector."""
        root = self._session.endpoints.http if self._session.endpoints else "https://secretmanager.googleapis.com"
        try:
            reply = self._session.http.head(root, timeout=self._session.deadline)
            return email.utils.parsedate_to_datetime(reply.headers["date"])
        except (requests.RequestException, KeyError, ValueError):
            raise UnavailableError("the service did not tell its time", hint="is it reachable from here?") from None
