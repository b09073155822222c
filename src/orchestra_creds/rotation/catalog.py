"""The declared credentials of one project: those of the file, and those of labels on secrets, as far as labels count.

Where both speak of one secret, the file wins. A declaration that cannot be used concerns its own secret only. Secrets are listed once
and passed on as they come, so that a run over many needs no more memory than over few. A list that breaks off hides no credential of
the file.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from orchestra_creds.core.cloud_types import SecretResource
from orchestra_creds.core.credential import Credential, CredentialKind
from orchestra_creds.core.google import LABEL_DUE
from orchestra_creds.core.ports import SecretStore
from orchestra_creds.errors import ConfigError, CredsError, NotFoundError, PermissionDeniedError, PreconditionError
from orchestra_creds.rotation.state import ANNOTATION, STAGING_SUFFIX, State, Target, decode
from orchestra_creds.rotation.timing import OVERDUE_AFTER

ENDABLE = frozenset({CredentialKind.SERVICE_ACCOUNT_KEY, CredentialKind.GENERATED, CredentialKind.MANUAL})
"""Kinds that can be ended without their declaration: the others need its programs, servers or names."""


class Declarations(Protocol):
    """What the configuration says about the credentials of one project."""

    in_file: Mapping[str, Credential]
    """The credentials of the file, by name."""
    kind_label: str
    """The label that declares a credential on its secret."""
    labels_count: bool
    """The run lets all labels count."""

    def by_labels(self, secret: SecretResource) -> Credential | None:
        """Return the credential that the labels of a secret declare; None if they declare none, or do not count.

        Raises:
            ConfigError: they say something that is not understood.
        """
        ...

    def require_allowed(self, credential: Credential) -> None:
        """Refuse a credential of an account that may have no key.

        Raises:
            ConfigError: the file forbids it.
        """
        ...

    def is_elsewhere(self, secret: str) -> bool:
        """Return whether the file says that another file looks after the secret of this name."""
        ...

    def looks_after(self, secret: SecretResource) -> bool:
        """Return whether the labels show that this program looks after a secret that the file does not account for."""
        ...


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A declared credential, and its secret if a list showed it."""

    credential: Credential
    secret: SecretResource | None = None


@dataclass(frozen=True, slots=True)
class RefusedEntry:
    """A declaration that cannot be used, and why: labels that are not understood, or an account that may have no key."""

    name: str
    secret: str
    source: str
    error: CredsError


@dataclass(frozen=True, slots=True)
class UndeclaredSecret:
    """A secret that this program looks after, by its labels or its state, and that nothing declares in this run.

    `due` is the day of its next rotation (YYYYMMDD), or empty; `labelled` tells whether it carries labels that would declare it.
    """

    secret: str
    due: str
    labelled: bool
    alive: tuple[str, ...] = ()
    """Ids of credentials that may still authenticate, by the secret's state."""
    elsewhere: bool = False
    """The file says that another one looks after it."""

    @property
    def message(self) -> str:
        """Return what is wrong."""
        due = f", and was due on {self.due}" if self.due else ""
        if self.alive:
            return f"nothing here declares it{due.replace('and was', 'it is')}, and {', '.join(self.alive)} may still be valid"
        return f"it carries labels or a state of orchestra-creds{due}, but nothing here declares it"

    @property
    def hint(self) -> str:
        """Return what to do about it."""
        if self.labelled:
            return "--from-labels lets its labels count; or declare it in orchestra-creds.toml"
        if self.alive:
            return (
                "was the file left out (--config FILE)? declare it there; if nobody needs it: orchestra-creds rotate retire "
                f"{self.secret} --undeclared; if another file declares it: elsewhere in [project]"
            )
        return f"was the file left out (--config FILE)? declare it there, or: orchestra-creds rotate abandon {self.secret} --undeclared"


