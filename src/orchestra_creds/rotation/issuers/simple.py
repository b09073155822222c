"""What all kinds without disabling at an issuer have in common: their end is the end of the secret's version."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from orchestra_creds.core.credential import Credential
from orchestra_creds.core.key_usage import KeyUsage
from orchestra_creds.core.material import Material
from orchestra_creds.errors import CredentialRefusedError
from orchestra_creds.rotation import programs
from orchestra_creds.rotation.issuer import IssuedCredential, is_refused


class VersionOnly:
    """Base of kinds of which nothing is known but the version that holds the credential; a probe program proves it, if there is one."""

    needs_settle_time = False

    def __init__(self, credential: Credential) -> None:
        self._credential = credential

    def check(self, *, emergency: bool = False) -> None:
        """Refuse a probe program that cannot be run."""
        if self._credential.probe:
            programs.check(self._credential.probe, f"probe of {self._credential.name}")

    def list_credentials(self) -> Sequence[IssuedCredential]:
        """Return nothing: there is no issuer that could list it."""
        return ()

    def secret_value(self, made: Material, identifier: str) -> Material:
        """Return the material as it was made."""
        return made

    def identify(self, value: Material) -> str:
        """Return nothing: the bytes do not tell the attempt that made them."""
        return ""

    def verify(self, value: Material) -> None:
        """Let the probe program prove it, if there is one."""
        probe(self._credential, value)

    def usage_of(self, identifier: str, span: timedelta) -> KeyUsage | None:
        """Return None: no issuer notes its use."""
        return None

    def delete(self, identifier: str) -> None:
        """Leave the deletion to the secret's version, which alone holds it."""

    def end(self, identifier: str, value: Material | None) -> None:
        """Leave the end to the secret's version: no more can be done than to disable it."""

    def is_ended(self, identifier: str, value: Material | None) -> bool:
        """Return whether the probe refuses it; without a probe, True: the secret is all that is known."""
        return value is None or not self._credential.probe or is_refused(partial(probe, self._credential), value)


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
