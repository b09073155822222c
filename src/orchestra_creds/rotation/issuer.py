"""What the engine asks of a kind of credential; one file per kind stands in `issuers/`.

A kind is *local* when its material is made here (a key pair, a random value, a password) and is stored in the staging secret
before it becomes valid: no crash can lose it. It is *remote* when the issuer makes the material and shows it once or on demand.
A kind can be both (service-account keys), or neither (a person makes the successor). Every method that changes something looks
first, so that it can be repeated after a lost reply; UnavailableError means that it is unknown whether it happened.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from orchestra_creds.core.key_usage import KeyUsage
from orchestra_creds.core.material import Material
from orchestra_creds.errors import CredentialRefusedError


@dataclass(frozen=True, slots=True)
class IssuedCredential:
    """One credential that the issuer holds valid or disabled. `id` is a key id, a user name, or the number of a generation."""

    id: str
    enabled: bool
    created: datetime | None = None
    last_used: datetime | None = None
    exposed: bool = False
    """The issuer knows that it leaked."""
    expires: datetime | None = None
    """When it ends by itself; None if it does not."""


class Issuer(Protocol):
    """One kind of credential, bound to one declared credential: the part that local and remote kinds have in common."""

    needs_settle_time: bool
    """A new credential may take time to be accepted everywhere, so it must authenticate over the settle time."""

    def check(self, *, emergency: bool = False) -> None:
        """Refuse, before anything is changed, what cannot succeed; reads only.

        A missing or disabled account, no room for another key, a missing program. The successor of one that leaked may take the room
        that is kept for an `emergency`.

        Raises:
            CredsError: one clear line.
        """
        ...

    def list_credentials(self) -> Sequence[IssuedCredential]:
        """Return every credential of this kind that the issuer holds for the account, except its own; empty if it cannot tell."""
        ...

    def secret_value(self, made: Material, identifier: str) -> Material:
        """Return the bytes of the secret's version, as readers get them; the same bytes on every call."""
        ...

    def identify(self, value: Material) -> str:
        """Return the id of the credential that a version holds, or empty if the bytes do not tell it."""
        ...

    def verify(self, value: Material) -> None:
        """Prove that a credential authenticates, by using it.

        Raises:
            CredentialRefusedError: the issuer refuses the credential itself; nothing else may be raised for that.
            CredsError: anything else says nothing about the credential, for example a missing permission.
        """
        ...

    def usage_of(self, identifier: str, span: timedelta) -> KeyUsage | None:
        """Return what is known of the use of a credential in the last `span`; None for a kind of whose use nothing keeps a record.

        Raises:
            CredsError: a record could not be read: it may be in use.
        """
        ...

    def end(self, identifier: str, value: Material | None) -> None:
        """Make a leaked credential useless at once, for ever if the issuer knows no other way. `value` is None if it cannot be read.

        Raises:
            PreconditionError: only a person can do it.
        """
        ...

    def is_ended(self, identifier: str, value: Material | None) -> bool:
        """Return whether the issuer refuses it by now: looked up, and tried with its material where that can be read."""
        ...

    def delete(self, identifier: str) -> None:
        """Remove a credential for ever; do nothing if it is gone already."""
        ...


@runtime_checkable
class LocalIssuer(Issuer, Protocol):
    """A kind whose material is made here."""

    def accepts_material(self) -> bool:
        """Return whether material that was made here can become valid now; if not, `create` of the same kind takes over."""
        ...

    def make(self, current: str, token: str) -> Material:
        """Return new material, valid nowhere yet. `current` is the id in force, empty at first; `token` names the attempt."""
        ...

    def fingerprint(self, made: Material) -> str:
        """Return a public fingerprint of what `make` made, or empty if a fingerprint would tell something about the material."""
        ...

    def find_activated(self, fingerprint: str, token: str) -> str:
        """Return the id of what `activate` made valid in an attempt, known by its public fingerprint or token; else empty."""
        ...

    def activate(self, made: Material, token: str) -> str:
        """Let the issuer accept the material, and return its id. Repeating it with the same material returns the same id.

        Raises:
            ConstraintError: an organization policy forbids it, and `create` may be tried instead.
        """
        ...


@runtime_checkable
class AlternatingIssuer(Issuer, Protocol):
    """A kind whose successor takes a place that exists already, and that may end by itself."""

    def check_successor(self, current: str, now: datetime, *, emergency: bool = False) -> None:
        """Refuse, before anything is changed, a successor of `current` whose place ends too early; `now` is aware UTC.

        Raises:
            PreconditionError: it does.
        """
        ...


@runtime_checkable
class AccountIssuer(Issuer, Protocol):
    """A kind whose credentials belong to an account that can be deleted and made again under its old name."""

    def account_id(self) -> str:
        """Return the unique id of the account, which a new account of the same name does not have."""
        ...

    def is_account_disabled(self) -> bool:
        """Return whether the account is disabled, so that none of its credentials authenticates."""
        ...

    def look_up(self, identifier: str) -> IssuedCredential | None:
        """Return the credential of the account as it is now, or None if the account does not have it."""
        ...

    def holds(self, value: Material, identifier: str) -> bool:
        """Return whether a version holds the private half of this credential of the account, by its public half at the issuer."""
        ...

    def account_of(self, value: Material) -> str:
        """Return the account that the bytes of a version name, or empty if they name none."""
        ...


@runtime_checkable
class RemoteIssuer(Issuer, Protocol):
    """A kind whose material the issuer makes."""

    def create(self, token: str) -> tuple[str, Material]:
        """Create a credential, and return its id and what readers get. `token` is the same in every attempt at one generation."""
        ...

    def find(self, token: str) -> tuple[str, Material] | None:
        """Return what an earlier `create` with this token made, or None if its material cannot be read any more."""
        ...


@runtime_checkable
class RevocableIssuer(Issuer, Protocol):
    """A kind that its issuer can disable and enable again; for other kinds the secret's version is disabled instead."""

    def disable(self, identifier: str) -> None:
        """Make a credential unable to authenticate, reversibly; do nothing if it is disabled or gone."""
        ...

    def enable(self, identifier: str) -> None:
        """Undo `disable`; do nothing if the credential is gone."""
        ...


_OF_ACCOUNTS: dict[type, bool] = {}
"""Classes of issuers, and whether their credentials belong to an account: to look at a protocol takes longer than all else of a quiet night."""


def has_account(issuer: Issuer) -> bool:
    """Return whether the credentials of an issuer belong to an account: whether it is an AccountIssuer."""
    kind = type(issuer)
    if kind not in _OF_ACCOUNTS:
        _OF_ACCOUNTS[kind] = isinstance(issuer, AccountIssuer)
    return _OF_ACCOUNTS[kind]


def is_refused(verify: Callable[[Material], None], value: Material) -> bool:
    """Return whether the credential is refused when it is used.

    Raises:
        CredsError: `verify` could not try it.
    """
    try:
        verify(value)
    except CredentialRefusedError:
        return True
    return False
