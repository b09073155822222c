"""How the declared credentials of a project stand.

It takes one list of the secrets, a look at each latest version, and one list of the keys for each account.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from threading import Lock

from orchestra_creds.core.accounts import account_project
from orchestra_creds.core.cloud_types import KeyOrigin, SecretResource, Version
from orchestra_creds.core.credential import IgnoredKey
from orchestra_creds.core.ports import KeyStore, SecretStore
from orchestra_creds.errors import CredsError, NotFoundError, PreconditionError
from orchestra_creds.parallel import CALLS_AT_ONCE, map_in_order
from orchestra_creds.rotation.catalog import CatalogEntry, CredentialCatalog, RefusedEntry, UndeclaredSecret
from orchestra_creds.rotation.issuer import IssuedCredential
from orchestra_creds.rotation.state import State
from orchestra_creds.rotation.status import (
    CredentialFacts,
    CredentialProblem,
    CredentialStatus,
    Problem,
    credential_status,
    state_of,
    unusable,
)


def survey_catalog(
    catalog: CredentialCatalog,
    secrets: SecretStore,
    keys: KeyStore,
    names: Sequence[str],
    moment: datetime,
    tolerance: timedelta,
    *,
    at_once: int = CALLS_AT_ONCE,
) -> tuple[list[CredentialStatus], list[str]]:
    """Return how the named credentials stand at a moment, or all, and notes about what is not known.

    A credential is overdue when it is due for longer than `tolerance`. Up to `at_once` calls are under way at a time.
    """
    each = partial(map_in_order, at_once=at_once)
    listed = list(catalog.select(names) if names else catalog.entries())
    entries, held, unread_rows = _find_secrets(
        secrets, [one for one in listed if isinstance(one, CatalogEntry)], at_once
    )
    spoken: dict[str, set[str]] = {one.credential.account: set() for one in entries}
    for one in entries:
        for account, identifier in _readable_state(held[one.credential.secret]).ids_by_account(one.credential.account):
            if account in spoken:
                spoken[account].add(identifier)
    others = {identifier: name for name, state in catalog.left_out_states for identifier in state.referenced_ids}
    ignored: dict[str, dict[str, IgnoredKey]] = {}
    for one in entries:
        ignored.setdefault(one.credential.account, {}).update({each.id: each for each in one.credential.ignored})
    unknown: dict[str, None] = {}
    unread_keys: dict[str, str] = {}
    accounts = [account for account in spoken if account]
    uses = _UseReader(keys, unknown)
    issued = dict(zip(accounts, each(lambda one: _keys_of(keys, one, uses, unread_keys), accounts), strict=True))
    known = [account for account in accounts if issued[account] is not None]
    disabled = dict(zip(known, each(lambda one: _is_disabled(keys, one, unread_keys), known), strict=True))
    versions = each(lambda one: look_at_latest(secrets, held[one.credential.secret]), entries)
    facts = [
        CredentialFacts(
            one.credential,
            held[one.credential.secret],
            issued.get(one.credential.account),
            frozenset(spoken.get(one.credential.account, ())),
            others,
            ignored[one.credential.account],
            latest,
            "; ".join(filter(None, (unread, unread_keys.get(one.credential.account)))),
            disabled.get(one.credential.account, False),
        )
        for one, (latest, unread) in zip(entries, versions, strict=True)
    ]
    rows = [credential_status(each, moment, tolerance) for each in facts] + unread_rows
    left_out = [] if names else catalog.undeclared_secrets(anything=bool(listed), now=moment)
    rows += _unusable([one for one in listed if isinstance(one, RefusedEntry)], left_out)
    notes = [f"last use is unknown: {text}" for text in unknown]
    notes += [
        f"key {each.id} of {account} is ignored until {each.until}: {each.reason}"
        for account, keys_ignored in ignored.items()
        for each in keys_ignored.values()
    ]
    if listed and not names and catalog.unread_labels:
        notes.append(f"labels that do not count without --from-labels: {', '.join(catalog.unread_labels)}")
    return rows, notes


def _find_secrets(
    secrets: SecretStore, entries: Sequence[CatalogEntry], at_once: int
) -> tuple[list[CatalogEntry], dict[str, SecretResource | None], list[CredentialStatus]]:
    """Return the entries whose secrets were seen, these secrets by name, and rows of the others: one denied look hides nothing else."""

    def find(one: CatalogEntry) -> SecretResource | CredsError | None:
        try:
            return one.secret or secrets.find_secret(one.credential.secret)
        except CredsError as error:
            return error

    seen, found, rows = [], {}, []
    for one, secret in zip(entries, map_in_order(find, entries, at_once=at_once), strict=True):
        credential = one.credential
        if isinstance(secret, CredsError):
            problem = CredentialProblem(Problem.NOT_READ, str(secret))
            rows.append(unusable(credential.name, credential.secret, credential.source, problem))
        else:
            found[credential.secret] = secret
            seen.append(one)
    return seen, found, rows


def _readable_state(secret: SecretResource | None) -> State:
    """Return the state on a secret, an empty one if it cannot be read: its own row says so."""
    try:
        return state_of(secret)
    except PreconditionError:
        return State()


def look_at_latest(secrets: SecretStore, secret: SecretResource | None) -> tuple[Version | None, str]:
    """Return the version that readers of `latest` get, or why nobody could look: one denied look hides no other credential."""
    if secret is None:
        return None, ""
    try:
        return secrets.get_version(secret.name, "latest"), ""
    except NotFoundError:
        return None, ""
    except CredsError as error:
        return None, str(error)


def _unusable(refused: Sequence[RefusedEntry], left_out: Sequence[UndeclaredSecret]) -> list[CredentialStatus]:
    rows = [unusable(r.name, r.secret, r.source, CredentialProblem(Problem.DECLARATION, str(r.error))) for r in refused]
    for one in left_out:
        alive = f"{', '.join(one.alive)} may still be valid; " if one.alive else ""
        problem = CredentialProblem(Problem.UNDECLARED, alive + one.hint)
        rows.append(unusable(one.secret, one.secret, "none", problem))
    return rows


class _UseReader:
    """When keys were used last, asked once for each project; why that is unknown goes to `unknown`. Thread-safe."""

    def __init__(self, store: KeyStore, unknown: dict[str, None]) -> None:
        self._store = store
        self._unknown = unknown
        self._known: dict[str, Mapping[str, datetime]] = {}
        self._lock = Lock()

    def uses_beside(self, account: str) -> Mapping[str, datetime]:
        """Return the last use of each key of the project of an account, by key id; empty if it is unknown."""
        project = account_project(account, "")
        with self._lock:
            if project not in self._known:
                self._known[project] = {}
                try:
                    self._known[project] = self._store.last_uses(account)
                except CredsError as error:  # a brake and a column of the table, and no reason to show nothing at all
                    self._unknown[str(error)] = None
            return self._known[project]


def _keys_of(
    store: KeyStore, account: str, uses: _UseReader, unread: dict[str, str]
) -> Sequence[IssuedCredential] | None:
    """Return the account's keys with their last use; None if there is no such account, or nobody could look, for `unread`."""
    try:
        keys = list(store.list_keys(account))
    except NotFoundError:
        return None
    except CredsError as error:
        unread[account] = str(error)
        return None
    used = uses.uses_beside(account)
    return [
        IssuedCredential(key.id, not key.disabled, key.created, used.get(key.id), key.exposed, key.expires)
        for key in keys
        if key.origin is KeyOrigin.USER
    ]


def _is_disabled(store: KeyStore, account: str, unread: dict[str, str]) -> bool:
    """Return whether an account is disabled; why nobody could look goes to `unread`."""
    try:
        return store.is_account_disabled(account)
    except CredsError as error:
        unread[account] = str(error)
        return False
