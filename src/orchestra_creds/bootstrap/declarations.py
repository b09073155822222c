"""The declared credentials of one project: those of orchestra-creds.toml, and those of labels on secrets, as far as labels count.

Where both speak of one secret, the file wins. A declaration that cannot be used concerns its own secret only. Secrets are listed once
and passed on as they come, so that a run over many needs no more memory than over few.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.config import credential_declarations
from orchestra_creds.config.label_trust import LabelTrust, label_trust
from orchestra_creds.core.credential import Credential
from orchestra_creds.errors import ConfigError, CredsError, NotFoundError
from orchestra_creds.rotation.timing import OVERDUE_AFTER

if TYPE_CHECKING:
    from orchestra_creds.core.cloud_types import SecretResource


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A declared credential, and its secret if a list showed it."""

    credential: Credential
    secret: "SecretResource | None" = None


@dataclass(frozen=True, slots=True)
class RefusedEntry:
    """A declaration that cannot be used, and why: labels that nobody understands, or an account that may have no key."""

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

    @property
    def hint(self) -> str:
        """What to do about it."""
        if self.labelled:
            return "--from-labels lets its labels count; or declare it in orchestra-creds.toml"
        return "was the file left out (--config FILE)? declare it there, or take our labels off the secret"


class CredentialCatalog:
    """The credentials of one project; with `from_labels`, all labels on secrets count as declarations."""

    def __init__(self, cloud: Cloud, *, from_labels: bool = False) -> None:
        self._cloud = cloud
        document = cloud.settings.document
        self._trust = label_trust(document, cloud.project, every=from_labels)
        tables = document.credentials
        self._in_file = {
            name: credential_declarations.credential(name, table, cloud.project) for name, table in tables.items()
        }
        self._by_secret: dict[str, Credential] = {}
        self._left_out: list[UndeclaredSecret] = []
        for credential in self._in_file.values():
            other = self._by_secret.setdefault(credential.secret, credential)
            if other is not credential:
                raise ConfigError(
                    f"credentials {other.name} and {credential.name} share secret {credential.secret}",
                    hint="one secret holds one credential; give each its own",
                )

    @property
    def file_credentials(self) -> tuple[Credential, ...]:
        """The credentials of the file."""
        return tuple(self._in_file.values())

    def select(self, names: Sequence[str]) -> Iterator[CatalogEntry | RefusedEntry]:
        """Those with these names: of the file, or of a labelled secret.

        Raises:
            NotFoundError: there is none of that name.
        """
        return iter([self._entry_of_name(name) for name in dict.fromkeys(names)])

    def _entry_of_name(self, name: str) -> CatalogEntry | RefusedEntry:
        if name in self._in_file:
            return self._entry(self._in_file[name])
        secret = self._cloud.secrets.find_secret(name)
        found = self._entry_of_labels(secret) if secret is not None else None
        if found is None:
            known = ", ".join(sorted(self._in_file)) or "none"
            unread = secret is not None and credential_declarations.LABEL_KIND in secret.labels
            way = (
                "its secret is labelled: --from-labels"
                if unread
                else f"label its secret with {credential_declarations.LABEL_KIND}"
            )
            raise NotFoundError(f"there is no credential {name!r}", hint=f"in the file: {known}; or {way}")
        return found

    def entries(self) -> Iterator[CatalogEntry | RefusedEntry]:
        """All of them, each secret as one list showed it; those of the file that have no secret yet come last."""
        left = dict(self._by_secret)
        self._left_out = []
        for secret in self._cloud.secrets.list_secrets():
            mine = left.pop(secret.name, None)
            found = self._entry(mine, secret) if mine else self._entry_of_labels(secret)
            if found is not None:
                yield found
            else:
                self._leave_out(secret)
        yield from (self._entry(credential) for credential in left.values())

    def undeclared_secrets(self, *, anything: bool, now: datetime) -> list[UndeclaredSecret]:
        """Return the secrets of the last `every` that the operator must hear of, because nothing rotates them any more.

        If `anything` is declared, these are the secrets whose next rotation is more than two daily runs ago: others may be in the
        charge of another file. If nothing is, these are all.
        """
        late = f"{now - OVERDUE_AFTER:%Y%m%d}"
        return [one for one in self._left_out if not anything or "" < one.due < late]

    @property
    def unread_labels(self) -> list[str]:
        """The secrets of the last `every` whose labels would declare a credential, but do not count in this run."""
        return [one.secret for one in self._left_out if one.labelled]

    def _leave_out(self, secret: "SecretResource") -> None:
        from orchestra_creds.rotation.outcomes import LABEL_DUE
        from orchestra_creds.rotation.state import ANNOTATION, STAGING_SUFFIX

        ours = ANNOTATION in secret.annotations or self._trust.ours(secret.name, secret.labels)
        if ours and not secret.name.endswith(STAGING_SUFFIX):
            due = secret.labels.get(LABEL_DUE, "")
            labelled = credential_declarations.LABEL_KIND in secret.labels and not self._trust.every
            self._left_out.append(UndeclaredSecret(secret.name, due, labelled))

    def _entry_of_labels(self, secret: "SecretResource") -> CatalogEntry | RefusedEntry | None:
        if not self._trust.counts(secret.name, secret.labels, self._cloud.project):
            return None
        try:
            credential = credential_declarations.from_labels(secret.name, secret.labels, self._cloud.project)
        except ConfigError as error:
            return RefusedEntry(secret.name, secret.name, "labels", error)
        return self._entry(credential, secret) if credential else None

    def _entry(self, credential: Credential, secret: "SecretResource | None" = None) -> CatalogEntry | RefusedEntry:
        try:
            self._trust.require_allowed(credential)
        except ConfigError as error:
            return RefusedEntry(credential.name, credential.secret, credential.source, error)
        return CatalogEntry(credential, secret)

    def account_of(self, secret: str) -> str | None:
        """The account of the credential that a secret holds, if the file tells it."""
        credential = self._by_secret.get(secret)
        return credential.account if credential else None


def only_in_file(cloud: Cloud) -> list[str]:
    """Return the credentials of the file that a runner without the file would not rotate as the file says.

    Such a runner reads labels (`--from-labels`). It does the same only if the labels of the credential's secret say the same, and the
    file says nothing that labels cannot say.
    """
    trust = label_trust(cloud.settings.document, cloud.project, every=True)
    return [
        one.name for one in CredentialCatalog(cloud).file_credentials if not _labels_say_the_same(cloud, one, trust)
    ]


def _labels_say_the_same(cloud: Cloud, credential: Credential, trust: LabelTrust) -> bool:
    secret = cloud.secrets.find_secret(credential.secret)
    try:
        trust.require_allowed(credential)
        said = credential_declarations.from_labels(secret.name, secret.labels, cloud.project) if secret else None
    except ConfigError:
        return False
    return said is not None and replace(said, name=credential.name, source=credential.source) == credential
