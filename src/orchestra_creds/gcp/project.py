"""ProjectInspector: facts about a project that decide whether our verbs can work there.

Organization policies and enabled APIs are asked for once: an inspector is made for one run, and many credentials want to know the same.
"""

import email.utils
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import requests

from orchestra_creds.errors import CredsError, UnavailableError
from orchestra_creds.gcp.session import ApiSession
from orchestra_creds.parallel import KnownAnswers


class RestProjectInspector:
    """Facts of one project, over REST."""

    def __init__(self, session: ApiSession) -> None:
        self._session = session
        self._known_rules: KnownAnswers[str, Sequence[Mapping[str, Any]] | CredsError] = KnownAnswers()
        self._known_apis: KnownAnswers[str, bool] = KnownAnswers()

    def is_api_enabled(self, service: str) -> bool:
        """See ProjectInspector."""
        return self._known_apis.find(service, lambda: self._ask_api(service))

    def _ask_api(self, service: str) -> bool:
        path = f"v1/projects/{self._session.project}/services/{service}"
        reply = self._session.rest(f"look whether {service} is enabled", "GET", "serviceusage", path, repeatable=True)
        return reply.get("state") == "ENABLED"

    def is_constraint_enforced(self, constraint: str, *, project: str = "") -> bool:
        """See ProjectInspector."""
        return any(rule.get("enforce", False) for rule in self._rules(constraint, project))

    def allowed_values(self, constraint: str, *, project: str = "") -> Sequence[str]:
        """See ProjectInspector."""
        rules = self._rules(constraint, project)
        return [value for rule in rules for value in rule.get("values", {}).get("allowedValues", [])]

    def _rules(self, constraint: str, project: str) -> Sequence[Mapping[str, Any]]:
        """The rules of a policy that are in effect for the project, or for that of the session; a refusal is as lasting as they are.

        Raises:
            CredsError: they cannot be read.
        """
        path = f"v2/projects/{project or self._session.project}/policies/{constraint}:getEffectivePolicy"
        found = self._known_rules.find(path, lambda: self._ask_rules(constraint, path))
        if isinstance(found, CredsError):
            raise found.with_traceback(None)
        return found

    def _ask_rules(self, constraint: str, path: str) -> Sequence[Mapping[str, Any]] | CredsError:
        """Return the rules, or why they cannot be read; what may pass is raised, and asked for again."""
        doing = f"read the organization policy {constraint}"
        try:
            reply = self._session.rest(doing, "GET", "orgpolicy", path, repeatable=True)
        except UnavailableError:
            raise
        except CredsError as error:
            return error
        rules: Sequence[Mapping[str, Any]] = reply.get("spec", {}).get("rules", [])
        return rules

    def server_time(self) -> datetime:
        """See ProjectInspector."""
        root = self._session.endpoints.http if self._session.endpoints else "https://secretmanager.googleapis.com"
        try:
            reply = self._session.http.head(root, timeout=self._session.deadline)
            return email.utils.parsedate_to_datetime(reply.headers["date"])
        except (requests.RequestException, KeyError, ValueError):
            raise UnavailableError("the service did not tell its time", hint="is it reachable from here?") from None
