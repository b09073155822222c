"""What the steps of one credential share: its issuers, the material of its successor, and the entries of its state."""

from collections.abc import Callable, Iterable, Sequence

from orchestra_creds.core.cloud_types import SecretResource, VersionState
from orchestra_creds.core.material import Material
from orchestra_creds.core.ports import Destination, SecretStore
from orchestra_creds.errors import PreconditionError
from orchestra_creds.rotation.issuer import (
    IssuedCredential,
    Issuer,
    LocalIssuer,
    RemoteIssuer,
)
from orchestra_creds.rotation.situation import Situation
from orchestra_creds.rotation.staged import is_wrapped, unwrap_material
from orchestra_creds.rotation.state import Predecessor, State, Target
from orchestra_creds.rotation.versions import NumberedVersions

Siblings = Callable[[], Iterable[State]]
"""The states of all other credentials of the same account."""


class StepContext(NumberedVersions):
    """The surroundings of the steps. Keeps the successor's material in memory while the attempt lasts."""

    def __init__(
        self,
        secrets: SecretStore,
        issuer: Issuer,
        destinations: Sequence[Destination],
        *,
        siblings: Siblings,
        list_credentials: Callable[[], Sequence[IssuedCredential]],
        issuer_at: Callable[[Target], Issuer] | None = None,
    ) -> None:
        super().__init__(secrets)
        self._issuer = issuer
        self._issuer_at = issuer_at
        self._destinations = {destination.name: destination for destination in destinations}
        self._siblings = siblings
        self._list_credentials = list_credentials
        self._made_material: Material | None = None
        self.secret: SecretResource | None = None
        """The secret as the run last read or wrote it."""

    def _issuer_for(self, situation: Situation, target: Target | None) -> Issuer:
        """Return the issuer at a target: the declared one, unless the declaration has changed since."""
        mine = situation.target
        if target is None or self._issuer_at is None or (target.kind, target.account) == (mine.kind, mine.account):
            return self._issuer
        return self._issuer_at(target)

    def _successor_issuer(self, situation: Situation) -> Issuer:
        return self._issuer_for(situation, situation.state.successor.target)

    def _local_issuer(self, situation: Situation) -> LocalIssuer:
        issuer = self._successor_issuer(situation)
        if not isinstance(issuer, LocalIssuer):
            raise _kind_error(situation)
        return issuer

    def _remote_issuer(self, situation: Situation) -> RemoteIssuer:
        issuer = self._successor_issuer(situation)
        if not isinstance(issuer, RemoteIssuer):
            raise _kind_error(situation)
        return issuer

    def _staged_material(self, situation: Situation, number: int) -> Material:
        if self._made_material is None:
            self._made_material = self._secrets.access(situation.staging, number).material
        return self._made_material

    def _secret_value(self, situation: Situation) -> Material:
        """Return what readers get of the successor; of one that comes back, what they got before."""
        successor, back = situation.state.successor, self._returning(situation)
        if back is not None:
            return self._secrets.access(situation.credential.secret, back.versions[-1]).material
        staged = self._staged_material(situation, successor.staged)
        if is_wrapped(staged):
            _, staged = unwrap_material(staged)
        return self._successor_issuer(situation).secret_value(staged, successor.id)

    def _material(self, situation: Situation, entry: Predecessor) -> Material | None:
        """Return what readers had of a predecessor, or None once no version of it is enabled."""
        name = situation.credential.secret
        for number in reversed(entry.versions):
            version = self._find_version(name, number)
            if version is not None and version.state is VersionState.ENABLED:
                return self._secrets.access(name, number).material
        return None

    def _returning(self, situation: Situation) -> Predecessor | None:
        """Return the predecessor that is the successor of a rollback."""
        successor = situation.state.successor.id
        return next((entry for entry in situation.state.retiring if entry.id == successor), None)

    def _entry(self, situation: Situation, identifier: str) -> Predecessor:
        entries = (*situation.state.retiring, *situation.state.as_leaked)
        return next(entry for entry in entries if entry.id == identifier)


def _kind_error(situation: Situation) -> PreconditionError:
    """Return the refusal of a phase that only another kind of credential reaches: the kind was changed half-way."""
    name, kind = situation.credential.name, situation.credential.kind
    return PreconditionError(
        f"credential {name} is in phase {situation.state.phase}, which kind {kind} cannot go on from",
        hint="declare the kind with which this rotation began, and run it again",
    )
