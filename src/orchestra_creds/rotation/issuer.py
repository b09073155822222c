"""What the engine asks of a kind of credential; one file per kind stands in `issuers/`.

A kind is *local* when its material is made here (a key pair, a random value, a password) and is stored in the staging secret
before it becomes valid: no crash can lose it. It is *remote* when the issuer makes the material and shows it once or on demand.
Every method that changes something looks first, so that it can be repeated after a lost reply; UnavailableError means that nobody
knows whether it happened.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from orchestra_creds.core.material import Material


@dataclass(frozen=True, slots=True)
class IssuedCredential:
    """One credential that the issuer holds valid or disabled. `id` is a key id, a user name, or the number of a generation."""

    id: str
    enabled: bool
    created: datetime | None = None
    last_used: datetime | None = None
    reason: str = ""
    """Why it is disabled, in the issuer's words; empty when it is enabled or nobody said."""

    @property
    def is_exposed(self) -> bool:
        """Whether the issuer knows that it leaked (disableReason and extendedStatus of keys in the IAM REST API)."""
        return "EXPOSED" in self.reason or "COMPROMISE" in self.reason


class Issuer(Protocol):
    """One kind of credential, bound to one declared credential.

    local      see above
    revocable  the issuer itself can disable and enable again; without it the secret's version is disabled in its place
    lasting    a new one may take time to be accepted everywhere, so it must authenticate over the settle time
    """

    @property
    def local(self) -> bool:
        """See above."""
        ...

    @property
    def revocable(self) -> bool:
        """See above."""
        ...

    @property
    def needs_settle_time(self) -> bool:
        """See above."""
        ...

    def check(self) -> None:
        """Refuse, before anything is changed, what cannot succeed; reads only.

        A missing or disabled account, no room for another key, a missing program.

        Raises:
            CredsError: one clear line.
        """
        ...

    def list_credentials(self) -> Sequence[IssuedCredential]:
        """Everything of this kind that the issuer holds for the account and that is not its own; empty when it cannot tell."""
        ...

    def make(self, current: str, token: str) -> Material:
        """Local only: new material, valid nowhere yet. `current` is the id in force, empty at first; `token` names the attempt."""
        ...

    def fingerprint(self, made: Material) -> str:
        """A public fingerprint of what `make` made, or empty where a fingerprint would tell something about the material."""
        ...

    def activate(self, made: Material, token: str) -> str:
        """Local only: let the issuer accept it; its id. Repeating it with the same material changes nothing and answers the same.

        Raises:
            ConstraintError: an organization policy forbids it, and `create` may be tried instead.
        """
        ...

    def create(self, token: str) -> tuple[str, Material]:
        """Remote only: have one made; its id and what readers get. `token` is the same in every attempt at one generation."""
        ...

    def find(self, token: str) -> tuple[str, Material] | None:
        """Remote only: what an earlier `create` with this token made, if its material can still be had; None otherwise."""
        ...

    def secret_value(self, made: Material, identifier: str) -> Material:
        """What readers get for it: the bytes of the secret's version. The same bytes whenever it is asked."""
        ...

    def identify(self, value: Material) -> str:
        """The id of the credential that a version holds, or empty when it cannot be told from the bytes."""
        ...

    def verify(self, value: Material) -> None:
        """Prove that it authenticates, by using it.

        Raises:
            CredentialRefusedError: the issuer refuses the credential itself; nothing else may be raised for that.
            CredsError: anything else says nothing about the credential, for example a missing permission.
        """
        ...

    def last_used(self, identifier: str) -> datetime | None:
        """When it last authenticated, None when never or not known."""
        ...

    def disable(self, identifier: str) -> None:
        """Make it unable to authenticate, reversibly; nothing happens when it is so already, or gone."""
        ...

    def enable(self, identifier: str) -> None:
        """Undo `disable`; nothing happens when it is gone."""
        ...

    def end(self, identifier: str, value: Material | None) -> None:
        """Make one that leaked useless at once, for ever if the issuer knows no other way. `payload` is None if it cannot be read.

        Raises:
            PreconditionError: only a person can do it.
        """
        ...

    def is_ended(self, identifier: str, value: Material | None) -> bool:
        """Return whether the issuer refuses it by now: looked up, and tried with its material where that can be read."""
        ...

    def delete(self, identifier: str) -> None:
        """Remove it for ever; nothing happens when it is gone already."""
        ...
