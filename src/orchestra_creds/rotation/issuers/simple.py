"""What all kinds without disabling at an issuer have in common: their end is the end of the secret's version."""

from collections.abc import Sequence
from datetime import datetime

from orchestra_creds.core.credential import Credential
from orchestra_creds.core.material import Material
from orchestra_creds.errors import CredentialRefusedError
from orchestra_creds.rotation import programs
from orchestra_creds.rotation.issuer import IssuedCredential


class VersionOnly:
    """See Issuer. Nothing is known of the credential but the version that holds it; a probe program proves it, if there is one."""

    local = True
    revocable = False
    needs_settle_time = False

    def __init__(self, credential: Credential) -> None:
        self._credential = credential

    def check(self) -> None:
        """See Issuer."""
        if self._credential.probe:
            programs.check(self._credential.probe, f"probe of {self._credential.name}")

    def list_credentials(self) -> Sequence[IssuedCredential]:
        """See Issuer."""
        return ()

    def fingerprint(self, made: Material) -> str:
        """See Issuer: a hash of a value would let people test guesses."""
        return ""

    def activate(self, made: Material, token: str) -> str:
        """See Issuer: it is valid as soon as readers get it."""
        return token

    def secret_value(self, made: Material, identifier: str) -> Material:
        """See Issuer."""
        return made

    def identify(self, value: Material) -> str:
        """See Issuer."""
        return ""

    def verify(self, value: Material) -> None:
        """See Issuer."""
        probe(self._credential, value)

    def last_used(self, identifier: str) -> datetime | None:
        """See Issuer."""
        return None

    def disable(self, identifier: str) -> None:
        """See Issuer."""

    def enable(self, identifier: str) -> None:
        """See Issuer."""

    def delete(self, identifier: str) -> None:
        """See Issuer."""

    def end(self, identifier: str, value: Material | None) -> None:
        """See Issuer: no more can be done than to disable the secret's version."""

    def is_ended(self, identifier: str, value: Material | None) -> bool:
        """See Issuer: the probe must refuse it; without one the secret is all that is known."""
        if value is None or not self._credential.probe:
            return True
        try:
            probe(self._credential, value)
        except CredentialRefusedError:
            return True
        return False


def probe(credential: Credential, value: Material) -> None:
    """Let the operator's program prove it, with the material on its standard input.

    Raises:
        CredentialRefusedError: the program says no.
        PreconditionError, UnavailableError: it gave no answer.
    """
    if not credential.probe:
        return
    try:
        programs.run(credential.probe, f"probe of {credential.name}", material=value, timeout=credential.timeout)
    except programs.ProgramFailedError as error:
        if not error.answered:
            raise
        raise CredentialRefusedError(str(error), hint=error.hint) from None