class CredentialCatalog:
    """The credentials of one project."""

    def __init__(self, declarations: Declarations, secrets: SecretStore) -> None:
        self._declarations = declarations
        self._secrets = secrets
        self._by_secret: dict[str, Credential] = {}
        self._left_out: list[UndeclaredSecret] = []
        self.listing_error: CredsError | None = None
        """Why the last `entries` lacks secrets: what only labels declare may be among them."""
        self._left_out_states: dict[str, State] = {}
        for credential in declarations.in_file.values():
            other = self._by_secret.setdefault(credential.secret, credential)
            if other is not credential:
                raise ConfigError(
                    f"credentials {other.name} and {credential.name} share secret {credential.secret}",
                    hint="one secret holds one credential; give each its own",
                )

    def select(self, names: Sequence[str]) -> Iterator[CatalogEntry | RefusedEntry]:
        """Return those with these names: of the file, or of a labelled secret.

        Raises:
            NotFoundError: there is none of that name.
        """
        return iter([self._entry_of_name(name) for name in dict.fromkeys(names)])

    def _entry_of_name(self, name: str) -> CatalogEntry | RefusedEntry:
        declarations = self._declarations
        if name in declarations.in_file:
            return self._entry(declarations.in_file[name])
        secret = self._secrets.find_secret(name)
        entry = self._entry_of_labels(secret) if secret is not None else None
        if entry is None:
            known = ", ".join(sorted(declarations.in_file)) or "none"
            unread = secret is not None and declarations.kind_label in secret.labels
            way = (
                "its secret is labelled: --from-labels"
                if unread
                else f"label its secret with {declarations.kind_label}"
            )
            raise NotFoundError(f"there is no credential {name!r}", hint=f"in the file: {known}; or {way}")
        return entry

    def select_managed(self, names: Sequence[str], *, undeclared: bool) -> Iterator[CatalogEntry | RefusedEntry]:
        """Return those with these names, also where nothing declares them any more: then a name is that of the secret.

        With `undeclared`, each is the name of a secret that nothing declares.

        Raises:
            NotFoundError: there is no such credential, and no secret of that name with a state of ours.
            PreconditionError: it is a declared credential, and also the secret of one that nothing declares.
        """
        return iter([self._managed_entry(name, undeclared=undeclared) for name in dict.fromkeys(names)])

    def _managed_entry(self, name: str, *, undeclared: bool) -> CatalogEntry | RefusedEntry:
        declared = self._declarations.in_file.get(name)
        if declared is not None and declared.secret == name and not undeclared:
            return CatalogEntry(declared)
        secret = self._secrets.find_secret(name) if name not in self._by_secret else None
        if secret is None or ANNOTATION not in secret.annotations:
            if undeclared:
                raise NotFoundError(
                    f"there is no secret {name} with a state of orchestra-creds that nothing declares",
                    hint="see: orchestra-creds status; a declared credential is named without --undeclared",
                )
            return CatalogEntry(declared) if declared is not None else self._entry_of_name(name)
        if declared is not None and not undeclared:
            raise PreconditionError(
                f"{name} is a credential in secret {declared.secret}, and also a secret that nothing declares any more",
                hint=f"for what is in secret {name}, add --undeclared; nothing was changed",
            )
        entry = self._entry_of_labels(secret) if not undeclared else None
        return entry if isinstance(entry, CatalogEntry) else CatalogEntry(undeclared_credential(secret), secret)

    def entries(self) -> Iterator[CatalogEntry | RefusedEntry]:
        """Yield all of them, each secret as one list showed it; those of the file that it did not show come last.

        Raises:
            CredsError: the list gave nothing, and not for want of its permission alone.
        """
        left = dict(self._by_secret)
        self._left_out, self._left_out_states = [], {}
        for secret in self._listed_secrets():
            mine = left.pop(secret.name, None)
            entry = self._entry(mine, secret) if mine else self._entry_of_labels(secret)
            if entry is None and _is_ending(secret):
                entry = CatalogEntry(undeclared_credential(secret), secret)
            if entry is not None:
                yield entry
            else:
                self._leave_out(secret)
        yield from (self._entry(credential) for credential in left.values())

    def _listed_secrets(self) -> Iterator[SecretResource]:
        self.listing_error, any_seen = None, False
        try:
            for secret in self._secrets.list_secrets():
                any_seen = True
                yield secret
        except CredsError as error:
            if not any_seen and not isinstance(error, PermissionDeniedError):
                raise
            self.listing_error = error

    def undeclared_secrets(self, *, anything: bool, now: datetime) -> list[UndeclaredSecret]:
        """Return the secrets of the last `entries` that the operator must hear of, because nothing rotates them any more.

        If nothing is declared, these are all. Else these are the secrets whose next rotation is more than two daily runs ago, and where
        the file declares credentials, those with something that may still be valid, unless the file says that another one has them.
        """
        late = f"{now - OVERDUE_AFTER:%Y%m%d}"
        removed = bool(self._declarations.in_file)
        return [
            one
            for one in self._left_out
            if not anything or "" < one.due < late or (removed and one.alive and not one.elsewhere)
        ]

    @property
    def left_out_states(self) -> Iterator[tuple[str, State]]:
        """The secrets of the last `entries` that nothing declares and that carry a readable state."""
        yield from self._left_out_states.items()

    @property
    def unread_labels(self) -> list[str]:
        """The secrets of the last `entries` whose labels would declare a credential, but do not count in this run."""
        return [one.secret for one in self._left_out if one.labelled]

    def account_of(self, secret: str) -> str | None:
        """Return the account of the credential that a secret holds, if the file tells it."""
        credential = self._by_secret.get(secret)
        return credential.account if credential else None

    def _leave_out(self, secret: SecretResource) -> None:
        ours = ANNOTATION in secret.annotations or self._declarations.looks_after(secret)
        if ours and not secret.name.endswith(STAGING_SUFFIX):
            labelled = self._declarations.kind_label in secret.labels and not self._declarations.labels_count
            state = _readable_state(secret)
            self._left_out_states[secret.name] = state
            elsewhere = self._declarations.is_elsewhere(secret.name)
            due = secret.labels.get(LABEL_DUE, "")
            self._left_out.append(UndeclaredSecret(secret.name, due, labelled, _alive(state), elsewhere))

    def _entry_of_labels(self, secret: SecretResource) -> CatalogEntry | RefusedEntry | None:
        try:
            credential = self._declarations.by_labels(secret)
        except ConfigError as error:
            return RefusedEntry(secret.name, secret.name, "labels", error)
        return self._entry(credential, secret) if credential else None

    def _entry(self, credential: Credential, secret: SecretResource | None = None) -> CatalogEntry | RefusedEntry:
        try:
            self._declarations.require_allowed(credential)
        except ConfigError as error:
            return RefusedEntry(credential.name, credential.secret, credential.source, error)
        return CatalogEntry(credential, secret)


def undeclared_credential(secret: SecretResource) -> Credential:
    """Return what the state on a secret tells of its credential, where nothing declares it: enough to end it or to let it go.

    Raises:
        PreconditionError: the state cannot be read.
    """
    state = decode(secret.annotations, secret.name)
    target = next((each for each in state.targets if each is not None), None) or Target(str(CredentialKind.MANUAL))
    return Credential(secret.name, CredentialKind(target.kind), secret.name, account=target.account, source="none")


def _alive(state: State) -> tuple[str, ...]:
    """Return what may still be valid: of kinds whose issuer cannot disable, also what only its version was taken away from."""
    hidden = (e.id for e in state.retiring if e.target is not None and e.target.kind in {"api-key", "command"})
    return tuple(dict.fromkeys((*state.valid_ids, *hidden)))


def _readable_state(secret: SecretResource) -> State:
    try:
        return decode(secret.annotations, secret.name)
    except PreconditionError:
        return State()


def _is_ending(secret: SecretResource) -> bool:
    state = _readable_state(secret)
    return state.ended is not None and all(target is None or target.kind in ENDABLE for target in state.targets)
