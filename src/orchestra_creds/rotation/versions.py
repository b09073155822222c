"""Versions of a secret by number, never by list or by `latest`: only that is strongly consistent.

See cloud.google.com/secret-manager/docs/reference/consistency.
"""

from orchestra_creds.core.cloud_types import Version, VersionState
from orchestra_creds.core.material import Material
from orchestra_creds.core.ports import SecretStore
from orchestra_creds.errors import NotFoundError, PreconditionError


class NumberedVersions:
    """Looks at versions, disables and destroys them; every change can be repeated."""

    def __init__(self, secrets: SecretStore) -> None:
        self._secrets = secrets

    def _latest(self, name: str) -> int:
        version = self._find_version(name, "latest")
        return version.number if version else 0

    def _top(self, name: str, at_least: int) -> int:
        """The highest version, probed upwards from one that is known: only NOT_FOUND ends it."""
        top = at_least
        while self._find_version(name, top + 1) is not None:
            top += 1
        return top

    def _find_version(self, name: str, number: int | str) -> Version | None:
        try:
            return self._secrets.get_version(name, number)
        except NotFoundError:
            return None

    def _readable_material(self, name: str, number: int) -> Material | None:
        """The material of a version, or None when it is disabled or destroyed."""
        try:
            return self._secrets.access(name, number).material
        except PreconditionError:
            return None

    def _disable_version(self, name: str, number: int) -> None:
        version = self._find_version(name, number)
        if version is not None and version.state is VersionState.ENABLED:
            self._secrets.disable_version(name, number)
