"""Credentials whose issuer has no API: a person stores the successor, the engine reminds, records and carries it on."""

from orchestra_creds.core.material import Material
from orchestra_creds.errors import PreconditionError
from orchestra_creds.rotation.issuers.simple import VersionOnly


class ManualIssuer(VersionOnly):
    """See Issuer. The machine never begins a rotation of this kind."""

    def make(self, current: str, token: str) -> Material:
        """See Issuer.

        Raises:
            PreconditionError: always.
        """
        raise PreconditionError(
            f"only a person can make a successor of {self._credential.name}",
            hint=f"store it: orchestra-creds secret set {self._credential.secret}",
        )

    def create(self, token: str) -> tuple[str, Material]:
        """See Issuer."""
        return token, self.make("", token)

    def find(self, token: str) -> tuple[str, Material] | None:
        """See Issuer."""
        return None
