"""What declares the credentials of one project: the file, and labels on secrets as far as the run and the file let them count."""

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from orchestra_creds.config.credential_declarations import LABEL_KIND, credential, from_labels
from orchestra_creds.config.document import Document
from orchestra_creds.config.key_budget import check_key_budget
from orchestra_creds.config.label_trust import label_trust
from orchestra_creds.core.cloud_types import SecretResource
from orchestra_creds.core.credential import Credential
from orchestra_creds.errors import ConfigError


class ProjectDeclarations:
    """The declarations of one file for one project; with `labels_count`, all labels on secrets count."""

    kind_label = LABEL_KIND

    def __init__(self, document: Document, project: str, *, labels_count: bool = False) -> None:
        self.labels_count = labels_count
        self._project = project
        self._elsewhere = document.project.elsewhere
        self._trust = label_trust(document, project, every=labels_count)
        self.in_file: Mapping[str, Credential] = {
            name: credential(name, table, project) for name, table in document.credentials.items()
        }
        check_key_budget(self.in_file.values())

    def by_labels(self, secret: SecretResource) -> Credential | None:
        """Return the credential that the labels of a secret declare; None if they declare none, or do not count.

        Raises:
            ConfigError: they say something that we do not understand.
        """
        if not self._trust.counts(secret.name, secret.labels, self._project):
            return None
        declared = from_labels(secret.name, secret.labels, self._project)
        check_key_budget([declared] if declared else [])
        return declared

    def require_allowed(self, declared: Credential) -> None:
        """Refuse a credential of an account that may have no key.

        Raises:
            ConfigError: the account has `keys = "forbidden"`.
        """
        self._trust.require_allowed(declared)

    def is_elsewhere(self, secret: str) -> bool:
        """Return whether `elsewhere` of `[project]` names the secret."""
        return any(fnmatchcase(secret, pattern) for pattern in self._elsewhere)

    def looks_after(self, secret: SecretResource) -> bool:
        """Return whether the labels show that this program looks after a secret that the file does not account for."""
        return self._trust.ours(secret.name, secret.labels)

    def are_labels_enough(self, declared: Credential, secret: SecretResource | None) -> bool:
        """Return whether a runner without the file, which lets all labels count, would rotate a credential as the file says.

        It would only if the labels of the credential's secret say the same, and the file says nothing that labels cannot say.
        """
        try:
            self._trust.require_allowed(declared)
            labelled = from_labels(secret.name, secret.labels, self._project) if secret else None
        except ConfigError:
            return False
        return labelled is not None and replace(labelled, name=declared.name, source=declared.source) == declared
